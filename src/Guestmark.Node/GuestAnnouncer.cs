using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Listening;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node;

/// <summary>Tells Central at start which machines this node serves, so that a machine is known before it has reported.</summary>
sealed partial class GuestAnnouncer(GuestChannels channels, EventStamper stamper, ILogger<GuestAnnouncer> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        foreach (var channel in channels.All)
        {
            var lifecycle = new VmLifecycle { Name = channel.Guest.Name, State = VmState.Running };
            var outcome = await stamper.StampAsync(channel.Identity, EventTypes.VmLifecycle, "guestmark.v1.VmLifecycle", lifecycle.ToByteArray());
            if (outcome != StampOutcome.Stored) LogNotAnnounced(logger, channel.Guest.Name, outcome);
        }
    }

    [LoggerMessage(4201, LogLevel.Warning, "Could not announce guest {Guest}: {Outcome}", EventName = "GuestNotAnnounced")]
    static partial void LogNotAnnounced(ILogger logger, string guest, StampOutcome outcome);
}
