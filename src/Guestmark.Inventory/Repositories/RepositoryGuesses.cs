namespace Guestmark.Inventory.Repositories;

/// <summary>CPEs for packages whose repository is not known, or not listed by Red Hat. Files are read when the first package needs them.</summary>
/// <remarks>
/// Only for packages that a key of Red Hat's signed, on RHEL. In this order:
/// 1. The base URL of the repository that is on record: what it is called does not matter then (Satellite, mirrors). Where the record says
///    nothing, the base URLs of all enabled repositories, as far as they are RHEL's own.
/// 2. The certificate of the product, which up to RHEL 7 tells the variant.
/// 3. The release of the machine.
/// But for the base URL of a recorded repository a guess is for packages of RHEL itself: layered products are signed with the same key, and
/// nothing but their repository tells which one it is.
/// </remarks>
sealed class RepositoryGuesses
{
    readonly InventoryScan _scan;
    readonly OsRelease _os;
    readonly RepositoryToCpe? _mapping;
    readonly (uint Major, uint? Minor)? _release;
    readonly string _architecture;
    readonly Dictionary<(string Id, RepositoryEvidence Evidence), PackageRepository> _made = [];
    Evidence? _evidence;

    public RepositoryGuesses(InventoryScan scan, OsRelease os, RepositoryToCpe? mapping)
    {
        _scan = scan;
        _os = os;
        _mapping = mapping;
        _release = RedHat.ReleaseOf(os);
        _architecture = MachineArchitecture(scan.Packages);
    }

    /// <summary>What the files of the machine say.</summary>
    /// <param name="ByRepository">CPEs of configured repositories by their ids; empty where the base URL says nothing.</param>
    /// <param name="OfEnabled">CPEs of RHEL of all enabled repositories.</param>
    /// <param name="OfProduct">CPEs of the product that there is a certificate of.</param>
    sealed record Evidence(Dictionary<string, IReadOnlyList<string>> ByRepository, IReadOnlyList<string> OfEnabled, IReadOnlyList<string> OfProduct);

    /// <summary>Repositories whose CPEs a guess may need: from RHEL 10 on CPEs name minor releases, which the mapping knows.</summary>
    public IReadOnlyList<string> RepositoryIds => _release is { Major: >= 10 and var major } ? RedHat.RepositoryIds(major, _architecture) : [];

    /// <summary>Ids that stand for no repository: installation media and images, local files, what was there before.</summary>
    public static bool SaysNothing(string id) => id.Length == 0 || id[0] == '@' || id is "anaconda" or "System" or "installed" or "commandline";

    /// <summary>A guess for a package without CPEs; otherwise what was recorded, with the reason why there is no guess.</summary>
    public PackageRepository Guess(Package package, PackageRepository recorded, MappedRepositories? mapped)
    {
        if (_release is not { } release) return recorded;
        if (!RedHat.IsSigned(package)) return Refuse("not signed by Red Hat");
        _evidence ??= ReadEvidence(release, mapped);
        var isConfigured = _evidence.ByRepository.TryGetValue(recorded.Id, out var ofRepository);
        if (ofRepository is { Count: > 0 }) return Make(RepositoryEvidence.BaseUrl, ofRepository);
        if (!RedHat.IsOfRelease(package.Release, release.Major)) return Refuse($"not of RHEL {release.Major} itself");
        // A configured repository with other URLs is not one of the enabled ones under another name.
        if (_evidence.OfEnabled.Count > 0 && !isConfigured) return Make(RepositoryEvidence.BaseUrl, _evidence.OfEnabled);
        return _evidence.OfProduct.Count > 0
            ? Make(RepositoryEvidence.ProductCertificate, _evidence.OfProduct)
            : Make(RepositoryEvidence.ReleaseAndSignature, RedHat.Cpes(release.Major, release.Minor, variant: null, _architecture, mapped));

        PackageRepository Make(RepositoryEvidence evidence, IReadOnlyList<string> cpes)
        {
            if (!_made.TryGetValue((recorded.Id, evidence), out var made))
                _made[(recorded.Id, evidence)] = made = new PackageRepository(recorded.Id, evidence, cpes, WhyNoCpe: null);
            return made;
        }

        PackageRepository Refuse(string reason) => recorded with { WhyNoCpe = $"{recorded.WhyNoCpe}, and the package is {reason}" };
    }

