namespace Guestmark.CommandLine;

/// <summary>Text of guests on its way to a terminal.</summary>
static class TerminalText
{
    /// <summary>
    /// Characters that could move the cursor, change colours, retitle the window, begin a line of their own or turn the order of the text
    /// become question marks.
    /// </summary>
    public static string Printable(string text) =>
        text.Any(IsDangerous) ? string.Concat(text.Select(c => IsDangerous(c) ? '?' : c)) : text;

    // U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: directions; U+2028, U+2029: ends of lines.
    static bool IsDangerous(char c) =>
        char.IsControl(c) || c is '\u200e' or '\u200f' or (>= '\u2028' and <= '\u202e') or (>= '\u2066' and <= '\u2069');
}
