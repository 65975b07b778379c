using System.Diagnostics;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes the whole road, as a new user walks it: from package databases to findings, with nothing set up.</summary>
public sealed class UpTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [ToolFact("dpkg-query")]
    public async Task This_machine_has_as_many_packages_as_dpkg_says_are_installed()
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "-o", "json", "--data", _folder.File("data"));
        Assert.True(exitCode == 0, error);

        using var dpkg = Process.Start(new ProcessStartInfo("dpkg-query", ["-W", "-f", "${db:Status-Status}\n"]) { UseShellExecute = false, RedirectStandardOutput = true })!;
        var states = await dpkg.StandardOutput.ReadToEndAsync();
        var machine = Assert.Single(JsonNode.Parse(output)!["vms"]!.AsArray())!;
        Assert.Equal(states.Split('\n').Count(state => state == "installed"), machine["packageCount"]!.GetValue<int>());
        Assert.Equal("no-advisories", machine["matching"]!["state"]!.GetValue<string>());
    }

    [TestDataFact]
    public async Task A_folder_with_an_rpm_database_shows_its_packages_and_findings()
    {
        UnpackCentos8();
        string[] arguments =
        [
            "up", "--once", "--data", _folder.File("data"), "--guest", $"c8={_folder.File("c8")},distro=almalinux:8",
            "--feed", Repository.TestDataPath("osv/almalinux-osv-database.zip"),
        ];
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. arguments, "-o", "json"]);
        Assert.True(exitCode == 0, error);
        var machine = JsonNode.Parse(output)!["vms"]!.AsArray().Single(vm => vm!["name"]!.GetValue<string>() == "c8")!;

        // 518 headers, less the public keys among them, which are no packages.
        var expected = File.ReadLines(Repository.TestDataPath("rpmdb/expected-rpm-4.18/centos8-modularitylabel.tsv")).Skip(1).Select(line => line.Split('\t')[1]).ToList();
        Assert.Equal(expected.Count(name => name != "gpg-pubkey"), machine["packageCount"]!.GetValue<int>());

        var findings = machine["findings"]!.AsArray();
        Assert.Equal(machine["findingCount"]!.GetValue<int>(), findings.Count);
        Assert.True(findings.Count > 100, $"{findings.Count} findings");
        Assert.All(findings, finding =>
        {
            Assert.StartsWith("AL", finding!["advisory"]!.GetValue<string>(), StringComparison.Ordinal);
            Assert.NotEmpty(finding["installedVersion"]!.GetValue<string>());
            Assert.NotEmpty(finding["fixedVersion"]!.GetValue<string>());
            Assert.NotEmpty(finding["evidence"]!["comparison"]!.GetValue<string>());
        });

        // The same for people: a second run finds everything where the first left it.
        (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", arguments);
        Assert.True(exitCode == 0, error);
        var first = findings[0]!;
        foreach (var text in new[] { "c8", first["advisory"]!.GetValue<string>(), first["installedVersion"]!.GetValue<string>(), first["fixedVersion"]!.GetValue<string>() })
            Assert.Contains(text, output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_it_collected_is_signed_and_verifies_with_the_key_that_it_made()
    {
        var data = _folder.File("data");
        string[] run = ["up", "--once", "--data", data, "--guest", $"sample={SampleGuest.Create(_folder)}"];
        for (var i = 0; i < 2; i++)
        {
            var (ended, _, problem) = await GuestmarkProcess.RunAsync("guestmark", run);
            Assert.True(ended == 0, problem);
        }

        // One key for both runs, whose secret half is its owner's alone.
        var secret = Assert.Single(Directory.GetFiles(Path.Combine(data, "keys"), "*.key"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(secret));
        var (exitCode, events, error) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", "-o", "jsonl", Path.Combine(data, "node"));
        Assert.True(exitCode == 0, error);
        await File.WriteAllTextAsync(_folder.File("events.jsonl"), events);
        string output;
        (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "verify", _folder.File("events.jsonl"), "--keys", Path.Combine(data, "keys"), "-o", "json");
        Assert.True(exitCode == 0, output + error);
        var verified = JsonNode.Parse(output)!;
        Assert.True(verified["verified"]!.GetValue<int>() >= 4, output);
        Assert.Equal([Path.GetFileNameWithoutExtension(secret)], verified["keys"]!.AsObject().Select(key => key.Key));
        // Others may not enter what it keeps.
        foreach (var folder in new[] { "", "keys", "node", "sensor", "central" })
            Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(Path.Combine(data, folder)) & (UnixFileMode)0x3f);
    }

    [Fact]
    public async Task The_api_answers_with_the_token_and_a_stop_is_clean()
    {
        var root = SampleGuest.Create(_folder);
        var data = _folder.File("data");
        await using var up = GuestmarkProcess.Start(
            "guestmark", "up", "--data", data, "--address", "127.0.0.1:0", "--guest", $"web1={root}", "--feed", SampleGuest.CreateFeed(_folder));
        var address = (await up.WaitForLineAsync("Guestmark is at")).Split(' ')[^1];
        await up.WaitForLineAsync("Matching: 2 guests");

        using var http = new HttpClient { BaseAddress = new Uri(address) };
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.GetAsync("api/v1/vms")).StatusCode);
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", (await File.ReadAllTextAsync(Path.Combine(data, "central", "api-token"))).Trim());
        var machines = JsonNode.Parse(await http.GetStringAsync("api/v1/vms"))!["items"]!.AsArray();
        var web1 = machines.Single(vm => vm!["name"]!.GetValue<string>() == "web1")!["id"]!.GetValue<string>();
        Assert.Equal("uid is a UUID of version 5", Guid.Parse(web1).Version == 5 ? "uid is a UUID of version 5" : web1);

        var findings = JsonNode.Parse(await http.GetStringAsync($"api/v1/vms/{web1}/findings"))!["items"]!.AsArray();
        Assert.Equal(SampleGuest.Advisory, Assert.Single(findings)!["advisory"]!.GetValue<string>());
        Assert.Equal(0, await up.StopAsync());
    }

    [Fact]
    public async Task A_port_in_use_is_named_with_what_to_do()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen();
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", _folder.File("data"), "--address", $"{taken.LocalEndPoint}");
        Assert.Equal(1, exitCode);
        Assert.Contains($"{taken.LocalEndPoint}", error, StringComparison.Ordinal);
        Assert.Contains("choose another address", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_data_folder_in_use_is_named()
    {
        var data = _folder.File("data");
        await using var up = GuestmarkProcess.Start("guestmark", "up", "--data", data, "--address", "127.0.0.1:0");
        await up.WaitForLineAsync("Guestmark is at");
        await up.WaitForLineAsync($"the public key is in {data}/keys");
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", data);
        Assert.Equal(1, exitCode);
        Assert.Contains(data, error, StringComparison.Ordinal);
        Assert.Contains("another guestmark", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("up", "--guest", "x")]
    [InlineData("up", "--guest", "a=/nowhere-at-all")]
    [InlineData("up", "--guest", "a=/,distro=nonsense")]
    [InlineData("up", "--address", "nonsense")]
    [InlineData("up", "--no-such-option")]
    [InlineData("node")]
    [InlineData("no-such-verb")]
    public async Task Wrong_usage_ends_with_2_and_says_what_is_wrong(params string[] arguments)
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", arguments);
        Assert.Equal(2, exitCode);
        Assert.StartsWith("error: ", error, StringComparison.Ordinal);
        Assert.Contains("--help", error, StringComparison.Ordinal);
        Assert.Empty(output);
    }

    [Fact]
    public async Task A_guest_whose_database_is_damaged_fails_the_run_and_is_named()
    {
        Directory.CreateDirectory(_folder.File("bad/var/lib/rpm"));
        await File.WriteAllBytesAsync(_folder.File("bad/var/lib/rpm/Packages"), new byte[100_000]);
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", _folder.File("data"), "--guest", $"bad={_folder.File("bad")}");
        Assert.Equal(1, exitCode);
        Assert.Contains($"bad, in {_folder.File("bad")}: /var/lib/rpm/Packages", error, StringComparison.Ordinal);

        // What the others reported is printed all the same.
        Assert.Contains("Machines", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("up")]
    [InlineData("node")]
    [InlineData("sensor")]
    [InlineData("central")]
    [InlineData("certs")]
    [InlineData("certs", "create")]
    public async Task Every_command_explains_itself_though_its_options_are_missing(params string[] command)
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. command, "--help"]);
        Assert.Equal((0, ""), (exitCode, error));
        Assert.Contains("Exit codes: 0 done, 1 failed, 2 usage.", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("central/central.db")]
    [InlineData("central/api-token")]
    [InlineData("certs/central/cert.pem")]
    [InlineData("certs/node/key.pem")]
    public async Task A_damaged_file_of_its_own_is_named_and_nothing_crashes(string file)
    {
        var data = _folder.File("data");
        Assert.Equal(0, (await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", data)).ExitCode);
        var garbage = new byte[5000];
        new Random(1).NextBytes(garbage);
        await File.WriteAllBytesAsync(Path.Combine(data, file), garbage);

        // With its write-ahead log SQLite would mend the database.
        File.Delete(Path.Combine(data, "central/central.db-wal"));

        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", data);
        Assert.Equal(1, exitCode);
        Assert.Contains("error: ", error, StringComparison.Ordinal);
        Assert.Contains(Path.GetFileName(file) == "key.pem" ? "certs/node" : file, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_segment_whose_events_are_delivered_stops_nothing()
    {
        var data = _folder.File("data");
        Assert.Equal(0, (await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", data)).ExitCode);
        var segment = Directory.EnumerateFiles(Path.Combine(data, "node/spool/keep"), "*.spool").Order(StringComparer.Ordinal).First();
        var garbage = new byte[5000];
        new Random(1).NextBytes(garbage);
        await File.WriteAllBytesAsync(segment, garbage);

        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", data);
        Assert.Equal(0, exitCode);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_feed_that_is_not_there_or_no_feed_is_named()
    {
        await File.WriteAllTextAsync(_folder.File("garbage.zip"), "this is no archive");
        foreach (var feed in new[] { _folder.File("absent"), _folder.File("garbage.zip") })
        {
            var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "up", "--once", "--data", _folder.File("data"), "--feed", feed);
            Assert.Equal(1, exitCode);
            Assert.Contains(feed, error, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("guestmark", "--help", "Examples:")]
    [InlineData("guestmark", "--help", "Exit codes: 0 done, 1 failed, 2 usage.")]
    [InlineData("guestmark-agent", "--help", "Examples:")]
    [InlineData("guestmark", "--version", "0.1.0")]
    [InlineData("guestmark-agent", "--version", "0.1.0")]
    public async Task Both_programs_explain_themselves(string program, string argument, string expected)
    {
        var (exitCode, output, _) = await GuestmarkProcess.RunAsync(program, argument);
        Assert.Equal(0, exitCode);
        Assert.Contains(expected, output, StringComparison.Ordinal);
    }

    void UnpackCentos8()
    {
        Directory.CreateDirectory(_folder.File("c8/var/lib/rpm"));
        using var packed = new GZipStream(File.OpenRead(Repository.TestDataPath("rpmdb/centos8-modularitylabel/Packages.gz")), CompressionMode.Decompress);
        using var unpacked = File.Create(_folder.File("c8/var/lib/rpm/Packages"));
        packed.CopyTo(unpacked);
    }
}
