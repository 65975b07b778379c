using Guestmark.Central.Findings;
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
        // Of the packages only the two versions of p0 are concerned.
        central.Matching.UseDatabase(AdvisoryDatabase.Empty);
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(13, central.Metric("packages.matched"));
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

    [Theory]
    [InlineData("0:")]
    // Before the rules had a version.
    [InlineData("")]
    public async Task Packages_that_were_matched_by_other_rules_are_matched_again(string rules)
    {
        await using var central = new CentralUnderTest(_folder.Path);
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("bash")), Start));
        var database = Database(Advisory("ALSA-2026:1", "bash", "2-1"));
        central.Matching.UseDatabase(database);
        await central.Matching.MatchPendingAsync(default);

        // As a program with older rules left it, which found nothing.
        var older = rules + database.Revision;
        await central.ExecuteAsync($"DELETE FROM findings; UPDATE package_sets SET important = 0; UPDATE revisions SET revision = '{older}'");
        Assert.Equal(MatchingState.Pending, (await MachineAsync(central)).MatchingWith(database));
        await central.DisposeAsync();
        await using var newer = new CentralUnderTest(_folder.Path);
        newer.Matching.UseDatabase(database);
        await newer.Matching.MatchPendingAsync(default);
        Assert.Equal((MatchingState.Matched, 1), ((await MachineAsync(newer)).MatchingWith(database), (await MachineAsync(newer)).FindingCount));
    }

    [Fact]
    public async Task A_package_that_cannot_be_matched_shows_keeps_its_findings_and_stops_no_other()
    {
        var events = new NodeEvents();
        var (before, after) = (Database(Advisory("ALSA-2026:1", "bad", "2-1")), Database(Advisory("ALSA-2026:1", "bad", "2-1"), Advisory("ALSA-2026:2", "good", "2-1")));
        await using (var central = new CentralUnderTest(_folder.Path))
        {
            await central.StoreAsync(
                events.Report("both", Report(Package("bad"), Package("good")), Start), events.Report("well", Report(Package("good")), Start));
            central.Matching.UseDatabase(before);
            await central.Matching.MatchPendingAsync(default);
        }

        // A defect that comes with an update: the next revision is tried, and fails.
        await using (var central = new CentralUnderTest(_folder.Path, match: FailingMatching.On(after, "bad")))
        {
            central.Matching.UseDatabase(after);
            await central.Matching.MatchPendingAsync(default);
            var machines = await central.Get<MachineQueries>().ListAsync(0, 10, default);
            Assert.Equal([MatchingState.Failed, MatchingState.Matched], machines.Select(machine => machine.MatchingWith(after)));
            Assert.Equal([2L, 1L], machines.Select(machine => machine.FindingCount));
            Assert.Equal([1L, 0L], machines.Select(machine => machine.FailedPackages));
            Assert.Equal((1, 1), (central.Metric("packages.failed"), central.Metric("packages.matched")));
            Assert.Single(central.LogOf(6102));
            Assert.Contains("1 of 1 packages", Assert.Single(central.LogOf(6103)));

            // Not again and again with the same revision.
            await central.Matching.MatchPendingAsync(default);
            Assert.Equal(1, central.Metric("packages.failed"));
        }

        // The next process tries it with the same revision.
        await using (var central = new CentralUnderTest(_folder.Path))
        {
            central.Matching.UseDatabase(after);
            await central.Matching.MatchPendingAsync(default);
            Assert.Equal(1, central.Metric("packages.matched"));
            Assert.Equal(MatchingState.Matched, (await MachineAsync(central)).MatchingWith(after));
        }
    }

    [Fact]
    public async Task A_package_that_could_not_be_matched_is_tried_again_with_the_next_revision()
    {
        var (first, second) = (Database(Advisory("ALSA-2026:1", "bad", "2-1")), Database(Advisory("ALSA-2026:2", "bad", "2-1")));
        var names = new List<string> { "bad" };
        await using var central = new CentralUnderTest(_folder.Path, match: FailingMatching.On(second, names));
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("bad")), Start));
        central.Matching.UseDatabase(first);
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(MatchingState.Failed, (await MachineAsync(central)).MatchingWith(first));
        names.Clear();
        central.Matching.UseDatabase(second);
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal((MatchingState.Matched, 1), ((await MachineAsync(central)).MatchingWith(second), (await MachineAsync(central)).FindingCount));
    }

    [Theory]
    [InlineData("BEFORE INSERT", "new", 2_000, 3_001)]
    [InlineData("BEFORE DELETE", "old", 1_000, 0)]
    public async Task Thousands_of_findings_are_written_and_deleted_in_transactions_of_a_thousand(string change, string row, int committed, int complete)
    {
        await using var central = new CentralUnderTest(_folder.Path);
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("kernel"), Package("other")), Start));
        var full = Database([.. Enumerable.Range(0, 3_000).Select(i => Advisory($"ALSA-2026:{i:D4}", "kernel", "2-1")), Advisory("ALSA-2026:9999", "other", "2-1")]);
        central.Matching.UseDatabase(complete == 0 ? full : AdvisoryDatabase.Empty);
        await central.Matching.MatchPendingAsync(default);

        // The third transaction fails: what the two before wrote is committed, and the package is not matched.
        await central.ExecuteAsync($"CREATE TRIGGER full_disk {change} ON findings WHEN {row}.advisory = 'ALSA-2026:2500' BEGIN SELECT RAISE(ABORT, 'disk is full'); END");
        central.Matching.UseDatabase(complete == 0 ? AdvisoryDatabase.Empty : full);
        await Assert.ThrowsAsync<Microsoft.Data.Sqlite.SqliteException>(async () => await central.Matching.MatchPendingAsync(default));
        Assert.Equal(committed, await central.ScalarAsync<long>("SELECT count(*) FROM findings WHERE advisory < 'ALSA-2026:9'"));
        Assert.Equal(0, await central.ScalarAsync<long>("SELECT count(*) FROM packages p JOIN revisions r ON r.id = p.matched_with WHERE p.name = 'kernel'"));

        await central.ExecuteAsync("DROP TRIGGER full_disk");
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(complete, (await MachineAsync(central)).FindingCount);
        Assert.Equal(complete, await central.ScalarAsync<long>("SELECT count(*) FROM findings"));
    }

    [Fact]
    public async Task A_package_with_too_many_findings_fails_and_stops_no_other()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("kernel"), Package("other")), Start));
        central.Matching.UseDatabase(Database([
            .. Enumerable.Range(0, PackageMatching.FindingsPerPackageMax + 1).Select(i => Advisory($"ALSA-2026:{i:D4}", "kernel", "2-1")), Advisory("ALSA-2026:9999", "other", "2-1")]));
        await central.Matching.MatchPendingAsync(default);
        var machine = await MachineAsync(central);
        Assert.Equal((MatchingState.Failed, 1L, 1L), (machine.MatchingWith(central.Matching.Database), machine.FindingCount, machine.FailedPackages));
    }

    [Fact]
    public async Task A_set_with_too_many_findings_is_left_and_a_small_one_that_came_later_does_not_wait_for_it()
    {
        var database = Database([.. Enumerable.Range(0, 40).Select(i => Advisory($"ALSA-2026:{i:D4}", "kernel", "2-1")), Advisory("ALSA-2026:9999", "other", "2-1")]);
        var names = new List<string>();
        await using var central = new CentralUnderTest(_folder.Path, match: (os, package, findings) =>
        {
            names.Add(package.Name);
            new Matcher(database).Match(os, package, findings);
        });
        var events = new NodeEvents();
        await central.StoreAsync(
            events.Report("flood", Report([.. Enumerable.Range(0, 200).Select(i => Package("kernel", $"1.{i}"))]), Start), events.Report("honest", Report(Package("other")), Start));
        central.Matching.FindingsPerSet = 4_000;
        central.Matching.UseDatabase(database);
        await central.Matching.MatchPendingAsync(default);
        var machines = await central.Get<MachineQueries>().ListAsync(0, 10, default);
        // 100 packages have 4,000; the next one goes over it.
        Assert.Equal((MatchingState.Failed, 4_040L, 99L), (machines[0].MatchingWith(database), machines[0].FindingCount, machines[0].FailedPackages));
        Assert.Contains("more than 200000 findings", machines[0].FailureReason);
        Assert.Equal((MatchingState.Matched, 1L), (machines[1].MatchingWith(database), machines[1].FindingCount));
        Assert.Equal("other", names[0]);
        Assert.Single(central.LogOf(6104));
    }

    [Fact]
    public async Task Sets_take_turns()
    {
        var names = new List<string>();
        await using var central = new CentralUnderTest(_folder.Path, match: (_, package, _) => names.Add(package.Name));
        var events = new NodeEvents();
        await central.StoreAsync(
            events.Report("a", Report([.. Enumerable.Range(0, 300).Select(i => Package("a", $"1.{i}"))]), Start),
            events.Report("b", Report([.. Enumerable.Range(0, 299).Select(i => Package("b", $"1.{i}"))]), Start));
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "a", "2-1")));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(("b", "a", "b"), (names[0], names[64], names[128]));
        Assert.Equal(599, names.Count);
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
        FeedImport.Run(new FeedImportOptions { Path = Repository.TestDataPath("osv/almalinux-osv-database.zip") }, builder, TimeProvider.System, null, default);
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

    static async Task<MachineRow> MachineAsync(CentralUnderTest central) => (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0];

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
