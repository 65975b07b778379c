using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Cells;
using Guestmark.Rpc;
using Guestmark.Spool;
using Guestmark.TestKit;
using Guestmark.Wire.Declarations;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Tests.Cells;

/// <summary>A node with cells, real sockets and a real spool, whose sensor is not there. It can be stopped and started again.</summary>
sealed class CellNode : IAsyncDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    readonly TemporaryFolder _folder = new();
    readonly NodeOptions _options;
    readonly MeterListener _meters = new();
    readonly Dictionary<string, long> _counts = [];
    WebApplication _app = null!;
    IMeterFactory? _meterFactory;

    CellNode(CellOptions cells, bool hasSmallSpool)
    {
        CertificateAuthority.Create(_folder.File("ca"));
        CertificateAuthority.Issue(_folder.File("ca"), _folder.File("certs"), "node");
        _options = new NodeOptions
        {
            Node = "node1",
            DataDirectory = _folder.File("data"),
            SensorEndpoint = new Uri("https://127.0.0.1:1"),
            Certificates = _folder.File("certs"),
            Cells = cells,
            Limits = new GuestLimits { SpoolShare = 100 },
            SpoolBytesMax = hasSmallSpool ? 110L << 20 : 1L << 30,
            Guests = hasSmallSpool ? [new GuestOptions { Uid = "filler", Name = "filler", SocketBase = _folder.File("filler.sock") }] : [],
        };
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Scope is { } factory && factory == _meterFactory) listener.EnableMeasurementEvents(instrument);
        };
        _meters.SetMeasurementEventCallback<long>((instrument, count, tags, _) =>
        {
            var name = tags.Length > 0 ? $"{instrument.Name}:{tags[0].Value}" : instrument.Name;
            lock (_counts) _counts[name] = _counts.GetValueOrDefault(name) + count;
        });
    }

    public string Folder => _folder.Path;

    public string ControlSocket => _options.ControlSocket;

    public EventSpool Spool => _app.Services.GetRequiredService<EventSpool>();

    /// <param name="window">Of the keep-alive, in milliseconds. By default no test waits for it.</param>
    public static async Task<CellNode> StartAsync(int window = 600_000, Func<CellOptions, CellOptions>? configure = null, bool hasSmallSpool = false)
    {
        var cells = new CellOptions { KeepAliveWindow = TimeSpan.FromMilliseconds(window), FrameTimeout = TimeSpan.FromMilliseconds(window) };
        var node = new CellNode(configure?.Invoke(cells) ?? cells, hasSmallSpool);
        await node.RestartAsync();
        return node;
    }

    public async Task RestartAsync()
    {
        if (_app is not null) await _app.DisposeAsync();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddNode(_options);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.ListenForControl();
            // As for metrics.
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        _app = builder.Build();
        _app.MapNode();
        _meterFactory = _app.Services.GetRequiredService<IMeterFactory>();
        _meters.Start();
        await _app.StartAsync();
    }

    /// <summary>Where the node answers over the network.</summary>
    public Uri NetworkAddress =>
        new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single(a => a.Contains("127.0.0.1", StringComparison.Ordinal)));

    public long Count(string name)
    {
        lock (_counts) return _counts.GetValueOrDefault(name);
    }

    public HttpClient Control() => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellationToken) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(ControlSocket), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    {
        BaseAddress = new Uri("http://control/"),
    };

    /// <summary>Adds a cell of run <c>run-1</c> as <c>guestmark cell add</c> does.</summary>
    public async Task AddAsync(string id, SilencePolicy onSilence = SilencePolicy.Report)
    {
        using var control = Control();
        using var response = await control.PostAsJsonAsync("v1/cells", Definition(id, onSilence), ControlJson.Options);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
    }

    public CellDefinition Definition(string id, SilencePolicy onSilence = SilencePolicy.Report) =>
        new() { Id = id, RunId = "run-1", SpecSignatureHash = "sha256:abc", SocketBase = _folder.File(id + ".sock"), OnSilence = onSilence };

    public async Task<JsonElement> StatusAsync(string id)
    {
        using var control = Control();
        var list = await control.GetFromJsonAsync<JsonElement>("v1/cells");
        return list.GetProperty("cells").EnumerateArray().Single(cell => cell.GetProperty("cell").GetProperty("id").GetString() == id);
    }

    public Task<Socket> ConnectAsync(string id) => ConnectToAsync(id + ".sock_9001");

    /// <summary>Has a guest of the same node send reports of 15 MB until the spool takes no more of them. For a node with a small spool.</summary>
    public async Task FillSpoolAsync()
    {
        using var socket = await ConnectToAsync("filler.sock_818");
        var report = new VMReport { IndexReport = new IndexReport { IndexV4 = new() { Err = new string('x', 15_000_000) } } }.ToByteArray();
        do await socket.SendAsync(RunningNode.Frame(report));
        while (await RunningNode.ReceiveAsync(socket) == PushStatus.Stored);
    }

    async Task<Socket> ConnectToAsync(string file)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_folder.File(file)));
        return socket;
    }

    public static byte[] Frame(string source, uint pid, string comm, ulong ns, ulong sequence = 0, ulong dropped = 0)
    {
        var frame = new byte[DeclarationFrame.WrittenBytesMax];
        var bytes = DeclarationFrame.Write(
            frame, System.Text.Encoding.UTF8.GetBytes(source), pid, System.Text.Encoding.UTF8.GetBytes(comm), ns, sequence, dropped);
        return frame[..bytes];
    }

    public static byte[] Framed(byte[] body) => [.. BitConverter.GetBytes(body.Length), .. body];

    /// <summary>All declarations in the spool.</summary>
    public async Task<List<Declaration>> DeclarationsAsync(int count)
    {
        var declarations = new List<Declaration>();
        await EventsUntilAsync(stamped =>
        {
            if (stamped.Type == EventTypes.GuestDeclaration) declarations.AddRange(DeclarationBatch.Parser.ParseFrom(stamped.Data.Span).Declarations);
            return declarations.Count >= count;
        });
        return declarations;
    }

    public async Task<GuestSilenced> SilencedAsync(SilenceReason reason)
    {
        var events = await EventsUntilAsync(stamped => IsSilence(stamped, reason));
        return GuestSilenced.Parser.ParseFrom(events[^1].Data.Span);
    }

    public static bool IsSilence(StampedEvent stamped, SilenceReason reason) =>
        stamped.Type == EventTypes.GuestSilenced && GuestSilenced.Parser.ParseFrom(stamped.Data.Span).Reason == reason;

    /// <summary>All events from the first until one of them is the right one, waiting for it.</summary>
    public async Task<List<StampedEvent>> EventsUntilAsync(Func<StampedEvent, bool> isLast)
    {
        using var limit = new CancellationTokenSource(Limit);
        var cursor = Spool.OpenCursor();
        var events = new List<StampedEvent>();
        try
        {
            while (true)
            {
                foreach (var record in await cursor.ReadAsync(1000, 1 << 24, limit.Token))
                {
                    Assert.Null(StampedEvent.TryRead(record.Data, out var stamped));
                    events.Add(stamped!);
                    if (isLast(stamped!)) return events;
                }
            }
        }
        catch (OperationCanceledException e)
        {
            var seen = string.Join(", ", events.Select(stamped => string.Create(CultureInfo.InvariantCulture, $"{stamped.Type} {stamped.Data.Length}")));
            throw new TimeoutException($"no such event within {Limit}; there are {events.Count}: {seen[..Math.Min(2000, seen.Length)]}", e);
        }
    }

    /// <summary>Everything that is in the spool now.</summary>
    public async Task<List<StampedEvent>> EventsAsync()
    {
        var last = Spool.LastIndex;
        var count = 0UL;
        return last == 0 ? [] : await EventsUntilAsync(_ => ++count == last);
    }

    /// <summary>Waits until something is so.</summary>
    public static async Task UntilAsync(Func<bool> isSo, string what)
    {
        for (var tries = 0; !isSo(); tries++)
        {
            Assert.True(tries < 10_000, $"not within 20 s: {what}");
            await Task.Delay(TimeSpan.FromMilliseconds(2), TimeProvider.System);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _meters.Dispose();
        _folder.Dispose();
    }
}
