using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Findings;

/// <summary>An advisory database with its decisions, which are read from it once.</summary>
sealed class DatabaseInUse
{
    public DatabaseInUse(AdvisoryDatabase database)
    {
        Database = database;
        // The latest first; then by id, so that the order is total.
        Decisions = [.. database.Decisions.OrderByDescending(decision => decision.Decided).ThenBy(decision => decision.Id, StringComparer.Ordinal)];
        Vulnerabilities = [.. Decisions.Select(decision => decision.Vulnerability).Distinct(StringComparer.OrdinalIgnoreCase)];
        DecisionSet = new DecisionSet(Decisions);
    }

    public AdvisoryDatabase Database { get; }

    public IReadOnlyList<VexDecision> Decisions { get; }

    /// <summary>What the decisions are about.</summary>
    public IReadOnlyList<string> Vulnerabilities { get; }

    public DecisionSet DecisionSet { get; }
}
