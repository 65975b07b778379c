using System.Text.Json.Serialization;
using Guestmark.Central.Findings;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Api;

/// <summary>One page of a list. <see cref="Next"/> is the <c>cursor</c> of the next page, null on the last.</summary>
sealed record Page<T>(IReadOnlyList<T> Items, string? Next);

sealed record ApiOs(string Id, string VersionId, string PrettyName);

sealed record ApiFindingCounts(long Critical, long Important, long Moderate, long Low, long Unknown);

/// <param name="Reason">Why the state is <c>failed</c>; absent otherwise.</param>
sealed record ApiMatching(
    string State,
    DateTimeOffset? MatchedAt,
    string? DatabaseRevision,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Reason);

sealed record ApiVm(
    string Id,
    string Name,
    string Namespace,
    string Cluster,
    string Node,
    string State,
    ApiOs? Os,
    long PackageCount,
    long FindingCount,
    ApiFindingCounts FindingCounts,
    long DecidedCount,
    string? RunningKernel,
    DateTimeOffset FirstSeenAt,
    DateTimeOffset? LastReportAt,
    ApiMatching Matching,
    IReadOnlyList<string> Problems,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? ReportCount = null)
{
    public static ApiVm Of(MachineRow row, AdvisoryDatabase? database) => new(
        row.Uid,
        row.Name,
        row.Namespace,
        row.Cluster,
        row.Node,
        row.StateName,
        row.Os is { } os ? new ApiOs(os.Id, os.VersionId, os.PrettyName) : null,
        row.PackageCount,
        row.FindingCount,
        new ApiFindingCounts(row.Critical, row.Important, row.Moderate, row.Low, row.Unknown),
        row.Decided,
        row.RunningKernel.Length > 0 ? row.RunningKernel : null,
        row.FirstSeenAt,
        row.LastReportAt,
        new ApiMatching(
            row.MatchingWith(database) switch
            {
                MatchingState.NoReport => "no-report",
                MatchingState.Matched => "matched",
                MatchingState.NoAdvisories => "no-advisories",
                MatchingState.Failed => "failed",
                MatchingState.Incomplete => "incomplete",
                _ => "pending",
            },
            row.LastMatchedAt,
            row.MatchedDatabase,
            row.MatchingWith(database) == MatchingState.Failed ? row.FailureReason : null),
        row.Problems);
}

/// <param name="Evidence">What says that the package came from it; absent when nothing does.</param>
/// <param name="IsGuess">Found by a fallback and not by a record of where the package came from.</param>
sealed record ApiRepository(string Id, string? Evidence, bool IsGuess, IReadOnlyList<string> Cpes)
{
    public static ApiRepository? Of(PackageRepository? repository) => repository is null
        ? null
        : new ApiRepository(repository.Id, repository.Evidence?.ToString(), repository.IsGuess, repository.Cpes);
}

sealed record ApiPackage(
    string Manager,
    string Name,
    string Version,
    string Arch,
    string? Module,
    string? SourceName,
    string? SourceVersion,
    ApiRepository? Repository,
    long FindingCount)
{
    public static ApiPackage Of(InstalledPackageRow row) => new(
        ((PackageManager)row.Manager).ToString().ToLowerInvariant(),
        row.Name,
        row.Version,
        row.Arch,
        row.Module.Length > 0 ? row.Module : null,
        row.SourceName.Length > 0 ? row.SourceName : null,
        row.SourceVersion.Length > 0 ? row.SourceVersion : null,
        ApiRepository.Of(row.Repository),
        row.FindingCount);
}

sealed record ApiReport(string Id, DateTimeOffset ReceivedAt, string Stream, long Sequence, string PackageSetDigest, long PackageCount)
{
    public static ApiReport Of(ReportRow row) => new(row.EventId, row.ReceivedAt, row.Stream, row.Sequence, row.DigestText, row.PackageCount);
}

sealed record ApiFindingPackage(string Name, string Version, string Arch, string? SourceName);

/// <summary>What the operator decided about a finding.</summary>
sealed record ApiFindingDecision(
    string Id, string Status, string? Justification, string Reason, string Author, DateTimeOffset DecidedAt, DateTimeOffset? ExpiresAt, bool Counts)
{
    public static ApiFindingDecision? Of(VexDecision? decision) => decision is null
        ? null
        : new ApiFindingDecision(
            decision.Id, StatusWord.Of(decision.Status), decision.Justification, decision.Reason, decision.Author, decision.Decided, decision.Expires,
            !DecidedFindings.Quiets(decision));
}

