using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

namespace Guestmark.Agent.OpenSsl;

/// <summary>OpenSSL of this machine cannot do what it should: it is absent, or has no memory or no randomness.</summary>
sealed class OpenSslException(string message) : Exception(message);

/// <summary>The functions of the system's libssl and libcrypto that are used.</summary>
/// <remarks>
/// Only functions that both OpenSSL 1.1.1 (RHEL 8) and 3.x (RHEL 9 and later) export; what is a macro in either is spelled out by its
/// <c>*_ctrl</c> call. .NET's SslStream with CertificateRequest would do the same, and costs 4.1 MB in a program of 6.
/// </remarks>
static partial class LibSsl
{
    const string Ssl = "guestmark-ssl";
    const string Crypto = "guestmark-crypto";

    // Newest first: where both are installed, 1.1 is there for old programs only.
    static readonly string[] Versions = ["3", "1.1"];

    static readonly Lock Loading = new();
    static nint _ssl;
    static nint _crypto;
    static bool _loaded;

    public const int ErrorWantRead = 2;
    public const int ErrorZeroReturn = 6;

    public const int VerifyPeer = 1;
    public const int VerifyFailIfNoPeerCertificate = 2;

    public const int ControlMode = 33;
    public const int ControlSetSessionCacheMode = 44;
    public const int ControlSetMinimumProtocol = 123;
    public const int BioControlSetMemoryEndResult = 130;

    public const int Tls12 = 0x0303;
    public const int SessionCacheOff = 0;
    public const int ModeReleaseBuffers = 0x10;

    public const ulong OptionNoTicket = 1UL << 14;
    public const ulong OptionNoCompression = 1UL << 17;
    public const ulong OptionServerPreference = 1UL << 22;
    public const ulong OptionNoRenegotiation = 1UL << 30;

    public const uint VerifyPartialChain = 0x8_0000;

    public const int KeyTypeEc = 408;
    public const int TextIsAscii = 0x1001;
    public const int ExtensionKeyUsage = 83;
    public const int ExtensionSubjectAlternativeName = 85;
    public const int ExtensionBasicConstraints = 87;
    public const int ExtensionExtendedKeyUsage = 126;

    // ERR_LIB_PEM and PEM_R_NO_START_LINE.
    const ulong PemLibrary = 9;
    const ulong PemNoStartLine = 108;
    const ulong Version3 = 0x3000_0000;

    /// <summary>Finds the libraries. Any number of times, from any thread.</summary>
    /// <exception cref="OpenSslException">Neither version is there.</exception>
    public static void Load()
    {
        lock (Loading)
        {
            if (_loaded) return;
            foreach (var version in Versions)
            {
                // Both of the same version, or else their structures do not fit each other.
                if (!NativeLibrary.TryLoad($"libcrypto.so.{version}", out var crypto)) continue;
                if (!NativeLibrary.TryLoad($"libssl.so.{version}", out var ssl)) continue;
                (_crypto, _ssl) = (crypto, ssl);
                NativeLibrary.SetDllImportResolver(typeof(LibSsl).Assembly, Resolve);
                _loaded = true;
                return;
            }
        }

        throw new OpenSslException(
            "neither libssl.so.3 nor libssl.so.1.1 is there with its libcrypto; install the distribution's OpenSSL (libssl3 or openssl-libs)");
    }

    static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name switch
    {
        Ssl => _ssl,
        Crypto => _crypto,
        _ => 0,
    };

    /// <summary>What went wrong first, and empties the thread's queue of errors. "no reason given" when the queue is empty.</summary>
    public static string TakeErrors()
    {
        string? first = null;
        Span<byte> text = stackalloc byte[256];
        // The queue has 16 places.
        for (var i = 0; i < 16 && ERR_get_error() is var error and not 0; i++)
        {
            if (first is not null) continue;
            ERR_error_string_n(error, text, (nuint)text.Length);
            var end = text.IndexOf((byte)0);
            // error:0A00010B:SSL routines::wrong version number - a person needs what follows the last colon.
            var line = Encoding.UTF8.GetString(end < 0 ? text : text[..end]);
            first = line[(line.LastIndexOf(':') + 1)..];
        }

        return first is { Length: > 0 } ? first : "no reason given";
    }

