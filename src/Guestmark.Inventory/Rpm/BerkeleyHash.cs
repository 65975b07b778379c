using System.Buffers.Binary;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads the Berkeley DB hash file <c>Packages</c> of rpm up to 4.15 (and 4.16 to 4.18 on demand), in either byte order.</summary>
/// <remarks>
/// No locks and no environment (<c>__db.00x</c>) are used. Numbers are in the byte order of the machine that wrote the file.
/// <code>
/// page 0: lsn u64 @0, pgno u32 @8, magic u32 @12 = 0x00061561, version u32 @16 (8 to 10), pagesize u32 @20, encrypt_alg u8 @24 = 0,
///         type u8 @25 = 8, last_pgno u32 @32, max_bucket u32 @72, spares u32[32] @96
/// others: lsn u64 @0, pgno u32 @8, prev_pgno u32 @12, next_pgno u32 @16, entries u16 @20, hf_offset u16 @22, level u8 @24, type u8 @25,
///         then for a hash page entries × u16 offset, and for an overflow page (type 7) hf_offset bytes of data
/// entry:  1, bytes                            a value in place
///         3, pad u8[3], pgno u32, length u32   a value on overflow pages
/// </code>
/// Entries of a hash page alternate key and value; an entry reaches from its offset to the offset before it, the first to the end of
/// the page. A key is the header's number; number 0 holds the next free number.
///
/// Hash pages are found by their buckets (bucket b begins at page b + spares[bits of b]), not by looking at every page: in the real
/// databases 2 to 5 of up to 6,519 pages are hash pages, and a page that no bucket leads to is one that the database no longer
/// contains. rpm reads them the same way, and as rpm we take the page types 2, 8 and 13 and do not look at the lsn.
/// </remarks>
sealed class BerkeleyHash
{
    public const uint Magic = 0x0006_1561;
    public const int MetaBytes = 512;

    const int PageHeaderBytes = 26;
    const int PageBytesMin = 512;
    const int PageBytesMax = 65536;
    const byte TypeHashUnsorted = 2;
    const byte TypeOverflow = 7;
    const byte TypeHashMeta = 8;
    const byte TypeHash = 13;
    const byte EntryInPlace = 1;
    const byte EntryOverflow = 3;
    const int OverflowEntryBytes = 12;
    const int KeyBytes = 4;
    const int SparesStart = 96;
    // A header has 17 KB in the middle and its pages mostly follow each other: one read for most headers. Where a chain jumps, little
    // is read ahead.
    const int ReadAhead = 64 * 1024;
    const int ReadAheadAfterJump = 16 * 1024;
    // rpm's bound for a header (headerMaxbytes).
    const uint HeaderBytesMax = 256 << 20;

    readonly FileWindow _file;
    readonly bool _bigEndian;
    readonly DatabaseContents _contents;
    readonly int _pageBytes;
    readonly uint _pageCount;
    readonly PageSet _visited;
    readonly OverflowChain _value;
    readonly CancellationToken _cancellation;
    readonly TextPool _pool = new();

    BerkeleyHash(FileWindow file, bool bigEndian, int pageBytes, uint pageCount, DatabaseContents contents, CancellationToken cancellation)
    {
        _file = file;
        _bigEndian = bigEndian;
        _pageBytes = pageBytes;
        _pageCount = pageCount;
        _contents = contents;
        _visited = new PageSet(pageCount);
        _value = new OverflowChain(this);
        _cancellation = cancellation;
    }

    /// <summary>Reads all headers of a file whose first bytes are <see cref="Magic"/> at 12 in one byte order or the other.</summary>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static DatabaseContents Read(GuestFile file, PackageRequest request, CancellationToken cancellation)
    {
        var contents = new DatabaseContents("bdb", request);
        var window = new FileWindow(file.Handle, file.Status.Size, ReadAhead);
        var page0 = window.Read(0, MetaBytes);
        if (page0.Length == 0)
        {
            contents.AddProblem("is cut off in its first page");
            return contents;
        }

        var bigEndian = BinaryPrimitives.ReadUInt32BigEndian(page0[12..]) == Magic;
        var meta = page0.ToArray();
        var version = U32(meta, 16, bigEndian);
        var pageBytes = U32(meta, 20, bigEndian);
        if (version is < 8 or > 10)
        {
            contents.AddProblem($"has Berkeley DB hash version {version}; 8 to 10 are known");
            return contents;
        }

        if (pageBytes is < PageBytesMin or > PageBytesMax || !uint.IsPow2(pageBytes))
        {
            contents.AddProblem($"has pages of {pageBytes} bytes");
            return contents;
        }

        if (meta[24] != 0)
        {
            contents.AddProblem("is encrypted");
            return contents;
        }

        if (meta[25] != TypeHashMeta)
        {
            contents.AddProblem($"begins with a page of type {meta[25]}");
            return contents;
        }

        var pages = U32(meta, 32, bigEndian) + 1L;
        var pagesThere = window.Length / pageBytes;
        if (pagesThere < pages) contents.AddProblem($"is cut off: {pagesThere} of {pages} pages are there");
        var pageCount = (uint)Math.Min(pages, pagesThere);
        new BerkeleyHash(window, bigEndian, (int)pageBytes, pageCount, contents, cancellation).ReadBuckets(meta);
        return contents;
    }

