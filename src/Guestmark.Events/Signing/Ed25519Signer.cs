using System.Security.Cryptography;

namespace Guestmark.Events.Signing;

/// <summary><see cref="SigningAlgorithm.Ed25519"/>.</summary>
sealed class Ed25519Signer(Ed25519Key key, string keyId) : EventSigner
{
    public override string KeyId => keyId;

    public override string PublicKeyPem => PemEncoding.WriteString("PUBLIC KEY", Ed25519Key.Spki(key.PublicKey));

    public override int SignatureBytesMax => Ed25519Key.SignatureBytes;

    public override int Sign(ReadOnlySpan<byte> message, Span<byte> destination)
    {
        key.Sign(message, destination);
        return Ed25519Key.SignatureBytes;
    }

    protected override void Dispose(bool disposing) => key.Dispose();
}
