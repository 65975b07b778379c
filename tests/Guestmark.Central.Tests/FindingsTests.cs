using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Guestmark.Vulnerabilities;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

public sealed class FindingsTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Findings_equal_a_match_from_scratch_after_every_swap_of_the_database()
    {
        var random = new Random(7);
        Package[] packages = [.. Enumerable.Range(0, 40).Select(i => Package($"p{i % 20}", $"{random.Next(1, 4)}.{random.Next(10)}"))];
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        await central.StoreAsync([.. Enumerable.Range(0, 10).Select(i => events.Report(
            $"vm-{i}", Report([.. packages.Where(_ => random.Next(2) == 0)]), Start))]);

        AdvisoryDatabase? previous = null;
        for (var round = 0; round < 6; round++)
        {
            var database = round == 4 ? previous! : round == 5 ? AdvisoryDatabase.Empty : Database(Enumerable.Range(0, 30).Where(_ => random.Next(3) > 0)
                .Select(i => Advisory($"ALSA-2026:{i}", $"p{i % 20}", $"{random.Next(1, 5)}.{random.Next(10)}-1.el8", (Severity)random.Next(5), $"round {random.Next(3)}")));
            central.Matching.UseDatabase(database);
            await central.Matching.MatchPendingAsync(default);
            // Packages that arrive later are matched like those that were there.
            await central.StoreAsync(events.Report("late", Report(Package($"p{round}", "0.1")), Start.AddMinutes(round)));
            await central.Matching.MatchPendingAsync(default);
            foreach (var machine in await central.Get<MachineQueries>().ListAsync(0, 100, default)) await AssertFromScratchAsync(central, machine, database);
            previous = database;
        }
    }

    [Fact]
    public async Task A_finding_that_stays_keeps_its_id_and_takes_the_new_text()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("bash")), Start));
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "bash", "2-1", summary: "old"), Advisory("ALSA-2026:2", "bash", "2-1")));
        await central.Matching.MatchPendingAsync(default);
        var before = await central.RowsAsync<string>("SELECT id || '|' || summary FROM findings WHERE advisory = 'ALSA-2026:1'");
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "bash", "3-1", summary: "new"), Advisory("ALSA-2026:3", "bash", "2-1")));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(before.Select(row => row.Replace("old", "new")), await central.RowsAsync<string>("SELECT id || '|' || summary FROM findings WHERE advisory = 'ALSA-2026:1'"));
        Assert.Equal(["ALSA-2026:1", "ALSA-2026:3"], await central.RowsAsync<string>("SELECT advisory FROM findings ORDER BY 1"));
    }

    [Fact]
    public async Task A_package_of_many_machines_is_matched_once_and_again_only_for_another_revision()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        await central.StoreAsync([.. Enumerable.Range(0, 50).Select(i => events.Report($"vm-{i}", ReportOfSet(i % 2), Start))]);
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "p0", "2-1")));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(11, central.Metric("packages.matched"));
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "p0", "2-1")));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(11, central.Metric("packages.matched"));
        central.Matching.UseDatabase(AdvisoryDatabase.Empty);
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(22, central.Metric("packages.matched"));
        Assert.Equal(2, central.Metric("findings"));
    }

    [Fact]
    public async Task A_restart_with_the_same_database_matches_nothing_again()
    {
        var database = Database(Advisory("ALSA-2026:1", "bash", "2-1"));
        await using (var central = new CentralUnderTest(_folder.Path))
        {
            await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("bash")), Start));
            central.Matching.UseDatabase(database);
            await central.Matching.MatchPendingAsync(default);
        }

        await using (var central = new CentralUnderTest(_folder.Path))
        {
            await central.Matching.MatchPendingAsync(default);
            Assert.Equal(MatchingState.Pending, (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0].MatchingWith(central.Matching.Database));
            central.Matching.UseDatabase(database);
            await central.Matching.MatchPendingAsync(default);
            Assert.Equal(0, central.Metric("packages.matched"));
            Assert.Equal(MatchingState.Matched, (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0].MatchingWith(central.Matching.Database));
        }
    }

    [Fact]
    public async Task A_machine_is_pending_then_matched_and_says_when_no_advisories_are_about_its_system()
    {
        var time = new ManualTimeProvider(Start);
        await using var central = new CentralUnderTest(_folder.Path, time: time);
        var events = new NodeEvents();
        await central.StoreAsync(
            events.Report("alma", Report(Package("bash")), Start), events.Report("plan9", Report(new OsRelease("plan9", "4", "Plan 9"), Package("rc")), Start),
            events.Lifecycle("silent", "silent", Start));
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "bash", "2-1")));
        Assert.Equal([MatchingState.Pending, MatchingState.NoAdvisories, MatchingState.NoReport], await StatesAsync());
        time.Advance(TimeSpan.FromMinutes(1));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal([MatchingState.Matched, MatchingState.NoAdvisories, MatchingState.NoReport], await StatesAsync());
        Assert.Equal(Start.AddMinutes(1), (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0].LastMatchedAt);

        async Task<IEnumerable<MatchingState>> StatesAsync() =>
            (await central.Get<MachineQueries>().ListAsync(0, 10, default)).Select(machine => machine.MatchingWith(central.Matching.Database));
    }

    [Fact]
    public async Task The_background_service_matches_what_ingest_brings()
    {
        await using var central = new CentralUnderTest(_folder.Path, time: TimeProvider.System);
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "bash", "2-1")));
        await central.Matching.StartAsync(default);
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("bash")), Start));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while ((await central.Get<MachineQueries>().ListAsync(0, 1, deadline.Token))[0].FindingCount == 0) await Task.Yield();
        await central.Matching.StopAsync(default);
    }

    [TestDataFact]
    public async Task Real_AlmaLinux_advisories_give_the_same_findings_as_the_matcher_alone()
    {
        var builder = new AdvisoryDatabaseBuilder();
        OsvFeed.Import(Repository.TestDataPath("osv/almalinux-osv-database.zip"), builder, null, default);
        var database = builder.Build();
        await using var central = new CentralUnderTest(_folder.Path);
        // As in AlmaLinux 8.4, so that there is something to find.
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(
            Package("bash", "4.4.19", "12.el8"), Package("openssl", "1.1.1g", "15.el8_3"), Package("glibc", "2.28", "151.el8"), Package("curl", "7.61.1", "18.el8")), Start));
        central.Matching.UseDatabase(database);
        await central.Matching.MatchPendingAsync(default);
        var machine = (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0];
        Assert.True(machine.FindingCount > 5, $"{machine.FindingCount} findings");
        await AssertFromScratchAsync(central, machine, database);
    }

    static async Task AssertFromScratchAsync(CentralUnderTest central, MachineRow machine, AdvisoryDatabase database)
    {
        var matcher = new Matcher(database);
        var expected = new List<string>();
        foreach (var row in await central.Get<MachineQueries>().PackagesAsync(machine.SetId!.Value, null, null, 1000, 0, default))
        {
            var dash = row.Version.LastIndexOf('-');
            var findings = new List<Finding>();
            matcher.Match(machine.Os!, Package(row.Name, row.Version[..dash], row.Version[(dash + 1)..]), findings);
            expected.AddRange(findings.Select(finding => Text(
                row.Name, finding.AdvisoryId, finding.Cves, finding.Severity, finding.CvssScore, finding.InstalledVersion, finding.FixedVersion, finding.Summary, finding.Evidence)));
        }

        var stored = await central.Get<FindingQueries>().ListAsync(machine.SetId!.Value, default, null, 10_000, 0, default);
        Assert.Equal(expected.Order(), stored.Select(finding => Text(
            finding.PackageName, finding.Advisory, finding.Cves, finding.Severity, finding.CvssScore, finding.InstalledVersion, finding.FixedVersion, finding.Summary, finding.Evidence)).Order());
        Assert.Equal(expected.Count, machine.FindingCount);
        Assert.Equal(
            (stored.Count(f => f.Severity == Severity.Critical), stored.Count(f => f.Severity == Severity.Important), stored.Count(f => f.Severity == Severity.Low)),
            (machine.Critical, machine.Important, machine.Low));

        static string Text(
            string package, string advisory, IReadOnlyList<string> cves, Severity severity, double? score, string installed, string? fixedIn, string summary, FindingEvidence evidence) =>
            $"{package} {advisory} {string.Join(',', cves)} {severity} {score} {installed} {fixedIn} {summary} {evidence}";
    }
}
