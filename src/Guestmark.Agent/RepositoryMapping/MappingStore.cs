using System.Runtime.InteropServices;
using System.Text;
using Guestmark.Inventory.Repositories;

namespace Guestmark.Agent.RepositoryMapping;

/// <summary>A mapping of repositories to CPEs that scans may use.</summary>
/// <param name="Path">The file.</param>
/// <param name="Hash">XXH64 of its bytes, as the pull protocol names a mapping.</param>
sealed record CurrentMapping(string Path, string Hash);

/// <summary>Where a stored mapping came from, by which its server can tell whether it has a newer one. A part is empty when the server said none.</summary>
sealed record MappingOrigin(string Url, string EntityTag, string LastModified);

/// <summary>What became of a mapping that was to be stored.</summary>
enum MappingStoreResult
{
    Stored,

    /// <summary>It is the one that is in use.</summary>
    Unchanged,

    /// <summary>It is no mapping.</summary>
    Invalid,

    /// <summary>The state folder cannot be written.</summary>
    Failed,
}

/// <summary>Keeps the mapping in the agent's state folder, so that a machine without a network, or after a restart, has the last good one.</summary>
/// <remarks>
/// <code>
/// repository-to-cpe.json     the mapping, replaced as a whole (a new file, then rename(2))
/// repository-to-cpe.origin   four lines: its XXH64, the URL, the ETag, the Last-Modified; not used when the first is not that of the mapping
/// </code>
/// Both are their owner's alone (0600): whoever could write them could hide vulnerabilities.
/// </remarks>
sealed class MappingStore
{
    const string FileName = "repository-to-cpe.json";
    const string OriginName = "repository-to-cpe.origin";
    const int OriginBytesMax = 8192;

    readonly string _folder;
    readonly Lock _storing = new();
    volatile CurrentMapping? _current;

    MappingStore(string folder) => _folder = folder;

    /// <summary>Called when a new mapping is in use, on the thread that stored it.</summary>
    public Action? Changed { get; set; }

    /// <summary>Null when there is none.</summary>
    public CurrentMapping? Current => _current;

    /// <summary>Takes up what an earlier run stored, or else the operator's own file.</summary>
    /// <param name="folder">The state folder. Made when something is stored first.</param>
    /// <param name="seed">A mapping that is used until another is stored. Null: none.</param>
    /// <param name="note">Is told of files that cannot be used.</param>
    public static MappingStore Open(string folder, string? seed, Action<string> note)
    {
        var store = new MappingStore(folder);
        store._current = Load(Path.Combine(folder, FileName), note);
        if (store._current is null && seed is not null)
        {
            store._current = Load(Path.GetFullPath(seed), note);
            if (store._current is null && !File.Exists(seed)) note($"{seed}: there is no such file; it should be a repository-to-cpe mapping");
        }

        return store;
    }

    /// <summary>Replaces the mapping.</summary>
    /// <param name="source">Where it came from. Null: a Sensor brought it.</param>
    /// <returns>And what is wrong, when it is not stored.</returns>
    public (MappingStoreResult Result, string? Problem) Store(ReadOnlyMemory<byte> mapping, MappingOrigin? source)
    {
        if (mapping.Length > RepositoryToCpe.BytesMax) return (MappingStoreResult.Invalid, $"has {mapping.Length} bytes; {RepositoryToCpe.BytesMax} are the most");
        if (Check(mapping) is { } problem) return (MappingStoreResult.Invalid, problem);
        var hash = XxHash64.Text(mapping.Span);
        lock (_storing)
        {
            try
            {
                var isNew = _current?.Hash != hash;
                if (isNew)
                {
                    // Only root's files are in it when the agent runs as root.
                    if (!Directory.Exists(_folder)) Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                    Replace(FileName, mapping.Span);
                    _current = new CurrentMapping(Path.Combine(_folder, FileName), hash);
                }

                // After the mapping: a crash between the two leaves an origin whose hash does not fit, which costs a download.
                if (source is not null && Directory.Exists(_folder))
                    Replace(OriginName, Encoding.UTF8.GetBytes($"{hash}\n{source.Url}\n{source.EntityTag}\n{source.LastModified}\n"));
                if (!isNew) return (MappingStoreResult.Unchanged, null);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return (MappingStoreResult.Failed, $"the mapping cannot be stored: {e.Message} Give another folder with --state-dir");
            }
        }

        Changed?.Invoke();
        return (MappingStoreResult.Stored, null);
    }

    /// <summary>Where the mapping in use came from.</summary>
    /// <returns>Null when that is not known.</returns>
    public MappingOrigin? Origin()
    {
        var path = Path.Combine(_folder, OriginName);
        try
        {
            if (new FileInfo(path) is not { Exists: true, Length: <= OriginBytesMax }) return null;
            return File.ReadAllLines(path) is [var hash, var url, var tag, var time] && hash == _current?.Hash ? new MappingOrigin(url, tag, time) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <returns>Null, or what is wrong, to follow the name of the mapping.</returns>
    static string? Check(ReadOnlyMemory<byte> mapping)
    {
        var bytes = MemoryMarshal.TryGetArray(mapping, out var segment) ? segment : mapping.ToArray();
        using var stream = new MemoryStream(bytes.Array!, bytes.Offset, bytes.Count, writable: false);
        return RepositoryToCpe.Validate(stream) is { } error ? $"is no repository-to-cpe mapping: {error}" : null;
    }

    static CurrentMapping? Load(string path, Action<string> note)
    {
        try
        {
            if (!File.Exists(path)) return null;
            using var file = File.OpenHandle(path);
            var length = RandomAccess.GetLength(file);
            if (length > RepositoryToCpe.BytesMax)
            {
                note($"{path}: has {length} bytes and is not used; a mapping has at most {RepositoryToCpe.BytesMax}");
                return null;
            }

            var bytes = new byte[length];
            var read = RandomAccess.Read(file, bytes, 0);
            var mapping = bytes.AsMemory(0, read);
            if (Check(mapping) is { } problem)
            {
                note($"{path}: {problem}; it is not used");
                return null;
            }

            return new CurrentMapping(path, XxHash64.Text(mapping.Span));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            note($"{path}: {e.Message}");
            return null;
        }
    }

    void Replace(string name, ReadOnlySpan<byte> bytes)
    {
        var path = Path.Combine(_folder, name);
        var fresh = path + ".new";
        // Of a run that was killed.
        File.Delete(fresh);
        using (var file = new FileStream(fresh, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            BufferSize = 0,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            file.Write(bytes);
            file.Flush(flushToDisk: true);
        }

        File.Move(fresh, path, overwrite: true);
    }
}
