using System.Buffers.Text;
using System.Text;

namespace Guestmark.Central.Api;

/// <summary>
/// Where the next page starts: the values of the last row that its order compares, so that rows that come or go meanwhile neither
/// repeat nor hide others. Opaque to clients: base64url of the values, separated by U+001F, which no stored text contains.
/// </summary>
static class Cursor
{
    const char Separator = '\u001f';

    /// <summary>Four values of the longest stored text, in base64 of UTF-8.</summary>
    const int LengthMax = 8192;

    public static string Encode(params ReadOnlySpan<string> values) =>
        Base64Url.EncodeToString(Encoding.UTF8.GetBytes(string.Join(Separator, values)));

    /// <summary>False for anything that <see cref="Encode"/> does not make of <paramref name="count"/> values.</summary>
    public static bool TryDecode(string text, int count, out string[] values)
    {
        values = [];
        if (text.Length > LengthMax || !Base64Url.IsValid(text)) return false;
        values = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(text)).Split(Separator);
        return values.Length == count;
    }
}
