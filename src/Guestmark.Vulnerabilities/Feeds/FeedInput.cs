using System.IO.Compression;

namespace Guestmark.Vulnerabilities;

/// <summary>A document that an input holds. Valid until the call that was given it returns.</summary>
/// <param name="Name">File, archive member or URL, for people.</param>
/// <param name="Origin">What it came from, which a source is named after: the file itself, the archive, or the folder.</param>
/// <param name="IsSingle">It was named itself: it is neither in an archive nor in a folder.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Content">The document, when its format is read in memory.</param>
/// <param name="Stream">The document, when its format is read as a stream.</param>
readonly record struct FeedDocument(
    string Name, string Origin, bool IsSingle, FeedKind Kind, ReadOnlyMemory<byte> Content, Stream? Stream);

/// <summary>Where a <see cref="FeedInput"/> puts what it finds.</summary>
interface IFeedReader
{
    void Read(FeedDocument document);

    /// <summary>Something that is no readable document.</summary>
    void Skip(string document, string reason);

    void LeaveOut(string what);
}

/// <summary>
/// The documents of a path, one in memory at a time: of a file, a folder, an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst) or one
/// compressed file. What a file is its content says, not its name.
/// </summary>
sealed class FeedInput(IFeedReader reader, FeedLimits limits, FeedMeter meter, CancellationToken cancellationToken)
{
    // Feeds are two or three folders deep.
    const int FolderDepthMax = 16;
    const int NameLengthMax = 300;

    static readonly string[] DocumentExtensions = [".json", ".xml", ".csv", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz"];

    byte[] _buffer = new byte[64 << 10];
    int _documents;

    /// <summary>Paths, relative to the folder or within its archives, that their provider deleted (see <see cref="CsafListing"/>).</summary>
    public IReadOnlySet<string> Deleted { get; set; } = new HashSet<string>();

    /// <summary>Reads a path that the operator named.</summary>
    /// <exception cref="FeedException">It does not exist, cannot be read, or is damaged where documents cannot be told apart any more.</exception>
    public void Read(string path)
    {
        try
        {
            if (Directory.Exists(path))
            {
                meter.TotalBytes = Bytes(path, 0);
                Folder(path, path, "", 0);
            }
            else if (File.Exists(path))
            {
                meter.TotalBytes = new FileInfo(path).Length;
                ReadFile(path, path, "", isSingle: true);
            }
            else
            {
                throw new FeedException($"{path}: no such file or folder");
            }
        }
        catch (UnauthorizedAccessException e)
        {
            throw new FeedException($"{path}: {e.Message} Give this user the right to read it", e);
        }
        catch (IOException e)
        {
            throw new FeedException($"{path}: {e.Message}", e);
        }
    }

    long Bytes(string folder, int depth)
    {
        long bytes = 0;
        foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (entry is FileInfo { Exists: true } file) bytes += file.Length;
            else if (entry is DirectoryInfo { LinkTarget: null } && depth < FolderDepthMax) bytes += Bytes(entry.FullName, depth + 1);
        }

        return bytes;
    }

