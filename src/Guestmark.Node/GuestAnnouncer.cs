using System.Threading.Channels;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Identity;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node;

/// <summary>Tells Central which machines this node serves, at the start and when one comes, so that a machine is known before it has reported.</summary>
sealed partial class GuestAnnouncer : BackgroundService
{
    static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);

    readonly Channel<GuestChannel> _come = Channel.CreateUnbounded<GuestChannel>();
    readonly EventStamper _stamper;
    readonly TimeProvider _time;
    readonly ILogger<GuestAnnouncer> _logger;

    readonly uint _vsockPort;
    readonly uint _socketPort;

    public GuestAnnouncer(NodeOptions options, GuestRegistry registry, EventStamper stamper, TimeProvider time, ILogger<GuestAnnouncer> logger)
    {
        _stamper = stamper;
        _time = time;
        _logger = logger;
        _vsockPort = options.VsockListeners is [var first, ..] ? first.Port : options.PushPort;
        _socketPort = options.SocketListeners()[0].Port;
        foreach (var channel in registry.All) _come.Writer.TryWrite(channel);
        registry.OnChange(change =>
        {
            foreach (var channel in change.Come) _come.Writer.TryWrite(channel);
        });
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await AnnounceAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Announced again at the next start.
        }
    }

    async Task AnnounceAsync(CancellationToken stoppingToken)
    {
        await foreach (var channel in _come.Reader.ReadAllAsync(stoppingToken))
        {
            var lifecycle = new VmLifecycle { Name = channel.Guest.Name, State = VmState.Running };
            var identity = channel.Guest.SocketBase is null ? channel.OnVsock(_vsockPort) : channel.OnSocket(_socketPort);
            var told = false;
            while (true)
            {
                var outcome = await _stamper.StampAsync(identity, EventTypes.VmLifecycle, "guestmark.v1.VmLifecycle", lifecycle.ToByteArray());
                if (outcome == StampOutcome.Stored) break;
                if (!told) LogNotAnnounced(_logger, channel.Guest.Name, outcome);
                told = true;
                await Task.Delay(RetryInterval, _time, stoppingToken);
            }
        }
    }

    [LoggerMessage(
        4201, LogLevel.Warning, "Cannot announce guest {Guest} yet, its reports show its uid until then: {Outcome}", EventName = "GuestNotAnnounced")]
    static partial void LogNotAnnounced(ILogger logger, string guest, StampOutcome outcome);
}
