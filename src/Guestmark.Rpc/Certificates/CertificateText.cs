using System.Globalization;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Guestmark.Rpc;

/// <summary>Certificates in words, for errors and logs.</summary>
static class CertificateText
{
    /// <summary>A peer's certificate may carry any number of names of any length.</summary>
    const int NamesMax = 8;
    const int NameLengthMax = 128;
    const X509ChainStatusFlags OfAnotherAuthority =
        X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotSignatureValid;

    /// <summary>The first DNS name, or the common name when there is none.</summary>
    public static string Name(X509Certificate2 certificate)
    {
        var dns = AlternativeNames(certificate)?.EnumerateDnsNames().FirstOrDefault();
        return Excerpt(dns ?? certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false));
    }

    /// <summary>Whether it carries a name: as one of its DNS names, or as its common name when it has none.</summary>
    public static bool HasName(X509Certificate2 certificate, string name)
    {
        var names = AlternativeNames(certificate)?.EnumerateDnsNames().ToList() ?? [];
        return names.Count > 0
            ? names.Contains(name, StringComparer.Ordinal)
            : string.Equals(certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false), name, StringComparison.Ordinal);
    }

    /// <summary>All names for which a server with this certificate may answer.</summary>
    public static string Names(X509Certificate2 certificate)
    {
        var extension = AlternativeNames(certificate);
        if (extension is null) return "no names";
        var names = extension.EnumerateDnsNames().Concat(extension.EnumerateIPAddresses().Select(address => address.ToString())).ToList();
        var shown = string.Join(", ", names.Take(NamesMax).Select(Excerpt));
        return names.Count switch
        {
            0 => "no names",
            > NamesMax => $"{shown} and {names.Count - NamesMax} more",
            _ => shown,
        };
    }

    public static string Date(DateTime time) => time.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <summary>Null when the certificate is within its period, otherwise what is wrong: <c>expired since 2025-01-01T…</c>.</summary>
    public static string? Period(X509Certificate2 certificate, DateTimeOffset now) =>
        now.UtcDateTime > certificate.NotAfter.ToUniversalTime() ? $"expired since {Date(certificate.NotAfter)}"
        : now.UtcDateTime < certificate.NotBefore.ToUniversalTime() ? $"not valid before {Date(certificate.NotBefore)}"
        : null;

    /// <summary>Why a peer's certificate was refused.</summary>
    /// <param name="peer">"server" or "client".</param>
    /// <param name="expectedName">The name that was asked for; null for clients, whose names are not compared.</param>
    public static string Refusal(
        string peer, X509Certificate? shown, X509Chain? chain, SslPolicyErrors errors, string? expectedName, CertificateSet ours, DateTimeOffset now)
    {
        if (shown is not X509Certificate2 certificate) return $"the {peer} showed no certificate";
        var name = $"the {peer}'s certificate '{Excerpt(certificate.Subject)}'";
        if (Period(certificate, now) is { } period) return $"{name} is {period}";
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors))
        {
            var flags = chain is null ? X509ChainStatusFlags.PartialChain
                : chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, status) => all | status.Status);
            return (flags & OfAnotherAuthority) != X509ChainStatusFlags.NoError
                ? $"{name} is of another authority: " +
                  $"it was issued by '{Excerpt(certificate.Issuer)}' and does not chain to our '{Excerpt(ours.AuthorityName)}'"
                : $"{name} is not acceptable: {flags}";
        }

        return $"{name} is for {Names(certificate)}, not for '{expectedName}'";
    }

    public static string Excerpt(string text)
    {
        var plain = text.Length <= NameLengthMax ? text : text[..NameLengthMax] + "…";
        return plain.Any(char.IsControl) ? string.Concat(plain.Select(c => char.IsControl(c) ? '?' : c)) : plain;
    }

    static X509SubjectAlternativeNameExtension? AlternativeNames(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().FirstOrDefault();
}
