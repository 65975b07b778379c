using System.Security.Cryptography;

namespace Guestmark.Events.Signing;

/// <summary><see cref="SigningAlgorithm.HmacSha256"/>.</summary>
sealed class HmacSha256Signer(byte[] key, string keyId) : EventSigner
{
    /// <summary>NIST SP 800-107: a key shorter than the digest lowers the strength.</summary>
    public const int KeyBytesMin = 32;

    public override string KeyId => keyId;

    public override int SignatureBytesMax => HMACSHA256.HashSizeInBytes;

    public override int Sign(ReadOnlySpan<byte> message, Span<byte> destination) => HMACSHA256.HashData(key, message, destination);

    protected override void Dispose(bool disposing) => CryptographicOperations.ZeroMemory(key);
}