    /// <summary>Whether the newest error says that no further PEM block begins in the input, which is how its end is told.</summary>
    public static bool IsEndOfPem()
    {
        // 1.1.1 packs library(8) function(12) reason(12), 3.x system(1) library(8) reason(23): the library is at another place.
        var error = ERR_peek_last_error();
        var library = OpenSSL_version_num() >= Version3 ? (error >> 23) & 0xff : (error >> 24) & 0xff;
        return library == PemLibrary && (error & 0xfff) == PemNoStartLine;
    }

    public static OpenSslException Failure(string what) => new($"OpenSSL: {what}: {TakeErrors()}");

    public static T Check<T>(T handle, string what)
        where T : OpenSslHandle => handle.IsInvalid ? throw Failure(what) : handle;

    public static void Check(bool done, string what)
    {
        if (!done) throw Failure(what);
    }

    [LibraryImport(Crypto)]
    private static partial ulong OpenSSL_version_num();

    [LibraryImport(Crypto)]
    public static partial void ERR_clear_error();

    [LibraryImport(Crypto)]
    private static partial ulong ERR_get_error();

    [LibraryImport(Crypto)]
    private static partial ulong ERR_peek_last_error();

    [LibraryImport(Crypto)]
    private static partial void ERR_error_string_n(ulong error, Span<byte> text, nuint size);

    [LibraryImport(Crypto)]
    public static partial int RAND_bytes(Span<byte> bytes, int length);

    [LibraryImport(Crypto)]
    public static partial nint EVP_PKEY_CTX_new_id(int type, nint engine);

    [LibraryImport(Crypto)]
    public static partial void EVP_PKEY_CTX_free(nint context);

    [LibraryImport(Crypto)]
    public static partial int EVP_PKEY_keygen_init(nint context);

