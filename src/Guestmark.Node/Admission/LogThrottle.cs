namespace Guestmark.Node.Admission;

/// <summary>Lets one line an interval into the log and counts those that it held back, so that a guest cannot fill the host's disk.</summary>
sealed class LogThrottle
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    readonly Lock _lock = new();
    long? _at;
    long _heldBack;

    /// <param name="heldBack">Lines since the last one that was let through.</param>
    public bool MayLog(TimeProvider time, out long heldBack)
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            if (_at is { } last && time.GetElapsedTime(last, now) < Interval)
            {
                heldBack = 0;
                _heldBack++;
                return false;
            }

            heldBack = _heldBack;
            _heldBack = 0;
            _at = now;
            return true;
        }
    }
}
