using System.Globalization;

namespace Guestmark.Events.Format;

/// <summary>A moment as <c>google.protobuf.Timestamp</c> has it, and its one text.</summary>
/// <param name="Seconds">Since 1970, of the years 1 to 9999.</param>
/// <param name="Nanos">0 to 999,999,999.</param>
/// <remarks>
/// RFC 3339 gives a moment many texts: any offset, any number of zeros. The one that is signed and exported is in UTC with <c>Z</c>, with as
/// many digits of a fraction as are needed and none for a whole second: <c>2026-03-04T05:06:07.89Z</c>.
/// </remarks>
readonly record struct EventTime(long Seconds, int Nanos)
{
    /// <summary><c>yyyy-MM-ddTHH:mm:ss.fffffffffZ</c>.</summary>
    public const int TextBytesMax = 30;

    const int NanosPerTick = 100;
    const int SecondsBytes = 19;
    static readonly long SecondsMin = DateTimeOffset.MinValue.ToUnixTimeSeconds();
    static readonly long SecondsMax = DateTimeOffset.MaxValue.ToUnixTimeSeconds();

    public bool IsValid => Seconds >= SecondsMin && Seconds <= SecondsMax && Nanos is >= 0 and < 1_000_000_000;

    public static EventTime Of(DateTimeOffset time)
    {
        var ticks = time.UtcTicks - DateTime.UnixEpoch.Ticks;
        var (seconds, rest) = Math.DivRem(ticks, TimeSpan.TicksPerSecond);
        return rest < 0 ? new EventTime(seconds - 1, (int)(rest + TimeSpan.TicksPerSecond) * NanosPerTick) : new EventTime(seconds, (int)rest * NanosPerTick);
    }

    /// <summary>To the tenth of a microsecond, which is what the type can hold.</summary>
    public DateTimeOffset ToDateTimeOffset() => DateTimeOffset.FromUnixTimeSeconds(Seconds).AddTicks(Nanos / NanosPerTick);

    /// <summary>Writes the text.</summary>
    /// <param name="destination">At least <see cref="TextBytesMax"/> bytes.</param>
    /// <returns>Its length.</returns>
    public int Write(Span<byte> destination)
    {
        _ = DateTimeOffset.FromUnixTimeSeconds(Seconds).UtcDateTime.TryFormat(destination, out var length, "s", CultureInfo.InvariantCulture);
        if (Nanos > 0)
        {
            destination[length++] = (byte)'.';
            var rest = Nanos;
            for (var digit = 100_000_000; rest > 0; digit /= 10)
            {
                destination[length++] = (byte)('0' + rest / digit);
                rest %= digit;
            }
        }

        destination[length++] = (byte)'Z';
        return length;
    }

    public override string ToString()
    {
        Span<byte> text = stackalloc byte[TextBytesMax];
        return System.Text.Encoding.ASCII.GetString(text[..Write(text)]);
    }

    /// <summary>
    /// RFC 3339 5.6: <c>full-date "T" partial-time time-offset; partial-time = hour ":" minute ":" second [ "." 1*DIGIT ]; time-offset = "Z" /
    /// ("+" / "-") hour ":" minute</c>. Up to nine digits of a fraction count; more of them must be zeros. Leap seconds are refused: a Timestamp has none.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> text, out EventTime time)
    {
        time = default;
        if (text.Length <= SecondsBytes || text[10] is not ('T' or 't')) return false;
        if (!DateTime.TryParseExact(text[..10], "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date)) return false;
        if (text[13] != ':' || text[16] != ':') return false;
        if (!TryDigits(text[11..13], 23, out var hour) || !TryDigits(text[14..16], 59, out var minute) || !TryDigits(text[17..19], 59, out var second)) return false;

        var nanos = 0;
        var rest = text[SecondsBytes..];
        if (rest[0] == '.')
        {
            var unit = 100_000_000;
            var digits = 1;
            for (; digits < rest.Length && char.IsAsciiDigit(rest[digits]); digits++)
            {
                if (unit == 0 && rest[digits] != '0') return false;
                nanos += (rest[digits] - '0') * unit;
                unit /= 10;
            }

            if (digits == 1) return false;
            rest = rest[digits..];
        }

        var offset = 0;
        if (rest is not ("Z" or "z"))
        {
            if (rest.Length != 6 || rest[0] is not ('+' or '-') || rest[3] != ':') return false;
            if (!TryDigits(rest[1..3], 23, out var hours) || !TryDigits(rest[4..], 59, out var minutes)) return false;
            offset = (hours * 60 + minutes) * (rest[0] == '-' ? -60 : 60);
        }

        var seconds = (date.Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerSecond + hour * 3600 + minute * 60 + second - offset;
        time = new EventTime(seconds, nanos);
        return time.IsValid;

        static bool TryDigits(ReadOnlySpan<char> two, int most, out int value)
        {
            value = (two[0] - '0') * 10 + (two[1] - '0');
            return char.IsAsciiDigit(two[0]) && char.IsAsciiDigit(two[1]) && value <= most;
        }
    }
}
