using System.Security.Cryptography;

namespace Guestmark.Events.Signing;

/// <summary><see cref="SigningAlgorithm.EcdsaP256"/>.</summary>
sealed class EcdsaP256Signer(ECDsa key, string keyId) : EventSigner
{
    public const int SignatureBytes = 64;

    public override string KeyId => keyId;

    public override string PublicKeyPem => key.ExportSubjectPublicKeyInfoPem();

    public override int SignatureBytesMax => SignatureBytes;

    public override int Sign(ReadOnlySpan<byte> message, Span<byte> destination) =>
        key.SignData(message, destination, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);

    protected override void Dispose(bool disposing) => key.Dispose();
}
