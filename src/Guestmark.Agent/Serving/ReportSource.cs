namespace Guestmark.Agent.Serving;

/// <summary>A report that is served until the next.</summary>
/// <param name="IndexReport">An encoded <c>scanner.v4.IndexReport</c>.</param>
/// <param name="Generation">Counts the different reports of this run, from 1.</param>
/// <param name="GeneratedAt">When the machine was last found to be so.</param>
/// <param name="Facts">What else the scan found out, by StackRox's names.</param>
/// <param name="MappingHash">The mapping that the scan used. Null: none.</param>
sealed record ServedReport(
    ReadOnlyMemory<byte> IndexReport, uint Generation, DateTimeOffset GeneratedAt, IReadOnlyDictionary<string, string> Facts, string? MappingHash);

/// <summary>Why the last scan gave no report.</summary>
sealed record ScanFailure(string Message, DateTimeOffset At);

/// <summary>The report of the last scan. One thread writes, any number read.</summary>
/// <remarks>
/// The generation rises only when the content changed: a Sensor that has the report gets "unchanged", instead of a megabyte that Central
/// matches again every four hours.
/// </remarks>
sealed class ReportSource
{
    volatile ServedReport? _current;
    volatile ScanFailure? _failure;

    /// <param name="start">When this run began.</param>
    public ReportSource(DateTimeOffset start) => Epoch = (uint)Math.Clamp(start.ToUnixTimeSeconds(), 1, uint.MaxValue);

    /// <summary>Tells this run from others, whose generations began at 1 as well: the Unix time of its start. Never 0.</summary>
    public uint Epoch { get; }

    /// <summary>Null before the first scan is done.</summary>
    public ServedReport? Current => _current;

    /// <summary>Null when the last scan gave a report.</summary>
    public ScanFailure? Failure => _failure;

    /// <summary>Takes the result of a scan.</summary>
    /// <returns>Whether it differs from the last.</returns>
    public bool Publish(ReadOnlyMemory<byte> indexReport, IReadOnlyDictionary<string, string> facts, string? mappingHash, DateTimeOffset at)
    {
        _failure = null;
        var last = _current;
        if (last is not null && last.IndexReport.Span.SequenceEqual(indexReport.Span) && AreEqual(last.Facts, facts))
        {
            _current = last with { GeneratedAt = at, MappingHash = mappingHash };
            return false;
        }

        _current = new ServedReport(indexReport, last is null ? 1 : last.Generation + 1, at, facts, mappingHash);
        return true;
    }

    /// <summary>A scan failed. The last report stays.</summary>
    public void Fail(string message, DateTimeOffset at) => _failure = new ScanFailure(message, at);

    static bool AreEqual(IReadOnlyDictionary<string, string> one, IReadOnlyDictionary<string, string> other)
    {
        if (one.Count != other.Count) return false;
        foreach (var (name, value) in one)
        {
            if (!other.TryGetValue(name, out var there) || there != value) return false;
        }

        return true;
    }
}