/// <param name="Kernel">Of a kernel whether it runs: <c>running</c>, <c>not-running</c>, <c>unknown</c>; null for other packages.</param>
/// <param name="Epss">The highest of the CVEs, 0 to 1. Null when none has one.</param>
/// <param name="KnownExploited">Whether one of the CVEs is in CISA's catalogue.</param>
sealed record ApiFinding(
    string Id,
    string Feed,
    string Advisory,
    IReadOnlyList<string> Cves,
    string Status,
    bool Fixable,
    string Severity,
    double? CvssScore,
    string? CvssVector,
    double? Epss,
    bool KnownExploited,
    ApiFindingPackage Package,
    string? Kernel,
    string InstalledVersion,
    string? FixedVersion,
    string? Erratum,
    string? ErratumUrl,
    string? Remark,
    string? Justification,
    string Summary,
    ApiFindingDecision? Decision,
    FindingEvidence Evidence)
{
    public static ApiFinding Of(FindingRow row, MachineRow machine) => new(
        row.Id.ToString(),
        row.Feed,
        row.Advisory,
        row.Cves,
        StatusWord.Of(row.Status),
        row.Status == ProductStatus.Fixed,
        row.Severity.ToString().ToLowerInvariant(),
        row.CvssScore,
        row.CvssVector,
        row.Epss,
        row.Kev != 0,
        new ApiFindingPackage(row.PackageName, row.PackageVersion, row.PackageArch, row.PackageSourceName.Length > 0 ? row.PackageSourceName : null),
        row.KernelOn(machine) switch
        {
            KernelState.Running => "running",
            KernelState.NotRunning => "not-running",
            KernelState.Unknown => "unknown",
            _ => null,
        },
        row.InstalledVersion,
        row.FixedVersion,
        row.Erratum,
        row.ErratumUrl,
        row.Remark,
        row.Justification,
        row.Summary,
        ApiFindingDecision.Of(row.Decision),
        row.Evidence);
}

/// <summary>A machine that has a CVE, with the findings of it.</summary>
sealed record ApiCveMachine(string Id, string Name, string Namespace, string Cluster, string State, IReadOnlyList<ApiFinding> Findings);

sealed record ApiKnownExploited(DateOnly AddedOn, DateOnly? DueOn, bool Ransomware, string RequiredAction);

/// <summary>A CVE and one page of the machines that have it, whether it counts there or not.</summary>
sealed record ApiCve(
    string Cve, double? Epss, double? EpssPercentile, ApiKnownExploited? KnownExploited, IReadOnlyList<ApiCveMachine> Items, string? Next);

sealed record ApiDecision(
    string Id,
    string Vulnerability,
    string Status,
    string? Justification,
    string Reason,
    string Author,
    DateTimeOffset DecidedAt,
    DateTimeOffset? ExpiresAt,
    bool Expired,
    IReadOnlyList<string> Products,
    IReadOnlyList<string> Scope)
{
    public static ApiDecision Of(VexDecision decision, DateTimeOffset now) => new(
        decision.Id, decision.Vulnerability, StatusWord.Of(decision.Status), decision.Justification, decision.Reason, decision.Author, decision.Decided,
        decision.Expires, decision.Expires <= now, decision.Products, decision.Scope);
}

/// <param name="Version">What the server said tells whether there is something newer; null when it said nothing.</param>
/// <param name="NewestAt">Of its documents: how old the feed is.</param>
sealed record ApiSource(
    string Name, string Format, string Uri, string? Version, long Documents, long Skipped, DateTimeOffset ImportedAt, DateTimeOffset? NewestAt)
{
    public static ApiSource Of(AdvisorySource source) => new(
        source.Name, source.Format, source.Uri, source.Version.Length > 0 ? source.Version : null, source.Documents, source.Skipped, source.Imported,
        source.Newest);
}

/// <summary>The advisory database in use. Without one there are no sources and the revision is null.</summary>
sealed record ApiVulnerabilityData(
    string? DatabaseRevision, long Advisories, long Bytes, long Decisions, IReadOnlyList<string> Products, IReadOnlyList<ApiSource> Sources);

/// <summary>A new sign-in link: the path on this host, and when it ends.</summary>
sealed record ApiSignInLink(string Path, DateTimeOffset ExpiresAt);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Page<ApiVm>))]
[JsonSerializable(typeof(Page<ApiPackage>))]
[JsonSerializable(typeof(Page<ApiReport>))]
[JsonSerializable(typeof(Page<ApiFinding>))]
[JsonSerializable(typeof(Page<ApiDecision>))]
[JsonSerializable(typeof(ApiCve))]
[JsonSerializable(typeof(ApiVulnerabilityData))]
[JsonSerializable(typeof(ApiSignInLink))]
sealed partial class ApiJson : JsonSerializerContext;
