namespace Guestmark.Vulnerabilities;

/// <summary>
/// Numbers between '.' and '-', where more of them are newer: R's package_version (https://cran.r-project.org/doc/manuals/R-exts.html, "Version")
/// and Haskell's PVP (https://pvp.haskell.org/), where 1.0 is older than 1.0.0.
/// </summary>
static class NumbersVersion
{
    /// <summary>Less than, equal to or greater than zero. A part that is no number is newer than numbers, and compares byte by byte.</summary>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        a = VersionText.Trim(a);
        b = VersionText.Trim(b);
        while (!a.IsEmpty && !b.IsEmpty)
        {
            var x = Take(ref a);
            var y = Take(ref b);
            var xIsNumber = VersionText.IsNumber(x);
            var yIsNumber = VersionText.IsNumber(y);
            if (xIsNumber != yIsNumber) return xIsNumber ? -1 : 1;
            var order = xIsNumber ? VersionText.CompareNumbers(x, y) : x.SequenceCompareTo(y);
            if (order != 0) return order;
        }

        return (a.IsEmpty ? 0 : 1) - (b.IsEmpty ? 0 : 1);
    }

    public static bool IsValid(ReadOnlySpan<byte> version)
    {
        if (version.IsEmpty || !VersionText.IsDigit(version[^1])) return false;
        while (!version.IsEmpty)
        {
            if (!VersionText.IsNumber(Take(ref version))) return false;
        }

        return true;
    }

    static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> rest)
    {
        var end = rest.IndexOfAny((byte)'.', (byte)'-');
        var part = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return part;
    }
}
