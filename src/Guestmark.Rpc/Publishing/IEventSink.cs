using Guestmark.Events;

namespace Guestmark.Rpc.Publishing;

/// <summary>Where a hop puts the events that the previous one sends: the sensor's spool, Central's store.</summary>
public interface IEventSink
{
    /// <summary>
    /// Makes events durable. What it returns for is acknowledged to the sender, so it returns only when a crash can no longer
    /// lose them. Events of one stream come in order; any may come again after a broken connection and must then be ignored.
    /// </summary>
    /// <returns>The events that will never be accepted, with the reason. Empty when all are stored.</returns>
    /// <exception cref="Exception">Storing failed: nothing is acknowledged and the sender tries again.</exception>
    ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(IReadOnlyList<StampedEvent> events, CancellationToken cancellationToken);
}

/// <summary>An event that will never be accepted, and why.</summary>
public readonly record struct EventRefusal(EventPosition Position, string Reason);
