using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Identity;
using Guestmark.Node.Tests.Cells;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Node.Tests;

/// <summary>Establishes that on each port of a guest's socket is spoken what the configuration says of that port, and that all of it is the guest's.</summary>
public sealed class UnixListenerTests
{
    static readonly VMReport Report = new() { IndexReport = new IndexReport { IndexV4 = new() { State = "IndexFinished" } } };

    [Fact]
    public async Task Each_port_of_every_guest_speaks_its_own_protocol()
    {
        await using var node = await StartAsync();
        Assert.False(File.Exists(Socket(node, "web1", 818)));
        foreach (var guest in new[] { "web1", "web2" })
        {
            using (var push = await ConnectAsync(node, guest, 1024))
            {
                await push.SendAsync(RunningNode.Frame(Report.ToByteArray()));
                Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(push));
            }

            using (var raw = await ConnectAsync(node, guest, 10818))
            {
                await raw.SendAsync(Report.ToByteArray());
                raw.Shutdown(SocketShutdown.Send);
                await IdentityTests.WaitForAsync(async () => (await OfAsync(node, guest, EventTypes.InventoryReport)).Count == 2);
            }

            using var cells = await ConnectAsync(node, guest, 9001);
            await cells.SendAsync(CellNode.Frame("process.spawned", 9, "sh", 7));
            await IdentityTests.WaitForAsync(async () => (await OfAsync(node, guest, EventTypes.GuestDeclaration)).Count == 1);

            var reports = await OfAsync(node, guest, EventTypes.InventoryReport);
            Assert.Equal(["1024", "10818"], reports.Select(stored => stored.Attribute("guestport")));
            var declared = Assert.Single(await OfAsync(node, guest, EventTypes.GuestDeclaration));
            Assert.Equal(("9001", null, $"//local/node1/{guest}"), (declared.Attribute("guestport"), declared.Attribute("cellid"), declared.Source));
            Assert.Equal("sh", Assert.Single(DeclarationBatch.Parser.ParseFrom(declared.Data.Span).Declarations).GuestComm);
        }
    }

    [Fact]
    public async Task All_ports_of_a_guest_go_with_it_and_come_back_when_a_file_was_removed()
    {
        await using var node = await StartAsync();
        uint[] ports = [1024, 10818, 9001];
        Assert.All(ports, port => Assert.True(File.Exists(Socket(node, "web1", port))));
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        using var open = await ConnectAsync(node, "web1", 9001);
        await open.SendAsync(CellNode.Frame("process.spawned", 9, "sh", 7));
        await IdentityTests.WaitForAsync(async () => (await OfAsync(node, "web1", EventTypes.GuestDeclaration)).Count == 1);
        Assert.Empty(registry.Replace(GuestSource.Configuration, [.. node.Options.Guests.Where(guest => guest.Name == "web2")]));
        Assert.Null(await RunningNode.ReceiveAsync(open));
        await IdentityTests.WaitForAsync(() => Task.FromResult(ports.All(port => !File.Exists(Socket(node, "web1", port)))));
        Assert.All(ports, port => Assert.True(File.Exists(Socket(node, "web2", port))));
        Assert.Empty(registry.Replace(GuestSource.Configuration, node.Options.Guests));
        await IdentityTests.WaitForAsync(() => Task.FromResult(ports.All(port => File.Exists(Socket(node, "web1", port)))));
    }

    [Fact]
    public void A_port_twice_and_a_path_that_is_too_long_for_its_longest_port_are_refused()
    {
        var options = new NodeOptions
        {
            DataDirectory = "/nonexistent",
            Certificates = "/nonexistent",
            SensorEndpoint = new Uri("https://127.0.0.1:1"),
            Guests = [new GuestOptions { Uid = "a", Name = "a", SocketBase = "/" + new string('s', 102) }],
        };
        Assert.Empty(options.Validate());
        Assert.Contains("has 109 bytes", Assert.Single((options with { UnixListeners = [new() { Port = 818 }, new() { Port = 10818 }] }).Validate()), StringComparison.Ordinal);
        Assert.Contains("Unix listener 819 is given 2 times",
            Assert.Single((options with { UnixListeners = [new() { Port = 819 }, new() { Port = 819, Protocol = GuestProtocol.StackRoxPush }] }).Validate()), StringComparison.Ordinal);
    }

    static Task<RunningNode> StartAsync() => RunningNode.StartAsync(options => options with
    {
        UnixListeners =
        [
            new UnixListenerOptions { Port = 1024 }, new UnixListenerOptions { Port = 10818, Protocol = GuestProtocol.StackRoxPush },
            new UnixListenerOptions { Port = 9001, Protocol = GuestProtocol.Cells },
        ],
    });

    static string Socket(RunningNode node, string guest, uint port) => node.Options.Guests.Single(g => g.Name == guest).SocketPath(port);

    static async Task<Socket> ConnectAsync(RunningNode node, string guest, uint port)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Socket(node, guest, port)));
        return socket;
    }

    static async Task<List<StampedEvent>> OfAsync(RunningNode node, string guest, string type) =>
        [.. (await node.EventsAsync()).Where(stored => stored.Type == type && stored.Subject == $"uid-{guest}")];
}
