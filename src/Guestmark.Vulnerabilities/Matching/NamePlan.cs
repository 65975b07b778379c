using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The statements about one name of a product, prepared so that a package costs one search among the distinct versions and one comparison of
/// two integers for each interval, instead of up to two comparisons of versions.
/// </summary>
/// <remarks>
/// The n distinct versions that the intervals name are sorted. Of an installed version all that matters is where it lies among them: at
/// place 2i+1 when it equals version i, at 2i when it lies before it and after the one before. Each interval is then a range of places.
/// </remarks>
sealed class NamePlan
{
    /// <summary>The place of a package whose version is not known: it is in no interval.</summary>
    public const int NoPlace = -1;

    readonly AdvisoryDatabase _database;
    readonly VersionRanks?[] _ranks = new VersionRanks?[3];

    NamePlan(AdvisoryDatabase database, ProductPlan product, PlanRule[] rules, bool isPlain)
    {
        (_database, Product, Rules, IsPlain) = (database, product, rules, isPlain);
    }

    public ProductPlan Product { get; }

    /// <summary>One for each interval, or for a statement about all versions; those of a statement side by side, in the order of the documents.</summary>
    public PlanRule[] Rules { get; }

    /// <summary>Every statement is an erratum of one feed that speaks for itself: none can overrule another.</summary>
    public bool IsPlain { get; }

    public static NamePlan Of(AdvisoryDatabase database, ProductPlan product, int name)
    {
        var rules = new List<PlanRule>();
        var first = database.Names[name].StatementStart;
        var statements = database.StatementsOf(name);
        var isPlain = !product.IsRedHat;
        var feed = database.Documents[statements[0].Document].Feed;
        for (var i = 0; i < statements.Length; i++)
        {
            ref readonly var statement = ref statements[i];
            ref readonly var document = ref database.Documents[statement.Document];
            var rank = FeedRank.Of(database.Text(document.Feed));
            isPlain &= rank == FeedRank.Errata && document.Feed == feed && (ProductStatus)statement.Status != ProductStatus.NotAffected
                && database.Details[statement.Detail].Cve == 0;
            var rule = new PlanRule
            {
                Statement = first + i,
                Interval = -1,
                Document = statement.Document,
                Modules = statement.Modules,
                Architectures = statement.Architectures,
                Naming = (PackageNaming)statement.Naming,
                Status = (ProductStatus)statement.Status,
                FeedRank = rank,
                IsModular = statement.Modules != 0,
            };
            if (statement.IntervalCount == 0) rules.Add(rule);
            else AddIntervals(database, product, statement, rule, rules);
        }

        return new NamePlan(database, product, [.. rules], isPlain);
    }

    /// <summary>The places of the intervals in an order.</summary>
    public VersionRanks Ranks(VersionOrder order) => _ranks[(int)order] ??= VersionRanks.Of(_database, this, order);

    static void AddIntervals(AdvisoryDatabase database, ProductPlan product, in StatementRow statement, PlanRule rule, List<PlanRule> rules)
    {
        var intervals = database.Intervals(statement);
        var start = rules.Count;
        for (var i = 0; i < intervals.Length; i++)
        {
            var version = database.Text(intervals[i].End != 0 ? intervals[i].End : intervals[i].Introduced);
            rules.Add(rule with
            {
                Interval = statement.IntervalStart + i,
                IsModular = rule.IsModular || BuildTag.IsModular(version),
                Major = product.IsRedHat && rule.Naming != PackageNaming.Module ? BuildTag.MajorOf(version) : 0,
                Minor = !product.IsRedHat ? 0 : rule.Naming == PackageNaming.Module ? BuildTag.PlatformOf(version) : BuildTag.MinorOf(version),
            });
        }

        // Several fixed builds in one statement are rebuilds of one fix: the oldest decides, else every machine that installed the first
        // build would look vulnerable. Of modular builds whose stream is not named, those of one version line are rebuilds of each other.
        // Red Hat's are builds for several minor releases, among which the installed one's release decides.
        if (intervals.Length < 2 || product.Ecosystem.Manager != Inventory.PackageManager.Rpm || product.IsRedHat || rule.Naming == PackageNaming.Module) return;
        foreach (ref readonly var interval in intervals)
        {
            if (interval.Introduced != 0 || (IntervalEnd)interval.Kind != IntervalEnd.Fixed) return;
        }

        var oldest = new Dictionary<string, PlanRule>(StringComparer.Ordinal);
        foreach (var candidate in CollectionsMarshal.AsSpan(rules)[start..])
        {
            var version = database.Text(database.AllIntervals[candidate.Interval].End);
            var line = !candidate.IsModular ? "" : candidate.Modules != 0 ? "*" : System.Text.Encoding.UTF8.GetString(BuildTag.VersionLine(version));
            if (!oldest.TryGetValue(line, out var known)
                || product.Compare(VersionOrder.Ecosystem, version, database.Text(database.AllIntervals[known.Interval].End)) < 0) oldest[line] = candidate;
        }

        rules.RemoveRange(start, rules.Count - start);
        foreach (var kept in oldest.Values) rules.Add(kept);
    }
}

