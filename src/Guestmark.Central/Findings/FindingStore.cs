using System.Text.Json;
using Dapper;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Findings;

/// <summary>The rows that matching reads and writes.</summary>
/// <remarks>
/// Packages and sets say with which row of <c>revisions</c> they were matched. When a new database changes only some of them, those are set
/// to null and the row takes the new revision, with which it takes all others along.
/// </remarks>
sealed class FindingStore(CentralStore store)
{
    /// <summary>Findings that one transaction writes or deletes, for which ingest waits. One Debian kernel has thousands.</summary>
    public const int FindingsPerTransactionMax = 1_000;

    /// <summary>Names whose packages one transaction makes pending, for which ingest waits.</summary>
    const int NamesPerTransaction = 200;

    const int CvesPerTransaction = 2_000;

    // Three ranges of the index package_sets_by_match; "IS NOT @revision" would read every set at each wake-up.
    const string OtherRevision = "(matched_with IS NULL OR matched_with < @revision OR matched_with > @revision)";

    /// <summary>The row of a revision; a new one, with which nothing was matched, when there is none.</summary>
    public async Task<long> RevisionAsync(string revision, DateTimeOffset now, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection => connection.ExecuteScalar<long?>("SELECT id FROM revisions WHERE revision = @revision ORDER BY id DESC LIMIT 1", new { revision })
                ?? connection.ExecuteScalar<long>(
                    "INSERT INTO revisions (revision, since) VALUES (@revision, @now) RETURNING id", new { revision, now = now.ToUnixTimeMilliseconds() }),
            cancellationToken);

    /// <summary>Gives all packages and sets that were matched with a row the next revision.</summary>
    public async Task AdvanceAsync(long row, string revision, DateTimeOffset now, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection => connection.Execute(
                "UPDATE revisions SET revision = @revision, since = @now WHERE id = @row", new { row, revision, now = now.ToUnixTimeMilliseconds() }),
            cancellationToken);

    /// <summary>Makes the packages with any of these names pending, and the sets that have one.</summary>
    /// <returns>The packages.</returns>
    public async Task<IReadOnlyList<long>> ReleaseAsync(IReadOnlyList<(string Product, string Name)> names, CancellationToken cancellationToken)
    {
        var released = new List<long>();
        for (var start = 0; start < names.Count; start += NamesPerTransaction)
        {
            var chunk = names.Skip(start).Take(NamesPerTransaction).ToList();
            // Without a package nothing is written, and no disk waited for: a feed has names of which a fleet has few.
            var packages = await PackagesOfAsync(chunk, cancellationToken);
            if (packages.Count == 0) continue;
            await store.WriteAsync(
                connection =>
                {
                    connection.Execute("UPDATE packages SET matched_with = NULL WHERE id IN (SELECT value FROM json_each(@ids))", new { ids = JsonOf(packages) });
                    return connection.Execute(
                        """
                        UPDATE package_sets SET matched_with = NULL WHERE matched_with IS NOT NULL AND id IN (
                          SELECT set_id FROM package_set_members WHERE package_id IN (SELECT value FROM json_each(@ids)))
                        """,
                        new { ids = JsonOf(packages) });
                },
                cancellationToken);
            released.AddRange(packages);
        }

        return released;
    }

    async Task<List<long>> PackagesOfAsync(List<(string Product, string Name)> names, CancellationToken cancellationToken)
    {
        // A name of another product than the package's is no reason, but a package more costs less than to find out its products. That a
        // name is of another manager is known without looking.
        var byManager = new Dictionary<int, List<string>>();
        foreach (var (product, name) in names)
        {
            var manager = (int?)Ecosystem.Find(product)?.Manager ?? 0;
            if (!byManager.TryGetValue(manager, out var list)) byManager.Add(manager, list = []);
            list.Add(name);
        }

        var packages = new HashSet<long>();
        foreach (var (manager, list) in byManager)
        {
            packages.UnionWith(await store.QueryAsync<long>(
                """
                SELECT n.package_id FROM json_each(@names) j JOIN package_names n ON n.name = j.value JOIN packages p ON p.id = n.package_id
                WHERE p.matched_with IS NOT NULL AND (@manager = 0 OR p.manager = @manager)
                """,
                new { names = JsonSerializer.Serialize(list, EvidenceJson.Default.IReadOnlyListString), manager },
                cancellationToken));
        }

        return [.. packages];
    }

