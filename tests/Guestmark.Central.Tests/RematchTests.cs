using Guestmark.Central.Findings;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Guestmark.Vulnerabilities;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

public sealed class RematchTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task What_is_stored_after_any_sequence_of_databases_and_restarts_equals_a_match_from_scratch(int seed)
    {
        var random = new Random(seed);
        var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        for (var i = 0; i < 6; i++) await central.StoreAsync(events.Report($"vm-{i}", RandomReport(random), Start));
        for (var round = 0; round < 8; round++)
        {
            if (random.Next(4) == 0)
            {
                await central.DisposeAsync();
                central = new CentralUnderTest(_folder.Path);
            }

            central.Matching.UseDatabase(RandomDatabase(random));
            // Sometimes the next one comes before the one in use was matched.
            if (random.Next(3) > 0) await central.Matching.MatchPendingAsync(default);
            if (random.Next(2) == 0) await central.StoreAsync(events.Report($"vm-{random.Next(8)}", RandomReport(random), Start.AddMinutes(round)));
        }

        await central.Matching.MatchPendingAsync(default);
        await using var _ = central;
        using var other = new TemporaryFolder();
        await using var scratch = new CentralUnderTest(other.Path);
        foreach (var machine in await central.Get<MachineQueries>().ListAsync(0, 100, default)) await CopyAsync(central, scratch, machine);
        scratch.Matching.UseDatabase(central.Matching.Database!);
        await scratch.Matching.MatchPendingAsync(default);
        var (expected, actual) = (await TextAsync(scratch), await TextAsync(central));
        Assert.Equal(expected, actual);
        Assert.Contains(expected, line => line.Contains(" ALSA-", StringComparison.Ordinal) || line.Contains(" CVE-", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Only_packages_whose_names_changed_are_matched_again_by_binary_source_and_module_name()
    {
        var names = new List<string>();
        AdvisoryDatabase? inUse = null;
        await using var central = new CentralUnderTest(_folder.Path, match: (os, package, findings) =>
        {
            names.Add(package.Name);
            new Matcher(inUse!).Match(os, package, findings);
        });
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(
            Package("bash"), Package("libssl") with { SourceName = "openssl" }, Package("npm") with { SourceName = "nodejs", ModularityLabel = "nodejs:18" }, Package("curl")), Start));
        await UseAsync(Database(Advisory("ALSA-2026:1", "bash", "2-1")));
        Assert.Equal(["bash", "curl", "libssl", "npm"], names.Order());

        Assert.Equal(["bash"], await UseAsync(Database(Advisory("ALSA-2026:1", "bash", "3-1"))));
        Assert.Equal(["libssl"], await UseAsync(Database(Advisory("ALSA-2026:1", "bash", "3-1"), Advisory("ALSA-2026:2", "openssl", "3-1"))));
        Assert.Equal(["npm"], await UseAsync(Database(
            Advisory("ALSA-2026:1", "bash", "3-1"), Advisory("ALSA-2026:2", "openssl", "3-1"), Advisory("ALSA-2026:3", "nodejs:18", "3-1"))));
        // Of a name that nobody has, and of another manager's package.
        Assert.Empty(await UseAsync(Database(
            Advisory("ALSA-2026:1", "bash", "3-1"), Advisory("ALSA-2026:2", "openssl", "3-1"), Advisory("ALSA-2026:3", "nodejs:18", "3-1"), Advisory("ALSA-2026:4", "unknown", "3-1"),
            Of(Advisory("DSA-1", "curl", "3-1"), "Debian:12"))));
        var machine = (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0];
        Assert.Equal((MatchingState.Matched, 1L), (machine.MatchingWith(inUse), machine.FindingCount));

        async Task<List<string>> UseAsync(AdvisoryDatabase database)
        {
            names.Clear();
            central.Matching.UseDatabase(inUse = database);
            await central.Matching.MatchPendingAsync(default);
            return [.. names.Order()];
        }
    }

    [Fact]
    public async Task New_scores_change_findings_without_a_match()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        await central.StoreAsync(new NodeEvents().Report("vm-1", Report(Package("bash")), Start));
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "bash", "2-1")));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal((0L, null), await ScoresAsync());
        central.Matching.UseDatabase(Database(
            [Advisory("ALSA-2026:1", "bash", "2-1")], predictions: [new ExploitPrediction("CVE-2026-1", 0.25f, 0.5f)], exploited: [new KnownExploited("CVE-2026-1", new DateOnly(2026, 1, 1), null, true, "Patch.")]));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal((1L, 0.25), await ScoresAsync());
        Assert.Equal(1, central.Metric("packages.matched"));
        central.Matching.UseDatabase(Database(Advisory("ALSA-2026:1", "bash", "2-1")));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal((0L, null), await ScoresAsync());

        async Task<(long, double?)> ScoresAsync() =>
            (await central.Get<FindingQueries>().ListAsync(1, default, null, 10, 0, default)).Select(row => (row.Kev, row.Epss)).Single();
    }

    [Fact]
    public async Task A_package_of_Red_Hat_is_matched_by_the_CPEs_of_its_repository_and_equal_ones_of_two_repositories_apart()
    {
        var rhel = new OsRelease("rhel", "9.4", "Red Hat Enterprise Linux 9.4 (Plow)");
        var main = new PackageRepository("rhel-9-for-x86_64-baseos-rpms", RepositoryEvidence.DnfHistory, ["cpe:/o:redhat:enterprise_linux:9::baseos"], null);
        var eus = new PackageRepository("rhel-9-for-x86_64-baseos-eus-rpms", RepositoryEvidence.BaseUrl, ["cpe:/o:redhat:rhel_eus:9.4::baseos"], null);
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        await central.StoreAsync(
            events.Report("main", Report(rhel, Package("bash", "1", "1.el9") with { Repository = main }), Start),
            events.Report("eus", Report(rhel, Package("bash", "1", "1.el9") with { Repository = eus }), Start));
        central.Matching.UseDatabase(Database(
            Of(Advisory("CVE-2026-7", "bash", "2-1.el9"), "Red Hat:enterprise_linux:9") with { Feed = FeedName.RedHatVex, Cves = ["CVE-2026-7"] },
            Of(Advisory("CVE-2026-8", "bash", "1-1.el9_4"), "Red Hat:rhel_eus:9.4") with { Feed = FeedName.RedHatVex, Cves = ["CVE-2026-8"] }));
        await central.Matching.MatchPendingAsync(default);
        Assert.Equal(2, await central.ScalarAsync<long>("SELECT count(*) FROM packages"));
        var machines = await central.Get<MachineQueries>().ListAsync(0, 10, default);
        var ofMain = Assert.Single(await central.Get<FindingQueries>().ListAsync(machines[0].SetId!.Value, default, null, 10, 0, default));
        Assert.Equal(("CVE-2026-7", "redhat-vex", ProductStatus.Fixed), (ofMain.Advisory, ofMain.Feed, ofMain.Status));
        Assert.Equal(("rhel-9-for-x86_64-baseos-rpms", "cpe:/o:redhat:enterprise_linux:9::baseos", false), (ofMain.Evidence.Repository, ofMain.Evidence.RepositoryCpe, ofMain.Evidence.IsGuess));
        var ofEus = await central.Get<FindingQueries>().ListAsync(machines[1].SetId!.Value, default, null, 10, 0, default);
        Assert.Equal(["CVE-2026-7 Affected", "CVE-2026-8 Fixed"], ofEus.Select(row => $"{row.Advisory} {row.Status}").Order());
        Assert.All(ofEus, row => Assert.True(row.Evidence.IsGuess));
        Assert.Contains("not fixed in this stream", ofEus.Single(row => row.Advisory == "CVE-2026-7").Remark);

        // What only one machine's report named goes with it.
        Assert.Equal(3, await central.ScalarAsync<long>("SELECT count(*) FROM repositories"));
    }

    [Fact]
    public async Task Two_reports_with_the_same_packages_of_other_repositories_are_two_sets()
    {
        await using var central = new CentralUnderTest(_folder.Path, options => options with { ReportsPerMachineMax = 1 });
        var events = new NodeEvents();
        for (var i = 0; i < 3; i++)
        {
            var repository = new PackageRepository($"repository-{i}", RepositoryEvidence.DnfHistory, [], "none");
            await central.StoreAsync(events.Report("vm-1", Report(Package("bash") with { Repository = repository }), Start.AddMinutes(i)));
        }

        Assert.Equal(["", "repository-2"], await central.RowsAsync<string>("SELECT name FROM repositories ORDER BY id"));
        Assert.Equal(1, await central.ScalarAsync<long>("SELECT count(*) FROM packages"));
    }

    [Fact]
    public async Task A_replaced_database_file_is_taken_into_use_and_a_damaged_one_is_not()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var watch = central.Get<DatabaseWatch>();
        Assert.False(watch.Look());
        var path = _folder.File("advisories.db");
        Builder(Advisory("ALSA-2026:1", "bash", "2-1")).Write(path);
        Assert.True(watch.Look());
        Assert.False(watch.Look());
        var first = central.Matching.Database!;
        Assert.Equal(1, first.AdvisoryCount);

        File.WriteAllText(path + ".new", "no database");
        File.Move(path + ".new", path, overwrite: true);
        Assert.False(watch.Look());
        Assert.False(watch.Look());
        Assert.Single(central.LogOf(6112));
        Assert.Same(first, central.Matching.Database);

        Builder(Advisory("ALSA-2026:1", "bash", "2-1"), Advisory("ALSA-2026:2", "bash", "2-1")).Write(path);
        Assert.True(watch.Look());
        Assert.Equal(2, central.Matching.Database!.AdvisoryCount);
        File.Delete(path);
        Assert.False(watch.Look());
        Assert.Equal(2, central.Matching.Database!.AdvisoryCount);
    }

    static Guestmark.Wire.Reports.VMReport RandomReport(Random random)
    {
        var os = random.Next(3) switch { 0 => Alma, 1 => new OsRelease("rhel", "9.4", ""), _ => new OsRelease("almalinux", "9.2", "") };
        return Report(os, [.. Enumerable.Range(0, 20).Where(_ => random.Next(2) == 0).Select(i => Package($"p{i}", $"{random.Next(1, 4)}.{random.Next(5)}") with
        {
            SourceName = $"p{i / 2}",
            ModularityLabel = random.Next(5) == 0 ? "m:1" : null,
            Repository = random.Next(3) switch
            {
                0 => new PackageRepository("baseos", RepositoryEvidence.DnfHistory, ["cpe:/o:redhat:enterprise_linux:9::baseos"], null),
                1 => new PackageRepository("eus", RepositoryEvidence.DnfHistory, ["cpe:/o:redhat:rhel_eus:9.4::baseos"], null),
                _ => null,
            },
        })]);
    }

    static AdvisoryDatabase RandomDatabase(Random random)
    {
        string[] products = ["AlmaLinux:8", "AlmaLinux:9", "Red Hat:enterprise_linux:9", .. random.Next(2) == 0 ? (string[])["Red Hat:rhel_eus:9.4"] : []];
        var advisories = Enumerable.Range(0, 40).Where(_ => random.Next(4) > 0).Select(i =>
        {
            var product = products[random.Next(products.Length)];
            var isRedHat = product.StartsWith("Red Hat", StringComparison.Ordinal);
            var advisory = Of(Advisory(isRedHat ? $"CVE-2026-{i}" : $"ALSA-2026:{i}", $"p{i % 20}", $"{random.Next(1, 5)}.{random.Next(3)}-1.el8", (Severity)random.Next(5), $"text {random.Next(2)}"), product);
            if (isRedHat) advisory = advisory with { Feed = FeedName.RedHatVex };
            return random.Next(4) > 0 ? advisory : advisory with
            {
                Statements = [advisory.Statements[0] with { Naming = PackageNaming.Source, Status = (ProductStatus)random.Next(1, 8), Intervals = [], Remark = "remark" }],
            };
        }).ToList();
        // Part of them as they were, as with a real update.
        return Database(advisories);
    }

    /// <summary>Gives another store the packages of a machine.</summary>
    static async Task CopyAsync(CentralUnderTest from, CentralUnderTest to, MachineRow machine)
    {
        var packages = await from.Store.QueryAsync<StoredPackageRow>(
            $"""
            SELECT {StoredPackageRow.Columns} FROM package_set_members m JOIN packages p ON p.id = m.package_id
              JOIN distributions d ON d.id = p.distribution_id JOIN repositories r ON r.id = p.repository_id
            WHERE m.set_id = @SetId
            """,
            new { machine.SetId },
            default);
        await to.StoreAsync(new NodeEvents(machine.Uid).Report(
            machine.Uid, Report(machine.Os!, [.. packages.Select(row => row.ToPackage(row.Repository) with { Database = "sqlite:var/lib/rpm" })]), Start));
    }

    static async Task<List<string>> TextAsync(CentralUnderTest central)
    {
        var lines = await central.RowsAsync<string>(
            """
            SELECT m.uid || ' ' || p.name || ' ' || p.version || ' ' || r.name || ' ' || f.feed || ' ' || f.advisory || ' ' || f.status || ' ' || f.severity || ' ' || f.cves
              || ' ' || f.summary || ' ' || coalesce(f.fixed_version, '-') || ' ' || coalesce(f.remark, '-') || ' ' || f.evidence || ' '
              || (SELECT group_concat(name) FROM (SELECT c.name AS name FROM finding_cves fc JOIN cves c ON c.id = fc.cve_id WHERE fc.finding_id = f.id ORDER BY 1))
            FROM machines m JOIN package_set_members sm ON sm.set_id = m.set_id JOIN packages p ON p.id = sm.package_id JOIN repositories r ON r.id = p.repository_id
              JOIN findings f ON f.package_id = p.id ORDER BY 1
            """);
        foreach (var machine in (await central.Get<MachineQueries>().ListAsync(0, 100, default)).OrderBy(machine => machine.Uid, StringComparer.Ordinal))
        {
            lines.Add($"{machine.Uid} {machine.MatchingWith(central.Matching.Database)} {machine.Critical} {machine.Important} {machine.Moderate} {machine.Low} {machine.Unknown}");
        }

        return lines;
    }
}
