using Guestmark.Inventory;

namespace Guestmark.Central.Storage;

/// <summary>What is read about machines. Each call sees the last committed state.</summary>
sealed class MachineQueries(CentralStore store)
{
    const string Machines =
        """
        SELECT m.id AS Id, m.uid AS Uid, m.name AS Name, m.namespace AS Namespace, m.cluster AS Cluster, m.node AS Node, m.state AS State,
          m.first_seen AS FirstSeen, m.last_report AS LastReport, m.os_pretty_name AS OsPrettyName, m.set_id AS SetId, m.problems AS ProblemLines,
          d.os_id AS OsId, d.os_version_id AS OsVersionId, coalesce(s.package_count, 0) AS PackageCount,
          coalesce(s.critical, 0) AS Critical, coalesce(s.important, 0) AS Important, coalesce(s.moderate, 0) AS Moderate,
          coalesce(s.low, 0) AS Low, coalesce(s.unknown, 0) AS Unknown, coalesce(s.failed, 0) AS FailedPackages, coalesce(s.is_over, 0) AS IsOver,
          r.revision AS MatchedRevision, max(s.matched_at, coalesce(r.since, 0)) AS MatchedAt, m.running_kernel AS RunningKernel
        FROM machines m LEFT JOIN package_sets s ON s.id = m.set_id LEFT JOIN distributions d ON d.id = s.distribution_id
          LEFT JOIN revisions r ON r.id = s.matched_with

        """;

    const string NameContains = "(@search IS NULL OR m.name LIKE @search ESCAPE '\\' OR m.namespace LIKE @search ESCAPE '\\')";

    /// <summary>Machines in the order in which they were first seen, after <paramref name="after"/>: new ones come at the end, none moves.</summary>
    public async Task<List<MachineRow>> ListAsync(long after, int limit, CancellationToken cancellationToken) =>
        await store.QueryAsync<MachineRow>(Machines + "WHERE m.id > @after ORDER BY m.id LIMIT @limit", new { after, limit }, cancellationToken);

    /// <summary>The machines with these ids, in ascending order.</summary>
    public async Task<List<MachineRow>> ListAsync(IReadOnlyList<long> ids, CancellationToken cancellationToken) =>
        await store.QueryAsync<MachineRow>(
            Machines + "WHERE m.id IN (SELECT value FROM json_each(@ids)) ORDER BY m.id", new { ids = $"[{string.Join(',', ids)}]" }, cancellationToken);

    /// <summary>One page of machines whose name or namespace contains <paramref name="search"/>.</summary>
    public async Task<List<MachineRow>> SearchAsync(string? search, MachineOrder order, int limit, int offset, CancellationToken cancellationToken) =>
        await store.QueryAsync<MachineRow>(
            $"{Machines} WHERE {NameContains} ORDER BY {OrderBy(order)}, m.id LIMIT @limit OFFSET @offset",
            new { search = Contains(search), limit, offset },
            cancellationToken);

    public async Task<long> CountAsync(string? search, CancellationToken cancellationToken) =>
        (await store.QueryAsync<long>($"SELECT count(*) FROM machines m WHERE {NameContains}", new { search = Contains(search) }, cancellationToken))[0];

    /// <summary>The machine with this uid, else two of those with this name. A slash may be written %2F, as it arrives in a path.</summary>
    public async Task<List<MachineRow>> FindAsync(string uidOrName, CancellationToken cancellationToken)
    {
        uidOrName = uidOrName.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        var byUid = await store.QueryAsync<MachineRow>(Machines + "WHERE m.uid = @uidOrName", new { uidOrName }, cancellationToken);
        return byUid.Count > 0
            ? byUid
            : await store.QueryAsync<MachineRow>(Machines + "WHERE m.name = @uidOrName ORDER BY m.id LIMIT 2", new { uidOrName }, cancellationToken);
    }

    public async Task<long> ReportCountAsync(long machine, CancellationToken cancellationToken) =>
        (await store.QueryAsync<long>("SELECT count(*) FROM reports WHERE machine_id = @machine", new { machine }, cancellationToken))[0];

    /// <summary>Reports, newest first, before the row <paramref name="before"/>.</summary>
    public async Task<List<ReportRow>> ReportsAsync(long machine, long before, int limit, int offset, CancellationToken cancellationToken) =>
        await store.QueryAsync<ReportRow>(
            """
            SELECT r.id AS Id, r.event_id AS EventId, r.received AS Received, t.name AS Stream, r.sequence AS Sequence, s.digest AS Digest,
              s.package_count AS PackageCount
            FROM reports r JOIN streams t ON t.id = r.stream_id JOIN package_sets s ON s.id = r.set_id
            WHERE r.machine_id = @machine AND r.id < @before ORDER BY r.id DESC LIMIT @limit OFFSET @offset
            """,
            new { machine, before, limit, offset },
            cancellationToken);