    /// <summary>Gives every CVE of a finding the EPSS and KEV of the database.</summary>
    /// <returns>How many have changed.</returns>
    public async Task<int> UpdateScoresAsync(AdvisoryDatabase database, CancellationToken cancellationToken)
    {
        var (after, total) = (0L, 0);
        while (true)
        {
            var rows = await store.QueryAsync<CveRow>(
                "SELECT id AS Id, name AS Name, epss AS Epss, percentile AS Percentile, kev AS Kev FROM cves WHERE id > @after ORDER BY id LIMIT @limit",
                new { after, limit = CvesPerTransaction },
                cancellationToken);
            if (rows.Count == 0) return total;
            after = rows[^1].Id;
            var changed = rows.Select(row => (Row: row, Now: CveRow.Of(row.Id, row.Name, database)))
                .Where(pair => !pair.Now.HasSameScores(pair.Row)).Select(pair => pair.Now).ToList();
            if (changed.Count == 0) continue;
            total += changed.Count;
            await store.WriteAsync(
                connection => connection.Execute("UPDATE cves SET epss = @Epss, percentile = @Percentile, kev = @Kev WHERE id = @Id", changed), cancellationToken);
        }
    }

    /// <summary>Up to <paramref name="limit"/> sets that were not matched with <paramref name="revision"/>, the smallest first.</summary>
    public async Task<List<long>> PendingSetsAsync(long revision, int limit, CancellationToken cancellationToken) =>
        await store.QueryAsync<long>(
            $"SELECT id FROM package_sets WHERE {OtherRevision} ORDER BY package_count, id LIMIT @limit", new { revision, limit }, cancellationToken);

    /// <summary>How many findings the set's packages have that were matched with <paramref name="revision"/>.</summary>
    public async Task<long> FindingCountAsync(long set, long revision, CancellationToken cancellationToken) =>
        (await store.QueryAsync<long>(
            """
            SELECT count(*) FROM package_set_members m JOIN packages p ON p.id = m.package_id JOIN findings f ON f.package_id = p.id
            WHERE m.set_id = @set AND p.matched_with = @revision
            """,
            new { set, revision },
            cancellationToken))[0];

    /// <summary>Up to <paramref name="limit"/> packages of the set that were not matched with <paramref name="revision"/>.</summary>
    public async Task<List<PendingPackage>> PendingPackagesAsync(long set, long revision, int limit, CancellationToken cancellationToken)
    {
        return ToPending(await store.QueryAsync<StoredPackageRow>(
            $"""
            SELECT {StoredPackageRow.Columns}
            FROM package_set_members m JOIN packages p ON p.id = m.package_id JOIN distributions d ON d.id = p.distribution_id
              JOIN repositories r ON r.id = p.repository_id
            WHERE m.set_id = @set AND (p.matched_with IS NULL OR p.matched_with <> @revision) LIMIT @limit
            """,
            new { set, revision, limit },
            cancellationToken));
    }

    /// <summary>Those of the packages that are still there and pending.</summary>
    public async Task<List<PendingPackage>> PendingPackagesAsync(IEnumerable<long> packages, CancellationToken cancellationToken) =>
        ToPending(await store.QueryAsync<StoredPackageRow>(
            $"""
            SELECT {StoredPackageRow.Columns}
            FROM packages p JOIN distributions d ON d.id = p.distribution_id JOIN repositories r ON r.id = p.repository_id
            WHERE p.id IN (SELECT value FROM json_each(@ids)) AND p.matched_with IS NULL
            """,
            new { ids = JsonOf(packages) },
            cancellationToken));

    static List<PendingPackage> ToPending(List<StoredPackageRow> rows)
    {
        // Packages mostly have the repository of the one before.
        PackageRepository? repository = null;
        StoredPackageRow? before = null;
        var pending = new List<PendingPackage>(rows.Count);
        foreach (var row in rows)
        {
            if (before is null || !row.HasRepositoryOf(before)) repository = row.Repository;
            before = row;
            pending.Add(new PendingPackage(row.Id, new OsRelease(row.OsId, row.OsVersionId, ""), row.ToPackage(repository)));
        }

        return pending;
    }

