using Dapper;
using Guestmark.Central.Storage;
using Guestmark.TestKit;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Guestmark.Central.Tests;

public sealed class StoreTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_file_that_is_no_database_is_named_in_the_error()
    {
        File.WriteAllText(_folder.File("central.db"), new string('x', 10_000));
        var error = Assert.Throws<CentralStoreException>(() => CentralStore.Open(_folder.File("central.db")));
        Assert.Contains(_folder.File("central.db"), error.Message);
        Assert.Contains("restore the file from a backup", error.Message);
    }

    [Theory]
    [InlineData("cut")]
    [InlineData("start")]
    [InlineData("tables")]
    public async Task A_damaged_database_is_named_with_what_is_wrong_and_the_remedy(string damage)
    {
        var path = _folder.File("central.db");
        await using (var central = new CentralUnderTest(_folder.Path)) await central.StoreAsync(new NodeEvents().Report("vm-1", Samples.ReportOfSet(0, 500), Samples.Start));
        using (var file = new FileStream(path, FileMode.Open))
        {
            switch (damage)
            {
                case "cut":
                    file.SetLength(file.Length / 2);
                    break;
                case "start":
                    file.Write(new byte[100]);
                    break;
                default:
                    // All but the first page, which has the header and the schema.
                    file.Position = 4096;
                    file.Write(new byte[file.Length - 4096]);
                    break;
            }
        }

        var error = Assert.Throws<CentralStoreException>(() => CentralStore.Open(path));
        Assert.StartsWith($"the database '{path}' is damaged: ", error.Message);
        Assert.Contains("restore the file from a backup", error.Message);
    }

    [Fact]
    public async Task Damage_that_is_met_later_is_named_too()
    {
        await using (var central = new CentralUnderTest(_folder.Path)) await central.StoreAsync(new NodeEvents().Report("vm-1", Samples.ReportOfSet(0, 5_000), Samples.Start));
        var path = _folder.File("central.db");
        using (var file = new FileStream(path, FileMode.Open))
        {
            // The last quarter is rows of packages and of their index, of which opening reads the first.
            file.Position = file.Length / 4096 * 3 / 4 * 4096;
            file.Write(new byte[file.Length - file.Position]);
        }

        using var store = CentralStore.Open(path);
        var error = await Assert.ThrowsAsync<CentralStoreException>(async () => await store.QueryAsync<string>("SELECT name || version || arch FROM packages NOT INDEXED", new { }, default));
        Assert.StartsWith($"the database '{path}' is damaged: ", error.Message);
        error = await Assert.ThrowsAsync<CentralStoreException>(async () => await store.WriteAsync(connection => connection.Execute("UPDATE packages SET arch = 'x'"), default));
        Assert.StartsWith($"the database '{path}' is damaged: ", error.Message);
    }

    [Fact]
    public async Task A_database_of_the_first_version_is_brought_up_to_date_with_ids_and_findings_and_matched_again()
    {
        var path = _folder.File("central.db");
        SqliteLibrary.Load();
        using (var first = new SqliteConnection($"Data Source={path};Pooling=False"))
        {
            first.Open();
            using var reader = new StreamReader(typeof(CentralStore).Assembly.GetManifestResourceStream("migrations/001.sql")!);
            first.Execute(reader.ReadToEnd());
            first.Execute(
                """
                INSERT INTO distributions VALUES (1, 'almalinux', '8.10'), (2, 'left', 'over');
                INSERT INTO packages VALUES (7, 1, 1, 'bash', '1.0-1.el8', 'x86_64', '', 'bash', '1.0-1.el8', 'old'), (9, 1, 1, 'gone', '1', '', '', '', '', 'old');
                DELETE FROM packages WHERE id = 9;
                INSERT INTO package_sets VALUES (3, x'00', 1, 1, 0, 1, 0, 0, 0, 'old', 1000);
                INSERT INTO package_set_members VALUES (3, 7);
                INSERT INTO machines VALUES (5, 'vm-1', 'web', '', 'lab', 'node1', 1, 0, 0, 1000, '', 3);
                INSERT INTO streams VALUES (1, 's', 1, 0);
                INSERT INTO reports VALUES (4, 'e', 1, 1, 5, 1000, 3);
                INSERT INTO findings VALUES (42, 7, 'ALSA-2026:1', 0, 3, 7.5, NULL, '["CVE-2026-1","CVE-2026-9"]', 'text', '1.0-1.el8', '2-1', '{}');
                PRAGMA user_version = 1
                """);
        }

        await using var central = new CentralUnderTest(_folder.Path);
        Assert.Equal(64 + "bash1.0-1.el8x86_64bash1.0-1.el8".Length, await central.ScalarAsync<long>("SELECT bytes FROM package_sets"));
        Assert.Equal(["almalinux"], await central.RowsAsync<string>("SELECT os_id FROM distributions"));
        Assert.Equal(0, await central.ScalarAsync<long>("SELECT count(*) FROM streams WHERE moved_at < 1767225600000"));
        Assert.Equal(["42|CVE-2026-1", "42|CVE-2026-9"], await central.RowsAsync<string>(
            "SELECT fc.finding_id || '|' || c.name FROM finding_cves fc JOIN cves c ON c.id = fc.cve_id ORDER BY 1"));
        Assert.Empty(await central.RowsAsync<string>("SELECT \"table\" FROM pragma_foreign_key_check"));
        Assert.Equal("ok", await central.ScalarAsync<string>("PRAGMA integrity_check"));

        var database = Samples.Database(Samples.Advisory("ALSA-2026:1", "bash", "3-1"));
        Assert.Equal(MatchingState.Pending, (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0].MatchingWith(database));
        central.Matching.UseDatabase(database);
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(MatchingState.Matched, (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0].MatchingWith(database));
        Assert.Equal("42|3-1|CVE-2026-1", await central.ScalarAsync<string>(
            "SELECT f.id || '|' || f.fixed_version || '|' || c.name FROM findings f JOIN finding_cves fc ON fc.finding_id = f.id JOIN cves c ON c.id = fc.cve_id"));
        // Ids that were given away once do not come back.
        await central.StoreAsync(new NodeEvents().Report("vm-2", Samples.Report(Samples.Package("curl")), Samples.Start));
        Assert.Equal(10, await central.ScalarAsync<long>("SELECT id FROM packages WHERE name = 'curl'"));
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_refused()
    {
        using (var store = CentralStore.Open(_folder.File("central.db")))
            await store.WriteAsync(connection => connection.Execute("PRAGMA user_version = 99"), default);
        var error = Assert.Throws<CentralStoreException>(() => CentralStore.Open(_folder.File("central.db")));
        Assert.Contains("schema version 99", error.Message);
    }

    [RootFact]
    public async Task A_full_disk_fails_what_it_cannot_store_and_nothing_after_there_is_room_again()
    {
        var disk = _folder.File("disk");
        await SmallDisk.MountAsync(disk, "8m");
        try
        {
            var events = new NodeEvents();
            await using (var central = new CentralUnderTest(disk + "/central"))
            {
                await central.StoreAsync(events.Report("vm-1", Samples.ReportOfSet(0), Samples.Start));
                Fill(disk + "/filler");
                var report = events.Report("vm-1", Samples.ReportOfSet(1, 5_000), Samples.Start);
                for (var attempt = 0; attempt < 2; attempt++)
                {
                    var error = await Assert.ThrowsAsync<SqliteException>(async () => await central.StoreAsync(report));
                    // SQLITE_FULL, or SQLITE_IOERR where the log's index cannot grow.
                    Assert.True(error.SqliteErrorCode is 13 or 10, error.Message);
                }

                File.Delete(disk + "/filler");
                await central.StoreAsync(report);
                Assert.Equal(2, await central.ScalarAsync<long>("SELECT count(*) FROM reports"));
                Fill(disk + "/filler");
            }

            // Closed on a full disk without an exception, and whole.
            File.Delete(disk + "/filler");
            await using var again = new CentralUnderTest(disk + "/central");
            Assert.Equal(2, await again.ScalarAsync<long>("SELECT count(*) FROM reports"));
        }
        finally
        {
            await SmallDisk.UnmountAsync(disk);
        }

        static void Fill(string path)
        {
            using var file = File.Create(path);
            try
            {
                while (true)
                {
                    file.Write(new byte[4096]);
                    file.Flush();
                }
            }
            catch (IOException)
            {
                // Full.
            }
        }
    }

    [Fact]
    public async Task After_a_transaction_that_failed_the_next_one_works()
    {
        using var store = CentralStore.Open(_folder.File("central.db"));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await store.WriteAsync<int>(
            connection =>
            {
                // As SQLite does by itself on a full disk.
                connection.Execute("ROLLBACK");
                throw new InvalidOperationException();
            },
            default));
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await store.WriteAsync<int>(
            connection =>
            {
                connection.Execute("INSERT INTO streams (name, sequence, missing) VALUES ('undone', 1, 0)");
                throw new InvalidOperationException();
            },
            default));
        await store.WriteAsync(connection => connection.Execute("INSERT INTO streams (name, sequence, missing) VALUES ('done', 1, 0)"), default);
        Assert.Equal(["done"], await store.QueryAsync<string>("SELECT name FROM streams", new { }, default));
    }

    [Fact]
    public async Task Commits_wait_for_the_disk_and_readers_cannot_write()
    {
        using var store = CentralStore.Open(_folder.File("central.db"));
        // 2 is FULL.
        Assert.Equal(2, await store.WriteAsync(connection => connection.ExecuteScalar<long>("PRAGMA synchronous"), default));
        Assert.Equal("wal", await store.WriteAsync(connection => connection.ExecuteScalar<string>("PRAGMA journal_mode"), default));
        Assert.Equal(1, await store.WriteAsync(connection => connection.ExecuteScalar<long>("PRAGMA foreign_keys"), default));
        using var reader = store.OpenReader();
        Assert.Throws<SqliteException>(() => reader.Execute("DELETE FROM machines"));
    }

    [Fact]
    public void Wrong_options_are_named_all_at_once()
    {
        var options = new CentralOptions { DataDirectory = "relative", ReportsPerMachineMax = 0, SignIn = new SignInOptions { SessionLifetime = TimeSpan.Zero } };
        var error = Assert.Throws<OptionsValidationException>(() => new ServiceCollection().AddCentral(options));
        Assert.Equal(3, error.Failures.Count());
        Assert.Contains("DataDirectory is 'relative'", error.Message);
        Assert.Contains("ReportsPerMachineMax is 0: set it to a number from 1 to 1000000", error.Message);
        Assert.Contains("SignIn.SessionLifetime", error.Message);
    }

    [Fact]
    public void The_api_token_and_keys_are_readable_by_their_owner_only_and_stay()
    {
        var data = _folder.File("data");
        new ServiceCollection().AddCentral(new CentralOptions { DataDirectory = data });
        var token = File.ReadAllText(Path.Combine(data, "api-token"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(data, "api-token")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(data));
        new ServiceCollection().AddCentral(new CentralOptions { DataDirectory = data });
        Assert.Equal(token, File.ReadAllText(Path.Combine(data, "api-token")));
    }

    [Fact]
    public void An_api_token_that_is_too_short_is_refused()
    {
        File.WriteAllText(_folder.File("api-token"), "guessme");
        var error = Assert.Throws<CentralStoreException>(() => new ServiceCollection().AddCentral(new CentralOptions { DataDirectory = _folder.Path }));
        Assert.Contains("has 7 characters, expected at least 43", error.Message);
    }

    [Fact]
    public void An_api_token_that_is_damaged_is_refused_with_the_remedy()
    {
        File.WriteAllBytes(_folder.File("api-token"), new byte[44]);
        var error = Assert.Throws<CentralStoreException>(() => new ServiceCollection().AddCentral(new CentralOptions { DataDirectory = _folder.Path }));
        Assert.Contains(_folder.File("api-token"), error.Message);
        Assert.Contains("is damaged", error.Message);
        Assert.Contains("delete the file", error.Message);
    }

    [Fact]
    public async Task New_files_are_for_this_user_only()
    {
        await using var central = new CentralUnderTest(_folder.File("new"));
        await central.StoreAsync(new NodeEvents().Report("vm-1", Samples.Report(), Samples.Start));
        Assert.Equal("700", ModeOf("new"));
        foreach (var name in (string[])["central.db", "central.db-wal", "central.db-shm", "api-token"]) Assert.Equal("600", ModeOf("new/" + name));
        Assert.Empty(central.LogOf(6203));
    }

    [Fact]
    public async Task Files_that_others_could_reach_are_mended_and_logged_once()
    {
        await using (var first = new CentralUnderTest(_folder.Path)) await first.StoreAsync(new NodeEvents().Report("vm-1", Samples.Report(), Samples.Start));
        Mode("", "755");
        Mode("keys", "777");
        Mode("central.db", "644");
        Mode("api-token", "640");
        File.WriteAllText(_folder.File("central.db-wal"), "");
        Mode("central.db-wal", "644");

        await using (var second = new CentralUnderTest(_folder.Path))
        {
            await second.StoreAsync(new NodeEvents().Report("vm-1", Samples.Report(), Samples.Start));
            Assert.Equal(("700", "700"), (ModeOf(""), ModeOf("keys")));
            foreach (var name in (string[])["central.db", "central.db-wal", "central.db-shm", "api-token"]) Assert.Equal("600", ModeOf(name));
            Assert.Equal(5, second.LogOf(6203).Count);
            Assert.Contains(second.LogOf(6203), message => message.Contains("central.db' had mode 644", StringComparison.Ordinal));
        }

        await using var third = new CentralUnderTest(_folder.Path);
        Assert.Equal(0, await third.ScalarAsync<long>("SELECT count(*) FROM findings"));
        Assert.Empty(third.LogOf(6203));

        void Mode(string name, string mode) => File.SetUnixFileMode(Path.Combine(_folder.Path, name), (UnixFileMode)Convert.ToInt32(mode, 8));
    }

    [Fact]
    public async Task A_folder_that_was_made_for_central_is_mended_without_a_warning()
    {
        Directory.CreateDirectory(_folder.File("made"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherRead);
        await using var central = new CentralUnderTest(_folder.File("made"));
        Assert.Equal(0, await central.ScalarAsync<long>("SELECT count(*) FROM machines"));
        Assert.Equal("700", ModeOf("made"));
        Assert.Empty(central.LogOf(6203));
    }

    string ModeOf(string name) => Convert.ToString((int)File.GetUnixFileMode(Path.Combine(_folder.Path, name)), 8);
}
