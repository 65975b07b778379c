using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The products whose statements are about a package, in the order in which they are asked: a later tier decides about a CVE only when the
/// ones before say nothing of it, or that it is not fixed.
/// </summary>
sealed class ProductChain
{
    const string RedHat = "Red Hat:";
    const string Main = "enterprise_linux";

    // Streams of extended updates (https://access.redhat.com/support/policy/updates/errata): what they have no fix for, the main stream may.
    static readonly string[] Streams =
    [
        "rhel_eus", "rhel_eus_long_life", "rhel_aus", "rhel_tus", "rhel_e4s", "rhel_els", "rhel_mission_critical", "enterprise_linux_eus",
        "enterprise_linux_e2s", "enterprise_linux_e4s",
    ];

    ProductChain(IReadOnlyList<ChainProduct[]> tiers, bool isStream, bool isGuess)
    {
        (Tiers, IsStream, IsGuess) = (tiers, isStream, isGuess);
        IsRedHat = tiers.Count > 0 && tiers[0][0].Plan.IsRedHat;
    }

    public static ProductChain Empty { get; } = new([], isStream: false, isGuess: false);

    /// <summary>None of them is empty.</summary>
    public IReadOnlyList<ChainProduct[]> Tiers { get; }

    public bool IsRedHat { get; }

    /// <summary>The first tier is a stream of extended updates.</summary>
    public bool IsStream { get; }

    /// <summary>The products follow from os-release, because the package's repository has no CPE.</summary>
    public bool IsGuess { get; }

    /// <summary>Products that apply side by side.</summary>
    public static ProductChain Of(Matcher matcher, IEnumerable<string> products)
    {
        var tier = new List<ChainProduct>();
        foreach (var product in products) Add(matcher, tier, product, null);
        return tier.Count == 0 ? Empty : new ProductChain([[.. tier]], isStream: false, isGuess: false);
    }

    /// <summary>The chain of a machine of Red Hat for packages whose repository has no CPE.</summary>
    public static ProductChain OfRelease(Matcher matcher, OsRelease os)
    {
        var version = os.VersionId;
        var dot = version.IndexOf('.');
        var major = dot < 0 ? version : version[..dot];
        if (major.Length == 0) return Empty;
        var tiers = new List<ChainProduct[]>();
        if (dot > 0 && HasMinorProducts(major)) AddTier(matcher, tiers, ($"{RedHat}{Main}:{version}", null));
        AddTier(matcher, tiers, ($"{RedHat}{Main}:{major}", null));
        return new ProductChain(tiers, isStream: false, isGuess: true);
    }

    /// <summary>The chain of a package by the CPEs of its repository.</summary>
    /// <returns>Empty when none of them is a CPE of Red Hat, or the database has nothing about any of the products.</returns>
    public static ProductChain OfCpes(Matcher matcher, IReadOnlyList<string> cpes, string versionId)
    {
        var named = new List<NamedProduct>();
        foreach (var cpe in cpes)
        {
            if (Cpe.ProductOf(cpe) is not { } product || named.Exists(known => known.Product == product)) continue;
            var name = product[RedHat.Length..];
            var colon = name.IndexOf(':');
            named.Add(new NamedProduct(product, cpe, colon < 0 ? name : name[..colon], colon < 0 ? "" : name[(colon + 1)..]));
        }

        // Red Hat's mapping names one repository for all minor releases (rhel_eus 9.0, 9.2, 9.4): the machine says which it follows.
        var others = named.FindAll(product => IsOtherMinor(product, named, versionId));
        named.RemoveAll(product => others.Contains(product));
        var isStream = named.Exists(product => IsStreamName(product.Name));
        var main = named.FindAll(product => isStream && product.Name == Main);
        named.RemoveAll(product => main.Contains(product));

        var tiers = new List<ChainProduct[]>();
        AddTier(matcher, tiers, [.. named.Select(product => (product.Product, (string?)product.Cpe))]);
        var ownTiers = tiers.Count;
        AddTier(matcher, tiers, [.. main.Where(product => product.Version.Contains('.')).Select(product => (product.Product, (string?)product.Cpe))]);
        AddTier(matcher, tiers, [.. others.Where(product => product.Name == Main).Select(product => (product.Product, (string?)product.Cpe))]);
        // Other products are named by their major version until there is a fix: openshift:4 and openshift:4.16
        // (https://redhatproductsecurity.github.io/security-data-guidelines/scanning-vendors/#cpe-matching-logic).
        AddTier(matcher, tiers, [.. named.Where(IsLayered).Select(product => ($"{RedHat}{product.Name}:{product.Version[..product.Version.IndexOf('.')]}", (string?)product.Cpe))
            .DistinctBy(product => product.Item1)]);
        foreach (var product in named)
        {
            if (product.Name != Main && !IsStreamName(product.Name)) continue;
            var dot = product.Version.IndexOf('.');
            var major = dot < 0 ? product.Version : product.Version[..dot];
            if (major.Length == 0) continue;
            if (dot > 0 && product.Name != Main && HasMinorProducts(major)) AddTier(matcher, tiers, ($"{RedHat}{Main}:{product.Version}", product.Cpe));
            AddTier(matcher, tiers, ($"{RedHat}{Main}:{major}", product.Cpe));
        }

        // The first tier of a stream of which the database has nothing is the main one, whose fixes are still not the stream's.
        if (isStream && ownTiers == 0 && tiers.Count > 0) tiers.Insert(0, tiers[0]);
        return new ProductChain(tiers, isStream, isGuess: false);
    }

    // Since RHEL 10 the CPEs of the main stream have the minor release too.
    static bool HasMinorProducts(string major) => int.TryParse(major, out var number) && number >= 10;

    static bool IsOtherMinor(NamedProduct product, List<NamedProduct> all, string versionId) =>
        product.Version.Contains('.') && product.Version != versionId && (product.Name == Main || IsStreamName(product.Name))
        && all.Exists(other => other.Name == product.Name && other.Version == versionId);

    static bool IsLayered(NamedProduct product) => product.Name != Main && !IsStreamName(product.Name) && product.Version.IndexOf('.') > 0;

    static bool IsStreamName(string name) => Array.IndexOf(Streams, name) >= 0;

    static void AddTier(Matcher matcher, List<ChainProduct[]> tiers, params ReadOnlySpan<(string Product, string? Cpe)> products)
    {
        var tier = new List<ChainProduct>();
        foreach (var (product, cpe) in products)
        {
            if (!tiers.Exists(known => Array.Exists(known, other => other.Plan.Name == product))) Add(matcher, tier, product, cpe);
        }

        if (tier.Count > 0) tiers.Add([.. tier]);
    }

    static void Add(Matcher matcher, List<ChainProduct> tier, string product, string? cpe)
    {
        if (matcher.ProductOf(product) is { } plan) tier.Add(new ChainProduct(plan, cpe));
    }

    sealed record NamedProduct(string Product, string Cpe, string Name, string Version);
}

/// <summary>A product that is asked about a package, and the CPE of its repository that says so.</summary>
readonly record struct ChainProduct(ProductPlan Plan, string? Cpe);
