using System.Formats.Asn1;
using System.Security.Cryptography;

namespace Guestmark.Events.Signing;

/// <summary>An Ed25519 key (RFC 8032), private or public, in libcrypto. Safe for concurrent use.</summary>
sealed class Ed25519Key : IDisposable
{
    public const int KeyBytes = 32;
    public const int SignatureBytes = 64;
    const string Oid = "1.3.101.112";

    readonly LibCrypto.Key _key;

    Ed25519Key(LibCrypto.Key key, byte[] publicKey)
    {
        _key = key;
        PublicKey = publicKey;
    }

    public byte[] PublicKey { get; }

    /// <exception cref="CryptographicException">libcrypto refuses the bytes.</exception>
    /// <exception cref="DllNotFoundException">There is no libcrypto.so.3.</exception>
    public static Ed25519Key FromSeed(ReadOnlySpan<byte> seed)
    {
        var key = LibCrypto.EVP_PKEY_new_raw_private_key(LibCrypto.KeyTypeEd25519, 0, seed, (nuint)seed.Length);
        if (key.IsInvalid) throw Failure("the private key is refused");
        var publicKey = new byte[KeyBytes];
        var length = (nuint)KeyBytes;
        if (LibCrypto.EVP_PKEY_get_raw_public_key(key, publicKey, ref length) != 1 || length != KeyBytes) throw Failure("the public key cannot be had");
        return new Ed25519Key(key, publicKey);
    }

    /// <inheritdoc cref="FromSeed"/>
    public static Ed25519Key FromPublicKey(ReadOnlySpan<byte> publicKey)
    {
        var key = LibCrypto.EVP_PKEY_new_raw_public_key(LibCrypto.KeyTypeEd25519, 0, publicKey, (nuint)publicKey.Length);
        return key.IsInvalid ? throw Failure("the public key is refused") : new Ed25519Key(key, publicKey.ToArray());
    }

    /// <summary>
    /// RFC 8410 7: <c>OneAsymmetricKey ::= SEQUENCE { version INTEGER, privateKeyAlgorithm SEQUENCE { OID 1.3.101.112 }, privateKey OCTET STRING {
    /// OCTET STRING of 32 bytes }, [0] attributes OPTIONAL, [1] publicKey OPTIONAL }</c>. Null when the key is of another algorithm.
    /// </summary>
    /// <exception cref="AsnContentException">The bytes are not that.</exception>
    public static byte[]? SeedOfPkcs8(ReadOnlyMemory<byte> der)
    {
        var outer = new AsnReader(der, AsnEncodingRules.DER);
        var key = outer.ReadSequence();
        outer.ThrowIfNotEmpty();
        key.ReadInteger();
        if (!IsEd25519(key.ReadSequence())) return null;
        var seed = new AsnReader(key.ReadOctetString(), AsnEncodingRules.DER).ReadOctetString();
        return seed.Length == KeyBytes ? seed : throw new AsnContentException($"the key has {seed.Length} bytes and not {KeyBytes}");
    }

    /// <summary>RFC 8410 4: <c>SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE { OID 1.3.101.112 }, subjectPublicKey BIT STRING of 32 bytes }</c>.</summary>
    /// <inheritdoc cref="SeedOfPkcs8"/>
    public static byte[]? PublicKeyOfSpki(ReadOnlyMemory<byte> der)
    {
        var outer = new AsnReader(der, AsnEncodingRules.DER);
        var info = outer.ReadSequence();
        outer.ThrowIfNotEmpty();
        if (!IsEd25519(info.ReadSequence())) return null;
        var key = info.ReadBitString(out var unused);
        info.ThrowIfNotEmpty();
        return key.Length == KeyBytes && unused == 0 ? key : throw new AsnContentException($"the key has {key.Length} bytes and not {KeyBytes}");
    }

    public static byte[] Pkcs8(ReadOnlySpan<byte> seed)
    {
        var inner = new AsnWriter(AsnEncodingRules.DER);
        inner.WriteOctetString(seed);
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            writer.WriteInteger(0);
            using (writer.PushSequence()) writer.WriteObjectIdentifier(Oid);
            writer.WriteOctetString(inner.Encode());
        }

        return writer.Encode();
    }

    public static byte[] Spki(ReadOnlySpan<byte> publicKey)
    {
        var writer = new AsnWriter(AsnEncodingRules.DER);
        using (writer.PushSequence())
        {
            using (writer.PushSequence()) writer.WriteObjectIdentifier(Oid);
            writer.WriteBitString(publicKey);
        }

        return writer.Encode();
    }

    public void Sign(ReadOnlySpan<byte> message, Span<byte> signature)
    {
        using var context = LibCrypto.EVP_MD_CTX_new();
        var length = (nuint)SignatureBytes;
        if (context.IsInvalid || LibCrypto.EVP_DigestSignInit(context, 0, 0, 0, _key) != 1
            || LibCrypto.EVP_DigestSign(context, signature[..SignatureBytes], ref length, message, (nuint)message.Length) != 1 || length != SignatureBytes)
        {
            throw Failure("the signature cannot be made");
        }
    }

    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        using var context = LibCrypto.EVP_MD_CTX_new();
        if (context.IsInvalid || LibCrypto.EVP_DigestVerifyInit(context, 0, 0, 0, _key) != 1) throw Failure("signatures cannot be checked");
        var verified = LibCrypto.EVP_DigestVerify(context, signature, (nuint)signature.Length, message, (nuint)message.Length) == 1;
        if (!verified) LibCrypto.ERR_clear_error();
        return verified;
    }

    public void Dispose() => _key.Dispose();

    static bool IsEd25519(AsnReader algorithm) => algorithm.ReadObjectIdentifier() == Oid;

    static CryptographicException Failure(string what)
    {
        LibCrypto.ERR_clear_error();
        return new CryptographicException($"OpenSSL, Ed25519: {what}");
    }
}
