using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// A family of products whose advisories can be matched, by the first part of OSV's ecosystem name
/// (https://ossf.github.io/osv-schema/#defined-ecosystems), or by a name of ours where OSV has none. This is the one table of: how their
/// versions compare, whether their advisories name source or binary packages, and which products a machine or a language package is in.
/// </summary>
public sealed class Ecosystem
{
    // Source or binary as the published documents have it, and where there are none here, as the OSV schema describes the name.
    // TuxCare, Root, Docker Hardened Images and CleanStart patch packages of others, and Android, OSS-Fuzz, Linux and FreeBSD are no
    // packages of a manager that is read here: nothing says how their versions compare.
    static readonly Ecosystem[] All =
    [
        new("AlmaLinux", VersionScheme.Rpm, PackageManager.Rpm, namesSource: false),
        new("Rocky Linux", VersionScheme.Rpm, PackageManager.Rpm, namesSource: true),
        new("Red Hat", VersionScheme.Rpm, PackageManager.Rpm, namesSource: false),
        new("Oracle Linux", VersionScheme.Rpm, PackageManager.Rpm, namesSource: false, isOsv: false),
        new("Amazon Linux", VersionScheme.Rpm, PackageManager.Rpm, namesSource: false, isOsv: false),
        new("Fedora", VersionScheme.Rpm, PackageManager.Rpm, namesSource: false, isOsv: false),
        new("SUSE", VersionScheme.Rpm, PackageManager.Rpm, namesSource: true),
        new("openSUSE", VersionScheme.Rpm, PackageManager.Rpm, namesSource: true),
        new("openEuler", VersionScheme.Rpm, PackageManager.Rpm, namesSource: true),
        new("Mageia", VersionScheme.Rpm, PackageManager.Rpm, namesSource: true),
        new("Azure Linux", VersionScheme.Rpm, PackageManager.Rpm, namesSource: true),
        new("Photon OS", VersionScheme.Rpm, PackageManager.Rpm, namesSource: false),
        new("Debian", VersionScheme.Dpkg, PackageManager.Dpkg, namesSource: true),
        new("Ubuntu", VersionScheme.Dpkg, PackageManager.Dpkg, namesSource: true),
        new("Echo", VersionScheme.Dpkg, PackageManager.Dpkg, namesSource: true),
        new("Alpine", VersionScheme.Apk, PackageManager.Apk, namesSource: true),
        new("Alpaquita", VersionScheme.Apk, PackageManager.Apk, namesSource: true),
        new("BellSoft Hardened Containers", VersionScheme.Apk, PackageManager.Apk, namesSource: true),
        // These two name each package, subpackages included.
        new("Wolfi", VersionScheme.Apk, PackageManager.Apk, namesSource: false),
        new("Chainguard", VersionScheme.Apk, PackageManager.Apk, namesSource: false),
        new("MinimOS", VersionScheme.Apk, PackageManager.Apk, namesSource: false),
        new("PyPI", VersionScheme.Pypi, PackageManager.PyPI, namesSource: false),
        new("npm", VersionScheme.Npm, PackageManager.Npm, namesSource: false),
        new("Maven", VersionScheme.Maven, PackageManager.Maven, namesSource: false),
        new("Go", VersionScheme.Go, PackageManager.Go, namesSource: false),
        new("NuGet", VersionScheme.NuGet, PackageManager.NuGet, namesSource: false),
        // No package of these is read yet, neither from machines nor from software bills of materials.
        new("crates.io", VersionScheme.Crates, null, namesSource: false),
        new("RubyGems", VersionScheme.RubyGems, null, namesSource: false),
        new("Packagist", VersionScheme.Packagist, null, namesSource: false),
        new("Hex", VersionScheme.Hex, null, namesSource: false),
        new("Pub", VersionScheme.Pub, null, namesSource: false),
        new("SwiftURL", VersionScheme.Semver, null, namesSource: false),
        new("Julia", VersionScheme.Semver, null, namesSource: false),
        new("Bitnami", VersionScheme.Semver, null, namesSource: false),
        new("GitHub Actions", VersionScheme.Semver, null, namesSource: false),
        new("Kubernetes", VersionScheme.Semver, null, namesSource: false),
        new("VSCode", VersionScheme.Semver, null, namesSource: false),
        new("ConanCenter", VersionScheme.Semver, null, namesSource: false),
        new("CRAN", VersionScheme.Cran, null, namesSource: false),
        new("Bioconductor", VersionScheme.Cran, null, namesSource: false),
        new("Hackage", VersionScheme.Hackage, null, namesSource: false),
        new("GHC", VersionScheme.Hackage, null, namesSource: false),
        new("opam", VersionScheme.Opam, null, namesSource: false),
    ];

