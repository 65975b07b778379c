using Guestmark.Events;

namespace Guestmark.Rpc.Publishing;

/// <summary>Events that were sent and not yet acknowledged, in the order of the spool, and the credit for more.</summary>
/// <remarks>Bounded by the credit that the receiver grants.</remarks>
sealed class UnderWay
{
    readonly Lock _lock = new();
    readonly LinkedList<Sent> _sent = [];
    TaskCompletionSource _granted = NewSignal();
    long _credit;
    ulong _ordinal;
    ulong? _done;

    /// <summary>Adds an event that is sent next on this call.</summary>
    public void Add(ulong index, EventPosition position)
    {
        lock (_lock)
        {
            _credit--;
            _sent.AddLast(new Sent(index, position, ++_ordinal));
        }
    }

    /// <summary>Adds a record that is not sent: it is done with when those before it are.</summary>
    public void Skip(ulong index)
    {
        lock (_lock)
        {
            _sent.AddLast(new Sent(index, default, 0) { Done = true });
            RemoveDone();
        }
    }

    /// <summary>Marks all events of the stream up to this one. Returns how many were not marked before.</summary>
    public int Store(EventPosition position)
    {
        lock (_lock)
        {
            var count = 0;
            foreach (var sent in _sent)
            {
                if (sent.Done || sent.Position.Stream != position.Stream || sent.Position.Sequence > position.Sequence) continue;
                sent.Done = true;
                count++;
            }

            RemoveDone();
            return count;
        }
    }

    /// <summary>Marks one event, by its position or, when <paramref name="ordinal"/> is not 0, by its place in the call. False when it is not under way.</summary>
    public bool Refuse(EventPosition position, ulong ordinal)
    {
        lock (_lock)
        {
            var found = _sent.FirstOrDefault(sent => !sent.Done && (ordinal != 0 ? sent.Ordinal == ordinal : sent.Position == position));
            if (found is null) return false;
            found.Done = true;
            RemoveDone();
            return true;
        }
    }

    /// <summary>The index up to which everything is done, when it has moved since the last call.</summary>
    public ulong? TakeDone()
    {
        lock (_lock)
        {
            var done = _done;
            _done = null;
            return done;
        }
    }

    public void Grant(uint events)
    {
        lock (_lock)
        {
            _credit += events;
            if (_credit <= 0) return;
            _granted.TrySetResult();
        }
    }

    /// <summary>Waits until at least one event may be sent. Returns how many.</summary>
    public async ValueTask<int> WaitForCreditAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task granted;
            lock (_lock)
            {
                if (_credit > 0) return (int)Math.Min(_credit, int.MaxValue);
                if (_granted.Task.IsCompleted) _granted = NewSignal();
                granted = _granted.Task;
            }

            await granted.WaitAsync(cancellationToken);
        }
    }

    void RemoveDone()
    {
        while (_sent.First is { Value.Done: true } first)
        {
            _done = first.Value.Index;
            _sent.RemoveFirst();
        }
    }

    static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    sealed class Sent(ulong index, EventPosition position, ulong ordinal)
    {
        public ulong Ordinal => ordinal;

        public ulong Index => index;

        public EventPosition Position => position;

        public bool Done { get; set; }
    }
}
