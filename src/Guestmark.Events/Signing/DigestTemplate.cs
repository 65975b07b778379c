using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Events.Signing;

/// <summary>The digests of what the events of one type on one channel have in common: a signed stamp makes only those that change.</summary>
/// <remarks>The layout is that of <see cref="EventDigest"/>.</remarks>
sealed class DigestTemplate
{
    readonly byte[] _material;
    readonly int _keyId;
    readonly int _sequence;
    readonly int _stream;
    StreamDigest _lastStream = new("", SHA256.HashData([]));

    /// <param name="extensions">Attributes beside <c>keyid</c>, <c>sequence</c> and <c>stream</c>.</param>
    public DigestTemplate(string source, string specVersion, string type, string dataSchema, string subject, IEnumerable<(string Name, string Value)> extensions)
    {
        List<(string Name, string Value)> sorted = [.. extensions, ("keyid", ""), ("sequence", ""), ("stream", "")];
        sorted.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        _material = new byte[EventDigest.CoreBytes + sorted.Count * EventDigest.ExtensionBytes];
        string[] core = ["", source, specVersion, type, EventDigest.ProtobufContentType, dataSchema, subject];
        for (var i = 1; i < core.Length; i++) Hash(core[i], i * EventDigest.Bytes);
        var at = EventDigest.CoreBytes;
        foreach (var (name, value) in sorted)
        {
            Hash(name, at);
            Hash(value, at + EventDigest.Bytes);
            switch (name)
            {
                case "keyid": _keyId = at + EventDigest.Bytes; break;
                case "sequence": _sequence = at + EventDigest.Bytes; break;
                case "stream": _stream = at + EventDigest.Bytes; break;
            }

            at += EventDigest.ExtensionBytes;
        }

        void Hash(string text, int at) => SHA256.HashData(Encoding.UTF8.GetBytes(text), _material.AsSpan(at, EventDigest.Bytes));
    }

    /// <summary>The digest of one event.</summary>
    public void Compute(
        ReadOnlySpan<byte> id, ReadOnlySpan<byte> time, ReadOnlySpan<byte> data, ReadOnlySpan<byte> keyIdDigest, string stream, ReadOnlySpan<byte> sequence,
        Span<byte> destination)
    {
        Span<byte> material = stackalloc byte[_material.Length];
        _material.CopyTo(material);
        SHA256.HashData(id, material[EventDigest.IdAt..]);
        SHA256.HashData(time, material[EventDigest.TimeAt..]);
        SHA256.HashData(data, material[EventDigest.DataAt..]);
        SHA256.HashData(sequence, material[_sequence..]);
        keyIdDigest.CopyTo(material[_keyId..]);
        var last = _lastStream;
        if (!string.Equals(last.Stream, stream, StringComparison.Ordinal)) _lastStream = last = new StreamDigest(stream, SHA256.HashData(Encoding.UTF8.GetBytes(stream)));
        last.Digest.CopyTo(material[_stream..]);
        SHA256.HashData(material, destination);
    }

    // One object, so that two threads never see the name of one stream and the digest of another.
    sealed record StreamDigest(string Stream, byte[] Digest);
}