    /// <summary>Makes those packages pending again that the matcher failed on, and the sets that have one.</summary>
    public async Task ReleaseFailedAsync(CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection => connection.Execute(
                """
                UPDATE packages SET matched_with = NULL WHERE failed = 1;
                UPDATE package_sets SET matched_with = NULL WHERE failed > 0
                """),
            cancellationToken);

    /// <summary>
    /// Makes the stored findings of each package those that were found, in as many transactions as their number asks for. A package counts
    /// as matched from the transaction with its last finding on. A finding that stays keeps its id, which is in URLs.
    /// </summary>
    public async Task StoreAsync(AdvisoryDatabase database, long revision, IReadOnlyList<MatchedPackage> matched, CancellationToken cancellationToken)
    {
        var (package, finding) = (0, 0);
        while (package < matched.Count)
        {
            (package, finding) = await store.WriteAsync(
                connection =>
                {
                    using var writer = new FindingWriter(connection, database);
                    return WriteSome(connection, writer, revision, matched, package, finding);
                },
                cancellationToken);
        }
    }

    /// <summary>
    /// Brings the counts of up to <paramref name="limit"/> package sets up to date whose packages are all matched with
    /// <paramref name="revision"/>.
    /// </summary>
    /// <returns>How many.</returns>
    public async Task<int> CountSetsAsync(long revision, DateTimeOffset now, int limit, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection =>
            {
                var sets = connection.Query<long>(
                    $"""
                    SELECT id FROM package_sets s WHERE {OtherRevision} AND NOT EXISTS (
                      SELECT 1 FROM package_set_members m JOIN packages p ON p.id = m.package_id
                      WHERE m.set_id = s.id AND p.matched_with IS NOT @revision)
                    LIMIT @limit
                    """,
                    new { revision, limit }).ToList();
                foreach (var set in sets) Count(connection, set, revision, now, isOver: false);
                return sets.Count;
            },
            cancellationToken);

    /// <summary>Brings the counts of a set up to date that has too many findings; those of its packages that are not matched have failed.</summary>
    public async Task CloseAsync(long set, long revision, DateTimeOffset now, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection =>
            {
                Count(connection, set, revision, now, isOver: true);
                return 0;
            },
            cancellationToken);

    static void Count(SqliteConnection connection, long set, long revision, DateTimeOffset now, bool isOver) =>
        connection.Execute(
            """
            UPDATE package_sets SET matched_with = @revision, matched_at = @now, is_over = @isOver,
              failed = (SELECT count(*) FROM package_set_members m JOIN packages p ON p.id = m.package_id
                WHERE m.set_id = @set AND (p.failed = 1 OR p.matched_with IS NOT @revision)),
              (critical, important, moderate, low, unknown) = (
                SELECT coalesce(sum(p.critical), 0), coalesce(sum(p.important), 0), coalesce(sum(p.moderate), 0), coalesce(sum(p.low), 0),
                  coalesce(sum(p.unknown), 0)
                FROM package_set_members m JOIN packages p ON p.id = m.package_id WHERE m.set_id = @set)
            WHERE id = @set
            """,
            new { revision, now = now.ToUnixTimeMilliseconds(), set, isOver });

    /// <summary>Writes from the given package and finding on, until all is written or the transaction has enough.</summary>
    /// <returns>Where to go on.</returns>
    static (int Package, int Finding) WriteSome(
        SqliteConnection connection, FindingWriter writer, long revision, IReadOnlyList<MatchedPackage> matched, int index, int finding)
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
                    writer.Write(package.Id, findings[finding]);
                }

                left -= DeleteOthers(connection, package.Id, findings, left);
                // Perhaps more are to be deleted.
                if (left == 0) return (index, finding);
            }

            foreach (var name in FleetIndex.NamesOf(package.Package))
                connection.Execute("INSERT INTO package_names (name, package_id) VALUES (@name, @Id) ON CONFLICT DO NOTHING", new { name, package.Id });
            connection.Execute(
                """
                UPDATE packages SET matched_with = @revision, failed = @failed, (critical, important, moderate, low, unknown) = (
                  SELECT count(*) FILTER (WHERE severity = 4), count(*) FILTER (WHERE severity = 3), count(*) FILTER (WHERE severity = 2),
                    count(*) FILTER (WHERE severity = 1), count(*) FILTER (WHERE severity = 0)
                  FROM findings WHERE package_id = @Id)
                WHERE id = @Id
                """,
                new { revision, failed = package.Findings is null, package.Id });
        }

        return (index, 0);
    }

    /// <summary>Deletes up to <paramref name="limit"/> of the package's findings that are not among <paramref name="findings"/>.</summary>
    static int DeleteOthers(SqliteConnection connection, long package, IReadOnlyList<MatchedFinding> findings, int limit)
    {
        var stay = findings.Select(matched => (matched.AdvisoryId, matched.Ordinal)).ToHashSet();
        var gone = connection.Query<FindingKey>(
            "SELECT id AS Id, advisory AS Advisory, ordinal AS Ordinal FROM findings WHERE package_id = @package", new { package })
            .Where(key => !stay.Contains((key.Advisory, key.Ordinal))).Take(limit).ToList();
        return connection.Execute("DELETE FROM findings WHERE id = @Id", gone);
    }

    static string JsonOf(IEnumerable<long> numbers) => $"[{string.Join(',', numbers)}]";

    sealed class FindingKey
    {
        public long Id { get; init; }

        public string Advisory { get; init; } = "";

        public long Ordinal { get; init; }
    }
}

