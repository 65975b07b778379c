using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Guestmark.Rpc;

/// <summary>A small certificate authority in a folder, for installations that have none: ECDSA P-256 throughout.</summary>
public static class CertificateAuthority
{
    const string AuthorityFile = "ca.pem";
    const string AuthorityKeyFile = "ca-key.pem";
    const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    const UnixFileMode KeyMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode CertificateMode = KeyMode | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    /// <summary>Machines whose clocks are a little behind must accept a certificate that was made just now.</summary>
    static readonly TimeSpan ClockSkew = TimeSpan.FromHours(1);
    static readonly TimeSpan AuthorityValidity = TimeSpan.FromDays(3650);

    /// <summary>Creates an authority: ca.pem and ca-key.pem in <paramref name="folder"/>.</summary>
    /// <param name="name">Common name, to which eight random digits are added, so that two authorities are told apart in errors.</param>
    /// <exception cref="CertificateException">There is one already. Nothing is overwritten.</exception>
    public static void Create(string folder, string name = "Guestmark CA", TimeProvider? time = null)
    {
        CheckAbsent(folder, AuthorityKeyFile, AuthorityFile);
        var now = (time ?? TimeProvider.System).GetUtcNow();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = Request($"{name} {Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}", key);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        using var certificate = request.CreateSelfSigned(now - ClockSkew, now + AuthorityValidity);
        Directory.CreateDirectory(folder, FolderMode);
        WriteNew(Path.Combine(folder, AuthorityKeyFile), key.ExportPkcs8PrivateKeyPem(), KeyMode);
        WriteNew(Path.Combine(folder, AuthorityFile), certificate.ExportCertificatePem(), CertificateMode);
    }

    /// <summary>
    /// Issues a certificate for server and client use: ca.pem, cert.pem and key.pem in <paramref name="folder"/>, as
    /// <see cref="CertificateDirectory"/> reads them.
    /// </summary>
    /// <param name="authority">The folder that <see cref="Create"/> filled.</param>
    /// <param name="name">Common name: <c>node1</c>, <c>sensor</c>, <c>central</c>. It is also the first DNS name.</param>
    /// <param name="names">Further DNS names and addresses. localhost, 127.0.0.1 and ::1 are always added.</param>
    /// <param name="validity">Null: one year.</param>
    /// <exception cref="CertificateException">The authority cannot be read, or the folder has certificates already. Nothing is overwritten.</exception>
    public static void Issue(
        string authority, string folder, string name, IReadOnlyCollection<string>? names = null, TimeSpan? validity = null, TimeProvider? time = null)
    {
        CheckAbsent(folder, "key.pem", "cert.pem", AuthorityFile);
        using var issuer = ReadAuthority(authority);
        var now = (time ?? TimeProvider.System).GetUtcNow();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = Request(name, key);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
        request.CertificateExtensions.Add(AlternativeNames([name, .. names ?? [], "localhost", "127.0.0.1", "::1"]));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(issuer, true, false));
        // A certificate cannot outlive its authority.
        var notAfter = now + (validity ?? TimeSpan.FromDays(365));
        var issuerNotAfter = new DateTimeOffset(issuer.NotAfter);
        if (notAfter > issuerNotAfter) notAfter = issuerNotAfter;
        var notBefore = now - ClockSkew;
        var issuerNotBefore = new DateTimeOffset(issuer.NotBefore);
        if (notBefore < issuerNotBefore) notBefore = issuerNotBefore;
        // RFC 5280 4.1.2.2: positive, at most 20 octets, unique for the authority.
        var serial = RandomNumberGenerator.GetBytes(16);
        serial[0] = (byte)(serial[0] & 0x7F | 0x01);
        using var certificate = request.Create(issuer, notBefore, notAfter, serial);
        Directory.CreateDirectory(folder, FolderMode);
        WriteNew(Path.Combine(folder, "key.pem"), key.ExportPkcs8PrivateKeyPem(), KeyMode);
        WriteNew(Path.Combine(folder, "cert.pem"), certificate.ExportCertificatePem(), CertificateMode);
        WriteNew(Path.Combine(folder, AuthorityFile), issuer.ExportCertificatePem(), CertificateMode);
    }

    static CertificateRequest Request(string commonName, ECDsa key)
    {
        var subject = new X500DistinguishedNameBuilder();
        subject.AddCommonName(commonName);
        var request = new CertificateRequest(subject.Build(), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request;
    }

    static X509Extension AlternativeNames(IEnumerable<string> names)
    {
        var builder = new SubjectAlternativeNameBuilder();
        foreach (var name in names.Distinct(StringComparer.OrdinalIgnoreCase))
        {
            if (IPAddress.TryParse(name, out var address)) builder.AddIpAddress(address);
            else builder.AddDnsName(name);
        }

        return builder.Build();
    }

    static X509Certificate2 ReadAuthority(string folder)
    {
        try
        {
            return X509Certificate2.CreateFromPemFile(Path.Combine(folder, AuthorityFile), Path.Combine(folder, AuthorityKeyFile));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw new CertificateException(folder, $"holds no usable authority ({e.Message}); it must hold {AuthorityFile} and {AuthorityKeyFile}", e);
        }
    }

    static void CheckAbsent(string folder, params ReadOnlySpan<string> files)
    {
        foreach (var file in files)
        {
            var path = Path.Combine(folder, file);
            if (File.Exists(path)) throw new CertificateException(path, "exists already and is not overwritten; move it away or choose another folder");
        }
    }

    static void WriteNew(string path, string text, UnixFileMode mode)
    {
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode });
        using var writer = new StreamWriter(file);
        writer.WriteLine(text);
    }
}
