using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Google.Protobuf;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.Node.Protocols;
using Guestmark.Rpc;
using Guestmark.Rpc.Guests;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Node.Tests;

/// <summary>Establishes what a sensor that has gone wrong can do to a node that follows its list of guests: nothing but be refused.</summary>
public sealed class SensorRegistryTests
{
    static readonly GuestEntry Good = new() { Uid = "uid-good", Name = "good", SocketBase = "/proc/absent/good", Cid = 40 };

    [Fact]
    public async Task A_list_with_anything_wrong_in_it_is_refused_whole_and_the_one_before_stays()
    {
        await using var sensor = new FakeSensor();
        await using var node = await RunningNode.StartAsync(sensor.Configure);
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        ulong generation = 1;
        await sensor.SendAsync(GuestListing.Encode(generation, [Good]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Find("uid-good") is not null));

        foreach (var wrong in WrongLists(node))
        {
            wrong.Generation = wrong.Generation == 0 ? ++generation : 0;
            await sensor.SendAsync(wrong);
            // What follows it on the same call is taken: the wrong one was looked at and had no effect.
            await sensor.SendAsync(GuestListing.Encode(++generation, [Good, Good with { Uid = $"uid-{generation}", Name = $"g{generation}", Cid = 41, SocketBase = "/proc/absent/next" }]));
            await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Find($"uid-{generation}") is not null));
            Assert.Equal([$"uid-{generation}", "uid-good", "uid-web1", "uid-web2"], registry.All.Select(channel => channel.Guest.Uid).Order(StringComparer.Ordinal));
            await sensor.SendAsync(GuestListing.Encode(++generation, [Good]));
            await IdentityTests.WaitForAsync(() => Task.FromResult(registry.All.Count == 3));
        }

        // What is kept is the last that was good, and nothing of the wrong ones.
        await IdentityTests.WaitForAsync(async () =>
            (await File.ReadAllTextAsync(Path.Combine(node.Options.DataDirectory, "guests.json"))).Contains($"\"generation\": {generation},", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Bytes_that_are_no_list_or_too_many_end_the_call_and_the_node_asks_again()
    {
        await using var sensor = new FakeSensor();
        await using var node = await RunningNode.StartAsync(sensor.Configure);
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        await sensor.SendAsync(GuestListing.Encode(1, [Good]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Find("uid-good") is not null));

        // A guest that is no message; 524,289 guests of no bytes, each of which would be an object.
        byte[] half = [0x12, 0x7f, 0x0a];
        var empty = new byte[GuestListing.ListBytesMax + 2];
        for (var i = 0; i < empty.Length; i += 2) empty[i] = 0x12;
        foreach (var bytes in new[] { half, empty })
        {
            var calls = sensor.Calls;
            await sensor.SendAsync(new RawMessage(bytes));
            await IdentityTests.WaitForAsync(() => Task.FromResult(sensor.Calls > calls && sensor.Open == 1));
            Assert.Equal(3, registry.All.Count);
        }

        // A name that is not UTF-8.
        sensor.ForgetUnread();
        await sensor.SendAsync(new RawMessage(new byte[] { 0x08, 0x05, 0x12, 0x05, 0x12, 0x01, 0xe9, 0x20, 0x30 }));
        await sensor.WaitUntilReadAsync();
        await sensor.SendAsync(GuestListing.Encode(6, [Good, new GuestEntry { Uid = "uid-next", Name = "next", Cid = 41 }]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Find("uid-next") is not null));
        Assert.Equal(4, registry.All.Count);
        await sensor.SendAsync(GuestListing.Encode(2, []));
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.All.Count == 2));
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_list_is_refused_with_words_or_makes_guests_that_can_be_served()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var asked) ? asked : 2000;
        var random = new Random(20261121);
        var options = new NodeOptions { Node = "node1", DataDirectory = "/nonexistent", Certificates = "/nonexistent", SensorEndpoint = new Uri("https://127.0.0.1:1") };
        var seed = GuestListing.Encode(7, [Good, Good with { Uid = null, Name = "b", SocketBase = null, Cid = 41, BootEpoch = "epoch", NetworkNamespace = 4026531840, Weight = 9 }]).ToByteArray();
        var taken = 0;
        for (var i = 0; i < inputs; i++)
        {
            var bytes = seed.ToArray();
            for (var damage = random.Next(1, 5); damage > 0; damage--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            WatchGuestsResponse list;
            try
            {
                list = WatchGuestsResponse.Parser.ParseFrom(bytes);
            }
            catch (InvalidProtocolBufferException)
            {
                continue;
            }

            if (GuestListing.Decode(list, out var guests) is not null) continue;
            var registry = new GuestRegistry(new NodeConfiguration(options), TimeProvider.System);
            var errors = registry.Replace(GuestSource.Sensor, [.. guests.Select(guest => GuestOptions.Of(guest, options))]);
            if (errors.Count > 0) continue;
            taken++;
            foreach (var channel in registry.All)
            {
                Assert.True(NodeOptions.IsName(channel.Guest.Name));
                Assert.InRange(channel.Guest.Uid.Length, 1, 128);
                if (channel.Guest.SocketBase is not null) _ = new UnixDomainSocketEndPoint(channel.Guest.SocketPath(818));
                else Assert.InRange(channel.Guest.Cid!.Value, 3u, uint.MaxValue - 1);
            }
        }

        Assert.True(taken > 0, "no damage was small enough");
    }

    [Fact]
    public async Task A_list_that_contradicts_the_nodes_own_guests_is_taken_when_these_give_way()
    {
        await using var sensor = new FakeSensor();
        await using var node = await RunningNode.StartAsync(sensor.Configure);
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        await sensor.SendAsync(GuestListing.Encode(1, [Good]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Find("uid-good") is not null));
        await sensor.SendAsync(GuestListing.Encode(2, [Good with { Uid = "uid-web2", Name = "moved" }]));
        await sensor.WaitUntilReadAsync();
        Assert.NotNull(registry.Find("uid-good"));
        var own = node.Options.Guests.Single(guest => guest.Name == "web1");
        Assert.Empty(node.Services.GetRequiredService<NodeConfiguration>().Replace(node.Options with { Guests = [own] }));
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Find("uid-web2")?.Guest.Name == "moved"));
        Assert.Null(registry.Find("uid-good"));
    }

    [Fact]
    public async Task Vsock_is_listened_on_only_while_a_guest_of_the_list_has_no_socket()
    {
        using var folder = new TemporaryFolder();
        await using var node = await RunningNode.StartAsync();
        var configuration = new NodeConfiguration(node.Options with { Guests = [], VsockOnDemand = 818 });
        var registry = new GuestRegistry(configuration, TimeProvider.System);
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        var (opened, fails) = (0, true);
        var listeners = new GuestListeners(
            configuration, registry, node.Services.GetRequiredService<GuestReception>(), time, NullLogger<GuestListener>.Instance,
            port =>
            {
                Assert.Equal((818u, GuestProtocol.Push), (port.Port, port.Protocol));
                opened++;
                if (fails) throw new SocketException((int)SocketError.AddressFamilyNotSupported);
                // In the place of a socket of AF_VSOCK.
                return GuestListener.Bind(new UnixDomainSocketEndPoint(folder.File("vsock")), _ => Task.CompletedTask, NullLogger.Instance);
            });
        await listeners.StartAsync(default);

        var withSocket = new GuestOptions { Uid = "a", Name = "a", SocketBase = folder.File("a"), Cid = 40 };
        Assert.Empty(registry.Replace(GuestSource.Sensor, [withSocket]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(File.Exists(folder.File("a_818"))));
        Assert.Equal(0, opened);

        // Of another network namespace: it would not be heard here.
        var elsewhere = new GuestOptions { Uid = "c", Name = "c", Cid = 42, NetworkNamespace = registry.Network.Inode + 1 };
        var withoutSocket = new GuestOptions { Uid = "b", Name = "b", Cid = 41 };
        Assert.Empty(registry.Replace(GuestSource.Sensor, [elsewhere]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(!File.Exists(folder.File("a_818"))));
        Assert.Equal(0, opened);

        // One that cannot be opened yet stops nothing and is tried again.
        Assert.Empty(registry.Replace(GuestSource.Sensor, [withSocket, withoutSocket]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(opened > 0 && File.Exists(folder.File("a_818"))));
        fails = false;
        time.Advance(TimeSpan.FromSeconds(5));
        await IdentityTests.WaitForAsync(() => Task.FromResult(File.Exists(folder.File("vsock"))));

        Assert.Empty(registry.Replace(GuestSource.Sensor, [withSocket]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(!File.Exists(folder.File("vsock"))));
        Assert.Empty(registry.Replace(GuestSource.Sensor, [withoutSocket]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(File.Exists(folder.File("vsock"))));
        await listeners.StopAsync(default);
        Assert.False(File.Exists(folder.File("vsock")));
    }

    /// <summary>Each with one thing wrong. A generation that is there stands for one that is not.</summary>
    static IEnumerable<WatchGuestsResponse> WrongLists(RunningNode node)
    {
        yield return GuestListing.Encode(1, [Good]);
        yield return GuestListing.Encode(0, Enumerable.Range(3, GuestListing.GuestsMax + 1).Select(i => new GuestEntry { Name = $"g{i}", Cid = (uint)i }));
        GuestEntry[] wrong =
        [
            Good with { Name = "" },
            Good with { Name = "we/b" },
            Good with { Name = new string('n', 64) },
            Good with { Name = "web\u001b[2J" },
            Good with { Uid = new string('u', 129) },
            Good with { Uid = "uid\0good" },
            Good with { BootEpoch = "boot\n1" },
            Good with { SocketBase = null, Cid = null },
            Good with { Cid = 0 },
            Good with { Cid = 2 },
            Good with { Cid = uint.MaxValue },
            Good with { Weight = 101 },
            Good with { Weight = int.MaxValue },
            Good with { BootEpoch = new string('e', 129) },
            Good with { SocketBase = "run/good" },
            Good with { SocketBase = "/run/../etc/good" },
            Good with { SocketBase = "/run//good" },
            Good with { SocketBase = "/run/go\0od" },
            Good with { SocketBase = "/" + new string('s', 120) },
            Good with { SocketBase = node.Options.Guests[0].SocketBase },
            Good with { Uid = "uid-web1" },
        ];
        foreach (var guest in wrong) yield return GuestListing.Encode(0, [new GuestEntry { Name = "fine", Cid = 50 }, guest]);
        yield return GuestListing.Encode(0, [Good, Good]);
        yield return GuestListing.Encode(0, [Good, Good with { Uid = "other", SocketBase = null }]);
        var heavy = GuestListing.Encode(0, [Good]);
        heavy.Guests[0].Weight = uint.MaxValue;
        yield return heavy;
    }

    /// <summary>A server that says anything to whoever follows a list.</summary>
    sealed class FakeSensor : IAsyncDisposable
    {
        readonly Channel<RawMessage> _messages = Channel.CreateUnbounded<RawMessage>();
        WebApplication? _app;
        int _calls;
        int _open;
        int _sent;
        int _written;

        public int Calls => Volatile.Read(ref _calls);

        /// <summary>Calls that have not ended.</summary>
        public int Open => Volatile.Read(ref _open);

        public NodeOptions Configure(NodeOptions options)
        {
            var folder = Path.GetDirectoryName(options.Certificates)!;
            CertificateAuthority.Issue(Path.Combine(folder, "ca"), Path.Combine(folder, "sensor"), "sensor");
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.Services.AddRpc(rpc => rpc.SendMessageBytesMax = 8 << 20);
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(
                IPAddress.Loopback, 0, listener => listener.UseRpc(CertificateDirectory.Open(Path.Combine(folder, "sensor")))));
            _app = builder.Build();
            _app.MapServerStreaming(new RpcMethod<WatchGuestsRequest, RawMessage>(GuestListing.Watch.Service, GuestListing.Watch.Name), AnswerAsync);
            _app.Start();
            var address = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
            return options with { SensorEndpoint = new Uri($"https://127.0.0.1:{new Uri(address).Port}"), SensorName = "sensor", RegistryFromSensor = true };
        }

        public ValueTask SendAsync(WatchGuestsResponse list) => SendAsync(new RawMessage(list.ToByteArray()));

        public ValueTask SendAsync(RawMessage message)
        {
            Interlocked.Increment(ref _sent);
            return _messages.Writer.WriteAsync(message);
        }

        /// <summary>What was on its way when a call ended never is written.</summary>
        public void ForgetUnread() => Volatile.Write(ref _written, Volatile.Read(ref _sent));

        /// <summary>Until all that was sent is on its way.</summary>
        public Task WaitUntilReadAsync() => IdentityTests.WaitForAsync(() => Task.FromResult(Volatile.Read(ref _written) == Volatile.Read(ref _sent)));

        public async ValueTask DisposeAsync()
        {
            _messages.Writer.TryComplete();
            if (_app is not null) await _app.DisposeAsync();
        }

        async Task AnswerAsync(WatchGuestsRequest request, RpcResponseStream<RawMessage> responses, RpcServerCall call)
        {
            Interlocked.Increment(ref _open);
            Interlocked.Increment(ref _calls);
            try
            {
                await foreach (var message in _messages.Reader.ReadAllAsync(call.CancellationToken))
                {
                    await responses.WriteAsync(message, call.CancellationToken);
                    Interlocked.Increment(ref _written);
                }
            }
            finally
            {
                Interlocked.Decrement(ref _open);
            }
        }
    }
}

static class GuestRegistrySearch
{
    public static GuestChannel? Find(this GuestRegistry registry, string uid) => registry.All.SingleOrDefault(channel => channel.Guest.Uid == uid);
}
