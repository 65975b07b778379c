using System.Text.Json;
using Dapper;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Findings;

/// <summary>
/// What is read about the findings of a package set: the most severe first, of these those known to be exploited, then those most likely to be,
/// then by package and advisory.
/// </summary>
sealed class FindingQueries(CentralStore store)
{
    const string Tables =
        "package_set_members m JOIN findings f ON f.package_id = m.package_id JOIN packages p ON p.id = f.package_id";

    const string KevOfFinding = "coalesce((SELECT max(c.kev) FROM finding_cves fc JOIN cves c ON c.id = fc.cve_id WHERE fc.finding_id = f.id), 0)";

    // Below every score when there is none, so that it has a place in the order.
    const string EpssOfFinding = "coalesce((SELECT max(c.epss) FROM finding_cves fc JOIN cves c ON c.id = fc.cve_id WHERE fc.finding_id = f.id), -1.0)";

    const string Filter =
        $"""
        m.set_id = @set
          AND (@severity IS NULL OR f.severity = @severity)
          AND (@status IS NULL OR f.status = @status)
          AND (@fixable IS NULL OR (f.status = 1) = @fixable)
          AND (@package IS NULL OR p.name = @package)
          AND (@advisory IS NULL OR f.advisory = @advisory)
          AND (@kev IS NULL OR {KevOfFinding} = @kev)
          AND (@isDecided IS NULL OR (f.id IN (SELECT value FROM json_each(@decided))) = @isDecided)
          AND (@cve IS NULL OR EXISTS (
            SELECT 1 FROM finding_cves fc JOIN cves c ON c.id = fc.cve_id
            WHERE fc.finding_id = f.id AND (c.name = @cve OR (@cveEnd IS NOT NULL AND c.name >= @cve AND c.name < @cveEnd))))
          AND (@search IS NULL OR f.advisory LIKE @search ESCAPE '\' OR p.name LIKE @search ESCAPE '\'
            OR f.cves LIKE @search ESCAPE '\' OR f.summary LIKE @search ESCAPE '\')
        """;

    const string Columns =
        $"""
        f.id AS Id, f.feed AS Feed, f.advisory AS Advisory, f.status AS StatusNumber, f.severity AS SeverityNumber, f.cvss_score AS CvssScore,
          f.cvss_vector AS CvssVector, f.cves AS CvesJson, f.summary AS Summary, f.installed_version AS InstalledVersion,
          f.fixed_version AS FixedVersion, f.erratum AS Erratum, f.erratum_url AS ErratumUrl, f.remark AS Remark, f.justification AS Justification,
          f.evidence AS EvidenceJsonText, {KevOfFinding} AS Kev, {EpssOfFinding} AS EpssOrNone, p.name AS PackageName, p.version AS PackageVersion,
          p.arch AS PackageArch, p.source_name AS PackageSourceName, p.manager AS PackageManagerNumber
        """;

    public async Task<List<FindingRow>> ListAsync(
        long set, FindingFilter filter, FindingPlace? after, int limit, int offset, CancellationToken cancellationToken)
    {
        var parameters = FilterParameters(set, filter);
        parameters.AddDynamicParams(new
        {
            afterSeverity = -after?.Severity,
            afterKev = -after?.Kev,
            afterEpss = -after?.Epss,
            afterName = after?.Package,
            afterAdvisory = after?.Advisory,
            afterId = after?.Id,
            limit,
            offset,
        });
        return await store.QueryAsync<FindingRow>(
            $"""
            SELECT * FROM (SELECT {Columns} FROM {Tables} WHERE {Filter})
            WHERE @afterId IS NULL OR (-SeverityNumber, -Kev, -EpssOrNone, PackageName, Advisory, Id)
              > (@afterSeverity, @afterKev, @afterEpss, @afterName, @afterAdvisory, @afterId)
            ORDER BY -SeverityNumber, -Kev, -EpssOrNone, PackageName, Advisory, Id LIMIT @limit OFFSET @offset
            """,
            parameters,
            cancellationToken);
    }

    public async Task<long> CountAsync(long set, FindingFilter filter, CancellationToken cancellationToken) =>
        (await store.QueryAsync<long>($"SELECT count(*) FROM {Tables} WHERE {Filter}", FilterParameters(set, filter), cancellationToken))[0];

