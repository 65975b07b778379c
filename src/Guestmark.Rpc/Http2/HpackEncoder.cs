using System.Text;

namespace Guestmark.Rpc.Http2;

/// <summary>
/// Header compression of one connection (RFC 7541). What repeats with every request goes into the peer's table once and costs one
/// byte afterwards; what differs is sent as a literal. Entries are added while the table has room and never evicted.
/// </summary>
sealed class HpackEncoder(string scheme, string authority)
{
    const int StaticEntries = 61;
    const int EntryOverhead = 32;
    const byte MethodPost = 0x80 | 3;
    const byte SchemeHttp = 0x80 | 6;
    const byte SchemeHttps = 0x80 | 7;

    readonly byte _scheme = scheme switch
    {
        "http" => SchemeHttp,
        "https" => SchemeHttps,
        _ => throw new ArgumentException($"'{scheme}' is not a scheme of HTTP", nameof(scheme)),
    };

    readonly Dictionary<(string Name, string Value), int> _added = [];

    /// <summary>The finished fields of each path. Indices shift when an entry is added, so a block holds for one number of entries.</summary>
    readonly Dictionary<string, (int Entries, byte[] Block)> _blocks = [];
    int _bytes;
    int _bytesMax = 4096;
    int? _announcedSize;

    /// <summary>The peer's SETTINGS_HEADER_TABLE_SIZE. A table smaller than what is used is emptied and used no more.</summary>
    public void LimitTable(uint bytesMax)
    {
        if (bytesMax >= _bytesMax) return;
        if (bytesMax >= _bytes)
        {
            // 4.2: the smaller size must be acknowledged at the start of the next block.
            _bytesMax = (int)bytesMax;
            _announcedSize = _bytesMax;
            return;
        }

        _added.Clear();
        _blocks.Clear();
        _bytes = 0;
        _bytesMax = 0;
        _announcedSize = 0;
    }

    public void EncodeRequest(OutputBuffer output, string path, string? timeout, RpcMetadata? metadata)
    {
        if (_announcedSize is { } size)
        {
            WriteInteger(output, 0x20, 5, size);
            _announcedSize = null;
        }

        if (_blocks.TryGetValue(path, out var known) && known.Entries == _added.Count) output.Append(known.Block);
        else EncodeRepeated(output, path);
        if (timeout is not null) WriteLiteral(output, 0x00, "grpc-timeout", timeout);
        if (metadata is null) return;
        foreach (var entry in metadata) WriteLiteral(output, 0x00, entry.Key, entry.Value);
    }

    void EncodeRepeated(OutputBuffer output, string path)
    {
        var start = output.Length;
        var entries = _added.Count;
        var first = output.Append(2);
        first[0] = MethodPost;
        first[1] = _scheme;
        WriteRepeated(output, ":path", path);
        WriteRepeated(output, ":authority", authority);
        WriteRepeated(output, "te", "trailers");
        WriteRepeated(output, "content-type", "application/grpc");
        WriteRepeated(output, "user-agent", "guestmark");
        if (entries == _added.Count) _blocks[path] = (entries, output.From(start).ToArray());
    }

    void WriteRepeated(OutputBuffer output, string name, string value)
    {
        if (_added.TryGetValue((name, value), out var position))
        {
            // The newest entry has the lowest index.
            WriteInteger(output, 0x80, 7, StaticEntries + _added.Count - position);
            return;
        }

        var size = name.Length + value.Length + EntryOverhead;
        if (_bytes + size > _bytesMax)
        {
            WriteLiteral(output, 0x00, name, value);
            return;
        }

        WriteLiteral(output, 0x40, name, value);
        _added.Add((name, value), _added.Count);
        _bytes += size;
    }

    /// <summary>6.2 with a new name: pattern and index 0, then name and value as plain strings.</summary>
    static void WriteLiteral(OutputBuffer output, byte pattern, string name, string value)
    {
        output.Append(1)[0] = pattern;
        WriteString(output, name);
        WriteString(output, value);
    }

    static void WriteString(OutputBuffer output, string text)
    {
        WriteInteger(output, 0x00, 7, text.Length);
        Encoding.ASCII.GetBytes(text, output.Append(text.Length));
    }

    /// <summary>5.1: N-bit prefix, then 7 bits a byte, least significant first.</summary>
    static void WriteInteger(OutputBuffer output, byte pattern, int prefixBits, int value)
    {
        var mask = (1 << prefixBits) - 1;
        if (value < mask)
        {
            output.Append(1)[0] = (byte)(pattern | value);
            return;
        }

        output.Append(1)[0] = (byte)(pattern | mask);
        for (value -= mask; value >= 0x80; value >>= 7) output.Append(1)[0] = (byte)(value & 0x7F | 0x80);
        output.Append(1)[0] = (byte)value;
    }
}
