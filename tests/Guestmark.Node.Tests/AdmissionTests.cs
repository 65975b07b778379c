using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;

namespace Guestmark.Node.Tests;

/// <summary>Establishes what one guest can take of the host when others want it too.</summary>
public sealed class AdmissionTests
{
    static readonly byte[] Report = new VMReport { IndexReport = new IndexReport { VmId = "x" } }.ToByteArray();

    /// <summary>The same with field 3, trigger, as REACTIVE.</summary>
    static readonly byte[] Reactive = [.. Report, 3 << 3, 2];

    [Fact]
    public void A_bucket_lets_a_burst_pass_and_then_its_rate()
    {
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        var limits = new GuestLimits { MessagesPerSecond = 10, MessagesBurst = 5, BytesPerSecond = 0 };
        var share = Share(limits, time);
        for (var i = 0; i < 5; i++) Assert.Equal(TimeSpan.Zero, share.Admit(1));
        Assert.Equal(TimeSpan.FromMilliseconds(100), share.Admit(1));
        time.Advance(TimeSpan.FromMilliseconds(100));
        Assert.Equal(TimeSpan.Zero, share.Admit(1));
        Assert.NotEqual(TimeSpan.Zero, share.Admit(1));

        // However long nothing comes, no more than a burst gathers.
        time.Advance(TimeSpan.FromHours(1));
        for (var i = 0; i < 5; i++) Assert.Equal(TimeSpan.Zero, share.Admit(1));
        Assert.NotEqual(TimeSpan.Zero, share.Admit(1));
    }

    [Fact]
    public void A_message_that_is_refused_for_its_bytes_takes_no_message_of_the_rate()
    {
        var share = Share(new GuestLimits { MessagesPerSecond = 1, MessagesBurst = 2, BytesPerSecond = 100, BytesBurst = 1000 }, new ManualTimeProvider());
        Assert.Equal(TimeSpan.Zero, share.Admit(1000));
        Assert.Equal(TimeSpan.FromSeconds(5), share.Admit(500));
        Assert.Equal(TimeSpan.Zero, share.Admit(0));
    }

    [Fact]
    public void Guests_that_all_want_more_get_bytes_by_their_weights()
    {
        var order = new FairOrder(1000);
        FairFlow[] flows = [new(1), new(1), new(3)];
        int[] sizes = [1000, 100, 200];
        var waiting = new List<(int Guest, Task Turn)>();
        var served = new long[3];
        Assert.True(order.TryTake(new FairFlow(1), 1000));
        foreach (var guest in new[] { 0, 1, 2 })
        {
            // The greedy one asks on a hundred connections, the others on a few.
            for (var i = 0; i < 300_000 / sizes[guest]; i++) waiting.Add((guest, order.TakeAsync(flows[guest], sizes[guest])));
        }

        order.Return(1000);
        while (served.Sum() < 250_000)
        {
            var turns = waiting.FindAll(w => w.Turn.IsCompleted);
            Assert.NotEmpty(turns);
            Assert.True(order.Outstanding <= 1000);
            waiting.RemoveAll(w => w.Turn.IsCompleted);
            foreach (var (guest, _) in turns)
            {
                served[guest] += sizes[guest];
                order.Return(sizes[guest]);
            }
        }

        Assert.InRange(served[0] / 50_000.0, 0.95, 1.05);
        Assert.InRange(served[1] / 50_000.0, 0.95, 1.05);
        Assert.InRange(served[2] / 150_000.0, 0.95, 1.05);
    }

    [Fact]
    public void A_guest_that_comes_late_is_next_and_does_not_make_up_for_its_silence()
    {
        var order = new FairOrder(100);
        var greedy = new FairFlow(1);
        var late = new FairFlow(1);
        Assert.True(order.TryTake(greedy, 100));
        var queue = Enumerable.Range(0, 100).Select(_ => order.TakeAsync(greedy, 100)).ToList();
        for (var i = 0; i < 50; i++) order.Return(100);
        var first = order.TakeAsync(late, 100);
        var second = order.TakeAsync(late, 100);
        order.Return(100);
        order.Return(100);
        Assert.True(first.IsCompleted);
        var before = queue.Count(turn => turn.IsCompleted);
        order.Return(100);
        order.Return(100);
        Assert.True(second.IsCompleted);
        Assert.True(queue.Count(turn => turn.IsCompleted) >= before);
        Assert.False(queue[^1].IsCompleted);
    }

    [Fact]
    public void A_message_larger_than_all_that_may_be_under_way_passes_alone()
    {
        var order = new FairOrder(10);
        var flow = new FairFlow(1);
        Assert.True(order.TryTake(flow, 1000));
        var next = order.TakeAsync(flow, 1);
        Assert.False(next.IsCompleted);
        order.Return(1000);
        Assert.True(next.IsCompleted);
    }

