using System.Buffers;
using System.Text;

namespace Guestmark.Inventory.Dpkg;

/// <summary>Reads which files a package owns from dpkg's folder of lists.</summary>
/// <remarks>
/// <code>
/// info/NAME.list, info/NAME:ARCH.list for "Multi-Arch: same"   one absolute path a line; "/." is the root itself
/// info/NAME.md5sums, status.d/NAME.md5sums                     32 hex digits, two blanks, the path without its leading slash
/// </code>
/// </remarks>
sealed class DpkgFiles(FileSelector selector, FileLines lines)
{
    /// <summary>What is read of one list at most. The longest of Debian are below 2 MB.</summary>
    public const int ListBytesMax = 64 * 1024 * 1024;

    /// <summary>Files that are taken of one machine at most; a desktop with TeX Live has 600,000.</summary>
    public const int FilesMax = 4_000_000;

    const int DigestChars = 32;
    const int PathBytesMax = 4096;

    /// <summary>Files that were taken of all packages together.</summary>
    public int Taken { get; private set; }

    /// <summary>The paths of a list, from the root with a leading slash.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public string? ReadList(GuestFile list, out List<PackageFile> files)
    {
        files = [];
        lines.Begin(list, ListBytesMax);
        while (lines.TryNext(out var line))
        {
            if (!line.StartsWith("/"u8) || line.Length > PathBytesMax) continue;
            if (!IsWanted(line)) continue;
            if (Taken >= FilesMax) return $"is not read to its end: the packages have more than {FilesMax} files";
            files.Add(new PackageFile(Encoding.UTF8.GetString(line), null, 0));
            Taken++;
        }

        return lines.IsCut ? $"has more than {ListBytesMax} bytes; the files behind them are left out" : null;
    }

    /// <summary>Gives files their digests. What is not among them is left out, unless there is no list beside the digests.</summary>
    /// <param name="files">In the order of the list. Empty where there is none, as in <c>status.d</c>: then the digests are the list.</param>
    /// <param name="digestsAreTheList">Whether paths that are not in <paramref name="files"/> become files.</param>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public string? ReadDigests(GuestFile digests, List<PackageFile> files, bool digestsAreTheList)
    {
        var places = new Dictionary<string, int>(files.Count);
        for (var i = 0; i < files.Count; i++) places.TryAdd(files[i].Path, i);
        var byText = places.GetAlternateLookup<ReadOnlySpan<char>>();
        var characters = ArrayPool<char>.Shared.Rent(PathBytesMax);
        var path = ArrayPool<byte>.Shared.Rent(PathBytesMax);
        try
        {
            lines.Begin(digests, ListBytesMax);
            var malformed = 0;
            while (lines.TryNext(out var line))
            {
                var length = line.Length - DigestChars - 2;
                if (length <= 0 || length > PathBytesMax - 1 || line[DigestChars] != ' ' || !IsHex(line[..DigestChars]))
                {
                    if (line.Length > 0) malformed++;
                    continue;
                }

                path[0] = (byte)'/';
                line[(DigestChars + 2)..].CopyTo(path.AsSpan(1));
                var absolute = path.AsSpan(0, length + 1);
                // Some packages write the path with "./" before it.
                if (absolute.StartsWith("/./"u8)) absolute = absolute[2..];
                if (!IsWanted(absolute)) continue;
                if (digestsAreTheList)
                {
                    if (Taken >= FilesMax) return $"is not read to its end: the packages have more than {FilesMax} files";
                    files.Add(new PackageFile(Encoding.UTF8.GetString(absolute), Encoding.ASCII.GetString(line[..DigestChars]), 0));
                    Taken++;
                }
                else if (byText.TryGetValue(characters.AsSpan(0, Encoding.UTF8.GetChars(absolute, characters)), out var place))
                {
                    files[place] = files[place] with { Digest = Encoding.ASCII.GetString(line[..DigestChars]) };
                }
            }

            if (lines.IsCut) return $"has more than {ListBytesMax} bytes; the digests behind them are left out";
            return malformed > 0 ? $"has {malformed} lines that are not a digest with a path" : null;
        }
        finally
        {
            ArrayPool<char>.Shared.Return(characters);
            ArrayPool<byte>.Shared.Return(path);
        }
    }

    bool IsWanted(ReadOnlySpan<byte> path)
    {
        var slash = path.LastIndexOf((byte)'/');
        var name = path[(slash + 1)..];
        return !name.IsEmpty && !name.SequenceEqual("."u8) && selector(path[..(slash + 1)], name);
    }

    static bool IsHex(ReadOnlySpan<byte> digest) => digest.IndexOfAnyExcept("0123456789abcdef"u8) < 0;
}
