using System.Buffers.Text;
using System.Security.Cryptography;

namespace Guestmark.Central.SignIn;

/// <summary>Links that sign a person in once. Who can see the terminal of Central, or has its API token, can make one.</summary>
/// <remarks>
/// Held in memory: a link does not outlive the process that printed it. Only the SHA-256 of a token is kept, and tokens are looked up by it,
/// so that neither a memory dump gives links nor the time of the look-up gives parts of one.
/// </remarks>
public sealed class SignInLinks(CentralOptions options, TimeProvider time)
{
    /// <summary>Links that can be open at a time; with more the oldest ends.</summary>
    const int OpenMax = 1_000;

    readonly Lock _gate = new();
    readonly Dictionary<string, DateTimeOffset> _expiries = [];

    /// <summary>A new token of 256 random bits for <c>/sign-in?token=…</c>.</summary>
    public (string Token, DateTimeOffset Expires) Create()
    {
        var token = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
        var now = time.GetUtcNow();
        var expires = now + options.SignIn.LinkLifetime;
        lock (_gate)
        {
            foreach (var (key, expiry) in _expiries)
            {
                if (expiry <= now) _expiries.Remove(key);
            }

            if (_expiries.Count >= OpenMax) _expiries.Remove(_expiries.MinBy(link => link.Value).Key);
            _expiries.Add(KeyOf(token), expires);
        }

        return (token, expires);
    }

    public static string PathOf(string token) => "/sign-in?token=" + token;

    /// <summary>True once for each token that is not older than the lifetime of a link.</summary>
    internal bool TryUse(string token)
    {
        lock (_gate) return _expiries.Remove(KeyOf(token), out var expires) && time.GetUtcNow() < expires;
    }

    static string KeyOf(string token) => Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(token)));
}
