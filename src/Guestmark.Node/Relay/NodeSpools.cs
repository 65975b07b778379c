using System.Diagnostics.Metrics;
using Guestmark.Events;
using Guestmark.Rpc.Publishing;
using Guestmark.Spool;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Relay;

/// <summary>The node's two spools, one for each class of events, in <c>spool/keep</c> and <c>spool/shed</c> of its data folder.</summary>
public sealed class NodeSpools : IAsyncDisposable
{
    const string Sensor = "sensor";
    const string StackRox = "stackrox";

    NodeSpools(NodeOptions options, ILogger logger)
    {
        KeepShares = new SpoolShares(options.Limits.SpoolShare);
        var folder = Path.Combine(options.DataDirectory, "spool");
        MoveIntoClass(folder, Path.Combine(folder, "keep"));

        // With one output the spool has one reader, without a name.
        string[] readers = options is { SensorEndpoint: not null, StackRoxSensor: not null } ? [Sensor, StackRox] : [];
        Keep = EventSpool.Open(
            new SpoolOptions { Directory = Path.Combine(folder, "keep"), BytesMax = options.SpoolBytesMax, Readers = readers }, logger,
            (index, data) => Visit(KeepLedger, KeepShares, index, data));
        KeepShares.Release(Keep.AcknowledgedIndex);
        try
        {
            // Segments of a sixteenth, so that making room costs no more than that; a record is a batch of activity, not a report.
            Shed = EventSpool.Open(
                new SpoolOptions
                {
                    Directory = Path.Combine(folder, "shed"),
                    BytesMax = options.ShedSpoolBytesMax,
                    SegmentBytesMax = options.ShedSpoolBytesMax / 16,
                    RecordBytesMax = 1 << 20,
                    WhenFull = WhenFull.DropOldest,
                },
                logger,
                (index, data) => Visit(ShedLedger, null, index, data));
        }
        catch
        {
            Keep.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw;
        }

        SensorReader = readers.Length > 0 ? Sensor : null;
        StackRoxReader = readers.Length > 0 ? StackRox : null;
    }

    /// <summary>Of <see cref="EventClass.Keep"/>.</summary>
    public EventSpool Keep { get; }

    /// <summary>Of <see cref="EventClass.Shed"/>.</summary>
    public EventSpool Shed { get; }

    internal StreamLedger KeepLedger { get; } = new();

    internal StreamLedger ShedLedger { get; } = new();

    /// <summary>Of the class that is kept: only that one can be full for a guest.</summary>
    internal SpoolShares KeepShares { get; }

    internal string? SensorReader { get; }

    internal string? StackRoxReader { get; }

    /// <exception cref="IOException">A spool cannot be read or written, or another process has it open.</exception>
    public static NodeSpools Open(NodeOptions options, ILogger logger) => new(options, logger);

    public async ValueTask DisposeAsync()
    {
        await Shed.DisposeAsync();
        await Keep.DisposeAsync();
    }

    static void Visit(StreamLedger ledger, SpoolShares? shares, ulong index, ReadOnlyMemory<byte> encoded)
    {
        if (StampedEvent.TryRead(encoded, out var stamped) is not null) return;
        ledger.Visit(index, stamped!);
        shares?.Add(index, stamped!.Subject, encoded.Length);
    }

    /// <summary>A node of version 0.1 had one spool, of what is kept, in the folder itself.</summary>
    static void MoveIntoClass(string folder, string keep)
    {
        if (!Directory.Exists(folder)) return;
        var segments = Directory.GetFiles(folder, "*.spool");
        if (segments.Length == 0) return;

        // Taken as that version would, so that it is not running.
        using var notRunning = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        Directory.CreateDirectory(keep, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        // The position first: when this is interrupted, it goes on at the next start, before the spool is opened.
        var position = Path.Combine(folder, "acknowledged");
        if (File.Exists(position)) File.Move(position, Path.Combine(keep, "acknowledged"), overwrite: true);
        foreach (var segment in segments) File.Move(segment, Path.Combine(keep, Path.GetFileName(segment)));
    }
}

static class NodeSpoolServices
{
    /// <summary>Adds the spools, the stamp that fills them, and everything that empties them.</summary>
    public static IServiceCollection AddSpools(this IServiceCollection services, NodeOptions options)
    {
        services.AddSingleton(provider =>
        {
            var spools = NodeSpools.Open(options, provider.GetRequiredService<ILogger<EventSpool>>());
            var meters = provider.GetRequiredService<IMeterFactory>();
            SpoolMetrics.Observe(meters, spools.Keep, "keep");
            SpoolShares.Observe(meters, spools.KeepShares, spools.Keep, "keep");
            provider.GetRequiredService<NodeConfiguration>().OnChange((_, now) => spools.KeepShares.Percent = now.Limits.SpoolShare);
            SpoolMetrics.Observe(meters, spools.Shed, "shed");
            return spools;
        });
        services.AddSingleton(provider => provider.GetRequiredService<NodeSpools>().Keep);
        services.AddHostedService<LossReporter>();
        if (options.SensorEndpoint is { } endpoint)
        {
            services.AddRelayChannel(endpoint, options.SensorName, options.Certificates);
            services.AddHostedServiceOf(provider =>
                RelayServices.CreateRelay(provider, provider.GetRequiredService<NodeSpools>().Keep, "sensor", provider.GetRequiredService<NodeSpools>().SensorReader));
            services.AddHostedServiceOf(provider => RelayServices.CreateRelay(provider, provider.GetRequiredService<NodeSpools>().Shed, "sensor", spoolName: "shed"));
        }

        if (options.StackRoxSensor is { } stackRox)
        {
            services.AddHostedServiceOf(provider =>
            {
                var spools = provider.GetRequiredService<NodeSpools>();
                return StackRoxRelay.Create(provider, stackRox, spools.Keep, spools.StackRoxReader, "keep");
            });

            // Nobody else would ever be done with what is in it.
            if (options.SensorEndpoint is null)
            {
                services.AddHostedServiceOf(provider =>
                    StackRoxRelay.Create(provider, stackRox, provider.GetRequiredService<NodeSpools>().Shed, reader: null, "shed"));
            }
        }

        return services;
    }

    // AddHostedService takes one of each type.
    static void AddHostedServiceOf<T>(this IServiceCollection services, Func<IServiceProvider, T> create)
        where T : class, Microsoft.Extensions.Hosting.IHostedService =>
        services.AddSingleton<Microsoft.Extensions.Hosting.IHostedService>(create);
}
