using System.Buffers.Binary;

namespace Guestmark.Inventory.Os;

/// <summary>Tells until when an X.509 certificate is valid, and reads nothing else of it.</summary>
/// <remarks>
/// DER (X.690), RFC 5280 section 4.1:
/// <code>
/// Certificate    ::= SEQUENCE { tbsCertificate TBSCertificate, … }
/// TBSCertificate ::= SEQUENCE { version [0] OPTIONAL, serialNumber INTEGER, signature SEQUENCE, issuer SEQUENCE,
///                               validity SEQUENCE { notBefore Time, notAfter Time }, … }
/// Time           ::= UTCTime "YYMMDDhhmmssZ" (00 to 49 are 20YY) | GeneralizedTime "YYYYMMDDhhmmssZ"
/// </code>
/// The certificate is not verified: this tells a person what to do, it guards nothing.
/// </remarks>
static class CertificateValidity
{
    const byte Integer = 0x02;
    const byte UtcTime = 0x17;
    const byte GeneralizedTime = 0x18;
    const byte Sequence = 0x30;
    const byte Version = 0xa0;

    /// <summary>Reads the first certificate of a PEM file (RFC 7468).</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? ReadPem(ReadOnlySpan<byte> pem, out DateTimeOffset notAfter)
    {
        notAfter = default;
        return PemCertificate.TryTake(ref pem, out var der) ?? ReadDer(der, out notAfter);
    }

    /// <summary>Reads a certificate.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? ReadDer(ReadOnlySpan<byte> der, out DateTimeOffset notAfter)
    {
        notAfter = default;
        if (!TryTake(ref der, out var tag, out var certificate) || tag != Sequence) return "has a certificate that is not a SEQUENCE";
        if (!TryTake(ref certificate, out tag, out var body) || tag != Sequence) return "has a certificate without a body";
        var ok = TryTake(ref body, out tag, out var value);
        if (ok && tag == Version) ok = TryTake(ref body, out tag, out value);
        ok = ok && tag == Integer
            && TryTake(ref body, out tag, out value) && tag == Sequence
            && TryTake(ref body, out tag, out value) && tag == Sequence;
        if (!ok) return "has a certificate without a serial number, a signature's name or an issuer";
        if (!TryTake(ref body, out tag, out var validity) || tag != Sequence
            || !TryTake(ref validity, out _, out _) || !TryTake(ref validity, out tag, out var time))
            return "has a certificate without a time of its end";
        return TryReadTime(tag, time, out notAfter) ? null : "has a certificate whose time of its end cannot be read";
    }

    /// <summary>Takes an element from the front: its tag, its length (short, or long form of up to 4 bytes), its content.</summary>
    static bool TryTake(ref ReadOnlySpan<byte> der, out byte tag, out ReadOnlySpan<byte> content)
    {
        tag = 0;
        content = default;
        if (der.Length < 2) return false;
        tag = der[0];
        long length = der[1];
        var header = 2;
        if (length > 0x7f)
        {
            var bytes = (int)length & 0x7f;
            if (bytes is 0 or > 4 || der.Length < 2 + bytes) return false;
            Span<byte> padded = stackalloc byte[4];
            padded.Clear();
            der.Slice(2, bytes).CopyTo(padded[(4 - bytes)..]);
            length = BinaryPrimitives.ReadUInt32BigEndian(padded);
            header += bytes;
        }

        if (length > der.Length - header) return false;
        content = der.Slice(header, (int)length);
        der = der[(header + (int)length)..];
        return true;
    }

    static bool TryReadTime(byte tag, ReadOnlySpan<byte> text, out DateTimeOffset time)
    {
        time = default;
        var yearDigits = tag switch { UtcTime => 2, GeneralizedTime => 4, _ => 0 };
        if (yearDigits == 0 || text.Length != yearDigits + 11 || text[^1] != 'Z'
            || text[..^1].IndexOfAnyExceptInRange((byte)'0', (byte)'9') >= 0) return false;
        var year = Number(text[..yearDigits]);
        if (yearDigits == 2) year += year < 50 ? 2000 : 1900;
        text = text[yearDigits..];
        var (month, day) = (Number(text[..2]), Number(text[2..4]));
        var (hour, minute, second) = (Number(text[4..6]), Number(text[6..8]), Number(text[8..10]));
        if (year == 0 || month is 0 or > 12 || day == 0 || day > DateTime.DaysInMonth(year, month)
            || hour > 23 || minute > 59 || second > 59) return false;
        time = new DateTimeOffset(year, month, day, hour, minute, second, TimeSpan.Zero);
        return true;

        static int Number(ReadOnlySpan<byte> digits)
        {
            var number = 0;
            foreach (var digit in digits) number = (number * 10) + digit - '0';
            return number;
        }
    }
}
