using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>Says which of the operator's decisions do nothing here, and why: one that is expected to hide a finding and does not is noticed late.</summary>
static class DecisionNotes
{
    const int NamedMax = 3;

    /// <param name="stored">Of the database. They are about many machines: said is only what concerns a finding of this one.</param>
    /// <param name="named">Of <c>--vex</c>, which were given for this machine.</param>
    /// <param name="machine">Null: it has no name.</param>
    public static IEnumerable<string> Of(MatchReport report, IReadOnlyList<VexDecision> stored, IReadOnlyList<VexDecision> named, string? machine)
    {
        if (stored.Count + named.Count == 0) yield break;
        var findings = new Dictionary<string, List<MatchedFinding>>(StringComparer.OrdinalIgnoreCase);
        foreach (var row in report.Findings)
        {
            foreach (var id in row.Finding.Cves.Append(row.Finding.AdvisoryId).Distinct(StringComparer.OrdinalIgnoreCase))
            {
                if (!findings.TryGetValue(id, out var rows)) findings[id] = rows = [];
                rows.Add(row);
            }
        }

        var (expired, scoped, elsewhere, unmatched) = (new List<VexDecision>(), new List<VexDecision>(), new List<VexDecision>(), new List<VexDecision>());
        foreach (var (decision, isNamed) in named.Select(decision => (decision, true)).Concat(stored.Select(decision => (decision, false))))
        {
            var isAbout = findings.TryGetValue(decision.Vulnerability, out var rows) && IsAbout(report, decision, rows);
            if (!isAbout && !isNamed) continue;
            if (decision.Expires <= report.Now) expired.Add(decision);
            else if (decision.Scope.Count > 0 && machine is null) scoped.Add(decision);
            else if (!isAbout) unmatched.Add(decision);
            else if (isNamed && decision.Scope.Count > 0 && !rows!.Exists(row => Applies(report, decision, row, machine))) elsewhere.Add(decision);
        }

        if (expired.Count > 0) yield return $"{Count(expired)} expired and no longer {Verb(expired, "counts", "count")}: {Names(expired, decision => $"on {Words.Date(decision.Expires)}")}";
        if (scoped.Count > 0)
            yield return $"{Count(scoped)} {Verb(scoped, "is", "are")} for some machines only and {Verb(scoped, "does", "do")} not apply, because nothing says which machine this is: name it with --machine: {Names(scoped, decision => string.Join(", ", decision.Scope))}";
        if (elsewhere.Count > 0) yield return $"{Count(elsewhere)} {Verb(elsewhere, "is", "are")} not for the machine {machine}: {Names(elsewhere, decision => string.Join(", ", decision.Scope))}";
        if (unmatched.Count > 0) yield return $"{Count(unmatched)} of --vex {Verb(unmatched, "matches", "match")} no finding: {Names(unmatched, decision => decision.Products.Count == 0 ? "" : decision.Products[0])}";
    }

    /// <summary>By vulnerability and package, whatever scope and expiry say.</summary>
    static bool IsAbout(MatchReport report, VexDecision decision, List<MatchedFinding> rows)
    {
        var anywhere = new DecisionSet([decision with { Scope = [], Expires = null }]);
        return rows.Exists(row => Find(report, anywhere, decision, row, null) is not null);
    }

    static bool Applies(MatchReport report, VexDecision decision, MatchedFinding row, string? machine) =>
        Find(report, new DecisionSet([decision]), decision, row, machine) is not null;

    static VexDecision? Find(MatchReport report, DecisionSet set, VexDecision decision, MatchedFinding row, string? machine) =>
        set.Find(decision.Vulnerability, [], row.Finding.Package, report.Input.Inventory.Os, machine, report.Now);

    static string Count(List<VexDecision> decisions) => Words.Count(decisions.Count, "decision");

    static string Verb(List<VexDecision> decisions, string one, string many) => decisions.Count == 1 ? one : many;

    static string Names(List<VexDecision> decisions, Func<VexDecision, string> detail)
    {
        var names = decisions.Take(NamedMax).Select(decision => detail(decision) is { Length: > 0 } text ? $"{decision.Vulnerability} ({text})" : decision.Vulnerability);
        return string.Join(", ", names) + (decisions.Count > NamedMax ? " …" : "");
    }
}