    Evidence ReadEvidence((uint Major, uint? Minor) release, MappedRepositories? mapped)
    {
        var byRepository = new Dictionary<string, IReadOnlyList<string>>();
        var ofEnabled = new SortedSet<string>(StringComparer.Ordinal);
        if (_mapping is not null)
        {
            var repositories = RepositoryFiles.Read(_scan, DnfVariables.Read(_scan, _os, _architecture));
            var urls = new HashSet<string>();
            foreach (var repository in repositories.Values) urls.UnionWith(repository.Urls);
            MappedRepositories? byUrl = null;
            if (urls.Count > 0 && _mapping.Find([], urls, out byUrl, _scan.Cancellation) is { } error)
                _scan.AddProblem("", $"has packages without CPEs: {error}");
            foreach (var repository in repositories.Values)
            {
                var cpes = byUrl is null ? [] : CpesOf(repository, byUrl);
                byRepository[repository.Id] = cpes;
                if (!repository.IsEnabled) continue;
                foreach (var cpe in cpes)
                {
                    if (RedHat.IsOfRhel(cpe)) ofEnabled.Add(cpe);
                }
            }
        }

        IReadOnlyList<string> ofProduct = [];
        foreach (var product in ProductCertificates.Read(_scan))
        {
            if (RedHat.ParseRelease(product.Version) is not { } version || version.Major != release.Major) continue;
            if (RedHat.VariantOf(product.Id, version.Major) is not { } variant) continue;
            ofProduct = RedHat.Cpes(version.Major, release.Minor ?? version.Minor, variant, _architecture, mapped);
            break;
        }

        return new Evidence(byRepository, [.. ofEnabled], ofProduct);
    }

    /// <summary>The CPEs of a repository by its base URL. Empty when the mapping lacks it, or repositories of different CPEs share it.</summary>
    internal static IReadOnlyList<string> CpesOf(ConfiguredRepository repository, MappedRepositories mapped)
    {
        foreach (var url in repository.Urls)
        {
            if (!mapped.ByUrl.TryGetValue(url, out var listed)) continue;
            var minor = MinorReleaseIn(url);
            var first = listed[0].Cpes;
            if (listed.TrueForAll(other => other.Cpes.AsSpan().SequenceEqual(first))) return OfMinorRelease(first, minor);
            if (minor is null) return [];
            // rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_4 is that of one minor release, beside the one of all.
            var suffix = "__" + minor.Replace(".", "_DOT_", StringComparison.Ordinal);
            var ofMinor = listed.FindAll(
                other => other.Id.Contains(suffix + "__", StringComparison.Ordinal) || other.Id.EndsWith(suffix, StringComparison.Ordinal));
            if (ofMinor.Count == 0 || !ofMinor.TrueForAll(other => other.Cpes.AsSpan().SequenceEqual(ofMinor[0].Cpes))) return [];
            return OfMinorRelease(ofMinor[0].Cpes, minor);
        }

        return [];
    }

    /// <summary>The part of a URL that is a minor release: <c>9.4</c>. Null when there is none.</summary>
    static string? MinorReleaseIn(string url)
    {
        foreach (var part in url.AsSpan().Split('/'))
        {
            var text = url[part];
            if (RedHat.ParseRelease(text) is { Minor: not null }) return text;
        }

        return null;
    }

    /// <summary>Without the extended streams of other minor releases, which a repository of all lists too. All, where none is of this one.</summary>
    static IReadOnlyList<string> OfMinorRelease(string[] cpes, string? minor)
    {
        if (minor is null) return cpes;
        var kept = Array.FindAll(cpes, cpe => !RedHat.IsOfExtendedStream(cpe) || IsOf(cpe));
        return Array.Exists(kept, RedHat.IsOfExtendedStream) ? kept : cpes;

        bool IsOf(string cpe)
        {
            // cpe:/o:redhat:rhel_eus:9.4::baseos
            var parts = cpe.Split(':');
            return parts.Length > 4 && (parts[4] == minor || !parts[4].Contains('.'));
        }
    }

    /// <summary>The architecture that most packages have.</summary>
    static string MachineArchitecture(List<Package> packages)
    {
        var counts = new Dictionary<string, int>();
        foreach (var package in packages)
        {
            if (package.Manager == PackageManager.Rpm && package.Architecture is not ("" or "noarch"))
                counts[package.Architecture] = counts.GetValueOrDefault(package.Architecture) + 1;
        }

        var (most, architecture) = (0, "");
        foreach (var (name, count) in counts)
        {
            if (count > most) (most, architecture) = (count, name);
        }

        return architecture;
    }
}
