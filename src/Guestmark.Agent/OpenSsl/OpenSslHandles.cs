using System.Runtime.InteropServices;

namespace Guestmark.Agent.OpenSsl;

/// <summary>Something of OpenSSL that is counted by reference there, and given back once here.</summary>
abstract class OpenSslHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;
}

/// <summary>SSL_CTX: what all connections of one configuration share.</summary>
sealed class SslContextHandle : OpenSslHandle
{
    protected override bool ReleaseHandle()
    {
        LibSsl.SSL_CTX_free(handle);
        return true;
    }
}

/// <summary>SSL: one connection. Owns the two memory BIOs that were given to it.</summary>
sealed class SslHandle : OpenSslHandle
{
    protected override bool ReleaseHandle()
    {
        LibSsl.SSL_free(handle);
        return true;
    }
}

/// <summary>X509: one certificate.</summary>
sealed class CertificateHandle : OpenSslHandle
{
    protected override bool ReleaseHandle()
    {
        LibSsl.X509_free(handle);
        return true;
    }
}

/// <summary>EVP_PKEY: a key pair.</summary>
sealed class KeyHandle : OpenSslHandle
{
    public KeyHandle()
    {
    }

    public KeyHandle(nint key) => SetHandle(key);

    protected override bool ReleaseHandle()
    {
        LibSsl.EVP_PKEY_free(handle);
        return true;
    }
}

/// <summary>BIO: a source or sink of bytes.</summary>
sealed class BioHandle : OpenSslHandle
{
    /// <summary>Hands the BIO over to an SSL, which frees it.</summary>
    public nint Release()
    {
        var bio = handle;
        SetHandleAsInvalid();
        return bio;
    }

    protected override bool ReleaseHandle()
    {
        LibSsl.BIO_free(handle);
        return true;
    }
}
