using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Guestmark.Agent.Tests.Serving;

/// <summary>An authority of a test, made by .NET and so independent of what is tested.</summary>
sealed class TestAuthority : IDisposable
{
    public const string ClientAuth = "1.3.6.1.5.5.7.3.2";
    public const string ServerAuth = "1.3.6.1.5.5.7.3.1";

    static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();

    readonly X509Certificate2 _certificate;

    public TestAuthority(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        _certificate = request.CreateSelfSigned(Now.AddDays(-30), Now.AddDays(30));
    }

    public byte[] Pem => Encoding.ASCII.GetBytes(_certificate.ExportCertificatePem() + "\n");

    /// <param name="usage">The only extended key usage. Null: none is named.</param>
    public X509Certificate2 Issue(string name, string? usage = ClientAuth, int daysFrom = -1, int daysTo = 1)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        // While an authority is rotated there are two of one name: this tells which of them signed.
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_certificate, true, false));
        if (usage is not null) request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        using var certificate = request.Create(_certificate, Now.AddDays(daysFrom), Now.AddDays(daysTo), RandomNumberGenerator.GetBytes(8));
        return certificate.CopyWithPrivateKey(key);
    }

    public void Dispose() => _certificate.Dispose();
}
