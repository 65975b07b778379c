using Guestmark.Central.Findings;
using Guestmark.Central.Storage;
using Guestmark.Events;
using Guestmark.Rpc.Publishing;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Ingest;

/// <summary>Stores events, each exactly once however often it comes.</summary>
/// <remarks>
/// A batch is one transaction, which also moves the highest sequence of its streams. An event at or below that number was
/// stored before and is acknowledged without effect; a number that was skipped is counted and logged, not waited for, because
/// only the sender can know whether it still exists.
/// </remarks>
public sealed partial class CentralEventSink(
    CentralStore store, CentralOptions options, PackageMatching matching, CentralMetrics metrics, TimeProvider time, ILogger<CentralEventSink> logger)
    : IEventSink
{
    public async ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(IReadOnlyList<StampedEvent> events, CancellationToken cancellationToken)
    {
        if (events.Count == 0) return [];
        var decoded = new List<DecodedEvent>(events.Count);
        foreach (var stamped in events) decoded.Add(DecodedEvent.Decode(stamped));

        var writer = await store.WriteAsync(
            connection =>
            {
                var writer = new EventWriter(connection, options, time.GetUtcNow());
                foreach (var one in decoded) writer.Write(one);
                writer.Complete();
                return writer;
            },
            cancellationToken);

        metrics.Stored(writer.Stored);
        metrics.Repeated(writer.Repeated);
        metrics.Missing(writer.Missing);
        foreach (var (reason, count) in writer.Refused) metrics.Refused(reason, count);
        foreach (var (stream, first, last) in writer.Gaps) LogGap(StoredText.Bound(stream), first, last);
        metrics.Deleted("rows", writer.Pruned.Rows);
        metrics.Deleted("bytes", writer.Pruned.Bytes);
        if (writer.Stored > writer.KeptAsTheyAre) matching.Wake();

        var refusals = new List<EventRefusal>();
        foreach (var one in decoded)
        {
            if (one.Refusal is not { } refusal) continue;
            refusals.Add(new EventRefusal(one.Event.Position, refusal.Text));
            LogRefused(StoredText.Bound(one.Event.Position.Stream), one.Event.Position.Sequence, refusal.Text);
        }

        return refusals;
    }

    [LoggerMessage(6001, LogLevel.Warning, "Stream {Stream} skipped the events {First} to {Last}: they were lost before Central", EventName = "Gap")]
    partial void LogGap(string stream, long first, long last);

    [LoggerMessage(6002, LogLevel.Warning, "Event {Sequence} of stream {Stream} is refused: {Reason}", EventName = "Refused")]
    partial void LogRefused(string stream, ulong sequence, string reason);
}
