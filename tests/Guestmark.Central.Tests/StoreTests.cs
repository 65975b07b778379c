using Dapper;
using Guestmark.Central.Storage;
using Guestmark.TestKit;
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
        Assert.Contains("restore it from a backup", error.Message);
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_refused()
    {
        using (var store = CentralStore.Open(_folder.File("central.db")))
            await store.WriteAsync(connection => connection.Execute("PRAGMA user_version = 99"), default);
        var error = Assert.Throws<CentralStoreException>(() => CentralStore.Open(_folder.File("central.db")));
        Assert.Contains("schema version 99", error.Message);
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
        Assert.Throws<Microsoft.Data.Sqlite.SqliteException>(() => reader.Execute("DELETE FROM machines"));
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
}
