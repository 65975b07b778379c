using System.Security.Cryptography;

namespace Guestmark.Events.Signing;

/// <summary>Ids of keys.</summary>
/// <remarks>
/// The id that a key has by itself is the first 16 hexadecimal digits of SHA-256 over its SubjectPublicKeyInfo, or over a prefix and the key
/// where the key is secret: without the prefix the id would be a digest that the key may have elsewhere.
/// </remarks>
public static class KeyId
{
    public const int LengthMax = 64;
    const int DigestBytes = 8;

    static ReadOnlySpan<byte> SecretPrefix => "guestmark hmac-sha256 key id v1\0"u8;

    /// <summary>Whether a text can be a key's id: 1 to 64 letters, digits, <c>-</c>, <c>_</c>, <c>.</c>, <c>:</c> or <c>@</c>.</summary>
    public static bool IsValid(string text) =>
        text.Length is >= 1 and <= LengthMax && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or ':' or '@');

    internal static string OfPublicKey(ReadOnlySpan<byte> subjectPublicKeyInfo) => Convert.ToHexStringLower(SHA256.HashData(subjectPublicKeyInfo).AsSpan(0, DigestBytes));

    internal static string OfSecret(ReadOnlySpan<byte> secret) => Convert.ToHexStringLower(SHA256.HashData([.. SecretPrefix, .. secret]).AsSpan(0, DigestBytes));
}
