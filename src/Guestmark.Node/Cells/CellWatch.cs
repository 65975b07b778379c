using Google.Protobuf.WellKnownTypes;
using Guestmark.Events;

namespace Guestmark.Node.Cells;

/// <summary>Watches over the life of one cell's channel and says when, and how, it fell silent.</summary>
/// <remarks>
/// <code>
/// unconnected ── connects ─▶ waiting ◀──▶ half a frame
///      ▲                      │   ▲              │
///      └──────── ends ────────┘   └── storing ◀──┘   (throttled: the host does not read, by choice)
///
/// unconnected, and nobody ever was, for the window   NeverConnected
/// waiting for the window                             Idle
/// half a frame for the frame's time                  HalfFrame, and the connection is closed
/// storing for the window                             Stalled: the host's fault, bytes wait and none are read
/// ends between frames / within one / reset / with a wrong length   Closed / HalfFrame / Dead / Malformed
/// </code>
/// A right frame ends an episode of silence. Each reason is told at most once in an episode, and, because a guest makes episodes as it likes, at
/// most once in a window over all: a silence that comes earlier is told when the window is over, if it lasts.
/// What cannot be stored is told again at the next <see cref="Tick"/>.
/// </remarks>
/// <param name="store">Stores an event. False: there is no room now.</param>
sealed class CellWatch(TimeSpan window, TimeSpan frameTimeout, TimeProvider time, Func<GuestSilenced, Task<bool>> store)
{
    readonly Lock _lock = new();
    readonly Dictionary<SilenceReason, Telling> _telling = [];
    readonly Dictionary<SilenceReason, long> _toldAt = [];
    readonly HashSet<SilenceReason> _silences = [];
    Phase _phase = Phase.Unconnected;
    long _since = time.GetTimestamp();
    long _livedAt;
    bool _everConnected;
    ulong _frames;
    DateTimeOffset? _lastFrameAt;
    SilenceReason _latest;
    Action? _closeHalfFrame;

    enum Phase
    {
        Unconnected,
        Waiting,
        HalfFrame,
        Storing,
        Throttled,
    }

    /// <summary>Raised once for each reason and episode, outside all locks.</summary>
    public Action<SilenceReason>? Silenced { get; init; }

    /// <summary>Raised when a frame ended an episode.</summary>
    public Action? Revived { get; init; }

    /// <summary>A snapshot for people.</summary>
    public (bool IsConnected, SilenceReason Silence, ulong Frames, DateTimeOffset? LastFrameAt) State
    {
        get
        {
            lock (_lock) return (_phase != Phase.Unconnected, _silences.Count > 0 ? _latest : SilenceReason.Unspecified, _frames, _lastFrameAt);
        }
    }

    /// <param name="closeHalfFrame">Called when half a frame took too long.</param>
    public void Connected(Action closeHalfFrame)
    {
        lock (_lock)
        {
            _everConnected = true;
            _closeHalfFrame = closeHalfFrame;
            _livedAt = time.GetTimestamp();
            Enter(Phase.Waiting);
        }
    }

    /// <summary>The host waits for the guest.</summary>
    /// <param name="hasHalfFrame">Some bytes of a frame have arrived. Its time began when they first had.</param>
    /// <param name="isNewFrame">They are of another frame than at the last call.</param>
    public void Waiting(bool hasHalfFrame, bool isNewFrame)
    {
        lock (_lock)
        {
            // While the host did not read, the guest could not show that it lives.
            if (_phase == Phase.Storing) _livedAt = time.GetTimestamp();
            if (!hasHalfFrame) Enter(Phase.Waiting);
            else if (_phase != Phase.HalfFrame || isNewFrame) Enter(Phase.HalfFrame);
        }
    }

    /// <summary>The host has something of the guest's in hand.</summary>
    public void Storing()
    {
        lock (_lock) Enter(Phase.Storing);
    }

    /// <summary>The host does not read because the guest sends too much.</summary>
    public void Throttled()
    {
        lock (_lock) Enter(Phase.Throttled);
    }

    /// <summary>Right frames arrived.</summary>
    public void Lived(int frames, DateTimeOffset at)
    {
        bool wasSilent;
        lock (_lock)
        {
            _frames += (ulong)frames;
            _lastFrameAt = at;
            _livedAt = time.GetTimestamp();
            wasSilent = _silences.Count > 0;
            _silences.Clear();
            if (wasSilent)
            {
                // What was held back for want of time was a blink.
                foreach (var reason in _telling.Where(telling => !telling.Value.IsDue).Select(telling => telling.Key).ToList()) _telling.Remove(reason);
            }
        }

        if (wasSilent) Revived?.Invoke();
    }

    /// <summary>The connection is over.</summary>
    /// <param name="reason">Null when the host ended it for reasons of its own.</param>
    public void Ended(SilenceReason? reason)
    {
        lock (_lock)
        {
            Enter(Phase.Unconnected);
            _closeHalfFrame = null;
        }

        if (reason is not { } silence) return;
        Silence(silence);
        Tell();
    }

    /// <summary>Looks whether time has run out for something.</summary>
    public void Tick()
    {
        SilenceReason? reason;
        Action? close = null;
        lock (_lock)
        {
            reason = _phase switch
            {
                Phase.Unconnected when !_everConnected && Passed(_since, window) => SilenceReason.NeverConnected,
                Phase.Waiting when Passed(_livedAt, window) => SilenceReason.Idle,
                Phase.HalfFrame when Passed(_since, frameTimeout) => SilenceReason.HalfFrame,
                Phase.Storing when Passed(_since, window) => SilenceReason.Stalled,
                _ => null,
            };
            if (reason == SilenceReason.HalfFrame) close = _closeHalfFrame;
        }

        if (reason is { } silence) Silence(silence);
        close?.Invoke();
        Tell();
    }

    bool Passed(long since, TimeSpan limit) => time.GetElapsedTime(since) >= limit;

    void Enter(Phase phase)
    {
        _phase = phase;
        _since = time.GetTimestamp();
    }

    void Silence(SilenceReason reason)
    {
        lock (_lock)
        {
            if (!_silences.Add(reason)) return;
            _latest = reason;
            var silenced = new GuestSilenced { Reason = reason, Frames = _frames };
            if (_lastFrameAt is { } last) silenced.LastFrameAt = Timestamp.FromDateTimeOffset(last);
            _telling[reason] = new Telling(silenced) { IsDue = MayTell(reason) };
        }

        Silenced?.Invoke(reason);
    }

    bool MayTell(SilenceReason reason) => !_toldAt.TryGetValue(reason, out var told) || Passed(told, window);

    void Tell()
    {
        List<KeyValuePair<SilenceReason, Telling>> due = [];
        lock (_lock)
        {
            foreach (var telling in _telling)
            {
                telling.Value.IsDue |= MayTell(telling.Key);
                if (!telling.Value.IsDue || telling.Value.IsUnderWay) continue;
                telling.Value.IsUnderWay = true;
                due.Add(telling);
            }
        }

        foreach (var (reason, telling) in due) _ = TellAsync(reason, telling);
    }

    async Task TellAsync(SilenceReason reason, Telling telling)
    {
        var isStored = await store(telling.Event);
        lock (_lock)
        {
            telling.IsUnderWay = false;
            if (!isStored) return;
            _toldAt[reason] = time.GetTimestamp();
            if (_telling.TryGetValue(reason, out var now) && now == telling) _telling.Remove(reason);
        }
    }

    sealed class Telling(GuestSilenced silenced)
    {
        public GuestSilenced Event => silenced;

        public bool IsDue { get; set; }

        public bool IsUnderWay { get; set; }
    }
}
