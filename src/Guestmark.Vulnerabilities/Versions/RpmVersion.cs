namespace Guestmark.Vulnerabilities;

/// <summary>rpm's order of versions, <c>[epoch:]version[-release]</c>, as of rpm 4.18 (rpmio/rpmver.c, rpmvercmp.c).</summary>
public static class RpmVersion
{
    // Keys of what may follow in a version, in rpm's order.
    const byte TildeKey = 1;
    const byte EndKey = 2;
    const byte CaretKey = 3;
    const byte LettersKey = 4;
    const byte DigitsKey = 5;
    const byte LettersEndKey = 0;
    const byte NoReleaseKey = 0;
    const byte ReleaseKey = 1;

    /// <summary>
    /// Less than, equal to or greater than zero as <paramref name="a"/> is older than, the same as or newer than <paramref name="b"/>.
    /// </summary>
    /// <remarks>A missing epoch is 0. A missing release is older than any release, as when rpm compares packages, not dependencies.</remarks>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var epochA = VersionText.EpochLength(a);
        var epochB = VersionText.EpochLength(b);
        if (epochA != 0 || epochB != 0)
        {
            var order = VersionText.CompareNumbers(a[..Math.Max(0, epochA - 1)], b[..Math.Max(0, epochB - 1)]);
            if (order != 0) return order;
        }