    static readonly Dictionary<string, Ecosystem>.AlternateLookup<ReadOnlySpan<char>> ByFamily =
        All.ToDictionary(ecosystem => ecosystem.Family, StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Longest <c>ecosystem:release</c> of a machine; os-release comes from guests and may hold anything.</summary>
    public const int NameMax = 64;

    [ThreadStatic]
    static Membership? _latest;

    Ecosystem(string family, VersionScheme scheme, PackageManager? manager, bool namesSource, bool isOsv = true)
    {
        Family = family;
        Scheme = scheme;
        Manager = manager;
        NamesSource = namesSource;
        IsOsv = isOsv;
    }

    /// <summary>The part of the name before the first ':'.</summary>
    public string Family { get; }

    /// <summary>How versions compare.</summary>
    public VersionScheme Scheme { get; }

    /// <summary>Whose packages the advisories are about. Null when no package of theirs is read from machines.</summary>
    public PackageManager? Manager { get; }

    /// <summary>Advisories name source packages.</summary>
    public bool NamesSource { get; }

    /// <summary>OSV has this name. Else it is ours, for what other feeds say.</summary>
    public bool IsOsv { get; }

    /// <summary>The word for <see cref="Scheme"/> in a finding's evidence.</summary>
    public string Rules => Scheme.Name;

    public int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b) => Scheme.Compare(a, b);

