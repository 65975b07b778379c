using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text;

namespace Guestmark.Agent;

/// <summary>A span of time as Go's <c>time.ParseDuration</c> writes it: <c>30s</c>, <c>1h30m</c>, <c>1.5h</c>, <c>250ms</c>.</summary>
/// <remarks>
/// The agents that this one replaces take their durations so, and unit files are written for them. Numbers without a unit are
/// refused, except 0, as Go does; so are negative ones, which no option of an agent has a use for.
/// </remarks>
static class Duration
{
    /// <summary>Go's longest, 2^63 - 1 nanoseconds, in ticks of 100 ns.</summary>
    const long TicksMax = long.MaxValue / 100;

    /// <returns>False when <paramref name="text"/> is no duration, or is longer than 292 years.</returns>
    public static bool TryParse(ReadOnlySpan<char> text, out TimeSpan value)
    {
        value = default;
        if (text is "0") return true;
        if (text.StartsWith('+')) text = text[1..];
        if (text.IsEmpty) return false;
        var ticks = 0m;
        while (!text.IsEmpty)
        {
            var digits = text.IndexOfAnyExcept("0123456789.");
            // 18 digits are more than the longest duration has in its smallest unit, and fit a decimal.
            if (digits is < 1 or > 40) return false;
            if (!decimal.TryParse(text[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) return false;
            text = text[digits..];
            var unitLength = text.IndexOfAny("0123456789.");
            if (unitLength < 0) unitLength = text.Length;
            if (TicksPer(text[..unitLength]) is not { } unit || number > TicksMax / unit) return false;
            ticks += number * unit;
            if (ticks > TicksMax) return false;
            text = text[unitLength..];
        }

        value = new TimeSpan((long)ticks);
        return true;
    }

    /// <summary>The shortest text that <see cref="TryParse"/> reads back: <c>4h</c>, <c>1h30m</c>, <c>0s</c>.</summary>
    public static string Format(TimeSpan value)
    {
        var text = new StringBuilder();
        if (value.TotalHours >= 1) text.Append(CultureInfo.InvariantCulture, $"{(long)value.TotalHours}h");
        if (value.Minutes > 0) text.Append(CultureInfo.InvariantCulture, $"{value.Minutes}m");
        var seconds = value.Seconds + (decimal)(value.Ticks % TimeSpan.TicksPerSecond) / TimeSpan.TicksPerSecond;
        if (seconds > 0 || text.Length == 0) text.Append(CultureInfo.InvariantCulture, $"{seconds:0.#######}s");
        return text.ToString();
    }

    /// <summary>An option that takes a duration between two bounds.</summary>
    public static Option<TimeSpan> Option(string name, string description, TimeSpan usual, TimeSpan min, TimeSpan max) => new(name)
    {
        Description = $"{description} ({Format(min)} to {Format(max)}) [default: {Format(usual)}]",
        HelpName = "DURATION",
        DefaultValueFactory = _ => usual,
        CustomParser = result => Parse(result, name, min, max),
    };

    static TimeSpan Parse(ArgumentResult result, string name, TimeSpan min, TimeSpan max)
    {
        var text = result.Tokens[0].Value;
        if (!TryParse(text, out var value)) result.AddError($"{name} {text}: write a number with its unit, for example 30s, 10m, 4h or 1h30m");
        else if (value < min || value > max) result.AddError($"{name} {text}: must be {Format(min)} to {Format(max)}");
        return value;
    }

    static decimal? TicksPer(ReadOnlySpan<char> unit) => unit switch
    {
        "ns" => 0.01m,
        // Both signs that Unicode has for micro: U+00B5 and U+03BC.
        "us" or "\u00b5s" or "\u03bcs" => 10,
        "ms" => TimeSpan.TicksPerMillisecond,
        "s" => TimeSpan.TicksPerSecond,
        "m" => TimeSpan.TicksPerMinute,
        "h" => TimeSpan.TicksPerHour,
        _ => null,
    };
}
