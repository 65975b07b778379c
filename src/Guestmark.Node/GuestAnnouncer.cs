using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Listening;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node;

/// <summary>Tells Central at start which machines this node serves, so that a machine is known before it has reported.</summary>
sealed partial class GuestAnnouncer(GuestChannels channels, EventStamper stamper, TimeProvider time, ILogger<GuestAnnouncer> logger) : BackgroundService
{
    static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        foreach (var channel in channels.All)
        {
            var lifecycle = new VmLifecycle { Name = channel.Guest.Name, State = VmState.Running };
            var told = false;
            while (true)
            {
                var outcome = await stamper.StampAsync(
                    channel.Identity, EventTypes.VmLifecycle, "guestmark.v1.VmLifecycle", lifecycle.ToByteArray());
                if (outcome == StampOutcome.Stored) break;
                if (!told) LogNotAnnounced(logger, channel.Guest.Name, outcome);
                told = true;
                await Task.Delay(RetryInterval, time, stoppingToken);
            }
        }
    }

    [LoggerMessage(
        4201, LogLevel.Warning, "Cannot announce guest {Guest} yet, its reports show its uid until then: {Outcome}", EventName = "GuestNotAnnounced")]
    static partial void LogNotAnnounced(ILogger logger, string guest, StampOutcome outcome);
}
