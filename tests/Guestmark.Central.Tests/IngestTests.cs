using Google.Protobuf;
using Guestmark.Central.Ingest;
using Guestmark.Central.Storage;
using Guestmark.Events;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Guestmark.Wire.Reports;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

public sealed class IngestTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_report_and_its_lifecycle_become_a_machine_with_packages()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        Assert.Empty(await central.StoreAsync(
            events.Lifecycle("vm-1", "web", Start), events.Report("vm-1", Report(Package("bash"), Package("curl")), Start.AddMinutes(1))));

        var machine = Assert.Single(await central.Get<MachineQueries>().ListAsync(0, 10, default));
        Assert.Equal(("vm-1", "web", "lab", "node1", "running"), (machine.Uid, machine.Name, machine.Cluster, machine.Node, machine.StateName));
        Assert.Equal(Start, machine.FirstSeenAt);
        Assert.Equal(Start.AddMinutes(1), machine.LastReportAt);
        Assert.Equal(Alma, machine.Os);
        Assert.Equal(2, machine.PackageCount);
        Assert.Equal(2, central.Metric("events.stored"));
    }

    [Fact]
    public async Task A_report_of_an_unknown_machine_creates_it_and_the_lifecycle_names_it_later()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        await central.StoreAsync(events.Report("vm-1", Report(Package("bash")), Start));
        var machine = Assert.Single(await central.Get<MachineQueries>().ListAsync(0, 10, default));
        Assert.Equal(("vm-1", "unknown"), (machine.Name, machine.StateName));

        await central.StoreAsync(events.Lifecycle("vm-1", "web", Start.AddMinutes(-1)));
        machine = Assert.Single(await central.Get<MachineQueries>().ListAsync(0, 10, default));
        Assert.Equal(("web", "running", 1), (machine.Name, machine.StateName, machine.PackageCount));
    }

    [Fact]
    public async Task An_older_word_of_another_node_does_not_win()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var (before, after) = (new NodeEvents("a", node: "old"), new NodeEvents("b", node: "new"));
        await central.StoreAsync(
            after.Lifecycle("vm-1", "web", Start.AddMinutes(5)), after.Report("vm-1", Report(Package("new")), Start.AddMinutes(6)),
            before.Lifecycle("vm-1", "web", Start, VmState.Stopped), before.Report("vm-1", Report(Package("old"), Package("older")), Start));

        var machine = Assert.Single(await central.Get<MachineQueries>().ListAsync(0, 10, default));
        Assert.Equal(("running", "new", 1), (machine.StateName, machine.Node, machine.PackageCount));
        Assert.Equal(2, await central.Get<MachineQueries>().ReportCountAsync(machine.Id, default));
    }

    [Fact]
    public async Task Repeated_and_overlapping_batches_change_nothing_even_after_reopening()
    {
        var events = new NodeEvents();
        StampedEvent[] all = [
            events.Lifecycle("vm-1", "web", Start),
            .. Enumerable.Range(1, 19).Select(i => events.Report($"vm-{i % 3}", ReportOfSet(i % 4), Start.AddMinutes(i)))];
        string expected;
        await using (var central = new CentralUnderTest(_folder.Path))
        {
            await central.StoreAsync(all[..8]);
            await central.StoreAsync(all[..8]);
            await central.StoreAsync(all[4..12]);
            await central.StoreAsync(all[11..]);
            expected = await central.ContentAsync();
            Assert.Equal(20, central.Metric("events.stored"));
            Assert.Equal(8 + 4 + 1, central.Metric("events.repeated"));
            Assert.Equal(19, await central.ScalarAsync<long>("SELECT count(*) FROM reports"));
        }

        await using (var central = new CentralUnderTest(_folder.Path))
        {
            Assert.Empty(await central.StoreAsync(all));
            Assert.Equal(expected, await central.ContentAsync());
            Assert.Equal(20, central.Metric("events.repeated"));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Random_batches_with_repeats_store_what_one_pass_stores(int seed)
    {
        var random = new Random(seed);
        var streams = Enumerable.Range(0, 3).Select(i => new NodeEvents($"stream-{i}")).ToArray();
        var byStream = streams.Select((stream, i) => Enumerable.Range(0, 30)
            .Select(n => stream.Report($"vm-{random.Next(5)}-{i}", ReportOfSet(random.Next(6), 4), Start.AddSeconds(n))).ToArray()).ToArray();

        using var other = new TemporaryFolder();
        await using var once = new CentralUnderTest(other.Path);
        await once.StoreAsync([.. byStream.SelectMany(all => all)]);

        await using var central = new CentralUnderTest(_folder.Path);
        var stored = new int[byStream.Length];
        while (stored.Any(count => count < 30))
        {
            // A sender goes on from what was acknowledged, or from before that when the acknowledgement was lost.
            var which = random.Next(byStream.Length);
            var from = random.Next(stored[which] + 1);
            var to = Math.Min(30, from + random.Next(1, 10));
            await central.StoreAsync(byStream[which][from..to]);
            stored[which] = Math.Max(stored[which], to);
        }

        Assert.Equal(await once.ContentAsync(), await central.ContentAsync());
    }

    [Fact]
    public async Task A_gap_is_counted_and_the_event_is_stored()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        var first = events.Report("vm-1", Report(Package("a")), Start);
        for (var i = 0; i < 3; i++) events.Report("vm-1", Report(Package("lost")), Start);
        var fifth = events.Report("vm-1", Report(Package("b")), Start);

        Assert.Empty(await central.StoreAsync(first, fifth));
        Assert.Equal(3, central.Metric("events.missing"));
        Assert.Equal(2, central.Metric("events.stored"));
        Assert.Equal("test-stream|5|3", await central.ScalarAsync<string>("SELECT name || '|' || sequence || '|' || missing FROM streams"));
    }

    [Fact]
    public async Task A_batch_that_fails_leaves_nothing_and_is_stored_when_it_comes_again()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        StampedEvent[] batch = [events.Report("vm-1", Report(Package("a")), Start), events.Report("vm-2", Report(Package("b")), Start)];
        await central.ExecuteAsync("CREATE TRIGGER fail BEFORE INSERT ON machines WHEN new.uid = 'vm-2' BEGIN SELECT RAISE(ABORT, 'disk is full'); END");
        await Assert.ThrowsAsync<Microsoft.Data.Sqlite.SqliteException>(async () => await central.StoreAsync(batch));
        Assert.Equal("--\n--\n--\n--\n--", await central.ContentAsync());
        Assert.Equal(0, central.Metric("events.stored"));

        await central.ExecuteAsync("DROP TRIGGER fail");
        Assert.Empty(await central.StoreAsync(batch));
        Assert.Equal(2, await central.ScalarAsync<long>("SELECT count(*) FROM reports"));
    }

    [Fact]
    public async Task What_was_acknowledged_is_in_the_files_and_what_was_not_is_stored_once()
    {
        var events = new NodeEvents();
        StampedEvent[] all = [.. Enumerable.Range(0, 6).Select(i => events.Report("vm-1", ReportOfSet(i), Start.AddMinutes(i)))];
        using var crashed = new TemporaryFolder();
        await using (var central = new CentralUnderTest(_folder.Path))
        {
            await central.StoreAsync(all[..4]);
            // The files as kill -9 leaves them: copied while the store is open and a further batch is under way.
            await central.Store.WriteAsync(
                connection =>
                {
                    new EventWriter(connection, central.Get<CentralOptions>(), Start).Write(DecodedEvent.Decode(all[4]));
                    foreach (var file in Directory.EnumerateFiles(_folder.Path, "central.db*")) File.Copy(file, crashed.File(Path.GetFileName(file)));
                    return 0;
                },
                default);
        }

        await using (var central = new CentralUnderTest(crashed.Path))
        {
            Assert.Equal(4, await central.ScalarAsync<long>("SELECT count(*) FROM reports"));
            await central.StoreAsync(all[2..]);
            Assert.Equal(6, await central.ScalarAsync<long>("SELECT count(*) FROM reports"));
            Assert.Equal(0, central.Metric("events.missing"));
        }
    }

    [Fact]
    public async Task What_cannot_be_accepted_is_refused_with_the_reason_also_when_it_comes_again()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        StampedEvent[] batch = [
            events.Stamp("vm-1", EventTypes.InventoryReport, "virtualmachine.v1.VMReport", [0xff, 0xff], Start),
            events.Stamp("vm-1", "dev.guestmark.unheard.v9", "x", [], Start),
            events.Report("vm-1", ReportOfSet(0, ReportValidator.PackagesMax + 1), Start),
            events.Report(new string('u', 300), Report(), Start),
            events.Report("vm-1", Report(Package("a")), Start)];
        for (var attempt = 0; attempt < 2; attempt++)
        {
            var refusals = await central.StoreAsync(batch);
            Assert.Equal([1, 2, 3, 4], refusals.Select(refusal => (int)refusal.Position.Sequence));
            Assert.Contains("cannot be read", refusals[0].Reason);
            Assert.Contains("dev.guestmark.unheard.v9", refusals[1].Reason);
            Assert.Contains("50001 packages, the limit is 50000", refusals[2].Reason);
            Assert.Contains("subject has 300 characters", refusals[3].Reason);
        }

        Assert.Equal(0, central.Metric("events.missing"));
        Assert.Equal((1, 4, 5), (central.Metric("events.stored"), central.Metric("events.refused"), central.Metric("events.repeated")));
    }

    [Fact]
    public async Task What_the_last_report_could_not_read_is_kept_with_the_machine_and_bounded()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        await central.StoreAsync(events.Report("vm-1", Incomplete("/var/lib/rpm/rpmdb.sqlite: is\u001b damaged"), Start));
        Assert.Equal(["/var/lib/rpm/rpmdb.sqlite: is\ufffd damaged"], await ProblemsAsync());
        await central.StoreAsync(events.Report("vm-1", Incomplete([.. Enumerable.Range(0, 20).Select(i => $"/{i}: {new string('x', 600)}")]), Start.AddMinutes(1)));
        var many = await ProblemsAsync();
        Assert.Equal((7, "14 more problems"), (many.Count, many[^1]));
        Assert.InRange(many.Sum(problem => problem.Length + 1), 1, StoredProblems.LengthMax);
        await central.StoreAsync(events.Report("vm-1", Incomplete("an older report"), Start));
        Assert.Equal(many, await ProblemsAsync());
        await central.StoreAsync(events.Report("vm-1", Report(Package("bash")), Start.AddMinutes(2)));
        Assert.Empty(await ProblemsAsync());

        async Task<IReadOnlyList<string>> ProblemsAsync() => (await central.Get<MachineQueries>().ListAsync(0, 1, default))[0].Problems;
    }

    [Fact]
    public async Task Hostile_text_is_bounded_and_freed_of_control_characters()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        var huge = new string('x', 1 << 20);
        await central.StoreAsync(
            events.Stamp("vm-1", EventTypes.VmLifecycle, "guestmark.v1.VmLifecycle", new VmLifecycle { Name = "a\u001bb\u0000" + huge, Namespace = huge }.ToByteArray(), Start),
            events.Report("vm-1", Report(new OsRelease("almalinux", "8.10", huge), Package(huge, huge)), Start));
        foreach (var column in (string[])["name FROM machines", "namespace FROM machines", "os_pretty_name FROM machines", "name FROM packages", "version FROM packages"])
            Assert.InRange((await central.ScalarAsync<string>($"SELECT {column}")).Length, 1, StoredText.LengthMax);
        Assert.StartsWith("a\ufffdb\ufffdxxx", await central.ScalarAsync<string>("SELECT name FROM machines"));
    }

    [Fact]
    public void Bounded_text_never_ends_in_half_a_character()
    {
        for (var padding = 250; padding < 260; padding++)
        {
            var text = StoredText.Bound(new string('a', padding) + string.Concat(Enumerable.Repeat("😀", 10)));
            Assert.True(text.Length <= StoredText.LengthMax);
            Assert.DoesNotContain('\ufffd', System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text)));
        }
    }
}
