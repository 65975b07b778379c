using Dapper;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Storage;

/// <summary>The rows of package sets: made when first seen, deleted with their packages when the last reference is gone.</summary>
static class PackageSets
{
    public static long Insert(SqliteConnection connection, PackageSet set)
    {
        var os = new { id = set.OsId, version = set.OsVersionId };
        connection.Execute("INSERT INTO distributions (os_id, os_version_id) VALUES (@id, @version) ON CONFLICT DO NOTHING", os);
        var distribution = connection.ExecuteScalar<long>("SELECT id FROM distributions WHERE os_id = @id AND os_version_id = @version", os);
        var setId = connection.ExecuteScalar<long>(
            "INSERT INTO package_sets (digest, distribution_id, package_count, bytes) VALUES (@Digest, @distribution, @Count, @Bytes) RETURNING id",
            new { set.Digest, distribution, set.Packages.Count, set.Bytes });

        // Prepared once for the hundreds of packages of a set, most of which other sets have too.
        using var find = connection.CreateCommand();
        find.CommandText =
            """
            SELECT id FROM packages WHERE distribution_id = @distribution AND manager = @manager AND name = @name AND version = @version
              AND arch = @arch AND module = @module AND source_name = @source_name AND source_version = @source_version
              AND repository_id = @repository
            """;
        using var insert = connection.CreateCommand();
        insert.CommandText =
            """
            INSERT INTO packages (distribution_id, manager, name, version, arch, module, source_name, source_version, repository_id)
            VALUES (@distribution, @manager, @name, @version, @arch, @module, @source_name, @source_version, @repository) RETURNING id
            """;
        using var member = connection.CreateCommand();
        member.CommandText = "INSERT INTO package_set_members (set_id, package_id) VALUES (@set, @package)";
        member.Parameters.AddWithValue("@set", setId);
        var memberPackage = member.Parameters.Add("@package", SqliteType.Integer);

        var repositories = new Dictionary<StoredRepository, long>(ReferenceEqualityComparer.Instance);
        var bindFind = Parameters(find, distribution);
        var bindInsert = Parameters(insert, distribution);
        foreach (var package in set.Packages)
        {
            if (!repositories.TryGetValue(package.Repository, out var repository))
                repositories.Add(package.Repository, repository = RepositoryId(connection, package.Repository));
            bindFind(package, repository);
            if (find.ExecuteScalar() is not long id)
            {
                bindInsert(package, repository);
                id = (long)insert.ExecuteScalar()!;
            }

            memberPackage.Value = id;
            member.ExecuteNonQuery();
        }

        return setId;
    }

    /// <summary>Adds the parameters that name a package, and gives what sets their values.</summary>
    static Action<PackageContent, long> Parameters(SqliteCommand command, long distribution)
    {
        command.Parameters.AddWithValue("@distribution", distribution);
        var manager = command.Parameters.Add("@manager", SqliteType.Integer);
        var name = command.Parameters.Add("@name", SqliteType.Text);
        var version = command.Parameters.Add("@version", SqliteType.Text);
        var arch = command.Parameters.Add("@arch", SqliteType.Text);
        var module = command.Parameters.Add("@module", SqliteType.Text);
        var sourceName = command.Parameters.Add("@source_name", SqliteType.Text);
        var sourceVersion = command.Parameters.Add("@source_version", SqliteType.Text);
        var repositoryId = command.Parameters.Add("@repository", SqliteType.Integer);
        return (package, repository) =>
        {
            manager.Value = (int)package.Manager;
            name.Value = package.Name;
            version.Value = package.Version;
            arch.Value = package.Arch;
            module.Value = package.Module;
            sourceName.Value = package.SourceName;
            sourceVersion.Value = package.SourceVersion;
            repositoryId.Value = repository;
        };
    }

    static long RepositoryId(SqliteConnection connection, StoredRepository repository)
    {
        connection.Execute("INSERT INTO repositories (name, evidence, cpes) VALUES (@Name, @Evidence, @Cpes) ON CONFLICT DO NOTHING", repository);
        return connection.ExecuteScalar<long>("SELECT id FROM repositories WHERE name = @Name AND evidence = @Evidence AND cpes = @Cpes", repository);
    }

    /// <summary>Deletes those of <paramref name="candidates"/> that no report and no machine has, and the packages and distributions that only they had.</summary>
    public static void DeleteUnused(SqliteConnection connection, IEnumerable<long> candidates)
    {
        foreach (var set in candidates)
        {
            if (connection.ExecuteScalar<bool>(
                "SELECT EXISTS (SELECT 1 FROM reports WHERE set_id = @set) OR EXISTS (SELECT 1 FROM machines WHERE set_id = @set)", new { set }))
            {
                continue;
            }

            var members = connection.Query<long>("DELETE FROM package_set_members WHERE set_id = @set RETURNING package_id", new { set }).ToList();
            var distribution = connection.ExecuteScalar<long>("DELETE FROM package_sets WHERE id = @set RETURNING distribution_id", new { set });
            var repositories = new HashSet<long>();
            foreach (var id in members)
            {
                repositories.UnionWith(connection.Query<long>(
                    "DELETE FROM packages WHERE id = @id AND NOT EXISTS (SELECT 1 FROM package_set_members WHERE package_id = @id) RETURNING repository_id",
                    new { id }));
            }

            // As with systems: a guest chooses what its repositories are called.
            repositories.Remove(0);
            connection.Execute(
                "DELETE FROM repositories WHERE id = @id AND NOT EXISTS (SELECT 1 FROM packages WHERE repository_id = @id)",
                repositories.Select(id => new { id }));
            // A guest chooses its os-release, and could otherwise leave a row with every report.
            connection.Execute(
                """
                DELETE FROM distributions WHERE id = @distribution
                  AND NOT EXISTS (SELECT 1 FROM package_sets WHERE distribution_id = @distribution)
                  AND NOT EXISTS (SELECT 1 FROM packages WHERE distribution_id = @distribution)
                """,
                new { distribution });
        }
    }
}
