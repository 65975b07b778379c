using System.Net;
using System.Text.Json;
using Guestmark.TestKit;
using Guestmark.Vulnerabilities;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

public sealed class ApiTests : IAsyncLifetime
{
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
    public async Task A_vm_has_the_documented_shape()
    {
        await _central.StoreAsync(_events.Lifecycle("vm-1", "web", Start), _events.Report("vm-1", Report(Package("bash"), Package("curl")), Start.AddMinutes(1)));
        var database = Database(Advisory("ALSA-2026:1", "bash", "2-1", Severity.Critical), Advisory("ALSA-2026:2", "curl", "2-1", Severity.Low));
        await _central.MatchAsync(database);

        var vm = await _central.GetJsonAsync("/api/v1/vms/vm-1");
        AssertJson(
            $$"""
            {"id":"vm-1","name":"web","namespace":"","cluster":"lab","node":"node1","state":"running",
             "os":{"id":"almalinux","versionId":"8.10","prettyName":"AlmaLinux 8.10 (Cerulean Leopard)"},
             "packageCount":2,"findingCount":2,"findingCounts":{"critical":1,"important":0,"moderate":0,"low":1,"unknown":0},
             "decidedCount":0,"runningKernel":null,"firstSeenAt":"2026-01-02T03:04:05+00:00","lastReportAt":"2026-01-02T03:05:05+00:00",
             "matching":{"state":"matched","matchedAt":"2026-01-02T03:04:05+00:00","databaseRevision":"{{database.Revision}}"},"problems":[],"reportCount":1}
            """,
            vm);
        AssertJson(vm.GetRawText().Replace(",\"reportCount\":1", ""), (await _central.GetJsonAsync("/api/v1/vms")).GetProperty("items")[0]);
        AssertJson(vm.GetRawText(), await _central.GetJsonAsync("/api/v1/vms/web"));
    }

    [Fact]
    public async Task Packages_reports_and_findings_have_the_documented_shapes()
    {
        var report = _events.Report("vm-1", Report(Package("bash")), Start);
        await _central.StoreAsync(report);
        await _central.MatchAsync(Database(Advisory("ALSA-2026:1", "bash", "2-1", Severity.Critical, "Critical: bash")));

        AssertJson(
            """{"items":[{"manager":"rpm","name":"bash","version":"1.0-1.el8","arch":"x86_64","module":null,"sourceName":"bash","sourceVersion":"1.0-1.el8","repository":null,"findingCount":1}],"next":null}""",
            await _central.GetJsonAsync("/api/v1/vms/vm-1/packages"));

        var reports = (await _central.GetJsonAsync("/api/v1/vms/vm-1/reports")).GetProperty("items");
        var digest = reports[0].GetProperty("packageSetDigest").GetString()!;
        Assert.Matches("^sha256:[0-9a-f]{64}$", digest);
        AssertJson(
            $$"""[{"id":"{{report.Id}}","receivedAt":"2026-01-02T03:04:05+00:00","stream":"test-stream","sequence":1,"packageSetDigest":"{{digest}}","packageCount":1}]""",
            reports);

        var findings = await _central.GetJsonAsync("/api/v1/vms/vm-1/findings");
        var evidence = findings.GetProperty("items")[0].GetProperty("evidence");
        Assert.Equal(
            [
                "comparison", "cpe", "ecosystem", "isGuess", "matchedBySourcePackage", "matchedPackage", "modified", "module", "naming", "published", "range",
                "repository", "repositoryCpe", "repositoryEvidence", "source", "url",
            ],
            evidence.EnumerateObject().Select(property => property.Name).Order());
        AssertJson(
            $$"""
            {"items":[{"id":"1","feed":"osv","advisory":"ALSA-2026:1","cves":["CVE-2026-1"],"status":"fixed","fixable":true,"severity":"critical",
             "cvssScore":7.5,"cvssVector":null,"epss":null,"knownExploited":false,
             "package":{"name":"bash","version":"1.0-1.el8","arch":"x86_64","sourceName":"bash"},"kernel":null,
             "installedVersion":"1.0-1.el8","fixedVersion":"2-1","erratum":null,"erratumUrl":null,"remark":null,"justification":null,
             "summary":"Critical: bash","decision":null,"evidence":{{evidence.GetRawText()}}}],"next":null}
            """,
            findings);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(500)]
    public async Task Walking_the_pages_yields_each_row_once_in_order_while_others_arrive(int limit)
    {
        for (var i = 0; i < 20; i++) await _central.StoreAsync(_events.Report($"vm-{i:D2}", Report(Package("bash")), Start));
        // Many packages with one name, and advisories with one severity: what order compares first is often equal.
        await _central.StoreAsync(_events.Report("rich", Report([.. Enumerable.Range(0, 23).Select(i => Package($"p{i % 4}", $"1.{i}"))]), Start));
        for (var i = 0; i < 11; i++) await _central.StoreAsync(_events.Report("rich", ReportOfSet(i), Start.AddSeconds(-1)));
        await _central.MatchAsync(Database(Enumerable.Range(0, 9).Select(i => Advisory($"ALSA-2026:{i}", $"p{i % 4}", "2-1", (Severity)(i % 3)))));

        var vms = await WalkAsync("/api/v1/vms", limit, async page => await _central.StoreAsync(_events.Report($"new-{page}", Report(), Start)));
        Assert.Equal([.. Enumerable.Range(0, 20).Select(i => $"vm-{i:D2}"), "rich"], vms.Select(vm => vm.GetProperty("id").GetString()!).Where(id => !id.StartsWith("new-")));
        Assert.Distinct(vms.Select(vm => vm.GetProperty("id").GetString()!));

        var packages = (await WalkAsync("/api/v1/vms/rich/packages", limit)).Select(p => $"{p.GetProperty("name")} {p.GetProperty("version")}").ToList();
        Assert.Equal(23, packages.Distinct().Count());
        Assert.Equal(23, packages.Count);

        var reports = (await WalkAsync("/api/v1/vms/rich/reports", limit)).Select(r => r.GetProperty("sequence").GetInt64()).ToList();
        Assert.Equal(reports.OrderDescending(), reports);
        Assert.Equal(12, reports.Distinct().Count());

        var findings = await WalkAsync("/api/v1/vms/rich/findings", limit);
        var keys = findings.Select(f => (
            -(int)Enum.Parse<Severity>(f.GetProperty("severity").GetString()!, true), f.GetProperty("package").GetProperty("name").GetString()!, f.GetProperty("advisory").GetString()!)).ToList();
        Assert.Equal(keys.Order(), keys);
        Assert.Equal(findings.Count, findings.Select(f => f.GetProperty("id").GetString()).Distinct().Count());
        Assert.Equal((await _central.GetJsonAsync("/api/v1/vms/rich")).GetProperty("findingCount").GetInt64(), findings.Count);
    }

