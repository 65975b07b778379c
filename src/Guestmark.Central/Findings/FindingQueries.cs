using System.Text.Json;
using Dapper;
using Guestmark.Central.Storage;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Findings;

/// <summary>What is read about the findings of a package set, the worst first, then by package and advisory.</summary>
sealed class FindingQueries(CentralStore store)
{
    const string Tables =
        "package_set_members m JOIN findings f ON f.package_id = m.package_id JOIN packages p ON p.id = f.package_id";

    const string Filter =
        """
        m.set_id = @set
          AND (@severity IS NULL OR f.severity = @severity)
          AND (@package IS NULL OR p.name = @package)
          AND (@advisory IS NULL OR f.advisory = @advisory)
          AND (@cve IS NULL OR EXISTS (SELECT 1 FROM json_each(f.cves) WHERE value = @cve))
          AND (@search IS NULL OR f.advisory LIKE @search ESCAPE '\' OR p.name LIKE @search ESCAPE '\'
            OR f.cves LIKE @search ESCAPE '\' OR f.summary LIKE @search ESCAPE '\')
        """;

    const string Findings =
        $"""
        SELECT f.id AS Id, f.advisory AS Advisory, f.severity AS SeverityNumber, f.cvss_score AS CvssScore, f.cvss_vector AS CvssVector,
          f.cves AS CvesJson, f.summary AS Summary, f.installed_version AS InstalledVersion, f.fixed_version AS FixedVersion,
          f.evidence AS EvidenceJsonText, p.name AS PackageName, p.version AS PackageVersion, p.arch AS PackageArch,
          p.source_name AS PackageSourceName
        FROM {Tables}

        """;

    public async Task<List<FindingRow>> ListAsync(
        long set, FindingFilter filter, FindingPlace? after, int limit, int offset, CancellationToken cancellationToken)
    {
        var parameters = FilterParameters(set, filter);
        parameters.AddDynamicParams(new
        {
            afterSeverity = -after?.Severity,
            afterName = after?.Package,
            afterAdvisory = after?.Advisory,
            afterId = after?.Id,
            limit,
            offset,
        });
        return await store.QueryAsync<FindingRow>(
            $"""
            {Findings} WHERE {Filter} AND (@afterId IS NULL OR (-f.severity, p.name, f.advisory, f.id) > (@afterSeverity, @afterName, @afterAdvisory, @afterId))
            ORDER BY f.severity DESC, p.name, f.advisory, f.id LIMIT @limit OFFSET @offset
            """,
            parameters,
            cancellationToken);
    }

    public async Task<long> CountAsync(long set, FindingFilter filter, CancellationToken cancellationToken) =>
        (await store.QueryAsync<long>($"SELECT count(*) FROM {Tables} WHERE {Filter}", FilterParameters(set, filter), cancellationToken))[0];

    /// <summary>One finding, if a package of the set has it.</summary>
    public async Task<FindingRow?> FindAsync(long set, long id, CancellationToken cancellationToken) =>
        (await store.QueryAsync<FindingRow>(Findings + "WHERE m.set_id = @set AND f.id = @id", new { set, id }, cancellationToken)).SingleOrDefault();

    static DynamicParameters FilterParameters(long set, FindingFilter filter) => new(new
    {
        set,
        severity = (int?)filter.Severity,
        package = filter.Package,
        advisory = filter.Advisory,
        cve = filter.Cve,
        search = MachineQueries.Contains(filter.Search),
    });
}

/// <summary>Which findings are asked for; null asks for all. <paramref name="Search"/> is looked for in advisory, package, CVEs and summary.</summary>
public readonly record struct FindingFilter(Severity? Severity, string? Package, string? Advisory, string? Cve, string? Search)
{
    public bool IsEmpty => this == default;

    /// <summary>Reads a severity by its name in any case; numbers are none.</summary>
    public static bool TryParseSeverity(string text, out Severity severity) =>
        Enum.TryParse(text, ignoreCase: true, out severity) && Enum.IsDefined(severity) && char.IsAsciiLetter(text[0]);
}

/// <summary>A place in the order of findings.</summary>
readonly record struct FindingPlace(int Severity, string Package, string Advisory, long Id);

public sealed class FindingRow
{
    public long Id { get; init; }

    public string Advisory { get; init; } = "";

    public long SeverityNumber { get; init; }

    public double? CvssScore { get; init; }

    public string? CvssVector { get; init; }

    public string CvesJson { get; init; } = "[]";

    public string Summary { get; init; } = "";

    public string InstalledVersion { get; init; } = "";

    public string? FixedVersion { get; init; }

    public string EvidenceJsonText { get; init; } = "";

    public string PackageName { get; init; } = "";

    public string PackageVersion { get; init; } = "";

    public string PackageArch { get; init; } = "";

    public string PackageSourceName { get; init; } = "";

    public Severity Severity => (Severity)SeverityNumber;

    public IReadOnlyList<string> Cves => JsonSerializer.Deserialize(CvesJson, EvidenceJson.Default.IReadOnlyListString) ?? [];

    public FindingEvidence Evidence => JsonSerializer.Deserialize(EvidenceJsonText, EvidenceJson.Default.FindingEvidence)
        ?? throw new CentralStoreException($"finding {Id} has no evidence");
}
