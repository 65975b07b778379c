using System.Buffers.Binary;
using System.IO.Compression;

namespace Guestmark.Inventory.Languages;

/// <summary>A file in an archive, as the central directory tells.</summary>
/// <param name="HeaderOffset">Of the local header in the archive.</param>
readonly record struct ZipEntry(string Name, ushort Flags, ushort Method, long CompressedBytes, long Bytes, long HeaderOffset);

/// <summary>Walks the central directory of a ZIP archive (PKWARE APPNOTE 6.3.10) and unpacks single entries within bounds.</summary>
/// <remarks>
/// The platform's own reader makes an object of every entry; of the thousands in a Java archive a few are wanted. All numbers are little-endian:
/// <code>
/// end       "PK\5\6", entries u16 @10, size u32 @12 and offset u32 @16 of the directory, length of a comment u16 @20, comment @22
/// locator   "PK\6\7" in the 20 bytes before the end: offset u64 @8 of end64
/// end64     "PK\6\6", entries u64 @32, size u64 @40 and offset u64 @48 of the directory
/// directory "PK\1\2", flags u16 @8 (1: encrypted), method u16 @10 (0 stored, 8 deflated), compressed u32 @20, uncompressed u32 @24, lengths u16 of
///           name @28, extra @30, comment @32, offset u32 @42 of the local header, name @46, extra, comment
/// extra     { id u16, length u16, … }; id 1: a u64 for each of uncompressed, compressed and offset that is 0xffffffff above
/// local     "PK\3\4", lengths u16 of name @26 and extra @28, name @30, extra, data
/// </code>
/// Bytes before the archive (a shell script that starts it) move all offsets; by how far is seen from where the directory ends.
/// </remarks>
sealed class ZipArchiveReader
{
    const int EndBytes = 22;
    const int LocatorBytes = 20;
    const int End64Bytes = 56;
    const int DirectoryBytes = 46;
    const int LocalBytes = 30;
    const int CommentBytesMax = 0xffff;
    const uint EndMagic = 0x06054b50;
    const uint LocatorMagic = 0x07064b50;
    const uint End64Magic = 0x06064b50;
    const uint DirectoryMagic = 0x02014b50;
    const uint LocalMagic = 0x04034b50;
    const ushort Zip64Extra = 1;
    const ushort Encrypted = 1;
    const ushort Stored = 0;
    const ushort Deflated = 8;

    readonly ArchiveBytes _bytes;
    readonly long _shift;
    readonly long _directoryEnd;
    long _next;

    ZipArchiveReader(ArchiveBytes bytes, long directory, long size, long shift)
    {
        _bytes = bytes;
        _next = directory;
        _directoryEnd = directory + size;
        _shift = shift;
    }

    public static string? TryOpen(ArchiveBytes bytes, out ZipArchiveReader? archive)
    {
        archive = null;
        var end = FindEnd(bytes);
        if (end < 0) return "is not a ZIP archive, or is cut";
        var record = bytes.Read(end, EndBytes);
        // Only where the file shrinks while it is read.
        if (record.IsEmpty) return "is not a ZIP archive, or is cut";
        long size = BinaryPrimitives.ReadUInt32LittleEndian(record[12..]);
        long offset = BinaryPrimitives.ReadUInt32LittleEndian(record[16..]);
        var directoryEnd = end;
        if (size == uint.MaxValue || offset == uint.MaxValue || BinaryPrimitives.ReadUInt16LittleEndian(record[10..]) == ushort.MaxValue)
        {
            // An archive without bytes before it: with some, nothing tells where end64 is but its magic right before the locator.
            var locator = bytes.Read(end - LocatorBytes, LocatorBytes);
            if (!locator.IsEmpty && BinaryPrimitives.ReadUInt32LittleEndian(locator) == LocatorMagic)
            {
                var end64 = bytes.Read(end - LocatorBytes - End64Bytes, End64Bytes);
                if (end64.IsEmpty || BinaryPrimitives.ReadUInt32LittleEndian(end64) != End64Magic) return "has a damaged end (ZIP64)";
                size = BinaryPrimitives.ReadInt64LittleEndian(end64[40..]);
                offset = BinaryPrimitives.ReadInt64LittleEndian(end64[48..]);
                directoryEnd = end - LocatorBytes - End64Bytes;
            }
        }

        var directory = directoryEnd - size;
        if (size < 0 || offset < 0 || directory < 0 || offset > directory) return "has a central directory that is not inside it";
        archive = new ZipArchiveReader(bytes, directory, size, directory - offset);
        return null;
    }