    public int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b) => Scheme.Compare(a, b);

    /// <summary>The family of a product such as <c>AlmaLinux:8</c>. Null when versions of it cannot be compared here.</summary>
    public static Ecosystem? Find(ReadOnlySpan<char> product)
    {
        var colon = product.IndexOf(':');
        return ByFamily.TryGetValue(colon < 0 ? product : product[..colon], out var ecosystem) ? ecosystem : null;
    }

    /// <summary>
    /// The products that a machine's os-release puts its packages into, the most specific first: <c>Debian:12</c>;
    /// <c>Ubuntu:22.04:LTS</c> and <c>Ubuntu:Pro:22.04:LTS</c>. Empty for an unknown one, and for CentOS, which has no advisories of its own.
    /// </summary>
    /// <remarks>
    /// Red Hat's products are those of the CPEs of the repositories that packages came from (<see cref="Cpe.ProductOf"/>). What os-release
    /// gives (<c>Red Hat:enterprise_linux:9</c>) is for packages without them.
    /// </remarks>
    public static IReadOnlyList<string> ProductsOf(OsRelease os)
    {
        // A fleet has few releases, and its machines come one after another.
        if (_latest is not { } latest || latest.Os != os) _latest = latest = new Membership(os, MakeProductsOf(os));
        return latest.Products;
    }

    static IReadOnlyList<string> MakeProductsOf(OsRelease os)
    {
        var version = os.VersionId;
        if (!IsPlain(version) || !IsPlain(os.PrettyName)) return [];
        var major = version.Split('.')[0];
        return os.Id switch
        {
            "almalinux" => Release("AlmaLinux", major),
            "rocky" => Release("Rocky Linux", major),
            "rhel" => Release("Red Hat:enterprise_linux", major),
            // Its version is a date; its CPE is cpe:/a:redhat:hummingbird:1.
            "hummingbird" => ["Red Hat:hummingbird:1"],
            "ol" => Release("Oracle Linux", major),
            // Amazon Linux 1 had dates for versions: 2018.03.
            "amzn" => Release("Amazon Linux", version.Contains('.') ? "1" : version),
            "fedora" => Release("Fedora", major),
            "debian" => Debian(os),
            "ubuntu" => Ubuntu(version),
            // 3.18.4 is v3.18, 3.21.0_alpha20240923 is edge.
            "alpine" => version.Contains('_') ? ["Alpine:edge"] : Release("Alpine:v", MajorAndMinor(version), separator: ""),
            "alpaquita" => Release("Alpaquita", version),
            "wolfi" => ["Wolfi"],
            "chainguard" => ["Chainguard"],
            "minimos" => ["MinimOS"],
            "mageia" => Release("Mageia", major),
            "openEuler" or "openeuler" => OpenEuler(os),
            "photon" => Release("Photon OS", version),
            "azurelinux" or "mariner" => Release("Azure Linux", major),
            "opensuse-leap" => Release("openSUSE:Leap ", version, separator: ""),
            "opensuse-leap-micro" => Release("openSUSE:Leap Micro ", version, separator: ""),
            "opensuse-tumbleweed" => ["openSUSE:Tumbleweed"],
            "sles" or "sled" or "sles_sap" or "sle_hpc" => Suse(os),
            "sle-micro" or "suse-microos" or "sl-micro" => SuseMarketingName(os),
            _ => [],
        };
    }

    /// <summary>The product of a language's packages, wherever they are installed: <c>PyPI</c>. Null for packages of operating systems.</summary>
    public static string? ProductOf(PackageManager manager) => manager switch
    {
        PackageManager.PyPI => "PyPI",
        PackageManager.Npm => "npm",
        PackageManager.Maven => "Maven",
        PackageManager.Go => "Go",
        PackageManager.NuGet => "NuGet",
        _ => null,
    };

    /// <summary>
    /// The one spelling of a package's name under which advisories and packages meet: for PyPI that of
    /// https://packaging.python.org/en/latest/specifications/name-normalization/, for NuGet, Packagist and GitHub Actions, whose registries do
    /// not tell cases apart, lower case. npm does tell them apart: its older packages <c>JSONStream</c> and <c>jsonstream</c> are two.
    /// </summary>
    public string NormalizeName(string name) => Family switch
    {
        "PyPI" => NormalizePythonName(name),
        "NuGet" or "Packagist" or "GitHub Actions" => name.ToLowerInvariant(),
        _ => name,
    };

    /// <summary>Writes the first of <see cref="ProductsOf"/>: almalinux 8.10 is <c>AlmaLinux:8</c>.</summary>
    /// <returns>Length written; 0 when the machine is in no known product or its name does not fit.</returns>
    public static int NameOf(OsRelease os, Span<char> destination)
    {
        var products = ProductsOf(os);
        return products.Count > 0 && products[0].TryCopyTo(destination) ? products[0].Length : 0;
    }

    static string[] Release(string product, string version, string separator = ":") =>
        version.Length > 0 && product.Length + separator.Length + version.Length <= NameMax ? [$"{product}{separator}{version}"] : [];

    // os-release is the guest's: nothing in it may pass for another product or a second part of a name.
    static bool IsPlain(string text) => !text.Contains(':') && !text.Any(char.IsControl);

    static string MajorAndMinor(string version)
    {
        var dot = version.IndexOf('.');
        var end = dot < 0 ? -1 : version.IndexOf('.', dot + 1);
        return end < 0 ? version : version[..end];
    }

    /// <summary>
    /// 12 is <c>Debian:12</c>. Testing and unstable have no VERSION_ID, and "trixie/sid" for a name: <c>Debian:sid</c>, and <c>Debian:13</c> as
    /// testing.
    /// </summary>
    static string[] Debian(OsRelease os)
    {
        if (os.VersionId.Length > 0)
        {
            // https://debian.pages.debian.net/distro-info-data/debian.csv: up to squeeze, 6.0, with the ".0", from wheezy, 7, without.
            var major = os.VersionId.Split('.')[0];
            var isOld = major.Length == 1 && major[0] < '7';
            return Release("Debian", isOld ? os.VersionId : major);
        }

        if (!os.PrettyName.EndsWith("/sid", StringComparison.Ordinal)) return [];
        string? testing = null;
        foreach (var (codename, version) in ((string, string)[])[("bookworm", "12"), ("trixie", "13"), ("forky", "14"), ("duke", "15")])
        {
            if (os.PrettyName.EndsWith($" {codename}/sid", StringComparison.Ordinal)) testing = version;
        }

        return testing is null ? ["Debian:sid"] : ["Debian:sid", $"Debian:{testing}"];
    }

    /// <summary>
    /// 22.04 is <c>Ubuntu:22.04:LTS</c>, 23.10 is <c>Ubuntu:23.10</c>: April of even years is long-term support. What only Ubuntu Pro fixes
    /// concerns a machine whether it is subscribed or not: subscribed, it has the fixed version; else it is affected.
    /// </summary>
    static string[] Ubuntu(string version)
    {
        var dot = version.IndexOf('.');
        var isLts = dot > 0 && version.AsSpan(dot) is ".04" && version[dot - 1] is '0' or '2' or '4' or '6' or '8';
        return isLts ? [.. Release("Ubuntu", $"{version}:LTS"), .. Release("Ubuntu:Pro", $"{version}:LTS")] : Release("Ubuntu", version);
    }

    /// <summary>"openEuler 22.03 (LTS-SP3)" is <c>openEuler:22.03-LTS-SP3</c>.</summary>
    static string[] OpenEuler(OsRelease os)
    {
        var name = os.PrettyName;
        var open = name.IndexOf('(');
        var close = name.IndexOf(')', Math.Max(0, open));
        return open >= 0 && close > open + 1 && os.VersionId.Length > 0
            ? Release("openEuler", $"{os.VersionId}-{name[(open + 1)..close]}")
            : Release("openEuler", os.VersionId);
    }

    // "<RELEASE> matches the value in the /etc/os-release PRETTY_NAME field", without the "SUSE " before it.
    static string[] SuseMarketingName(OsRelease os) =>
        os.PrettyName.StartsWith("SUSE ", StringComparison.Ordinal) ? Release("SUSE", os.PrettyName["SUSE ".Length..]) : [];

    /// <summary>
    /// 15.5 is <c>SUSE:Linux Enterprise Server 15 SP5</c>, and its packages come from modules too, each of which has advisories under its own
    /// name: <c>SUSE:Linux Enterprise Module for Basesystem 15 SP5</c>. Which modules are enabled does not matter: what is not installed is not
    /// looked up.
    /// </summary>
    static IReadOnlyList<string> Suse(OsRelease os)
    {
        var products = new List<string>(SuseMarketingName(os));
        var dot = os.VersionId.IndexOf('.');
        var major = dot < 0 ? os.VersionId : os.VersionId[..dot];
        if (major is not ("12" or "15")) return products;

        var release = dot < 0 || os.VersionId[dot..] is ".0" ? major : $"{major} SP{os.VersionId[(dot + 1)..]}";
        void Add(string product)
        {
            foreach (var name in Release("SUSE:", product, separator: ""))
            {
                if (!products.Contains(name)) products.Add(name);
            }
        }

        // The advisories of the server are for its variants too.
        Add($"Linux Enterprise Server {release}");
        Add($"Linux Enterprise Server {release}-LTSS");
        Add($"Linux Enterprise Desktop {release}");
        Add($"Linux Enterprise Server for SAP Applications {release}");
        Add($"Linux Enterprise Workstation Extension {release}");
        Add($"Linux Enterprise High Availability Extension {release}");
        Add($"Linux Enterprise Live Patching {release}");
        Add($"Package Hub {release}");
        if (major == "12")
        {
            Add("Package Hub 12");
            Add($"Linux Enterprise Software Development Kit {release}");
            foreach (var module in SuseModules12) Add($"Linux Enterprise Module for {module} 12");
        }
        else
        {
            Add($"Linux Enterprise High Performance Computing {release}");
            foreach (var module in SuseModules15) Add($"Linux Enterprise Module for {module} {release}");
        }

        return products;
    }

    static readonly string[] SuseModules12 =
    [
        "Advanced Systems Management", "Certifications", "Containers", "High Performance Computing", "Legacy", "Public Cloud", "Toolchain",
        "Web and Scripting",
    ];

    static readonly string[] SuseModules15 =
    [
        "Basesystem", "Certifications", "Confidential Computing", "Containers", "Desktop Applications", "Development Tools",
        "High Performance Computing", "Legacy", "Public Cloud", "Python 2", "Python 3", "SAP Applications", "SAP Business One",
        "Server Applications", "Systems Management",
        "Transactional Server", "Web and Scripting",
    ];

    sealed record Membership(OsRelease Os, IReadOnlyList<string> Products);

    static string NormalizePythonName(string name)
    {
        var isNormal = true;
        for (var i = 0; i < name.Length; i++)
            isNormal &= !char.IsAsciiLetterUpper(name[i]) && name[i] is not ('_' or '.') && (name[i] != '-' || (i > 0 && name[i - 1] != '-'));
        if (isNormal) return name;

        var text = new StringBuilder(name.Length);
        for (var i = 0; i < name.Length; i++)
        {
            if (name[i] is not ('-' or '_' or '.')) text.Append(char.ToLowerInvariant(name[i]));
            else if (i == 0 || name[i - 1] is not ('-' or '_' or '.')) text.Append('-');
        }

        return text.ToString();
    }
}
