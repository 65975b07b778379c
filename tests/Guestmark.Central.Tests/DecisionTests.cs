using System.Net;
using System.Text.Json;
using Guestmark.TestKit;
using Guestmark.Vulnerabilities;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

public sealed class DecisionTests : IAsyncLifetime
{
    readonly TemporaryFolder _folder = new();
    readonly ManualTimeProvider _time = new(Start);
    readonly NodeEvents _events = new();
    CentralServer _central = null!;

    public async Task InitializeAsync() => _central = await CentralServer.StartAsync(_folder.Path, _time);

    public async Task DisposeAsync()
    {
        await _central.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_decision_shows_and_takes_its_finding_out_of_the_counts_on_the_machines_of_its_scope_until_it_expires()
    {
        await _central.StoreAsync(
            _events.Lifecycle("vm-1", "web-1", Start), _events.Lifecycle("vm-2", "db-1", Start),
            _events.Report("vm-1", Report(Package("bash"), Package("curl")), Start), _events.Report("vm-2", Report(Package("bash"), Package("curl")), Start));
        await _central.MatchAsync(Database(
            [Advisory("ALSA-2026:1", "bash", "2-1", Severity.Critical), Advisory("ALSA-2026:2", "curl", "2-1", Severity.Low)],
            decisions: [Decision("d#1", "cve-2026-1") with { Scope = ["web-*"], Expires = Start.AddDays(1) }, Decision("d#2", "ALSA-2026:2") with { Status = DecisionStatus.Affected }]));

        Assert.Equal((0, 1, 1, 1), await CountsAsync("vm-1"));
        Assert.Equal((1, 1, 2, 0), await CountsAsync("vm-2"));
        var finding = (await _central.GetJsonAsync("/api/v1/vms/vm-1/findings?decided=true")).GetProperty("items");
        Assert.Equal(1, finding.GetArrayLength());
        Assert.Equal(
            """{"id":"d#1","status":"not-affected","justification":"vulnerable_code_not_present","reason":"No shell.","author":"Ops","decidedAt":"2026-01-01T03:04:05+00:00","expiresAt":"2026-01-03T03:04:05+00:00","counts":false}""",
            JsonSerializer.Serialize(finding[0].GetProperty("decision"), JsonSerializerOptions.Web).Replace("\\u002B", "+"));
        Assert.Equal(["ALSA-2026:2"], (await _central.GetJsonAsync("/api/v1/vms/vm-1/findings?decided=false")).GetProperty("items").EnumerateArray().Select(f => f.GetProperty("advisory").GetString()));
        // A decision that it is affected is shown and counts.
        Assert.True((await _central.GetJsonAsync("/api/v1/vms/vm-1/findings?cve=CVE-2026-2")).GetProperty("items")[0].GetProperty("decision").GetProperty("counts").GetBoolean());
        Assert.Contains("Decided: not affected", await _central.GetPageAsync("/vms/vm-1"));
        var page = await _central.GetPageAsync("/vms/vm-1/findings/" + finding[0].GetProperty("id").GetString());
        Assert.Contains("What was decided", page);
        Assert.Contains("No shell.", page);

        _time.Advance(TimeSpan.FromDays(1));
        Assert.Equal((1, 1, 2, 0), await CountsAsync("vm-1"));
        Assert.DoesNotContain("Decided: not affected", await _central.GetPageAsync("/vms/vm-1"));

        async Task<(long, long, long, long)> CountsAsync(string id)
        {
            var vm = await _central.GetJsonAsync("/api/v1/vms/" + id);
            var counts = vm.GetProperty("findingCounts");
            Assert.Equal(vm.GetProperty("findingCount").GetInt64(), (await _central.GetJsonAsync("/api/v1/vms")).GetProperty("items").EnumerateArray()
                .Single(item => item.GetProperty("id").GetString() == id).GetProperty("findingCount").GetInt64());
            return (counts.GetProperty("critical").GetInt64(), counts.GetProperty("low").GetInt64(), vm.GetProperty("findingCount").GetInt64(), vm.GetProperty("decidedCount").GetInt64());
        }
    }

    [Fact]
    public async Task Decisions_are_listed_the_latest_first_page_by_page()
    {
        Assert.Equal(0, (await _central.GetJsonAsync("/api/v1/decisions")).GetProperty("items").GetArrayLength());
        Assert.Contains("No decision has been imported", await _central.GetPageAsync("/decisions"));
        await _central.MatchAsync(Database([], decisions: [.. Enumerable.Range(0, 7).Select(i => Decision($"d#{i}", $"CVE-2026-{i}") with { Decided = Start.AddDays(i / 2) })]));
        var ids = new List<string>();
        var cursor = "";
        do
        {
            var page = await _central.GetJsonAsync("/api/v1/decisions?limit=2" + cursor);
            ids.AddRange(page.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()!));
            cursor = page.GetProperty("next").GetString() is { } next ? "&cursor=" + next : "";
        }
        while (cursor.Length > 0);
        Assert.Equal(["d#6", "d#4", "d#5", "d#2", "d#3", "d#0", "d#1"], ids);
        Assert.Contains("CVE-2026-6", await _central.GetPageAsync("/decisions"));
    }

