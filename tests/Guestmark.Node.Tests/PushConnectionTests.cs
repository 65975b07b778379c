using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;

namespace Guestmark.Node.Tests;

/// <summary>Establishes what a guest can and cannot do on its socket: what is stored, how it is attributed, and how everything else is refused.</summary>
public sealed class PushConnectionTests
{
    static readonly byte[] Report = new VMReport { IndexReport = new IndexReport { VsockCid = "77", VmId = "uid-of-another" } }.ToByteArray();

    [Fact]
    public async Task A_report_is_stored_byte_for_byte_under_the_identity_of_its_socket()
    {
        await using var node = await RunningNode.StartAsync();
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web2", RunningNode.Frame(Report)));

        var stored = (await node.EventsAsync()).Single(e => e.Type == EventTypes.InventoryReport);
        Assert.Equal("//local/node1/web2", stored.Source);
        Assert.Equal("uid-web2", stored.Subject);
        Assert.Equal(Report, stored.Data.ToArray());
    }

    [Fact]
    public async Task The_machines_are_announced_at_start()
    {
        await using var node = await RunningNode.StartAsync();
        await node.SendAsync("web1", RunningNode.Frame(Report));
        await IdentityTests.WaitForAsync(async () => (await node.EventsAsync()).Count == 3);
        var announced = (await node.EventsAsync()).Where(e => e.Type == EventTypes.VmLifecycle).ToList();
        Assert.Equal(["uid-web1", "uid-web2"], announced.Select(e => e.Subject));
        Assert.Equal(["web1", "web2"], announced.Select(e => VmLifecycle.Parser.ParseFrom(e.Data.Span).Name));
    }

    [Fact]
    public async Task Many_messages_on_one_connection_are_numbered_without_a_gap()
    {
        await using var node = await RunningNode.StartAsync();
        using var socket = await node.ConnectAsync("web1");
        for (var i = 0; i < 100; i++)
        {
            await socket.SendAsync(RunningNode.Frame(Report));
            Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
        }

        var events = await node.EventsAsync();
        Assert.Equal(102, events.Count);
        Assert.Equal(Enumerable.Range(1, 102).Select(i => (ulong)i), events.Select(e => e.Position.Sequence));
        Assert.Single(events.Select(e => e.Position.Stream).Distinct());
    }

    [Fact]
    public async Task A_message_that_comes_byte_by_byte_is_stored()
    {
        await using var node = await RunningNode.StartAsync();
        using var socket = await node.ConnectAsync("web1");
        foreach (var b in RunningNode.Frame(Report)) await socket.SendAsync(new[] { b });
        Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
    }