    [Fact]
    public async Task Findings_are_filtered_by_severity_package_advisory_and_cve()
    {
        await _central.StoreAsync(_events.Report("vm-1", Report(Package("bash"), Package("curl")), Start));
        await _central.MatchAsync(Database(
            Advisory("ALSA-2026:1", "bash", "2-1", Severity.Critical), Advisory("ALSA-2026:2", "bash", "2-1", Severity.Low), Advisory("ALSA-2026:3", "curl", "2-1", Severity.Low)));
        Assert.Equal(["ALSA-2026:1"], await FilteredAsync("severity=critical"));
        Assert.Equal(["ALSA-2026:2", "ALSA-2026:3"], await FilteredAsync("severity=low"));
        Assert.Equal(["ALSA-2026:1", "ALSA-2026:2"], await FilteredAsync("package=bash"));
        Assert.Equal(["ALSA-2026:3"], await FilteredAsync("advisory=ALSA-2026:3"));
        Assert.Equal(["ALSA-2026:2"], await FilteredAsync("cve=CVE-2026-2&package=bash"));
        Assert.Empty(await FilteredAsync("cve=CVE-2026"));
        Assert.Equal(["ALSA-2026:1", "ALSA-2026:2", "ALSA-2026:3"], await FilteredAsync("cve=CVE-2026*"));
        Assert.Equal(["ALSA-2026:2"], await FilteredAsync("cve=cve-2026-2"));
        Assert.Empty(await FilteredAsync("cve=%25"));

        async Task<List<string>> FilteredAsync(string query) => [.. (await _central.GetJsonAsync("/api/v1/vms/vm-1/findings?" + query))
            .GetProperty("items").EnumerateArray().Select(finding => finding.GetProperty("advisory").GetString()!)];
    }

