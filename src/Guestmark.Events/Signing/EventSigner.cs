using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Events.Signing;

/// <summary>Signs what the host stamps. Safe for concurrent use.</summary>
public abstract class EventSigner : IDisposable
{
    byte[]? _keyIdBytes;
    byte[]? _keyIdDigest;

    /// <summary>Attribute <c>keyid</c>: tells a verifier which key to use.</summary>
    public abstract string KeyId { get; }

    /// <summary>The key that verifies, in PEM. Null of HMAC, whose key is secret as a whole.</summary>
    public virtual string? PublicKeyPem => null;

    /// <summary>Most bytes that <see cref="Sign"/> writes, at most 256.</summary>
    public abstract int SignatureBytesMax { get; }

    /// <summary>
    /// The key of this moment, where keys change. Taken once for each event: its <see cref="KeyId"/> is inside what its <see cref="Sign"/> signs.
    /// </summary>
    public virtual EventSigner Current => this;

    internal ReadOnlySpan<byte> KeyIdBytes => _keyIdBytes ??= Encoding.ASCII.GetBytes(KeyId);

    internal ReadOnlySpan<byte> KeyIdDigest => _keyIdDigest ??= SHA256.HashData(KeyIdBytes);

    /// <summary>Signs a message (not a digest of it).</summary>
    /// <param name="destination">At least <see cref="SignatureBytesMax"/> bytes.</param>
    /// <returns>Bytes of the signature.</returns>
    public abstract int Sign(ReadOnlySpan<byte> message, Span<byte> destination);

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}
