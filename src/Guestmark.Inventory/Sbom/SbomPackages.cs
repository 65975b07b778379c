using System.Globalization;
using Guestmark.Inventory.Repositories;
using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory.Sbom;

/// <summary>Makes an inventory of what a document says of its components.</summary>
sealed class SbomPackages
{
    const int LeftOutNamedMax = 10;
    const int LeftOutReasonsMax = 100;
    const string SourceArchitecture = "src";

    readonly List<(Package Package, SbomEntry.BoundedTexts? RepositoryIds, OsRelease Distribution, SbomEntry Entry)> _packages = [];
    readonly List<(SbomEntry Entry, OsRelease Os)> _systems = [];
    readonly Dictionary<OsRelease, int> _distributions = [];
    readonly SortedDictionary<string, (int Count, List<string> Names)> _leftOut = new(StringComparer.Ordinal);
    readonly List<InventoryProblem> _problems = [];
    readonly List<string> _kernels = [];
    readonly HashSet<string> _purls = new(StringComparer.Ordinal);
    SbomEntry? _subject;
    string? _runningKernel;
    string? _bootId;
    string? _architecture;

    /// <summary>What the document is about, which most documents do not list among the components once more.</summary>
    public void AddSubject(SbomEntry entry)
    {
        if (entry.Type == SbomEntry.OperatingSystem) Add(entry);
        else _subject = entry;
    }

    public void Add(SbomEntry entry)
    {
        if (entry.Type == SbomEntry.OperatingSystem)
        {
            _systems.Add((entry, OsOf(entry)));
            return;
        }

        if (entry.Purl is null)
        {
            LeaveOut(entry.Type is SbomEntry.File or "data" or "cryptographic-asset" or "machine-learning-model" ? $"no packages but of type {entry.Type}" : "without a package URL", entry);
            return;
        }

        if (PackageUrl.TryParse(entry.Purl) is not { } url)
        {
            LeaveOut("with a package URL that is none", entry);
            return;
        }

        if (url.Manager is not { } manager)
        {
            LeaveOut($"packages of type {GuestText.Quote(url.Type)}", entry);
            return;
        }

        var version = url.Version.Length > 0 ? url.Version : entry.Version;
        if (version.Length == 0)
        {
            LeaveOut("without a version", entry);
            return;
        }

        if (_packages.Count == InventoryScanner.PackagesMax)
        {
            if (_problems.Count == 0 || _problems[^1].Message != TooMany) _problems.Add(new InventoryProblem("", TooMany));
            return;
        }

        _purls.Add(entry.Purl);
        var distribution = IsOfSystem(manager) ? DistributionOf(url) : OsRelease.Unknown;
        if (!distribution.IsUnknown) CountDistribution(distribution);
        _packages.Add((PackageOf(entry, url, manager, version), entry.RepositoryIds.Count > 0 ? entry.RepositoryIds : null, distribution, entry));
    }

    /// <summary>A property of the whole document.</summary>
    public void AddFact(string name, string value)
    {
        switch (name)
        {
            case "guestmark:host:runningKernel": _runningKernel = value; break;
            case "guestmark:host:installedKernel": _kernels.Add(value); break;
            case "guestmark:host:bootId": _bootId = value; break;
            case "guestmark:host:arch": _architecture = value; break;
            case "guestmark:problem":
                var end = value.IndexOf(": ", StringComparison.Ordinal);
                _problems.Add(end < 0 ? new InventoryProblem("", value) : new InventoryProblem(value[..end], value[(end + 2)..]));
                break;
        }
    }

    /// <param name="error">What is wrong with the mapping; null on success.</param>
    public SbomDocument? ToDocument(string format, RepositoryToCpe? mapping, out string? error)
    {
        if (_subject is { Purl: { } purl } subject && !_purls.Contains(purl)) Add(subject);
        var cpes = new SbomEntry.BoundedTexts();
        foreach (var (entry, _) in _systems)
        {
            foreach (var cpe in entry.Cpes.All) cpes.Add(cpe);
        }

        var mapped = new MappedRepositories();
        error = mapping?.Find(_packages.SelectMany(row => row.RepositoryIds?.All ?? []).Distinct(StringComparer.Ordinal), [], out mapped, CancellationToken.None);
        if (error is not null) return null;
        var repositories = new Dictionary<string, PackageRepository>(StringComparer.Ordinal);
        var packages = new List<Package>(_packages.Count);
        var system = SystemOf();
        foreach (var (package, ids, distribution, entry) in _packages)
        {
            if (!IsOf(distribution, system))
            {
                // Its versions and fixes are another distribution's.
                LeaveOut($"packages of another system than the document's, {Words(distribution)}", entry);
                continue;
            }

            if (package.Manager == PackageManager.Rpm) package.Repository = RepositoryOf(package.Repository, ids, cpes.All, mapped, repositories);
            packages.Add(package);
        }

        var host = new HostFacts { RunningKernel = _runningKernel, InstalledKernels = _kernels, BootId = _bootId, Architecture = _architecture };
        return new SbomDocument(
            format,
            new GuestInventory(system, packages, _problems) { Host = host },
            [.. _leftOut.Select(pair => new SbomLeftOut(pair.Key, pair.Value.Count, pair.Value.Names))]);
    }