    [Fact]
    public async Task The_data_in_use_is_told_with_its_age()
    {
        Assert.Equal("null", (await _central.GetJsonAsync("/api/v1/vulnerability-data")).GetProperty("databaseRevision").GetRawText());
        Assert.Contains("guestmark vulndb import PATH", await _central.GetPageAsync("/vulnerability-data"));
        var database = Database(Advisory("ALSA-2026:1", "bash", "2-1"));
        await _central.MatchAsync(database);
        _time.Advance(TimeSpan.FromDays(3));
        var data = await _central.GetJsonAsync("/api/v1/vulnerability-data");
        Assert.Equal((database.Revision, 1L), (data.GetProperty("databaseRevision").GetString(), data.GetProperty("advisories").GetInt64()));
        Assert.Equal(["AlmaLinux:8"], data.GetProperty("products").EnumerateArray().Select(product => product.GetString()));
        var source = data.GetProperty("sources")[0];
        Assert.Equal(("samples", "osv", 1L), (source.GetProperty("name").GetString(), source.GetProperty("format").GetString(), source.GetProperty("documents").GetInt64()));
        Assert.Equal(Start, source.GetProperty("newestAt").GetDateTimeOffset());
        Assert.Contains("3 days ago", await _central.GetPageAsync("/vulnerability-data"));
    }

