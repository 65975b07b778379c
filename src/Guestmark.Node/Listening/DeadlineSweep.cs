using System.IO.Pipelines;

namespace Guestmark.Node.Listening;

/// <summary>
/// Ends waits of connections that have gone on for too long. One timer for all: ten thousand connections would otherwise have as many
/// timers and token sources, made anew for each message.
/// </summary>
/// <remarks>A deadline is met up to <see cref="Interval"/> late, never early.</remarks>
sealed class DeadlineSweep : IDisposable
{
    /// <summary>Short beside the shortest deadline that makes sense (a second), long beside a pass over all connections (0.1 ms for ten thousand).</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    readonly Lock _lock = new();
    readonly HashSet<ConnectionDeadline> _deadlines = [];
    readonly List<ConnectionDeadline> _due = [];
    readonly ITimer _timer;

    public DeadlineSweep(TimeProvider time)
    {
        Time = time;
        _timer = time.CreateTimer(_ => Sweep(), null, Interval, Interval);
    }

    public TimeProvider Time { get; }

    public ConnectionDeadline Add(IDuplexPipe transport)
    {
        var deadline = new ConnectionDeadline(this, transport);
        lock (_lock) _deadlines.Add(deadline);
        return deadline;
    }

    public void Dispose() => _timer.Dispose();

    internal void Remove(ConnectionDeadline deadline)
    {
        lock (_lock) _deadlines.Remove(deadline);
    }

    void Sweep()
    {
        lock (_lock)
        {
            var now = Time.GetTimestamp();
            foreach (var deadline in _deadlines)
            {
                if (deadline.IsDue(now)) _due.Add(deadline);
            }

            foreach (var deadline in _due) deadline.Fire(now);
            _due.Clear();
        }
    }
}

/// <summary>The deadline of what one connection waits for.</summary>
sealed class ConnectionDeadline(DeadlineSweep sweep, IDuplexPipe transport) : IDisposable
{
    readonly Lock _lock = new();
    long _at = long.MaxValue;
    bool _forFlush;

    /// <summary>It has passed since it was set. The read or flush under way returned as cancelled.</summary>
    public bool HasPassed { get; private set; }

    /// <summary>For the reads that follow, until it is set again.</summary>
    public void Set(TimeSpan wait) => Set(wait, forFlush: false);

    /// <summary>For a flush. Only what it is for is cancelled: a cancellation stays with a pipe until its next wait, which may be one that has all its time.</summary>
    public void SetForFlush(TimeSpan wait) => Set(wait, forFlush: true);

    public void Dispose() => sweep.Remove(this);

    internal bool IsDue(long now) => Volatile.Read(ref _at) <= now;

    /// <summary>Ends the wait, unless the deadline was set again since it was found due.</summary>
    internal void Fire(long now)
    {
        lock (_lock)
        {
            if (!IsDue(now)) return;
            Volatile.Write(ref _at, long.MaxValue);
            HasPassed = true;
            if (_forFlush) transport.Output.CancelPendingFlush();
            else transport.Input.CancelPendingRead();
        }
    }

    void Set(TimeSpan wait, bool forFlush)
    {
        lock (_lock)
        {
            HasPassed = false;
            _forFlush = forFlush;
            Volatile.Write(ref _at, sweep.Time.GetTimestamp() + (long)(wait.TotalSeconds * sweep.Time.TimestampFrequency));
        }
    }
}
