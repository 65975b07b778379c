using System.Diagnostics;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes that <c>guestmark match</c> finds the same as Central, whatever the packages are read from, and prints it validly.</summary>
public sealed class MatchCommandTests(MatchFixture fixture) : IClassFixture<MatchFixture>, IDisposable
{
    readonly TemporaryFolder _folder = new();

    string[] Root => ["--root", fixture.Root, "--distro", "almalinux:8"];

    public void Dispose() => _folder.Dispose();

    [TestDataFact]
    public async Task A_folder_has_the_packages_and_findings_that_up_shows()
    {
        var document = JsonNode.Parse(await fixture.MatchAsync([.. Root, "-o", "json"]))!;
        Assert.Equal((517, 517), (document["packages"]!["total"]!.GetValue<int>(), document["packages"]!["compared"]!.GetValue<int>()));
        Assert.Equal(1153, document["counts"]!["findings"]!.GetValue<int>());
        Assert.Equal(1153, document["counts"]!["severity"]!.AsObject().Sum(count => count.Value!.GetValue<int>()));

        var (exitCode, output, error) = await GuestmarkProcess.RunAsync(
            "guestmark", "up", "--once", "-o", "json", "--data", _folder.File("data"), "--guest", $"c8={fixture.Root},distro=almalinux:8",
            "--feed", Repository.TestDataPath("osv/almalinux-osv-database.zip"));
        Assert.True(exitCode == 0, error);
        var machine = JsonNode.Parse(output)!["vms"]!.AsArray().Single(vm => vm!["name"]!.GetValue<string>() == "c8")!;
        Assert.Equal(
            machine["findings"]!.AsArray().Select(row => $"{row!["advisory"]} {row["package"]!["name"]} {row["installedVersion"]} {row["fixedVersion"]} {row["severity"]}").Order(),
            document["findings"]!.AsArray().Select(row => $"{row!["advisory"]} {row["package"]!["name"]} {row["package"]!["version"]} {row["fixedVersion"]} {row["severity"]}").Order());
    }

    [TestDataFact]
    public async Task An_inventory_and_both_kinds_of_SBOM_give_the_findings_of_the_folder()
    {
        var expected = await fixture.FindingsAsync(Root);
        Assert.Equal(1153, expected.Count);
        foreach (var (format, option) in new[] { ("json", "--inventory"), ("cyclonedx", "--sbom"), ("spdx", "--sbom") })
        {
            var (exitCode, document, error) = await GuestmarkProcess.RunAsync("guestmark-agent", "scan", "--host-path", fixture.Root, "--distro", "almalinux:8", "-o", format);
            Assert.True(exitCode == 0, error);
            await File.WriteAllTextAsync(_folder.File(format), document);
            Assert.Equal(expected, await fixture.FindingsAsync(option, _folder.File(format)));
        }
    }

    [TestDataFact]
    public async Task Every_document_is_valid_and_has_every_finding()
    {
        var json = await ValidAsync("json", Path.Combine(Repository.Root, "docs/reference/match.schema.json"));
        Assert.Equal(1153, json["findings"]!.AsArray().Count);

        var sarif = await ValidAsync("sarif", "sarif");
        Assert.Equal(1153, sarif["runs"]![0]!["results"]!.AsArray().Count);

        // Our own document is an SBOM again.
        var cycloneDx = await ValidAsync("cyclonedx", "cyclonedx");
        Assert.Equal(517, cycloneDx["components"]!.AsArray().Count);
        Assert.Equal(await fixture.FindingsAsync(Root), await fixture.FindingsAsync("--sbom", _folder.File("cyclonedx")));

        // A package that is installed twice has two references, which begin with the same package URL; an advisory may name no CVE.
        Assert.Equal(
            json["findings"]!.AsArray().SelectMany(row => row!["cves"]!.AsArray().DefaultIfEmpty(row["advisory"]).Select(id => $"{id} {row["package"]!["purl"]}")).Distinct().Count(),
            cycloneDx["vulnerabilities"]!.AsArray().SelectMany(row => row!["affects"]!.AsArray().Select(affected => $"{row["id"]} {$"{affected!["ref"]}".Split('#')[0]}")).Distinct().Count());

        var rows = (await fixture.MatchAsync([.. Root, "-o", "csv"])).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(1 + 1153, rows.Length);
        Assert.StartsWith("severity,status,cves,package,installed,fixed,", rows[0], StringComparison.Ordinal);

        var table = await fixture.MatchAsync(Root);
        Assert.Contains("1,153 findings in 198 of 517 packages", table, StringComparison.Ordinal);
        Assert.StartsWith("critical", table.Split('\n').First(line => line.Contains("ALSA-", StringComparison.Ordinal)).Trim(), StringComparison.Ordinal);
    }

