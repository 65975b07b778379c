using System.Buffers.Binary;
using System.Text;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads the files of one header. One instance is reused for all headers of a database.</summary>
/// <remarks>
/// Parallel arrays, one element a file: BASENAMES (strings), DIRINDEXES (INT32, indexes into DIRNAMES), FILEDIGESTS (strings in hex,
/// empty for what has none), FILEFLAGS (INT32). DIRNAMES holds each folder once, with a slash at its end. Packages of rpm before 4
/// have OLDFILENAMES, whole paths, in place of the first two.
/// </remarks>
sealed class FileList
{
    // PATH_MAX: no longer path can be opened.
    const int PathBytesMax = 4096;

    // A header can name one long folder in each of thousands of files. In the real databases of the tests the paths of a package
    // have less bytes than its header.
    const int PathBytesPerHeaderByte = 8;

    const uint TypeInt32 = 4;
    const uint TypeString = 6;
    const uint TypeStringArray = 8;

    readonly byte[] _path = new byte[PathBytesMax];
    (int Start, int Length)[] _folders = [];
    long _pathBytesLeft;

    /// <summary>What was wrong with the last list. Null when nothing.</summary>
    public string? Problem { get; private set; }

    public static bool IsPart(RpmTag tag) =>
        tag is RpmTag.BaseNames or RpmTag.DirNames or RpmTag.DirIndexes or RpmTag.FileDigests or RpmTag.FileFlags or RpmTag.OldFileNames;

    public void Clear() => Problem = null;

    /// <summary>Reads the files that are wanted.</summary>
    /// <param name="files">In the order of the header. Empty when the package has none, and with a <see cref="Problem"/>.</param>
    /// <returns>What is wrong with the chain of the header; null when it could be read.</returns>
    public string? TryRead(ChainedBytes blob, HeaderIndex index, FileSelector wanted, out IReadOnlyList<PackageFile> files)
    {
        files = [];
        int start = int.MaxValue, end = 0;
        for (var i = 0; i < index.Count; i++)
        {
            var field = index[i];
            if (!IsPart(field.Tag)) continue;
            start = Math.Min(start, field.Offset);
            end = Math.Max(end, field.End);
        }

        if (blob.Read(index.DataStart + start, end - start, out var data) is { } error) return error;
        _pathBytesLeft = (PathBytesPerHeaderByte * (long)blob.Length) + PathBytesMax;
        var list = new List<PackageFile>();
        if (index.TryFind(RpmTag.BaseNames, out var baseNames)) ReadNew(data, start, index, baseNames, wanted, list);
        else if (index.TryFind(RpmTag.OldFileNames, out var oldNames)) ReadOld(data, start, index, oldNames, wanted, list);
        if (list.Count > 0) files = list;
        return null;
    }

    void ReadNew(ReadOnlySpan<byte> data, int start, HeaderIndex index, in HeaderField baseNames, FileSelector wanted, List<PackageFile> list)
    {
        if (!index.TryFind(RpmTag.DirIndexes, out var dirIndexes) || !index.TryFind(RpmTag.DirNames, out var dirNames)
            || dirIndexes.Type != TypeInt32 || dirIndexes.Count != baseNames.Count || !IsStrings(dirNames) || !IsStrings(baseNames))
        {
            Problem = "has names of files without folders that fit: its files are missing";
            return;
        }

        if (_folders.Length < dirNames.Count) _folders = new (int, int)[dirNames.Count];
        var folders = new Strings(data, start, dirNames);
        for (var i = 0; i < dirNames.Count; i++)
        {
            _folders[i] = folders.TryNext(out var from, out var length) ? (from, length) : (0, 0);
        }

        var names = new Strings(data, start, baseNames);
        var folderNumbers = data.Slice(dirIndexes.Offset - start, 4 * dirIndexes.Count);
        var details = new Details(data, start, index, baseNames.Count);
        for (var i = 0; i < baseNames.Count && _pathBytesLeft >= 0; i++)
        {
            var folder = BinaryPrimitives.ReadUInt32BigEndian(folderNumbers[(4 * i)..]);
            if (!names.TryNext(out var nameStart, out var nameLength) || folder >= (uint)dirNames.Count || _folders[folder].Length == 0)
            {
                Problem = $"has no name or no folder for its file {i}: files are missing";
                return;
            }

            var (folderStart, folderLength) = _folders[folder];
            var digest = details.Next(i, out var flags);
            AddWanted(data.Slice(folderStart, folderLength), data.Slice(nameStart, nameLength), digest, flags, wanted, list);
        }
    }

