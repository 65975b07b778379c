using System.Buffers;
using System.Buffers.Text;

namespace Guestmark.Inventory;

/// <summary>Takes certificates out of PEM files (RFC 7468). Other things in such a file, as Red Hat's entitlement data, are passed over.</summary>
static class PemCertificate
{
    static ReadOnlySpan<byte> Begin => "-----BEGIN CERTIFICATE-----"u8;

    static ReadOnlySpan<byte> End => "-----END CERTIFICATE-----"u8;

    /// <summary>Takes the next certificate from the front of a file. At the end the rest of the file is empty.</summary>
    /// <param name="pem">The file; then what is behind the certificate, be it a good one or not.</param>
    /// <param name="der">Its bytes; empty when there is an error.</param>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? TryTake(ref ReadOnlySpan<byte> pem, out ReadOnlySpan<byte> der)
    {
        der = default;
        var text = pem;
        pem = default;
        var start = text.IndexOf(Begin);
        if (start < 0) return "has no certificate";
        text = text[(start + Begin.Length)..];
        var end = text.IndexOf(End);
        if (end < 0) return "has a certificate without an end";
        pem = text[(end + End.Length)..];
        var bytes = new byte[Base64.GetMaxDecodedFromUtf8Length(end)];
        // The decoder skips line ends.
        if (Base64.DecodeFromUtf8(text[..end], bytes, out _, out var written) != OperationStatus.Done) return "has a certificate that is not base64";
        der = bytes.AsSpan(0, written);
        return null;
    }
}
