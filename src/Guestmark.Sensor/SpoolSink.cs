using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.Spool;

namespace Guestmark.Sensor;

/// <summary>Takes events of nodes into the sensor's spool, byte for byte as they were stamped.</summary>
/// <remarks>
/// An event that a node sends again after a broken connection is spooled again: Central ignores what it has. Remembering here
/// what came would have to survive a crash as exactly as the spool does, for the sake of a few repeated events.
/// </remarks>
sealed class SpoolSink(EventSpool spool) : IEventSink
{
    public async ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(IReadOnlyList<StampedEvent> events, CancellationToken cancellationToken)
    {
        // All or none: a batch that is half in the spool would be doubled when the node sends it again.
        ReadOnlyMemory<byte>[] records = [.. events.Select(stamped => stamped.Encoded)];
        if (!spool.TryAppend(records, out var durable))
            throw new RpcException(RpcStatusCode.ResourceExhausted, "the sensor's spool is full; it empties when Central can be reached");
        await durable;
        return [];
    }
}