    void ReadOld(ReadOnlySpan<byte> data, int start, HeaderIndex index, in HeaderField oldNames, FileSelector wanted, List<PackageFile> list)
    {
        if (!IsStrings(oldNames)) return;
        var paths = new Strings(data, start, oldNames);
        var details = new Details(data, start, index, oldNames.Count);
        for (var i = 0; i < oldNames.Count && _pathBytesLeft >= 0; i++)
        {
            if (!paths.TryNext(out var from, out var length))
            {
                Problem = $"has no name for its file {i}: files are missing";
                return;
            }

            var path = data.Slice(from, length);
            var folderLength = path.LastIndexOf((byte)'/') + 1;
            var digest = details.Next(i, out var flags);
            AddWanted(path[..folderLength], path[folderLength..], digest, flags, wanted, list);
        }
    }

    void AddWanted(
        ReadOnlySpan<byte> folder, ReadOnlySpan<byte> name, ReadOnlySpan<byte> digest, uint flags, FileSelector wanted, List<PackageFile> list)
    {
        if (!wanted(folder, name)) return;
        var length = folder.Length + name.Length;
        if (length > PathBytesMax || (_pathBytesLeft -= length) < 0)
        {
            Problem = "has paths that are longer than a header of its size can have: files are missing";
            return;
        }

        folder.CopyTo(_path);
        name.CopyTo(_path.AsSpan(folder.Length));
        var digestText = digest.Length is 0 or > RpmHeader.NameBytesMax ? null : Encoding.UTF8.GetString(digest);
        list.Add(new PackageFile(Encoding.UTF8.GetString(_path, 0, length), digestText, flags));
    }

    static bool IsStrings(in HeaderField field) => field.Type is TypeString or TypeStringArray;

    /// <summary>Walks the strings of a field.</summary>
    ref struct Strings(ReadOnlySpan<byte> data, int dataStart, HeaderField field)
    {
        readonly ReadOnlySpan<byte> _data = data[..(field.End - dataStart)];
        int _next = field.Offset - dataStart;

        public bool TryNext(out int start, out int length)
        {
            start = _next;
            length = _data[_next..].IndexOf((byte)0);
            if (length < 0) return false;
            _next += length + 1;
            return true;
        }
    }

    /// <summary>Digest and flags of the files in turn. Arrays of another length say nothing of any file.</summary>
    ref struct Details
    {
        readonly bool _hasDigests;
        readonly ReadOnlySpan<byte> _data;
        readonly ReadOnlySpan<byte> _flags;
        Strings _digests;

        public Details(ReadOnlySpan<byte> data, int start, HeaderIndex index, int files)
        {
            _data = data;
            if (index.TryFind(RpmTag.FileDigests, out var digests) && digests.Type == TypeStringArray && digests.Count == files)
            {
                _hasDigests = true;
                _digests = new Strings(data, start, digests);
            }

            if (index.TryFind(RpmTag.FileFlags, out var flags) && flags.Type == TypeInt32 && flags.Count == files)
                _flags = data.Slice(flags.Offset - start, 4 * files);
        }

        /// <summary>The digest in hex, empty when it has none, of the next file, which is number <paramref name="file"/>.</summary>
        public ReadOnlySpan<byte> Next(int file, out uint flags)
        {
            flags = _flags.Length > 0 ? BinaryPrimitives.ReadUInt32BigEndian(_flags[(4 * file)..]) : 0;
            return _hasDigests && _digests.TryNext(out var start, out var length) ? _data.Slice(start, length) : default;
        }
    }
}
