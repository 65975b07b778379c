namespace Guestmark.Vulnerabilities;

/// <summary>One import into one source. Without <see cref="Complete"/> the source stays as it was.</summary>
public sealed class SourceImport : IFeedSink
{
    const int SkippedNamedMax = 1000;
    const int LeftOutNamedMax = 1000;

    readonly AdvisoryDatabaseBuilder _builder;
    readonly StoringThread _storing;
    readonly SourceContent _content;
    readonly List<SkippedPart> _skippedParts = [];
    readonly SortedDictionary<string, int> _leftOut = new(StringComparer.Ordinal);
    DateTimeOffset? _made;

    // Of the thread that stores, until it is drained.
    readonly List<SkippedPart> _refused = [];
    int _stored;

    int _added;
    int _skipped;

    internal SourceImport(AdvisoryDatabaseBuilder builder, StoringThread storing, string name, string format, string uri, ImportMode mode, SourceContent content)
    {
        _builder = builder;
        _storing = storing;
        _content = content;
        (Name, Format, Uri, Mode) = (name, format, uri, mode);
    }

    public string Name { get; }

    public string Format { get; }

    public string Uri { get; }

    public ImportMode Mode { get; }

    /// <summary>Documents, decisions and entries that were added, each time that one was.</summary>
    public int Added
    {
        get
        {
            Drain();
            return _added;
        }
    }

    public int Withdrawn { get; private set; }

    /// <summary>Documents and parts that could not be read.</summary>
    public int Skipped
    {
        get
        {
            Drain();
            return _skipped;
        }
    }

    /// <summary>The first 1,000 of those, by name.</summary>
    public IReadOnlyList<SkippedPart> SkippedParts
    {
        get
        {
            Drain();
            return _skippedParts;
        }
    }

    /// <summary>What was understood and left out on purpose, with how often; the first 1,000 kinds.</summary>
    public IReadOnlyDictionary<string, int> LeftOut => _leftOut;

    /// <summary>How many documents, entries and decisions the source would have if it were completed now.</summary>
    public int Count
    {
        get
        {
            Drain();
            return _content.Count;
        }
    }

    public void Add(Advisory advisory)
    {
        ArgumentNullException.ThrowIfNull(advisory);
        _storing.Post(this, advisory);
    }

    public void Withdraw(string feed, string id, DateTimeOffset? modified)
    {
        Withdrawn++;
        _storing.PostWithdrawal(this, feed, id, modified);
    }

    public void Add(ExploitPrediction prediction)
    {
        Drain();
        Take(prediction.Cve, _content.Add(prediction));
    }

    public void Add(KnownExploited entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        Drain();
        Take(entry.Cve, _content.Add(entry));
    }

    public void Add(VexDecision decision)
    {
        ArgumentNullException.ThrowIfNull(decision);
        Drain();
        Take(decision.Id, _content.Add(decision));
    }

    public void Made(DateTimeOffset time)
    {
        if (_made is null || time > _made) _made = time;
    }

    public void Skip(string document, string path, string reason)
    {
        _skipped++;
        if (_skippedParts.Count < SkippedNamedMax) _skippedParts.Add(new SkippedPart(document, path, reason));
    }

    public void LeaveOut(string what)
    {
        if (_leftOut.TryGetValue(what, out var count)) _leftOut[what] = count + 1;
        else if (_leftOut.Count < LeftOutNamedMax) _leftOut[what] = 1;
    }

    /// <summary>Makes what was imported the content of the source.</summary>
    /// <param name="version">See <see cref="AdvisorySource.Version"/>.</param>
    /// <param name="imported">When.</param>
    /// <param name="served">When its server says that it last changed, which counts when nothing in it has a time.</param>
    public AdvisorySource Complete(string version, DateTimeOffset imported, DateTimeOffset? served = null)
    {
        Drain();
        var newest = AdvisoryDatabase.Time(_content.Newest);
        if (newest is null || _made > newest) newest = _made ?? newest ?? served;
        // What is added to is as new as it was.
        if (Mode is ImportMode.Add && _builder.Source(Name)?.Newest is { } before && _content.Newest == 0 && (newest is null || before > newest))
            newest = before;
        var source = new AdvisorySource(Name, Format, Uri, version, _content.Count, _skipped, imported, newest);
        _builder.Complete(source, _content);
        return source;
    }

    /// <summary>For <see cref="StoringThread"/>.</summary>
    internal void Store(Advisory advisory)
    {
        if (_content.Add(advisory) is { } refusal) _refused.Add(new SkippedPart(advisory.Id, "", refusal));
        else _stored++;
    }

    /// <inheritdoc cref="Store"/>
    internal void StoreWithdrawal(string feed, string id, DateTimeOffset? modified) => _content.Withdraw(feed, id, modified);

    void Drain()
    {
        _storing.Drain();
        _added += _stored;
        _stored = 0;
        foreach (var part in _refused) Skip(part.Document, part.Path, part.Reason);
        _refused.Clear();
    }

    void Take(string document, string? refusal)
    {
        if (refusal is null) _added++;
        else Skip(document, "", refusal);
    }
}

/// <summary>A document, or a part of one, that could not be read, and why.</summary>
/// <param name="Path">JSON path or XPath; empty for the whole document.</param>
public sealed record SkippedPart(string Document, string Path, string Reason);
