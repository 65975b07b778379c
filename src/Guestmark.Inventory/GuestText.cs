namespace Guestmark.Inventory;

/// <summary>Bounds the length of text that a guest chose. Its characters stay as they are: who prints them escapes them.</summary>
static class GuestText
{
    // The longest package name in the real databases of the tests has 90 bytes.
    const int QuotedCharsMax = 128;

    /// <summary>The first <paramref name="charsMax"/> UTF-16 units, one fewer when the last would be half of a surrogate pair.</summary>
    public static string Cut(string text, int charsMax)
    {
        if (text.Length <= charsMax) return text;
        return text[..(char.IsHighSurrogate(text[charsMax - 1]) ? charsMax - 1 : charsMax)];
    }

    /// <summary>A name inside a message: a long one ends with an ellipsis, so that what the message says of it is still read.</summary>
    public static string Quote(string text) => text.Length <= QuotedCharsMax ? text : Cut(text, QuotedCharsMax) + "…";
}
