namespace Guestmark.Vulnerabilities;

/// <summary>
/// Python's order of versions (https://packaging.python.org/en/latest/specifications/version-specifiers/, PEP 440):
/// <c>[v][epoch!]release[pre][post][dev][+local]</c> in any case and with the spellings that the specification normalises.
/// </summary>
static class PypiVersion
{
    /// <summary>
    /// Less than, equal to or greater than zero. What is no version is older than every version, as pip had it, and compares byte by byte.
    /// </summary>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var aIsVersion = Parts.TryRead(a, out var x);
        var bIsVersion = Parts.TryRead(b, out var y);
        if (!aIsVersion || !bIsVersion) return aIsVersion ? 1 : bIsVersion ? -1 : a.SequenceCompareTo(b);

        var order = VersionText.CompareNumbers(x.Epoch, y.Epoch);
        if (order == 0) order = CompareReleases(x.Release, y.Release);
        if (order == 0) order = x.PreKind - y.PreKind;
        if (order == 0) order = VersionText.CompareNumbers(x.PreNumber, y.PreNumber);
        if (order == 0) order = (x.HasPost ? 1 : 0) - (y.HasPost ? 1 : 0);
        if (order == 0) order = VersionText.CompareNumbers(x.PostNumber, y.PostNumber);
        if (order == 0) order = (x.HasDev ? 0 : 1) - (y.HasDev ? 0 : 1);
        if (order == 0) order = VersionText.CompareNumbers(x.DevNumber, y.DevNumber);
        return order != 0 ? order : CompareLocals(x.Local, y.Local);
    }

    public static bool IsValid(ReadOnlySpan<byte> version) => Parts.TryRead(version, out _);

    static int CompareReleases(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        while (!a.IsEmpty || !b.IsEmpty)
        {
            var order = VersionText.CompareNumbers(VersionText.TakeUntil(ref a, (byte)'.'), VersionText.TakeUntil(ref b, (byte)'.'));
            if (order != 0) return order;
        }

        return 0;
    }

    // No local version is the least; numbers are greater than words; a longer one is greater than its beginning.
    static int CompareLocals(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        while (!a.IsEmpty && !b.IsEmpty)
        {
            var x = Take(ref a);
            var y = Take(ref b);
            var xIsNumber = VersionText.IsNumber(x);
            var yIsNumber = VersionText.IsNumber(y);
            if (xIsNumber != yIsNumber) return xIsNumber ? 1 : -1;
            var order = xIsNumber ? VersionText.CompareNumbers(x, y) : VersionText.CompareIgnoringCase(x, y);
            if (order != 0) return order;
        }

        return (a.IsEmpty ? 0 : 1) - (b.IsEmpty ? 0 : 1);

        static ReadOnlySpan<byte> Take(scoped ref ReadOnlySpan<byte> rest)
        {
            var end = rest.IndexOfAny("-_."u8);
            var segment = end < 0 ? rest : rest[..end];
            rest = end < 0 ? default : rest[(end + 1)..];
            return segment;
        }
    }

    ref struct Parts
    {
        // dev of no pre-release < alpha < beta < release candidate < no pre-release
        const int OnlyDev = 0;
        const int Alpha = 1;
        const int Beta = 2;
        const int Candidate = 3;
        const int Final = 4;

        public ReadOnlySpan<byte> Epoch;
        public ReadOnlySpan<byte> Release;
        public int PreKind;
        public ReadOnlySpan<byte> PreNumber;
        public bool HasPost;
        public ReadOnlySpan<byte> PostNumber;
        public bool HasDev;
        public ReadOnlySpan<byte> DevNumber;
        public ReadOnlySpan<byte> Local;

        public static bool TryRead(ReadOnlySpan<byte> text, out Parts parts)
        {
            parts = Read(text, out var isVersion);
            return isVersion;
        }

        static Parts Read(ReadOnlySpan<byte> text, out bool isVersion)
        {
            Parts parts = default;
            isVersion = false;
            var rest = VersionText.Trim(text);
            if (rest.Length > 0 && rest[0] is (byte)'v' or (byte)'V') rest = rest[1..];

            var digits = VersionText.DigitsLength(rest, 0);
            if (digits > 0 && digits < rest.Length && rest[digits] == '!')
            {
                parts.Epoch = rest[..digits];
                rest = rest[(digits + 1)..];
            }

            var end = VersionText.DigitsLength(rest, 0);
            if (end == 0) return parts;
            while (end + 1 < rest.Length && rest[end] == '.' && VersionText.IsDigit(rest[end + 1]))
                end += 1 + VersionText.DigitsLength(rest, end + 1);
            parts.Release = rest[..end];
            rest = rest[end..];

            parts.PreKind = ReadPre(ref rest, ref parts.PreNumber);
            ReadPost(ref rest, ref parts);
            if (TakeWord(ref rest, "dev"u8))
            {
                parts.HasDev = true;
                parts.DevNumber = TakeNumber(ref rest);
            }

            if (parts.PreKind == Final && !parts.HasPost && parts.HasDev) parts.PreKind = OnlyDev;
            if (rest.Length > 0 && rest[0] == '+') parts.Local = rest[1..];
            isVersion = rest.IsEmpty || (rest[0] == '+' && IsLocal(parts.Local));
            return parts;
        }

        static int ReadPre(scoped ref ReadOnlySpan<byte> rest, scoped ref ReadOnlySpan<byte> number)
        {
            // The longer spellings first: "a" is the beginning of "alpha".
            var kind = TakeWord(ref rest, "alpha"u8) || TakeWord(ref rest, "a"u8) ? Alpha
                : TakeWord(ref rest, "beta"u8) || TakeWord(ref rest, "b"u8) ? Beta
                : TakeWord(ref rest, "rc"u8) || TakeWord(ref rest, "c"u8) ? Candidate
                : TakeWord(ref rest, "preview"u8) || TakeWord(ref rest, "pre"u8) ? Candidate
                : Final;
            if (kind != Final) number = TakeNumber(ref rest);
            return kind;
        }

        // "-1" is short for ".post1".
        static void ReadPost(scoped ref ReadOnlySpan<byte> rest, scoped ref Parts parts)
        {
            if (rest.Length > 1 && rest[0] == '-' && VersionText.IsDigit(rest[1]))
            {
                parts.HasPost = true;
                parts.PostNumber = TakeNumber(ref rest);
            }
            else if (TakeWord(ref rest, "post"u8) || TakeWord(ref rest, "rev"u8) || TakeWord(ref rest, "r"u8))
            {
                parts.HasPost = true;
                parts.PostNumber = TakeNumber(ref rest);
            }
        }

        static bool TakeWord(scoped ref ReadOnlySpan<byte> rest, ReadOnlySpan<byte> word)
        {
            var start = rest.Length > 0 && rest[0] is (byte)'-' or (byte)'_' or (byte)'.' ? 1 : 0;
            if (!VersionText.StartsWithIgnoringCase(rest[start..], word)) return false;
            rest = rest[(start + word.Length)..];
            return true;
        }

        // A missing number is 0. A separator before it may stand alone.
        static ReadOnlySpan<byte> TakeNumber(scoped ref ReadOnlySpan<byte> rest)
        {
            if (rest.Length > 0 && rest[0] is (byte)'-' or (byte)'_' or (byte)'.') rest = rest[1..];
            var digits = VersionText.DigitsLength(rest, 0);
            var number = rest[..digits];
            rest = rest[digits..];
            return number;
        }

        static bool IsLocal(ReadOnlySpan<byte> local)
        {
            var afterSeparator = true;
            foreach (var c in local)
            {
                var isSeparator = c is (byte)'-' or (byte)'_' or (byte)'.';
                if (isSeparator ? afterSeparator : !VersionText.IsLetterOrDigit(c)) return false;
                afterSeparator = isSeparator;
            }

            return !afterSeparator;
        }
    }
}
