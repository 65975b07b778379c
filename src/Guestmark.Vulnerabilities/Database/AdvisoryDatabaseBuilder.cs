namespace Guestmark.Vulnerabilities;

/// <summary>
/// Makes a database of sources. What it makes depends on what the sources have in the end, not on the order of imports: the same content
/// gives the same bytes. A withdrawal counts within its source only: one feed that ends and takes back its documents leaves those of others.
/// </summary>
/// <remarks>
/// Memory is bounded by the number of documents and of different texts: documents go to a temporary file, and what is kept of the previous
/// database is copied from its mapping.
/// </remarks>
public sealed class AdvisoryDatabaseBuilder : IDisposable
{
    readonly SortedDictionary<string, BuilderSource> _sources = new(StringComparer.Ordinal);
    readonly AdvisoryDatabase? _previous;
    readonly DatabaseReplacement? _replacement;
    readonly string _spillPrefix;
    readonly DocumentStore _store;
    readonly StoringThread _storing = new();

    /// <param name="previous">Its sources are kept, unless they are imported again.</param>
    public AdvisoryDatabaseBuilder(AdvisoryDatabase? previous = null)
        : this(previous, null)
    {
    }

    AdvisoryDatabaseBuilder(AdvisoryDatabase? previous, DatabaseReplacement? replacement)
    {
        _previous = previous;
        _replacement = replacement;
        _spillPrefix = replacement?.Path ?? Path.Combine(Path.GetTempPath(), "guestmark");
        _store = new DocumentStore(_spillPrefix);
        if (previous is null) return;
        foreach (var source in previous.Sources) _sources[source.Name] = new BuilderSource(source, _sources.Count, null);
    }

    /// <summary>
    /// Begins to change the database at <paramref name="path"/>, which need not exist. Until this is disposed nobody else can change it, so
    /// that no import is lost to another. Temporary files are made beside it, and those that a killed process left there are removed.
    /// </summary>
    /// <exception cref="AdvisoryDatabaseException">Another process is changing it, or it cannot be used.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static AdvisoryDatabaseBuilder Update(string path)
    {
        var replacement = DatabaseReplacement.Take(path);
        try
        {
            return new AdvisoryDatabaseBuilder(File.Exists(path) ? AdvisoryDatabase.Open(path) : null, replacement);
        }
        catch
        {
            replacement.Dispose();
            throw;
        }
    }

    /// <summary>Starts an import. Nothing of it counts before <see cref="SourceImport.Complete"/>.</summary>
    public SourceImport Import(string name, string format, string uri, ImportMode mode)
    {
        // What a source had is read into the same store.
        _storing.Drain();
        var content = mode == ImportMode.Add && _sources.TryGetValue(name, out var known)
            ? known.Content?.Copy() ?? SourceContent.Of(_previous!, known.Previous, _store)
            : new SourceContent(_store);
        return new SourceImport(this, _storing, name, format, uri, mode, content);
    }

    /// <summary>The sources as they stand.</summary>
    public IEnumerable<AdvisorySource> Sources => _sources.Values.Select(known => known.Source);

    /// <summary>The source as it stands. Null when there is none of the name.</summary>
    public AdvisorySource? Source(string name) => _sources.TryGetValue(name, out var known) ? known.Source : null;

    /// <summary>Forgets a source with all its documents.</summary>
    /// <returns>False when there is none of the name.</returns>
    public bool Remove(string name) => _sources.Remove(name);

    /// <summary>The database in memory, at most 2 GB of it.</summary>
    public AdvisoryDatabase Build()
    {
        using var writer = NewWriter();
        var file = GC.AllocateUninitializedArray<byte>(checked((int)writer.Length), pinned: true);
        using (var stream = new MemoryStream(file)) writer.Write(stream);
        return AdvisoryDatabase.Read(file);
    }

    /// <summary>Writes the database so that a reader of <paramref name="path"/> sees either the former file or the whole new one.</summary>
    /// <exception cref="AdvisoryDatabaseException">Another process is changing it.</exception>
    /// <exception cref="IOException">The folder cannot be written, the disk is full.</exception>
    public void Write(string path) => Write(path, stream => stream);

    /// <param name="path">See <see cref="Write(string)"/>.</param>
    /// <param name="through">What stands between the writer and the file.</param>
    internal void Write(string path, Func<Stream, Stream> through)
    {
        if (_replacement is not null && _replacement.Path == Path.GetFullPath(path))
        {
            WriteTo(_replacement);
            return;
        }

        using var replacement = DatabaseReplacement.Take(path);
        WriteTo(replacement);

        void WriteTo(DatabaseReplacement target)
        {
            using var writer = NewWriter();
            target.Replace(stream => writer.Write(through(stream)));
        }
    }

    /// <summary>Removes the temporary file, and lets others change the database of <see cref="Update"/>.</summary>
    public void Dispose()
    {
        _storing.Abandon();
        _store.Dispose();
        _replacement?.Dispose();
    }

    internal void Complete(AdvisorySource source, SourceContent content) => _sources[source.Name] = new BuilderSource(source, -1, content);

    DatabaseWriter NewWriter()
    {
        // Of another import, which is not completed.
        _storing.Drain();
        return new DatabaseWriter(_previous, _store, [.. _sources.Values], _spillPrefix);
    }
}

/// <summary>A source of the database to be made.</summary>
/// <param name="Previous">Its number in the previous database, when nothing of it has changed.</param>
/// <param name="Content">Null: as it is there.</param>
readonly record struct BuilderSource(AdvisorySource Source, int Previous, SourceContent? Content);

public enum ImportMode
{
    /// <summary>What is imported is the whole source: what it no longer has goes.</summary>
    Replace,

    /// <summary>What is imported is added to what the source has.</summary>
    Add,
}
