using Guestmark.Wire.Framing;

namespace Guestmark.Node.Admission;

/// <summary>What one guest takes of the host at this moment: its connections, memory, and rates. Safe for concurrent use.</summary>
/// <remarks>It belongs to the guest and not to its channel, so that a guest cannot renew its burst by connecting again.</remarks>
public sealed class GuestShare
{
    readonly Lock _lock = new();
    readonly Func<GuestLimits> _limits;
    readonly TimeProvider _time;
    TokenBucket _messages;
    TokenBucket _bytes;
    TokenBucket _reactive;
    ulong _reports;
    ulong _refused;
    long _lastReportAt;
    long _lastRefusedAt;
    PushStatus _lastRefusal;

    public GuestShare(Func<GuestLimits> limits, MessageMemoryPool memory, int weight, TimeProvider time)
    {
        _limits = limits;
        _time = time;
        _messages = new TokenBucket(time);
        _bytes = new TokenBucket(time);
        _reactive = new TokenBucket(time);
        Connections = new ConnectionSlots(() => _limits().ConnectionsPerGuestMax);
        Memory = new MessageMemory(memory);
        Flow = new FairFlow(weight);
    }

    public ConnectionSlots Connections { get; }

    public MessageMemory Memory { get; }

    /// <summary>Its place in the order into the spool.</summary>
    public FairFlow Flow { get; }

    /// <summary>Throttles what is logged of this guest.</summary>
    internal LogThrottle Log { get; } = new();

    /// <summary>What became of its messages since it was there, for people: reports that were stored, all that was refused, and the last of each.</summary>
    public (ulong Reports, ulong Refused, DateTimeOffset? LastReportAt, (PushStatus Status, DateTimeOffset At)? LastRefusal) Account
    {
        get
        {
            lock (_lock)
            {
                return (_reports, _refused, _reports > 0 ? Time(_lastReportAt) : null, _refused > 0 ? (_lastRefusal, Time(_lastRefusedAt)) : null);
            }

            static DateTimeOffset Time(long ticks) => new(ticks, TimeSpan.Zero);
        }
    }

    /// <summary>A message was answered, or a connection.</summary>
    internal void Answered(PushStatus status)
    {
        var now = _time.GetUtcNow().UtcTicks;
        lock (_lock)
        {
            if (status == PushStatus.Stored)
            {
                _reports++;
                _lastReportAt = now;
                return;
            }

            _refused++;
            _lastRefusal = status;
            _lastRefusedAt = now;
        }
    }

    /// <summary>Takes a message into account.</summary>
    /// <returns>Zero when it is within the guest's rates. Otherwise how long the guest has to wait until it would have been; nothing was taken.</returns>
    public TimeSpan Admit(int bytes)
    {
        var limits = _limits();
        lock (_lock)
        {
            var messages = _messages.WaitFor(1, limits.MessagesPerSecond, limits.MessagesBurst);
            var size = _bytes.WaitFor(bytes, limits.BytesPerSecond, limits.BytesBurst);
            if (messages > TimeSpan.Zero || size > TimeSpan.Zero) return messages > size ? messages : size;
            _messages.Take(1, limits.MessagesPerSecond);
            _bytes.Take(bytes, limits.BytesPerSecond);
            return TimeSpan.Zero;
        }
    }

    /// <summary>
    /// Whether a report that was sent because something changed may pass although the guest is over its rates: it is what a host wants to
    /// know soonest, and few per minute cost nothing.
    /// </summary>
    public bool AdmitReactive()
    {
        var rate = _limits().ReactivePerMinute / 60;
        lock (_lock)
        {
            if (rate <= 0 || _reactive.WaitFor(1, rate, _limits().ReactiveBurst) > TimeSpan.Zero) return false;
            _reactive.Take(1, rate);
            return true;
        }
    }

    /// <summary>Whether a report that is reactive would pass. Tells whether it is worth looking.</summary>
    public bool MayAdmitReactive()
    {
        var rate = _limits().ReactivePerMinute / 60;
        lock (_lock) return rate > 0 && _reactive.WaitFor(1, rate, _limits().ReactiveBurst) == TimeSpan.Zero;
    }
}
