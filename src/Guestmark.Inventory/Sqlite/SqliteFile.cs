using System.Buffers.Binary;
using System.Text;

namespace Guestmark.Inventory.Sqlite;

/// <summary>Reads tables of an SQLite database in the order of their rowids, as they were after the last transaction that is complete.</summary>
/// <remarks>
/// What is read while the files are written is sorted out by <see cref="DatabaseSnapshot"/>. Indexes are not used, and tables WITHOUT ROWID,
/// which are kept like indexes, are not read. Format: https://www.sqlite.org/fileformat2.html.
/// <code>
/// page 1:   "SQLite format 3\0", page size u16 @16 (1 = 65536), read version u8 @19 (2 = with a log), reserved bytes per page u8 @20,
///           change counter u32 @24, pages u32 @28, text encoding u32 @56 (1 = UTF-8), counter for which @28 holds u32 @92
/// b-tree:   type u8 (5 inner, 13 leaf; 2 and 10 of an index), free block u16, cells u16 @3, content u16, fragments u8,
///           rightmost child u32 @8 (inner only), then cells × u16 offset; on page 1 behind the 100 bytes of the file header
/// inner:    child u32, rowid varint
/// leaf:     payload length varint, rowid varint, payload in place, first overflow page u32 (when it does not fit)
/// overflow: next page u32, payload
/// </code>
/// sqlite_schema, whose root is page 1: type text, name text, tbl_name text, rootpage integer, sql text.
/// </remarks>
sealed class SqliteFile
{
    const int FileHeaderBytes = 100;
    const int PageBytesMin = 512;
    const int UsableBytesMin = 480;
    const byte ReadVersionWal = 2;
    const uint Utf8Encoding = 1;
    const byte TypeIndexInner = 2;
    const byte TypeInner = 5;
    const byte TypeIndexLeaf = 10;
    const byte TypeLeaf = 13;
    // SQLite's own bound (BTCURSOR_MAX_DEPTH).
    const int DepthMax = 20;
    // The longest statement of the databases that are read here has 1 KB.
    const int SchemaRowBytesMax = 64 * 1024;
    // Table, leaf and overflow pages that were written together lie together: one read brings the neighbours.
    const int ReadAhead = 64 * 1024;

    public static ReadOnlySpan<byte> Magic => "SQLite format 3\0"u8;

    readonly FileWindow _file;
    readonly SqliteJournal? _journal;
    readonly SqliteWal? _wal;
    readonly int _pageBytes;
    readonly int _usableBytes;
    readonly uint _pageCount;
    readonly Action<string> _addProblem;
    readonly CancellationToken _cancellation;
    readonly SqliteRow _row;
    readonly byte[]?[] _levels = new byte[DepthMax + 1][];
    PageSet _visited;

    SqliteFile(
        FileWindow file, SqliteJournal? journal, SqliteWal? wal, int pageBytes, int usableBytes, uint pageCount, Action<string> addProblem,
        CancellationToken cancellation)
    {
        _file = file;
        _journal = journal;
        _wal = wal;
        _pageBytes = pageBytes;
        _usableBytes = usableBytes;
        _pageCount = pageCount;
        _addProblem = addProblem;
        _cancellation = cancellation;
        _row = new SqliteRow(this);
        _visited = new PageSet(0);
    }

    /// <summary>Bytes of a page that hold content.</summary>
    public int UsableBytes => _usableBytes;

