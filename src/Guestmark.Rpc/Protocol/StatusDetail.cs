using System.Globalization;
using System.Text;

namespace Guestmark.Rpc.Protocol;

/// <summary>
/// The text of grpc-message: UTF-8 with every byte outside 0x20-0x7E, and '%', written as %XX.
/// </summary>
static class StatusDetail
{
    /// <summary>Headers are bounded (Kestrel: 32 KiB), so a long detail is cut rather than the whole status lost.</summary>
    const int BytesMax = 4096;

    public static string Encode(string detail)
    {
        var isPlain = !detail.AsSpan().ContainsAnyExceptInRange(' ', '~') && !detail.Contains('%', StringComparison.Ordinal);
        if (isPlain && detail.Length <= BytesMax) return detail;
        var text = new StringBuilder(detail.Length + 16);
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var rune in detail.EnumerateRunes())
        {
            if (text.Length > BytesMax - 12) break;
            var length = rune.EncodeToUtf8(utf8);
            foreach (var b in utf8[..length])
            {
                if (b is >= 0x20 and <= 0x7E and not (byte)'%') text.Append((char)b);
                else text.Append('%').Append(b.ToString("X2", CultureInfo.InvariantCulture));
            }
        }

        return text.ToString();
    }

    /// <summary>Decodes what it can: a '%' without two hexadecimal digits stands for itself, as the specification asks.</summary>
    public static string Decode(string encoded)
    {
        if (!encoded.Contains('%', StringComparison.Ordinal)) return encoded;
        var bytes = new List<byte>(encoded.Length);
        for (var i = 0; i < encoded.Length; i++)
        {
            var c = encoded[i];
            if (c == '%' && i + 2 < encoded.Length &&
                byte.TryParse(encoded.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var b))
            {
                bytes.Add(b);
                i += 2;
            }
            else
            {
                bytes.Add(c <= 0x7E ? (byte)c : (byte)'?');
            }
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }
}
