using System.Buffers.Binary;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads the signature packets that rpm keeps in headers: OpenPGP of RFC 4880 and RFC 9580, versions 3, 4 and 6.</summary>
/// <remarks>
/// Numbers are big-endian.
/// <code>
/// packet, old format: 10TTTTLL (T = 2, L = 0 to 2: the length has 1, 2, 4 bytes; 3: to the end), length, body
/// packet, new format: 11TTTTTT, length: &lt; 192 one byte; 192 to 223 two bytes ((b0 - 192) &lt;&lt; 8) + b1 + 192; 255 u32, body
/// version 3:    3, 5, type u8, created u32, key id 8 bytes, public-key algorithm u8, hash algorithm u8, ...
/// version 4, 6: 4 | 6, type u8, public-key algorithm u8, hash algorithm u8, length of hashed subpackets, these, length of unhashed
///               subpackets, these, ...    (both lengths u16 in version 4, u32 in version 6)
/// subpacket:    length as of a packet in new format, type u8 (highest bit: critical), body
///               2: created u32; 16: key id 8 bytes; 33: version of the key u8, fingerprint (4: 20 bytes, 6: 32 bytes)
/// </code>
/// The key id is the end of a fingerprint of version 4 and the front of one of version 6.
/// </remarks>
static class OpenPgpPacket
{
    const int SignatureTag = 2;
    const int KeyIdBytes = 8;
    const int FingerprintV4Bytes = 20;
    const int FingerprintV6Bytes = 32;
    const byte SubpacketCreated = 2;
    const byte SubpacketKeyId = 16;
    const byte SubpacketFingerprint = 33;

    static ReadOnlySpan<byte> Digits => "0123456789abcdef"u8;

    /// <summary>The first packet of <paramref name="bytes"/>. Null when it is no signature, is cut off or has another version.</summary>
    public static OpenPgpSignature? Read(ReadOnlySpan<byte> bytes, TextPool pool)
    {
        var body = Body(bytes);
        if (body.Length == 0) return null;
        return body[0] switch
        {
            3 => ReadVersion3(body, pool),
            4 => ReadVersion4(body, lengthBytes: 2, pool),
            6 => ReadVersion4(body, lengthBytes: 4, pool),
            _ => null,
        };
    }

    static ReadOnlySpan<byte> Body(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 2 || bytes[0] < 0x80) return default;
        var rest = bytes[1..];
        uint length;
        if ((bytes[0] & 0x40) != 0)
        {
            if ((bytes[0] & 0x3f) != SignatureTag || !TryLength(ref rest, out length)) return default;
        }
        else
        {
            if (((bytes[0] >> 2) & 0xf) != SignatureTag) return default;
            var lengthType = bytes[0] & 3;
            if (lengthType == 3) return rest;
            var lengthBytes = 1 << lengthType;
            if (rest.Length < lengthBytes) return default;
            length = 0;
            foreach (var next in rest[..lengthBytes]) length = (length << 8) | next;
            rest = rest[lengthBytes..];
        }

        return length <= (uint)rest.Length ? rest[..(int)length] : default;
    }

    static OpenPgpSignature? ReadVersion3(ReadOnlySpan<byte> body, TextPool pool)
    {
        if (body.Length < 17 || body[1] != 5) return null;
        return new OpenPgpSignature(body[15], body[16], BinaryPrimitives.ReadUInt32BigEndian(body[3..]), KeyId(body[7..15], pool));
    }

    static OpenPgpSignature? ReadVersion4(ReadOnlySpan<byte> body, int lengthBytes, TextPool pool)
    {
        if (body.Length < 4) return null;
        uint? created = null;
        ReadOnlySpan<byte> keyId = default;
        var rest = body[4..];
        // Hashed ones first: what is only unhashed can be put there by anybody, and is taken for lack of better.
        for (var area = 0; area < 2; area++)
        {
            if (rest.Length < lengthBytes) return null;
            var length = lengthBytes == 2 ? BinaryPrimitives.ReadUInt16BigEndian(rest) : BinaryPrimitives.ReadUInt32BigEndian(rest);
            rest = rest[lengthBytes..];
            if (length > (uint)rest.Length || !ReadSubpackets(rest[..(int)length], ref created, ref keyId)) return null;
            rest = rest[(int)length..];
        }

        return new OpenPgpSignature(body[2], body[3], created, KeyId(keyId, pool));
    }

    static bool ReadSubpackets(ReadOnlySpan<byte> rest, ref uint? created, ref ReadOnlySpan<byte> keyId)
    {
        while (rest.Length > 0)
        {
            if (!TryLength(ref rest, out var length) || length == 0 || length > (uint)rest.Length) return false;
            var subpacket = rest[1..(int)length];
            switch (rest[0] & 0x7f)
            {
                case SubpacketCreated when subpacket.Length == 4:
                    created ??= BinaryPrimitives.ReadUInt32BigEndian(subpacket);
                    break;
                case SubpacketKeyId when subpacket.Length == KeyIdBytes && keyId.Length == 0:
                    keyId = subpacket;
                    break;
                case SubpacketFingerprint when subpacket.Length == 1 + FingerprintV4Bytes && subpacket[0] == 4 && keyId.Length == 0:
                    keyId = subpacket[^KeyIdBytes..];
                    break;
                case SubpacketFingerprint when subpacket.Length == 1 + FingerprintV6Bytes && subpacket[0] == 6 && keyId.Length == 0:
                    keyId = subpacket.Slice(1, KeyIdBytes);
                    break;
            }

            rest = rest[(int)length..];
        }

        return true;
    }

    /// <summary>A length of the new format. Partial lengths (224 to 254) are for streams and not allowed in signatures.</summary>
    static bool TryLength(ref ReadOnlySpan<byte> rest, out uint length)
    {
        length = 0;
        if (rest.Length == 0) return false;
        var first = rest[0];
        var bytes = first < 192 ? 1 : first < 224 ? 2 : first == 255 ? 5 : 0;
        if (bytes == 0 || rest.Length < bytes) return false;
        length = bytes switch
        {
            1 => first,
            2 => (uint)(((first - 192) << 8) + rest[1] + 192),
            _ => BinaryPrimitives.ReadUInt32BigEndian(rest[1..]),
        };
        rest = rest[bytes..];
        return true;
    }

    static string KeyId(ReadOnlySpan<byte> keyId, TextPool pool)
    {
        Span<byte> text = stackalloc byte[2 * keyId.Length];
        for (var i = 0; i < keyId.Length; i++)
        {
            text[2 * i] = Digits[keyId[i] >> 4];
            text[(2 * i) + 1] = Digits[keyId[i] & 0xf];
        }

        return pool.Text(text);
    }
}
