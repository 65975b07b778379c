using System.Net.Sockets;
using Guestmark.Events;
using Guestmark.Node.Listening;
using Guestmark.Node.Protocols;
using Guestmark.Rpc;
using Guestmark.Spool;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Node.Tests;

/// <summary>A node with real sockets and a real spool, whose sensor is not there.</summary>
sealed class RunningNode : IAsyncDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly WebApplication _app;

    /// <summary>For tests of something else than the limits.</summary>
    public static readonly GuestLimits Unlimited = new() { MessagesPerSecond = 0, BytesPerSecond = 0 };

    RunningNode(Func<NodeOptions, NodeOptions> configure, TimeProvider? time, ILoggerFactory? log)
    {
        CertificateAuthority.Create(_folder.File("ca"));
        CertificateAuthority.Issue(_folder.File("ca"), _folder.File("certs"), "node");
        Options = configure(new NodeOptions
        {
            Node = "node1",
            DataDirectory = _folder.File("data"),
            Guests = [Guest("web1"), Guest("web2")],
            SensorEndpoint = new Uri("https://127.0.0.1:1"),
            Certificates = _folder.File("certs"),
        });
        Assert.Empty(Options.Validate());
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddNode(Options);
        if (time is not null) builder.Services.AddSingleton(time);
        if (log is not null) builder.Services.AddSingleton<ILoggerFactory>(log);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenForControl());
        _app = builder.Build();
    }

    public NodeOptions Options { get; }

    public IServiceProvider Services => _app.Services;

    public TemporaryFolder Folder => _folder;

    public EventSpool Spool => _app.Services.GetRequiredService<EventSpool>();

    public static async Task<RunningNode> StartAsync(
        Func<NodeOptions, NodeOptions>? configure = null, TimeProvider? time = null, ILoggerFactory? log = null)
    {
        var node = new RunningNode(configure ?? (options => options), time, log);
        await node._app.StartAsync();
        return node;
    }

    public async Task<Socket> ConnectAsync(string guest)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Options.Guests.Single(g => g.Name == guest).SocketPath(Options.PushPort)));
        return socket;
    }

    /// <summary>
    /// A listener as one of AF_VSOCK, but for the address: its connections come from the context id and port that the caller names. Connect with
    /// <see cref="ConnectToAsync"/>.
    /// </summary>
    public GuestListener ListenAs(string name, uint cid, uint sourcePort = 1023, VsockListenerOptions? options = null) =>
        GuestListener.Bind(
            new UnixDomainSocketEndPoint(_folder.File(name)),
            connection =>
            {
                connection.RemoteEndPoint = new VsockEndPoint(cid, sourcePort);
                return Services.GetRequiredService<GuestReception>().ServeVsockAsync(options ?? new VsockListenerOptions(), connection);
            },
            NullLogger.Instance);

    public static async Task<Socket> ConnectToAsync(GuestListener listener)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(listener.Address);
        return socket;
    }

    /// <summary>All events of the spool, in order.</summary>
    public async Task<List<StampedEvent>> EventsAsync()
    {
        var cursor = Spool.OpenCursor();
        var events = new List<StampedEvent>();
        var last = Spool.LastIndex;
        while ((ulong)events.Count < last)
        {
            foreach (var record in await cursor.ReadAsync(1000, 1 << 30, default))
            {
                Assert.Null(StampedEvent.TryRead(record.Data, out var stamped));
                events.Add(stamped!);
            }
        }

        return events;
    }

    /// <summary>Sends bytes on a connection of their own and reads the one answer; null when the node closes without.</summary>
    public async Task<PushStatus?> SendAsync(string guest, byte[] bytes)
    {
        using var socket = await ConnectAsync(guest);
        await socket.SendAsync(bytes);
        return await ReceiveAsync(socket);
    }

    public static async Task<PushStatus?> ReceiveAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var answer = new byte[PushFrame.StatusBytes];
        for (var received = 0; received < answer.Length;)
        {
            var count = await socket.ReceiveAsync(answer.AsMemory(received), limit.Token);
            if (count == 0) return null;
            received += count;
        }

        return PushFrame.ReadStatus(answer);
    }

    public static byte[] Frame(byte[] body)
    {
        var frame = new byte[PushFrame.HeaderBytes + body.Length];
        PushFrame.WriteHeader(frame, body.Length);
        body.CopyTo(frame, PushFrame.HeaderBytes);
        return frame;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _folder.Dispose();
    }

    GuestOptions Guest(string name) => new() { Uid = $"uid-{name}", Name = name, SocketBase = _folder.File(name + ".sock") };
}
