using System.Buffers;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>An order of versions over UTF-8: less than, equal to or greater than zero.</summary>
delegate int VersionComparison(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b);

/// <summary>What the orders have in common: numbers of any length, letters and digits of ASCII, epochs.</summary>
static class VersionText
{
    public static bool IsDigit(byte c) => (uint)(c - '0') <= 9;

    public static bool IsLetter(byte c) => (uint)((c | 0x20) - 'a') <= 'z' - 'a';

    public static bool IsLetterOrDigit(byte c) => IsDigit(c) || IsLetter(c);

    public static byte ToLower(byte c) => (uint)(c - 'A') <= 'Z' - 'A' ? (byte)(c | 0x20) : c;

    /// <summary>How many digits follow from <paramref name="start"/> on.</summary>
    public static int DigitsLength(ReadOnlySpan<byte> text, int start)
    {
        var end = start;
        while (end < text.Length && IsDigit(text[end])) end++;
        return end - start;
    }

    /// <summary>Length of the epoch with its ':': leading digits followed by ':'. 0 when there is none.</summary>
    public static int EpochLength(ReadOnlySpan<byte> version)
    {
        var digits = DigitsLength(version, 0);
        return digits < version.Length && version[digits] == ':' ? digits + 1 : 0;
    }

    /// <summary>The digits of the epoch. Empty when it is missing or empty, which both is 0.</summary>
    public static ReadOnlySpan<byte> Epoch(ReadOnlySpan<byte> version) => version[..Math.Max(0, EpochLength(version) - 1)];

    public static ReadOnlySpan<byte> WithoutLeadingZeros(ReadOnlySpan<byte> digits)
    {
        var first = digits.IndexOfAnyExcept((byte)'0');
        return first < 0 ? default : digits[first..];
    }

    /// <summary>Order of two runs of ASCII digits of any length by their value. An empty run is 0.</summary>
    public static int CompareNumbers(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var i = 0;
        var j = 0;
        return CompareDigits(a, ref i, b, ref j);
    }

    /// <summary>
    /// Order by value of the digits from <paramref name="i"/> and from <paramref name="j"/> on, which come to lie behind the digits when they
    /// are equal.
    /// </summary>
    public static int CompareDigits(ReadOnlySpan<byte> a, ref int i, ReadOnlySpan<byte> b, ref int j)
    {
        while (i < a.Length && a[i] == '0') i++;
        while (j < b.Length && b[j] == '0') j++;

        // The longer number is greater; of two of one length the first difference decides.
        var difference = 0;
        while (true)
        {
            var hasA = i < a.Length && IsDigit(a[i]);
            var hasB = j < b.Length && IsDigit(b[j]);
            if (!hasA || !hasB) return hasA ? 1 : hasB ? -1 : difference;
            if (difference == 0) difference = a[i] - b[j];
            i++;
            j++;
        }
    }

    public static bool IsNumber(ReadOnlySpan<byte> text) => !text.IsEmpty && DigitsLength(text, 0) == text.Length;

    /// <summary>Byte for byte, with the letters of ASCII in one case.</summary>
    public static int CompareIgnoringCase(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var length = Math.Min(a.Length, b.Length);
        for (var i = 0; i < length; i++)
        {
            var order = ToLower(a[i]) - ToLower(b[i]);
            if (order != 0) return order;
        }

        return a.Length - b.Length;
    }

    /// <summary>Whether <paramref name="text"/> begins with a word that is given in lower case.</summary>
    public static bool StartsWithIgnoringCase(ReadOnlySpan<byte> text, ReadOnlySpan<byte> word) =>
        text.Length >= word.Length && CompareIgnoringCase(text[..word.Length], word) == 0;

    /// <summary>Splits off what is before the first <paramref name="separator"/>, or all.</summary>
    public static ReadOnlySpan<byte> TakeUntil(scoped ref ReadOnlySpan<byte> rest, byte separator)
    {
        var index = rest.IndexOf(separator);
        var part = index < 0 ? rest : rest[..index];
        rest = index < 0 ? default : rest[(index + 1)..];
        return part;
    }

    public static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text) => text.Trim(" \t\r\n"u8);

    /// <summary>An order of UTF-8 for texts of UTF-16.</summary>
    public static int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b, VersionComparison comparison)
    {
        // The longest version of the test data has 66 characters. UTF-8 takes at most 3 bytes for each.
        const int onStack = 384;
        var size = Encoding.UTF8.GetMaxByteCount(a.Length) + Encoding.UTF8.GetMaxByteCount(b.Length);
        byte[]? rented = null;
        var buffer = size <= onStack ? stackalloc byte[onStack] : rented = ArrayPool<byte>.Shared.Rent(size);
        var lengthA = Encoding.UTF8.GetBytes(a, buffer);
        var lengthB = Encoding.UTF8.GetBytes(b, buffer[lengthA..]);
        var order = comparison(buffer[..lengthA], buffer.Slice(lengthA, lengthB));
        if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
        return order;
    }

    /// <summary>
    /// Writes a run of digits so that the order of the bytes is that of the values: the number of digits without leading zeros (255 for each
    /// 255 of them, then the rest), then the digits.
    /// </summary>
    /// <returns>Length written: at most two more than there are digits, and one for each 255 of them.</returns>
    public static int WriteNumberKey(ReadOnlySpan<byte> digits, Span<byte> key)
    {
        digits = WithoutLeadingZeros(digits);
        var length = 0;
        var count = digits.Length;
        for (; count >= byte.MaxValue; count -= byte.MaxValue) key[length++] = byte.MaxValue;
        key[length++] = (byte)count;
        digits.CopyTo(key[length..]);
        return length + digits.Length;
    }
}
