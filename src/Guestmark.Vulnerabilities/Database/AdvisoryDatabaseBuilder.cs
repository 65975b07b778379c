using System.Security.Cryptography;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Makes a database of sources. What it makes depends on the documents that the sources have in the end, not on the order of imports.
/// </summary>
public sealed class AdvisoryDatabaseBuilder
{
    readonly SortedDictionary<string, SourceContent> _sources = new(StringComparer.Ordinal);

    /// <param name="previous">Its sources are kept, unless they are imported again.</param>
    public AdvisoryDatabaseBuilder(AdvisoryDatabase? previous = null)
    {
        if (previous is not null) Load(previous);
    }

    /// <summary>Starts an import. Nothing of it counts before <see cref="SourceImport.Complete"/>.</summary>
    public SourceImport Import(string name, string format, string uri, ImportMode mode)
    {
        var content = mode == ImportMode.Add && _sources.TryGetValue(name, out var known) ? known.Copy() : new SourceContent();
        return new SourceImport(this, name, format, uri, mode, content);
    }

    /// <summary>The source as it stands. Null when there is none of the name.</summary>
    public AdvisorySource? Source(string name) => _sources.GetValueOrDefault(name)?.Source;

    /// <summary>Forgets a source with all its documents.</summary>
    /// <returns>False when there is none of the name.</returns>
    public bool Remove(string name) => _sources.Remove(name);

    public AdvisoryDatabase Build() => AdvisoryDatabase.Read(Encode());

    /// <summary>Writes the database so that a reader of <paramref name="path"/> sees either the former file or the whole new one.</summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public void Write(string path)
    {
        var file = Encode();
        var temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                stream.Write(file);
                stream.Flush(flushToDisk: true);
            }

            // A crash before the folder itself is on disk leaves the former file, which is complete.
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    internal void Complete(string name, SourceContent content) => _sources[name] = content;

    void Load(AdvisoryDatabase previous)
    {
        var contents = new List<SourceContent>();
        foreach (var source in previous.Sources)
        {
            var content = new SourceContent { Source = source };
            contents.Add(content);
            _sources[source.Name] = content;
        }

        foreach (ref readonly var row in previous.Documents)
        {
            if (row.State == DocumentState.Withdrawn)
                contents[row.Source].Withdraw(previous.TextOf(row.Feed), previous.TextOf(row.Id), AdvisoryDatabase.Time(row.Modified));
            else contents[row.Source].Add(previous.ToAdvisory(row));
        }

        foreach (ref readonly var row in previous.Predictions)
            contents[row.Source].Add(new ExploitPrediction(previous.TextOf(row.Cve), row.Score, row.Percentile));
        foreach (ref readonly var row in previous.KnownExploitedRows) contents[row.Source].Add(previous.ToKnownExploited(row));
        foreach (ref readonly var row in previous.DecisionRows) contents[row.Source].Add(previous.ToDecision(row));
    }

    byte[] Encode()
    {
        var tables = new DatabaseTables();
        var documents = new List<(int Source, StoredDocument Document)>();
        var withdrawn = new List<(int Source, string Feed, string Id, DateTimeOffset? Modified)>();
        var number = 0;
        foreach (var content in _sources.Values)
        {
            tables.Add(content.Source);
            foreach (var document in content.Documents) documents.Add((number, document));
            foreach (var (key, modified) in content.Withdrawn) withdrawn.Add((number, key.Feed, key.Id, modified));
            number++;
        }

        documents.Sort((a, b) => Compare(a, b));
        withdrawn.Sort((a, b) => (a.Feed, a.Id, a.Source).CompareTo((b.Feed, b.Id, b.Source)));
        using var revision = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var i = 0; i < documents.Count; i++)
        {
            var (source, document) = documents[i];
            // The newest of a document comes first.
            var isLive = i == 0 || documents[i - 1].Document.Key != document.Key;
            if (isLive) revision.AppendData(BitConverter.GetBytes(document.Hash));
            tables.Add(source, document.Advisory, document.Hash, isLive ? DocumentState.Live : DocumentState.Shadowed);
        }

        foreach (var (source, feed, id, modified) in withdrawn)
            tables.Add(source, new Advisory { Feed = feed, Id = id, Modified = modified }, 0, DocumentState.Withdrawn);

        number = 0;
        foreach (var content in _sources.Values)
        {
            foreach (var prediction in content.Predictions) tables.Add(number, prediction);
            foreach (var entry in content.KnownExploited) tables.Add(number, entry);
            foreach (var decision in content.Decisions) tables.Add(number, decision);
            number++;
        }

        return tables.ToFile(revision.GetHashAndReset());
    }

    static int Compare((int Source, StoredDocument Document) a, (int Source, StoredDocument Document) b)
    {
        var order = string.CompareOrdinal(a.Document.Advisory.Feed, b.Document.Advisory.Feed);
        if (order == 0) order = string.CompareOrdinal(a.Document.Advisory.Id, b.Document.Advisory.Id);
        if (order == 0) order = string.CompareOrdinal(a.Document.Advisory.Part, b.Document.Advisory.Part);
        if (order == 0) order = -a.Document.CompareVersionTo(b.Document);
        return order != 0 ? order : a.Source - b.Source;
    }
}

public enum ImportMode
{
    /// <summary>What is imported is the whole source: what it no longer has goes.</summary>
    Replace,

    /// <summary>What is imported is added to what the source has.</summary>
    Add,
}
