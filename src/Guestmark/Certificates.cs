using System.Security.Cryptography.X509Certificates;
using Guestmark.CommandLine;
using Guestmark.Rpc;

namespace Guestmark;

/// <summary>A folder with an authority in <c>ca/</c> and one certificate folder for each process.</summary>
static class Certificates
{
    /// <summary>A certificate that ends sooner is replaced: its process may run for weeks.</summary>
    static readonly TimeSpan RenewBefore = TimeSpan.FromDays(30);

    /// <summary>Makes what is missing and renews what ends soon.</summary>
    public static void Create(string folder, IReadOnlyList<string> names, TimeProvider time)
    {
        try
        {
            var authority = Path.Combine(folder, "ca");
            if (!File.Exists(Path.Combine(authority, "ca.pem"))) CertificateAuthority.Create(authority, time: time);
            foreach (var name in names)
            {
                var own = Path.Combine(folder, name);
                var certificate = Path.Combine(own, "cert.pem");
                if (File.Exists(certificate) && !EndsSoon(certificate, time)) continue;

                // Issued beside and moved over, the certificate before the key: a process that reads in between keeps its old pair.
                var renewed = own + ".new";
                if (Directory.Exists(renewed)) Directory.Delete(renewed, recursive: true);
                CertificateAuthority.Issue(authority, renewed, name, time: time);
                Directory.CreateDirectory(own);
                foreach (var file in Directory.EnumerateFiles(renewed).Order()) File.Move(file, Path.Combine(own, Path.GetFileName(file)), overwrite: true);
                Directory.Delete(renewed);
            }
        }
        catch (Exception e) when (e is CertificateException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"certificates in {folder}: {e.Message}", e);
        }
    }

    static bool EndsSoon(string path, TimeProvider time)
    {
        using var certificate = X509CertificateLoader.LoadCertificateFromFile(path);
        return new DateTimeOffset(certificate.NotAfter) - time.GetUtcNow() < RenewBefore;
    }
}
