using Guestmark.Events;
using Guestmark.Node.Relay;
using Guestmark.Spool;
using Guestmark.TestKit;

namespace Guestmark.Node.Tests.Relay;

/// <summary>Establishes that every number which is missing in a stream is named by an event of that stream, once.</summary>
public sealed class LossTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Activity_that_gave_way_is_counted_and_named_by_the_stream_itself()
    {
        const int stamped = 600;
        await using (var node = await SpoolingNode.StartAsync(_folder, SpoolingNode.Options(_folder)))
        {
            for (var i = 0; i < stamped; i++) Assert.Equal(StampOutcome.Stored, await node.StampAsync(EventTypes.FileActivity, "test.Activity", new byte[100_000]));
            Assert.InRange(node.Shed.Bytes, 0, 16 << 20);
            var dropped = node.Counter("guestmark.spool.dropped shed Full");
            Assert.InRange(dropped, stamped - 168, stamped);
            // Loss events are stored as well.
            Assert.Equal(node.Counter("guestmark.spool.stored shed"), dropped + (long)node.Shed.Depth);
            Assert.Equal(0UL, node.Keep.Depth);
            await ExplainedAsync(node.Shed, events => events.Count(e => e.Type == EventTypes.FileActivity) >= 100);
        }

        // A second start neither forgets nor repeats, and goes on with a stream of its own.
        await using (var again = await SpoolingNode.StartAsync(_folder, SpoolingNode.Options(_folder)))
        {
            for (var i = 0; i < stamped; i++) Assert.Equal(StampOutcome.Stored, await again.StampAsync(EventTypes.SocketCalls, "test.Calls", new byte[100_000]));
            var events = await ExplainedAsync(again.Shed, events => events.Select(e => e.Position.Stream).Distinct().Count() == 2);
            Assert.All(events.Where(e => e.Type == EventTypes.Loss), e => Assert.Equal(("node:node1", "//local/node1/spool"), (e.Subject, e.Source)));
        }
    }

    [Fact]
    public async Task What_the_disk_lost_is_named_after_the_next_start_and_only_once()
    {
        await using (var node = await SpoolingNode.StartAsync(_folder, SpoolingNode.Options(_folder)))
        {
            for (var i = 0; i < 100; i++) Assert.Equal(StampOutcome.Stored, await node.StampAsync(EventTypes.GuestSilenced, "guestmark.v1.GuestSilenced", [8, 1]));
        }

        var file = Directory.GetFiles(_folder.File("data/spool/keep"), "*.spool").Single();
        var bytes = await File.ReadAllBytesAsync(file);
        var place = bytes.Length / 2;
        bytes.AsSpan(place, 1000).Clear();
        await File.WriteAllBytesAsync(file, bytes);
        for (var start = 0; start < 3; start++)
        {
            await using var node = await SpoolingNode.StartAsync(_folder, SpoolingNode.Options(_folder));
            var events = await ExplainedAsync(node.Keep, events => events.Exists(e => e.Type == EventTypes.Loss));
            var loss = EventLoss.Parser.ParseFrom(Assert.Single(events, e => e.Type == EventTypes.Loss).Data.Span);
            Assert.Equal(LossReason.DiskDamage, loss.Reason);
            Assert.InRange(loss.Last - loss.First, 1UL, 8UL);
        }
    }

    [Fact]
    public async Task The_spool_of_an_older_version_is_taken_over()
    {
        var events = new NodeEvents();
        await using (var spool = EventSpool.Open(new SpoolOptions { Directory = _folder.File("data/spool") }))
        {
            for (var i = 0; i < 10; i++)
            {
                Assert.True(spool.TryAppend(events.Stamp("uid", EventTypes.VmLifecycle, "guestmark.v1.VmLifecycle", [], DateTimeOffset.UnixEpoch).Encoded, out var durable));
                await durable;
            }

            spool.Acknowledge(4);
        }

        await using var node = await SpoolingNode.StartAsync(_folder, SpoolingNode.Options(_folder));
        Assert.Equal((10UL, 4UL, 6UL), (node.Keep.LastIndex, node.Keep.AcknowledgedIndex, node.Keep.Depth));
        Assert.Empty(Directory.GetFiles(_folder.File("data/spool"), "*.spool"));
    }

    [Fact]
    public void A_loss_is_told_by_the_numbers_of_each_stream_that_it_hits()
    {
        var ledger = new StreamLedger();
        for (var i = 1UL; i <= 10; i++) ledger.Add(i, new EventPosition("a", i));
        for (var i = 11UL; i <= 20; i++) ledger.Add(i, new EventPosition("b", i - 10));
        Assert.Equal(
            [new StreamLoss("a", 8, 10, LossReason.SpoolFull, 11), new StreamLoss("b", 1, 3, LossReason.SpoolFull, 11)],
            ledger.Explain(new SpoolLoss(8, 13, SpoolLossReason.Full)));
        Assert.Empty(ledger.Explain(new SpoolLoss(21, 30, SpoolLossReason.Full)));
    }

    [Fact]
    public void Records_missing_between_two_streams_belong_to_the_later_as_far_as_its_numbers_reach()
    {
        var ledger = new StreamLedger();
        ledger.Add(5, new EventPosition("a", 5));
        ledger.Add(11, new EventPosition("b", 3));
        Assert.Equal(
            [new StreamLoss("a", 6, 8, LossReason.DiskDamage, 9), new StreamLoss("b", 1, 2, LossReason.DiskDamage, 4)],
            ledger.Explain(new SpoolLoss(6, 10, SpoolLossReason.Damage)));
    }

    [Fact]
    public void What_a_stored_loss_event_says_is_not_said_again_until_that_event_is_lost()
    {
        var ledger = new StreamLedger();
        for (var i = 1UL; i <= 10; i++) ledger.Add(i, new EventPosition("a", i));
        ledger.Tell(10, "a", new EventLoss { First = 2, Last = 3, Reason = LossReason.SpoolFull });
        Assert.Equal(
            [new StreamLoss("a", 1, 1, LossReason.DiskDamage, 11), new StreamLoss("a", 4, 5, LossReason.DiskDamage, 11)],
            ledger.Explain(new SpoolLoss(1, 5, SpoolLossReason.Damage)));
        Assert.Equal([new StreamLoss("a", 2, 10, LossReason.SpoolFull, 11)], ledger.Explain(new SpoolLoss(4, 10, SpoolLossReason.Full)));
    }

    [Fact]
    public void An_index_that_is_given_again_takes_the_place_of_the_refused_record()
    {
        var ledger = new StreamLedger();
        for (var i = 1UL; i <= 10; i++) ledger.Add(i, new EventPosition("a", i));
        ledger.Add(6, new EventPosition("b", 1));
        Assert.Equal(
            [new StreamLoss("a", 5, 5, LossReason.SpoolFull, 6), new StreamLoss("b", 1, 1, LossReason.SpoolFull, 2)],
            ledger.Explain(new SpoolLoss(5, 6, SpoolLossReason.Full)));
    }

    [Fact]
    public void Numbers_of_records_that_the_disk_refused_are_given_again()
    {
        var ledger = new StreamLedger();
        for (var i = 1UL; i <= 10; i++) ledger.Add(i, new EventPosition("a", i));
        ledger.CutAfter(5);
        Assert.Equal(6UL, ledger.Next("a", 0));
        Assert.Empty(ledger.Explain(new SpoolLoss(6, 10, SpoolLossReason.Full)));
    }

    /// <summary>Waits until the events of a spool, with what its loss events name, are every number of every stream once.</summary>
    static async Task<List<StampedEvent>> ExplainedAsync(EventSpool spool, Func<List<StampedEvent>, bool> complete)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (true)
        {
            var events = new List<StampedEvent>();
            using (var cursor = spool.OpenCursor())
            {
                while ((ulong)events.Count < spool.Depth)
                {
                    foreach (var record in await cursor.ReadAsync(1000, 1 << 30, limit.Token))
                    {
                        Assert.Null(StampedEvent.TryRead(record.Data, out var stamped));
                        events.Add(stamped!);
                    }
                }
            }

            if (complete(events) && events.GroupBy(e => e.Position.Stream).All(IsExplained)) return events;
            Assert.False(limit.IsCancellationRequested, string.Join('\n', events.Where(e => e.Type == EventTypes.Loss).Select(e => $"{e.Position}: {EventLoss.Parser.ParseFrom(e.Data.Span)}")));
            await Task.Yield();
        }
    }

    static bool IsExplained(IGrouping<string, StampedEvent> stream)
    {
        var numbers = stream.Select(e => e.Position.Sequence).ToList();
        foreach (var e in stream.Where(e => e.Type == EventTypes.Loss))
        {
            var loss = EventLoss.Parser.ParseFrom(e.Data.Span);
            for (var n = loss.First; n <= loss.Last; n++) numbers.Add(n);
        }

        numbers.Sort();
        return numbers.SequenceEqual(Enumerable.Range(1, numbers.Count).Select(n => (ulong)n));
    }
}
