using System.Buffers.Binary;
using System.Text;
using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory.Sqlite;

/// <summary>Reads <c>rpmdb.sqlite</c> of rpm 4.16 and later, with the committed pages of its write-ahead log.</summary>
/// <remarks>
/// Takes no lock and writes nothing; whoever calls compares the files before and after. Format: https://www.sqlite.org/fileformat2.html.
/// <code>
/// page 1:   "SQLite format 3\0", page size u16 @16 (1 = 65536), read version u8 @19 (2 = with a log), reserved bytes per page u8 @20,
///           change counter u32 @24, pages u32 @28, text encoding u32 @56 (1 = UTF-8), counter for which @28 holds u32 @92
/// b-tree:   type u8 (5 inner, 13 leaf), free block u16, cells u16 @3, content u16, fragments u8, rightmost child u32 @8 (inner only),
///           then cells × u16 offset; on page 1 behind the 100 bytes of the file header
/// inner:    child u32, rowid varint
/// leaf:     payload length varint, rowid varint, payload in place, first overflow page u32 (when it does not fit)
/// overflow: next page u32, payload
/// payload:  length of this head varint, serial type varint per column; the columns
/// </code>
/// The table is <c>CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)</c>: the rowid is the header's number.
/// </remarks>
sealed class SqliteDatabase
{
    public const string Backend = "sqlite";

    const int FileHeaderBytes = 100;
    const int PageBytesMin = 512;
    const int UsableBytesMin = 480;
    const byte ReadVersionWal = 2;
    const uint Utf8Encoding = 1;
    const byte TypeInner = 5;
    const byte TypeLeaf = 13;
    // SQLite's own bound (BTCURSOR_MAX_DEPTH).
    const int DepthMax = 20;
    // Head of a row of sqlite_schema with its type, names and root page. The name that is looked for is short.
    const int SchemaRowBytes = 512;
    const int ReadAhead = 32 * 1024;

    public static ReadOnlySpan<byte> Magic => "SQLite format 3\0"u8;

    readonly FileWindow _file;
    readonly SqliteWal? _wal;
    readonly int _pageBytes;
    readonly int _usableBytes;
    readonly uint _pageCount;
    readonly PageSet _visited;
    readonly OverflowChain _payload;
    readonly DatabaseContents _contents;
    readonly CancellationToken _cancellation;
    readonly TextPool _pool = new();
    readonly byte[]?[] _levels = new byte[DepthMax + 1][];

    SqliteDatabase(
        FileWindow file, SqliteWal? wal, int pageBytes, int usableBytes, uint pageCount, DatabaseContents contents, CancellationToken cancellation)
    {
        _file = file;
        _wal = wal;
        _pageBytes = pageBytes;
        _usableBytes = usableBytes;
        _pageCount = pageCount;
        _visited = new PageSet(pageCount + 1);
        _payload = new OverflowChain(this);
        _contents = contents;
        _cancellation = cancellation;
    }

    /// <summary>Reads all headers of a file that begins with <see cref="Magic"/>.</summary>
    /// <param name="walFile">The log beside it; null when there is none.</param>
    /// <exception cref="IOException">The disk does not give a file.</exception>
    public static DatabaseContents Read(GuestFile file, GuestFile? walFile, PackageRequest request, CancellationToken cancellation)
    {
        var contents = new DatabaseContents(Backend, request);
        var window = new FileWindow(file.Handle, file.Status.Size, ReadAhead);
        var header = window.Read(0, FileHeaderBytes);
        if (header.Length == 0)
        {
            contents.AddProblem("is cut off in its first page");
            return contents;
        }

        int pageBytes = BinaryPrimitives.ReadUInt16BigEndian(header[16..]);
        if (pageBytes == 1) pageBytes = 65536;
        if (pageBytes < PageBytesMin || !int.IsPow2(pageBytes))
        {
            contents.AddProblem($"has pages of {pageBytes} bytes");
            return contents;
        }

        var wal = walFile is null || header[19] != ReadVersionWal ? null : SqliteWal.Read(walFile, pageBytes, cancellation);
        // Page 1, and so the header, may itself have a newer version in the log.
        if (wal is not null && wal.TryPage(1, out var page1)) header = page1;
        if (header.Length < FileHeaderBytes || !header.StartsWith(Magic))
        {
            contents.AddProblem("has a first page that is not SQLite's in its log");
            return contents;
        }

        var usableBytes = pageBytes - header[20];
        if (usableBytes < UsableBytesMin)
        {
            contents.AddProblem($"reserves {header[20]} of {pageBytes} bytes of each page");
            return contents;
        }

        if (BinaryPrimitives.ReadUInt32BigEndian(header[56..]) is not (Utf8Encoding or 0))
        {
            contents.AddProblem("has a text encoding other than UTF-8, which rpm never writes");
            return contents;
        }

        var pagesThere = window.Length / pageBytes;
        var pages = wal?.PageCount ?? 0;
        if (pages == 0 && BinaryPrimitives.ReadUInt32BigEndian(header[24..]) == BinaryPrimitives.ReadUInt32BigEndian(header[92..]))
            pages = BinaryPrimitives.ReadUInt32BigEndian(header[28..]);
        if (pages == 0) pages = (uint)Math.Min(pagesThere, uint.MaxValue - 1);
        // With a log the file may rightly be shorter than the database: its last pages are in the log.
        if (pagesThere < pages && wal is not { PageCount: > 0 }) contents.AddProblem($"is cut off: {pagesThere} of {pages} pages are there");
        var pageCount = (uint)Math.Min(pages, pagesThere + (wal?.CommittedPages ?? 0));
        new SqliteDatabase(window, wal, pageBytes, usableBytes, pageCount, contents, cancellation).ReadPackages();
        return contents;
    }

