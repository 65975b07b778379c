namespace Guestmark.Node.Admission;

/// <summary>A rate over a long time, and a burst beyond it. Not safe for concurrent use.</summary>
/// <param name="time">Measures the refill.</param>
struct TokenBucket(TimeProvider time)
{
    readonly TimeProvider _time = time;
    double _tokens = double.MaxValue;
    long _at = time.GetTimestamp();

    /// <summary>Whole tokens that may be taken now.</summary>
    public long Available(double rate, double burst)
    {
        if (rate <= 0) return long.MaxValue;
        _ = WaitFor(1, rate, burst);
        return (long)_tokens;
    }

    /// <summary>How long until there are <paramref name="amount"/> tokens. Zero: now.</summary>
    /// <param name="rate">Tokens per second. 0: no limit.</param>
    /// <param name="burst">Most tokens that gather while nothing is taken. An amount over it needs a full bucket.</param>
    public TimeSpan WaitFor(double amount, double rate, double burst)
    {
        if (rate <= 0) return TimeSpan.Zero;
        var now = _time.GetTimestamp();
        _tokens = Math.Min(burst, _tokens + _time.GetElapsedTime(_at, now).TotalSeconds * rate);
        _at = now;
        var missing = Math.Min(amount, burst) - _tokens;
        return missing <= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(missing / rate);
    }

    /// <summary>Takes tokens, of which <see cref="WaitFor"/> said that they are there.</summary>
    public void Take(double amount, double rate)
    {
        if (rate > 0) _tokens = Math.Max(0, _tokens - amount);
    }
}
