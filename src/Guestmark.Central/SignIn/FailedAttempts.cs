using System.Net;

namespace Guestmark.Central.SignIn;

/// <summary>Counts wrong tokens by the address they come from, in windows of a minute.</summary>
/// <remarks>
/// It spares the log and tells a client that it goes wrong. It protects no token, each of which has 256 random bits, and so it never stands
/// before a valid one: any page in the operator's browser can send wrong ones from the operator's address.
/// </remarks>
sealed class FailedAttempts(CentralOptions options, TimeProvider time)
{
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    /// <summary>Addresses that are remembered. Beyond it, all others share one count.</summary>
    const int AddressesMax = 10_000;

    readonly Lock _gate = new();
    readonly Dictionary<IPAddress, int> _failures = [];
    DateTimeOffset _windowEnd;

    /// <summary>Counts a wrong token. True when its address has sent as many as it may in this minute before.</summary>
    public bool AddIsTooMany(IPAddress? address)
    {
        lock (_gate)
        {
            Turn();
            var key = KeyOf(address);
            var before = _failures.GetValueOrDefault(key);
            if (before >= options.SignIn.FailedAttemptsPerMinuteMax) return true;
            _failures[key] = before + 1;
            return false;
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
