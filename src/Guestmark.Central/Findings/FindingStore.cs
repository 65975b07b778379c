using System.Text.Json;
using Dapper;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Findings;

/// <summary>The rows that matching reads and writes.</summary>
sealed class FindingStore(CentralStore store)
{
    // Three ranges of the index packages_by_revision; "IS NOT @revision" would read every package at each wake-up.
    const string OtherRevision = "(matched_revision IS NULL OR matched_revision < @revision OR matched_revision > @revision)";

    /// <summary>Up to <paramref name="limit"/> packages that were not matched with <paramref name="revision"/>.</summary>
    public async Task<List<PendingPackage>> PendingPackagesAsync(string revision, int limit, CancellationToken cancellationToken)
    {
        var rows = await store.QueryAsync<PackageRow>(
            $"""
            SELECT p.id AS Id, d.os_id AS OsId, d.os_version_id AS OsVersionId, p.manager AS Manager, p.name AS Name, p.version AS Version,
              p.arch AS Arch, p.module AS Module, p.source_name AS SourceName, p.source_version AS SourceVersion
            FROM packages p JOIN distributions d ON d.id = p.distribution_id WHERE {OtherRevision} LIMIT @limit
            """,
            new { revision, limit },
            cancellationToken);
        return [.. rows.Select(row => new PendingPackage(row.Id, new OsRelease(row.OsId, row.OsVersionId, ""), row.ToPackage()))];
    }

    /// <summary>Makes the stored findings of each package those that were found. A finding that stays keeps its id, which is in URLs.</summary>
    public async Task StoreAsync(string revision, IReadOnlyList<MatchedPackage> matched, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            connection =>
            {
                foreach (var package in matched)
                {
                    // Zero rows: the package was deleted with its last set since it was read.
                    if (connection.Execute("UPDATE packages SET matched_revision = @revision WHERE id = @Id", new { revision, package.Id }) > 0)
                        Replace(connection, package);
                }

                return matched.Count;
            },
            cancellationToken);

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
                foreach (var set in sets)
                {
                    connection.Execute(
                        """
                        UPDATE package_sets SET matched_revision = @revision, matched_at = @now,
                          (critical, important, moderate, low, unknown) = (
                            SELECT count(*) FILTER (WHERE f.severity = 4), count(*) FILTER (WHERE f.severity = 3),
                              count(*) FILTER (WHERE f.severity = 2), count(*) FILTER (WHERE f.severity = 1),
                              count(*) FILTER (WHERE f.severity = 0)
                            FROM package_set_members m JOIN findings f ON f.package_id = m.package_id WHERE m.set_id = @set)
                        WHERE id = @set
                        """,
                        new { revision, now = now.ToUnixTimeMilliseconds(), set });
                }

                return sets.Count;
            },
            cancellationToken);

    static void Replace(SqliteConnection connection, MatchedPackage package)
    {
        var gone = connection.Query<Key>(
            "SELECT id AS Id, advisory AS Advisory, ordinal AS Ordinal FROM findings WHERE package_id = @Id", new { package.Id })
            .ToDictionary(key => (key.Advisory, key.Ordinal), key => key.Id);
        var ordinals = new Dictionary<string, long>();
        foreach (var finding in package.Findings)
        {
            var ordinal = ordinals.GetValueOrDefault(finding.AdvisoryId);
            ordinals[finding.AdvisoryId] = ordinal + 1;
            gone.Remove((finding.AdvisoryId, ordinal));
            connection.Execute(
                """
                INSERT INTO findings (
                  package_id, advisory, ordinal, severity, cvss_score, cvss_vector, cves, summary, installed_version, fixed_version, evidence)
                VALUES (@package, @AdvisoryId, @ordinal, @severity, @CvssScore, @CvssVector, @cves, @Summary, @InstalledVersion,
                  @FixedVersion, @evidence)
                ON CONFLICT (package_id, advisory, ordinal) DO UPDATE SET severity = excluded.severity, cvss_score = excluded.cvss_score,
                  cvss_vector = excluded.cvss_vector, cves = excluded.cves, summary = excluded.summary,
                  installed_version = excluded.installed_version, fixed_version = excluded.fixed_version, evidence = excluded.evidence
                """,
                new
                {
                    package = package.Id,
                    finding.AdvisoryId,
                    ordinal,
                    severity = (int)finding.Severity,
                    finding.CvssScore,
                    finding.CvssVector,
                    cves = JsonSerializer.Serialize(finding.Cves, EvidenceJson.Default.IReadOnlyListString),
                    finding.Summary,
                    finding.InstalledVersion,
                    finding.FixedVersion,
                    evidence = JsonSerializer.Serialize(finding.Evidence, EvidenceJson.Default.FindingEvidence),
                });
        }

        foreach (var id in gone.Values) connection.Execute("DELETE FROM findings WHERE id = @id", new { id });
    }

    sealed class Key
    {
        public long Id { get; init; }

        public string Advisory { get; init; } = "";

        public long Ordinal { get; init; }
    }

    sealed class PackageRow
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
            // [epoch:]version[-release]: a version has no hyphen in rpm, and in dpkg the revision is what follows the last one.
            var colon = Version.IndexOf(':');
            uint? epoch = colon > 0 && uint.TryParse(Version.AsSpan(0, colon), out var number) ? number : null;
            var rest = epoch is null ? Version : Version[(colon + 1)..];
            var hyphen = rest.LastIndexOf('-');
            return new Package
            {
                Manager = (PackageManager)Manager,
                Name = Name,
                Epoch = epoch,
                Version = hyphen < 0 ? rest : rest[..hyphen],
                Release = hyphen < 0 ? "" : rest[(hyphen + 1)..],
                Architecture = Arch,
                ModularityLabel = Module.Length > 0 ? Module : null,
                SourceName = SourceName.Length > 0 ? SourceName : null,
                SourceVersion = SourceVersion.Length > 0 ? SourceVersion : null,
            };
        }
    }
}
