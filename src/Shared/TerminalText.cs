namespace Guestmark.CommandLine;

/// <summary>Text of guests on its way to a terminal.</summary>
static class TerminalText
{
    /// <summary>Control characters, which could move the cursor, change colours or retitle the window, become question marks.</summary>
    public static string Printable(string text) =>
        text.Any(IsDangerous) ? string.Concat(text.Select(c => IsDangerous(c) ? '?' : c)) : text;

    static bool IsDangerous(char c) => char.IsControl(c) && c != '\n';
}
