using System.Diagnostics.Metrics;
using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.Spool;
using Guestmark.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Guestmark.Node.Tests.Relay;

/// <summary>A node without guests: the stamp, the spools and what empties them.</summary>
sealed class SpoolingNode : IAsyncDisposable
{
    readonly IHost _host;
    readonly MeterListener _listener = new();
    readonly Dictionary<string, long> _counters = [];

    SpoolingNode(NodeOptions options)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddLogging();
        builder.Services.AddMetrics();
        builder.Services.AddNode(options);
        _host = builder.Build();

        // Asked for once: instruments of other nodes are published here too, also when this one is gone.
        var meters = _host.Services.GetRequiredService<IMeterFactory>();
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Scope == meters) listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            var name = instrument.Name;
            foreach (var (key, label) in tags)
            {
                if (key is "destination" or "reason" or "spool") name += $" {label}";
            }

            lock (_counters) _counters[name] = instrument is ObservableInstrument<long> ? value : _counters.GetValueOrDefault(name) + value;
        });
        _listener.Start();
    }

    public EventSpool Keep => _host.Services.GetRequiredService<Node.Relay.NodeSpools>().Keep;

    public EventSpool Shed => _host.Services.GetRequiredService<Node.Relay.NodeSpools>().Shed;

    public static NodeOptions Options(TemporaryFolder folder) => new()
    {
        Node = "node1",
        DataDirectory = folder.File("data"),
        SensorEndpoint = new Uri("https://127.0.0.1:1"),
        Certificates = folder.File("certs"),
        ShedSpoolBytesMax = 16 << 20,
    };

    public static async Task<SpoolingNode> StartAsync(TemporaryFolder folder, NodeOptions options)
    {
        if (!Directory.Exists(folder.File("ca"))) CertificateAuthority.Create(folder.File("ca"));
        if (!Directory.Exists(folder.File("certs"))) CertificateAuthority.Issue(folder.File("ca"), folder.File("certs"), "node");
        Assert.Empty(options.Validate());
        var node = new SpoolingNode(options);
        await node._host.StartAsync();
        return node;
    }

    public Task<StampOutcome> StampAsync(string type, string dataType, byte[] data, string subject = "uid-1", uint? cid = null) =>
        _host.Services.GetRequiredService<EventStamper>().StampAsync(NodeEvents.Channel(subject, cid: cid), type, dataType, data);

    /// <summary>The value of a counter, by its name and labels.</summary>
    public long Counter(string name)
    {
        _listener.RecordObservableInstruments();
        lock (_counters) return _counters.GetValueOrDefault(name);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        await ((IAsyncDisposable)_host).DisposeAsync();
        _listener.Dispose();
    }
}
