using System.Formats.Asn1;
using System.Security.Cryptography;
using Guestmark.Events.Signing;

namespace Guestmark.Events.Verification;

/// <summary>A key that checks signatures, of one algorithm: what an event says about itself cannot choose another.</summary>
sealed class VerificationKey
{
    readonly ECDsa? _ecdsa;
    readonly Ed25519Key? _ed25519;
    readonly byte[]? _secret;

    VerificationKey(SigningAlgorithm algorithm, string derivedId, byte[] identity, ECDsa? ecdsa = null, Ed25519Key? ed25519 = null, byte[]? secret = null)
    {
        (Algorithm, DerivedId, Identity, _ecdsa, _ed25519, _secret) = (algorithm, derivedId, identity, ecdsa, ed25519, secret);
    }

    public SigningAlgorithm Algorithm { get; }

    /// <summary>The id that the key has by itself.</summary>
    public string DerivedId { get; }

    /// <summary>Equal where keys are equal.</summary>
    public byte[] Identity { get; }

    /// <param name="der">A SubjectPublicKeyInfo.</param>
    /// <exception cref="SigningKeyException">It is of no algorithm that is known.</exception>
    public static VerificationKey OfSpki(string file, byte[] der)
    {
        try
        {
            if (Ed25519Key.PublicKeyOfSpki(der) is { } publicKey) return OfEd25519(publicKey);
            var ecdsa = ECDsa.Create();
            ecdsa.ImportSubjectPublicKeyInfo(der, out var read);
            if (read == der.Length && SigningKeyFile.IsP256(ecdsa))
                return new VerificationKey(SigningAlgorithm.EcdsaP256, KeyId.OfPublicKey(der), der, ecdsa: ecdsa);
            ecdsa.Dispose();
            throw new SigningKeyException(file, "holds a key on another curve than P-256");
        }
        catch (Exception e) when (e is CryptographicException or AsnContentException)
        {
            throw new SigningKeyException(file, "holds no public key of ECDSA P-256 or Ed25519", e);
        }
    }

    public static VerificationKey OfP256Point(string file, byte[] x, byte[] y)
    {
        try
        {
            using var ecdsa = ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new ECPoint { X = x, Y = y } });
            return OfSpki(file, ecdsa.ExportSubjectPublicKeyInfo());
        }
        catch (CryptographicException e)
        {
            throw new SigningKeyException(file, "holds coordinates that are no point of P-256", e);
        }
    }

    /// <exception cref="CryptographicException">It is no key.</exception>
    public static VerificationKey OfEd25519(byte[] publicKey)
    {
        var spki = Ed25519Key.Spki(publicKey);
        return new VerificationKey(SigningAlgorithm.Ed25519, KeyId.OfPublicKey(spki), spki, ed25519: Ed25519Key.FromPublicKey(publicKey));
    }

    public static VerificationKey OfSecret(byte[] secret) => new(SigningAlgorithm.HmacSha256, KeyId.OfSecret(secret), SHA256.HashData(secret), secret: secret);

    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        if (_ed25519 is not null) return _ed25519.Verify(message, signature);
        if (_ecdsa is not null)
        {
            return signature.Length == EcdsaP256Signer.SignatureBytes
                && _ecdsa.VerifyData(message, signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }

        Span<byte> expected = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(_secret, message, expected);
        return CryptographicOperations.FixedTimeEquals(expected, signature);
    }
}