/// <summary>An interval of a statement, or a statement about all versions.</summary>
readonly record struct PlanRule
{
    /// <summary>Index of all statements.</summary>
    public required int Statement { get; init; }

    /// <summary>Index of all intervals; -1: all versions.</summary>
    public required int Interval { get; init; }

    public required int Document { get; init; }

    /// <summary>List of texts.</summary>
    public required int Modules { get; init; }

    /// <summary>List of texts.</summary>
    public required int Architectures { get; init; }

    /// <summary>Of Red Hat's builds: <see cref="BuildTag.MajorOf"/>. 0 of modules.</summary>
    public int Major { get; init; }

    /// <summary>Of Red Hat's builds: <see cref="BuildTag.MinorOf"/>, <see cref="BuildTag.PlatformOf"/>.</summary>
    public int Minor { get; init; }

    public required PackageNaming Naming { get; init; }

    public required ProductStatus Status { get; init; }

    /// <summary>See <see cref="Vulnerabilities.FeedRank"/>.</summary>
    public required byte FeedRank { get; init; }

    public required bool IsModular { get; init; }
}

/// <summary>The places of a name's intervals among its versions, in one order.</summary>
sealed class VersionRanks
{
    readonly AdvisoryDatabase _database;
    readonly ProductPlan _product;
    readonly VersionOrder _order;

    /// <summary>Texts of the distinct versions, oldest first.</summary>
    readonly int[] _versions;

    VersionRanks(AdvisoryDatabase database, ProductPlan product, VersionOrder order, int[] versions, int[] first, int[] last)
    {
        (_database, _product, _order, _versions, First, Last) = (database, product, order, versions, first, last);
    }

    /// <summary>For each rule the first place that is affected.</summary>
    public int[] First { get; }

    /// <summary>For each rule the last place that is affected: also the order of fixes by age.</summary>
    public int[] Last { get; }

    public static VersionRanks Of(AdvisoryDatabase database, NamePlan plan, VersionOrder order)
    {
        var places = new Dictionary<int, int>();
        foreach (var rule in plan.Rules)
        {
            if (rule.Interval < 0) continue;
            ref readonly var interval = ref database.AllIntervals[rule.Interval];
            if (interval.Introduced != 0) places[interval.Introduced] = 0;
            if ((IntervalEnd)interval.Kind != IntervalEnd.None) places[interval.End] = 0;
        }

        var texts = new int[places.Count];
        places.Keys.CopyTo(texts, 0);
        Array.Sort(texts, (a, b) => plan.Product.Compare(order, database.Text(a), database.Text(b)));
        var distinct = 0;
        for (var i = 0; i < texts.Length; i++)
        {
            // 1.0 and 1.00 are one version.
            if (distinct == 0 || plan.Product.Compare(order, database.Text(texts[distinct - 1]), database.Text(texts[i])) != 0) texts[distinct++] = texts[i];
            places[texts[i]] = distinct - 1;
        }

        var (first, last) = (new int[plan.Rules.Length], new int[plan.Rules.Length]);
        for (var i = 0; i < first.Length; i++)
        {
            var rule = plan.Rules[i];
            last[i] = int.MaxValue;
            if (rule.Interval < 0)
            {
                first[i] = NamePlan.NoPlace;
                continue;
            }

            ref readonly var interval = ref database.AllIntervals[rule.Interval];
            if (interval.Introduced != 0) first[i] = (2 * places[interval.Introduced]) + 1;
            if ((IntervalEnd)interval.Kind == IntervalEnd.Fixed) last[i] = 2 * places[interval.End];
            else if ((IntervalEnd)interval.Kind == IntervalEnd.LastAffected) last[i] = (2 * places[interval.End]) + 1;
        }

        return new VersionRanks(database, plan.Product, order, texts[..distinct], first, last);
    }

    /// <summary>Where a version lies.</summary>
    public int PlaceOf(ReadOnlySpan<byte> version)
    {
        var (low, high) = (0, _versions.Length);
        while (low < high)
        {
            var middle = (low + high) >> 1;
            var order = _product.Compare(_order, _database.Text(_versions[middle]), version);
            if (order == 0) return (2 * middle) + 1;
            if (order < 0) low = middle + 1;
            else high = middle;
        }

        return 2 * low;
    }

    public bool Contains(int rule, int place) => place >= First[rule] && place <= Last[rule];
}

/// <summary>
/// Which feed decides about a CVE that several name: the vendor's statement about the CVE, then its errata in CSAF, then errata in other formats.
/// </summary>
static class FeedRank
{
    public const byte Statement = 0;
    public const byte Csaf = 1;
    public const byte Errata = 2;

    public static byte Of(ReadOnlySpan<byte> feed) =>
        feed.SequenceEqual("redhat-vex"u8) || feed.SequenceEqual("debian-tracker"u8) || feed.SequenceEqual("alpine-secdb"u8) ? Statement
        : feed.SequenceEqual("csaf"u8) ? Csaf
        : Errata;
}
