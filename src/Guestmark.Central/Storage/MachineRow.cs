using Guestmark.Central.Findings;
using Guestmark.Events;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Storage;

/// <summary>A machine with what is known of its packages. Properties carry the database's types.</summary>
public sealed class MachineRow
{
    public long Id { get; init; }

    public string Uid { get; init; } = "";

    public string Name { get; init; } = "";

    public string Namespace { get; init; } = "";

    public string Cluster { get; init; } = "";

    public string Node { get; init; } = "";

    public long State { get; init; }

    public long FirstSeen { get; init; }

    public long? LastReport { get; init; }

    public string OsPrettyName { get; init; } = "";

    /// <summary>Null, as all that follows is null or zero, before the first report.</summary>
    public long? SetId { get; init; }

    public string? OsId { get; init; }

    public string? OsVersionId { get; init; }

    public long PackageCount { get; init; }

    public long Critical { get; private set; }

    public long Important { get; private set; }

    public long Moderate { get; private set; }

    public long Low { get; private set; }

    public long Unknown { get; private set; }

    /// <summary>Findings that do not count because the operator decided that they do no harm.</summary>
    public long Decided { get; private set; }

    /// <summary><c>uname -r</c>. Empty when the last report does not say.</summary>
    public string RunningKernel { get; init; } = "";

    /// <summary>What decisions' scopes are compared with: <c>namespace/name</c>, or the name alone where there is no namespace.</summary>
    public string ScopeName => Namespace.Length > 0 ? $"{Namespace}/{Name}" : Name;

    /// <summary>Packages of the last report that the matcher failed on.</summary>
    public long FailedPackages { get; init; }

    /// <summary>1 when matching stopped because the packages have too many findings.</summary>
    public long IsOver { get; init; }

    /// <summary>Why the state is <see cref="MatchingState.Failed"/>, if it is.</summary>
    public string FailureReason => IsOver == 1
        ? $"The packages have more than {PackageMatching.FindingsPerSetMax} findings: {FailedPackages} of them were not compared with the advisories."
        : $"{FailedPackages} of the packages could not be compared with the advisories.";

    /// <summary><see cref="Matcher.RevisionOf"/> of the advisories that the findings are of.</summary>
    public string? MatchedRevision { get; init; }

    public long? MatchedAt { get; init; }

    /// <summary>Lines of <see cref="StoredProblems.Of"/>.</summary>
    public string ProblemLines { get; init; } = "";

    /// <summary>What the last report could not read. Empty when it is complete.</summary>
    public IReadOnlyList<string> Problems => ProblemLines.Length == 0 ? [] : ProblemLines.Split('\n');

    /// <summary>Those that count.</summary>
    public long FindingCount => Critical + Important + Moderate + Low + Unknown;

    /// <summary>The content of the database in <see cref="MatchedRevision"/>, without the version of the rules.</summary>
    public string? MatchedDatabase => MatchedRevision?[(MatchedRevision.IndexOf(':') + 1)..];

    /// <summary>Takes a finding out of the counts.</summary>
    public void Discount(Severity severity)
    {
        Decided++;
        switch (severity)
        {
            case Severity.Critical: Critical--; break;
            case Severity.Important: Important--; break;
            case Severity.Moderate: Moderate--; break;
            case Severity.Low: Low--; break;
            default: Unknown--; break;
        }
    }

    public OsRelease? Os => OsId is null ? null : new OsRelease(OsId, OsVersionId!, OsPrettyName);

    public string StateName => (VmState)State switch
    {
        VmState.Running => "running",
        VmState.Stopped => "stopped",
        VmState.Deleted => "deleted",
        _ => "unknown",
    };

    public DateTimeOffset FirstSeenAt => DateTimeOffset.FromUnixTimeMilliseconds(FirstSeen);

    public DateTimeOffset? LastReportAt => LastReport is { } time ? DateTimeOffset.FromUnixTimeMilliseconds(time) : null;

    public DateTimeOffset? LastMatchedAt => MatchedAt is { } time ? DateTimeOffset.FromUnixTimeMilliseconds(time) : null;

    public MatchingState MatchingWith(AdvisoryDatabase? database) => this switch
    {
        { SetId: null } => MatchingState.NoReport,
        _ when database is null => MatchingState.Pending,
        { ProblemLines: "" } when !database.Covers(Os!) => MatchingState.NoAdvisories,
        _ when MatchedRevision != Matcher.RevisionOf(database) => MatchingState.Pending,
        { FailedPackages: > 0 } => MatchingState.Failed,
        { ProblemLines.Length: > 0 } => MatchingState.Incomplete,
        _ => MatchingState.Matched,
    };
}

/// <summary>Whether a machine's findings are those of the advisory database in use.</summary>
public enum MatchingState
{
    /// <summary>The machine has not reported.</summary>
    NoReport,

    /// <summary>Findings, if any, are those of an earlier database.</summary>
    Pending,
    Matched,

    /// <summary>The database has nothing about the machine's operating system, so no findings means nothing.</summary>
    NoAdvisories,

    /// <summary>The matcher failed on some packages: their findings, if any, are those of an earlier match.</summary>
    Failed,

    /// <summary>The last report is incomplete: what it lacks has no findings, whether or not it is affected.</summary>
    Incomplete,
}
