namespace Guestmark.Agent.OpenSsl;

/// <summary>How the agent speaks TLS, and whom it lets in: clients with a certificate that one of a bundle's authorities has signed.</summary>
/// <remarks>
/// TLS 1.2 or later. A client must show a certificate; it must be meant for clients (no extended key usage, or one with clientAuth) and be
/// valid now. Sessions cannot be resumed in any way (no tickets, no cache), so that no connection skips this; there is no
/// renegotiation and no compression. Any certificate of the bundle is a trust anchor, whether it signed itself or not, as it is for Go,
/// in which the bundle's makers think.
/// </remarks>
sealed class TlsServerContext : IDisposable
{
    /// <summary>KubeVirt's bundle holds one authority, and two while it is rotated.</summary>
    public const int AuthoritiesMax = 256;

    TlsServerContext(SslContextHandle handle, int authorities)
    {
        Handle = handle;
        Authorities = authorities;
    }

    public SslContextHandle Handle { get; }

    /// <summary>Certificates of the bundle that are trusted.</summary>
    public int Authorities { get; }

    /// <summary>A context for one bundle.</summary>
    /// <param name="bundle">Certificates in PEM. What is no certificate is passed over; what is a damaged one as well, if another is good.</param>
    /// <returns>Null, with <paramref name="problem"/>, when the bundle has no usable certificate.</returns>
    /// <exception cref="OpenSslException">OpenSSL fails.</exception>
    public static TlsServerContext? TryCreate(TlsIdentity identity, ReadOnlySpan<byte> bundle, out string? problem)
    {
        LibSsl.Load();
        LibSsl.ERR_clear_error();
        var context = LibSsl.Check(LibSsl.SSL_CTX_new(LibSsl.TLS_server_method()), "a TLS context");
        try
        {
            LibSsl.Check(LibSsl.SSL_CTX_ctrl(context, LibSsl.ControlSetMinimumProtocol, LibSsl.Tls12, 0) == 1, "TLS 1.2 as the least");
            LibSsl.SSL_CTX_set_options(
                context,
                LibSsl.OptionNoTicket | LibSsl.OptionNoCompression | LibSsl.OptionNoRenegotiation | LibSsl.OptionServerPreference);
            // Without this, 1.3 would still hand out tickets that name a session in the cache.
            LibSsl.Check(LibSsl.SSL_CTX_set_num_tickets(context, 0) == 1, "no session tickets");
            LibSsl.SSL_CTX_ctrl(context, LibSsl.ControlSetSessionCacheMode, LibSsl.SessionCacheOff, 0);
            LibSsl.SSL_CTX_ctrl(context, LibSsl.ControlMode, LibSsl.ModeReleaseBuffers, 0);
            LibSsl.Check(LibSsl.SSL_CTX_use_certificate(context, identity.Certificate) == 1, "the agent's certificate");
            LibSsl.Check(LibSsl.SSL_CTX_use_PrivateKey(context, identity.Key) == 1, "the agent's key");
            LibSsl.SSL_CTX_set_verify(context, LibSsl.VerifyPeer | LibSsl.VerifyFailIfNoPeerCertificate, 0);

            var store = LibSsl.SSL_CTX_get_cert_store(context);
            LibSsl.Check(LibSsl.X509_STORE_set_flags(store, LibSsl.VerifyPartialChain) == 1, "the trust anchors");
            var authorities = AddAuthorities(store, bundle, out problem);
            if (authorities > 0) return new TlsServerContext(context, authorities);
        }
        catch
        {
            context.Dispose();
            throw;
        }

        context.Dispose();
        return null;
    }

    public void Dispose() => Handle.Dispose();

    static unsafe int AddAuthorities(nint store, ReadOnlySpan<byte> bundle, out string? problem)
    {
        problem = "has no certificate in PEM";
        if (bundle.IsEmpty) return 0;
        var added = 0;
        string? damage = null;
        // The BIO reads where the bundle lies: it must not move until the end.
        fixed (byte* _ = bundle)
        {
            using var input = LibSsl.Check(LibSsl.BIO_new_mem_buf(bundle, bundle.Length), "the bundle");
            // Each turn takes at least a line, so the input ends; the bound is on what is kept.
            while (added < AuthoritiesMax)
            {
                LibSsl.ERR_clear_error();
                // An empty password, because OpenSSL would ask the terminal for that of an encrypted block.
                using var certificate = LibSsl.PEM_read_bio_X509(input, 0, 0, "\0"u8);
                if (!certificate.IsInvalid)
                {
                    LibSsl.Check(LibSsl.X509_STORE_add_cert(store, certificate) == 1, "a trust anchor");
                    added++;
                    continue;
                }

                if (LibSsl.IsEndOfPem()) break;
                damage = LibSsl.TakeErrors();
            }
        }

        LibSsl.ERR_clear_error();
        if (added > 0) problem = null;
        else if (damage is not null) problem = $"has no usable certificate: {damage}";
        return added;
    }
}
