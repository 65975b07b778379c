using System.Net;

namespace Guestmark.Central.SignIn;

/// <summary>Counts wrong tokens by the address they come from, in windows of a minute.</summary>
sealed class FailedAttempts(CentralOptions options, TimeProvider time)
{
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    /// <summary>Addresses that are remembered. Beyond it, all others share one count.</summary>
    const int AddressesMax = 10_000;

    readonly Lock _gate = new();
    readonly Dictionary<IPAddress, int> _failures = [];
    DateTimeOffset _windowEnd;

    public bool TooMany(IPAddress? address)
    {
        lock (_gate)
        {
            Turn();
            return _failures.GetValueOrDefault(KeyOf(address)) >= options.SignIn.FailedAttemptsPerMinuteMax;
        }
    }

    public void Add(IPAddress? address)
    {
        lock (_gate)
        {
            Turn();
            var key = KeyOf(address);
            _failures[key] = _failures.GetValueOrDefault(key) + 1;
        }
    }

    void Turn()
    {
        var now = time.GetUtcNow();
        if (now < _windowEnd) return;
        _failures.Clear();
        _windowEnd = now + Window;
    }

    IPAddress KeyOf(IPAddress? address) =>
        address is null || (_failures.Count >= AddressesMax && !_failures.ContainsKey(address)) ? IPAddress.None : address;
}
