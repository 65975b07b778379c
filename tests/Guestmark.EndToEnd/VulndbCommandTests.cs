using System.Net;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes what <c>guestmark vulndb</c> says and does: everything that was imported before stays unless an import is complete.</summary>
public sealed class VulndbCommandTests(MatchFixture fixture) : IClassFixture<MatchFixture>, IDisposable
{
    readonly TemporaryFolder _folder = new();

    string Database => _folder.File("data/advisories.db");

    public void Dispose() => _folder.Dispose();

    Task<(int ExitCode, string Output, string Error)> RunAsync(params IEnumerable<string> arguments) =>
        GuestmarkProcess.RunAsync("guestmark", ["vulndb", .. arguments, "--database", Database]);

    async Task<JsonNode> StatusAsync()
    {
        var (exitCode, output, error) = await RunAsync("status", "-o", "json");
        Assert.True(exitCode == 0, error);
        return JsonNode.Parse(output)!;
    }

    string Feed(string folder, int documents)
    {
        Directory.CreateDirectory(_folder.File(folder));
        for (var i = 1; i <= documents; i++)
        {
            File.WriteAllText(
                _folder.File($"{folder}/DSA-{i}-1.json"),
                $$"""
                {"id":"DSA-{{i}}-1","modified":"2026-01-02T03:04:05Z","related":["CVE-2026-{{1000 + i}}"],"affected":[{"package":{"ecosystem":"Debian:12","name":"example"},
                 "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]}]}
                """);
        }

        return _folder.File(folder);
    }

