using System.IO.Enumeration;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>The operator's decisions, and which of them applies to a finding. Immutable, safe for any number of threads.</summary>
public sealed class DecisionSet
{
    readonly Dictionary<string, Entry[]> _byVulnerability;

    /// <param name="decisions">In any order. Of two with one id the later counts.</param>
    public DecisionSet(IEnumerable<VexDecision> decisions)
    {
        var byId = new Dictionary<string, VexDecision>(StringComparer.Ordinal);
        foreach (var decision in decisions)
        {
            if (!byId.TryGetValue(decision.Id, out var known) || decision.Decided > known.Decided) byId[decision.Id] = decision;
        }

        // As the names of CVEs are upper case by habit only.
        var lists = new Dictionary<string, List<Entry>>(StringComparer.OrdinalIgnoreCase);
        foreach (var decision in byId.Values)
        {
            if (!lists.TryGetValue(decision.Vulnerability, out var list)) lists[decision.Vulnerability] = list = [];
            list.Add(new Entry(decision));
        }

        _byVulnerability = new Dictionary<string, Entry[]>(lists.Count, StringComparer.OrdinalIgnoreCase);
        foreach (var (vulnerability, list) in lists)
        {
            list.Sort(static (a, b) => Entry.Later(b.Decision, a.Decision));
            _byVulnerability.Add(vulnerability, [.. list]);
        }

        Count = byId.Count;
    }

    /// <summary>Decisions, expired ones included.</summary>
    public int Count { get; }

    /// <summary>
    /// The decision about a finding: the latest one about its advisory, its package and its machine that has not expired. A finding of several
    /// CVEs is decided when its advisory is, or each of the CVEs; then the one that says the most against the finding being harmless stands for
    /// all.
    /// </summary>
    /// <param name="advisory">The finding's advisory: <c>ALSA-2021:2363</c>, or a CVE.</param>
    /// <param name="cves">The finding's CVEs. May be empty.</param>
    /// <param name="package">Installed.</param>
    /// <param name="os">Of the machine that has it.</param>
    /// <param name="machine">Its name, which scopes are about. Null when it has none: then no decision with a scope applies.</param>
    /// <param name="now">For the expiry.</param>
    /// <returns>Null when the operator has decided nothing about it.</returns>
    public VexDecision? Find(string advisory, IReadOnlyList<string> cves, Package package, OsRelease os, string? machine, DateTimeOffset now)
    {
        if (_byVulnerability.Count == 0) return null;
        var whole = Latest(advisory, package, os, machine, now);
        VexDecision? weakest = null;
        for (var i = 0; i < cves.Count; i++)
        {
            var single = Latest(cves[i], package, os, machine, now);
            if (single is null || (whole is not null && Entry.Later(whole, single) > 0)) single = whole;
            if (single is null) return null;
            if (weakest is null || Doubt(single.Status) > Doubt(weakest.Status)) weakest = single;
        }

        return weakest ?? whole;
    }

    static int Doubt(DecisionStatus status) => status switch
    {
        DecisionStatus.Affected => 2,
        DecisionStatus.UnderInvestigation => 1,
        _ => 0,
    };

    VexDecision? Latest(string vulnerability, Package package, OsRelease os, string? machine, DateTimeOffset now)
    {
        if (!_byVulnerability.TryGetValue(vulnerability, out var entries)) return null;
        foreach (var entry in entries)
        {
            if (entry.Applies(package, os, machine, now)) return entry.Decision;
        }

        return null;
    }

    sealed class Entry
    {
        readonly PackagePattern[] _products;

        public Entry(VexDecision decision)
        {
            Decision = decision;
            var products = new List<PackagePattern>();
            foreach (var product in decision.Products)
            {
                if (PackagePattern.Parse(product, out _) is { } url) products.Add(url);
            }

            _products = [.. products];
        }

        public VexDecision Decision { get; }

        /// <summary>
        /// Above 0 when <paramref name="a"/> is the later one. At one time the id decides: the longer, then the greater one, so that statement 10
        /// of a document is later than statement 9.
        /// </summary>
        public static int Later(VexDecision a, VexDecision b)
        {
            var order = a.Decided.CompareTo(b.Decided);
            if (order != 0) return order;
            order = a.Id.Length.CompareTo(b.Id.Length);
            return order != 0 ? order : string.CompareOrdinal(a.Id, b.Id);
        }

        public bool Applies(Package package, OsRelease os, string? machine, DateTimeOffset now) =>
            !(Decision.Expires <= now) && IsInScope(machine) && IsAbout(package, os);

        bool IsInScope(string? machine)
        {
            if (Decision.Scope.Count == 0) return true;
            if (machine is null) return false;
            foreach (var pattern in Decision.Scope)
            {
                if (FileSystemName.MatchesSimpleExpression(pattern, machine, ignoreCase: false)) return true;
            }

            return false;
        }

        // None of the products can be read: that is not the same as all packages.
        bool IsAbout(Package package, OsRelease os)
        {
            if (Decision.Products.Count == 0) return true;
            foreach (var product in _products)
            {
                if (product.Matches(package, os)) return true;
            }

            return false;
        }
    }
}
