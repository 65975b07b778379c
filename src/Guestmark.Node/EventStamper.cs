using Guestmark.Events;
using Guestmark.Events.Signing;
using Guestmark.Spool;

namespace Guestmark.Node;

/// <summary>What became of data that was to be stamped.</summary>
public enum StampOutcome
{
    /// <summary>The event is on disk.</summary>
    Stored,

    /// <summary>The spool is full. Nothing was taken.</summary>
    Full,

    /// <summary>The disk refused the event.</summary>
    Failed,
}

/// <summary>
/// The only place where events come into being: gives what arrived on a channel its attribution and its number, and puts it
/// into the spool.
/// </summary>
/// <remarks>
/// Numbers are given and records are queued under one lock, so the spool's order is the stream's order and a refused record
/// uses up no number. When the disk refuses records that have numbers, a new stream begins, because a gap must mean a loss.
/// </remarks>
public sealed class EventStamper(EventSpool spool, EventSigner? signer, TimeProvider time)
{
    readonly Lock _lock = new();
    string _stream = NewStream(time);
    ulong _sequence;
    long _breaks = spool.Breaks;

    /// <summary>Stamps data and waits until the event is on disk.</summary>
    /// <param name="dataType">Full name of the protobuf message in <paramref name="data"/>.</param>
    /// <param name="data">Copied before this returns.</param>
    public Task<StampOutcome> StampAsync(ChannelIdentity channel, string type, string dataType, ReadOnlySpan<byte> data)
    {
        Task durable;
        try
        {
            lock (_lock)
            {
                AppendOutcome outcome;
                while (true)
                {
                    var stamped = StampedEvent.Stamp(channel, type, dataType, data, new EventPosition(_stream, _sequence + 1), time.GetUtcNow(), signer);
                    outcome = spool.Append(stamped.Encoded, _breaks, out durable);
                    if (outcome != AppendOutcome.Broken) break;
                    _breaks = spool.Breaks;
                    _stream = NewStream(time);
                    _sequence = 0;
                }

                if (outcome == AppendOutcome.Full) return Task.FromResult(StampOutcome.Full);
                _sequence++;
            }
        }
        catch (IOException)
        {
            // The spool has logged why it failed.
            return Task.FromResult(StampOutcome.Failed);
        }

        return AwaitAsync(durable);
    }

    static async Task<StampOutcome> AwaitAsync(Task durable)
    {
        try
        {
            await durable;
            return StampOutcome.Stored;
        }
        catch (IOException)
        {
            return StampOutcome.Failed;
        }
    }

    /// <summary>A stream is one start of one node and one class of events; all of today's events are of the class that must be kept.</summary>
    static string NewStream(TimeProvider time) => $"{Guid.CreateVersion7(time.GetUtcNow())}-keep";
}
