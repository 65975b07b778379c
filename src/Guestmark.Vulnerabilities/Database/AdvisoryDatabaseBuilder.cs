namespace Guestmark.Vulnerabilities;

/// <summary>Collects advisories and makes a database of them. What it makes depends on the advisories, not on their order.</summary>
public sealed class AdvisoryDatabaseBuilder
{
    // An advisory is known by its id within one ecosystem: AlmaLinux publishes ALSA-2024:8127 as two documents, for 8 and for 9.
    readonly Dictionary<(string Feed, string Id, string Ecosystem), Advisory> _advisories = [];
    readonly Dictionary<(string Feed, string Id), DateTimeOffset?> _withdrawn = [];
    readonly SortedDictionary<(string Name, string Path), AdvisorySource> _sources = [];

    /// <summary>Adds an advisory. Of two with the same id the one that was modified last is kept, whichever comes first.</summary>
    /// <exception cref="ArgumentException">It names an ecosystem whose versions cannot be compared.</exception>
    public void Add(Advisory advisory)
    {
        ArgumentNullException.ThrowIfNull(advisory);
        foreach (var packages in advisory.Affected.GroupBy(package => package.Ecosystem))
        {
            if (Ecosystem.Find(packages.Key) is null)
                throw new ArgumentException($"{advisory.Id}: unknown ecosystem '{packages.Key}'", nameof(advisory));
            var part = advisory with { Affected = [.. packages] };
            var key = (advisory.Feed, advisory.Id, packages.Key);
            if (!_advisories.TryGetValue(key, out var known) || IsNewer(part, known)) _advisories[key] = part;
        }
    }

    /// <summary>Takes back an advisory, whether it is added before or after, unless that one was modified later.</summary>
    public void Withdraw(string feed, string id, DateTimeOffset? modified)
    {
        if (!_withdrawn.TryGetValue((feed, id), out var known) || Nullable.Compare(modified, known) > 0) _withdrawn[(feed, id)] = modified;
    }

    /// <summary>Records an import. One of the same name and path replaces the former.</summary>
    public void AddSource(AdvisorySource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        _sources[(source.Name, source.Path)] = source;
    }

    public AdvisoryDatabase Build() => AdvisoryDatabase.Read(Encode());

    /// <summary>Writes the database so that a reader of <paramref name="path"/> sees either the former file or the whole new one.</summary>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public void Write(string path)
    {
        var file = AdvisoryDatabaseFormat.Seal(Encode());
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

    byte[] Encode()
    {
        var advisories = _advisories
            .Where(entry => !_withdrawn.TryGetValue((entry.Key.Feed, entry.Key.Id), out var withdrawn)
                || Nullable.Compare(entry.Value.Modified, withdrawn) > 0)
            .OrderBy(entry => entry.Key.Id, StringComparer.Ordinal)
            .ThenBy(entry => entry.Key.Feed, StringComparer.Ordinal)
            .ThenBy(entry => entry.Key.Ecosystem, StringComparer.Ordinal)
            .Select(entry => entry.Value)
            .ToList();
        return AdvisoryDatabaseFormat.Encode([.. _sources.Values], advisories);
    }

    static bool IsNewer(Advisory a, Advisory b)
    {
        var order = Nullable.Compare(a.Modified, b.Modified);
        if (order != 0) return order > 0;
        // Two versions with one time: the same one must win in any order, whichever it is.
        return AdvisoryDatabaseFormat.Encode([], [a]).AsSpan().SequenceCompareTo(AdvisoryDatabaseFormat.Encode([], [b])) > 0;
    }
}