    /// <param name="root">The folder that the operator named.</param>
    /// <param name="folder">This one.</param>
    /// <param name="relative">From the one to the other, empty or with a slash at its end.</param>
    void Folder(string root, string folder, string relative, int depth)
    {
        // In one order everywhere, so that what is named first is the same each time.
        var entries = new DirectoryInfo(folder).GetFileSystemInfos();
        Array.Sort(entries, (a, b) => string.CompareOrdinal(a.Name, b.Name));
        foreach (var entry in entries)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (entry.Name[0] == '.')
            {
                reader.LeaveOut("hidden file or folder");
            }
            else if (entry is DirectoryInfo directory)
            {
                if (directory.LinkTarget is not null)
                    reader.Skip(entry.FullName, "a link to a folder, which is not followed: name that folder itself");
                else if (depth == FolderDepthMax) reader.Skip(entry.FullName, $"a folder more than {FolderDepthMax} deep");
                else Folder(root, entry.FullName, $"{relative}{entry.Name}/", depth + 1);
            }
            else
            {
                try
                {
                    ReadFile(entry.FullName, root, relative + entry.Name, isSingle: false);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    reader.Skip(entry.FullName, e.Message);
                }
            }
        }
    }

    /// <param name="path">The file.</param>
    /// <param name="origin">The file, or the folder that was named.</param>
    /// <param name="relative">From that folder to the file.</param>
    /// <param name="isSingle">No folder was named.</param>
    void ReadFile(string path, string origin, string relative, bool isSingle)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!isSingle && IsDeleted(relative)) return;
        var isArchive = false;
        try
        {
            using var file = RegularFile.Open(path);
            if (file is null)
            {
                if (isSingle) throw new FeedException($"{path}: is no regular file");
                reader.Skip(path, "is no regular file");
                return;
            }

            Span<byte> start = stackalloc byte[4];
            var length = file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
            file.Position = 0;
            if (length == 4 && (start.SequenceEqual("PK\x03\x04"u8) || start.SequenceEqual("PK\x05\x06"u8)))
            {
                isArchive = true;
                Zip(path, file);
                return;
            }

            using var input = new InputMeter(file, meter.Read);
            using var content = Unpack(input, out var packed);
            isArchive = TarArchive.IsHeader(content.Peek(TarArchive.BlockBytes));
            if (isArchive) Tar(path, content, packed ? null : input);
            else Document(path, origin, isSingle, content);
        }
        catch (InvalidDataException e) when (isSingle || isArchive)
        {
            // Of an archive documents were read before. Without the rest they are not what its provider published.
            throw new FeedException($"{path}: {e.Message}", e);
        }
        catch (InvalidDataException e)
        {
            reader.Skip(path, e.Message);
        }
        catch (DecompressionBombException e)
        {
            if (isSingle || isArchive) throw new FeedException($"{path}: {e.Message}", e);
            reader.Skip(path, e.Message);
        }
    }

    /// <summary>What is in a file, unpacked, with limits.</summary>
    PeekStream Unpack(InputMeter input, out bool packed)
    {
        var raw = new PeekStream(input);
        var format = Compression.Of(raw.Peek(Compression.MagicBytes));
        packed = format is not CompressionFormat.None;
        return packed ? new PeekStream(new OutputLimit(Compression.Open(format, raw), new OutputBudget(() => input.Bytes, limits))) : raw;
    }

    void Tar(string path, Stream content, InputMeter? plain)
    {
        var archive = new TarArchive(content);
        while (archive.Next(reader.LeaveOut))
        {
            cancellationToken.ThrowIfCancellationRequested();
            Member(path, archive.Name, archive.Length, archive.Content);
        }

        // A compressed archive that was damaged is known by its checksum; of a plain one only this can be told.
        if (plain is { TrailingZeros: < TarArchive.BlockBytes })
            throw new InvalidDataException("more follows the end of the archive: it is damaged; download it again");
    }

    void Zip(string path, FileStream file)
    {
        using var archive = OpenZip(file);
        var length = file.Length;
        var budget = new OutputBudget(() => length, limits);
        foreach (var entry in archive.Entries)
        {
            cancellationToken.ThrowIfCancellationRequested();
            meter.Read((int)Math.Clamp(entry.CompressedLength, 0, int.MaxValue));
            if (entry.FullName.EndsWith('/')) continue;
            try
            {
                using var content = entry.Open();
                Member(
                    path, entry.FullName, entry.Length,
                    new OutputLimit(new ZipMemberStream(content, entry.FullName, entry.Length, entry.Crc32), budget));
            }
            catch (Exception e) when (e is InvalidDataException or NotSupportedException or EndOfStreamException)
            {
                // A damaged entry leaves the others readable: the central directory says where they are.
                reader.Skip(
                    Shown(entry.FullName),
                    e.Message.Contains("download it again", StringComparison.Ordinal)
                        ? e.Message
                        : $"cannot be unpacked: {e.Message} If the archive is damaged, download it again");
            }
        }
    }

    static ZipArchive OpenZip(FileStream file)
    {
        try
        {
            var archive = new ZipArchive(file, ZipArchiveMode.Read, leaveOpen: true);
            // The central directory is read here, not by the constructor.
            _ = archive.Entries;
            return archive;
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"is no zip archive or is cut: download it again ({e.Message})", e);
        }
    }

    void Member(string archive, string name, long length, Stream content)
    {
        var path = name.StartsWith("./", StringComparison.Ordinal) ? name[2..] : name;
        if (path.StartsWith('.') || path.Contains("/.", StringComparison.Ordinal)) reader.LeaveOut("hidden file or folder");
        else if (!IsDeleted(path)) Document(Shown(path), archive, isSingle: false, content, length, isMember: true);
    }

    void Document(string name, string origin, bool isSingle, Stream content, long? declared = null, bool isMember = false, bool isUnpacked = false)
    {
        if (++_documents > limits.Documents) throw new FeedException($"{origin}: more than {limits.Documents} documents, the limit");
        var length = Fill(content, 0, FeedDetection.PrefixBytes);
        var prefix = _buffer.AsSpan(0, length);
        if (isMember && (prefix.StartsWith("PK\x03\x04"u8) || TarArchive.IsHeader(prefix)))
        {
            reader.Skip(name, "an archive within an archive: give it alone");
            return;
        }

        if (isMember && !isUnpacked && Compression.Of(prefix) is not CompressionFormat.None and var packed)
        {
            Packed(name, origin, packed, new PeekStream(content, prefix.ToArray()));
            return;
        }

        var kind = FeedDetection.Of(prefix, length < FeedDetection.PrefixBytes, out var needsMore);
        // No reader of JSON takes it, and some feeds have it.
        var mark = prefix.StartsWith("\uFEFF"u8) ? 3 : 0;
        if (kind.IsStream)
        {
            Whole(name, origin, isSingle, kind, new PeekStream(content, prefix[mark..].ToArray()));
            return;
        }

        // Also what is unknown: it may be damaged, which only its end tells.
        if (length == FeedDetection.PrefixBytes)
            length = declared > limits.DocumentBytes ? int.MaxValue : Fill(content, length, limits.DocumentBytes + 1);
        if (length > limits.DocumentBytes)
        {
            var bytes = declared > limits.DocumentBytes ? declared : length;
            if (kind.Format is not FeedFormat.Unknown || needsMore) reader.Skip(name, $"{bytes} bytes or more, limit {limits.DocumentBytes}");
            else Useless(name, isSingle, kind);
            return;
        }

        if (needsMore) kind = FeedDetection.Of(_buffer.AsSpan(0, length), isWhole: true, out _);
        meter.Document();
        if (kind.IsStream) Whole(name, origin, isSingle, kind, new MemoryStream(_buffer, mark, length - mark, writable: false));
        else if (kind.Format is FeedFormat.Csaf or FeedFormat.Osv or FeedFormat.OpenVex or FeedFormat.CycloneDx)
            reader.Read(new FeedDocument(name, origin, isSingle, kind, _buffer.AsMemory(mark, length - mark), null));
        else Useless(name, isSingle, kind);
    }

    void Packed(string name, string origin, CompressionFormat format, Stream content)
    {
        try
        {
            using var input = new InputMeter(content, _ => { });
            using var unpacked = new OutputLimit(Compression.Open(format, input), new OutputBudget(() => input.Bytes, limits));
            Document(name, origin, isSingle: false, unpacked, isMember: true, isUnpacked: true);
        }
        catch (InvalidDataException e)
        {
            // If it is the archive that is damaged, its next member is not found either.
            reader.Skip(name, e.Message);
        }
    }

    /// <summary>Gives a document to read that is a whole feed. When it cannot be read to its end, nothing of it counts.</summary>
    void Whole(string name, string origin, bool isSingle, FeedKind kind, Stream content)
    {
        var watched = new WatchedStream(content, limits.StreamBytes, cancellationToken);
        try
        {
            reader.Read(new FeedDocument(name, origin, isSingle, kind, default, watched));
            // Checksums come at the end, which a reader need not reach.
            if (watched.Failure is null) ReadOnlyStream.Drain(watched);
        }
        catch (Exception e) when (e is IOException or InvalidDataException or NotSupportedException or DecompressionBombException)
        {
            throw new FeedException($"{name}: {e.Message}", e);
        }

        if (watched.Failure is { } failure) throw new FeedException($"{name}: {failure.Message}", failure);
        meter.Document();
    }

    void Useless(string name, bool isSingle, FeedKind kind)
    {
        if (kind.Format is FeedFormat.Listing || IsBeside(name)) reader.LeaveOut("list, checksum or signature beside the documents");
        else if (kind.Format is FeedFormat.ProviderMetadata or FeedFormat.Rolie && !isSingle) reader.LeaveOut("metadata of the provider");
        else if (!isSingle && !DocumentExtensions.Contains(Path.GetExtension(name), StringComparer.OrdinalIgnoreCase))
            reader.LeaveOut("file of another kind");
        else reader.Skip(name, kind.Detail);
    }

    static bool IsBeside(string name) => Path.GetExtension(name) is ".sha256" or ".sha512" or ".asc" or ".sig"
        || Path.GetFileName(name) is "archive_latest.txt" or "index.txt" or CsafListing.ChangesName or CsafListing.DeletionsName;

    bool IsDeleted(string path)
    {
        if (!Deleted.Contains(path)) return false;
        reader.LeaveOut("deleted by its provider");
        return true;
    }

    /// <summary>Reads into the buffer from <paramref name="start"/> on until there are <paramref name="count"/> bytes, or no more.</summary>
    /// <returns>Bytes in the buffer.</returns>
    int Fill(Stream content, int start, int count)
    {
        // Grows with what arrives, not with what a header promises.
        while (start < count)
        {
            if (start == _buffer.Length) Array.Resize(ref _buffer, (int)Math.Min(_buffer.Length * 2L, count));
            var read = content.Read(_buffer, start, Math.Min(_buffer.Length, count) - start);
            if (read == 0) break;
            start += read;
        }

        return start;
    }

    /// <summary>A member's name for people: it may hold anything.</summary>
    static string Shown(string name)
    {
        if (name.Length > NameLengthMax) name = $"{name[..NameLengthMax]}…";
        return string.Create(name.Length, name, (shown, text) =>
        {
            for (var i = 0; i < text.Length; i++) shown[i] = char.IsControl(text[i]) || char.IsSurrogate(text[i]) ? '\uFFFD' : text[i];
        });
    }
}
