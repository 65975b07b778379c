using System.Globalization;

namespace Guestmark.Rpc.Protocol;

/// <summary>grpc-timeout: TimeoutValue TimeoutUnit, a positive integer of at most 8 digits and one of H M S m u n.</summary>
static class TimeoutHeader
{
    const long ValueMax = 99_999_999;

    public static string Encode(TimeSpan timeout)
    {
        if (timeout <= TimeSpan.Zero) return "1n";
        // The finest unit that fits; always rounded up, so that the server never gives up before the client.
        foreach (var (unit, ticks) in (ReadOnlySpan<(char, long)>)
            [('u', TimeSpan.TicksPerMicrosecond), ('m', TimeSpan.TicksPerMillisecond), ('S', TimeSpan.TicksPerSecond), ('M', TimeSpan.TicksPerMinute)])
        {
            var value = (timeout.Ticks - 1) / ticks + 1;
            if (value <= ValueMax) return string.Create(CultureInfo.InvariantCulture, $"{value}{unit}");
        }

        return string.Create(CultureInfo.InvariantCulture, $"{Math.Min((timeout.Ticks - 1) / TimeSpan.TicksPerHour + 1, ValueMax)}H");
    }

    /// <summary>False when the header is not a timeout.</summary>
    public static bool TryDecode(string header, out TimeSpan timeout)
    {
        timeout = default;
        if (header.Length is < 2 or > 9 || !long.TryParse(header.AsSpan(..^1), NumberStyles.None, CultureInfo.InvariantCulture, out var value)) return false;
        var ticks = header[^1] switch
        {
            'H' => TimeSpan.TicksPerHour,
            'M' => TimeSpan.TicksPerMinute,
            'S' => TimeSpan.TicksPerSecond,
            'm' => TimeSpan.TicksPerMillisecond,
            'u' => TimeSpan.TicksPerMicrosecond,
            'n' => 0,
            _ => -1,
        };
        if (ticks < 0) return false;
        // A tick is 100 ns. 99,999,999 hours are 3.6e18 ticks and fit into a long.
        timeout = TimeSpan.FromTicks(ticks == 0 ? value / 100 : value * ticks);
        return true;
    }
}
