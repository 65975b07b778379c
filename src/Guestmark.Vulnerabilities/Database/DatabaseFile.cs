using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Guestmark.Vulnerabilities;

/// <summary>The parts of a database file, by their place in its table.</summary>
enum DatabaseSection
{
    /// <summary>u32 where each text starts in <see cref="TextBytes"/>, and one more where the last ends. Texts are sorted, each is there once.</summary>
    TextStarts,

    /// <summary>UTF-8.</summary>
    TextBytes,

    /// <summary>i32: for each list its length and then its texts. A list is known by the place of its length; at 0 is the empty one.</summary>
    Lists,
    Sources,

    /// <summary>Sorted by feed, id and part; of one key the live one comes first, then older ones, then withdrawals.</summary>
    Documents,

    /// <summary>Those in the index, sorted by product, name, document; then those of documents that do not count.</summary>
    Statements,

    /// <summary>i32: the statements of the documents.</summary>
    DocumentStatements,
    Details,
    Intervals,
    Names,

    /// <summary>i32 open hash table of <see cref="Names"/>, plus one; 0 is a free place. Its size is a power of two.</summary>
    NameTable,

    /// <summary>i32 texts: the products that have a statement, sorted.</summary>
    Products,
    Predictions,
    KnownExploited,
    Decisions,

    /// <summary>SHA-256 of what can change a finding.</summary>
    Revision,
}

/// <summary>The frame of the database file.</summary>
/// <remarks>
/// <code>
/// file   = magic[8] version:u32 sections:u32 length:u64 sha256[32] table padding section*      numbers little-endian; sha256 is of all after it
/// table  = sections × { offset:u64 length:u64 }                                                 in bytes from the start of the file
/// </code>
/// Every section starts at a multiple of 8, so that its rows (DatabaseRows.cs) can be read in place.
/// </remarks>
static class DatabaseFile
{
    public const uint Version = 2;
    public const int HashStart = 24;
    public const int TableStart = HashStart + SHA256.HashSizeInBytes;
    public const int SectionCount = (int)DatabaseSection.Revision + 1;

    /// <summary>Where the first section starts.</summary>
    public const int HeaderBytes = (TableStart + (SectionCount * 16) + 7) & ~7;

    public const string Remedy = "remove it and import the feeds again";

    public static ReadOnlySpan<byte> Magic => "GMADVDB\n"u8;

    /// <summary>The place of a name in <see cref="DatabaseSection.NameTable"/> before its size is applied: FNV-1a over the name, started with the product.</summary>
    public static uint HashOf(int product, ReadOnlySpan<byte> name)
    {
        var hash = 2166136261u ^ ((uint)product * 2654435761u);
        foreach (var b in name) hash = (hash ^ b) * 16777619u;
        return hash ^ (hash >> 15);
    }

    public static void WriteHeader(Span<byte> header, ReadOnlySpan<(long Offset, long Length)> sections, long length)
    {
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], SectionCount);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], (ulong)length);
        for (var i = 0; i < sections.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(header[(TableStart + (i * 16))..], (ulong)sections[i].Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(header[(TableStart + (i * 16) + 8)..], (ulong)sections[i].Length);
        }
    }

    /// <summary>Checks the frame: magic, version, length, checksum, and that every section lies inside and is aligned.</summary>
    /// <exception cref="AdvisoryDatabaseException">Says what is wrong, without the file's name.</exception>
    public static unsafe void Check(byte* file, long length)
    {
        if (length < HeaderBytes || !new ReadOnlySpan<byte>(file, Magic.Length).SequenceEqual(Magic))
            throw new AdvisoryDatabaseException("not an advisory database");
        var header = new ReadOnlySpan<byte>(file, HeaderBytes);
        var version = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        if (version != Version)
            throw new AdvisoryDatabaseException($"has format version {version}, this program reads version {Version}: {Remedy}");
        var said = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
        if (said != (ulong)length || BinaryPrimitives.ReadUInt32LittleEndian(header[12..]) != SectionCount)
            throw new AdvisoryDatabaseException($"is cut or has grown: it has {length} bytes and its header says {said}: {Remedy}");

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        const int part = 1 << 24;
        for (long at = TableStart; at < length; at += part)
            hash.AppendData(new ReadOnlySpan<byte>(file + at, (int)Math.Min(part, length - at)));
        Span<byte> actual = stackalloc byte[SHA256.HashSizeInBytes];
        hash.GetHashAndReset(actual);
        if (!actual.SequenceEqual(header.Slice(HashStart, SHA256.HashSizeInBytes)))
            throw new AdvisoryDatabaseException($"is damaged, its checksum does not fit: {Remedy}");

        for (var i = 0; i < SectionCount; i++)
        {
            var (offset, bytes) = Section(header, (DatabaseSection)i);
            if (offset < HeaderBytes || bytes < 0 || offset > length - bytes || offset % 8 != 0)
                throw new AdvisoryDatabaseException($"is malformed: section {(DatabaseSection)i} lies outside: {Remedy}");
        }
    }

    public static (long Offset, long Length) Section(ReadOnlySpan<byte> header, DatabaseSection section)
    {
        var entry = header[(TableStart + ((int)section * 16))..];
        return ((long)BinaryPrimitives.ReadUInt64LittleEndian(entry), (long)BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]));
    }
}
