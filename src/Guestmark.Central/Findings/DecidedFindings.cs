using System.Text.Json;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Findings;

/// <summary>
/// Which findings the operator has decided about. Nothing of it is stored: a decision holds from its import on until it expires, whatever was
/// matched when. Without decisions it costs nothing, else one query by the vulnerabilities that they name.
/// </summary>
sealed class DecidedFindings(CentralStore store, PackageMatching matching, TimeProvider time)
{
    /// <summary>Whether a finding under the decision counts no more.</summary>
    public static bool Quiets(VexDecision decision) => decision.Status is DecisionStatus.NotAffected or DecisionStatus.Fixed;

    /// <summary>The decisions about findings of one machine, by the findings' ids.</summary>
    public async Task<Dictionary<long, VexDecision>> OfAsync(MachineRow machine, CancellationToken cancellationToken) =>
        (await OfEachAsync([machine], cancellationToken)).ToDictionary(decided => decided.Finding.FindingId, decided => decided.Decision);

    /// <summary>Takes what was decided out of the machines' counts.</summary>
    public async Task DiscountAsync(IReadOnlyList<MachineRow> machines, CancellationToken cancellationToken)
    {
        foreach (var (machine, finding, decision) in await OfEachAsync(machines, cancellationToken))
        {
            if (Quiets(decision)) machine.Discount((Severity)finding.Severity);
        }
    }

    async Task<List<(MachineRow Machine, CandidateRow Finding, VexDecision Decision)>> OfEachAsync(
        IReadOnlyList<MachineRow> machines, CancellationToken cancellationToken)
    {
        var decided = new List<(MachineRow, CandidateRow, VexDecision)>();
        if (matching.InUse is not { Decisions.Count: > 0 } inUse) return decided;
        var bySet = machines.Where(machine => machine.SetId is not null).ToLookup(machine => machine.SetId!.Value);
        if (bySet.Count == 0) return decided;
        var candidates = await store.QueryAsync<CandidateRow>(
            $"""
            WITH decided (name) AS MATERIALIZED (SELECT value FROM json_each(@names)),
              decided_cves (id) AS MATERIALIZED (SELECT c.id FROM decided d JOIN cves c ON c.name = d.name)
            SELECT m.set_id AS SetId, f.id AS FindingId, f.severity AS Severity, f.advisory AS Advisory, f.cves AS CvesJson, {StoredPackageRow.Columns}
            FROM package_set_members m JOIN findings f ON f.package_id = m.package_id JOIN packages p ON p.id = f.package_id
              JOIN distributions d ON d.id = p.distribution_id JOIN repositories r ON r.id = p.repository_id
            WHERE m.set_id IN (SELECT value FROM json_each(@sets)) AND (
              f.advisory COLLATE NOCASE IN (SELECT name FROM decided)
              OR EXISTS (SELECT 1 FROM finding_cves fc WHERE fc.finding_id = f.id AND fc.cve_id IN (SELECT id FROM decided_cves)))
            """,
            new
            {
                names = JsonSerializer.Serialize(inUse.Vulnerabilities, EvidenceJson.Default.IReadOnlyListString),
                sets = $"[{string.Join(',', bySet.Select(group => group.Key))}]",
            },
            cancellationToken);
        var now = time.GetUtcNow();
        foreach (var candidate in candidates)
        {
            var os = new OsRelease(candidate.OsId, candidate.OsVersionId, "");
            var package = candidate.ToPackage(candidate.Repository);
            var cves = JsonSerializer.Deserialize(candidate.CvesJson, EvidenceJson.Default.IReadOnlyListString) ?? [];
            foreach (var machine in bySet[candidate.SetId])
            {
                if (inUse.DecisionSet.Find(candidate.Advisory, cves, package, os, machine.ScopeName, now) is { } decision)
                    decided.Add((machine, candidate, decision));
            }
        }

        return decided;
    }

    sealed class CandidateRow : StoredPackageRow
    {
        public long SetId { get; init; }

        public long FindingId { get; init; }

        public long Severity { get; init; }

        public string Advisory { get; init; } = "";

        public string CvesJson { get; init; } = "[]";
    }
}
