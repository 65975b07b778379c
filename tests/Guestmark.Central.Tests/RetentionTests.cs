using Guestmark.Central.Storage;
using Guestmark.Events;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Microsoft.Extensions.Logging.Abstractions;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

public sealed class RetentionTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_thousand_reports_of_ten_sets_store_ten_sets()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        foreach (var batch in Enumerable.Range(0, 1000).Select(i => events.Report($"vm-{i % 100}", ReportOfSet(i % 10), Start.AddSeconds(i))).Chunk(100))
            await central.StoreAsync(batch);
        Assert.Equal(1000, await central.ScalarAsync<long>("SELECT count(*) FROM reports"));
        Assert.Equal(10, await central.ScalarAsync<long>("SELECT count(*) FROM package_sets"));
        // 9 packages that all sets share and 10 versions of the tenth.
        Assert.Equal(19, await central.ScalarAsync<long>("SELECT count(*) FROM packages"));
    }

    [Fact]
    public async Task The_order_of_a_report_does_not_matter_but_the_distribution_does()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        await central.StoreAsync(
            events.Report("vm-1", Report(Package("a"), Package("b"), Package("a")), Start),
            events.Report("vm-2", Report(Package("b"), Package("a")), Start),
            events.Report("vm-3", Report(Alma with { VersionId = "8.9" }, Package("b"), Package("a")), Start));
        Assert.Equal(2, await central.ScalarAsync<long>("SELECT count(*) FROM package_sets"));
        Assert.Equal(4, await central.ScalarAsync<long>("SELECT count(*) FROM packages"));
    }

    [Fact]
    public async Task Old_reports_go_with_the_sets_and_packages_that_only_they_had()
    {
        await using var central = new CentralUnderTest(_folder.Path, options => options with { ReportsPerMachineMax = 3 });
        var database = Database(Advisory("ALSA-2026:1", "p0", "2.0-1.el8"));
        central.Matching.UseDatabase(database);
        var events = new NodeEvents();
        await central.StoreAsync(events.Report("other", ReportOfSet(0), Start));
        for (var i = 0; i < 10; i++)
        {
            await central.StoreAsync(events.Report("vm-1", ReportOfSet(i), Start.AddMinutes(i)));
            await central.Matching.MatchPendingAsync(default);
        }

        Assert.Equal(["other|2", "vm-1|9", "vm-1|10", "vm-1|11"], (await central.RowsAsync<string>(
            "SELECT m.uid || '|' || (r.sequence + (m.uid = 'other')) FROM reports r JOIN machines m ON m.id = r.machine_id ORDER BY r.id")));
        // Set 0 belongs to the other machine still.
        Assert.Equal(4, await central.ScalarAsync<long>("SELECT count(*) FROM package_sets"));
        Assert.Equal(4, await central.ScalarAsync<long>("SELECT count(*) FROM packages WHERE name = 'p0'"));
        Assert.Equal(4, await central.ScalarAsync<long>("SELECT count(*) FROM findings"));
        Assert.Equal(0, await central.ScalarAsync<long>("SELECT count(*) FROM package_set_members WHERE set_id NOT IN (SELECT id FROM package_sets)"));
    }

    [Fact]
    public async Task A_deleted_machine_is_forgotten_after_its_time_with_what_only_it_had()
    {
        var time = new ManualTimeProvider(Start);
        await using var central = new CentralUnderTest(_folder.Path, options => options with { DeletedMachineRetention = TimeSpan.FromDays(2) }, time);
        using var retention = new StoreRetention(
            central.Store, new CentralOptions { DataDirectory = _folder.Path, DeletedMachineRetention = TimeSpan.FromDays(2) }, central.Get<CentralMetrics>(), time, NullLogger<StoreRetention>.Instance);
        var events = new NodeEvents();
        await central.StoreAsync(
            events.Report("gone", ReportOfSet(1), Start), events.Report("gone", ReportOfSet(2), Start), events.Report("here", ReportOfSet(2), Start),
            events.Lifecycle("gone", "gone", Start, VmState.Deleted), events.Lifecycle("here", "here", Start));

        time.Advance(TimeSpan.FromDays(2));
        Assert.Equal(0, await retention.ForgetMachinesAsync(default));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(1, await retention.ForgetMachinesAsync(default));
        Assert.Equal("here", await central.ScalarAsync<string>("SELECT uid FROM machines"));
        Assert.Equal(1, await central.ScalarAsync<long>("SELECT count(*) FROM package_sets"));
        Assert.Equal(10, await central.ScalarAsync<long>("SELECT count(*) FROM packages"));
    }

    [Fact]
    public async Task Distributions_go_with_the_last_set_and_package_of_theirs()
    {
        await using var central = new CentralUnderTest(_folder.Path, options => options with { ReportsPerMachineMax = 3 });
        var events = new NodeEvents();
        await central.StoreAsync(events.Report("other", Report(new OsRelease("made-up-1", "1", ""), Package("bash")), Start));
        for (var i = 0; i < 20; i++)
            await central.StoreAsync(events.Report("hostile", Report(new OsRelease($"made-up-{i}", "1", ""), Package("bash")), Start.AddMinutes(i)));
        Assert.Equal(["made-up-1", "made-up-17", "made-up-18", "made-up-19"], await central.RowsAsync<string>("SELECT os_id FROM distributions ORDER BY id"));
    }

    [Fact]
    public async Task The_reports_of_one_machine_share_a_budget_of_bytes_and_the_oldest_go_first()
    {
        const long Budget = 1 << 20;
        await using var central = new CentralUnderTest(_folder.Path, options => options with { PackageBytesPerMachineMax = Budget });
        var events = new NodeEvents();
        await central.StoreAsync(events.Report("other", ReportOfSet(0, 1_000), Start));
        for (var i = 0; i < 30; i++) await central.StoreAsync(events.Report("hostile", ReportOfSet(i, 1_000), Start.AddMinutes(i)));

        var bytes = await central.ScalarAsync<long>("SELECT max(bytes) FROM package_sets");
        var kept = Budget / bytes;
        Assert.InRange(kept, 5, 20);
        Assert.Equal(
            Enumerable.Range(0, 30).TakeLast((int)kept).Select(i => (long)i + 2),
            await central.RowsAsync<long>("SELECT r.sequence FROM reports r JOIN machines m ON m.id = r.machine_id WHERE m.uid = 'hostile' ORDER BY r.id"));
        Assert.Equal(kept + 1, await central.ScalarAsync<long>("SELECT count(*) FROM package_sets"));
        Assert.Equal(0, await central.ScalarAsync<long>("SELECT count(*) FROM packages WHERE id NOT IN (SELECT package_id FROM package_set_members)"));

        // Reports of packages that are stored already are free.
        for (var i = 0; i < 30; i++) await central.StoreAsync(events.Report("hostile", ReportOfSet(29, 1_000), Start.AddMinutes(60 + i)));
        Assert.Equal(kept + 30, await central.ScalarAsync<long>("SELECT count(*) FROM reports r JOIN machines m ON m.id = r.machine_id WHERE m.uid = 'hostile'"));
    }

    [Fact]
    public async Task A_report_over_the_budget_stays_as_the_only_one()
    {
        await using var central = new CentralUnderTest(_folder.Path, options => options with { PackageBytesPerMachineMax = 1 << 20 });
        var events = new NodeEvents();
        await central.StoreAsync(events.Report("vm-1", ReportOfSet(0), Start), events.Report("vm-1", ReportOfSet(1, 12_000), Start.AddMinutes(1)));
        Assert.Equal(2, await central.ScalarAsync<long>("SELECT sequence FROM reports"));
        Assert.Equal(12_000, await central.ScalarAsync<long>("SELECT package_count FROM package_sets"));
        Assert.Equal(12_000, await central.ScalarAsync<long>("SELECT count(*) FROM packages"));
    }

    [Fact]
    public async Task A_stream_is_forgotten_after_ninety_days_unless_a_report_of_it_is_kept()
    {
        var time = new ManualTimeProvider(Start);
        await using var central = new CentralUnderTest(_folder.Path, time: time);
        using var retention = new StoreRetention(
            central.Store, central.Get<CentralOptions>(), central.Get<CentralMetrics>(), time, NullLogger<StoreRetention>.Instance);
        var (silent, kept, moving) = (new NodeEvents("silent"), new NodeEvents("kept"), new NodeEvents("moving"));
        var report = kept.Report("vm-1", ReportOfSet(0), Start);
        await central.StoreAsync(silent.Lifecycle("vm-1", "web", Start), report, moving.Lifecycle("vm-1", "web", Start));

        time.Advance(TimeSpan.FromDays(90));
        await central.StoreAsync(moving.Lifecycle("vm-1", "web", Start));
        Assert.Equal(0, await retention.ForgetStreamsAsync(default));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(1, await retention.ForgetStreamsAsync(default));
        Assert.Equal(["kept", "moving"], await central.RowsAsync<string>("SELECT name FROM streams ORDER BY 1"));

        // What can be seen was stored of a stream that is known, so it is not stored again.
        await central.StoreAsync(report);
        Assert.Equal(1, await central.ScalarAsync<long>("SELECT count(*) FROM reports"));
    }
}
