using System.Buffers.Binary;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Guestmark.Vulnerabilities;

/// <summary>Turns the texts of JSON documents into strings, the same string for a text that came a moment ago.</summary>
/// <remarks>
/// Advisories repeat themselves: AlmaLinux' feed has 71,329 package entries with 8,000 names and one version for most of a document. The
/// cache is direct-mapped, so it is bounded, needs no clearing, and a text that is not in its slot costs one string, as without it.
/// </remarks>
sealed class JsonText
{
    const int SlotBits = 14;

    /// <summary>Longest text in bytes that is kept. Names, versions and ids have less; descriptions do not repeat.</summary>
    const int CachedBytesMax = 96;

    readonly string?[] _slots = new string?[1 << SlotBits];

    /// <summary>The value of a string token or the name of a property. Null when it is not valid UTF-8 or has an unpaired surrogate.</summary>
    public string? Of(ref readonly Utf8JsonReader json)
    {
        if (!json.ValueIsEscaped) return Of(json.ValueSpan);
        try
        {
            return json.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>Null when the bytes are not valid UTF-8.</summary>
    public string? Of(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length > CachedBytesMax) return Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8) : null;
        if (utf8.IsEmpty) return "";
        ref var slot = ref _slots[Slot(utf8)];
        if (slot is not null && Ascii.Equals(utf8, slot)) return slot;
        if (!Utf8.IsValid(utf8)) return null;
        return slot = Encoding.UTF8.GetString(utf8);
    }

    /// <summary>Whether a token is the string or name <paramref name="text"/>. One with an unpaired surrogate, at which the reader throws, is not.</summary>
    public static bool Is(ref readonly Utf8JsonReader json, ReadOnlySpan<byte> text)
    {
        if (!json.ValueIsEscaped) return json.ValueSpan.SequenceEqual(text);
        try
        {
            return json.ValueTextEquals(text);
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>What a token is in place of what was expected: <c>is a number (5), not a string</c>.</summary>
    public static string Instead(ref readonly Utf8JsonReader json, string expected)
    {
        const int shown = 40;
        return json.TokenType switch
        {
            JsonTokenType.StartObject => $"is an object, not {expected}",
            JsonTokenType.StartArray => $"is an array, not {expected}",
            JsonTokenType.String => $"is a string, not {expected}",
            JsonTokenType.Number => $"is a number ({Encoding.ASCII.GetString(json.ValueSpan[..Math.Min(shown, json.ValueSpan.Length)])}), "
                + $"not {expected}",
            JsonTokenType.Null => $"is null, not {expected}",
            _ => $"is true or false, not {expected}",
        };
    }

    public const string NotText = "is not valid UTF-8 or has an unpaired surrogate";

    /// <summary>A time as RFC 3339 has it. One without an offset is taken for UTC.</summary>
    public static bool TryTime(ref readonly Utf8JsonReader json, out DateTimeOffset time)
    {
        // 2021-11-12T10:20:56Z, with up to nine digits of a second.
        if (!json.ValueIsEscaped && json.ValueSpan is [.., (byte)'Z'] && json.TryGetDateTimeOffset(out time)) return true;
        time = default;
        const int longest = 64;
        if (json.ValueSpan.Length > longest) return false;
        Span<char> text = stackalloc char[longest];
        try
        {
            text = text[..json.CopyString(text)];
        }
        catch (InvalidOperationException)
        {
            return false;
        }

        return DateTimeOffset.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out time);
    }

    /// <summary>YYYY-MM-DD.</summary>
    public static bool TryDate(ReadOnlySpan<byte> text, out DateOnly date)
    {
        date = default;
        if (text.Length != 10 || text[4] != '-' || text[7] != '-') return false;
        if (!Number(text[..4], out var year) || !Number(text[5..7], out var month) || !Number(text[8..], out var day)) return false;
        if (year < 1 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month)) return false;
        date = new DateOnly(year, month, day);
        return true;

        static bool Number(ReadOnlySpan<byte> digits, out int value) =>
            Utf8Parser.TryParse(digits, out value, out var used) && used == digits.Length && digits[0] is >= (byte)'0' and <= (byte)'9';
    }

