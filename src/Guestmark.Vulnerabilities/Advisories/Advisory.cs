namespace Guestmark.Vulnerabilities;

/// <summary>One document of a vendor, whatever its format was: what every importer makes and the database stores.</summary>
public sealed record Advisory
{
    /// <summary>The format it was read from: <c>osv</c>.</summary>
    public required string Feed { get; init; }

    public required string Id { get; init; }

    /// <summary>In any order; duplicates are dropped when stored.</summary>
    public IReadOnlyList<string> Cves { get; init; } = [];

    public string Summary { get; init; } = "";

    public Severity Severity { get; init; }

    /// <summary>CVSS v3 base score, 0.0 to 10.0 in tenths.</summary>
    public double? CvssScore { get; init; }

    public string? CvssVector { get; init; }

    public DateTimeOffset? Published { get; init; }

    public DateTimeOffset? Modified { get; init; }

    public string? Url { get; init; }

    /// <summary>Module streams (<c>nodejs:18</c>) that the modular builds among the fixes belong to. Empty when the document names none.</summary>
    public IReadOnlyList<string> ModuleStreams { get; init; } = [];

    public IReadOnlyList<AffectedPackage> Affected { get; init; } = [];
}

/// <summary>Which versions of one package in one ecosystem are affected: those in any of the intervals.</summary>
public sealed record AffectedPackage(string Ecosystem, string Name, IReadOnlyList<VersionInterval> Intervals);

/// <summary>Versions from <paramref name="Introduced"/> on, up to <paramref name="End"/>.</summary>
/// <param name="Introduced">First affected version. Null: from the beginning, which OSV writes as 0.</param>
/// <param name="End">Null when <paramref name="Kind"/> is <see cref="IntervalEnd.None"/>.</param>
public readonly record struct VersionInterval(string? Introduced, string? End, IntervalEnd Kind);

/// <summary>How an interval ends. The numbers are persisted: add, never change.</summary>
public enum IntervalEnd
{
    /// <summary>It does not: there is no fix yet.</summary>
    None = 0,

    /// <summary>The end is the first version that is not affected.</summary>
    Fixed = 1,

    /// <summary>The end is the last version that is affected.</summary>
    LastAffected = 2,
}
