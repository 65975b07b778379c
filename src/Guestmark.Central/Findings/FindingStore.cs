using System.Text.Json;
using Dapper;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Findings;

/// <summary>The rows that matching reads and writes.</summary>
sealed class FindingStore(CentralStore store)
{
    /// <summary>Findings that one transaction writes or deletes, for which ingest waits. One Debian kernel has thousands.</summary>
    public const int FindingsPerTransactionMax = 1_000;

    // Three ranges of the index package_sets_by_revision; "IS NOT @revision" would read every set at each wake-up.
    const string OtherRevision = "(matched_revision IS NULL OR matched_revision < @revision OR matched_revision > @revision)";

    /// <summary>Up to <paramref name="limit"/> sets that were not matched with <paramref name="revision"/>, the smallest first.</summary>
    public async Task<List<long>> PendingSetsAsync(string revision, int limit, CancellationToken cancellationToken) =>
        await store.QueryAsync<long>(
            $"SELECT id FROM package_sets WHERE {OtherRevision} ORDER BY package_count, id LIMIT @limit", new { revision, limit }, cancellationToken);

    /// <summary>How many findings the set's packages have that were matched with <paramref name="revision"/>.</summary>
    public async Task<long> FindingCountAsync(long set, string revision, CancellationToken cancellationToken) =>
        (await store.QueryAsync<long>(
            """
            SELECT count(*) FROM package_set_members m JOIN packages p ON p.id = m.package_id JOIN findings f ON f.package_id = p.id
            WHERE m.set_id = @set AND p.matched_revision = @revision
            """,
            new { set, revision },
            cancellationToken))[0];

    /// <summary>Up to <paramref name="limit"/> packages of the set that were not matched with <paramref name="revision"/>.</summary>
    public async Task<List<PendingPackage>> PendingPackagesAsync(long set, string revision, int limit, CancellationToken cancellationToken)
    {
        var rows = await store.QueryAsync<PendingPackageRow>(
            $"""
            SELECT p.id AS Id, d.os_id AS OsId, d.os_version_id AS OsVersionId, p.manager AS Manager, p.name AS Name, p.version AS Version,
              p.arch AS Arch, p.module AS Module, p.source_name AS SourceName, p.source_version AS SourceVersion
            FROM package_set_members m JOIN packages p ON p.id = m.package_id JOIN distributions d ON d.id = p.distribution_id
            WHERE m.set_id = @set AND {OtherRevision} LIMIT @limit
            """,
            new { set, revision, limit },
            cancellationToken);
        return [.. rows.Select(row => new PendingPackage(row.Id, new OsRelease(row.OsId, row.OsVersionId, ""), row.ToPackage()))];
    }

    /// <summary>Makes those packages pending again that the matcher failed on, and the sets that have one.</summary>
    public async Task ReleaseFailedAsync(CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection => connection.Execute(
                """
                UPDATE packages SET matched_revision = NULL WHERE failed = 1;
                UPDATE package_sets SET matched_revision = NULL WHERE failed > 0
                """),
            cancellationToken);

    /// <summary>
    /// Makes the stored findings of each package those that were found, in as many transactions as their number asks for. A package counts
    /// as matched from the transaction with its last finding on. A finding that stays keeps its id, which is in URLs.
    /// </summary>
    public async Task StoreAsync(string revision, IReadOnlyList<MatchedPackage> matched, CancellationToken cancellationToken)
    {
        var (package, finding) = (0, 0);
        while (package < matched.Count)
        {
            (package, finding) = await store.WriteAsync(
                connection => WriteSome(connection, revision, matched, package, finding), cancellationToken);
        }
    }

    /// <summary>
    /// Brings the counts of up to <paramref name="limit"/> package sets up to date whose packages are all matched with
    /// <paramref name="revision"/>.
    /// </summary>
    /// <returns>How many.</returns>
    public async Task<int> CountSetsAsync(string revision, DateTimeOffset now, int limit, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection =>
            {
                var sets = connection.Query<long>(
                    $"""
                    SELECT id FROM package_sets s WHERE {OtherRevision} AND NOT EXISTS (
                      SELECT 1 FROM package_set_members m JOIN packages p ON p.id = m.package_id
                      WHERE m.set_id = s.id AND p.matched_revision IS NOT @revision)
                    LIMIT @limit
                    """,
                    new { revision, limit }).ToList();
                foreach (var set in sets) Count(connection, set, revision, now, isOver: false);
                return sets.Count;
            },
            cancellationToken);

    /// <summary>Brings the counts of a set up to date that has too many findings; those of its packages that are not matched have failed.</summary>
    public async Task CloseAsync(long set, string revision, DateTimeOffset now, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection =>
            {
                Count(connection, set, revision, now, isOver: true);
                return 0;
            },
            cancellationToken);

    static void Count(SqliteConnection connection, long set, string revision, DateTimeOffset now, bool isOver) =>
        connection.Execute(
            """
            UPDATE package_sets SET matched_revision = @revision, matched_at = @now, is_over = @isOver,
              failed = (SELECT count(*) FROM package_set_members m JOIN packages p ON p.id = m.package_id
                WHERE m.set_id = @set AND (p.failed = 1 OR p.matched_revision IS NOT @revision)),
              (critical, important, moderate, low, unknown) = (
                SELECT count(*) FILTER (WHERE f.severity = 4), count(*) FILTER (WHERE f.severity = 3),
                  count(*) FILTER (WHERE f.severity = 2), count(*) FILTER (WHERE f.severity = 1),
                  count(*) FILTER (WHERE f.severity = 0)
                FROM package_set_members m JOIN findings f ON f.package_id = m.package_id WHERE m.set_id = @set)
            WHERE id = @set
            """,
            new { revision, now = now.ToUnixTimeMilliseconds(), set, isOver });