    [Theory]
    [InlineData("/api/v1/vms?limit=0", 400, "limit is '0'", "from 1 to 500")]
    [InlineData("/api/v1/vms?limit=501", 400, "limit is '501'", "from 1 to 500")]
    [InlineData("/api/v1/vms?limit=ten", 400, "limit is 'ten'", "from 1 to 500")]
    [InlineData("/api/v1/vms?cursor=%21", 400, "cursor '!'", "'next'")]
    [InlineData("/api/v1/vms?cursor=YWJj", 400, "cursor 'YWJj'", "'next'")]
    [InlineData("/api/v1/vms/none", 404, "id or name 'none'", "GET /api/v1/vms")]
    [InlineData("/api/v1/vms/none/findings?severity=awful", 400, "severity 'awful'", "critical, important")]
    [InlineData("/api/v1/vms/none/findings?severity=4", 400, "severity '4'", "critical, important")]
    [InlineData("/api/v1/vms/none/findings?status=broken", 400, "status 'broken'", "will-not-fix")]
    [InlineData("/api/v1/vms/none/findings?kev=1", 400, "kev is '1'", "true or false")]
    [InlineData("/api/v1/vms/none/findings?cursor=YR9i", 400, "cursor 'YR9i'", "'next'")]
    [InlineData("/api/v1/decisions?cursor=YWJj", 400, "cursor 'YWJj'", "'next'")]
    [InlineData("/api/v1/vms/none/reports", 404, "id or name 'none'", "GET /api/v1/vms")]
    [InlineData("/api/v1/vms/twin", 409, "More than one VM is named 'twin'", "id of one of them")]
    [InlineData("/api/v1/vms/twin/findings?sevrity=critical", 400, "no parameter 'sevrity'", "limit, cursor, severity, status, fixable, kev, decided, package, advisory, cve")]
    [InlineData("/api/v1/vms?q=twin", 400, "no parameter 'q'", "limit, cursor")]
    [InlineData("/api/v1/vms/vm-1?limit=1", 400, "no parameter 'limit'", "leave out")]
    [InlineData("/api/v1/sign-in-links", 405, "GET is not possible", "Use POST")]
    [InlineData("/api/v2/vms", 404, "/api/v2/vms", "/api/v1/vms")]
    [InlineData("/api/v1/broken", 500, "Central failed to answer", "log")]
    public async Task An_error_is_a_problem_that_names_the_value_and_the_remedy(string path, int status, string title, string remedy)
    {
        await _central.StoreAsync(_events.Lifecycle("vm-1", "twin", Start), _events.Lifecycle("vm-2", "twin", Start));
        var problem = await _central.GetJsonAsync(path, (HttpStatusCode)status);
        Assert.Equal(status, problem.GetProperty("status").GetInt32());
        Assert.Contains(title, problem.GetProperty("title").GetString());
        Assert.Contains(remedy, problem.GetProperty("detail").GetString());
        Assert.DoesNotContain("secret", problem.GetRawText());
    }

    [Theory]
    [InlineData("DELETE", "/api/v1/vms/x", "GET")]
    [InlineData("PUT", "/api/v1/vms", "GET")]
    [InlineData("DELETE", "/api/v1/sign-in-links", "POST")]
    public async Task Another_method_is_not_allowed_and_the_answer_names_the_one_that_is(string method, string path, string allowed)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using var response = await _central.Api.SendAsync(request);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal([allowed], response.Content.Headers.Allow);
        using var anonymous = new HttpRequestMessage(new HttpMethod(method), path);
        Assert.Equal(HttpStatusCode.Unauthorized, (await _central.Anonymous.SendAsync(anonymous)).StatusCode);
    }

    [Fact]
    public async Task Health_needs_no_sign_in()
    {
        Assert.Equal("ok\n", await _central.Anonymous.GetStringAsync("/healthz"));
        Assert.Equal("ready\n", await _central.Anonymous.GetStringAsync("/readyz"));
    }

    async Task<List<JsonElement>> WalkAsync(string path, int limit, Func<int, Task>? between = null)
    {
        var rows = new List<JsonElement>();
        string? cursor = null;
        for (var page = 0; page < 1000; page++)
        {
            var json = await _central.GetJsonAsync($"{path}?limit={limit}" + (cursor is null ? "" : $"&cursor={cursor}"));
            var items = json.GetProperty("items").EnumerateArray().ToList();
            Assert.InRange(items.Count, 0, limit);
            rows.AddRange(items);
            cursor = json.GetProperty("next").GetString();
            if (cursor is null) return rows;
            // A few arrive while the client reads on.
            if (between is not null && page < 3) await between(page);
        }

        throw new InvalidOperationException("the pages do not end");
    }

    static void AssertJson(string expected, JsonElement actual) =>
        Assert.Equal(JsonSerializer.Serialize(JsonSerializer.Deserialize<JsonElement>(expected)), JsonSerializer.Serialize(actual));
}
