using System.Text;

namespace Guestmark.Inventory;

/// <summary>A CPE in its two notations.</summary>
/// <remarks>
/// NISTIR 7695 (https://nvlpubs.nist.gov/nistpubs/Legacy/IR/nistir7695.pdf):
/// <code>
/// URI (6.1)              cpe:/part:vendor:product:version:update:edition:language
///                        an edition that begins with ~ packs edition, sw_edition, target_sw, target_hw and other
/// formatted string (6.2) cpe:2.3:part:vendor:product:version:update:edition:language:sw_edition:target_sw:target_hw:other
/// </code>
/// In a URI an empty part is any value, "-" is none, and %hh is a character; in a formatted string any is "*", and what is not a letter,
/// digit, "_", "-" or "." has a backslash in front.
/// </remarks>
static class CpeName
{
    const string UriPrefix = "cpe:/";
    const string FormattedPrefix = "cpe:2.3:";
    const int UriParts = 7;
    const int FormattedParts = 11;
    const int EditionPart = 5;
    const int PackedParts = 5;

    /// <summary>The longest CPE of Red Hat's mapping of 2025 has 66 characters.</summary>
    const int CharsMax = 1024;

    /// <summary>Whether a text is a CPE as a URI (CPE 2.2).</summary>
    public static bool IsUri(string text) => ToFormattedString(text) is not null;

    /// <summary>The formatted string (CPE 2.3) of a URI (CPE 2.2).</summary>
    /// <returns>Null when the text is no such URI.</returns>
    public static string? ToFormattedString(string uri)
    {
        if (uri.Length > CharsMax || !uri.StartsWith(UriPrefix, StringComparison.Ordinal)) return null;
        var parts = uri[UriPrefix.Length..].Split(':');
        if (parts.Length > UriParts || parts[0] is not ("a" or "o" or "h")) return null;

        var values = new string[FormattedParts];
        values.AsSpan().Fill("");
        parts.CopyTo(values, 0);
        if (values[EditionPart].StartsWith('~'))
        {
            var packed = values[EditionPart][1..].Split('~');
            if (packed.Length != PackedParts) return null;
            values[EditionPart] = packed[0];
            packed.AsSpan(1).CopyTo(values.AsSpan(UriParts));
        }

        var text = new StringBuilder(FormattedPrefix);
        for (var i = 0; i < values.Length; i++)
        {
            if (i > 0) text.Append(':');
            if (!TryAppend(text, values[i])) return null;
        }

        return text.ToString();
    }

    static bool TryAppend(StringBuilder text, string value)
    {
        if (value.Length == 0) text.Append('*');
        for (var i = 0; i < value.Length; i++)
        {
            var next = value[i];
            if (next == '%')
            {
                if (i + 2 >= value.Length || !char.IsAsciiHexDigit(value[i + 1]) || !char.IsAsciiHexDigit(value[i + 2])) return false;
                next = (char)((HexValue(value[i + 1]) * 16) + HexValue(value[i + 2]));
                i += 2;
                // The two wildcards stand for themselves; everything else that was escaped is a plain character.
                if (next == 1) text.Append('?');
                else if (next == 2) text.Append('*');
                else if (next is > ' ' and < '\x7f') AppendCharacter(text, next);
                else return false;
            }
            else if (char.IsAsciiLetterOrDigit(next) || next is '.' or '-' or '_' or '~')
            {
                AppendCharacter(text, next);
            }
            else
            {
                return false;
            }
        }

        return true;
    }

    static void AppendCharacter(StringBuilder text, char character)
    {
        if (!char.IsAsciiLetterOrDigit(character) && character is not ('.' or '-' or '_')) text.Append('\\');
        text.Append(char.ToLowerInvariant(character));
    }

    static int HexValue(char digit) => char.IsAsciiDigit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;
}
