using System.Security.Cryptography;
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
            if (!Directory.Exists(authority)) MakeWhole(authority, made => CertificateAuthority.Create(made, time: time));
            foreach (var name in names)
            {
                var own = Path.Combine(folder, name);
                if (Directory.Exists(own) && !EndsSoon(Path.Combine(own, "cert.pem"), time)) continue;
                MakeWhole(own, made => CertificateAuthority.Issue(authority, made, name, time: time));
            }
        }
        catch (Exception e) when (e is CertificateException or CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"certificates in {folder}: {e.Message} Remove what is damaged there to have it made anew.", e);
        }
    }

    /// <summary>A folder is there with all its files or not at all: it is made beside its place and moved there.</summary>
    static void MakeWhole(string folder, Action<string> make)
    {
        var made = folder + ".new";
        var former = folder + ".old";
        foreach (var leftover in new[] { made, former })
        {
            if (Directory.Exists(leftover)) Directory.Delete(leftover, recursive: true);
        }

        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(folder))!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        make(made);
        if (Directory.Exists(folder)) Directory.Move(folder, former);
        Directory.Move(made, folder);
        if (Directory.Exists(former)) Directory.Delete(former, recursive: true);
    }

    static bool EndsSoon(string path, TimeProvider time)
    {
        try
        {
            using var certificate = X509CertificateLoader.LoadCertificateFromFile(path);
            return new DateTimeOffset(certificate.NotAfter) - time.GetUtcNow() < RenewBefore;
        }
        catch (CryptographicException e)
        {
            throw new CertificateException(path, "is no certificate", e);
        }
    }
}
