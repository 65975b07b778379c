namespace Guestmark.Vulnerabilities;

/// <summary>What rpm's and dpkg's versions have in common: an epoch, and numbers of any length.</summary>
static class VersionText
{
    /// <summary>Length of the epoch with its ':': leading digits followed by ':'. 0 when there is none.</summary>
    public static int EpochLength(ReadOnlySpan<char> version)
    {
        var digits = 0;
        while (digits < version.Length && char.IsAsciiDigit(version[digits])) digits++;
        return digits < version.Length && version[digits] == ':' ? digits + 1 : 0;
    }

    /// <summary>Order by epoch alone. A missing or empty epoch is 0.</summary>
    public static int CompareEpochs(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        return CompareNumbers(Epoch(a), Epoch(b));

        static ReadOnlySpan<char> Epoch(ReadOnlySpan<char> version) => version[..Math.Max(0, EpochLength(version) - 1)];
    }

    /// <summary>Order of two runs of ASCII digits of any length by their value. An empty run is 0.</summary>
    public static int CompareNumbers(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        a = WithoutLeadingZeros(a);
        b = WithoutLeadingZeros(b);
        return a.Length != b.Length ? a.Length - b.Length : a.SequenceCompareTo(b);

        static ReadOnlySpan<char> WithoutLeadingZeros(ReadOnlySpan<char> digits)
        {
            var first = 0;
            while (first < digits.Length && digits[first] == '0') first++;
            return digits[first..];
        }
    }
}
