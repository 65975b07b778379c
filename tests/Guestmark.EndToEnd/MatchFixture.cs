using System.IO.Compression;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>A CentOS 8 of 517 packages and the complete AlmaLinux database, imported once for all tests of a class.</summary>
public sealed class MatchFixture : IAsyncLifetime
{
    readonly TemporaryFolder _folder = new();

    public string Root => _folder.File("c8");

    public string Database => _folder.File("advisories.db");

    /// <summary>What the import printed.</summary>
    public string Imported { get; private set; } = "";

    public async Task InitializeAsync()
    {
        if (Repository.TestData is null) return;
        Directory.CreateDirectory(Path.Combine(Root, "var/lib/rpm"));
        await using (var packed = new GZipStream(File.OpenRead(Repository.TestDataPath("rpmdb/centos8-modularitylabel/Packages.gz")), CompressionMode.Decompress))
        await using (var unpacked = File.Create(Path.Combine(Root, "var/lib/rpm/Packages")))
        {
            await packed.CopyToAsync(unpacked);
        }

        var (exitCode, output, error) = await GuestmarkProcess.RunAsync(
            "guestmark", "vulndb", "import", Repository.TestDataPath("osv/almalinux-osv-database.zip"), "--database", Database);
        Assert.True(exitCode == 0, error);
        Imported = output;
    }

    public Task DisposeAsync()
    {
        _folder.Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Runs <c>guestmark match</c> with the database.</summary>
    public async Task<string> MatchAsync(params IEnumerable<string> arguments)
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", ["match", "--database", Database, .. arguments]);
        Assert.True(exitCode == 0, error);
        return output;
    }

    /// <summary>The findings with what is the same whatever the packages were read from.</summary>
    public async Task<IReadOnlyList<string>> FindingsAsync(params IEnumerable<string> arguments)
    {
        var document = JsonNode.Parse(await MatchAsync([.. arguments, "-o", "json"]))!;
        return [.. document["findings"]!.AsArray().Select(finding =>
        {
            finding!["package"]!.AsObject().Remove("database");
            return finding.ToJsonString();
        }).Order(StringComparer.Ordinal)];
    }
}