    [TestDataTheory]
    [InlineData(3, "critical")]
    [InlineData(3, "low")]
    [InlineData(3, "critical,fixable")]
    [InlineData(0, "exploited")]
    [InlineData(0, "critical,exploited")]
    public async Task Fail_on_is_met_or_not(int expected, string words)
    {
        var (exitCode, output, _) = await GuestmarkProcess.RunAsync("guestmark", ["match", "--database", fixture.Database, .. Root, "--fail-on", words]);
        Assert.Equal(expected, exitCode);
        Assert.Contains($"--fail-on {words}: {(expected == 0 ? "nothing found" : "")}", output, StringComparison.Ordinal);
    }

    [TestDataFact]
    public async Task A_CVE_is_explained_statement_by_statement()
    {
        var output = await fixture.MatchAsync([.. Root, "--explain", "CVE-2021-43527"]);
        Assert.Contains("nss 3.53.1-11.el8_2 x86_64\n  APPLIES: osv ALSA-2021:4903; AlmaLinux:8; nss; fix available; introduced 0, fixed 3.67.0-7.el8_5; compared 3.53.1-11.el8_2", output, StringComparison.Ordinal);
        Assert.Contains("11 statements looked at, 6 apply", await fixture.MatchAsync([.. Root, "--explain", "cve-2021-43527"]), StringComparison.Ordinal);
        Assert.Contains("no statement about any", await fixture.MatchAsync([.. Root, "--explain", "CVE-1999-0001"]), StringComparison.Ordinal);
    }

