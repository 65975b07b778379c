using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>Everything that one source has: of each document the version that counts within the source. Numbers are those of the store.</summary>
sealed class SourceContent(DocumentStore store)
{
    readonly Dictionary<DocumentKey, StoredDocument> _documents = [];
    readonly Dictionary<(int Feed, int Id), long> _withdrawn = [];
    readonly Dictionary<int, PredictionRow> _predictions = [];
    readonly Dictionary<int, KnownExploitedRow> _knownExploited = [];
    readonly Dictionary<int, DecisionRow> _decisions = [];

    SourceContent(SourceContent other)
        : this(other.Store)
    {
        _documents = new(other._documents);
        _withdrawn = new(other._withdrawn);
        _predictions = new(other._predictions);
        _knownExploited = new(other._knownExploited);
        _decisions = new(other._decisions);
    }

    /// <summary>Those that are not withdrawn.</summary>
    public IEnumerable<(DocumentKey Key, StoredDocument Document)> Documents
    {
        get
        {
            foreach (var (key, document) in _documents)
            {
                if (!IsWithdrawn(key, document.Modified)) yield return (key, document);
            }
        }
    }

    /// <summary>Documents and withdrawals, those included that are withdrawn.</summary>
    public int KeyCount => _documents.Count + _withdrawn.Count;

    public IReadOnlyDictionary<(int Feed, int Id), long> Withdrawn => _withdrawn;

    public IReadOnlyCollection<PredictionRow> Predictions => _predictions.Values;

    public IReadOnlyCollection<KnownExploitedRow> KnownExploited => _knownExploited.Values;

    public IReadOnlyCollection<DecisionRow> Decisions => _decisions.Values;

    public int Count => (_withdrawn.Count == 0 ? _documents.Count : Documents.Count()) + _predictions.Count + _knownExploited.Count + _decisions.Count;

    /// <summary>The newest time of a document or decision, in ticks; 0 when there is none.</summary>
    public long Newest
    {
        get
        {
            var newest = 0L;
            foreach (var (_, document) in Documents) newest = Math.Max(newest, document.Modified);
            foreach (var decision in _decisions.Values) newest = Math.Max(newest, decision.Decided);
            return newest;
        }
    }

    DocumentStore Store => store;

    public SourceContent Copy() => new(this);

    /// <summary>What a source has in a database: only keys and versions are read.</summary>
    public static SourceContent Of(AdvisoryDatabase previous, int source, DocumentStore store)
    {
        var content = new SourceContent(store);
        var number = 0;
        foreach (ref readonly var row in previous.Documents)
        {
            if (row.Source == source)
            {
                var (feed, id) = (Text(row.Feed), Text(row.Id));
                if (row.State == DocumentState.Withdrawn) content._withdrawn[(feed, id)] = row.Modified;
                else content._documents[new DocumentKey(feed, id, Text(row.Part))] = new StoredDocument(row.Modified, row.Hash, ~(long)number, row.StatementCount);
            }

            number++;
        }

        foreach (ref readonly var row in previous.Predictions)
        {
            if (row.Source != source) continue;
            var cve = Text(row.Cve);
            content._predictions[cve] = row with { Cve = cve };
        }

        foreach (ref readonly var row in previous.KnownExploitedRows)
        {
            if (row.Source == source) content.Add(previous.ToKnownExploited(row));
        }

        foreach (ref readonly var row in previous.DecisionRows)
        {
            if (row.Source == source) content.Add(previous.ToDecision(row));
        }

        return content;

        int Text(int text) => store.Texts.Intern(previous.Text(text));
    }

    /// <returns>Null, or why it cannot be stored.</returns>
    public string? Add(Advisory advisory)
    {
        if (store.Encode(advisory, out var row) is { } refusal) return refusal;
        ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(_documents, new DocumentKey(row.Feed, row.Id, row.Part), out var exists);
        // Of two versions with one time the same one must win in any order, whichever it is.
        if (!exists || row.Modified > known.Modified || (row.Modified == known.Modified && row.Hash > known.Hash))
            known = new StoredDocument(row.Modified, row.Hash, store.Append(row), row.StatementCount);
        return null;
    }

    public void Withdraw(string feed, string id, DateTimeOffset? modified)
    {
        var time = modified?.UtcTicks ?? 0;
        ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(_withdrawn, (store.Key(feed), store.Key(id)), out _);
        known = Math.Max(known, time);
    }

    /// <inheritdoc cref="Add(Advisory)"/>
    public string? Add(in ExploitPrediction prediction)
    {
        if (store.Encode(prediction, out var row) is { } refusal) return refusal;
        _predictions[row.Cve] = row;
        return null;
    }

    /// <inheritdoc cref="Add(Advisory)"/>
    public string? Add(KnownExploited entry)
    {
        if (store.Encode(entry, out var row) is { } refusal) return refusal;
        _knownExploited[row.Cve] = row;
        return null;
    }

    /// <inheritdoc cref="Add(Advisory)"/>
    public string? Add(VexDecision decision)
    {
        if (store.Encode(decision, out var row) is { } refusal) return refusal;
        if (!_decisions.TryGetValue(row.Id, out var known) || row.Decided >= known.Decided) _decisions[row.Id] = row;
        return null;
    }

    bool IsWithdrawn(in DocumentKey key, long modified) =>
        _withdrawn.Count > 0 && _withdrawn.TryGetValue((key.Feed, key.Id), out var withdrawn) && modified <= withdrawn;
}

readonly record struct DocumentKey(int Feed, int Id, int Part);

/// <summary>A version of a document.</summary>
/// <param name="Modified">UTC ticks; 0: not said.</param>
/// <param name="Place">In the store; negative: the complement of its number in the previous database.</param>
/// <param name="Statements">How many.</param>
readonly record struct StoredDocument(long Modified, ulong Hash, long Place, int Statements);
