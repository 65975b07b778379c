using System.Buffers;
using System.Text;

namespace Guestmark.Rpc.Http2;

/// <summary>The headers that the protocol itself reads; the rest is metadata.</summary>
enum HeaderKind : byte
{
    Metadata,
    HttpStatus,
    ContentType,
    Status,
    Message,
}

/// <summary>Receives the fields of one header block. The spans are valid during the call.</summary>
interface IHeaderSink
{
    void OnHeader(HeaderKind kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value);
}

/// <summary>
/// Header decompression of one connection (RFC 7541). Fields are handed on as bytes, so that an ordinary response costs no strings.
/// </summary>
sealed class HpackDecoder
{
    /// <summary>We announce the default of SETTINGS_HEADER_TABLE_SIZE.</summary>
    const int TableBytesMax = 4096;

    /// <summary>RFC 7541, section 4.1: an entry counts for its name, its value and 32 bytes.</summary>
    const int EntryOverhead = 32;

    /// <summary>
    /// All fields of a block together, counted like table entries. Without it one byte on the wire could stand for 4 KiB, many times.
    /// </summary>
    const int BlockBytesMax = 64 << 10;

    static readonly Entry[] StaticTable = ReadStaticTable();

    /// <summary>A ring; the entry that was added last is at <see cref="_newest"/>. 4096 bytes hold at most 128 entries of 32.</summary>
    readonly Entry[] _table = new Entry[TableBytesMax / EntryOverhead];
    int _newest;
    int _count;
    int _bytes;
    int _bytesMax = TableBytesMax;

    /// <exception cref="Http2Exception">The block is malformed: the table can no longer be known, so the connection must end.</exception>
    public void Decode(ReadOnlySpan<byte> block, IHeaderSink? sink)
    {
        var decoded = 0;
        while (!block.IsEmpty)
        {
            if (decoded > BlockBytesMax) throw new Http2Exception(Http2ErrorCode.EnhanceYourCalm, $"a header block is over {BlockBytesMax} bytes");
            var first = block[0];
            if ((first & 0x80) != 0)
            {
                // 6.1: 1 Index (7+)
                var entry = Find(ReadInteger(ref block, 7));
                sink?.OnHeader(entry.Kind, entry.Name, entry.Value);
                decoded += entry.Bytes;
            }
            else if ((first & 0xC0) == 0x40)
            {
                // 6.2.1: 01 Index (6+), with incremental indexing
                decoded += ReadLiteral(ref block, 6, sink, index: true);
            }
            else if ((first & 0xE0) == 0x20)
            {
                // 6.3: 001 Max size (5+)
                var size = ReadInteger(ref block, 5);
                if (size > TableBytesMax) throw Malformed("sets its table above our limit");
                _bytesMax = size;
                Evict(0);
            }
            else
            {
                // 6.2.2 and 6.2.3: 000x Index (4+), without indexing and never indexed
                decoded += ReadLiteral(ref block, 4, sink, index: false);
            }
        }
    }

    static HeaderKind KindOf(ReadOnlySpan<byte> name) => name.Length switch
    {
        7 when name.SequenceEqual(":status"u8) => HeaderKind.HttpStatus,
        11 when name.SequenceEqual("grpc-status"u8) => HeaderKind.Status,
        12 when name.SequenceEqual("content-type"u8) => HeaderKind.ContentType,
        12 when name.SequenceEqual("grpc-message"u8) => HeaderKind.Message,
        _ => HeaderKind.Metadata,
    };

    static Http2Exception Malformed(string problem) => new(Http2ErrorCode.CompressionError, $"a header block {problem}");

    int ReadLiteral(ref ReadOnlySpan<byte> block, int prefixBits, IHeaderSink? sink, bool index)
    {
        var nameIndex = ReadInteger(ref block, prefixBits);
        byte[]? nameBuffer = null;
        byte[]? valueBuffer = null;
        try
        {
            scoped ReadOnlySpan<byte> name;
            HeaderKind kind;
            if (nameIndex > 0)
            {
                var entry = Find(nameIndex);
                name = entry.Name;
                kind = entry.Kind;
            }
            else
            {
                name = ReadString(ref block, ref nameBuffer);
                kind = KindOf(name);
            }

            var value = ReadString(ref block, ref valueBuffer);
            sink?.OnHeader(kind, name, value);
            if (index) Add(new Entry(kind, name.ToArray(), value.ToArray()));
            return name.Length + value.Length + EntryOverhead;
        }
        finally
        {
            if (nameBuffer is not null) ArrayPool<byte>.Shared.Return(nameBuffer);
            if (valueBuffer is not null) ArrayPool<byte>.Shared.Return(valueBuffer);
        }
    }