    [LibraryImport(Crypto, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int EVP_PKEY_CTX_ctrl_str(nint context, string type, string value);

    [LibraryImport(Crypto)]
    public static partial int EVP_PKEY_keygen(nint context, ref nint key);

    [LibraryImport(Crypto)]
    public static partial void EVP_PKEY_free(nint key);

    [LibraryImport(Crypto)]
    public static partial nint EVP_sha256();

    [LibraryImport(Crypto)]
    public static partial CertificateHandle X509_new();

    [LibraryImport(Crypto)]
    public static partial void X509_free(nint certificate);

    [LibraryImport(Crypto)]
    public static partial int X509_set_version(CertificateHandle certificate, nint version);

    [LibraryImport(Crypto)]
    public static partial nint X509_get_serialNumber(CertificateHandle certificate);

    [LibraryImport(Crypto)]
    public static partial int ASN1_INTEGER_set_int64(nint integer, long value);

    [LibraryImport(Crypto)]
    public static partial nint X509_getm_notBefore(CertificateHandle certificate);

    [LibraryImport(Crypto)]
    public static partial nint X509_getm_notAfter(CertificateHandle certificate);

    [LibraryImport(Crypto)]
    public static partial nint ASN1_TIME_set(nint time, nint unixSeconds);

    [LibraryImport(Crypto)]
    public static partial nint X509_get_subject_name(CertificateHandle certificate);

    [LibraryImport(Crypto)]
    public static partial int X509_set_issuer_name(CertificateHandle certificate, nint name);

    [LibraryImport(Crypto, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int X509_NAME_add_entry_by_txt(nint name, string field, int type, string value, int length, int at, int set);

    [LibraryImport(Crypto)]
    public static partial int X509_set_pubkey(CertificateHandle certificate, KeyHandle key);

    [LibraryImport(Crypto, StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint X509V3_EXT_conf_nid(nint configuration, nint context, int id, string value);

    [LibraryImport(Crypto)]
    public static partial int X509_add_ext(CertificateHandle certificate, nint extension, int at);

    [LibraryImport(Crypto)]
    public static partial void X509_EXTENSION_free(nint extension);

    [LibraryImport(Crypto)]
    public static partial int X509_sign(CertificateHandle certificate, KeyHandle key, nint digest);

    [LibraryImport(Crypto)]
    public static partial int X509_STORE_add_cert(nint store, CertificateHandle certificate);

    [LibraryImport(Crypto)]
    public static partial int X509_STORE_set_flags(nint store, nuint flags);

    [LibraryImport(Crypto)]
    public static partial nint X509_verify_cert_error_string(nint error);

    [LibraryImport(Crypto)]
    public static partial nint BIO_s_mem();

    [LibraryImport(Crypto)]
    public static partial BioHandle BIO_new(nint method);

    [LibraryImport(Crypto)]
    public static partial int BIO_free(nint bio);

    [LibraryImport(Crypto)]
    public static partial BioHandle BIO_new_mem_buf(ReadOnlySpan<byte> bytes, int length);

    [LibraryImport(Crypto)]
    public static partial int BIO_write(nint bio, ReadOnlySpan<byte> bytes, int length);

    [LibraryImport(Crypto)]
    public static partial int BIO_read(nint bio, Span<byte> bytes, int length);

    [LibraryImport(Crypto)]
    public static partial nint BIO_ctrl(BioHandle bio, int command, nint value, nint pointer);

    [LibraryImport(Crypto)]
    public static partial CertificateHandle PEM_read_bio_X509(BioHandle bio, nint certificate, nint passwordCallback, ReadOnlySpan<byte> password);

    [LibraryImport(Ssl)]
    public static partial nint TLS_server_method();

    [LibraryImport(Ssl)]
    public static partial SslContextHandle SSL_CTX_new(nint method);

    [LibraryImport(Ssl)]
    public static partial void SSL_CTX_free(nint context);

    [LibraryImport(Ssl)]
    public static partial nint SSL_CTX_ctrl(SslContextHandle context, int command, nint value, nint pointer);

    [LibraryImport(Ssl)]
    public static partial ulong SSL_CTX_set_options(SslContextHandle context, ulong options);

    [LibraryImport(Ssl)]
    public static partial int SSL_CTX_set_num_tickets(SslContextHandle context, nuint tickets);

    [LibraryImport(Ssl)]
    public static partial int SSL_CTX_use_certificate(SslContextHandle context, CertificateHandle certificate);

    [LibraryImport(Ssl)]
    public static partial int SSL_CTX_use_PrivateKey(SslContextHandle context, KeyHandle key);

    [LibraryImport(Ssl)]
    public static partial void SSL_CTX_set_verify(SslContextHandle context, int mode, nint callback);

    [LibraryImport(Ssl)]
    public static partial nint SSL_CTX_get_cert_store(SslContextHandle context);

    [LibraryImport(Ssl)]
    public static partial SslHandle SSL_new(SslContextHandle context);

    [LibraryImport(Ssl)]
    public static partial void SSL_free(nint ssl);

    [LibraryImport(Ssl)]
    public static partial void SSL_set_bio(SslHandle ssl, nint read, nint write);

    [LibraryImport(Ssl)]
    public static partial int SSL_accept(SslHandle ssl);

    [LibraryImport(Ssl)]
    public static partial int SSL_read(SslHandle ssl, Span<byte> bytes, int length);

    [LibraryImport(Ssl)]
    public static partial int SSL_write(SslHandle ssl, ReadOnlySpan<byte> bytes, int length);

    [LibraryImport(Ssl)]
    public static partial int SSL_shutdown(SslHandle ssl);

    [LibraryImport(Ssl)]
    public static partial int SSL_get_error(SslHandle ssl, int result);

    [LibraryImport(Ssl)]
    public static partial nint SSL_get_verify_result(SslHandle ssl);
}
