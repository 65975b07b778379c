using System.CommandLine;
using System.Globalization;
using System.Text;

namespace Guestmark.Agent;

/// <summary>Durations as the original agent takes them (Go's time.ParseDuration): <c>4h</c>, <c>1h30m</c>, <c>30s</c>, <c>500ms</c>. A bare number is seconds.</summary>
readonly record struct Duration(TimeSpan Value)
{
    static readonly (string Unit, double Seconds)[] Units = [("ms", 0.001), ("h", 3600), ("m", 60), ("s", 1)];

    /// <summary>An option that takes a duration between two bounds.</summary>
    public static Option<Duration> Option(string name, string description, string defaultText, TimeSpan least, TimeSpan most)
    {
        var option = new Option<Duration>(name)
        {
            Description = description,
            HelpName = "DURATION",
            DefaultValueFactory = _ => new Duration(Parse(defaultText)!.Value),
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value;
                if (Parse(text) is not { } value) result.AddError($"{name} {text}: write a duration such as 30s, 10m or 1h30m");
                else if (value < least || value > most) result.AddError($"{name} {text}: must be {Format(least)} to {Format(most)}");
                else return new Duration(value);
                return default;
            },
        };
        return option;
    }

    /// <summary>As help shows it.</summary>
    public override string ToString() => Format(Value);

    /// <returns>Null when the text is no duration.</returns>
    public static TimeSpan? Parse(string text)
    {
        if (uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var bare)) return TimeSpan.FromSeconds(bare);
        var rest = text.AsSpan();
        if (rest.IsEmpty) return null;
        var seconds = 0.0;
        while (!rest.IsEmpty)
        {
            var digits = rest.IndexOfAnyExcept("0123456789.");
            if (digits <= 0 || !double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)) return null;
            rest = rest[digits..];
            var matched = false;
            foreach (var (unit, unitSeconds) in Units)
            {
                if (!rest.StartsWith(unit, StringComparison.Ordinal)) continue;
                seconds += number * unitSeconds;
                rest = rest[unit.Length..];
                matched = true;
                break;
            }

            if (!matched) return null;
        }

        return seconds <= TimeSpan.MaxValue.TotalSeconds / 2 ? TimeSpan.FromSeconds(seconds) : null;
    }

    /// <summary>The shortest text that <see cref="Parse"/> takes back: <c>1h30m</c>.</summary>
    public static string Format(TimeSpan duration)
    {
        if (duration < TimeSpan.FromSeconds(1)) return duration == TimeSpan.Zero ? "0s" : string.Create(CultureInfo.InvariantCulture, $"{duration.TotalMilliseconds}ms");
        var text = new StringBuilder();
        Append((long)duration.TotalHours, "h");
        Append(duration.Minutes, "m");
        Append(duration.Seconds, "s");
        return text.ToString();

        void Append(long number, string unit)
        {
            if (number > 0) text.Append(number).Append(unit);
        }
    }
}