    void ReadBuckets(ReadOnlySpan<byte> meta)
    {
        var page = new byte[_pageBytes];
        var lastBucket = U32(meta, 72, _bigEndian);
        for (ulong bucket = 0; bucket <= lastBucket && !_contents.IsFull; bucket++)
        {
            // Each bucket has a page of its own, so that the first bucket beyond the pages ends a hostile count.
            if (bucket >= _pageCount)
            {
                _contents.AddProblem($"has {lastBucket + 1L} buckets and {_pageCount} pages");
                return;
            }

            var bits = 64 - (int)ulong.LeadingZeroCount(bucket);
            var number = (uint)bucket + U32(meta, SparesStart + (4 * bits), _bigEndian);
            do
            {
                if (ReadPage(number, ReadAheadAfterJump, out var found) is { } error)
                {
                    _contents.AddProblem(error);
                    break;
                }

                if (found[25] is not (TypeHash or TypeHashUnsorted or TypeHashMeta))
                {
                    _contents.AddProblem($"has a page of type {found[25]} in place of hash page {number}");
                    break;
                }

                found.CopyTo(page);
                ReadEntries(page, number);
                number = U32(page, 16, _bigEndian);
            }
            while (number != 0 && !_contents.IsFull);
        }
    }

    void ReadEntries(ReadOnlySpan<byte> page, uint pageNumber)
    {
        var entries = U16(page, 20);
        var offsetsEnd = PageHeaderBytes + (2 * entries);
        if (offsetsEnd > _pageBytes || entries % 2 != 0)
        {
            _contents.AddProblem($"has {entries} entries on page {pageNumber}");
            return;
        }

        var end = _pageBytes;
        for (var i = 0; i < entries && !_contents.IsFull; i += 2)
        {
            var keyStart = U16(page, PageHeaderBytes + (2 * i));
            var valueStart = U16(page, PageHeaderBytes + (2 * i) + 2);
            if (keyStart >= end || valueStart >= keyStart || valueStart < offsetsEnd)
            {
                _contents.AddProblem($"has wrong offsets on page {pageNumber}: entries {i} to {entries - 1} are lost");
                return;
            }

            var key = page[keyStart..end];
            var value = page[valueStart..keyStart];
            end = valueStart;
            if (key[0] != EntryInPlace || key.Length != KeyBytes + 1)
            {
                _contents.AddProblem($"has a key that is not a header number on page {pageNumber}");
                continue;
            }

            _cancellation.ThrowIfCancellationRequested();
            var number = U32(key, 1, _bigEndian);
            if (number == 0) continue;
            if (BeginValue(value) is { } error) _contents.AddProblem($"header {number} {error}");
            else _contents.Add(_value, number, _pool);
        }
    }

    string? BeginValue(ReadOnlySpan<byte> entry)
    {
        if (entry[0] == EntryInPlace)
        {
            _value.Begin(entry.Length - 1, entry[1..]);
            return null;
        }

        if (entry[0] != EntryOverflow || entry.Length != OverflowEntryBytes) return $"is an entry of type {entry[0]} with {entry.Length} bytes";
        var length = U32(entry, 8, _bigEndian);
        if (length > (long)_pageCount * _pageBytes || length > HeaderBytesMax) return $"says {length} bytes, more than the file or any header has";
        _value.BeginChain(U32(entry, 4, _bigEndian), (int)length);
        return null;
    }

    string? ReadPage(uint number, int ahead, out ReadOnlySpan<byte> page)
    {
        page = default;
        if (number == 0 || number >= _pageCount) return $"refers to page {number} of {_pageCount}";
        if (!_visited.Add(number)) return $"uses page {number} twice";
        try
        {
            page = _file.Read((long)number * _pageBytes, _pageBytes, ahead);
        }
        catch (IOException e)
        {
            // A bad block of the disk costs what is on it.
            return $"has page {number} that cannot be read: {e.Message}";
        }

        if (page.Length == 0) return $"lacks page {number}";
        var ownNumber = U32(page, 8, _bigEndian);
        return ownNumber == number ? null : $"has page {ownNumber} in place of page {number}";
    }

    ushort U16(ReadOnlySpan<byte> bytes, int offset) =>
        _bigEndian ? BinaryPrimitives.ReadUInt16BigEndian(bytes[offset..]) : BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);

    static uint U32(ReadOnlySpan<byte> bytes, int offset, bool bigEndian) =>
        bigEndian ? BinaryPrimitives.ReadUInt32BigEndian(bytes[offset..]) : BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    sealed class OverflowChain(BerkeleyHash database) : ChainedBytes
    {
        uint _next;
        uint _expected;

        public void BeginChain(uint firstPage, int length)
        {
            (_next, _expected) = (firstPage, firstPage);
            Begin(length, []);
        }

        protected override string? NextPiece(int remaining, out ReadOnlySpan<byte> piece)
        {
            piece = default;
            if (_next == 0) return $"ends {remaining} bytes early";
            var pages = (remaining / (database._pageBytes - PageHeaderBytes)) + 1L;
            var ahead = (int)Math.Min(pages * database._pageBytes, _next == _expected ? ReadAhead : ReadAheadAfterJump);
            if (database.ReadPage(_next, ahead, out var page) is { } error) return error;
            if (page[25] != TypeOverflow) return $"has a page of type {page[25]} in place of overflow page {_next}";
            var length = database.U16(page, 22);
            if (length > page.Length - PageHeaderBytes || length > remaining) return $"has {length} bytes of data on page {_next}";
            piece = page.Slice(PageHeaderBytes, length);
            _expected = _next + 1;
            _next = U32(page, 16, database._bigEndian);
            return null;
        }
    }
}