    void ReadPackages()
    {
        var root = 0u;
        Walk(1, depth: 0, rowid =>
        {
            if (_payload.Prefix(SchemaRowBytes, out var row) is { } error) _contents.AddProblem($"has a schema whose row {rowid} {error}");
            else if (RootOfPackages(row) is { } found) root = found;
        });
        if (root == 0)
        {
            _contents.AddProblem("has no table Packages");
            return;
        }

        Walk(root, depth: 0, rowid =>
        {
            var number = (uint)Math.Clamp(rowid, 0, uint.MaxValue);
            if (SkipToBlob() is { } error) _contents.AddProblem($"header {number} {error}");
            else _contents.Add(_payload, number, _pool);
        });
    }

    /// <summary>sqlite_schema: type text, name text, tbl_name text, rootpage integer, sql text.</summary>
    static uint? RootOfPackages(ReadOnlySpan<byte> row)
    {
        var head = 0;
        if (!TryVarint(row, ref head, out var headBytes) || headBytes > (ulong)row.Length) return null;
        var column = (int)headBytes;
        ReadOnlySpan<byte> type = default, name = default;
        for (var i = 0; i < 4; i++)
        {
            if (!TryVarint(row[..(int)headBytes], ref head, out var serialType)) return null;
            var length = ColumnBytes(serialType);
            if (length > (ulong)(row.Length - column)) return null;
            var value = row.Slice(column, (int)length);
            column += (int)length;
            if (i == 0) type = value;
            else if (i == 1) name = value;
            else if (i == 3)
            {
                if (!type.SequenceEqual("table"u8) || !Ascii.EqualsIgnoreCase(name, "Packages"u8)) return null;
                var root = serialType switch { 9 => 1L, >= 1 and <= 6 => Integer(value), _ => 0L };
                return root is > 0 and <= uint.MaxValue ? (uint)root : null;
            }
        }

        return null;
    }

    /// <summary>Leaves only column 1, blob, of the row in the payload.</summary>
    string? SkipToBlob()
    {
        // Three varints of at most 9 bytes: the head's length and the types of hnum and blob.
        if (_payload.Prefix(27, out var row) is { } error) return error;
        var head = 0;
        if (!TryVarint(row, ref head, out var headBytes) || !TryVarint(row, ref head, out var hnum) || !TryVarint(row, ref head, out var blob))
            return "has a row that ends early";
        if (headBytes < (ulong)head || headBytes > (ulong)_payload.Length) return "has a row with a wrong head";
        // 12, 14, 16…: a blob of (type - 12) / 2 bytes.
        if (blob < 12 || blob % 2 != 0) return "is not a blob";
        var start = headBytes + ColumnBytes(hnum);
        var length = ColumnBytes(blob);
        if (start > (ulong)_payload.Length || length != (ulong)_payload.Length - start)
            return $"has a blob of {length} bytes in a row of {_payload.Length}";
        _payload.Skip((int)start);
        return null;
    }

