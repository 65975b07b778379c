namespace Guestmark.Vulnerabilities;

/// <summary>rpm's order of versions, <c>[epoch:]version[-release]</c>, as of rpm 4.18 (rpmio/rpmver.c, rpmvercmp.c).</summary>
public static class RpmVersion
{
    /// <summary>Less than, equal to or greater than zero as <paramref name="a"/> is older than, the same as or newer than <paramref name="b"/>.</summary>
    /// <remarks>A missing epoch is 0. A missing release is older than any release, as when rpm compares packages, not dependencies.</remarks>
    public static int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        var order = VersionText.CompareEpochs(a, b);
        return order != 0 ? order : CompareWithoutEpoch(a, b);
    }

    /// <summary>As <see cref="Compare"/>, for versions from a place that records no epoch: the file name of a source package.</summary>
    public static int CompareWithoutEpoch(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        a = a[VersionText.EpochLength(a)..];
        b = b[VersionText.EpochLength(b)..];
        var dashA = a.LastIndexOf('-');
        var dashB = b.LastIndexOf('-');
        var order = CompareSegments(dashA < 0 ? a : a[..dashA], dashB < 0 ? b : b[..dashB]);
        if (order != 0) return order;
        if (dashA < 0 || dashB < 0) return (dashA < 0 ? 0 : 1) - (dashB < 0 ? 0 : 1);
        return CompareSegments(a[(dashA + 1)..], b[(dashB + 1)..]);
    }

    /// <summary>Whether the version starts with an epoch, be it 0.</summary>
    public static bool HasEpoch(ReadOnlySpan<char> version) => VersionText.EpochLength(version) > 0;

    /// <summary>The version between epoch and release: <c>1.0.6</c> of <c>2:1.0.6-26.el8</c>.</summary>
    public static ReadOnlySpan<char> Upstream(ReadOnlySpan<char> version)
    {
        version = version[VersionText.EpochLength(version)..];
        var dash = version.LastIndexOf('-');
        return dash < 0 ? version : version[..dash];
    }

    /// <summary>rpmvercmp: one version or one release.</summary>
    /// <remarks>
    /// Everything but ASCII letters, digits, '~' and '^' only separates. '~' is older than the end of the string, '^' is newer
    /// than the end but older than anything else that follows. Runs of digits compare as numbers and are newer than runs of letters.
    /// </remarks>
    internal static int CompareSegments(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        var i = 0;
        var j = 0;
        while (i < a.Length || j < b.Length)
        {
            while (i < a.Length && IsSeparator(a[i])) i++;
            while (j < b.Length && IsSeparator(b[j])) j++;
            var x = i < a.Length ? a[i] : '\0';
            var y = j < b.Length ? b[j] : '\0';

            if (x == '~' || y == '~')
            {
                if (x != '~') return 1;
                if (y != '~') return -1;
                i++;
                j++;
                continue;
            }

            if (x == '^' || y == '^')
            {
                if (i == a.Length) return -1;
                if (j == b.Length) return 1;
                if (x != '^') return 1;
                if (y != '^') return -1;
                i++;
                j++;
                continue;
            }

            if (i == a.Length || j == b.Length) break;

            var startA = i;
            var startB = j;
            if (char.IsAsciiDigit(x))
            {
                while (i < a.Length && char.IsAsciiDigit(a[i])) i++;
                while (j < b.Length && char.IsAsciiDigit(b[j])) j++;
                if (startB == j) return 1;
                var order = VersionText.CompareNumbers(a[startA..i], b[startB..j]);
                if (order != 0) return order;
            }
            else
            {
                while (i < a.Length && char.IsAsciiLetter(a[i])) i++;
                while (j < b.Length && char.IsAsciiLetter(b[j])) j++;
                if (startB == j) return -1;
                var order = a[startA..i].SequenceCompareTo(b[startB..j]);
                if (order != 0) return order;
            }
        }

        return (i < a.Length ? 1 : 0) - (j < b.Length ? 1 : 0);
    }

    static bool IsSeparator(char c) => !char.IsAsciiLetterOrDigit(c) && c is not ('~' or '^');
}
