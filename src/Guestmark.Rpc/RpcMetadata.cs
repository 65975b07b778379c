using System.Collections;
using System.Text;

namespace Guestmark.Rpc;

/// <summary>
/// Names and values beside the messages of a call, in the order in which they were added. A name may occur several times.
/// </summary>
/// <remarks>
/// Names are lower-case letters, digits, <c>-</c>, <c>_</c> and <c>.</c>; those that end in <c>-bin</c> have bytes as values, which
/// travel as base64. Other values are printable ASCII. Names beginning with <c>grpc-</c> or <c>:</c> belong to the protocol
/// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
/// </remarks>
public sealed class RpcMetadata : IEnumerable<RpcMetadataEntry>
{
    const string BinarySuffix = "-bin";

    readonly List<RpcMetadataEntry> _entries = [];

    public int Count => _entries.Count;

    /// <exception cref="ArgumentException">The name is not a metadata name or ends in <c>-bin</c>, or the value is not printable ASCII.</exception>
    public void Add(string key, string value)
    {
        CheckKey(key);
        if (IsBinary(key)) throw new ArgumentException($"'{key}' takes bytes: its name ends in {BinarySuffix}", nameof(key));
        if (value.AsSpan().ContainsAnyExceptInRange(' ', '~')) throw new ArgumentException($"the value of '{key}' is not printable ASCII", nameof(value));
        _entries.Add(new RpcMetadataEntry(key, value));
    }

    /// <exception cref="ArgumentException">The name is not a metadata name that ends in <c>-bin</c>.</exception>
    public void Add(string key, ReadOnlySpan<byte> value)
    {
        CheckKey(key);
        if (!IsBinary(key)) throw new ArgumentException($"'{key}' takes text: only names that end in {BinarySuffix} take bytes", nameof(key));
        // Padding is optional on the wire and most implementations leave it out.
        _entries.Add(new RpcMetadataEntry(key, Convert.ToBase64String(value).TrimEnd('=')));
    }

    /// <summary>The first text value of a name. Null when there is none.</summary>
    public string? Get(string key)
    {
        foreach (var entry in _entries)
        {
            if (string.Equals(entry.Key, key, StringComparison.Ordinal)) return entry.Value;
        }

        return null;
    }

    /// <summary>The first value of a <c>-bin</c> name. Null when there is none or when the peer sent something that is not base64.</summary>
    public byte[]? GetBinary(string key) => IsBinary(key) && Get(key) is { } text ? Decode(text) : null;

    public List<RpcMetadataEntry>.Enumerator GetEnumerator() => _entries.GetEnumerator();

    IEnumerator<RpcMetadataEntry> IEnumerable<RpcMetadataEntry>.GetEnumerator() => _entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => _entries.GetEnumerator();

    internal static bool IsBinary(string key) => key.EndsWith(BinarySuffix, StringComparison.Ordinal);

    /// <summary>Adds what a peer sent, unless the header is the protocol's own.</summary>
    internal void AddReceived(string name, string value)
    {
        var key = name.ToLowerInvariant();
        if (IsReserved(key)) return;
        if (IsBinary(key) && value.Contains(',', StringComparison.Ordinal))
        {
            // Several values of one name may arrive joined, which base64 makes unambiguous.
            foreach (var part in value.Split(',', StringSplitOptions.TrimEntries)) _entries.Add(new RpcMetadataEntry(key, part));
            return;
        }

        _entries.Add(new RpcMetadataEntry(key, value));
    }

    internal static byte[]? Decode(string base64)
    {
        var missing = (4 - base64.Length % 4) % 4;
        var padded = missing == 0 ? base64 : base64 + new string('=', missing);
        var bytes = new byte[padded.Length / 4 * 3];
        return Convert.TryFromBase64String(padded, bytes, out var written) ? bytes[..written] : null;
    }

    static bool IsReserved(string key) =>
        key.StartsWith("grpc-", StringComparison.Ordinal) || key.StartsWith(':') || key is "content-type" or "te" or "host" or "content-length";

    static void CheckKey(string key)
    {
        if (key.Length == 0 || IsReserved(key)) throw new ArgumentException($"'{key}' is not a name for metadata: it belongs to the protocol", nameof(key));
        foreach (var c in key)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('-' or '_' or '.'))
                throw new ArgumentException($"'{key}' is not a name for metadata: allowed are a-z, 0-9, '-', '_' and '.'", nameof(key));
        }
    }
}

/// <summary>One value.</summary>
/// <param name="Value">As on the wire: base64 when the name ends in <c>-bin</c>.</param>
public readonly record struct RpcMetadataEntry(string Key, string Value)
{
    /// <summary>The value as bytes: decoded for a <c>-bin</c> name, ASCII otherwise. Null when a peer's value is not base64.</summary>
    public byte[]? Bytes => RpcMetadata.IsBinary(Key) ? RpcMetadata.Decode(Value) : Encoding.ASCII.GetBytes(Value);
}
