using System.Buffers.Binary;

namespace Guestmark.Agent.OpenSsl;

/// <summary>The key and the certificate that the agent shows: made at its start, kept in memory only.</summary>
/// <remarks>
/// Nobody verifies it. TLS asks a server for a certificate, and who connects is virt-handler, which reaches the machine through the
/// channel that it made and so knows whom it talks to. What matters is the other direction: the agent verifies its client.
/// </remarks>
sealed class TlsIdentity : IDisposable
{
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(365);

    // A guest's clock may be ahead of its host's.
    static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(5);

    TlsIdentity(KeyHandle key, CertificateHandle certificate)
    {
        Key = key;
        Certificate = certificate;
    }

    public KeyHandle Key { get; }

    public CertificateHandle Certificate { get; }

    /// <summary>A new P-256 key with a certificate that it signed itself.</summary>
    /// <exception cref="OpenSslException">OpenSSL is absent or fails.</exception>
    public static TlsIdentity Create(string commonName, TimeProvider time)
    {
        LibSsl.Load();
        LibSsl.ERR_clear_error();
        var key = CreateKey();
        var certificate = LibSsl.Check(LibSsl.X509_new(), "a certificate");
        try
        {
            // X.509 v3 is written as 2.
            LibSsl.Check(LibSsl.X509_set_version(certificate, 2) == 1, "the certificate's version");
            Span<byte> random = stackalloc byte[8];
            LibSsl.Check(LibSsl.RAND_bytes(random, random.Length) == 1, "random bytes");
            var serial = BinaryPrimitives.ReadInt64LittleEndian(random) & long.MaxValue;
            LibSsl.Check(LibSsl.ASN1_INTEGER_set_int64(LibSsl.X509_get_serialNumber(certificate), serial) == 1, "the certificate's number");

            var now = time.GetUtcNow();
            SetTime(LibSsl.X509_getm_notBefore(certificate), now - ClockSkew);
            SetTime(LibSsl.X509_getm_notAfter(certificate), now + Lifetime);

            var name = LibSsl.X509_get_subject_name(certificate);
            LibSsl.Check(LibSsl.X509_NAME_add_entry_by_txt(name, "CN", LibSsl.TextIsAscii, commonName, -1, -1, 0) == 1, "the certificate's name");
            LibSsl.Check(LibSsl.X509_set_issuer_name(certificate, name) == 1, "the certificate's issuer");
            LibSsl.Check(LibSsl.X509_set_pubkey(certificate, key) == 1, "the certificate's key");
            AddExtension(certificate, LibSsl.ExtensionBasicConstraints, "critical,CA:FALSE");
            AddExtension(certificate, LibSsl.ExtensionKeyUsage, "critical,digitalSignature");
            AddExtension(certificate, LibSsl.ExtensionExtendedKeyUsage, "serverAuth");
            AddExtension(certificate, LibSsl.ExtensionSubjectAlternativeName, "DNS:" + commonName);
            LibSsl.Check(LibSsl.X509_sign(certificate, key, LibSsl.EVP_sha256()) > 0, "signing the certificate");
            return new TlsIdentity(key, certificate);
        }
        catch
        {
            certificate.Dispose();
            key.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Certificate.Dispose();
        Key.Dispose();
    }

    static KeyHandle CreateKey()
    {
        var context = LibSsl.EVP_PKEY_CTX_new_id(LibSsl.KeyTypeEc, 0);
        LibSsl.Check(context != 0, "a key");
        try
        {
            LibSsl.Check(LibSsl.EVP_PKEY_keygen_init(context) == 1, "a key");
            LibSsl.Check(LibSsl.EVP_PKEY_CTX_ctrl_str(context, "ec_paramgen_curve", "P-256") == 1, "the key's curve");
            // 1.1.1 would otherwise be free to write the curve's parameters out, which peers refuse.
            LibSsl.Check(LibSsl.EVP_PKEY_CTX_ctrl_str(context, "ec_param_enc", "named_curve") == 1, "the key's encoding");
            nint key = 0;
            LibSsl.Check(LibSsl.EVP_PKEY_keygen(context, ref key) == 1, "a key");
            return new KeyHandle(key);
        }
        finally
        {
            LibSsl.EVP_PKEY_CTX_free(context);
        }
    }

    static void SetTime(nint field, DateTimeOffset time) =>
        LibSsl.Check(LibSsl.ASN1_TIME_set(field, (nint)time.ToUnixTimeSeconds()) != 0, "the certificate's lifetime");

    static void AddExtension(CertificateHandle certificate, int id, string value)
    {
        var extension = LibSsl.X509V3_EXT_conf_nid(0, 0, id, value);
        LibSsl.Check(extension != 0, "an extension of the certificate");
        try
        {
            LibSsl.Check(LibSsl.X509_add_ext(certificate, extension, -1) == 1, "an extension of the certificate");
        }
        finally
        {
            LibSsl.X509_EXTENSION_free(extension);
        }
    }
}