    static string TooMany => $"has more than {InventoryScanner.PackagesMax} packages; the others are left out";

    void LeaveOut(string reason, SbomEntry entry)
    {
        if (!_leftOut.TryGetValue(reason, out var row))
        {
            // Types are the document's words.
            if (_leftOut.Count >= LeftOutReasonsMax) reason = "packages of other types";
            if (!_leftOut.TryGetValue(reason, out row)) row = (0, []);
        }

        if (row.Names.Count < LeftOutNamedMax) row.Names.Add(GuestText.Quote(entry.Name.Length > 0 ? entry.Name : entry.Purl ?? ""));
        _leftOut[reason] = (row.Count + 1, row.Names);
    }

    static Package PackageOf(SbomEntry entry, PackageUrlParts url, PackageManager manager, string version)
    {
        var supplier = entry.Supplier ?? entry.Publisher;
        var package = new Package
        {
            Manager = manager,
            Name = IsOfSystem(manager) ? url.Name : LanguageName(entry, url, manager),
            Version = version,
            Release = "",
            Architecture = "",
            Database = entry.Database ?? "",
            License = entry.License,
            Vendor = supplier is { Length: > 0 } ? supplier : null,
            Repository = OwnRepository(entry),
        };
        if (!IsOfSystem(manager)) return package;

        var (epoch, upstream, release) = Package.SplitVersion(version);
        // Trivy does so for dpkg too, where it belongs into the version.
        if (uint.TryParse(url.Qualifier("epoch"), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) epoch = number;
        package = package with { Epoch = epoch, Version = upstream, Release = release, Architecture = url.Qualifier("arch") ?? "" };
        var (sourceName, sourceVersion, sourceRpm) = SourceOf(entry, url, package);
        return package with
        {
            SourceName = entry.SourceName ?? sourceName,
            SourceVersion = entry.SourceName is null ? sourceVersion : entry.SourceVersion,
            SourceRpm = sourceRpm,
            ModularityLabel = url.Qualifier("modularitylabel") ?? url.Qualifier("rpmmod") ?? entry.ModularityLabel,
            Rpm = manager == PackageManager.Rpm && entry.KeyId is { } key ? new RpmDetails { Number = 0, RsaHeader = new OpenPgpSignature(0, 0, null, key) } : null,
        };
    }

    /// <summary>The source package, by <c>upstream</c> as Syft and we write it, or by the properties of Trivy.</summary>
    static (string? Name, string? Version, string? Rpm) SourceOf(SbomEntry entry, PackageUrlParts url, Package package)
    {
        var upstream = url.Qualifier("upstream");
        if (package.Manager == PackageManager.Rpm)
        {
            if (package.Architecture == SourceArchitecture) return (package.Name, package.FullVersion, null);
            if (upstream is not null && RpmPackages.SourceOf(upstream) is (not null, not null) source) return (source.Name, source.Version, upstream);
            if (upstream is not null) return (upstream, null, null);
            // Trivy gives the source the epoch of the binary, which may be another.
            return entry.TrivySourceName is null || entry.TrivySourceVersion is null ? (entry.TrivySourceName, null, null)
                : (entry.TrivySourceName, $"{entry.TrivySourceVersion}{(entry.TrivySourceRelease is { } release ? "-" + release : "")}", null);
        }

        if (upstream is not null)
        {
            var at = upstream.LastIndexOf('@');
            return at <= 0 ? (upstream, package.FullVersion, null) : (upstream[..at], upstream[(at + 1)..], null);
        }

        if (entry.TrivySourceName is { } name)
        {
            var version = entry.TrivySourceVersion is null ? package.FullVersion
                : $"{(entry.TrivySourceEpoch is { } epoch and not "0" ? epoch + ":" : "")}{entry.TrivySourceVersion}{(entry.TrivySourceRelease is { } release ? "-" + release : "")}";
            return (name, version, null);
        }

        // dpkg and apk name the source only where it is another.
        return (package.Name, package.FullVersion, null);
    }

    /// <summary>A package URL has names in the one form that its type prescribes; the component's own name has the letters as they are.</summary>
    static string LanguageName(SbomEntry entry, PackageUrlParts url, PackageManager manager)
    {
        var separator = manager == PackageManager.Maven ? ":" : "/";
        var name = url.Namespace.Length > 0 ? $"{url.Namespace}{separator}{url.Name}" : url.Name;
        ReadOnlySpan<string> candidates = [entry.Name, entry.Group.Length > 0 ? $"{entry.Group}{separator}{entry.Name}" : entry.Name];
        foreach (var candidate in candidates)
        {
            var same = manager == PackageManager.PyPI ? candidate.Replace('_', '-') : candidate;
            if (same.Equals(name, StringComparison.OrdinalIgnoreCase)) return candidate;
        }

        return name;
    }

    static PackageRepository? OwnRepository(SbomEntry entry)
    {
        if (entry.RepositoryId is null && entry.RepositoryEvidence is null && entry.RepositoryCpes.Count == 0 && entry.WhyNoCpe is null) return null;
        return new PackageRepository(entry.RepositoryId ?? "", RepositoryHint.EvidenceOf(entry.RepositoryEvidence), entry.RepositoryCpes.All, entry.WhyNoCpe);
    }

    /// <summary>
    /// Where a package is from, by the first of these that says it: our own properties, which have its CPEs; the mapping, of the repositories
    /// that its package URLs name; the CPEs of the operating system, which hold for all its packages.
    /// </summary>
    static PackageRepository? RepositoryOf(
        PackageRepository? own, SbomEntry.BoundedTexts? ids, IReadOnlyList<string> systemCpes, MappedRepositories mapped, Dictionary<string, PackageRepository> repositories)
    {
        // SPDX has no place for the CPEs and for why there are none. A repository of Red Hat has those of the system.
        if (own is not null && (own.Cpes.Count > 0 || own.WhyNoCpe is not null || !own.Id.StartsWith("rhel-", StringComparison.Ordinal))) return own;
        var id = own?.Id ?? (ids is null ? "" : ids.All[0]);
        if (repositories.TryGetValue(id, out var known)) return known;
        var cpes = new List<string>();
        foreach (var repository in ids?.All ?? [])
        {
            if (mapped.ById.TryGetValue(repository, out var listed)) cpes.AddRange(listed);
        }

        if (cpes.Count == 0) cpes.AddRange(systemCpes);
        if (id.Length == 0 && cpes.Count == 0) return null;
        var result = new PackageRepository(id, own?.Evidence, [.. cpes.Distinct(StringComparer.Ordinal)], cpes.Count > 0 ? null : "the document names no CPE");
        // Packages of one repository share the object; those of several lists differ in more than the first id.
        if (ids is null or { Count: 1 }) repositories[id] = result;
        return result;
    }

    static OsRelease DistributionOf(PackageUrlParts url) =>
        url.Qualifier("distro") is { } distribution ? Distributions.Parse(distribution) : new OsRelease(Distributions.IdOf(url.Namespace), "", "");

    /// <summary>Whether a package of one system belongs to another, as far as both say what they are: 12 is 12.5, and rebuilds of RHEL are alike.</summary>
    static bool IsOf(OsRelease package, OsRelease system)
    {
        if (package.VersionId.Length == 0 || !Distributions.IsKnown(package.Id) || !Distributions.IsKnown(system.Id)) return true;
        var areRebuilds = Distributions.IsEnterpriseLinux(package.Id) && Distributions.IsEnterpriseLinux(system.Id);
        if (package.Id != system.Id && !areRebuilds) return false;
        if (system.VersionId.Length == 0) return true;
        var (a, b) = areRebuilds ? (Major(package.VersionId), Major(system.VersionId)) : (package.VersionId, system.VersionId);
        return a == b || a.StartsWith(b + ".", StringComparison.Ordinal) || b.StartsWith(a + ".", StringComparison.Ordinal);

        static string Major(string version) => version.IndexOf('.') is > 0 and var dot ? version[..dot] : version;
    }

    static string Words(OsRelease os) => GuestText.Quote($"{os.Id} {os.VersionId}");

    void CountDistribution(OsRelease os)
    {
        if (_distributions.TryGetValue(os, out var count)) _distributions[os] = count + 1;
        // A machine has one; a document of many images may have dozens.
        else if (_distributions.Count < 1000) _distributions[os] = 1;
    }

    static OsRelease OsOf(SbomEntry entry)
    {
        if (entry.DistributionId is { } id) return new OsRelease(id.ToLowerInvariant(), entry.DistributionVersion ?? Distributions.VersionOf(entry.Version), entry.DistributionName ?? "");
        return new OsRelease(Distributions.IdOf(entry.Name), Distributions.VersionOf(entry.Version), entry.Description);
    }

    /// <summary>The component that is an operating system, else what most package URLs say.</summary>
    OsRelease SystemOf()
    {
        var common = OsRelease.Unknown;
        var most = 0;
        foreach (var (os, count) in _distributions)
        {
            // One with a version says more than one without.
            if (os.VersionId.Length > 0 == common.VersionId.Length > 0 ? count > most : os.VersionId.Length > 0) (common, most) = (os, count);
        }

        foreach (var (_, os) in _systems)
        {
            if (os.IsUnknown || os.Id == "unknown") continue;
            return os.VersionId.Length == 0 && os.Id == common.Id ? os with { VersionId = common.VersionId } : os;
        }

        return common;
    }

    static bool IsOfSystem(PackageManager manager) => manager is PackageManager.Rpm or PackageManager.Dpkg or PackageManager.Apk;
}

/// <summary>Names of distributions as other programs write them, by os-release.</summary>
static class Distributions
{
    /// <summary>Whether the id is surely a distribution's and not another program's word for one.</summary>
    public static bool IsKnown(string id) =>
        IsEnterpriseLinux(id) || id is "fedora" or "debian" or "ubuntu" or "alpine" or "amzn" or "photon" or "mariner" or "azurelinux" or "wolfi" or "chainguard";

