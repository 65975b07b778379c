using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.TestKit;
using Guestmark.Wire.Reports;

namespace Guestmark.Node.Tests;

/// <summary>Establishes what agents of StackRox 4.9 to 4.11 can push: a body to the end of the stream, without an answer.</summary>
public sealed class StackRoxPushTests
{
    static readonly VMReport Report = new() { IndexReport = new IndexReport { VsockCid = "7", VmId = "vm", IndexV4 = new() { State = new string('s', 300) } } };

    [Fact]
    public async Task A_report_is_stored_byte_for_byte_when_the_stream_ends()
    {
        await using var node = await StartAsync(GuestProtocol.StackRoxPush);
        await SendAsync(node, Report.ToByteArray());
        var stored = await StoredAsync(node);
        Assert.Equal(Report.ToByteArray(), stored.Data.ToArray());
        // The registry's, with which the report's was compared.
        Assert.Equal("7", stored.Attribute("guestcid"));
    }

    [Fact]
    public async Task A_bare_index_report_of_4_9_0_is_stored_as_the_report_that_has_it()
    {
        await using var node = await StartAsync(GuestProtocol.StackRoxIndexPush);
        await SendAsync(node, Report.IndexReport.ToByteArray());
        Assert.Equal(Report.ToByteArray(), (await StoredAsync(node)).Data.ToArray());
    }

    [Fact]
    public async Task What_belongs_to_the_other_version_is_refused()
    {
        await using (var node = await StartAsync(GuestProtocol.StackRoxPush))
        {
            await SendAsync(node, Report.IndexReport.ToByteArray());
            Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
        }

        await using (var node = await StartAsync(GuestProtocol.StackRoxIndexPush))
        {
            await SendAsync(node, Report.ToByteArray());
            Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
        }
    }

    [Fact]
    public async Task A_claim_of_another_context_id_is_refused_and_an_event()
    {
        await using var node = await StartAsync(GuestProtocol.StackRoxPush);
        var forged = Report.Clone();
        forged.IndexReport.VsockCid = "8";
        await SendAsync(node, forged.ToByteArray());
        await IdentityTests.WaitForAsync(async () => (await node.EventsAsync()).Any(e => e.Type == EventTypes.GuestRefused));
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
    }

    [Fact]
    public async Task One_that_does_not_end_is_ended_after_ten_seconds_and_one_that_is_too_long_at_once()
    {
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        await using var node = await StartAsync(GuestProtocol.StackRoxPush, time);
        using var slow = await node.ConnectAsync("seven");
        await slow.SendAsync(Report.ToByteArray());
        await IdentityTests.WaitForAsync(() =>
        {
            time.Advance(TimeSpan.FromSeconds(10));
            return Task.FromResult(slow.Poll(0, SelectMode.SelectRead));
        });
        Assert.Null(await RunningNode.ReceiveAsync(slow));

        using var endless = await node.ConnectAsync("seven");
        var part = new byte[1 << 20];
        await Assert.ThrowsAsync<SocketException>(async () =>
        {
            for (var i = 0; i < 20; i++) await endless.SendAsync(part);
        });
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
    }

    static Task<RunningNode> StartAsync(GuestProtocol protocol, TimeProvider? time = null) => RunningNode.StartAsync(
        options => options with
        {
            PushProtocol = protocol,
            Guests = [new GuestOptions { Uid = "uid-7", Name = "seven", Cid = 7, SocketBase = Path.Combine(Path.GetDirectoryName(options.Certificates)!, "seven") }],
        },
        time);

    static async Task SendAsync(RunningNode node, byte[] body)
    {
        using var socket = await node.ConnectAsync("seven");
        await socket.SendAsync(body);
        socket.Shutdown(SocketShutdown.Send);
        Assert.Null(await RunningNode.ReceiveAsync(socket));
    }

    static async Task<StampedEvent> StoredAsync(RunningNode node) => Assert.Single(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
}