    [Fact]
    public async Task A_report_of_several_megabytes_is_stored()
    {
        await using var node = await RunningNode.StartAsync();
        var large = new VMReport { IndexReport = new IndexReport { IndexV4 = new() { Err = new string('x', 5_000_000) } } }.ToByteArray();
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(large)));
        Assert.Contains(await node.EventsAsync(), e => e.Data.Length == large.Length);
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 0 }, PushStatus.EmptyBody)]
    [InlineData(new byte[] { 255, 255, 255, 255, 1, 2, 3 }, PushStatus.BodyTooLong)]
    [InlineData(new byte[] { 1, 0, 0, 1, 1, 2, 3 }, PushStatus.BodyTooLong)]
    [InlineData(new byte[] { 4, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef }, PushStatus.Malformed)]
    public async Task What_is_no_report_is_refused_with_its_status_and_nothing_is_stored(byte[] bytes, PushStatus expected)
    {
        await using var node = await RunningNode.StartAsync();
        Assert.Equal(expected, await node.SendAsync("web1", bytes));
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);

        // And the node goes on.
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(Report)));
    }

    [Fact]
    public async Task After_garbage_of_the_right_length_the_connection_goes_on()
    {
        await using var node = await RunningNode.StartAsync();
        using var socket = await node.ConnectAsync("web1");
        await socket.SendAsync(RunningNode.Frame([0xff, 0xff, 0xff]));
        Assert.Equal(PushStatus.Malformed, await RunningNode.ReceiveAsync(socket));
        await socket.SendAsync(RunningNode.Frame(Report));
        Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
    }

    [Fact]
    public async Task A_message_that_is_cut_is_not_stored()
    {
        await using var node = await RunningNode.StartAsync();
        using (var socket = await node.ConnectAsync("web1"))
        {
            await socket.SendAsync(RunningNode.Frame(Report).AsMemory(0, 10));
            socket.Shutdown(SocketShutdown.Send);
            Assert.Null(await RunningNode.ReceiveAsync(socket));
        }

        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
    }

    [Fact]
    public async Task A_message_that_takes_too_long_is_ended_with_a_status()
    {
        await using var node = await RunningNode.StartAsync(options => options with { MessageTimeout = TimeSpan.FromMilliseconds(50) });
        using var socket = await node.ConnectAsync("web1");
        await socket.SendAsync(new byte[] { 100, 0 });
        Assert.Equal(PushStatus.DeadlineExceeded, await RunningNode.ReceiveAsync(socket));
        Assert.Null(await RunningNode.ReceiveAsync(socket));
    }

    [Fact]
    public async Task A_connection_that_says_nothing_is_closed()
    {
        await using var node = await RunningNode.StartAsync(options => options with { IdleTimeout = TimeSpan.FromMilliseconds(50) });
        using var socket = await node.ConnectAsync("web1");
        Assert.Null(await RunningNode.ReceiveAsync(socket));
    }

    [Fact]
    public async Task A_guest_over_its_connections_is_refused_and_others_are_not()
    {
        await using var node = await RunningNode.StartAsync(options => options with { Limits = new GuestLimits { ConnectionsPerGuestMax = 2 } });
        using var first = await OpenAsync("web1");
        using var second = await OpenAsync("web1");
        using var third = await node.ConnectAsync("web1");
        Assert.Equal(PushStatus.TooManyConnections, await RunningNode.ReceiveAsync(third));
        using var other = await OpenAsync("web2");

        async Task<Socket> OpenAsync(string guest)
        {
            var socket = await node.ConnectAsync(guest);
            await socket.SendAsync(RunningNode.Frame(Report));
            Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
            return socket;
        }
    }

    [Fact]
    public async Task A_guest_that_has_closed_its_connections_may_open_others_at_once()
    {
        await using var node = await RunningNode.StartAsync(options => options with
        {
            Limits = RunningNode.Unlimited with { ConnectionsPerGuestMax = 8 },
        });
        // The node need not have read the ends of those before when it accepts the next.
        for (var i = 0; i < 500; i++)
        {
            using var socket = await node.ConnectAsync("web1");
            await socket.SendAsync(RunningNode.Frame([0xff]));
            Assert.Equal(PushStatus.Malformed, await RunningNode.ReceiveAsync(socket));
        }
    }

    [Fact]
    public async Task A_full_spool_answers_unavailable_and_promises_nothing()
    {
        await using var node = await RunningNode.StartAsync(options => options with { SpoolBytesMax = 136L << 20, Limits = RunningNode.Unlimited with { SpoolShare = 100 } });
        var large = RunningNode.Frame(new VMReport { IndexReport = new IndexReport { IndexV4 = new() { Err = new string('x', 15_000_000) } } }.ToByteArray());
        var statuses = new List<PushStatus?>();
        for (var i = 0; i < 11; i++) statuses.Add(await node.SendAsync("web1", large));
        Assert.Equal(PushStatus.Unavailable, statuses[^1]);
        Assert.Equal(statuses.Count(status => status == PushStatus.Stored), (await node.EventsAsync()).Count(e => e.Type == EventTypes.InventoryReport));

        // A refused report uses up no number: the next one, which is small enough, follows without a gap.
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(Report)));
        var numbers = (await node.EventsAsync()).Select(e => e.Position.Sequence).ToList();
        Assert.Equal(Enumerable.Range(1, numbers.Count).Select(i => (ulong)i), numbers);
    }

    [Fact]
    public async Task Ten_thousand_forged_bodies_never_change_an_attribution()
    {
        await using var node = await RunningNode.StartAsync(options => options with { Limits = RunningNode.Unlimited });
        using var socket = await node.ConnectAsync("web1");
        var stored = 0;
        for (var seed = 0; seed < 10_000; seed++)
        {
            var random = new Random(seed);
            byte[] body = [.. Report, .. new byte[random.Next(1, 20)]];
            for (var change = random.Next(1, 8); change > 0; change--) body[random.Next(body.Length)] = (byte)random.Next(256);
            await socket.SendAsync(RunningNode.Frame(body));
            var status = await RunningNode.ReceiveAsync(socket);
            Assert.True(status is PushStatus.Stored or PushStatus.Malformed, $"{status}");
            if (status == PushStatus.Stored) stored++;
        }

        var reports = (await node.EventsAsync()).Where(e => e.Type == EventTypes.InventoryReport).ToList();
        Assert.Equal(stored, reports.Count);
        Assert.All(reports, e => Assert.Equal(("uid-web1", "//local/node1/web1"), (e.Subject, e.Source)));
    }
}