    /// <summary>RHEL and what is built from its sources, whose packages have the same versions.</summary>
    public static bool IsEnterpriseLinux(string id) => id is "rhel" or "centos" or "almalinux" or "rocky" or "ol" or "scientific" or "cloudlinux" or "eurolinux";

    /// <summary><c>rhel-9.4</c>, <c>debian-12</c>, <c>opensuse-leap-15.5</c>, or a code name: <c>bookworm</c>.</summary>
    public static OsRelease Parse(string distribution)
    {
        for (var hyphen = distribution.LastIndexOf('-'); hyphen > 0; hyphen = distribution.LastIndexOf('-', hyphen - 1))
        {
            var version = VersionOf(distribution[(hyphen + 1)..]);
            if (version.Length > 0 && char.IsAsciiDigit(version[0])) return new OsRelease(IdOf(distribution[..hyphen]), version, "");
        }

        return distribution.ToLowerInvariant() switch
        {
            "stretch" => new OsRelease("debian", "9", ""),
            "buster" => new OsRelease("debian", "10", ""),
            "bullseye" => new OsRelease("debian", "11", ""),
            "bookworm" => new OsRelease("debian", "12", ""),
            "trixie" => new OsRelease("debian", "13", ""),
            "xenial" => new OsRelease("ubuntu", "16.04", ""),
            "bionic" => new OsRelease("ubuntu", "18.04", ""),
            "focal" => new OsRelease("ubuntu", "20.04", ""),
            "jammy" => new OsRelease("ubuntu", "22.04", ""),
            "noble" => new OsRelease("ubuntu", "24.04", ""),
            _ => new OsRelease(IdOf(distribution), "", ""),
        };
    }

