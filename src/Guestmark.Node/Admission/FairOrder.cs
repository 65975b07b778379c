namespace Guestmark.Node.Admission;

/// <summary>
/// The order in which guests' messages go to the stamp and the spool when more come than it takes: each guest gets bytes in proportion to
/// its weight, whatever the others send and on however many connections.
/// </summary>
/// <remarks>
/// At most <c>bytesMax</c> bytes are between here and the disk. While there is room a message passes at once; otherwise it waits with a tag: the
/// virtual time at which its guest's former message ends, or now if that is past. The smallest tag is next, and a message moves its guest's end on
/// by its bytes over the weight. This is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): the same shares as deficit
/// round robin, without rounds, so that a large message costs no loop over all guests.
/// <para>The worst that one guest waits beyond its share is one message of each other guest.</para>
/// </remarks>
public sealed class FairOrder(long bytesMax)
{
    readonly Lock _lock = new();
    readonly PriorityQueue<Waiter, (double Start, long Number)> _waiting = new();
    long _outstanding;
    long _number;
    double _now;

    /// <summary>Bytes that were let through and are not yet done.</summary>
    public long Outstanding
    {
        get { lock (_lock) return _outstanding; }
    }

    /// <summary>Messages that wait for their turn.</summary>
    public int Waiting
    {
        get { lock (_lock) return _waiting.Count; }
    }

    /// <summary>Takes a turn if nobody waits and there is room. Each turn must be given back by <see cref="Return"/>.</summary>
    public bool TryTake(FairFlow flow, int bytes)
    {
        lock (_lock)
        {
            // One message always passes, even one of more bytes than may be outstanding.
            if (_waiting.Count > 0 || (_outstanding > 0 && _outstanding + bytes > bytesMax)) return false;
            _outstanding += bytes;
            _now = Tag(flow, bytes);
            return true;
        }
    }

    /// <summary>Waits for a turn.</summary>
    /// <remarks>The caller must not hold turns that it gives back only later: what it waits for may be its own.</remarks>
    public Task TakeAsync(FairFlow flow, int bytes)
    {
        lock (_lock)
        {
            if (_waiting.Count == 0 && (_outstanding == 0 || _outstanding + bytes <= bytesMax))
            {
                _outstanding += bytes;
                _now = Tag(flow, bytes);
                return Task.CompletedTask;
            }

            var waiter = new Waiter(bytes);
            _waiting.Enqueue(waiter, (Tag(flow, bytes), ++_number));
            return waiter.Task;
        }
    }

    /// <summary>What was taken is done: it is on disk, or was refused.</summary>
    public void Return(int bytes)
    {
        lock (_lock)
        {
            _outstanding -= bytes;
            while (_waiting.TryPeek(out var next, out var tag) && (_outstanding == 0 || _outstanding + next.Bytes <= bytesMax))
            {
                _waiting.Dequeue();
                _outstanding += next.Bytes;
                _now = tag.Start;
                next.SetResult();
            }
        }
    }

    double Tag(FairFlow flow, int bytes)
    {
        var start = Math.Max(_now, flow.End);
        flow.End = start + (double)bytes / flow.Weight;
        return start;
    }

    sealed class Waiter(int bytes) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public int Bytes => bytes;
    }
}

/// <summary>One guest in <see cref="FairOrder"/>.</summary>
public sealed class FairFlow(int weight)
{
    /// <summary>1 to 100.</summary>
    public int Weight { get; set; } = weight;

    /// <summary>Virtual time at which what this guest has sent so far is served. Under the lock of the order.</summary>
    internal double End { get; set; }
}
