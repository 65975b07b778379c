using Guestmark.Events;
using Guestmark.Spool;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Relay;

/// <summary>Puts an event into a stream of which events were lost, so that whoever finds the gap finds the reason.</summary>
sealed partial class LossReporter(NodeSpools spools, EventStamper stamper, TimeProvider time, ILogger<LossReporter> logger) : BackgroundService
{
    static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(
        ReportAsync(EventClass.Keep, spools.Keep, spools.KeepLedger, stoppingToken),
        ReportAsync(EventClass.Shed, spools.Shed, spools.ShedLedger, stoppingToken));

    async Task ReportAsync(EventClass eventClass, EventSpool spool, StreamLedger ledger, CancellationToken stoppingToken)
    {
        try
        {
            while (await spool.TakeLossesAsync(stoppingToken) is { Count: > 0 } losses)
            {
                foreach (var loss in losses)
                {
                    LogLost(logger, loss.Count, eventClass, loss.First, loss.Last, loss.Reason);
                    foreach (var ofStream in ledger.Explain(loss))
                    {
                        while (await stamper.StampLossAsync(eventClass, ofStream) != StampOutcome.Stored) await Task.Delay(RetryInterval, time, stoppingToken);
                    }
                }

                ledger.Forget(spool.AcknowledgedIndex);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // What was not said yet is found again when the spool is opened.
        }
        catch (ObjectDisposedException)
        {
            // The spool was closed under us: the process is stopping.
        }
    }

    [LoggerMessage(
        3110, LogLevel.Warning, "Lost {Count} events of class {Class}, records {First} to {Last}: {Reason}", EventName = "EventsLost")]
    static partial void LogLost(ILogger logger, ulong count, EventClass @class, ulong first, ulong last, SpoolLossReason reason);
}