    /// <summary>The next entry whose name is wanted. False at the end and where the directory is damaged.</summary>
    /// <param name="read">Counts the entries that were looked at, wanted or not.</param>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public bool TryNext(Func<ReadOnlySpan<byte>, bool> isWanted, ref int read, int readMax, out ZipEntry entry, out string? error)
    {
        entry = default;
        error = null;
        while (_next < _directoryEnd)
        {
            if (++read > readMax)
            {
                error = $"has more than {readMax} entries; the others are not looked at";
                return false;
            }

            var header = _bytes.Read(_next, DirectoryBytes);
            if (header.IsEmpty || BinaryPrimitives.ReadUInt32LittleEndian(header) != DirectoryMagic)
            {
                error = "has a damaged central directory";
                return false;
            }

            int nameLength = BinaryPrimitives.ReadUInt16LittleEndian(header[28..]);
            int extraLength = BinaryPrimitives.ReadUInt16LittleEndian(header[30..]);
            var commentLength = BinaryPrimitives.ReadUInt16LittleEndian(header[32..]);
            var whole = _bytes.Read(_next, DirectoryBytes + nameLength + extraLength);
            if (whole.IsEmpty)
            {
                error = "has a damaged central directory";
                return false;
            }

            _next += whole.Length + commentLength;
            var name = whole.Slice(DirectoryBytes, nameLength);
            if (!isWanted(name)) continue;
            long compressed = BinaryPrimitives.ReadUInt32LittleEndian(whole[20..]);
            long uncompressed = BinaryPrimitives.ReadUInt32LittleEndian(whole[24..]);
            long offset = BinaryPrimitives.ReadUInt32LittleEndian(whole[42..]);
            Widen(whole[(DirectoryBytes + nameLength)..], ref uncompressed, ref compressed, ref offset);
            entry = new ZipEntry(
                System.Text.Encoding.UTF8.GetString(name),
                BinaryPrimitives.ReadUInt16LittleEndian(whole[8..]),
                BinaryPrimitives.ReadUInt16LittleEndian(whole[10..]),
                compressed,
                uncompressed,
                offset > long.MaxValue - _shift ? -1 : offset + _shift);
            return true;
        }

        return false;
    }

    /// <summary>Where the bytes of an entry lie, as they are in the archive.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public string? TryLocate(in ZipEntry entry, out long start)
    {
        start = 0;
        if ((entry.Flags & Encrypted) != 0) return $"has an encrypted {GuestText.Quote(entry.Name)}";
        if (entry.Method is not (Stored or Deflated))
            return $"has {GuestText.Quote(entry.Name)} packed by method {entry.Method}, which Java does not know";
        var local = _bytes.Read(entry.HeaderOffset, LocalBytes);
        if (local.IsEmpty || BinaryPrimitives.ReadUInt32LittleEndian(local) != LocalMagic) return Damaged(entry);
        start = entry.HeaderOffset + LocalBytes + BinaryPrimitives.ReadUInt16LittleEndian(local[26..])
            + BinaryPrimitives.ReadUInt16LittleEndian(local[28..]);
        return entry.CompressedBytes < 0 || entry.Bytes < 0 || entry.CompressedBytes > _bytes.Length - start ? Damaged(entry) : null;
    }

    /// <summary>Whether the bytes of an entry are as they were packed, and not compressed.</summary>
    public static bool IsStored(in ZipEntry entry) => entry.Method == Stored;

    /// <summary>A part of the archive as an archive of its own, without a copy.</summary>
    public ArchiveBytes Part(long start, in ZipEntry entry) => _bytes.Slice(start, entry.CompressedBytes);

    /// <summary>Unpacks an entry. The caller has checked that so many bytes are wanted.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public string? TryUnpack(in ZipEntry entry, out byte[] content)
    {
        content = [];
        if (TryLocate(entry, out var start) is { } error) return error;
        if (IsStored(entry) && entry.CompressedBytes != entry.Bytes) return Damaged(entry);
        var unpacked = new byte[entry.Bytes];
        try
        {
            using var packed = _bytes.OpenRead(start, entry.CompressedBytes);
            using var stream = IsStored(entry) ? packed : new DeflateStream(packed, CompressionMode.Decompress);
            if (stream.ReadAtLeast(unpacked, unpacked.Length, throwOnEndOfStream: false) != unpacked.Length) return Damaged(entry);
        }
        catch (InvalidDataException)
        {
            return Damaged(entry);
        }

        content = unpacked;
        return null;
    }

    static string Damaged(in ZipEntry entry) => $"has a damaged {GuestText.Quote(entry.Name)}";

    static long FindEnd(ArchiveBytes bytes)
    {
        if (IsEnd(bytes.Read(bytes.Length - EndBytes, EndBytes), commentBytes: 0)) return bytes.Length - EndBytes;
        var length = (int)Math.Min(bytes.Length, EndBytes + CommentBytesMax);
        var tail = bytes.Read(bytes.Length - length, length);
        for (var at = tail.Length - EndBytes; at >= 0; at--)
        {
            // The first letter passes over nearly all places.
            if (tail[at] == 'P' && IsEnd(tail[at..], tail.Length - at - EndBytes)) return bytes.Length - length + at;
        }

        return -1;

        static bool IsEnd(ReadOnlySpan<byte> end, int commentBytes) =>
            end.Length >= EndBytes && BinaryPrimitives.ReadUInt32LittleEndian(end) == EndMagic
                && BinaryPrimitives.ReadUInt16LittleEndian(end[20..]) == commentBytes;
    }

    static void Widen(ReadOnlySpan<byte> extra, ref long uncompressed, ref long compressed, ref long offset)
    {
        while (extra.Length >= 4)
        {
            var id = BinaryPrimitives.ReadUInt16LittleEndian(extra);
            int length = BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]);
            if (length > extra.Length - 4) return;
            if (id == Zip64Extra)
            {
                var values = extra.Slice(4, length);
                Take(ref values, ref uncompressed);
                Take(ref values, ref compressed);
                Take(ref values, ref offset);
                return;
            }

            extra = extra[(4 + length)..];
        }

        static void Take(ref ReadOnlySpan<byte> values, ref long value)
        {
            if (value != uint.MaxValue || values.Length < sizeof(long)) return;
            value = BinaryPrimitives.ReadInt64LittleEndian(values);
            values = values[sizeof(long)..];
        }
    }
}