    /// <summary>Calls <paramref name="row"/> for each row of a table with its rowid, and its payload in <see cref="_payload"/>.</summary>
    void Walk(uint number, int depth, Action<long> row)
    {
        if (_contents.IsFull) return;
        if (depth > DepthMax)
        {
            _contents.AddProblem($"has a tree deeper than {DepthMax} at page {number}");
            return;
        }

        if (ReadPage(number, out var found) is { } error)
        {
            _contents.AddProblem(error);
            return;
        }

        // A copy: the payloads and children that this page leads to pass through the window.
        var page = _levels[depth] ??= new byte[_usableBytes];
        found[.._usableBytes].CopyTo(page);
        var start = number == 1 ? FileHeaderBytes : 0;
        var type = page[start];
        var cells = BinaryPrimitives.ReadUInt16BigEndian(page.AsSpan(start + 3));
        var pointers = start + (type == TypeInner ? 12 : 8);
        var pointersEnd = pointers + (2 * cells);
        if (type is not (TypeInner or TypeLeaf) || pointersEnd > _usableBytes)
        {
            _contents.AddProblem($"has a page of type {type} with {cells} cells in place of table page {number}");
            return;
        }

        // Cells do not overlap in a sound page; without this bound one cell could be listed thousands of times.
        var free = _usableBytes - pointersEnd;
        for (var i = 0; i < cells && !_contents.IsFull; i++)
        {
            _cancellation.ThrowIfCancellationRequested();
            int offset = BinaryPrimitives.ReadUInt16BigEndian(page.AsSpan(pointers + (2 * i)));
            if (offset < pointersEnd || offset > _usableBytes - 4)
            {
                _contents.AddProblem($"has cell {i} of page {number} at {offset}");
                continue;
            }

            if (type == TypeInner)
            {
                Walk(BinaryPrimitives.ReadUInt32BigEndian(page.AsSpan(offset)), depth + 1, row);
            }
            else if (BeginPayload(page, offset, out var rowid, out var cellBytes) is { } cellError)
            {
                _contents.AddProblem($"has cell {i} of page {number} that {cellError}");
            }
            else if ((free -= cellBytes) < 0)
            {
                _contents.AddProblem($"has overlapping cells on page {number}");
                return;
            }
            else
            {
                row(rowid);
            }
        }

        if (type == TypeInner) Walk(BinaryPrimitives.ReadUInt32BigEndian(page.AsSpan(start + 8)), depth + 1, row);
    }

    string? BeginPayload(ReadOnlySpan<byte> page, int offset, out long rowid, out int cellBytes)
    {
        rowid = 0;
        cellBytes = 0;
        var position = offset;
        if (!TryVarint(page, ref position, out var length) || !TryVarint(page, ref position, out var unsignedRowid)) return "ends early";
        rowid = (long)unsignedRowid;
        if (length > int.MaxValue || length > (ulong)_pageCount * (ulong)_pageBytes) return $"says {length} bytes, more than the file";

        // "Cell payload overflow" of the format, for a table leaf.
        var most = _usableBytes - 35;
        var inPlace = (int)length;
        if (inPlace > most)
        {
            var least = ((_usableBytes - 12) * 32 / 255) - 23;
            inPlace = least + (((int)length - least) % (_usableBytes - 4));
            if (inPlace > most) inPlace = least;
        }

        var overflow = inPlace < (int)length;
        var end = position + inPlace + (overflow ? 4 : 0);
        if (end > _usableBytes) return "is longer than its page";
        cellBytes = end - offset;
        var firstOverflowPage = overflow ? BinaryPrimitives.ReadUInt32BigEndian(page[(position + inPlace)..]) : 0;
        _payload.BeginChain((int)length, page.Slice(position, inPlace), firstOverflowPage);
        return null;
    }

    string? ReadPage(uint number, out ReadOnlySpan<byte> page)
    {
        page = default;
        if (number == 0 || number > _pageCount) return $"refers to page {number} of {_pageCount}";
        if (!_visited.Add(number)) return $"uses page {number} twice";
        try
        {
            if (_wal is null || !_wal.TryPage(number, out page)) page = _file.Read((number - 1L) * _pageBytes, _pageBytes);
        }
        catch (IOException e)
        {
            // A bad block of the disk costs what is on it.
            return $"has page {number} that cannot be read: {e.Message}";
        }

        return page.Length == 0 ? $"lacks page {number}" : null;
    }

    /// <summary>Big-endian, 7 bits a byte, the ninth byte whole.</summary>
    static bool TryVarint(ReadOnlySpan<byte> bytes, ref int position, out ulong value)
    {
        value = 0;
        for (var i = 0; i < 9; i++)
        {
            if (position >= bytes.Length) return false;
            var next = bytes[position++];
            if (i == 8)
            {
                value = (value << 8) | next;
                return true;
            }

            value = (value << 7) | (uint)(next & 0x7f);
            if (next < 0x80) return true;
        }

        return true;
    }

    static ulong ColumnBytes(ulong serialType) => serialType switch
    {
        <= 4 => serialType,
        5 => 6,
        6 or 7 => 8,
        < 12 => 0,
        _ => (serialType - 12) / 2,
    };

    static long Integer(ReadOnlySpan<byte> bytes)
    {
        long value = (sbyte)bytes[0];
        foreach (var next in bytes[1..]) value = (value << 8) | next;
        return value;
    }

    sealed class OverflowChain(SqliteDatabase database) : ChainedBytes
    {
        uint _next;

        public void BeginChain(int length, ReadOnlySpan<byte> inPlace, uint firstPage)
        {
            _next = firstPage;
            Begin(length, inPlace);
        }

        protected override string? NextPiece(int remaining, out ReadOnlySpan<byte> piece)
        {
            piece = default;
            if (_next == 0) return $"ends {remaining} bytes early";
            if (database.ReadPage(_next, out var page) is { } error) return error;
            _next = BinaryPrimitives.ReadUInt32BigEndian(page);
            piece = page[4..database._usableBytes];
            return null;
        }
    }
}