    [TestDataFact]
    public async Task What_was_not_compared_is_said_with_what_to_do()
    {
        var output = await fixture.MatchAsync("--root", fixture.Root);
        Assert.Contains("not compared: 517 packages, no advisories for the system", output, StringComparison.Ordinal);
        Assert.Contains("name it with --distro", output, StringComparison.Ordinal);
        Assert.Contains("vulndb update redhat-vex-feed", await fixture.MatchAsync("--root", fixture.Root, "--distro", "rhel:9.4"), StringComparison.Ordinal);

        output = await fixture.MatchAsync("--sbom", Repository.TestDataPath("sbom/openssl-3.0.7-18.el9_2.spdx.json"));
        Assert.Contains("not compared: 2 packages of type generic, openssl, openssl", output, StringComparison.Ordinal);

        // A check that compared nothing does not pass.
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", fixture.Database, "--root", fixture.Root, "--fail-on", "any");
        Assert.Equal(1, exitCode);
        Assert.Contains("no package could be compared", error, StringComparison.Ordinal);

        // Components without package URLs are no packages: neither was anything compared then.
        await File.WriteAllTextAsync(
            _folder.File("names.cdx.json"), """{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"curl","version":"7.61.1-18.el8"}]}""");
        (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", fixture.Database, "--sbom", _folder.File("names.cdx.json"), "--fail-on", "any");
        Assert.Equal(1, exitCode);
        Assert.Contains("no package could be compared", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_that_is_no_file_is_refused()
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--root", "/", "--database", _folder.Path);
        Assert.Equal(1, exitCode);
        Assert.Contains("is a folder", error, StringComparison.Ordinal);

        (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--root", "/", "--database", "");
        Assert.Equal(2, exitCode);
        Assert.Contains("--database: name a file", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("has no packages that are read", """{"bomFormat":"CycloneDX","specVersion":"1.5","components":[]}""")]
    [InlineData("has no packages that are read", """{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"log4j","version":"2.14"}]}""")]
    [InlineData(
        "1 package, a key or a source package",
        """{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"type":"library","name":"openssl","version":"1","purl":"pkg:rpm/debian/openssl@1?arch=src&distro=debian-12"}]}""")]
    public async Task A_check_of_a_document_without_packages_does_not_pass(string expected, string document)
    {
        var (_, database) = await SmallAsync();
        await File.WriteAllTextAsync(_folder.File("bom"), document);
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--sbom", _folder.File("bom"), "--fail-on", "any");
        Assert.Equal(1, exitCode);
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_check_by_severity_names_findings_that_have_none()
    {
        var (root, database) = await SmallAsync();
        await File.WriteAllTextAsync(
            _folder.File("tracker.json"),
            """{"example":{"CVE-2099-0001":{"releases":{"bookworm":{"status":"open","urgency":"not yet assigned"}}}}}""");
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "vulndb", "import", _folder.File("tracker.json"), "--database", database);
        Assert.True(exitCode == 0, error);
        var (_, output, _) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--root", root, "--fail-on", "critical");
        Assert.Contains("note: --fail-on critical leaves out ", output, StringComparison.Ordinal);
        Assert.Contains("of unknown severity: --fail-on any counts them too", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_check_does_not_pass_when_packages_of_the_system_were_compared_with_nothing()
    {
        var database = await PythonOnlyAsync();
        const string Python = """{"name":"other","version":"1.0","purl":"pkg:pypi/other@1.0"}""";
        const string Rpm = """{"name":"bash","version":"4.4.20-1.el8_4","purl":"pkg:rpm/almalinux/bash@4.4.20-1.el8_4?arch=x86_64&distro=almalinux-8.5"}""";
        await File.WriteAllTextAsync(_folder.File("both.json"), $$"""{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{Python}},{{Rpm}}]}""");
        await File.WriteAllTextAsync(_folder.File("python.json"), $$"""{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{Python}}]}""");
        string[] match = ["match", "--database", database, "--fail-on", "any", "--sbom"];

        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. match, _folder.File("both.json")]);
        Assert.Equal(1, exitCode);
        Assert.Contains("--fail-on any: cannot pass, 1 package of the operating system could not be compared", error, StringComparison.Ordinal);
        Assert.Contains("vulndb update osv/almalinux", error, StringComparison.Ordinal);
        Assert.DoesNotContain("nothing found", output, StringComparison.Ordinal);

        (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. match, _folder.File("python.json")]);
        Assert.True(exitCode == 0, error);
        Assert.Contains("--fail-on any: nothing found", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("csv")]
    [InlineData("sarif")]
    [InlineData("cyclonedx")]
    public async Task A_document_that_cannot_hold_it_leaves_what_was_not_compared_to_standard_error(string format)
    {
        var (_, database) = await SmallAsync();
        await File.WriteAllTextAsync(
            _folder.File("bom.json"),
            """{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"x","purl":"pkg:generic/x@1"},{"name":"example","purl":"pkg:deb/debian/example@3.0.11-1?distro=debian-12"}]}""");
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--sbom", _folder.File("bom.json"), "-o", format);
        Assert.True(exitCode == 0, error);
        const string Line = "not compared: 1 package of type generic, x";
        Assert.Contains(Line, error, StringComparison.Ordinal);
        if (format != "sarif") return;
        var notes = JsonNode.Parse(output)!["runs"]![0]!["invocations"]![0]!["toolExecutionNotifications"]!.AsArray();
        Assert.Contains(("note", Line), notes.Select(note => ($"{note!["level"]}", $"{note["message"]!["text"]}")));
    }

    [Fact]
    public async Task A_database_that_is_named_and_not_there_fails_the_run()
    {
        var (root, database) = await SmallAsync();
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database + "x", "--root", root);
        Assert.Equal((1, ""), (exitCode, output));
        Assert.Contains($"--database {database}x: there is no such file", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Decisions_that_do_nothing_are_named_with_the_reason()
    {
        var (root, database) = await SmallAsync();
        await File.WriteAllTextAsync(_folder.File("vex.json"), Vex("not_affected", "\"impact_statement\":\"we never call it\","));
        await File.WriteAllTextAsync(_folder.File("other.json"), Vex("not_affected", "\"impact_statement\":\"x\",").Replace(SampleGuest.Advisory, "CVE-2020-7777", StringComparison.Ordinal));
        string[] match = ["match", "--database", database, "--root", root];
        var other = (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--vex", _folder.File("other.json")])).Error;
        Assert.Contains("note: 1 decision of --vex matches no finding: CVE-2020-7777", other, StringComparison.Ordinal);

        string[] import = ["vulndb", "import", _folder.File("vex.json"), "--database", database];
        Assert.Equal(0, (await GuestmarkProcess.RunAsync("guestmark", [.. import, "--scope", "web-*"])).ExitCode);
        Assert.Contains($"name it with --machine: {SampleGuest.Advisory} (web-*)", (await GuestmarkProcess.RunAsync("guestmark", match)).Error, StringComparison.Ordinal);
        Assert.DoesNotContain("--machine", (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--machine", "web-1"])).Error, StringComparison.Ordinal);

        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", [.. import, "--expires", "2020-01-31"]);
        Assert.True(exitCode == 0, error);
        Assert.Contains("--expires 2020-01-31 is in the past", error, StringComparison.Ordinal);
        Assert.Contains($"note: 1 decision expired and no longer counts: {SampleGuest.Advisory} (on 2020-01-31)", (await GuestmarkProcess.RunAsync("guestmark", match)).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_explained_is_a_CVE_or_an_advisory_of_the_database_and_has_the_decision()
    {
        var (root, database) = await SmallAsync();
        await File.WriteAllTextAsync(_folder.File("vex.json"), Vex("not_affected", "\"impact_statement\":\"we never call it\","));
        string[] match = ["match", "--database", database, "--root", root, "--vex", _folder.File("vex.json"), "--explain"];
        foreach (var id in new[] { SampleGuest.Advisory, SampleGuest.Advisory.ToLowerInvariant(), "cve-2026-0001" })
        {
            var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. match, id]);
            Assert.True(exitCode == 0, error);
            Assert.Contains("  APPLIES: ", output, StringComparison.Ordinal);
            Assert.Contains($"  your decision about {SampleGuest.Advisory}: not affected; we never call it; by Security", output, StringComparison.Ordinal);
        }

        var bogus = await GuestmarkProcess.RunAsync("guestmark", [.. match, "bogus"]);
        Assert.Equal((2, ""), (bogus.ExitCode, bogus.Output));
        Assert.Contains("--explain bogus: neither a CVE", bogus.Error, StringComparison.Ordinal);
        var json = JsonNode.Parse((await GuestmarkProcess.RunAsync("guestmark", [.. match, SampleGuest.Advisory, "-o", "json"])).Output)!;
        Assert.Equal("not-affected", $"{json["decisions"]![0]!["decision"]!["status"]}");
    }

    [Fact]
    public async Task The_CVE_that_is_exploited_comes_first()
    {
        var (root, database) = await SmallAsync(cves: """["CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003", "CVE-2026-0004"]""");
        await File.WriteAllTextAsync(
            _folder.File("kev.json"),
            """{"catalogVersion":"2026.01.05","dateReleased":"2026-01-05T00:00:00Z","count":1,"vulnerabilities":[{"cveID":"CVE-2026-0004","dateAdded":"2026-01-05","dueDate":"2026-01-26","requiredAction":"Update.","knownRansomwareCampaignUse":"Unknown"}]}""");
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "vulndb", "import", _folder.File("kev.json"), "--database", database);
        Assert.True(exitCode == 0, error);
        var output = (await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--root", root)).Output;
        Assert.Contains("CVE-2026-0004 CVE-2026-0001 +2", output, StringComparison.Ordinal);
        Assert.Contains("exploited: CVE-2026-0004", output, StringComparison.Ordinal);
        Assert.Contains("status: 1 fix available", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Releases_of_the_system_that_the_database_has_are_named_and_sources_of_others_are_not()
    {
        var (root, database) = await SmallAsync();
        await PythonOnlyAsync(database);
        var output = (await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--root", root)).Output;
        var data = output.Split('\n').Single(line => line.StartsWith("data: ", StringComparison.Ordinal));
        Assert.Contains(" of 2026-01-02", data, StringComparison.Ordinal);
        Assert.DoesNotContain("osv/python", data, StringComparison.Ordinal);
        Assert.Contains("note: older than 30 days: osv/", output, StringComparison.Ordinal);
        Assert.Contains("but about Debian:12", (await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--root", root, "--distro", "debian:11")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_without_packages_is_named_with_the_option()
    {
        var (_, database) = await SmallAsync();
        Directory.CreateDirectory(_folder.File("empty"));
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--root", _folder.File("empty"));
        Assert.Equal(1, exitCode);
        Assert.Contains($"error: --root {_folder.File("empty")}: no packages in it", error, StringComparison.Ordinal);
        Assert.DoesNotContain("host path", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Decided_findings_are_marked_and_do_not_fail_the_run()
    {
        var (root, database) = await SmallAsync();
        await File.WriteAllTextAsync(_folder.File("vex.json"), Vex("not_affected", "\"justification\":\"vulnerable_code_not_in_execute_path\",\"impact_statement\":\"we never call it\","));
        string[] match = ["match", "--database", database, "--root", root, "--fail-on", "any"];
        Assert.Equal(3, (await GuestmarkProcess.RunAsync("guestmark", match)).ExitCode);

        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. match, "--vex", _folder.File("vex.json")]);
        Assert.True(exitCode == 0, error);
        Assert.DoesNotContain(SampleGuest.Advisory, output, StringComparison.Ordinal);
        Assert.Contains("decided as not affected or fixed: 1", output, StringComparison.Ordinal);

        // Imported, they count without being named.
        (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "vulndb", "import", _folder.File("vex.json"), "--database", database, "--author", "Ada", "--expires", "2999-01-01");
        Assert.True(exitCode == 0, error);
        var document = JsonNode.Parse((await GuestmarkProcess.RunAsync("guestmark", [.. match, "--show-decided", "-o", "json"])).Output)!;
        var finding = Assert.Single(document["findings"]!.AsArray())!;
        Assert.Equal(("not-affected", "Ada", "2999-01-01T00:00:00Z"), ($"{finding["decision"]!["status"]}", $"{finding["decision"]!["author"]}", $"{finding["decision"]!["expires"]}"));
        Assert.Equal((0, 1, 0), (document["counts"]!["findings"]!.GetValue<int>(), document["counts"]!["decided"]!.GetValue<int>(), document["counts"]!["failOn"]!.GetValue<int>()));

        // Reason, author and expiry are where people look.
        output = (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--show-decided"])).Output;
        Assert.Contains("decided: not affected (we never call it; by Ada; until 2999-01-01)", output, StringComparison.Ordinal);
        output = (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--show-decided", "-o", "csv"])).Output;
        Assert.EndsWith(",Ada,2999-01-01T00:00:00Z", output.TrimEnd(), StringComparison.Ordinal);
        Assert.Contains(",we never call it,", output, StringComparison.Ordinal);

        // SARIF always has them, as suppressed: what is missing would pass for fixed.
        var sarif = JsonNode.Parse((await GuestmarkProcess.RunAsync("guestmark", [.. match, "-o", "sarif"])).Output)!;
        Assert.Contains("we never call it", $"{sarif["runs"]![0]!["results"]![0]!["suppressions"]![0]!["justification"]}", StringComparison.Ordinal);
        await File.WriteAllTextAsync(_folder.File("cyclonedx"), (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--show-decided", "-o", "cyclonedx"])).Output);
        var vulnerability = JsonNode.Parse(await File.ReadAllTextAsync(_folder.File("cyclonedx")))!["vulnerabilities"]![0]!;
        Assert.Equal(("not_affected", "code_not_reachable"), ($"{vulnerability["analysis"]!["state"]}", $"{vulnerability["analysis"]!["justification"]}"));

        // With another decision the finding is back.
        await File.WriteAllTextAsync(_folder.File("lift.json"), Vex("affected", "\"action_statement\":\"update\",", "2026-06-01T00:00:00Z"));
        Assert.Equal(3, (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--vex", _folder.File("lift.json")])).ExitCode);
    }

    [Fact]
    public async Task A_scope_is_about_the_machine_that_is_named()
    {
        var (root, database) = await SmallAsync();
        await File.WriteAllTextAsync(_folder.File("vex.json"), Vex("not_affected", "\"impact_statement\":\"only there\","));
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "vulndb", "import", _folder.File("vex.json"), "--database", database, "--scope", "web-*");
        Assert.True(exitCode == 0, error);
        string[] match = ["match", "--database", database, "--root", root, "--fail-on", "any"];
        Assert.Equal(3, (await GuestmarkProcess.RunAsync("guestmark", match)).ExitCode);
        Assert.Equal(3, (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--machine", "db-1"])).ExitCode);
        Assert.Equal(0, (await GuestmarkProcess.RunAsync("guestmark", [.. match, "--machine", "web-1"])).ExitCode);
    }

    [Fact]
    public async Task Text_of_vendors_and_packages_cannot_command_a_terminal_or_a_spreadsheet()
    {
        var (root, database) = await SmallAsync(summary: "=HYPERLINK(1) \\u001b[31m, \\\"x\\\"");
        var csv = (await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--root", root, "-o", "csv")).Output;
        Assert.Contains(",\"'=HYPERLINK(1) \u001b[31m, \"\"x\"\"\"", csv, StringComparison.Ordinal);

        await File.WriteAllTextAsync(
            _folder.File("bom.json"),
            """{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"\u001b[31mx"},{"name":"example","purl":"pkg:deb/debian/example@3.0.11-1%1B%5B31m?distro=debian-12"}]}""");
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--sbom", _folder.File("bom.json"));
        Assert.True(exitCode == 0, error);
        Assert.Contains("3.0.11-1?[31m", output, StringComparison.Ordinal);
        Assert.Contains("without a package URL, ?[31mx", output, StringComparison.Ordinal);
        Assert.DoesNotContain('\u001b', output);
    }

    [Fact]
    public async Task An_incomplete_inventory_fails_the_run_after_it_was_printed()
    {
        var (_, database) = await SmallAsync();
        await File.WriteAllTextAsync(
            _folder.File("inventory.json"),
            """{"os":{"id":"debian","versionId":"12"},"packages":[{"name":"example","version":"3.0.11","release":"1","manager":"dpkg"}],"problems":[{"path":"/var/lib/dpkg/status","message":"is cut off"}]}""");
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "match", "--database", database, "--inventory", _folder.File("inventory.json"));
        Assert.Equal(1, exitCode);
        Assert.Contains("error: /var/lib/dpkg/status: is cut off", error, StringComparison.Ordinal);
        Assert.Contains(SampleGuest.Advisory, output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("one of --root DIR, --sbom FILE and --inventory FILE")]
    [InlineData("one of --root DIR, --sbom FILE and --inventory FILE", "--root", "/", "--sbom", "x")]
    [InlineData("--fail-on severe: use any, low", "--root", "/", "--fail-on", "severe")]
    [InlineData("--fail-on is empty: use any, low", "--root", "/", "--fail-on", "")]
    [InlineData("--fail-on is empty: use any, low", "--root", "/", "--fail-on", " , ")]
    [InlineData("Must be one of:\n  'table'", "--root", "/", "-o", "xml")]
    [InlineData("name one severity", "--root", "/", "--fail-on", "low", "--fail-on", "critical")]
    [InlineData("--distro debian: write ID:VERSION_ID", "--root", "/", "--distro", "debian")]
    [InlineData("--languages: only --root", "--sbom", "x", "--languages")]
    [InlineData("--explain prints as table or json", "--root", "/", "--explain", "CVE-1", "-o", "csv")]
    public async Task Wrong_usage_ends_with_2_and_says_what_is_right(string expected, params string[] arguments)
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", ["match", "--database", _folder.File("none.db"), .. arguments]);
        Assert.Equal((2, ""), (exitCode, output));
        Assert.Contains(expected, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_document_that_is_none_is_named_with_the_reason()
    {
        var (_, database) = await SmallAsync();
        await File.WriteAllTextAsync(_folder.File("bad"), "<bom/>");
        foreach (var option in new[] { "--sbom", "--inventory", "--root", "--vex" })
        {
            string[] input = option == "--vex" ? ["--root", "/", "--vex"] : [option];
            foreach (var file in new[] { _folder.File("bad"), _folder.File("absent") })
            {
                var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", ["match", "--database", database, .. input, file]);
                Assert.Equal(1, exitCode);
                Assert.Contains($"error: {option} {file}", error, StringComparison.Ordinal);
            }
        }
    }

    /// <summary>A database that has nothing about any operating system, or one more source in it.</summary>
    async Task<string> PythonOnlyAsync(string? database = null)
    {
        Directory.CreateDirectory(_folder.File("python"));
        await File.WriteAllTextAsync(
            _folder.File("python/PYSEC-2026-1.json"),
            """{"id":"PYSEC-2026-1","modified":"2026-01-02T03:04:05Z","aliases":["CVE-2026-0009"],"affected":[{"package":{"ecosystem":"PyPI","name":"thing"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]}]}""");
        database ??= _folder.File("python.db");
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "vulndb", "import", _folder.File("python"), "--source", "osv/python", "--database", database);
        Assert.True(exitCode == 0, error);
        return database;
    }

    async Task<(string Root, string Database)> SmallAsync(string? summary = null, string? cves = null)
    {
        var (root, feed, database) = (SampleGuest.Create(_folder), SampleGuest.CreateFeed(_folder), _folder.File("advisories.db"));
        var file = Path.Combine(feed, SampleGuest.Advisory + ".json");
        var advisory = await File.ReadAllTextAsync(file);
        if (summary is not null) advisory = advisory.Replace("example - security update", summary, StringComparison.Ordinal);
        if (cves is not null) advisory = advisory.Replace("""["CVE-2026-0001", "CVE-2026-0002"]""", cves, StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, advisory);

        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "vulndb", "import", feed, "--database", database);
        Assert.True(exitCode == 0, error);
        return (root, database);
    }

    static string Vex(string status, string statement, string time = "2026-05-01T00:00:00Z") =>
        $$"""
        {"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex/{{status}}","author":"Security","timestamp":"{{time}}","version":1,
         "statements":[{"vulnerability":{"name":"{{SampleGuest.Advisory}}"},"products":[{"@id":"pkg:deb/debian/{{SampleGuest.VulnerablePackage}}"}],{{statement}}"status":"{{status}}"}]}
        """;

    async Task<JsonNode> ValidAsync(string format, string schema)
    {
        await File.WriteAllTextAsync(_folder.File(format), await fixture.MatchAsync([.. Root, "-o", format]));
        using var node = Process.Start(new ProcessStartInfo("node", [Path.Combine(Repository.Root, "build/sbom-schemas/validate.mjs"), schema, _folder.File(format)])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
        })!;
        Assert.Equal("", await node.StandardOutput.ReadToEndAsync());
        await node.WaitForExitAsync();
        Assert.Equal(0, node.ExitCode);
        return JsonNode.Parse(await File.ReadAllTextAsync(_folder.File(format)))!;
    }
}
