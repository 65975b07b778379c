namespace Guestmark.Vulnerabilities;

/// <summary>
/// Imports that the operator asked for at once: what several of them have for one source is put together, and whether a source shrinks is
/// judged by the sum.
/// </summary>
public sealed class FeedBatch(AdvisoryDatabaseBuilder builder)
{
    readonly Dictionary<string, Began> _sources = new(StringComparer.Ordinal);

    /// <summary>How a source was first imported into. Null: it was not yet.</summary>
    internal ImportMode? ModeOf(string source) => _sources.TryGetValue(source, out var began) ? began.Mode : null;

    /// <param name="refuse">The error when the source still has half as many documents or fewer at the end. Null: it may have.</param>
    internal void Add(string source, ImportMode mode, int before, Func<int, FeedException>? refuse) =>
        _sources.TryAdd(source, new Began(mode, before, refuse));

    /// <summary>To be called when every import of the batch was run, and before the database is written.</summary>
    /// <exception cref="FeedException">A source would lose half of its documents or more.</exception>
    public void Complete()
    {
        foreach (var (name, began) in _sources)
        {
            var documents = builder.Source(name)?.Documents ?? 0;
            if (began.Refuse is { } refuse && documents <= began.Before / 2.0) throw refuse(documents);
        }
    }

    readonly record struct Began(ImportMode Mode, int Before, Func<int, FeedException>? Refuse);
}