    /// <summary>One finding, if a package of the set has it.</summary>
    public async Task<FindingRow?> FindAsync(long set, long id, CancellationToken cancellationToken) =>
        (await store.QueryAsync<FindingRow>(
            $"SELECT {Columns} FROM {Tables} WHERE m.set_id = @set AND f.id = @id", new { set, id }, cancellationToken)).SingleOrDefault();

    /// <summary>What is known of a CVE that some package was ever found to have. Its name is compared without regard to case.</summary>
    public async Task<CveRow?> CveAsync(string name, CancellationToken cancellationToken) =>
        (await store.QueryAsync<CveRow>(
            "SELECT id AS Id, name AS Name, epss AS Epss, percentile AS Percentile, kev AS Kev FROM cves WHERE name = @name", new { name }, cancellationToken))
        .SingleOrDefault();

    /// <summary>Ids of up to <paramref name="limit"/> machines after one, in ascending order, that have a package with a CVE.</summary>
    public async Task<List<long>> MachinesWithAsync(long cve, long after, int limit, CancellationToken cancellationToken) =>
        await store.QueryAsync<long>(
            """
            SELECT id FROM machines WHERE id > @after AND set_id IN (
              SELECT m.set_id FROM finding_cves fc JOIN findings f ON f.id = fc.finding_id JOIN package_set_members m ON m.package_id = f.package_id
              WHERE fc.cve_id = @cve)
            ORDER BY id LIMIT @limit
            """,
            new { cve, after, limit },
            cancellationToken);

    static DynamicParameters FilterParameters(long set, FindingFilter filter) => new(new
    {
        set,
        severity = (int?)filter.Severity,
        status = (int?)filter.Status,
        fixable = filter.Fixable,
        package = filter.Package,
        advisory = filter.Advisory,
        kev = filter.Kev,
        isDecided = filter.IsDecided,
        decided = filter.IsDecided is null ? "[]" : $"[{string.Join(',', filter.Decided ?? [])}]",
        cve = filter.Cve is ['*'] ? null : filter.Cve?.TrimEnd('*'),
        // Compared without regard to case, after which every character of a name is below this one.
        cveEnd = filter.Cve is [.., '*'] cve ? cve.TrimEnd('*') + "\uffff" : null,
        search = MachineQueries.Contains(filter.Search),
    });
}

/// <summary>Which findings are asked for; null asks for all.</summary>
public readonly record struct FindingFilter
{
    public Severity? Severity { get; init; }

    public ProductStatus? Status { get; init; }

    /// <summary>Whether there is a fix in the package's own stream.</summary>
    public bool? Fixable { get; init; }

    /// <summary>Whether one of the CVEs is known to be exploited.</summary>
    public bool? Kev { get; init; }

    public string? Package { get; init; }

    public string? Advisory { get; init; }

    /// <summary>A CVE, or with an asterisk at the end all that begin so.</summary>
    public string? Cve { get; init; }

    /// <summary>Looked for in advisory, package, CVEs and summary.</summary>
    public string? Search { get; init; }

    /// <summary>Whether the finding is one of <see cref="Decided"/>.</summary>
    public bool? IsDecided { get; init; }

    /// <summary>Ids of findings under a decision that takes them out of the counts.</summary>
    public IReadOnlyList<long>? Decided { get; init; }

    public bool IsEmpty => this == default;

    /// <summary>Reads a severity by its name in any case; numbers are none.</summary>
    public static bool TryParseSeverity(string text, out Severity severity) =>
        Enum.TryParse(text, ignoreCase: true, out severity) && Enum.IsDefined(severity) && char.IsAsciiLetter(text[0]);
}

/// <summary>A place in the order of findings.</summary>
readonly record struct FindingPlace(int Severity, int Kev, double Epss, string Package, string Advisory, long Id);

/// <summary>The words for what a vendor says, in addresses and answers.</summary>
public static class StatusWord
{
    public const string All = "fixed, affected, fix-deferred, will-not-fix, out-of-support or under-investigation";

    /// <summary>Those that a finding can have.</summary>
    public static IReadOnlyList<ProductStatus> Statuses { get; } =
    [
        ProductStatus.Fixed, ProductStatus.Affected, ProductStatus.FixDeferred, ProductStatus.WillNotFix, ProductStatus.OutOfSupport,
        ProductStatus.UnderInvestigation,
    ];

