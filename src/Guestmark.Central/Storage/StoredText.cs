using System.Buffers;

namespace Guestmark.Central.Storage;

/// <summary>Makes text that a guest chose fit to be stored: bounded and without control characters.</summary>
static class StoredText
{
    /// <summary>The longest name, version and the like, in UTF-16 units. The longest in Fedora and Debian have under 130.</summary>
    public const int LengthMax = 256;

    static readonly SearchValues<char> Controls = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Concat(Enumerable.Range(0x7f, 0x21)).Select(c => (char)c)]);

    /// <summary>Cuts at <see cref="LengthMax"/> and puts U+FFFD in place of control characters.</summary>
    public static string Bound(string? text) => Bound(text, LengthMax);

    /// <summary>As <see cref="Bound(string?)"/>, but cuts at <paramref name="lengthMax"/>.</summary>
    public static string Bound(string? text, int lengthMax)
    {
        if (text is null) return "";
        if (text.Length > lengthMax)
        {
            // The ellipsis takes the last place; a surrogate pair is not cut in half.
            var length = lengthMax - 1;
            if (char.IsHighSurrogate(text[length - 1])) length--;
            text = string.Concat(text.AsSpan(0, length), "…");
        }

        if (!text.AsSpan().ContainsAny(Controls)) return text;
        return string.Create(text.Length, text, (span, source) =>
        {
            for (var i = 0; i < span.Length; i++) span[i] = Controls.Contains(source[i]) ? '\ufffd' : source[i];
        });
    }
}
