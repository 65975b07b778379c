namespace Guestmark.Inventory;

/// <summary>What says that a package came from a repository.</summary>
public enum RepositoryEvidence
{
    /// <summary>The transaction history of dnf 4 or dnf 5.</summary>
    DnfHistory = 1,

    /// <summary>yum's <c>from_repo</c> of the package (RHEL 7).</summary>
    YumDatabase = 2,

    /// <summary>The content sets of an image's content manifest, which hold for all its packages.</summary>
    ContentManifest = 3,

    /// <summary>Guessed: a configured base URL is one that repository-to-cpe lists.</summary>
    BaseUrl = 4,

    /// <summary>Guessed: the machine has the certificate of a product.</summary>
    ProductCertificate = 5,

    /// <summary>Guessed: the machine's release, and the vendor's signature on the package.</summary>
    ReleaseAndSignature = 6,
}

/// <summary>The repository that a package came from, and its CPEs.</summary>
/// <param name="Id">The repository's id as the evidence names it: <c>rhel-9-for-x86_64-baseos-rpms</c>, and also <c>anaconda</c>. Empty when nothing names one.</param>
/// <param name="Evidence">What says so. Null when nothing does.</param>
/// <param name="Cpes">CPEs of the repository. Empty when there are none, for the reason in <paramref name="WhyNoCpe"/>.</param>
/// <param name="WhyNoCpe">Why there is no CPE, for a person. Null when there are some.</param>
public sealed record PackageRepository(string Id, RepositoryEvidence? Evidence, IReadOnlyList<string> Cpes, string? WhyNoCpe)
{
    // A record compares its list by reference.
    public bool Equals(PackageRepository? other) =>
        other is not null && Id == other.Id && Evidence == other.Evidence && WhyNoCpe == other.WhyNoCpe && Cpes.SequenceEqual(other.Cpes);

    public override int GetHashCode() => HashCode.Combine(Id, Evidence, WhyNoCpe, Cpes.Count);

    /// <summary>Found by a fallback and not by a record of where the package came from.</summary>
    public bool IsGuess => Evidence is RepositoryEvidence.BaseUrl or RepositoryEvidence.ProductCertificate or RepositoryEvidence.ReleaseAndSignature;
}
