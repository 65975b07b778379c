using System.Runtime.InteropServices;

namespace Guestmark.Events.Signing;

/// <summary>The functions of the system's OpenSSL 3 that make and check Ed25519 signatures, which .NET 10 cannot.</summary>
static partial class LibCrypto
{
    public const int KeyTypeEd25519 = 1087;
    const string Library = "libcrypto.so.3";

    [LibraryImport(Library)]
    public static partial Key EVP_PKEY_new_raw_private_key(int type, nint engine, ReadOnlySpan<byte> key, nuint length);

    [LibraryImport(Library)]
    public static partial Key EVP_PKEY_new_raw_public_key(int type, nint engine, ReadOnlySpan<byte> key, nuint length);

    [LibraryImport(Library)]
    public static partial int EVP_PKEY_get_raw_public_key(Key key, Span<byte> destination, ref nuint length);

    [LibraryImport(Library)]
    public static partial Context EVP_MD_CTX_new();

    [LibraryImport(Library)]
    public static partial int EVP_DigestSignInit(Context context, nint keyContext, nint digest, nint engine, Key key);

    [LibraryImport(Library)]
    public static partial int EVP_DigestSign(Context context, Span<byte> signature, ref nuint signatureLength, ReadOnlySpan<byte> message, nuint length);

    [LibraryImport(Library)]
    public static partial int EVP_DigestVerifyInit(Context context, nint keyContext, nint digest, nint engine, Key key);

    [LibraryImport(Library)]
    public static partial int EVP_DigestVerify(Context context, ReadOnlySpan<byte> signature, nuint signatureLength, ReadOnlySpan<byte> message, nuint length);

    /// <summary>Errors stay in a queue of the thread, where .NET's own calls of the same library would find them.</summary>
    [LibraryImport(Library)]
    public static partial void ERR_clear_error();

    [LibraryImport(Library)]
    private static partial void EVP_PKEY_free(nint key);

    [LibraryImport(Library)]
    private static partial void EVP_MD_CTX_free(nint context);

    /// <summary>EVP_PKEY.</summary>
    public sealed class Key() : SafeHandle(0, ownsHandle: true)
    {
        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle()
        {
            EVP_PKEY_free(handle);
            return true;
        }
    }

    /// <summary>EVP_MD_CTX.</summary>
    public sealed class Context() : SafeHandle(0, ownsHandle: true)
    {
        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle()
        {
            EVP_MD_CTX_free(handle);
            return true;
        }
    }
}