    public static string Of(ProductStatus status) => status switch
    {
        ProductStatus.Fixed => "fixed",
        ProductStatus.Affected => "affected",
        ProductStatus.FixDeferred => "fix-deferred",
        ProductStatus.WillNotFix => "will-not-fix",
        ProductStatus.OutOfSupport => "out-of-support",
        ProductStatus.UnderInvestigation => "under-investigation",
        _ => "not-affected",
    };

    /// <summary>For people.</summary>
    public static string Name(ProductStatus status) => status switch
    {
        ProductStatus.Fixed => "Fix available",
        ProductStatus.Affected => "No fix yet",
        ProductStatus.FixDeferred => "Fix deferred",
        ProductStatus.WillNotFix => "Will not fix",
        ProductStatus.OutOfSupport => "Out of support",
        ProductStatus.UnderInvestigation => "Under investigation",
        _ => "Not affected",
    };

    public static string Of(DecisionStatus status) => status switch
    {
        DecisionStatus.NotAffected => "not-affected",
        DecisionStatus.Affected => "affected",
        DecisionStatus.Fixed => "fixed",
        _ => "under-investigation",
    };

    /// <summary>For people.</summary>
    public static string Name(DecisionStatus status) => status switch
    {
        DecisionStatus.NotAffected => "Not affected",
        DecisionStatus.Affected => "Affected",
        DecisionStatus.Fixed => "Fixed",
        _ => "Under investigation",
    };

    public static ProductStatus? Parse(string text)
    {
        foreach (var status in Statuses)
        {
            if (string.Equals(Of(status), text, StringComparison.OrdinalIgnoreCase)) return status;
        }

        return null;
    }
}

public sealed class FindingRow
{
    public long Id { get; init; }

    public string Feed { get; init; } = "";

    public string Advisory { get; init; } = "";

    public long StatusNumber { get; init; }

    public long SeverityNumber { get; init; }

    public double? CvssScore { get; init; }

    public string? CvssVector { get; init; }

    public string CvesJson { get; init; } = "[]";

    public string Summary { get; init; } = "";

    public string InstalledVersion { get; init; } = "";

    public string? FixedVersion { get; init; }

    public string? Erratum { get; init; }

    public string? ErratumUrl { get; init; }

    public string? Remark { get; init; }

    public string? Justification { get; init; }

    public string EvidenceJsonText { get; init; } = "";

    /// <summary>1 when one of the CVEs is known to be exploited.</summary>
    public long Kev { get; init; }

    /// <summary>The highest of the CVEs; -1 when none has one.</summary>
    public double EpssOrNone { get; init; }

    public string PackageName { get; init; } = "";

    public string PackageVersion { get; init; } = "";

    public string PackageArch { get; init; } = "";

    public string PackageSourceName { get; init; } = "";

    public long PackageManagerNumber { get; init; }

    public Severity Severity => (Severity)SeverityNumber;

    public ProductStatus Status => (ProductStatus)StatusNumber;

    /// <summary>EPSS: how likely it is exploited in the next 30 days, 0 to 1.</summary>
    public double? Epss => EpssOrNone < 0 ? null : EpssOrNone;

    /// <summary>The operator's decision that holds on the machine whose findings were asked for.</summary>
    public VexDecision? Decision { get; set; }

    public IReadOnlyList<string> Cves => JsonSerializer.Deserialize(CvesJson, EvidenceJson.Default.IReadOnlyListString) ?? [];

    public FindingEvidence Evidence => JsonSerializer.Deserialize(EvidenceJsonText, EvidenceJson.Default.FindingEvidence)
        ?? throw new CentralStoreException($"finding {Id} has no evidence");

    /// <summary>Whether the package is the kernel that runs on a machine.</summary>
    public KernelState KernelOn(MachineRow machine)
    {
        var (epoch, version, release) = Package.SplitVersion(PackageVersion);
        return RunningKernel.StateOf(
            new Package
            {
                Manager = (PackageManager)PackageManagerNumber,
                Name = PackageName,
                Epoch = epoch,
                Version = version,
                Release = release,
                Architecture = PackageArch,
            },
            machine.RunningKernel);
    }
}
