using System.Buffers.Binary;

namespace Guestmark.Inventory.Sqlite;

/// <summary>One row of a table, reused for all rows of a file. Its columns are read in place.</summary>
/// <remarks>
/// Format: https://www.sqlite.org/fileformat2.html#record_format.
/// <code>
/// record:      length of this head varint (itself included), serial type varint per column; the columns
/// serial type: 0 NULL, 1…6 integer of 1, 2, 3, 4, 6, 8 bytes, 7 double, 8 and 9 the integers 0 and 1, 10 and 11 reserved,
///              12, 14, 16… blob of (type - 12) / 2 bytes, 13, 15, 17… text of (type - 13) / 2 bytes
/// varint:      big-endian, 7 bits a byte, the ninth byte whole
/// </code>
/// </remarks>
sealed class SqliteRow(SqliteFile file) : ChainedBytes
{
    // The tables that are read here have at most 10 columns.
    const int ColumnsMax = 64;
    const int VarintBytesMax = 9;

    readonly ulong[] _types = new ulong[ColumnsMax];
    readonly int[] _offsets = new int[ColumnsMax + 1];
    int _columns;
    uint _nextPage;

    public long Rowid { get; private set; }

    /// <summary>The column that stands for the rowid (<c>INTEGER PRIMARY KEY</c>) and is kept as NULL; -1 when there is none.</summary>
    public int RowidColumn { get; set; } = -1;

    public void Begin(long rowid, int length, ReadOnlySpan<byte> inPlace, uint firstOverflowPage)
    {
        Rowid = rowid;
        _columns = 0;
        _nextPage = firstOverflowPage;
        Begin(length, inPlace);
    }

    /// <summary>Finds the first columns. Those that the row does not have are NULL, as after ALTER TABLE ADD.</summary>
    /// <param name="columns">At most 64.</param>
    /// <returns>Null on success; otherwise what is wrong with the row.</returns>
    public string? Decode(int columns)
    {
        _columns = 0;
        if (Prefix(VarintBytesMax * (columns + 1), out var bytes) is { } error) return error;
        var position = 0;
        if (!TryVarint(bytes, ref position, out var headBytes)) return "has a row that ends early";
        if (headBytes < (ulong)position || headBytes > (ulong)Length) return "has a row with a wrong head";
        var head = bytes[..(int)Math.Min(headBytes, (ulong)bytes.Length)];
        var end = headBytes;
        var decoded = 0;
        for (; decoded < columns && (ulong)position < headBytes; decoded++)
        {
            if (!TryVarint(head, ref position, out var type)) return "has a row that ends early";
            _types[decoded] = type;
            _offsets[decoded] = (int)end;
            end += ColumnBytes(type);
            if (end > (ulong)Length) return $"has a column {decoded} that ends at {end} in a row of {Length} bytes";
        }

        _offsets[decoded] = (int)end;
        _columns = decoded;
        return null;
    }

    /// <summary>Joins the decoded columns, so that they can be read.</summary>
    /// <param name="bytesMax">Longer ones are an error, before memory is taken for them.</param>
    /// <returns>Null on success; otherwise what is wrong with the row.</returns>
    public string? Join(int bytesMax)
    {
        var end = _offsets[_columns];
        return end > bytesMax ? $"has a row of {end} bytes, more than {bytesMax}" : Prefix(end, out _);
    }

    /// <summary>An integer; null for NULL and for every other type.</summary>
    public long? Integer(int column)
    {
        if ((uint)column >= (uint)_columns) return null;
        switch (_types[column])
        {
            case 0: return column == RowidColumn ? Rowid : null;
            case 8: return 0;
            case 9: return 1;
            case <= 6:
                var bytes = Bytes(column);
                if (bytes.Length == 0) return null;
                long value = (sbyte)bytes[0];
                foreach (var next in bytes[1..]) value = (value << 8) | next;
                return value;
            default: return null;
        }
    }

    /// <summary>A column as it is kept, valid until the next call: text in UTF-8, blobs. Empty for NULL and for what cannot be joined.</summary>
    public ReadOnlySpan<byte> Bytes(int column)
    {
        if ((uint)column >= (uint)_columns || Prefix(_offsets[column + 1], out var bytes) is not null) return default;
        return bytes.Length < _offsets[column + 1] ? default : bytes[_offsets[column].._offsets[column + 1]];
    }

    public bool IsBlob(int column) => (uint)column < (uint)_columns && _types[column] >= 12 && _types[column] % 2 == 0;

    /// <summary>Leaves only a column, which has been decoded, and what follows it.</summary>
    /// <returns>Length of the column.</returns>
    public int SkipTo(int column)
    {
        Skip(_offsets[column]);
        return _offsets[column + 1] - _offsets[column];
    }

    public static bool TryVarint(ReadOnlySpan<byte> bytes, ref int position, out ulong value)
    {
        value = 0;
        for (var i = 0; i < VarintBytesMax; i++)
        {
            if (position >= bytes.Length) return false;
            var next = bytes[position++];
            if (i == VarintBytesMax - 1)
            {
                value = (value << 8) | next;
                return true;
            }

            value = (value << 7) | (uint)(next & 0x7f);
            if (next < 0x80) return true;
        }

        return true;
    }

    protected override string? NextPiece(int remaining, out ReadOnlySpan<byte> piece)
    {
        piece = default;
        if (_nextPage == 0) return $"ends {remaining} bytes early";
        if (file.ReadPage(_nextPage, out var page) is { } error) return error;
        _nextPage = BinaryPrimitives.ReadUInt32BigEndian(page);
        piece = page[4..file.UsableBytes];
        return null;
    }

    static ulong ColumnBytes(ulong serialType) => serialType switch
    {
        <= 4 => serialType,
        5 => 6,
        6 or 7 => 8,
        < 12 => 0,
        _ => (serialType - 12) / 2,
    };
}
