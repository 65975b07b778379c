namespace Guestmark.Vulnerabilities;

/// <summary>Everything that one source has.</summary>
sealed class SourceContent
{
    readonly Dictionary<DocumentKey, StoredDocument> _documents = [];
    readonly Dictionary<(string Feed, string Id), DateTimeOffset?> _withdrawn = [];
    readonly Dictionary<string, ExploitPrediction> _predictions = [];
    readonly Dictionary<string, KnownExploited> _knownExploited = [];
    readonly Dictionary<string, VexDecision> _decisions = [];

    public AdvisorySource Source { get; set; } = new("", "", "", "", 0, 0, default, null);

    /// <summary>Those that are not withdrawn.</summary>
    public IEnumerable<StoredDocument> Documents => _documents.Values.Where(document => !IsWithdrawn(document));

    public IReadOnlyDictionary<(string Feed, string Id), DateTimeOffset?> Withdrawn => _withdrawn;

    public IEnumerable<ExploitPrediction> Predictions => _predictions.Values;

    public IEnumerable<KnownExploited> KnownExploited => _knownExploited.Values;

    public IEnumerable<VexDecision> Decisions => _decisions.Values;

    public int Count => Documents.Count() + _predictions.Count + _knownExploited.Count + _decisions.Count;

    /// <summary>The newest time of a document.</summary>
    public DateTimeOffset? Newest => Documents.Select(document => document.Advisory.Modified).Concat(_decisions.Values.Select(decision => (DateTimeOffset?)decision.Decided)).Max();

    public SourceContent Copy()
    {
        var copy = new SourceContent { Source = Source };
        foreach (var (key, value) in _documents) copy._documents[key] = value;
        foreach (var (key, value) in _withdrawn) copy._withdrawn[key] = value;
        foreach (var (key, value) in _predictions) copy._predictions[key] = value;
        foreach (var (key, value) in _knownExploited) copy._knownExploited[key] = value;
        foreach (var (key, value) in _decisions) copy._decisions[key] = value;
        return copy;
    }

    public void Add(Advisory advisory)
    {
        var document = StoredDocument.Of(advisory);
        if (!_documents.TryGetValue(document.Key, out var known) || document.CompareVersionTo(known) > 0) _documents[document.Key] = document;
    }

    public void Withdraw(string feed, string id, DateTimeOffset? modified)
    {
        if (!_withdrawn.TryGetValue((feed, id), out var known) || Nullable.Compare(modified, known) > 0) _withdrawn[(feed, id)] = modified;
    }

    public void Add(ExploitPrediction prediction) => _predictions[prediction.Cve] = prediction;

    public void Add(KnownExploited entry) => _knownExploited[entry.Cve] = entry;

    public void Add(VexDecision decision)
    {
        if (!_decisions.TryGetValue(decision.Id, out var known) || decision.Decided >= known.Decided) _decisions[decision.Id] = decision;
    }

    bool IsWithdrawn(StoredDocument document) =>
        _withdrawn.TryGetValue((document.Key.Feed, document.Key.Id), out var withdrawn) && Nullable.Compare(document.Advisory.Modified, withdrawn) <= 0;
}

readonly record struct DocumentKey(string Feed, string Id, string Part);

/// <summary>A document with what tells its versions apart.</summary>
sealed record StoredDocument(DocumentKey Key, Advisory Advisory, ulong Hash)
{
    public static StoredDocument Of(Advisory advisory)
    {
        var normalized = DocumentEncoding.Normalize(advisory);
        return new StoredDocument(
            new DocumentKey(advisory.Feed, advisory.Id, advisory.Part), normalized, DocumentEncoding.Hash(DocumentEncoding.Encode(normalized)));
    }

    /// <summary>By time; of two with one time the same one must win in any order, whichever it is.</summary>
    public int CompareVersionTo(StoredDocument other)
    {
        var order = Nullable.Compare(Advisory.Modified, other.Advisory.Modified);
        return order != 0 ? order : Hash.CompareTo(other.Hash);
    }
}
