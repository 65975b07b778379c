using System.Collections.Concurrent;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>Says which advisories apply to an installed package. Safe for any number of threads.</summary>
/// <remarks>
/// docs/reference/matching.md has the rules with their reasons and limits. What is known of a name after its first package is kept, up to
/// <see cref="PlannedRulesMax"/> intervals (about 50 bytes each): keep one matcher for a database.
/// </remarks>
public sealed class Matcher
{
    /// <summary>
    /// Version of the rules. Raise it with every change after which the same advisories can give the same package other findings or other
    /// evidence: of the classes of this folder, the comparison of versions, modules, ecosystems, or what of a <see cref="Finding"/> is text.
    /// Stored findings are matched again after an upgrade only then. A test fails when the rules change and this does not.
    /// </summary>
    public const int RulesVersion = 3;

    // All of Red Hat's 3.4 million statements would take 170 MB; a fleet has packages of a fraction of the names.
    const int PlannedRulesMax = 2_000_000;

    readonly AdvisoryDatabase _database;
    readonly MatchOptions _options;
    readonly ConcurrentDictionary<string, ProductPlan> _products = new(StringComparer.Ordinal);
    NamePlan?[] _plans;
    int _plannedRules;
    MachineMatch? _last;

    public Matcher(AdvisoryDatabase database, MatchOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(database);
        _database = database;
        _options = options ?? new MatchOptions();
        _plans = new NamePlan?[database.Names.Length];
    }

    internal AdvisoryDatabase Database => _database;

    internal MatchOptions Options => _options;

    /// <summary>Changes when findings may: with the rules or with the content of the database. <c>RULES:CONTENT</c>.</summary>
    public static string RevisionOf(AdvisoryDatabase database) => $"{RulesVersion}:{database.Revision}";

    /// <summary>Starts the match of one machine: its products are looked up once.</summary>
    /// <param name="host">What says which kernel runs. Null: unknown.</param>
    public MachineMatch For(OsRelease os, HostFacts? host = null)
    {
        ArgumentNullException.ThrowIfNull(os);
        return new MachineMatch(this, os, host ?? HostFacts.Unknown);
    }

    /// <summary>Adds one finding for each advisory that applies, in ascending order of advisory ids.</summary>
    /// <remarks>For many packages of one machine <see cref="For"/> is the better form: it knows which kernel runs, and says what became of each.</remarks>
    public void Match(OsRelease os, Package package, ICollection<Finding> findings)
    {
        ArgumentNullException.ThrowIfNull(os);
        // Packages mostly come one after the other from machines with the same system; another thread may have taken the last one.
        var machine = Interlocked.Exchange(ref _last, null);
        if (machine is null || machine.Os != os) machine = For(os);
        machine.Match(package, findings);
        _last = machine;
    }

    /// <summary>Every statement about a CVE that was looked at for the packages, with what decided.</summary>
    public IReadOnlyList<StatementExplanation> Explain(OsRelease os, IEnumerable<Package> packages, string cve)
    {
        ArgumentNullException.ThrowIfNull(packages);
        return Explanations.Of(this, For(os), packages, cve);
    }

    /// <returns>Null when the database has nothing about the product.</returns>
    internal ProductPlan? ProductOf(string product)
    {
        if (_products.TryGetValue(product, out var plan)) return plan;
        // Those that are not there are not kept: their number is not bounded by the database.
        return ProductPlan.Find(_database, product) is { } found ? _products.GetOrAdd(product, found) : null;
    }

    /// <param name="name">Index of the name.</param>
    internal NamePlan PlanOf(ProductPlan product, int name)
    {
        var plans = _plans;
        if (Volatile.Read(ref plans[name]) is { } known) return known;
        var plan = NamePlan.Of(_database, product, name);
        if (Interlocked.Add(ref _plannedRules, plan.Rules.Length) > PlannedRulesMax)
        {
            // What was planned is forgotten; threads that still use it keep it alive as long as they do.
            Volatile.Write(ref _plannedRules, plan.Rules.Length);
            plans = new NamePlan?[plans.Length];
            _plans = plans;
        }

        Volatile.Write(ref plans[name], plan);
        return plan;
    }
}

/// <summary>What a match reports beyond vulnerabilities.</summary>
public sealed record MatchOptions
{
    /// <summary>Also findings of status <see cref="ProductStatus.NotAffected"/>. By default there are none.</summary>
    public bool IncludeNotAffected { get; init; }
}
