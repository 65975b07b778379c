using System.Text.Json.Serialization;
using Guestmark.Central.Findings;
using Guestmark.Central.Storage;
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

sealed record ApiPackage(
    string Manager, string Name, string Version, string Arch, string? Module, string? SourceName, string? SourceVersion, long FindingCount)
{
    public static ApiPackage Of(InstalledPackageRow row) => new(
        ((Inventory.PackageManager)row.Manager).ToString().ToLowerInvariant(),
        row.Name,
        row.Version,
        row.Arch,
        row.Module.Length > 0 ? row.Module : null,
        row.SourceName.Length > 0 ? row.SourceName : null,
        row.SourceVersion.Length > 0 ? row.SourceVersion : null,
        row.FindingCount);
}

sealed record ApiReport(string Id, DateTimeOffset ReceivedAt, string Stream, long Sequence, string PackageSetDigest, long PackageCount)
{
    public static ApiReport Of(ReportRow row) => new(row.EventId, row.ReceivedAt, row.Stream, row.Sequence, row.DigestText, row.PackageCount);
}

sealed record ApiFindingPackage(string Name, string Version, string Arch, string? SourceName);

sealed record ApiFinding(
    string Id,
    string Advisory,
    IReadOnlyList<string> Cves,
    string Severity,
    double? CvssScore,
    string? CvssVector,
    ApiFindingPackage Package,
    string InstalledVersion,
    string? FixedVersion,
    string Summary,
    FindingEvidence Evidence)
{
    public static ApiFinding Of(FindingRow row) => new(
        row.Id.ToString(),
        row.Advisory,
        row.Cves,
        row.Severity.ToString().ToLowerInvariant(),
        row.CvssScore,
        row.CvssVector,
        new ApiFindingPackage(row.PackageName, row.PackageVersion, row.PackageArch, row.PackageSourceName.Length > 0 ? row.PackageSourceName : null),
        row.InstalledVersion,
        row.FixedVersion,
        row.Summary,
        row.Evidence);
}

/// <summary>A new sign-in link: the path on this host, and when it ends.</summary>
sealed record ApiSignInLink(string Path, DateTimeOffset ExpiresAt);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Page<ApiVm>))]
[JsonSerializable(typeof(Page<ApiPackage>))]
[JsonSerializable(typeof(Page<ApiReport>))]
[JsonSerializable(typeof(Page<ApiFinding>))]
[JsonSerializable(typeof(ApiSignInLink))]
sealed partial class ApiJson : JsonSerializerContext;