    /// <summary>Opens a database.</summary>
    /// <param name="addProblem">Takes what is wrong with parts of the database, now and while tables are read. May be called for every row.</param>
    /// <returns>Null when nothing of it can be read, and then there was a problem.</returns>
    /// <exception cref="IOException">The disk does not give a file.</exception>
    public static SqliteFile? TryOpen(DatabaseSnapshot snapshot, Action<string> addProblem, CancellationToken cancellation)
    {
        var file = snapshot.File;
        var window = new FileWindow(file.Handle, file.Status.Size, ReadAhead);
        var header = window.Read(0, FileHeaderBytes);
        if (header.Length == 0)
        {
            addProblem("is cut off in its first page");
            return null;
        }

        // As SQLite opens a database: first the transaction without an end is undone, then the log is looked for.
        var journal = SqliteJournal.ReadIfHot(snapshot, PageBytesOf(header), cancellation);
        if (journal is { PageCount: 0 })
        {
            addProblem("has no pages yet: the transaction that makes it is not complete");
            return null;
        }

        // Page 1, and so the header, may itself be another in the journal and in the log.
        if (journal is not null && journal.TryPage(1, out var page1)) header = page1;
        if (header.Length < FileHeaderBytes)
        {
            addProblem("lacks its first page in its journal");
            return null;
        }

        var pageBytes = PageBytesOf(header);
        if (pageBytes < PageBytesMin || !int.IsPow2(pageBytes))
        {
            addProblem($"has pages of {pageBytes} bytes");
            return null;
        }

        if (journal is not null && journal.PageBytes != pageBytes)
        {
            addProblem($"has pages of {pageBytes} bytes and a journal with pages of {journal.PageBytes}");
            return null;
        }

        var wal = snapshot.Wal is null || header[19] != ReadVersionWal ? null : SqliteWal.Read(snapshot.Wal, pageBytes, cancellation);
        if (wal is not null && wal.TryPage(1, out page1)) header = page1;
        if (header.Length < FileHeaderBytes || !header.StartsWith(Magic))
        {
            addProblem(wal is null ? "has a first page that is not SQLite's" : "has a first page that is not SQLite's in its log");
            return null;
        }

        var usableBytes = pageBytes - header[20];
        if (usableBytes < UsableBytesMin)
        {
            addProblem($"reserves {header[20]} of {pageBytes} bytes of each page");
            return null;
        }

        if (BinaryPrimitives.ReadUInt32BigEndian(header[56..]) is not (Utf8Encoding or 0))
        {
            addProblem("has a text encoding other than UTF-8, which package managers never write");
            return null;
        }

        var pagesThere = window.Length / pageBytes;
        // What the transaction has added does not count; what it has cut off may be in the journal.
        if (journal is not null) pagesThere = Math.Min(journal.PageCount, pagesThere + journal.OriginalPages);
        var pages = wal?.PageCount ?? 0;
        if (pages == 0 && BinaryPrimitives.ReadUInt32BigEndian(header[24..]) == BinaryPrimitives.ReadUInt32BigEndian(header[92..]))
            pages = BinaryPrimitives.ReadUInt32BigEndian(header[28..]);
        if (pages == 0) pages = (uint)Math.Min(pagesThere, uint.MaxValue - 1);
        // With a log the file may rightly be shorter than the database: its last pages are in the log.
        if (pagesThere < pages && wal is not { PageCount: > 0 }) addProblem($"is cut off: {pagesThere} of {pages} pages are there");
        var pageCount = (uint)Math.Min(pages, pagesThere + (wal?.CommittedPages ?? 0));
        return new SqliteFile(window, journal, wal, pageBytes, usableBytes, pageCount, addProblem, cancellation);
    }

    /// <summary>Finds tables by their names, whose case does not matter. What is absent, or has no root page, is absent from the result.</summary>
    public Dictionary<string, SqliteTable> FindTables(params ReadOnlySpan<string> names)
    {
        var wanted = names.ToArray();
        var found = new Dictionary<string, SqliteTable>();
        Walk(1, row =>
        {
            if (row.Decode(4) is { } error)
            {
                _addProblem($"has a schema whose row {row.Rowid} {error}");
                return true;
            }

            if (!row.Bytes(0).SequenceEqual("table"u8)) return true;
            var name = Array.Find(wanted, candidate => Ascii.EqualsIgnoreCase(row.Bytes(1), candidate));
            if (name is null || row.Integer(3) is not (> 0 and <= uint.MaxValue and var root)) return true;
            var sql = row.Decode(5) is null && row.Join(SchemaRowBytesMax) is null ? Encoding.UTF8.GetString(row.Bytes(4)) : "";
            found[name] = SqliteTable.Parse(name, (uint)root, sql);
            return true;
        });
        return found;
    }

