namespace Guestmark.Vulnerabilities;

/// <summary>
/// Imports that the operator asked for at once: what several of them have for one source is put together, and whether a source shrinks is
/// judged by the sum.
/// </summary>
public sealed class FeedBatch(AdvisoryDatabaseBuilder builder)
{
    readonly Dictionary<string, (ImportMode Mode, int Documents)> _sources = new(StringComparer.Ordinal);
    readonly List<(string Source, Func<int, FeedException?> Refusal)> _checks = [];

    /// <summary>How a source was first imported into. Null: it was not yet.</summary>
    internal ImportMode? ModeOf(string source) => _sources.TryGetValue(source, out var began) ? began.Mode : null;

    /// <summary>Notes how a source is first imported into.</summary>
    /// <returns>How many documents it had before the command.</returns>
    internal int Begin(string source, ImportMode mode, int documents)
    {
        _sources.TryAdd(source, (mode, documents));
        return _sources[source].Documents;
    }

    /// <param name="refusal">The error for a number of documents that the source has at the end. Null: it may have so many.</param>
    internal void Add(string source, Func<int, FeedException?> refusal) => _checks.Add((source, refusal));

    /// <summary>To be called when every import of the batch was run, and before the database is written.</summary>
    /// <exception cref="FeedException">A source would lose half of its documents or more, or some, when others cannot be read.</exception>
    public void Complete()
    {
        foreach (var (source, refusal) in _checks)
        {
            if (refusal(builder.Source(source)?.Documents ?? 0) is { } error) throw error;
        }
    }
}