    /// <summary>CVE-YYYY-N…N with at least four digits (https://www.cve.org/About/Process, "CVE ID syntax").</summary>
    public static bool IsCve(ReadOnlySpan<byte> id) =>
        id.Length is >= 13 and <= 32 && id.StartsWith("CVE-"u8) && id[8] == '-'
        && !id[4..8].ContainsAnyExceptInRange((byte)'0', (byte)'9') && !id[9..].ContainsAnyExceptInRange((byte)'0', (byte)'9');

    /// <summary>
    /// The first line that is not empty, cut to <paramref name="charsMax"/> characters, of which the last is then '…'. Null when it is not
    /// valid UTF-8 or has an unpaired surrogate.
    /// </summary>
    /// <param name="token">Of a string, between its quotation marks, escaped as JSON has it.</param>
    public static string? FirstLine(ReadOnlySpan<byte> token, int charsMax)
    {
        if (token.Length <= charsMax && !token.Contains((byte)'\\')) return Utf8.IsValid(token) ? Encoding.UTF8.GetString(token).Trim() : null;

        // A description may have megabytes, of which only the beginning is unescaped: 12 bytes are the longest form of a character.
        var line = UnescapedPrefix(token, charsMax * 12);
        if (line is null) return null;
        var text = line.AsSpan().Trim();
        var end = text.IndexOfAny('\r', '\n');
        if (end >= 0) text = text[..end].TrimEnd();
        if (text.Length <= charsMax) return text.ToString();
        // Not between the halves of a surrogate pair.
        var cut = char.IsHighSurrogate(text[charsMax - 2]) ? charsMax - 2 : charsMax - 1;
        return $"{text[..cut]}…";
    }

    static string? UnescapedPrefix(ReadOnlySpan<byte> token, int bytesMax)
    {
        var end = 0;
        while (end < token.Length && end < bytesMax)
        {
            if (token[end] != '\\')
            {
                end++;
                // Not between the bytes of a character.
                while (end < token.Length && (token[end] & 0xC0) == 0x80) end++;
            }
            else
            {
                end += Escape(token[end..]);
                if (end > token.Length) return null;
            }
        }

        var quoted = new byte[end + 2];
        quoted[0] = (byte)'"';
        token[..end].CopyTo(quoted.AsSpan(1));
        quoted[^1] = (byte)'"';
        try
        {
            var json = new Utf8JsonReader(quoted);
            json.Read();
            return json.GetString();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }

        // \n, \u00e9, and a pair of surrogates as one: \ud83d\ude00
        static int Escape(ReadOnlySpan<byte> escape) =>
            escape.Length < 2 || escape[1] != 'u' ? 2
            : escape.Length >= 12 && escape[2] is (byte)'d' or (byte)'D' && escape[3] is not (>= (byte)'0' and <= (byte)'7') && escape[6] == '\\' ? 12
            : 6;
    }

    static int Slot(ReadOnlySpan<byte> text)
    {
        ulong hash = (uint)text.Length;
        if (text.Length >= 8)
        {
            hash = (hash ^ BinaryPrimitives.ReadUInt64LittleEndian(text)) * 0x9E3779B97F4A7C15;
            hash = (hash ^ (hash >> 29) ^ BinaryPrimitives.ReadUInt64LittleEndian(text[^8..])) * 0xBF58476D1CE4E5B9;
            if (text.Length > 16)
                hash = (hash ^ (hash >> 32) ^ BinaryPrimitives.ReadUInt64LittleEndian(text[((text.Length / 2) - 4)..])) * 0x94D049BB133111EB;
        }
        else
        {
            foreach (var value in text) hash = (hash ^ value) * 0x100000001B3;
            hash *= 0x9E3779B97F4A7C15;
        }

        return (int)(hash >> (64 - SlotBits));
    }
}