    [TestDataFact]
    public async Task The_AlmaLinux_database_is_imported_and_described()
    {
        // 5,680 documents, of which some name no vulnerability.
        Assert.Contains("osv/almalinux", fixture.Imported, StringComparison.Ordinal);
        Assert.Contains("left out: no vulnerability", fixture.Imported, StringComparison.Ordinal);
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "vulndb", "status", "-o", "json", "--database", fixture.Database);
        Assert.True(exitCode == 0, error);
        var status = JsonNode.Parse(output)!;
        Assert.Equal(["AlmaLinux:10", "AlmaLinux:8", "AlmaLinux:9"], status["products"]!.AsArray().Select(product => $"{product}"));
        Assert.Equal(new FileInfo(fixture.Database).Length, status["database"]!["bytes"]!.GetValue<long>());
        Assert.Equal("osv", $"{Assert.Single(status["sources"]!.AsArray())!["format"]}");
    }

    [Fact]
    public async Task A_feed_that_shrinks_by_half_is_refused_and_the_old_database_stays()
    {
        var (exitCode, output, error) = await RunAsync("import", Feed("many", 4), "--source", "feed");
        Assert.True(exitCode == 0, error);
        Assert.Contains("feed: 4 documents (4 read)", output, StringComparison.Ordinal);
        var before = await File.ReadAllBytesAsync(Database);

        (exitCode, _, error) = await RunAsync("import", Feed("few", 2), "--source", "feed");
        Assert.Equal(1, exitCode);
        Assert.Contains("2 documents", error, StringComparison.Ordinal);
        Assert.Contains("--allow-shrink", error, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(Database));

        (exitCode, output, error) = await RunAsync("import", Feed("few", 2), "--source", "feed", "--allow-shrink");
        Assert.True(exitCode == 0, error);
        Assert.Contains("feed: 2 documents (2 read, 4 before)", output, StringComparison.Ordinal);
        (exitCode, _, error) = await RunAsync("import", Feed("many", 3), "--source", "feed", "--add");
        Assert.True(exitCode == 0, error);
        Assert.Equal(4, (await StatusAsync())["sources"]![0]!["documents"]!.GetValue<int>());
    }

    [Fact]
    public async Task Of_several_paths_all_are_imported_or_none()
    {
        await File.WriteAllTextAsync(_folder.File("garbage.json"), "{ \"a\": 1 }");
        var (exitCode, _, error) = await RunAsync("import", Feed("many", 2), _folder.File("garbage.json"));
        Assert.Equal(1, exitCode);
        Assert.Contains(_folder.File("garbage.json"), error, StringComparison.Ordinal);
        Assert.False(File.Exists(Database));

        await File.WriteAllTextAsync(_folder.File("scores.csv"), "#model_version:v2023.03.01,score_date:2024-01-01T00:00:00+0000\ncve,epss,percentile\nCVE-2026-1001,0.5,0.9\n");
        (exitCode, var output, error) = await RunAsync("import", Feed("many", 2), _folder.File("scores.csv"), "-o", "json");
        Assert.True(exitCode == 0, error);
        Assert.Equal(2, JsonNode.Parse(output)!["imports"]!.AsArray().Count);
        Assert.Contains("epss", (await StatusAsync())["sources"]!.AsArray().Select(source => $"{source!["name"]}"));
    }

    [Fact]
    public async Task What_was_skipped_is_counted_and_named()
    {
        var feed = Feed("some", 3);
        for (var i = 0; i < 7; i++) await File.WriteAllTextAsync(Path.Combine(feed, $"bad-{i}.json"), $$"""{"id":"BAD-{{i}}","modified":"2026-01-01T00:00:00Z","affected":7}""");
        var (exitCode, output, error) = await RunAsync("import", feed);
        Assert.True(exitCode == 0, error);
        Assert.Contains("bad-0.json: ", output, StringComparison.Ordinal);
        Assert.DoesNotContain("bad-6.json", output, StringComparison.Ordinal);
        Assert.Contains("--verbose names them", output, StringComparison.Ordinal);
        (_, output, _) = await RunAsync("import", feed, "--verbose");
        Assert.Contains("bad-6.json: ", output, StringComparison.Ordinal);
        Assert.Equal("", error);
    }

    [Fact]
    public async Task Withdrawn_are_only_documents_that_somebody_has_withdrawn()
    {
        var feed = Feed("some", 2);
        // A notice of updates without vulnerabilities, of which an older version may have had some.
        await File.WriteAllTextAsync(Path.Combine(feed, "ALBA-2026:1.json"), """{"id":"ALBA-2026:1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"Debian:12","name":"a"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]}]}""");
        await File.WriteAllTextAsync(Path.Combine(feed, "DSA-9-1.json"), """{"id":"DSA-9-1","modified":"2026-01-01T00:00:00Z","withdrawn":"2026-01-01T00:00:00Z","related":["CVE-2026-1"],"affected":[]}""");
        var (exitCode, output, error) = await RunAsync("import", feed, "--source", "feed", "-o", "json");
        Assert.True(exitCode == 0, error);
        var source = JsonNode.Parse(output)!["imports"]![0]!["sources"]![0]!;
        Assert.Equal(1, source["withdrawn"]!.GetValue<int>());
        Assert.Equal((1, 1), (source["leftOut"]!["withdrawn"]!.GetValue<int>(), source["leftOut"]!["no vulnerability"]!.GetValue<int>()));
        (_, output, _) = await RunAsync("import", feed, "--source", "feed");
        Assert.Contains("feed: 2 documents (2 read, 1 withdrawn, 1 left out, 2 before)", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Options_of_other_data_are_refused_and_nothing_is_imported()
    {
        var (exitCode, _, error) = await RunAsync("import", Feed("many", 2), "--author", "Ada");
        Assert.Equal(2, exitCode);
        Assert.Contains("--scope, --expires and --author are about decisions (VEX), and what was named has osv", error, StringComparison.Ordinal);
        (exitCode, _, error) = await RunAsync("import", Feed("many", 2), "--product", "AlmaLinux:9");
        Assert.Equal(2, exitCode);
        Assert.Contains("--product is about an updateinfo.xml", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Database));
    }

    [Theory]
    [InlineData("almalinux:8", "AlmaLinux:8")]
    [InlineData("AlmaLinux:8.10", "AlmaLinux:8")]
    [InlineData("rocky:9", "Rocky Linux:9")]
    public async Task A_product_is_written_as_machines_are_asked_for_it(string named, string expected)
    {
        await File.WriteAllTextAsync(
            _folder.File("updateinfo.xml"),
            """<updates><update type="security" status="final"><id>ALSA-1</id><title>x</title><issued date="2026-01-01 00:00:00"/><references><reference type="cve" id="CVE-2026-1" href="x"/></references><pkglist><collection><package name="a" version="1" release="1.el8" epoch="0" arch="x86_64" src="a-1-1.el8.src.rpm"/></collection></pkglist></update></updates>""");
        var (exitCode, _, error) = await RunAsync("import", _folder.File("updateinfo.xml"), "--product", named);
        Assert.True(exitCode == 0, error);
        Assert.Equal([expected], (await StatusAsync())["products"]!.AsArray().Select(product => $"{product}"));
    }

    [Fact]
    public async Task A_list_of_packages_is_sent_to_match()
    {
        await File.WriteAllTextAsync(
            _folder.File("bom.json"), """{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"example","purl":"pkg:deb/debian/example@1?distro=debian-12"}]}""");
        await File.WriteAllTextAsync(
            _folder.File("bom.spdx.json"),
            """{"spdxVersion":"SPDX-2.3","packages":[{"name":"example","versionInfo":"1","SPDXID":"SPDXRef-1","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/example@1?distro=debian-12"}]}]}""");
        foreach (var name in new[] { "bom.json", "bom.spdx.json" })
        {
            var (exitCode, _, error) = await RunAsync("import", _folder.File(name));
            Assert.Equal(1, exitCode);
            Assert.Contains($"guestmark match --sbom {_folder.File(name)}", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Status_fits_a_terminal_of_80_columns()
    {
        Assert.Equal(0, (await RunAsync("import", Feed("a-folder-with-a-name-that-is-long-enough-to-need-more-than-a-line", 2), "--source", "osv/example")).ExitCode);
        var (exitCode, output, error) = await RunAsync("status");
        Assert.True(exitCode == 0, error);
        var lines = output.TrimEnd('\n').Split('\n');
        Assert.StartsWith("osv/example: 2 documents, newest of 2026-01-02 (", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("  osv, imported ", lines[1], StringComparison.Ordinal);
        Assert.EndsWith("that-is-long-enough-to-need-more-than-a-line", lines[1], StringComparison.Ordinal);
        Assert.Equal("products: Debian 12", lines[2]);
        Assert.All(lines[..3], line => Assert.True(line.Length <= 80, line));
    }

    [Fact]
    public async Task A_source_is_removed_by_its_name()
    {
        Assert.Equal(0, (await RunAsync("import", Feed("a", 2), "--source", "one")).ExitCode);
        var (exitCode, _, error) = await RunAsync("remove", "two");
        Assert.Equal(1, exitCode);
        Assert.Contains("there is no source 'two': it has one", error, StringComparison.Ordinal);
        (exitCode, _, error) = await RunAsync("remove", "one");
        Assert.True(exitCode == 0, error);
        Assert.Empty((await StatusAsync())["sources"]!.AsArray());
    }

    [Fact]
    public async Task A_database_that_is_not_there_yet_is_no_error_and_says_what_to_do()
    {
        var (exitCode, output, error) = await RunAsync("status");
        Assert.Equal((0, ""), (exitCode, error));
        Assert.Contains("vulndb update", output, StringComparison.Ordinal);
        Assert.Contains("vulndb import", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_database_is_named()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Database)!);
        await File.WriteAllBytesAsync(Database, new byte[5000]);
        foreach (var command in new[] { "status", "remove" })
        {
            var (exitCode, _, error) = await RunAsync(command == "remove" ? ["remove", "x"] : [command]);
            Assert.Equal(1, exitCode);
            Assert.Contains(Database, error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_URL_is_imported_and_updated()
    {
        using var server = new FeedServer("#model_version:v2023.03.01,score_date:2024-01-01T00:00:00+0000\ncve,epss,percentile\nCVE-2026-1001,0.5,0.9\n");
        var (exitCode, output, error) = await RunAsync("import", $"{server.Address}epss.csv");
        Assert.True(exitCode == 0, error);
        Assert.Contains("epss: 1 document", output, StringComparison.Ordinal);

        await File.WriteAllTextAsync(_folder.File("data/sources.json"), $$"""{"sources":[{"name":"epss","url":"{{server.Address}}epss.csv"}]}""");
        (exitCode, output, error) = await RunAsync("update");
        Assert.True(exitCode == 0, error);
        (exitCode, output, error) = await RunAsync("update", "-o", "json");
        Assert.True(exitCode == 0, error);
        Assert.Equal("unchanged", $"{JsonNode.Parse(output)!["updates"]![0]!["outcome"]}");
    }

    [Fact]
    public async Task Known_sources_are_listed()
    {
        var (exitCode, output, _) = await RunAsync("update", "--list");
        Assert.Equal(0, exitCode);
        foreach (var name in new[] { "redhat-vex ", "epss ", "kev ", "osv/almalinux ", "debian-tracker " }) Assert.Contains(name, output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("is no known source", "update", "nonsense")]
    [InlineData("sources.json: name the sources to update", "update")]
    [InlineData("--expires soon: write a date", "import", "x", "--expires", "soon")]
    [InlineData("Required argument missing", "import")]
    [InlineData("only http and https are fetched", "import", "ftp://example.com/all.zip")]
    [InlineData("only http and https are fetched", "update", "ftp://example.com/all.zip")]
    [InlineData("--product almalinux: no such product", "import", "x", "--product", "almalinux")]
    [InlineData("--product nonsense:9: no such product", "import", "x", "--product", "nonsense:9")]
    public async Task Wrong_usage_ends_with_2_and_says_what_is_right(string expected, params string[] arguments)
    {
        var (exitCode, _, error) = await RunAsync(arguments);
        Assert.Equal(2, exitCode);
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("vulndb")]
    [InlineData("vulndb", "import")]
    [InlineData("vulndb", "update")]
    [InlineData("vulndb", "status")]
    [InlineData("vulndb", "remove")]
    [InlineData("match")]
    public async Task Every_command_explains_itself_with_examples(params string[] command)
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. command, "--help"]);
        Assert.Equal((0, ""), (exitCode, error));
        Assert.Contains("Examples:\n  guestmark ", output, StringComparison.Ordinal);
        Assert.Contains("Exit codes: 0 done, 1 failed, 2 usage.", output, StringComparison.Ordinal);
        Assert.Equal(command is ["match"], output.Contains("3 a finding that --fail-on names", StringComparison.Ordinal));
    }

    /// <summary>Serves one text with an ETag, on loopback.</summary>
    sealed class FeedServer : IDisposable
    {
        readonly HttpListener _listener = new();

        public FeedServer(string text)
        {
            for (var port = 20_000 + (Environment.ProcessId % 10_000); ; port++)
            {
                try
                {
                    Address = $"http://127.0.0.1:{port}/";
                    _listener.Prefixes.Clear();
                    _listener.Prefixes.Add(Address);
                    _listener.Start();
                    break;
                }
                catch (HttpListenerException) when (port < 40_000)
                {
                    // The port is another's.
                }
            }

            _ = ServeAsync(text);
        }

        public string Address { get; }

        public void Dispose() => _listener.Close();

        async Task ServeAsync(string text)
        {
            try
            {
                while (true)
                {
                    var context = await _listener.GetContextAsync();
                    context.Response.AddHeader("ETag", "\"1\"");
                    if (context.Request.Headers["If-None-Match"] == "\"1\"") context.Response.StatusCode = 304;
                    else await context.Response.OutputStream.WriteAsync(System.Text.Encoding.UTF8.GetBytes(text));
                    context.Response.Close();
                }
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                // The test has ended.
            }
        }
    }
}
