using System.Text;

namespace Guestmark.Inventory;

/// <summary>What a report says of a package's origin in <c>repository_hint</c>.</summary>
/// <remarks>
/// A query string, as claircore reads it:
/// <code>hash=sha256:HEX &amp; key=HEX &amp; repoid=ID</code>
/// the SHA-256 of the payload, the id of the signing key and the repository, each only when known. Of ours, which claircore skips:
/// <code>evidence=NAME &amp; why=TEXT</code>
/// what says that the package is from the repository, and why it has no CPE.
/// </remarks>
static class RepositoryHint
{
    /// <summary>A reason beyond this is cut: it is repeated for each package that it is true of.</summary>
    public const int ReasonCharsMax = 160;

    const int CharsMax = 4096;

    // By RepositoryEvidence, from 1. On the wire: do not rename.
    static readonly string[] EvidenceNames = ["dnf-history", "yum-database", "content-manifest", "base-url", "product-certificate", "release-and-signature"];

    /// <summary>Appends the hint of a package, which is nothing when nothing is known.</summary>
    public static void Append(StringBuilder text, Package package)
    {
        if (package.Rpm is { PayloadDigestAlgorithm: RpmDetails.Sha256, PayloadDigest.Length: > 0 } rpm) Append("hash", "sha256:", rpm.PayloadDigest);
        if (package.Rpm?.Signature is { KeyId.Length: > 0 } signature) Append("key", "", signature.KeyId);
        if (package.Repository is not { } repository) return;
        if (repository.Id.Length > 0) Append("repoid", "", repository.Id);
        if (NameOf(repository.Evidence) is { } evidence) Append("evidence", "", evidence);
        if (repository.WhyNoCpe is { Length: > 0 } why) Append("why", "", GuestText.Cut(why, ReasonCharsMax));

        void Append(string name, string prefix, string value)
        {
            if (text.Length > 0) text.Append('&');
            text.Append(name).Append('=').Append(prefix).Append(Uri.EscapeDataString(value));
        }
    }

    /// <summary>The word for an evidence in documents. Null when there is none.</summary>
    public static string? NameOf(RepositoryEvidence? evidence) =>
        (int?)evidence is { } number and > 0 && number <= EvidenceNames.Length ? EvidenceNames[number - 1] : null;

    /// <summary>The evidence that a word of <see cref="NameOf"/> stands for. Null when it is none of them.</summary>
    public static RepositoryEvidence? EvidenceOf(string? name) =>
        Array.IndexOf(EvidenceNames, name) is >= 0 and var index ? (RepositoryEvidence)(index + 1) : null;

    /// <summary>The part of a hint that is about the repository and not about the one package: what <see cref="Read"/> needs.</summary>
    public static ReadOnlySpan<char> RepositoryPart(string hint)
    {
        var text = hint.AsSpan(0, Math.Min(hint.Length, CharsMax));
        while (text.StartsWith("hash=", StringComparison.Ordinal) || text.StartsWith("key=", StringComparison.Ordinal))
        {
            var end = text.IndexOf('&');
            if (end < 0) return default;
            text = text[(end + 1)..];
        }

        return text;
    }

    /// <summary>The repository that a hint names, with the CPEs that the report has for it.</summary>
    /// <returns>Null when neither says anything. Any text gives a value.</returns>
    public static PackageRepository? Read(ReadOnlySpan<char> hint, IReadOnlyList<string> cpes)
    {
        var id = "";
        RepositoryEvidence? evidence = null;
        string? why = null;
        foreach (var range in hint.Split('&'))
        {
            var pair = hint[range];
            var equals = pair.IndexOf('=');
            if (equals < 0) continue;
            var value = Uri.UnescapeDataString(pair[(equals + 1)..].ToString());
            switch (pair[..equals])
            {
                case "repoid":
                    id = GuestText.Cut(value, InventoryReports.TextCharsMax);
                    break;
                case "evidence":
                    evidence = EvidenceOf(value);
                    break;
                case "why" when cpes.Count == 0:
                    why = GuestText.Cut(value, ReasonCharsMax);
                    break;
            }
        }

        return id.Length == 0 && evidence is null && why is null && cpes.Count == 0 ? null : new PackageRepository(id, evidence, cpes, why);
    }
}
