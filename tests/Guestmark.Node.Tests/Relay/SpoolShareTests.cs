using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Relay;
using Guestmark.Spool;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;

namespace Guestmark.Node.Tests.Relay;

/// <summary>Establishes that no guest can fill the spool for the others, and that the account of each is right whatever becomes of its records.</summary>
public sealed class SpoolShareTests : IDisposable
{
    const long SpoolBytes = 128L << 20;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task One_guest_fills_its_share_the_others_go_on_and_a_restart_forgets_nothing()
    {
        var options = SpoolingNode.Options(_folder) with { SpoolBytesMax = SpoolBytes };
        long held;
        int stored;
        await using (var node = await SpoolingNode.StartAsync(_folder, options))
        {
            stored = await FillAsync(node, "greedy");
            // Half of the spool, within one report of 2 MB.
            held = node.Keep.Bytes;
            Assert.InRange(held, (SpoolBytes / 2) - (4 << 20), SpoolBytes / 2);
            Assert.InRange(node.Counter("guestmark.node.largest_share keep"), held - (1 << 20), held);

            // Half of the other half, and so on; whoever holds little is always served.
            Assert.InRange(await FillAsync(node, "greedy too"), (stored / 2) - 2, (stored / 2) + 2);
            for (var guest = 0; guest < 100; guest++) Assert.Equal(StampOutcome.Stored, await ReportAsync(node, $"modest-{guest}", 10_000));
            Assert.Equal(StampOutcome.OverShare, await ReportAsync(node, "greedy", 10_000));
            Assert.Equal(3, node.Counter("guestmark.node.over_share keep"));
            // What the host says of it is not its own doing.
            Assert.Equal(StampOutcome.Stored, await node.StampAsync(EventTypes.GuestRefused, "guestmark.v1.GuestRefused", [8, 1], "greedy"));
            Assert.False(node.Keep.IsRefusing);
        }

        await using var again = await SpoolingNode.StartAsync(_folder, options);
        Assert.Equal(StampOutcome.OverShare, await ReportAsync(again, "greedy", 10_000));
        Assert.Equal(StampOutcome.Stored, await ReportAsync(again, "modest-1", 10_000));
        // What is delivered is in nobody's account, though its segment still takes room of everybody's.
        again.Keep.Acknowledge((ulong)stored * 3 / 4);
        Assert.Equal(StampOutcome.OverShare, await ReportAsync(again, "greedy too", 2_000_000));
        Assert.Equal(StampOutcome.Stored, await ReportAsync(again, "greedy", 10_000));
        again.Keep.Acknowledge(again.Keep.LastIndex);
        Assert.Equal(0, again.Counter("guestmark.node.largest_share keep"));
        Assert.Equal(StampOutcome.Stored, await ReportAsync(again, "greedy too", 2_000_000));
    }

    [Fact]
    public async Task A_guest_over_its_share_is_told_to_come_later_and_another_is_not()
    {
        await using var node = await RunningNode.StartAsync(options => options with { SpoolBytesMax = SpoolBytes, Limits = RunningNode.Unlimited with { SpoolShare = 20 } });
        var large = RunningNode.Frame(Report(9_000_000));
        var statuses = new List<PushStatus?>();
        for (var i = 0; i < 5; i++) statuses.Add(await node.SendAsync("web1", large));
        Assert.Equal([PushStatus.Stored, PushStatus.Stored, PushStatus.TooManyMessages, PushStatus.TooManyMessages, PushStatus.TooManyMessages], statuses);
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web2", large));
        var numbers = (await node.EventsAsync()).Select(e => e.Position.Sequence).ToList();
        Assert.Equal(Enumerable.Range(1, numbers.Count).Select(i => (ulong)i), numbers);
    }

    [Fact]
    public void Accounts_agree_with_a_list_through_acknowledgements_refusals_and_gaps()
    {
        for (var seed = 0; seed < 12; seed++)
        {
            var random = new Random(seed);
            var shares = new SpoolShares(50);
            var records = new List<(ulong Index, string Subject, int Bytes)>();
            var (next, acknowledged) = (1UL, 0UL);
            for (var operation = 0; operation < 80; operation++)
            {
                switch (random.Next(8))
                {
                    case 0:
                        acknowledged += (ulong)random.NextInt64((long)(next - acknowledged));
                        shares.Release(acknowledged);
                        break;
                    case 1:
                        // The disk refused the last; their indexes are given again.
                        next -= (ulong)random.NextInt64((long)(next - acknowledged));
                        records.RemoveAll(record => record.Index >= next);
                        if (random.Next(2) == 0) shares.CutAfter(next - 1);
                        else Add();
                        break;
                    case 2:
                        next += (ulong)random.Next(20_000);
                        break;
                    default:
                        for (var i = random.Next(3000); i >= 0; i--) Add();
                        break;
                }

                records.RemoveAll(record => record.Index <= acknowledged);
                foreach (var guest in records.GroupBy(record => record.Subject)) Assert.Equal(guest.Sum(record => record.Bytes + 16L), shares.Of(guest.Key));
                if (records.Count == 0) Assert.All(Enumerable.Range(0, 10), guest => Assert.Equal(0, shares.Of($"{guest}")));
            }

            void Add()
            {
                var record = (next++, $"{random.Next(10)}", random.Next(1, 5000));
                records.Add(record);
                shares.Add(record.Item1, record.Item2, record.Item3);
            }
        }
    }

    [Fact]
    public async Task An_account_costs_no_allocation_for_each_event()
    {
        await using var spool = EventSpool.Open(new SpoolOptions { Directory = _folder.File("spool") });
        var shares = new SpoolShares(50);
        var names = Enumerable.Range(0, 100).Select(i => $"guest-{i}").ToArray();
        var index = 0UL;
        Run(20_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(100_000);
        // A block of 64 KiB now and then would be 8 bytes for each; here they are used again.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);

        void Run(int count)
        {
            for (var i = 0; i < count; i++)
            {
                Assert.True(shares.MayStore(spool, names[i % 100], 500));
                shares.Add(++index, names[i % 100], 500);
                if (i % 256 == 0) shares.Release(index);
            }
        }
    }

    static byte[] Report(int bytes) => new VMReport { IndexReport = new IndexReport { IndexV4 = new() { Err = new string('x', bytes) } } }.ToByteArray();

    static Task<StampOutcome> ReportAsync(SpoolingNode node, string guest, int bytes) =>
        node.StampAsync(EventTypes.InventoryReport, "virtualmachine.v1.VMReport", new byte[bytes], guest);

    static async Task<int> FillAsync(SpoolingNode node, string guest)
    {
        for (var stored = 0; ; stored++)
        {
            var outcome = await ReportAsync(node, guest, 2_000_000);
            if (outcome == StampOutcome.OverShare) return stored;
            Assert.Equal(StampOutcome.Stored, outcome);
        }
    }
}
