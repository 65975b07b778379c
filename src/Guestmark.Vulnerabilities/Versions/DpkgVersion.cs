namespace Guestmark.Vulnerabilities;

/// <summary>dpkg's order of versions, <c>[epoch:]upstream[-revision]</c>, as deb-version(7) and lib/dpkg/version.c define it.</summary>
public static class DpkgVersion
{
    /// <summary>Less than, equal to or greater than zero as <paramref name="a"/> is older than, the same as or newer than <paramref name="b"/>.</summary>
    /// <remarks>A missing epoch is 0 and a missing revision equals <c>0</c>.</remarks>
    public static int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        var order = VersionText.CompareEpochs(a, b);
        if (order != 0) return order;
        a = a[VersionText.EpochLength(a)..];
        b = b[VersionText.EpochLength(b)..];
        var revisionA = TakeRevision(ref a);
        var revisionB = TakeRevision(ref b);
        order = ComparePart(a, b);
        return order != 0 ? order : ComparePart(revisionA, revisionB);
    }

    // verrevcmp: a run of other characters, then a number, in turn until both end.
    static int ComparePart(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        var i = 0;
        var j = 0;
        while (i < a.Length || j < b.Length)
        {
            while ((i < a.Length && !char.IsAsciiDigit(a[i])) || (j < b.Length && !char.IsAsciiDigit(b[j])))
            {
                var order = Order(a, i) - Order(b, j);
                if (order != 0) return order;
                i++;
                j++;
            }

            var startA = i;
            var startB = j;
            while (i < a.Length && char.IsAsciiDigit(a[i])) i++;
            while (j < b.Length && char.IsAsciiDigit(b[j])) j++;
            var numbers = VersionText.CompareNumbers(a[startA..i], b[startB..j]);
            if (numbers != 0) return numbers;
        }

        return 0;
    }

    // '~' < end and digits < letters < everything else
    static int Order(ReadOnlySpan<char> part, int index)
    {
        if (index >= part.Length) return 0;
        var c = part[index];
        if (char.IsAsciiDigit(c)) return 0;
        if (char.IsAsciiLetter(c)) return c;
        return c == '~' ? -1 : c + 256;
    }

    static ReadOnlySpan<char> TakeRevision(ref ReadOnlySpan<char> version)
    {
        var dash = version.LastIndexOf('-');
        if (dash < 0) return default;
        var revision = version[(dash + 1)..];
        version = version[..dash];
        return revision;
    }
}