    [Fact]
    public async Task A_CVE_tells_the_machines_that_have_it_page_by_page_and_what_is_known_of_it()
    {
        for (var i = 0; i < 5; i++) await _central.StoreAsync(_events.Report($"vm-{i}", i == 2 ? Report(Package("curl")) : Report(Package("bash", $"1.{i % 2}")), Start));
        await _central.MatchAsync(Database(
            [Advisory("ALSA-2026:1", "bash", "2-1") with { Cves = ["CVE-2026-1", "CVE-2026-11"] }],
            predictions: [new ExploitPrediction("CVE-2026-1", 0.97f, 0.99f)],
            exploited: [new KnownExploited("CVE-2026-1", new DateOnly(2026, 1, 1), new DateOnly(2026, 1, 22), true, "Patch.")]));
        var first = await _central.GetJsonAsync("/api/v1/cves/cve-2026-1?limit=3");
        Assert.Equal(["vm-0", "vm-1", "vm-3"], Ids(first));
        Assert.Equal(("CVE-2026-1", 0.97, 0.99), (first.GetProperty("cve").GetString(), first.GetProperty("epss").GetDouble(), first.GetProperty("epssPercentile").GetDouble()));
        Assert.Equal("""{"addedOn":"2026-01-01","dueOn":"2026-01-22","ransomware":true,"requiredAction":"Patch."}""", first.GetProperty("knownExploited").GetRawText());
        Assert.Equal("1.1-1.el8", first.GetProperty("items")[1].GetProperty("findings")[0].GetProperty("installedVersion").GetString());
        Assert.Equal(["vm-4"], Ids(await _central.GetJsonAsync("/api/v1/cves/CVE-2026-1?limit=3&cursor=" + first.GetProperty("next").GetString())));
        Assert.Empty(Ids(await _central.GetJsonAsync("/api/v1/cves/CVE-2026")));
        Assert.Equal(["vm-0", "vm-1", "vm-3", "vm-4"], Ids(await _central.GetJsonAsync("/api/v1/cves/CVE-2026-11")));

        static IEnumerable<string?> Ids(JsonElement page) => page.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString());
    }

    [Fact]
    public async Task Findings_are_sorted_by_severity_then_exploitation_and_selected_by_status_fix_and_exploitation()
    {
        await _central.StoreAsync(_events.Report("vm-1", Report(Package("a"), Package("b"), Package("c"), Package("d"), Package("e")), Start));
        await _central.MatchAsync(Database(
            [
                Advisory("ALSA-2026:1", "a", "2-1", Severity.Low), Advisory("ALSA-2026:2", "b", "2-1"), Advisory("ALSA-2026:3", "c", "2-1"),
                Unfixed("ALSA-2026:4", "d", ProductStatus.WillNotFix), Unfixed("ALSA-2026:5", "e", ProductStatus.UnderInvestigation),
            ],
            predictions: [new ExploitPrediction("CVE-2026-5", 0.5f, 0.5f), new ExploitPrediction("CVE-2026-3", 0.25f, 0.5f)],
            exploited: [new KnownExploited("CVE-2026-4", new DateOnly(2026, 1, 1), null, false, "Patch."), new KnownExploited("CVE-2026-1", new DateOnly(2026, 1, 1), null, false, "Patch.")]));
        Assert.Equal("45321", await ListAsync("limit=500"));
        Assert.Equal("45321", await WalkAsync());
        Assert.Equal("41", await ListAsync("kev=true"));
        Assert.Equal("532", await ListAsync("kev=false"));
        Assert.Equal("4", await ListAsync("status=will-not-fix"));
        Assert.Equal("5", await ListAsync("status=under-investigation"));
        Assert.Equal("45", await ListAsync("fixable=false"));
        Assert.Equal("321", await ListAsync("fixable=true"));
        var page = await _central.GetPageAsync("/vms/vm-1?status=will-not-fix");
        Assert.Contains("ALSA-2026:4", page);
        Assert.Contains("will not fix", page);
        Assert.Contains("Exploited", page);
        Assert.DoesNotContain("ALSA-2026:3", page);
        Assert.DoesNotContain("ALSA-2026:3", await _central.GetPageAsync("/vms/vm-1?kev=true"));
        Assert.Contains("There is no status", await _central.GetPageAsync("/vms/vm-1?status=bogus", HttpStatusCode.BadRequest));

        async Task<string> ListAsync(string query) => string.Concat((await _central.GetJsonAsync("/api/v1/vms/vm-1/findings?" + query))
            .GetProperty("items").EnumerateArray().Select(item => item.GetProperty("advisory").GetString()![^1]));

        async Task<string> WalkAsync()
        {
            var (text, cursor) = ("", "");
            do
            {
                var one = await _central.GetJsonAsync("/api/v1/vms/vm-1/findings?limit=1" + cursor);
                text += one.GetProperty("items")[0].GetProperty("advisory").GetString()![^1];
                cursor = one.GetProperty("next").GetString() is { } next ? "&cursor=" + next : "";
            }
            while (cursor.Length > 0);
            return text;
        }

        static Advisory Unfixed(string id, string package, ProductStatus status)
        {
            var advisory = Advisory(id, package, "2-1");
            return advisory with { Statements = [advisory.Statements[0] with { Status = status, Intervals = [], Remark = "The vendor's words." }] };
        }
    }

    static VexDecision Decision(string id, string vulnerability) => new()
    {
        Id = id,
        Vulnerability = vulnerability,
        Status = DecisionStatus.NotAffected,
        Justification = "vulnerable_code_not_present",
        Reason = "No shell.",
        Author = "Ops",
        Decided = Start.AddDays(-1),
    };
}
