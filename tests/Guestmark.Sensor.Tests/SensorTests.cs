using System.Diagnostics.Metrics;
using System.Net;
using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.Spool;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Sensor.Tests;

/// <summary>
/// Establishes that a sensor takes what a node sends, keeps it while Central is away, stops taking when its spool is full, and
/// delivers all of it, over mutual TLS, when Central comes.
/// </summary>
public sealed class SensorTests : IDisposable
{
    const int Events = 300;

    readonly TemporaryFolder _folder = new();

    public SensorTests()
    {
        CertificateAuthority.Create(_folder.File("ca"));
        foreach (var name in new[] { "node", "sensor", "central" }) CertificateAuthority.Issue(_folder.File("ca"), _folder.File(name), name);
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_full_sensor_holds_the_node_back_and_nothing_is_lost_or_doubled_when_Central_comes()
    {
        // Events of 1 MB: the sensor's spool takes about a third of them.
        var central = FreePort();
        await using var sensor = await StartSensorAsync(central, spoolBytesMax: 115L << 20);
        await using var spool = EventSpool.Open(new SpoolOptions { Directory = _folder.File("node-spool") });
        var events = new NodeEvents("node-stream");
        for (var i = 0; i < Events; i++)
        {
            Assert.True(spool.TryAppend(events.Stamp("uid", "t", "d", new byte[1 << 20], DateTimeOffset.UnixEpoch).Encoded, out var durable));
            await durable;
        }

        using var channel = new RpcChannel(
            new Uri($"https://127.0.0.1:{Port(sensor)}"), SpoolRelay.ChannelOptions(CertificateDirectory.Open(_folder.File("node")), "sensor"));
        using var relay = new SpoolRelay(
            spool, channel, "sensor", NullLogger<SpoolRelay>.Instance,
            new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<IMeterFactory>(), TimeProvider.System);
        await relay.StartAsync(default);

        var sensorSpool = sensor.Services.GetRequiredService<EventSpool>();
        // The reader wakes for each record that is on the sensor's disk.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var cursor = sensorSpool.OpenCursor();
        for (var spooled = 0; spooled < 90;) spooled += (await cursor.ReadAsync(90 - spooled, int.MaxValue, limit.Token)).Count;
        Assert.True(spool.Depth > 0, "the sensor took more than its spool holds");

        var sink = new CountingSink();
        await using (await StartCentralAsync(central, sink))
        {
            await sink.Complete.WaitAsync(limit.Token);
            await relay.StopAsync(default);
        }

        Assert.Equal(Enumerable.Range(1, Events).Select(i => (ulong)i), sink.Sequences);
    }

    async Task<WebApplication> StartSensorAsync(int central, long spoolBytesMax)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddPublish();
        builder.Services.AddSensor(new SensorOptions
        {
            DataDirectory = _folder.File("sensor-data"),
            CentralEndpoint = new Uri($"https://127.0.0.1:{central}"),
            CentralName = "central",
            Certificates = _folder.File("sensor"),
            SpoolBytesMax = spoolBytesMax,
        });
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(
            IPAddress.Loopback, 0, listener => listener.UseRpc(kestrel.ApplicationServices.GetRequiredService<CertificateDirectory>())));
        var app = builder.Build();
        app.MapSensor();
        await app.StartAsync();
        return app;
    }

    async Task<WebApplication> StartCentralAsync(int port, IEventSink sink)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddPublish();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(
            IPAddress.Loopback, port, listener => listener.UseRpc(CertificateDirectory.Open(_folder.File("central")))));
        var app = builder.Build();
        app.MapPublish(sink);
        await app.StartAsync();
        return app;
    }

    static int Port(WebApplication app) => new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;

    static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Ignores what came before, as Central does.</summary>
    sealed class CountingSink : IEventSink
    {
        readonly TaskCompletionSource _complete = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<ulong> Sequences { get; } = [];

        /// <summary>Ends when the last event has come.</summary>
        public Task Complete => _complete.Task;

        public ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(IReadOnlyList<StampedEvent> events, CancellationToken cancellationToken)
        {
            foreach (var stamped in events)
            {
                if (stamped.Position.Sequence > (Sequences.Count > 0 ? Sequences[^1] : 0)) Sequences.Add(stamped.Position.Sequence);
            }

            if (Sequences.Count > 0 && Sequences[^1] == Events) _complete.TrySetResult();
            return new([]);
        }
    }
}
