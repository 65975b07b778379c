using System.Net;
using System.Text.RegularExpressions;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Guestmark.Vulnerabilities;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

public sealed partial class PagesTests : IAsyncLifetime
{
    const string Script = "<script>alert(1)</script>";

    readonly TemporaryFolder _folder = new();
    readonly NodeEvents _events = new();
    CentralServer _central = null!;

    public async Task InitializeAsync() => _central = await CentralServer.StartAsync(_folder.Path);

    public async Task DisposeAsync()
    {
        await _central.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task Every_answer_has_the_headers_that_browsers_obey()
    {
        foreach (var path in (string[])["/", "/vms/none", "/api/v1/vms", "/api/v1/broken", "/nothing", "/healthz", "/sign-in", StyleSheetOf(await _central.GetPageAsync("/"))])
        {
            using var response = await _central.Api.GetAsync(path);
            Assert.Equal(
                "default-src 'none'; style-src 'self'; font-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
                Assert.Single(response.Headers.GetValues("Content-Security-Policy")));
            Assert.Equal("nosniff", Assert.Single(response.Headers.GetValues("X-Content-Type-Options")));
            Assert.Equal("no-referrer", Assert.Single(response.Headers.GetValues("Referrer-Policy")));
        }
    }

    [Fact]
    public async Task Without_machines_the_page_says_how_to_add_a_guest()
    {
        var page = await _central.GetPageAsync("/");
        Assert.Contains("No machine has been seen yet", page);
        Assert.Contains("guestmark-agent", page);
        Assert.Contains("<title>Virtual machines – Guestmark</title>", page);
        Assert.Contains("href=\"#main\"", page);
    }

    [Fact]
    public async Task Machines_are_listed_searched_sorted_and_paged()
    {
        for (var i = 0; i < 120; i++)
            await _central.StoreAsync(_events.Lifecycle($"vm-{i:D3}", $"name-{i:D3}", Start), _events.Report($"vm-{i:D3}", ReportOfSet(i % 3, 1 + i % 5), Start.AddMinutes(i)));
        await _central.MatchAsync(Database(Advisory("ALSA-2026:1", "p4", "2-1", Severity.Critical)));

        var page = await _central.GetPageAsync("/");
        Assert.Equal(Enumerable.Range(0, 50).Select(i => $"name-{i:D3}"), NamesIn(page));
        Assert.Contains("1–50 of 120", page);
        Assert.Contains("AlmaLinux 8.10 (Cerulean Leopard)", page);
        Assert.Contains("Matched", page);
        page = await _central.GetPageAsync("/?page=3");
        Assert.Equal(Enumerable.Range(100, 20).Select(i => $"name-{i:D3}"), NamesIn(page));
        Assert.Equal(["name-119", "name-118"], NamesIn(await _central.GetPageAsync("/?sort=-report")).Take(2));
        Assert.Equal(["name-004", "name-009"], NamesIn(await _central.GetPageAsync("/?sort=-findings")).Take(2));
        Assert.Equal(["name-042"], NamesIn(await _central.GetPageAsync("/?q=042")));
        Assert.Contains("No machine matches", await _central.GetPageAsync("/?q=%25"));
    }

    [Fact]
    public async Task A_machine_shows_its_findings_packages_and_reports_each_at_its_url()
    {
        await _central.StoreAsync(_events.Lifecycle("vm-1", "web", Start), _events.Report("vm-1", Report(Package("bash"), Package("curl")), Start));
        await _central.MatchAsync(Database(
            Advisory("ALSA-2026:1", "bash", "2-1", Severity.Critical, "Critical: bash update"), Advisory("ALSA-2026:2", "curl", "2-1", Severity.Low, "Low: curl update")));

        var findings = await _central.GetPageAsync("/vms/vm-1");
        Assert.Contains("<title>web – Guestmark</title>", findings);
        Assert.True(findings.IndexOf("ALSA-2026:1", StringComparison.Ordinal) < findings.IndexOf("ALSA-2026:2", StringComparison.Ordinal));
        Assert.Contains("CVE-2026-1", findings);
        Assert.Contains("Critical: bash update", findings);
        Assert.Contains("<caption", findings);
        Assert.DoesNotContain("ALSA-2026:1<", await _central.GetPageAsync("/vms/vm-1?severity=low"));
        Assert.DoesNotContain("ALSA-2026:2<", await _central.GetPageAsync("/vms/vm-1?q=cve-2026-1"));
        Assert.Contains("No finding matches the filters", await _central.GetPageAsync("/vms/vm-1?q=nothing"));

        var packages = await _central.GetPageAsync("/vms/vm-1?tab=packages");
        Assert.Contains("1.0-1.el8", packages);
        Assert.Contains("href=\"/vms/vm-1?package=bash\"", packages);
        Assert.Contains("test-stream", await _central.GetPageAsync("/vms/vm-1?tab=reports"));

        var link = FindingLink().Match(findings).Groups["value"].Value;
        var finding = await _central.GetPageAsync(link);
        foreach (var text in (string[])["Why it applies", "1.0-1.el8 &lt; 2-1 by rpm", "AlmaLinux:8", "the binary package", "href=\"https://errata.example/ALSA-2026:1\"", "2026-01-02 03:04 UTC"])
            Assert.Contains(text, finding);

        await _central.MatchAsync(AdvisoryDatabase.Empty);
        Assert.Contains("does not have this finding", await _central.GetPageAsync(link, HttpStatusCode.NotFound));
    }

    [Fact]
    public async Task Findings_are_paged_by_fifty()
    {
        await _central.StoreAsync(_events.Report("vm-1", Report(Package("bash")), Start));
        await _central.MatchAsync(Database(Enumerable.Range(0, 70).Select(i => Advisory($"ALSA-2026:{i:D3}", "bash", "2-1"))));
        var first = await _central.GetPageAsync("/vms/vm-1");
        Assert.Contains("1–50 of 70", first);
        Assert.Contains("href=\"/vms/vm-1?page=2\"", first);
        Assert.Contains("51–70 of 70", await _central.GetPageAsync("/vms/vm-1?page=2"));
        Assert.Contains("51–70 of 70", await _central.GetPageAsync("/vms/vm-1?page=9999"));
        Assert.Contains("1–1 of 1", await _central.GetPageAsync("/vms/vm-1?tab=packages&page=9999"));
        Assert.Contains("1–1 of 1", await _central.GetPageAsync("/vms/vm-1?tab=reports&page=9999"));
        Assert.Contains("1–1 of 1", await _central.GetPageAsync("/?page=9999"));
    }

    [Fact]
    public async Task A_severity_that_does_not_exist_is_named()
    {
        await _central.StoreAsync(_events.Report("vm-1", Report(Package("bash")), Start));
        Assert.Contains("There is no severity", await _central.GetPageAsync("/vms/vm-1?severity=bogus", HttpStatusCode.BadRequest));
        await _central.GetPageAsync("/vms/vm-1?severity=");
    }

    [Fact]
    public async Task A_package_that_cannot_be_matched_is_visible_on_the_pages_and_in_the_api()
    {
        using var folder = new TemporaryFolder();
        var database = Database(Advisory("ALSA-2026:1", "bash", "2-1"));
        await using var central = await CentralServer.StartAsync(folder.Path, match: FailingMatching.On(database, "curl"));
        await central.StoreAsync(_events.Report("vm-1", Report(Package("curl"), Package("vim")), Start));
        await central.MatchAsync(database);
        Assert.Equal("failed", (await central.GetJsonAsync("/api/v1/vms/vm-1")).GetProperty("matching").GetProperty("state").GetString());
        Assert.Contains(">Failed<", await central.GetPageAsync("/"));
        Assert.DoesNotContain(">None<", await central.GetPageAsync("/"));
        var machine = await central.GetPageAsync("/vms/vm-1");
        Assert.Contains("Matching failed", machine);
        Assert.Contains("1 of the packages could not be compared with the advisories", machine);
        Assert.Single(Failed().Matches(machine));
        // The machine's label and the package's.
        Assert.Equal(2, Failed().Count(await central.GetPageAsync("/vms/vm-1?tab=packages")));
    }

    [Theory]
    [InlineData("AlmaLinux:8", false)]
    [InlineData("Debian:12", true)]
    public async Task An_incomplete_report_is_no_all_clear_on_the_pages_nor_in_the_api(string ecosystem, bool isOther)
    {
        await _central.StoreAsync(_events.Report("vm-1", Incomplete("/var/lib/rpm/rpmdb.sqlite: is damaged"), Start));
        await _central.MatchAsync(Database(Advisory("ALSA-2026:1", "curl", "2-1") with
        {
            Statements = [new PackageStatement { Product = ecosystem, Name = "curl", Intervals = [VersionInterval.FixedIn("2-1")] }],
        }));
        var vm = await _central.GetJsonAsync("/api/v1/vms/vm-1");
        Assert.Equal("incomplete", vm.GetProperty("matching").GetProperty("state").GetString());
        Assert.Equal(["/var/lib/rpm/rpmdb.sqlite: is damaged"], vm.GetProperty("problems").EnumerateArray().Select(problem => problem.GetString()!));
        var machines = await _central.GetPageAsync("/");
        Assert.Contains(">Incomplete<", machines);
        Assert.DoesNotContain(">None<", machines);
        var machine = await _central.GetPageAsync("/vms/vm-1");
        foreach (var text in (string[])["pf-v6-c-alert pf-m-warning", "The last report is incomplete", "/var/lib/rpm/rpmdb.sqlite: is damaged", "Findings may be missing"])
            Assert.Contains(text, machine);
        Assert.DoesNotContain("No findings", machine);
        Assert.Equal(isOther, machine.Contains("No advisories for this operating system", StringComparison.Ordinal));

        await _central.StoreAsync(_events.Report("vm-1", Report(Package("bash")), Start.AddMinutes(1)));
        Assert.Empty((await _central.GetJsonAsync("/api/v1/vms/vm-1")).GetProperty("problems").EnumerateArray());
        Assert.DoesNotContain("pf-v6-c-alert", await _central.GetPageAsync("/vms/vm-1"));
    }

    [Fact]
    public async Task Without_advisories_for_the_system_the_page_says_how_to_import_some()
    {
        await _central.StoreAsync(_events.Report("vm-1", Report(new OsRelease("plan9", "4", "Plan 9"), Package("rc")), Start), _events.Lifecycle("vm-2", "silent", Start));
        await _central.MatchAsync(Database(Advisory("ALSA-2026:1", "bash", "2-1")));
        var page = await _central.GetPageAsync("/vms/vm-1");
        Assert.Contains("No advisories for this operating system", page);
        Assert.Contains("guestmark up --feed PATH", page);
        Assert.Contains("has not reported yet", await _central.GetPageAsync("/vms/vm-2"));
    }

    [Fact]
    public async Task What_guests_and_feeds_write_is_encoded_everywhere()
    {
        await _central.StoreAsync(
            _events.Lifecycle($"u{Script}/..?#", Script, Start),
            _events.Report($"u{Script}/..?#", Report(Alma with { PrettyName = Script }, Package(Script), Package("bash")), Start));
        await _central.MatchAsync(Database(
            Advisory($"ALSA-{Script}", "bash", "2-1", summary: Script) with { Url = "javascript:alert(1)" }, Advisory("ALSA-2026:2", Script, "2-1")));
        var machines = await _central.GetPageAsync($"/?q={Uri.EscapeDataString(Script)}");
        var path = MachineLink().Match(machines).Groups["value"].Value;
        var findings = await _central.GetPageAsync(path);
        var links = FindingLink().Matches(findings).Select(match => match.Groups["value"].Value).ToList();
        Assert.Equal(2, links.Count);
        var evidence = await Task.WhenAll(links.Select(link => _central.GetPageAsync(link)));
        foreach (var page in (string[])[machines, findings, .. evidence, await _central.GetPageAsync(path + "?tab=packages"), await _central.GetPageAsync(path + "?tab=reports")])
        {
            Assert.DoesNotContain("<script", page);
            Assert.DoesNotContain("href=\"javascript:", page);
            Assert.Contains("&lt;script&gt;", page);
        }
    }

    [Fact]
    public async Task Assets_are_small_cached_for_good_and_complete()
    {
        var url = StyleSheetOf(await _central.GetPageAsync("/"));
        using var response = await _central.Anonymous.GetAsync(url);
        var css = await response.Content.ReadAsStringAsync();
        Assert.Equal("text/css", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal("public, max-age=31536000, immutable", response.Headers.GetValues("Cache-Control").Single());
        Assert.InRange(css.Length, 20_000, 200_000);
        Assert.Contains("@media (prefers-color-scheme: dark)", css);
        foreach (Match font in FontUrl().Matches(css))
            Assert.Equal(HttpStatusCode.OK, (await _central.Anonymous.GetAsync("/assets/" + font.Groups["value"].Value)).StatusCode);
        Assert.Equal(3, FontUrl().Count(css));

        using var compressed = new HttpRequestMessage(HttpMethod.Get, url) { Headers = { { "Accept-Encoding", "br" } } };
        using var small = await _central.Anonymous.SendAsync(compressed);
        Assert.Equal("br", Assert.Single(small.Content.Headers.ContentEncoding));
        Assert.InRange((await small.Content.ReadAsByteArrayAsync()).Length, 1_000, 40_000);
        using var again = new HttpRequestMessage(HttpMethod.Get, url) { Headers = { { "If-None-Match", response.Headers.ETag!.ToString() } } };
        Assert.Equal(HttpStatusCode.NotModified, (await _central.Anonymous.SendAsync(again)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await _central.Anonymous.GetAsync("/assets/none.css")).StatusCode);
    }

    static IEnumerable<string> NamesIn(string page) => MachineName().Matches(page).Select(match => match.Groups["value"].Value);

    static string StyleSheetOf(string page) => StyleSheet().Match(page).Groups["value"].Value;

    [GeneratedRegex(">Failed<", RegexOptions.NonBacktracking)]
    private static partial Regex Failed();

    [GeneratedRegex("""<link rel="stylesheet" href="(?<value>/assets/[^"]+)" """, RegexOptions.NonBacktracking)]
    private static partial Regex StyleSheet();

    [GeneratedRegex("""<a class="gm-link gm-cut" href="(?<value>/vms/[^"]+)" """, RegexOptions.NonBacktracking)]
    private static partial Regex MachineLink();

    [GeneratedRegex("""<a class="gm-link gm-cut" href="[^"]*" title="[^"]*">(?<value>name-[^<]+)<""", RegexOptions.NonBacktracking)]
    private static partial Regex MachineName();

    [GeneratedRegex("""href="(?<value>/vms/[^"]+/findings/\d+)"/?""", RegexOptions.NonBacktracking)]
    private static partial Regex FindingLink();

    [GeneratedRegex("""url\("(?<value>[^"]+\.woff2)"\)""", RegexOptions.NonBacktracking)]
    private static partial Regex FontUrl();
}