    [Fact]
    public void Memory_is_left_for_the_next_guest_however_many_hold_all_they_can()
    {
        var pool = new MessageMemoryPool(() => 1 << 20);
        for (var guests = 1; guests <= 15; guests++)
        {
            var guest = new MessageMemory(pool);
            while (guest.TryTake(1024))
            {
            }

            Assert.True(guest.Held >= 1024, $"guest {guests} got nothing");
            Assert.True(pool.Taken < 1 << 20);
        }
    }

    [Fact]
    public async Task A_guest_over_its_rate_is_told_so_and_slowed_and_others_are_not()
    {
        await using var node = await RunningNode.StartAsync(options => options with
        {
            Limits = new GuestLimits { MessagesPerSecond = 20, MessagesBurst = 10, ReactivePerMinute = 0 },
        });
        using var socket = await node.ConnectAsync("web1");
        var flood = Enumerable.Repeat(RunningNode.Frame(Report), 30).SelectMany(frame => frame).ToArray();
        var started = TimeProvider.System.GetTimestamp();
        await socket.SendAsync(flood);
        var statuses = new List<PushStatus?>();
        for (var i = 0; i < 30; i++) statuses.Add(await RunningNode.ReceiveAsync(socket));
        var elapsed = TimeProvider.System.GetElapsedTime(started);
        Assert.All(statuses.Take(10), status => Assert.Equal(PushStatus.Stored, status));
        Assert.Contains(PushStatus.TooManyMessages, statuses);
        Assert.All(statuses, status => Assert.True(status is PushStatus.Stored or PushStatus.TooManyMessages));

        // However slow the machine is that runs the test: what passed is the burst and what the rate allowed in that time.
        Assert.True(statuses.Count(s => s == PushStatus.Stored) <= 10 + (elapsed.TotalSeconds * 20) + 1, $"{elapsed}");
        Assert.Equal(statuses.Count(s => s == PushStatus.Stored), (await node.EventsAsync()).Count(e => e.Type == EventTypes.InventoryReport));
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web2", RunningNode.Frame(Report)));
    }

    [Fact]
    public async Task A_few_reactive_reports_pass_the_limit()
    {
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        await using var node = await RunningNode.StartAsync(
            options => options with
            {
                Limits = new GuestLimits { MessagesPerSecond = 0.001, MessagesBurst = 1, ReactivePerMinute = 60, ReactiveBurst = 2 },
            },
            time);
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(Report)));
        Assert.Equal(PushStatus.TooManyMessages, await node.SendAsync("web1", RunningNode.Frame(Report)));
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(Reactive)));
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(Reactive)));
        Assert.Equal(PushStatus.TooManyMessages, await node.SendAsync("web1", RunningNode.Frame(Reactive)));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(Reactive)));
    }

    [Fact]
    public async Task The_same_report_again_and_again_ends_at_the_rate()
    {
        await using var node = await RunningNode.StartAsync(options => options with { Limits = new GuestLimits { MessagesPerSecond = 1, MessagesBurst = 50 } });
        using var socket = await node.ConnectAsync("web1");
        var stored = 0;
        for (var i = 0; i < 52; i++)
        {
            await socket.SendAsync(RunningNode.Frame(Report));
            if (await RunningNode.ReceiveAsync(socket) == PushStatus.Stored) stored++;
        }

        Assert.InRange(stored, 50, 52);
        Assert.Equal(stored, (await node.EventsAsync()).Where(e => e.Type == EventTypes.InventoryReport).Select(e => e.Id).Distinct().Count());
    }

    [Fact]
    public async Task Connections_of_all_guests_together_are_bounded_and_a_place_that_is_free_is_used()
    {
        await using var node = await RunningNode.StartAsync(options => options with { Limits = new GuestLimits { ConnectionsMax = 2, ConnectionsPerGuestMax = 8 } });
        using var first = await OpenAsync("web1");
        var second = await OpenAsync("web1");
        using (var third = await node.ConnectAsync("web2")) Assert.Null(await RunningNode.ReceiveAsync(third));
        second.Dispose();
        await IdentityTests.WaitForAsync(async () =>
        {
            using var again = await node.ConnectAsync("web2");
            try
            {
                await again.SendAsync(RunningNode.Frame(Report));
                return await RunningNode.ReceiveAsync(again) == PushStatus.Stored;
            }
            catch (SocketException)
            {
                return false;
            }
        });

        async Task<Socket> OpenAsync(string guest)
        {
            var socket = await node.ConnectAsync(guest);
            await socket.SendAsync(RunningNode.Frame(Report));
            Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
            return socket;
        }
    }

    static GuestShare Share(GuestLimits limits, TimeProvider time) => new(() => limits, new MessageMemoryPool(() => 1 << 20), 1, time);
}
