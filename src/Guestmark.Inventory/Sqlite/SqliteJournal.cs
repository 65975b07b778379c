using System.Buffers.Binary;
using System.Text;

namespace Guestmark.Inventory.Sqlite;

/// <summary>
/// A hot rollback journal beside an SQLite database (<c>-journal</c>): what the pages were that a transaction without an end has
/// written into the database. Its writer was killed, or is still at work: either way the state before the transaction counts.
/// </summary>
/// <remarks>
/// Format: https://www.sqlite.org/fileformat2.html#the_rollback_journal. Numbers are big-endian.
/// <code>
/// header: magic d9d505f920a163d7, records u32 @8 (ffffffff: up to the end), nonce u32 @12, pages of the database before u32 @16,
///         sector size u32 @20, page size u32 @24; then zeros to the end of the sector
/// record: page number u32, the page, checksum u32 = nonce + every 200th byte of the page counted back from its end
/// end:    name of the super-journal, its length u32, sum of its bytes u32, magic; only for a transaction over several databases
/// </code>
/// Further headers, each with its records, begin at multiples of the sector size; of them only records and nonce count. A journal
/// whose header was zeroed or whose super-journal was deleted belongs to a transaction that was committed. As SQLite does
/// (pager.c, pager_playback), everything behind the first wrong record is left out: it was not on the disk yet when the database
/// was written.
/// </remarks>
sealed class SqliteJournal
{
    const int HeaderBytes = 28;
    const int SuperTailBytes = 16;
    // SQLite's bounds: MAX_PATHNAME of os_unix.c; SQLITE_MAX_PAGE_SIZE, MAX_SECTOR_SIZE.
    const int SuperNameBytesMax = 512;
    const uint PageBytesMin = 512;
    const uint SectorBytesMin = 32;
    const uint SizeMax = 65536;
    // A journal shorter than the sector that SQLite assumes before it knows better is none.
    const int JournalBytesMin = 512;
    const int ChecksumStep = 200;
    // The page with this byte is never used for content, so that it can be locked.
    const uint PendingByte = 0x4000_0000;
    const int ReadAhead = 256 * 1024;
    // Pages lie in the order in which they were changed, not in that of the table.
    const int PageReadAhead = 16 * 1024;

    readonly FileWindow _file;
    readonly Dictionary<uint, long> _originals = [];

    SqliteJournal(FileWindow file) => _file = file;

    static ReadOnlySpan<byte> Magic => [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

    /// <summary>Bytes of a page before the transaction.</summary>
    public int PageBytes { get; private set; }

    /// <summary>Pages in the database before the transaction.</summary>
    public uint PageCount { get; private set; }

    /// <summary>Different pages that the journal holds.</summary>
    public int OriginalPages => _originals.Count;

    /// <summary>Finds the original pages. Null when there is no journal, or none that is hot.</summary>
    /// <param name="pageBytes">What the database says now, for journals of SQLite before 3.5.8, which do not say it.</param>
    /// <exception cref="IOException">The disk does not give the journal.</exception>
    public static SqliteJournal? ReadIfHot(DatabaseSnapshot snapshot, int pageBytes, CancellationToken cancellation)
    {
        if (snapshot.Journal is not { } file) return null;
        var journal = new SqliteJournal(new FileWindow(file.Handle, file.Status.Size, ReadAhead)) { PageBytes = pageBytes };
        if (!journal.TryFirstHeader(out var sectorBytes)) return null;
        if (journal.SuperJournal() is { } super && !snapshot.Exists(super)) return null;
        journal.ReadRecords(sectorBytes, cancellation);
        return journal;
    }

    /// <summary>The bytes of a page before the transaction, valid until the next call. False when the page is not in the journal.</summary>
    public bool TryPage(uint number, out ReadOnlySpan<byte> page)
    {
        page = default;
        if (!_originals.TryGetValue(number, out var offset)) return false;
        page = _file.Read(offset, PageBytes, PageReadAhead);
        return true;
    }

    bool TryFirstHeader(out uint sectorBytes)
    {
        sectorBytes = 0;
        if (_file.Length < JournalBytesMin) return false;
        var header = _file.Read(0, HeaderBytes);
        if (!header.StartsWith(Magic)) return false;
        PageCount = BinaryPrimitives.ReadUInt32BigEndian(header[16..]);
        sectorBytes = BinaryPrimitives.ReadUInt32BigEndian(header[20..]);
        var pageBytes = BinaryPrimitives.ReadUInt32BigEndian(header[24..]);
        if (pageBytes == 0) pageBytes = (uint)PageBytes;
        if (pageBytes is < PageBytesMin or > SizeMax || !uint.IsPow2(pageBytes)) return false;
        PageBytes = (int)pageBytes;
        return sectorBytes is >= SectorBytesMin and <= SizeMax && uint.IsPow2(sectorBytes);
    }

    /// <summary>The path of the file whose absence tells that a transaction over several databases was committed. Null for one over this alone.</summary>
    string? SuperJournal()
    {
        var tail = _file.Read(_file.Length - SuperTailBytes, SuperTailBytes);
        if (tail.Length == 0 || !tail[8..].SequenceEqual(Magic)) return null;
        var length = BinaryPrimitives.ReadUInt32BigEndian(tail);
        var sum = BinaryPrimitives.ReadUInt32BigEndian(tail[4..]);
        if (length is 0 or > SuperNameBytesMax) return null;
        var name = _file.Read(_file.Length - SuperTailBytes - length, (int)length);
        foreach (var next in name) sum -= next;
        var end = name.IndexOf((byte)0);
        if (end >= 0) name = name[..end];
        return sum == 0 && name.Length > 0 ? Encoding.UTF8.GetString(name) : null;
    }

    void ReadRecords(uint sectorBytes, CancellationToken cancellation)
    {
        var recordBytes = sizeof(uint) + PageBytes + sizeof(uint);
        var lockPage = (PendingByte / (uint)PageBytes) + 1;
        for (long offset = 0; ; offset = (offset + sectorBytes - 1) / sectorBytes * sectorBytes)
        {
            if (offset + sectorBytes > _file.Length) return;
            var header = _file.Read(offset, HeaderBytes);
            if (!header.StartsWith(Magic)) return;
            var records = BinaryPrimitives.ReadUInt32BigEndian(header[8..]);
            var nonce = BinaryPrimitives.ReadUInt32BigEndian(header[12..]);
            offset += sectorBytes;
            for (; records > 0; records--)
            {
                cancellation.ThrowIfCancellationRequested();
                var record = _file.Read(offset, recordBytes);
                // Also the end of the records of a header that does not count them: it is always the last.
                if (record.Length == 0) return;
                var number = BinaryPrimitives.ReadUInt32BigEndian(record);
                if (number == 0 || number == lockPage) return;
                // Pages that the transaction has added. SQLite does not look at their checksum either.
                if (number <= PageCount)
                {
                    if (BinaryPrimitives.ReadUInt32BigEndian(record[^4..]) != Checksum(nonce, record[4..^4])) return;
                    _originals[number] = offset + sizeof(uint);
                }

                offset += recordBytes;
            }

            cancellation.ThrowIfCancellationRequested();
        }
    }

    static uint Checksum(uint nonce, ReadOnlySpan<byte> page)
    {
        for (var i = page.Length - ChecksumStep; i > 0; i -= ChecksumStep) nonce += page[i];
        return nonce;
    }
}