    /// <summary>5.1: N-bit prefix, then 7 bits a byte, least significant first.</summary>
    static int ReadInteger(ref ReadOnlySpan<byte> block, int prefixBits)
    {
        var mask = (1 << prefixBits) - 1;
        var value = block[0] & mask;
        block = block[1..];
        if (value < mask) return value;
        for (var shift = 0; shift <= 21; shift += 7)
        {
            if (block.IsEmpty) throw Malformed("ends within a number");
            var next = block[0];
            block = block[1..];
            value += (next & 0x7F) << shift;
            if ((next & 0x80) == 0) return value;
        }

        throw Malformed("has a number over 2^28");
    }

    /// <summary>5.2: H (1), Length (7+), octets.</summary>
    static ReadOnlySpan<byte> ReadString(ref ReadOnlySpan<byte> block, ref byte[]? buffer)
    {
        if (block.IsEmpty) throw Malformed("ends before a string");
        var isHuffman = (block[0] & 0x80) != 0;
        var length = ReadInteger(ref block, 7);
        if (length > block.Length) throw Malformed("ends within a string");
        var bytes = block[..length];
        block = block[length..];
        if (!isHuffman) return bytes;
        // The length was just found to be within the block, which is bounded.
        buffer = ArrayPool<byte>.Shared.Rent(Huffman.DecodedBytesMax(length));
        var decoded = Huffman.Decode(bytes, buffer);
        return decoded >= 0 ? buffer.AsSpan(0, decoded) : throw Malformed("has an invalid Huffman code");
    }

    Entry Find(int index)
    {
        if (index == 0) throw Malformed("refers to entry 0");
        if (index <= StaticTable.Length) return StaticTable[index - 1];
        var age = index - StaticTable.Length - 1;
        return age < _count
            ? _table[(_newest - age + _table.Length) % _table.Length]
            : throw Malformed($"refers to entry {index}, which is not in the table");
    }

    void Add(Entry entry)
    {
        Evict(entry.Bytes);
        // 4.4: an entry larger than the table empties it and is not added; that is no error.
        if (entry.Bytes > _bytesMax) return;
        _newest = (_newest + 1) % _table.Length;
        _table[_newest] = entry;
        _count++;
        _bytes += entry.Bytes;
    }

    void Evict(int room)
    {
        while (_count > 0 && _bytes + room > _bytesMax)
        {
            ref var oldest = ref _table[(_newest - _count + 1 + _table.Length) % _table.Length];
            _bytes -= oldest.Bytes;
            oldest = default;
            _count--;
        }
    }

    /// <summary>RFC 7541, appendix A, in order.</summary>
    static Entry[] ReadStaticTable()
    {
        ReadOnlySpan<string> fields =
        [
            ":authority", ":method GET", ":method POST", ":path /", ":path /index.html", ":scheme http", ":scheme https", ":status 200",
            ":status 204", ":status 206", ":status 304", ":status 400", ":status 404", ":status 500", "accept-charset",
            "accept-encoding gzip, deflate", "accept-language", "accept-ranges", "accept", "access-control-allow-origin", "age", "allow",
            "authorization", "cache-control", "content-disposition", "content-encoding", "content-language", "content-length",
            "content-location", "content-range", "content-type", "cookie", "date", "etag", "expect", "expires", "from", "host", "if-match",
            "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards",
            "proxy-authenticate", "proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie",
            "strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
        ];
        var table = new Entry[fields.Length];
        for (var i = 0; i < table.Length; i++)
        {
            var space = fields[i].IndexOf(' ', StringComparison.Ordinal);
            var name = Encoding.ASCII.GetBytes(space < 0 ? fields[i] : fields[i][..space]);
            table[i] = new Entry(KindOf(name), name, space < 0 ? [] : Encoding.ASCII.GetBytes(fields[i][(space + 1)..]));
        }

        return table;
    }

    readonly record struct Entry(HeaderKind Kind, byte[] Name, byte[] Value)
    {
        public int Bytes => Name.Length + Value.Length + EntryOverhead;
    }
}