        return CompareVersionAndRelease(a[epochA..], b[epochB..]);
    }

    /// <inheritdoc cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>
    public static int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b) => VersionText.Compare(a, b, Compare);

    /// <summary>
    /// As <see cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>, for versions from a place that records no epoch: the file name of a source
    /// package.
    /// </summary>
    public static int CompareWithoutEpoch(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b) =>
        CompareVersionAndRelease(a[VersionText.EpochLength(a)..], b[VersionText.EpochLength(b)..]);

    /// <inheritdoc cref="CompareWithoutEpoch(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>
    public static int CompareWithoutEpoch(ReadOnlySpan<char> a, ReadOnlySpan<char> b) => VersionText.Compare(a, b, CompareWithoutEpoch);

    /// <summary>Whether the version starts with an epoch, be it 0.</summary>
    public static bool HasEpoch(ReadOnlySpan<byte> version) => VersionText.EpochLength(version) > 0;

    /// <inheritdoc cref="HasEpoch(ReadOnlySpan{byte})"/>
    public static bool HasEpoch(ReadOnlySpan<char> version) => EpochLength(version) > 0;

    /// <summary>The version between epoch and release: <c>1.0.6</c> of <c>2:1.0.6-26.el8</c>.</summary>
    public static ReadOnlySpan<byte> Upstream(ReadOnlySpan<byte> version)
    {
        version = version[VersionText.EpochLength(version)..];
        var dash = version.LastIndexOf((byte)'-');
        return dash < 0 ? version : version[..dash];
    }

    /// <inheritdoc cref="Upstream(ReadOnlySpan{byte})"/>
    public static ReadOnlySpan<char> Upstream(ReadOnlySpan<char> version)
    {
        version = version[EpochLength(version)..];
        var dash = version.LastIndexOf('-');
        return dash < 0 ? version : version[..dash];
    }

    /// <summary>
    /// Whether rpm builds a package of that version: letters, digits and <c>._+~^</c> in version and release
    /// (https://rpm-software-management.github.io/rpm/manual/spec.html), at most one '-' between them.
    /// </summary>
    public static bool IsValid(ReadOnlySpan<byte> version)
    {
        if (version.StartsWith(":"u8)) return false;
        version = version[VersionText.EpochLength(version)..];
        var dash = version.IndexOf((byte)'-');
        return dash < 0 ? IsPart(version) : IsPart(version[..dash]) && IsPart(version[(dash + 1)..]);

        static bool IsPart(ReadOnlySpan<byte> part)
        {
            foreach (var c in part)
            {
                if (!VersionText.IsLetterOrDigit(c) && !"._+~^"u8.Contains(c)) return false;
            }

            return !part.IsEmpty;
        }
    }

    /// <summary>Room that <see cref="WriteSortKey"/> needs at most for a version of that length.</summary>
    public static int SortKeyBytesMax(int versionBytes) => (3 * versionBytes) + 8;

    /// <summary>
    /// Writes bytes whose order (<c>SequenceCompareTo</c>, memcmp) is that of the versions: key(a) and key(b) are equal exactly when
    /// <see cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/> says 0, and smaller when it says less.
    /// </summary>
    /// <remarks>
    /// The key is <c>epoch version (0 | 1 release)</c>; the epoch is a number, version and release are
    /// <c>{1 for '~' | 3 for '^' | 4 letters 0 | 5 number} 2</c>. As rpm compares token by token, and no token's key is the beginning of
    /// another's, the first differing byte is in the first differing token.
    /// </remarks>
    /// <param name="version">A version as in <see cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>.</param>
    /// <param name="key">At least <see cref="SortKeyBytesMax"/> long.</param>
    /// <returns>Length written.</returns>
    public static int WriteSortKey(ReadOnlySpan<byte> version, Span<byte> key)
    {
        var length = VersionText.WriteNumberKey(VersionText.Epoch(version), key);
        version = version[VersionText.EpochLength(version)..];
        var dash = version.LastIndexOf((byte)'-');
        length += WriteSegmentsKey(dash < 0 ? version : version[..dash], key[length..]);
        key[length++] = dash < 0 ? NoReleaseKey : ReleaseKey;
        return dash < 0 ? length : length + WriteSegmentsKey(version[(dash + 1)..], key[length..]);
    }

    /// <summary>rpmvercmp: one version or one release.</summary>
    /// <remarks>
    /// Everything but ASCII letters, digits, '~' and '^' only separates. '~' is older than the end of the string, '^' is newer
    /// than the end but older than anything else that follows. Runs of digits compare as numbers and are newer than runs of letters.
    /// </remarks>
    internal static int CompareSegments(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        // What both begin with needs no look, up to where a token begins that they may not share.
        var i = a.CommonPrefixLength(b);
        while (i > 0 && VersionText.IsLetterOrDigit(a[i - 1])) i--;
        var j = i;
        while (i < a.Length || j < b.Length)
        {
            while (i < a.Length && IsSeparator(a[i])) i++;
            while (j < b.Length && IsSeparator(b[j])) j++;
            var x = i < a.Length ? a[i] : (byte)0;
            var y = j < b.Length ? b[j] : (byte)0;

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

            if (VersionText.IsDigit(x))
            {
                if (!VersionText.IsDigit(y)) return 1;
                var order = VersionText.CompareDigits(a, ref i, b, ref j);
                if (order != 0) return order;
            }
            else
            {
                var startA = i;
                var startB = j;
                while (i < a.Length && VersionText.IsLetter(a[i])) i++;
                while (j < b.Length && VersionText.IsLetter(b[j])) j++;
                if (startB == j) return -1;
                var order = a[startA..i].SequenceCompareTo(b[startB..j]);
                if (order != 0) return order;
            }
        }

        return (i < a.Length ? 1 : 0) - (j < b.Length ? 1 : 0);
    }

    static int CompareVersionAndRelease(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var dashA = a.LastIndexOf((byte)'-');
        var dashB = b.LastIndexOf((byte)'-');
        var order = CompareSegments(dashA < 0 ? a : a[..dashA], dashB < 0 ? b : b[..dashB]);
        if (order != 0) return order;
        if (dashA < 0 || dashB < 0) return (dashA < 0 ? 0 : 1) - (dashB < 0 ? 0 : 1);
        return CompareSegments(a[(dashA + 1)..], b[(dashB + 1)..]);
    }

    static int WriteSegmentsKey(ReadOnlySpan<byte> part, Span<byte> key)
    {
        var length = 0;
        for (var i = 0; i < part.Length;)
        {
            var c = part[i];
            var start = i;
            if (VersionText.IsDigit(c))
            {
                while (i < part.Length && VersionText.IsDigit(part[i])) i++;
                key[length++] = DigitsKey;
                length += VersionText.WriteNumberKey(part[start..i], key[length..]);
            }
            else if (VersionText.IsLetter(c))
            {
                while (i < part.Length && VersionText.IsLetter(part[i])) i++;
                key[length++] = LettersKey;
                part[start..i].CopyTo(key[length..]);
                length += i - start;
                key[length++] = LettersEndKey;
            }
            else
            {
                if (c is (byte)'~' or (byte)'^') key[length++] = c == '~' ? TildeKey : CaretKey;
                i++;
            }
        }

        key[length++] = EndKey;
        return length;
    }

    static bool IsSeparator(byte c) => !VersionText.IsLetterOrDigit(c) && c is not ((byte)'~' or (byte)'^');

    static int EpochLength(ReadOnlySpan<char> version)
    {
        var digits = 0;
        while (digits < version.Length && char.IsAsciiDigit(version[digits])) digits++;
        return digits < version.Length && version[digits] == ':' ? digits + 1 : 0;
    }
}
