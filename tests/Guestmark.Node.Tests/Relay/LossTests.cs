using Guestmark.Events;
using Guestmark.Events.Verification;
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
            [new StreamLoss("a", 8, 10, LossReason.SpoolFull, 11, new(8, 10)), new StreamLoss("b", 1, 3, LossReason.SpoolFull, 11, new(11, 13))],
            ledger.Explain(new SpoolLoss(8, 13, SpoolLossReason.Full)));
    }

    [Fact]
    public void Records_of_which_nothing_says_the_stream_are_told_as_a_stream_of_their_own_once()
    {
        var ledger = new StreamLedger();
        for (var i = 11UL; i <= 20; i++) ledger.Add(i, new EventPosition("b", i - 10));
        var before = new StreamLoss(null, 1, 10, LossReason.DiskDamage, 11, new(1, 10));
        Assert.Equal([before, new StreamLoss("b", 1, 2, LossReason.DiskDamage, 11, new(11, 12))], ledger.Explain(new SpoolLoss(1, 12, SpoolLossReason.Damage)));
        Assert.Equal([new StreamLoss(null, 1, 3, LossReason.DiskDamage, 4, new(21, 23))], ledger.Explain(new SpoolLoss(21, 23, SpoolLossReason.Damage)));

        // As a later start sees it: the event stands behind a gap, which is none of its stream's.
        ledger.Add(30, new EventPosition("u", 11), isLoss: true);
        ledger.Tell(30, "u", new EventLoss { First = 1, Last = 10, Reason = LossReason.DiskDamage, FirstRecord = 1, LastRecord = 10 });
        Assert.Empty(ledger.Explain(new SpoolLoss(2, 10, SpoolLossReason.Damage)));
        Assert.Equal([new StreamLoss("b", 11, 19, LossReason.DiskDamage, 20, new(21, 29))], ledger.Explain(new SpoolLoss(21, 29, SpoolLossReason.Damage)));

        // It is lost itself: what it told, and its own number.
        Assert.Equal(
            [new StreamLoss("u", 1, 10, LossReason.DiskDamage, 12, new(1, 10)), new StreamLoss("u", 11, 11, LossReason.DiskDamage, 12, new(30, 30))],
            ledger.Explain(new SpoolLoss(30, 30, SpoolLossReason.Damage)));
    }

    [Theory]
    [InlineData(0, 20)]
    [InlineData(1, 20)]
    [InlineData(2, 20)]
    public async Task A_segment_that_is_gone_is_named_after_the_next_start_and_only_once(int which, int count)
    {
        // Each start has a stream and a segment of its own.
        for (var start = 0; start < 3; start++)
        {
            await using var node = await SpoolingNode.StartAsync(_folder, SpoolingNode.Options(_folder));
            for (var i = 0; i < count; i++) Assert.Equal(StampOutcome.Stored, await node.StampAsync(EventTypes.GuestSilenced, "guestmark.v1.GuestSilenced", [8, 1]));
        }

        File.Delete(Directory.GetFiles(_folder.File("data/spool/keep"), "*.spool").Order(StringComparer.Ordinal).ElementAt(which));
        for (var start = 0; start < 3; start++)
        {
            await using var node = await SpoolingNode.StartAsync(_folder, SpoolingNode.Options(_folder));
            Assert.Equal(count, node.Counter("guestmark.spool.dropped keep Damage"));
            var events = await ExplainedAsync(node.Keep, events => events.Exists(e => e.Type == EventTypes.Loss));
            var loss = EventLoss.Parser.ParseFrom(Assert.Single(events, e => e.Type == EventTypes.Loss).Data.Span);
            Assert.Equal((LossReason.DiskDamage, (ulong)count), (loss.Reason, loss.Last - loss.First + 1));
            Assert.Equal(((ulong)(which * count) + 1, (ulong)((which + 1) * count)), (loss.FirstRecord, loss.LastRecord));

            // What somebody sees who audits an export.
            var audit = new StreamAudit();
            foreach (var one in events) audit.Add(one);
            var gap = Assert.Single(audit.Streams().SelectMany(stream => stream.Gaps));
            Assert.Equal((LossReason.DiskDamage, (ulong)count), (gap.Reason, gap.Range.Count));
        }
    }

    [Fact]
    public void Records_missing_between_two_streams_belong_to_the_later_as_far_as_its_numbers_reach()
    {
        var ledger = new StreamLedger();
        ledger.Add(5, new EventPosition("a", 5));
        ledger.Add(11, new EventPosition("b", 3));
        Assert.Equal(
            [new StreamLoss("a", 6, 8, LossReason.DiskDamage, 9, new(6, 8)), new StreamLoss("b", 1, 2, LossReason.DiskDamage, 4, new(9, 10))],
            ledger.Explain(new SpoolLoss(6, 10, SpoolLossReason.Damage)));
    }

    [Fact]
    public void What_a_stored_loss_event_says_is_not_said_again_until_that_event_is_lost()
    {
        var ledger = new StreamLedger();
        for (var i = 1UL; i <= 10; i++) ledger.Add(i, new EventPosition("a", i));
        ledger.Tell(10, "a", new EventLoss { First = 2, Last = 3, Reason = LossReason.SpoolFull });
        Assert.Equal(
            [new StreamLoss("a", 1, 1, LossReason.DiskDamage, 11, new(1, 1)), new StreamLoss("a", 4, 5, LossReason.DiskDamage, 11, new(4, 5))],
            ledger.Explain(new SpoolLoss(1, 5, SpoolLossReason.Damage)));
        Assert.Equal([new StreamLoss("a", 2, 10, LossReason.SpoolFull, 11, new(4, 10))], ledger.Explain(new SpoolLoss(4, 10, SpoolLossReason.Full)));
    }

    [Fact]
    public void An_index_that_is_given_again_takes_the_place_of_the_refused_record()
    {
        var ledger = new StreamLedger();
        for (var i = 1UL; i <= 10; i++) ledger.Add(i, new EventPosition("a", i));
        ledger.Add(6, new EventPosition("b", 1));
        Assert.Equal(
            [new StreamLoss("a", 5, 5, LossReason.SpoolFull, 6, new(5, 5)), new StreamLoss("b", 1, 1, LossReason.SpoolFull, 2, new(6, 6))],
            ledger.Explain(new SpoolLoss(5, 6, SpoolLossReason.Full)));
    }

    [Fact]
    public void Numbers_of_records_that_the_disk_refused_are_given_again()
    {
        var ledger = new StreamLedger();
        for (var i = 1UL; i <= 10; i++) ledger.Add(i, new EventPosition("a", i));
        ledger.CutAfter(5);
        Assert.Equal(6UL, ledger.Next("a", 0));
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