    /// <summary>Packages of a set by name, after the given place in that order.</summary>
    public async Task<List<InstalledPackageRow>> PackagesAsync(
        long set, string? search, (string Name, long Id)? after, int limit, int offset, CancellationToken cancellationToken) =>
        await store.QueryAsync<InstalledPackageRow>(
            """
            SELECT p.id AS Id, p.manager AS Manager, p.name AS Name, p.version AS Version, p.arch AS Arch, p.module AS Module,
              p.source_name AS SourceName, p.source_version AS SourceVersion, p.failed AS Failed,
              (SELECT count(*) FROM findings f WHERE f.package_id = p.id) AS FindingCount,
              r.name AS RepositoryName, r.evidence AS RepositoryEvidence, r.cpes AS RepositoryCpes
            FROM package_set_members m JOIN packages p ON p.id = m.package_id JOIN repositories r ON r.id = p.repository_id
            WHERE m.set_id = @set AND (p.name, p.id) > (@name, @id) AND (@search IS NULL OR p.name LIKE @search ESCAPE '\')
            ORDER BY p.name, p.id LIMIT @limit OFFSET @offset
            """,
            new { set, name = after?.Name ?? "", id = after?.Id ?? 0, search = Contains(search), limit, offset },
            cancellationToken);

    public async Task<long> PackageCountAsync(long set, string? search, CancellationToken cancellationToken) =>
        (await store.QueryAsync<long>(
            """
            SELECT count(*) FROM package_set_members m JOIN packages p ON p.id = m.package_id
            WHERE m.set_id = @set AND (@search IS NULL OR p.name LIKE @search ESCAPE '\')
            """,
            new { set, search = Contains(search) },
            cancellationToken))[0];

    /// <summary>A LIKE pattern for "contains", in which the characters of <paramref name="search"/> mean themselves. Null for nothing.</summary>
    internal static string? Contains(string? search) => string.IsNullOrWhiteSpace(search)
        ? null
        : $"%{search.Trim().Replace("\\", "\\\\").Replace("%", "\\%").Replace("_", "\\_")}%";

    static string OrderBy(MachineOrder order)
    {
        var direction = order.Descending ? "DESC" : "ASC";
        // Only these texts become SQL, whatever the address of the page says.
        string[] columns = order.Column switch
        {
            MachineColumn.Os => ["d.os_id", "d.os_version_id"],
            MachineColumn.Packages => ["PackageCount"],
            MachineColumn.Findings => ["Critical", "Important", "Moderate", "Low", "Unknown"],
            MachineColumn.Report => ["m.last_report"],
            _ => ["m.name", "m.namespace"],
        };
        return string.Join(", ", columns.Select(column => $"{column} {direction}"));
    }
}

public enum MachineColumn
{
    Name,
    Os,
    Packages,
    Findings,
    Report,
}

/// <summary>A column of the table of machines and its direction, as text <c>name</c> or <c>-name</c>.</summary>
public readonly record struct MachineOrder(MachineColumn Column, bool Descending)
{
    /// <summary>Anything that is no column is the default.</summary>
    public static MachineOrder Parse(string? text)
    {
        var descending = text is ['-', ..];
        var name = descending ? text![1..] : text;
        foreach (var column in Enum.GetValues<MachineColumn>())
        {
            if (string.Equals(column.ToString(), name, StringComparison.OrdinalIgnoreCase)) return new MachineOrder(column, descending);
        }

        return default;
    }

    public override string ToString() => (Descending ? "-" : "") + Column.ToString().ToLowerInvariant();
}

public sealed class ReportRow
{
    public long Id { get; init; }

    public string EventId { get; init; } = "";

    public long Received { get; init; }

    public string Stream { get; init; } = "";

    public long Sequence { get; init; }

    public byte[] Digest { get; init; } = [];

    public long PackageCount { get; init; }

    public DateTimeOffset ReceivedAt => DateTimeOffset.FromUnixTimeMilliseconds(Received);

    public string DigestText => "sha256:" + Convert.ToHexStringLower(Digest);
}

public sealed class InstalledPackageRow
{
    public long Id { get; init; }

    public long Manager { get; init; }

    public string Name { get; init; } = "";

    public string Version { get; init; } = "";

    public string Arch { get; init; } = "";

    public string Module { get; init; } = "";

    public string SourceName { get; init; } = "";

    public string SourceVersion { get; init; } = "";

    /// <summary>1 when the matcher failed on the package.</summary>
    public long Failed { get; init; }

    public long FindingCount { get; init; }

    public string RepositoryName { get; init; } = "";

    public long RepositoryEvidence { get; init; }

    public string RepositoryCpes { get; init; } = "";

    public PackageRepository? Repository => StoredRepository.ToRepository(RepositoryName, RepositoryEvidence, RepositoryCpes);
}
