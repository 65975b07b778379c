using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Guestmark.Rpc;

/// <summary>ca.pem, cert.pem and key.pem as they were at one moment, found to belong together.</summary>
sealed class CertificateSet
{
    const string PrivateKeyEnd = "PRIVATE KEY";

    CertificateSet(X509Certificate2Collection authorities, SslStreamCertificateContext context)
    {
        Authorities = authorities;
        Context = context;
    }

    public X509Certificate2Collection Authorities { get; }

    /// <summary>Our certificate with its key and the intermediates that followed it in cert.pem.</summary>
    public SslStreamCertificateContext Context { get; }

    public X509Certificate2 Certificate => Context.TargetCertificate;

    public string AuthorityName => Authorities[0].Subject;

    /// <exception cref="CertificateException">Which file is wrong, how, and what to do.</exception>
    public static CertificateSet Read(CertificateFiles files, DateTimeOffset now)
    {
        var authorities = Certificates(files.AuthorityPath, files.Authority);
        var chain = Certificates(files.CertificatePath, files.Certificate);
        var certificate = WithKey(files, chain[0]);
        if (CertificateText.Period(certificate, now) is { } period)
            throw new CertificateException(files.CertificatePath, $"the certificate is {period}; issue a new one (and check this machine's clock)");
        // Of several authorities, as while one replaces the other, some may be out of their period.
        if (authorities.Count == 1 && CertificateText.Period(authorities[0], now) is { } authorityPeriod)
        {
            throw new CertificateException(
                files.AuthorityPath, $"the authority '{authorities[0].Subject}' is {authorityPeriod}; replace it and issue new certificates");
        }

        chain.RemoveAt(0);
        using var built = new X509Chain();
        built.ChainPolicy = ChainPolicy(authorities, now);
        built.ChainPolicy.ExtraStore.AddRange(chain);
        if (!built.Build(certificate))
        {
            var reasons = string.Join(", ", built.ChainStatus.Select(status => status.Status).Distinct());
            throw new CertificateException(
                files.CertificatePath,
                $"the certificate was issued by '{CertificateText.Excerpt(certificate.Issuer)}' and does not chain to " +
                $"'{CertificateText.Excerpt(authorities[0].Subject)}' of {files.AuthorityPath} ({reasons}); " +
                "take ca.pem and cert.pem from the same authority");
        }

        return new CertificateSet(authorities, SslStreamCertificateContext.Create(certificate, chain, offline: true));
    }

    /// <summary>Trusts these authorities and no other, at the given time. Revocation is by short-lived certificates and by replacing ca.pem.</summary>
    public static X509ChainPolicy ChainPolicy(X509Certificate2Collection authorities, DateTimeOffset now)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
            VerificationTime = now.UtcDateTime,
        };
        policy.CustomTrustStore.AddRange(authorities);
        return policy;
    }

    static X509Certificate2Collection Certificates(string path, string pem)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(pem);
        }
        catch (CryptographicException e)
        {
            throw new CertificateException(path, $"holds a certificate that cannot be read ({e.Message}); replace the file", e);
        }

        return certificates.Count > 0
            ? certificates
            : throw new CertificateException(path, "is not PEM: it holds no '-----BEGIN CERTIFICATE-----'; replace the file");
    }

    static X509Certificate2 WithKey(CertificateFiles files, X509Certificate2 certificate)
    {
        if (!PemEncoding.TryFindUtf8(System.Text.Encoding.UTF8.GetBytes(files.Key), out _) || !files.Key.Contains(PrivateKeyEnd, StringComparison.Ordinal))
            throw new CertificateException(files.KeyPath, "is not PEM: it holds no '-----BEGIN PRIVATE KEY-----'; replace the file");
        if (files.Key.Contains("ENCRYPTED", StringComparison.Ordinal))
            throw new CertificateException(files.KeyPath, "the key is encrypted; store it without a passphrase and protect the file (mode 0600)");
        try
        {
            return X509Certificate2.CreateFromPem(certificate.ExportCertificatePem(), files.Key);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new CertificateException(
                files.KeyPath,
                $"the key does not belong to the certificate in {files.CertificatePath} or cannot be read ({e.Message}); replace both together",
                e);
        }
    }
}

/// <summary>The text of the three files, read at one moment.</summary>
sealed record CertificateFiles(string Folder, string Authority, string Certificate, string Key)
{
    /// <summary>A bundle of a hundred authorities is a quarter of this.</summary>
    const int FileBytesMax = 1 << 20;

    public string AuthorityPath => Path.Combine(Folder, "ca.pem");

    public string CertificatePath => Path.Combine(Folder, "cert.pem");

    public string KeyPath => Path.Combine(Folder, "key.pem");

    /// <exception cref="CertificateException">A file is missing, unreadable or too large.</exception>
    public static CertificateFiles Read(string folder)
    {
        if (!Directory.Exists(folder)) throw new CertificateException(folder, "the folder does not exist; create it with ca.pem, cert.pem and key.pem");
        return new CertificateFiles(
            folder, Text(Path.Combine(folder, "ca.pem")), Text(Path.Combine(folder, "cert.pem")), Text(Path.Combine(folder, "key.pem")));
    }

    static string Text(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            if (file.Length > FileBytesMax)
                throw new CertificateException(path, $"is {file.Length} bytes long, more than {FileBytesMax}; this is no PEM file");
            using var reader = new StreamReader(file);
            return reader.ReadToEnd();
        }
        catch (FileNotFoundException e)
        {
            throw new CertificateException(path, "is missing; the folder must hold ca.pem, cert.pem and key.pem", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CertificateException(path, $"cannot be read ({e.Message}); check its owner and mode", e);
        }
    }
}