    /// <summary>Writes from the given package and finding on, until all is written or the transaction has enough.</summary>
    /// <returns>Where to go on.</returns>
    static (int Package, int Finding) WriteSome(
        SqliteConnection connection, string revision, IReadOnlyList<MatchedPackage> matched, int index, int finding)
    {
        var left = FindingsPerTransactionMax;
        for (; index < matched.Count; index++, finding = 0)
        {
            var package = matched[index];
            // The package may have been deleted with its last set since it was read.
            if (!connection.ExecuteScalar<bool>("SELECT EXISTS (SELECT 1 FROM packages WHERE id = @Id)", new { package.Id })) continue;
            if (package.Findings is { } findings)
            {
                for (; finding < findings.Count; finding++, left--)
                {
                    if (left == 0) return (index, finding);
                    Write(connection, package.Id, findings[finding]);
                }

                left -= DeleteOthers(connection, package.Id, findings, left);
                // Perhaps more are to be deleted.
                if (left == 0) return (index, finding);
            }

            connection.Execute(
                "UPDATE packages SET matched_revision = @revision, failed = @failed WHERE id = @Id",
                new { revision, failed = package.Findings is null, package.Id });
        }

        return (index, 0);
    }

    static void Write(SqliteConnection connection, long package, MatchedFinding matched) =>
        connection.Execute(
            """
            INSERT INTO findings (
              package_id, advisory, ordinal, severity, cvss_score, cvss_vector, cves, summary, installed_version, fixed_version, evidence)
            VALUES (@package, @AdvisoryId, @Ordinal, @severity, @CvssScore, @CvssVector, @CvesJson, @Summary, @InstalledVersion,
              @FixedVersion, @EvidenceJsonText)
            ON CONFLICT (package_id, advisory, ordinal) DO UPDATE SET severity = excluded.severity, cvss_score = excluded.cvss_score,
              cvss_vector = excluded.cvss_vector, cves = excluded.cves, summary = excluded.summary,
              installed_version = excluded.installed_version, fixed_version = excluded.fixed_version, evidence = excluded.evidence
            """,
            new
            {
                package,
                matched.Finding.AdvisoryId,
                matched.Ordinal,
                severity = (int)matched.Finding.Severity,
                matched.Finding.CvssScore,
                matched.Finding.CvssVector,
                matched.CvesJson,
                matched.Finding.Summary,
                matched.Finding.InstalledVersion,
                matched.Finding.FixedVersion,
                matched.EvidenceJsonText,
            });

    /// <summary>Deletes up to <paramref name="limit"/> of the package's findings that are not among <paramref name="findings"/>.</summary>
    static int DeleteOthers(SqliteConnection connection, long package, IReadOnlyList<MatchedFinding> findings, int limit)
    {
        var stay = findings.Select(matched => (matched.Finding.AdvisoryId, matched.Ordinal)).ToHashSet();
        var gone = connection.Query<FindingKey>(
            "SELECT id AS Id, advisory AS Advisory, ordinal AS Ordinal FROM findings WHERE package_id = @package", new { package })
            .Where(key => !stay.Contains((key.Advisory, key.Ordinal))).Take(limit).ToList();
        return connection.Execute("DELETE FROM findings WHERE id = @Id", gone);
    }

    sealed class FindingKey
    {
        public long Id { get; init; }

        public string Advisory { get; init; } = "";

        public long Ordinal { get; init; }
    }

    sealed class PendingPackageRow
    {
        public long Id { get; init; }

        public string OsId { get; init; } = "";

        public string OsVersionId { get; init; } = "";

        public long Manager { get; init; }

        public string Name { get; init; } = "";

        public string Version { get; init; } = "";

        public string Arch { get; init; } = "";

        public string Module { get; init; } = "";

        public string SourceName { get; init; } = "";

        public string SourceVersion { get; init; } = "";

        public Package ToPackage()
        {
            var (epoch, version, release) = Package.SplitVersion(Version);
            return new Package
            {
                Manager = (PackageManager)Manager,
                Name = Name,
                Epoch = epoch,
                Version = version,
                Release = release,
                Architecture = Arch,
                ModularityLabel = Module.Length > 0 ? Module : null,
                SourceName = SourceName.Length > 0 ? SourceName : null,
                SourceVersion = SourceVersion.Length > 0 ? SourceVersion : null,
            };
        }
    }
}

/// <summary>A distinct package whose findings are not those of the revision in use.</summary>
sealed record PendingPackage(long Id, OsRelease Os, Package Package);

/// <summary>What the matcher found for a package; null findings when it failed, and then those that are stored stay.</summary>
sealed record MatchedPackage(long Id, IReadOnlyList<MatchedFinding>? Findings);

/// <summary>A finding as it is stored. <paramref name="Ordinal"/> counts up where one advisory applies to one package more than once.</summary>
sealed record MatchedFinding(Finding Finding, long Ordinal, string CvesJson, string EvidenceJsonText)
{
    public static IReadOnlyList<MatchedFinding> Of(IEnumerable<Finding> findings)
    {
        var ordinals = new Dictionary<string, long>();
        return [.. findings.Select(finding =>
        {
            var ordinal = ordinals.GetValueOrDefault(finding.AdvisoryId);
            ordinals[finding.AdvisoryId] = ordinal + 1;
            return new MatchedFinding(
                finding,
                ordinal,
                JsonSerializer.Serialize(finding.Cves, EvidenceJson.Default.IReadOnlyListString),
                JsonSerializer.Serialize(finding.Evidence, EvidenceJson.Default.FindingEvidence));
        })];
    }
}