    /// <summary>The ID of a distribution that is named by its ID, as Trivy names it, or in words.</summary>
    public static string IdOf(string name) => name.ToLowerInvariant() switch
    {
        "redhat" or "red hat" or "red hat enterprise linux" or "red hat enterprise linux server" => OsRelease.RhelId,
        "alma" or "alma linux" => "almalinux",
        "rocky linux" => "rocky",
        "centos linux" or "centos stream" => "centos",
        "oracle" or "oracle linux" or "oracle linux server" or "oraclelinux" => "ol",
        "amazon" or "amazon linux" => "amzn",
        "debian gnu/linux" => "debian",
        "alpine linux" => "alpine",
        "fedora linux" => "fedora",
        "suse" or "suse linux enterprise server" => "sles",
        "opensuse.leap" or "opensuse leap" => "opensuse-leap",
        "opensuse.tumbleweed" or "opensuse tumbleweed" => "opensuse-tumbleweed",
        "photon os" or "vmware photon os" => "photon",
        "cbl-mariner" => "mariner",
        var id => id,
    };

    /// <summary>The number at the start: <c>9.2</c> of <c>9.2 MAIN+EUS</c>, <c>3.19</c> of <c>v3.19</c>.</summary>
    public static string VersionOf(string text)
    {
        var number = text.AsSpan().Trim();
        if (number.Length > 1 && number[0] == 'v' && char.IsAsciiDigit(number[1])) number = number[1..];
        var blank = number.IndexOf(' ');
        return (blank < 0 ? number : number[..blank]).ToString();
    }
}