/// <summary>A package as it is stored, with all that matching asks of it.</summary>
class StoredPackageRow
{
    /// <summary>Of the tables packages p, distributions d and repositories r.</summary>
    public const string Columns =
        """
        p.id AS Id, d.os_id AS OsId, d.os_version_id AS OsVersionId, p.manager AS Manager, p.name AS Name, p.version AS Version,
          p.arch AS Arch, p.module AS Module, p.source_name AS SourceName, p.source_version AS SourceVersion,
          r.name AS RepositoryName, r.evidence AS RepositoryEvidence, r.cpes AS RepositoryCpes
        """;

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

    public string RepositoryName { get; init; } = "";

    public long RepositoryEvidence { get; init; }

    public string RepositoryCpes { get; init; } = "";

    public PackageRepository? Repository => StoredRepository.ToRepository(RepositoryName, RepositoryEvidence, RepositoryCpes);

    public bool HasRepositoryOf(StoredPackageRow other) =>
        RepositoryName == other.RepositoryName && RepositoryEvidence == other.RepositoryEvidence && RepositoryCpes == other.RepositoryCpes;

    public Package ToPackage(PackageRepository? repository)
    {
        // Only the versions of distributions have an epoch and a release; 1.0-rc1 of a language is one word.
        var manager = (PackageManager)Manager;
        var (epoch, version, release) = manager is PackageManager.Rpm or PackageManager.Dpkg or PackageManager.Apk
            ? Package.SplitVersion(Version) : (null, Version, "");
        return new Package
        {
            Manager = manager,
            Name = Name,
            Epoch = epoch,
            Version = version,
            Release = release,
            Architecture = Arch,
            ModularityLabel = Module.Length > 0 ? Module : null,
            SourceName = SourceName.Length > 0 ? SourceName : null,
            SourceVersion = SourceVersion.Length > 0 ? SourceVersion : null,
            Repository = repository,
        };
    }
}

/// <summary>A distinct package whose findings are not those of the revision in use.</summary>
sealed record PendingPackage(long Id, OsRelease Os, Package Package);

/// <summary>What the matcher found for a package; null findings when it failed, and then those that are stored stay.</summary>
sealed record MatchedPackage(long Id, Package Package, IReadOnlyList<MatchedFinding>? Findings);

/// <summary>A finding as it is stored. <paramref name="Ordinal"/> counts up where one advisory applies to one package more than once.</summary>
sealed record MatchedFinding(Finding Finding, string AdvisoryId, long Ordinal, IReadOnlyList<string> Cves, string CvesJson, string EvidenceJsonText)
{
    public static IReadOnlyList<MatchedFinding> Of(IEnumerable<Finding> findings)
    {
        var ordinals = new Dictionary<string, long>();
        return [.. findings.Select(finding =>
        {
            var (id, cves) = (finding.AdvisoryId, finding.Cves);
            var ordinal = ordinals.GetValueOrDefault(id);
            ordinals[id] = ordinal + 1;
            return new MatchedFinding(
                finding,
                id,
                ordinal,
                cves,
                JsonSerializer.Serialize(cves, EvidenceJson.Default.IReadOnlyListString),
                JsonSerializer.Serialize(finding.Evidence, EvidenceJson.Default.FindingEvidence));
        })];
    }
}