    /// <summary>Calls <paramref name="onRow"/> for each row of a table until it returns false.</summary>
    /// <param name="onRow">Gets the same object for all rows: it holds until the call returns. It must not read another table.</param>
    public void Read(SqliteTable table, Func<SqliteRow, bool> onRow)
    {
        _row.RowidColumn = table.RowidColumn;
        Walk(table.Root, onRow);
    }

    void Walk(uint root, Func<SqliteRow, bool> onRow)
    {
        _visited = new PageSet(_pageCount + 1);
        Walk(root, depth: 0, onRow);
    }

    /// <returns>False when no more rows are wanted.</returns>
    bool Walk(uint number, int depth, Func<SqliteRow, bool> onRow)
    {
        if (depth > DepthMax)
        {
            _addProblem($"has a tree deeper than {DepthMax} at page {number}");
            return true;
        }

        if (ReadPage(number, out var found) is { } error)
        {
            _addProblem(error);
            return true;
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
            _addProblem(depth == 0 && type is TypeIndexInner or TypeIndexLeaf
                ? $"has a table without rowids at page {number}, which is not read"
                : $"has a page of type {type} with {cells} cells in place of table page {number}");
            return true;
        }

        // Cells do not overlap in a sound page; without this bound one cell could be listed thousands of times.
        var free = _usableBytes - pointersEnd;
        for (var i = 0; i < cells; i++)
        {
            _cancellation.ThrowIfCancellationRequested();
            int offset = BinaryPrimitives.ReadUInt16BigEndian(page.AsSpan(pointers + (2 * i)));
            if (offset < pointersEnd || offset > _usableBytes - 4)
            {
                _addProblem($"has cell {i} of page {number} at {offset}");
                continue;
            }

            if (type == TypeInner)
            {
                if (!Walk(BinaryPrimitives.ReadUInt32BigEndian(page.AsSpan(offset)), depth + 1, onRow)) return false;
            }
            else if (BeginRow(page, offset, out var cellBytes) is { } cellError)
            {
                _addProblem($"has cell {i} of page {number} that {cellError}");
            }
            else if ((free -= cellBytes) < 0)
            {
                _addProblem($"has overlapping cells on page {number}");
                return true;
            }
            else if (!onRow(_row))
            {
                return false;
            }
        }

        return type == TypeLeaf || Walk(BinaryPrimitives.ReadUInt32BigEndian(page.AsSpan(start + 8)), depth + 1, onRow);
    }

    string? BeginRow(ReadOnlySpan<byte> page, int offset, out int cellBytes)
    {
        cellBytes = 0;
        var position = offset;
        if (!SqliteRow.TryVarint(page, ref position, out var length) || !SqliteRow.TryVarint(page, ref position, out var rowid)) return "ends early";
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
        _row.Begin((long)rowid, (int)length, page.Slice(position, inPlace), firstOverflowPage);
        return null;
    }

    static int PageBytesOf(ReadOnlySpan<byte> header)
    {
        var pageBytes = BinaryPrimitives.ReadUInt16BigEndian(header[16..]);
        return pageBytes == 1 ? 65536 : pageBytes;
    }

    /// <summary>A page of the table that is being read, valid until the next call.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public string? ReadPage(uint number, out ReadOnlySpan<byte> page)
    {
        page = default;
        if (number == 0 || number > _pageCount) return $"refers to page {number} of {_pageCount}";
        if (!_visited.Add(number)) return $"uses page {number} twice";
        try
        {
            var isBeside = (_wal is not null && _wal.TryPage(number, out page)) || (_journal is not null && _journal.TryPage(number, out page));
            if (!isBeside) page = _file.Read((number - 1L) * _pageBytes, _pageBytes);
        }
        catch (IOException e)
        {
            // A bad block of the disk costs what is on it.
            return $"has page {number} that cannot be read: {e.Message}";
        }

        return page.Length == 0 ? $"lacks page {number}" : null;
    }
}
