namespace Guestmark.Vulnerabilities;

/// <summary>dpkg's order of versions, <c>[epoch:]upstream[-revision]</c>, as deb-version(7) and lib/dpkg/version.c define it.</summary>
public static class DpkgVersion
{
    // Keys of characters that are no digits, in dpkg's order: '~', the end (and a digit, which ends such a run too), letters, all others.
    const byte TildeKey = 1;
    const byte EndKey = 2;
    static readonly byte[] CharacterKeys = MakeCharacterKeys();

    /// <summary>
    /// Less than, equal to or greater than zero as <paramref name="a"/> is older than, the same as or newer than <paramref name="b"/>.
    /// </summary>
    /// <remarks>A missing epoch is 0 and a missing revision equals <c>0</c>.</remarks>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var epochA = VersionText.EpochLength(a);
        var epochB = VersionText.EpochLength(b);
        if (epochA != 0 || epochB != 0)
        {
            var epochs = VersionText.CompareNumbers(a[..Math.Max(0, epochA - 1)], b[..Math.Max(0, epochB - 1)]);
            if (epochs != 0) return epochs;
            a = a[epochA..];
            b = b[epochB..];
        }

        var revisionA = TakeRevision(ref a);
        var revisionB = TakeRevision(ref b);
        var order = ComparePart(a, b);
        return order != 0 ? order : ComparePart(revisionA, revisionB);
    }

    /// <inheritdoc cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>
    public static int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b) => VersionText.Compare(a, b, Compare);

    /// <summary>
    /// Whether dpkg takes it for a version (deb-version(7)): the upstream version begins with a digit and has letters, digits and <c>.+-~</c>,
    /// with an epoch ':' too; the revision has letters, digits and <c>+.~</c>.
    /// </summary>
    public static bool IsValid(ReadOnlySpan<byte> version)
    {
        if (version.StartsWith(":"u8)) return false;
        var epoch = VersionText.EpochLength(version);
        version = version[epoch..];
        var hasRevision = version.Contains((byte)'-');
        var revision = TakeRevision(ref version);
        if (version.IsEmpty || !VersionText.IsDigit(version[0]) || (hasRevision && revision.IsEmpty)) return false;
        return HasOnly(version, epoch > 0 ? ".+-~:"u8 : ".+-~"u8) && HasOnly(revision, "+.~"u8);

        static bool HasOnly(ReadOnlySpan<byte> part, ReadOnlySpan<byte> others)
        {
            foreach (var c in part)
            {
                if (!VersionText.IsLetterOrDigit(c) && !others.Contains(c)) return false;
            }

            return true;
        }
    }

    /// <summary>Room that <see cref="WriteSortKey"/> needs at most for a version of that length.</summary>
    public static int SortKeyBytesMax(int versionBytes) => (3 * versionBytes) + 16;

    /// <summary>
    /// Writes bytes whose order (<c>SequenceCompareTo</c>, memcmp) is that of the versions: key(a) and key(b) are equal exactly when
    /// <see cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/> says 0, and smaller when it says less.
    /// </summary>
    /// <remarks>
    /// The key is <c>epoch upstream revision</c>; the epoch is a number, the others are <c>{characters 2 number} 2</c> with at least one
    /// such pair: 1 is '~', 3 to 54 are the letters, 55 and above all other characters.
    /// </remarks>
    /// <param name="version">A version as in <see cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>.</param>
    /// <param name="key">At least <see cref="SortKeyBytesMax"/> long.</param>
    /// <returns>Length written.</returns>
    public static int WriteSortKey(ReadOnlySpan<byte> version, Span<byte> key)
    {
        var length = VersionText.WriteNumberKey(VersionText.Epoch(version), key);
        version = version[VersionText.EpochLength(version)..];
        var revision = TakeRevision(ref version);
        length += WritePartKey(version, key[length..]);
        return length + WritePartKey(revision, key[length..]);
    }

    // verrevcmp: a run of other characters, then a number, in turn until both end.
    internal static int ComparePart(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        // What both begin with needs no look, up to where a number begins that they may not share.
        var i = a.CommonPrefixLength(b);
        while (i > 0 && VersionText.IsDigit(a[i - 1])) i--;
        var j = i;
        while (i < a.Length || j < b.Length)
        {
            while ((i < a.Length && !VersionText.IsDigit(a[i])) || (j < b.Length && !VersionText.IsDigit(b[j])))
            {
                // A digit ends the run as the end of the text does, so that the side that has come to one stays there.
                var x = i < a.Length && !VersionText.IsDigit(a[i]) ? CharacterKeys[a[i++]] : EndKey;
                var y = j < b.Length && !VersionText.IsDigit(b[j]) ? CharacterKeys[b[j++]] : EndKey;
                if (x != y) return x - y;
            }

            var numbers = VersionText.CompareDigits(a, ref i, b, ref j);
            if (numbers != 0) return numbers;
        }

        return 0;
    }

    static int WritePartKey(ReadOnlySpan<byte> part, Span<byte> key)
    {
        var length = 0;
        var i = 0;
        do
        {
            while (i < part.Length && !VersionText.IsDigit(part[i])) key[length++] = CharacterKeys[part[i++]];
            key[length++] = EndKey;
            var start = i;
            while (i < part.Length && VersionText.IsDigit(part[i])) i++;
            length += VersionText.WriteNumberKey(part[start..i], key[length..]);
        }
        while (i < part.Length);

        key[length++] = EndKey;
        return length;
    }

    static byte[] MakeCharacterKeys()
    {
        var keys = new byte[256];
        var next = EndKey + 1;
        for (var c = 0; c < keys.Length; c++)
        {
            if (VersionText.IsLetter((byte)c)) keys[c] = (byte)next++;
        }

        for (var c = 0; c < keys.Length; c++)
        {
            if (c == '~') keys[c] = TildeKey;
            else if (!VersionText.IsLetterOrDigit((byte)c)) keys[c] = (byte)next++;
        }

        return keys;
    }

    static ReadOnlySpan<byte> TakeRevision(ref ReadOnlySpan<byte> version)
    {
        var dash = version.LastIndexOf((byte)'-');
        if (dash < 0) return default;
        var revision = version[(dash + 1)..];
        version = version[..dash];
        return revision;
    }
}
