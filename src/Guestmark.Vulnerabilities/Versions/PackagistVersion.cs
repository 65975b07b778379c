namespace Guestmark.Vulnerabilities;

/// <summary>
/// Composer's order of versions (https://getcomposer.org/doc/articles/versions.md): its VersionParser's normal form, <c>1.2.0.0-beta1</c>, in the
/// order of PHP's version_compare (https://www.php.net/version_compare).
/// </summary>
static class PackagistVersion
{
    // What may come next, in PHP's order: any other word < dev < alpha < beta < RC < nothing < number < patch.
    const int OtherWord = 0;
    const int Dev = 1;
    const int Alpha = 2;
    const int Beta = 3;
    const int Candidate = 4;
    const int End = 5;
    const int Number = 6;
    const int Patch = 7;

    /// <summary>Less than, equal to or greater than zero. Branches without a number (<c>dev-main</c>) are older than all others.</summary>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        a = WithoutFlags(a);
        b = WithoutFlags(b);
        var aIsBranch = IsNamedBranch(a);
        var bIsBranch = IsNamedBranch(b);
        if (aIsBranch || bIsBranch) return aIsBranch && bIsBranch ? a.SequenceCompareTo(b) : aIsBranch ? -1 : 1;

        var x = new Reader(a);
        var y = new Reader(b);
        while (true)
        {
            var kindX = x.Read(out var textX);
            var kindY = y.Read(out var textY);
            if (kindX != kindY) return kindX - kindY;
            if (kindX == End) return 0;
            var order = kindX == Number ? VersionText.CompareNumbers(textX, textY)
                : kindX == OtherWord ? VersionText.CompareIgnoringCase(textX, textY)
                : 0;
            if (order != 0) return order;
        }
    }

    /// <summary>Whether Composer can bring it into the normal form.</summary>
    public static bool IsValid(ReadOnlySpan<byte> version)
    {
        version = WithoutFlags(version);
        if (version.IsEmpty || version.ContainsAny(" \t"u8)) return false;
        if (IsNamedBranch(version)) return StartsWithDev(version) || VersionText.IsLetter(version[0]);
        var reader = new Reader(version);
        while (true)
        {
            var kind = reader.Read(out _);
            if (kind == OtherWord) return false;
            if (kind == End) return true;
        }
    }

    // "1.0@dev" says from which stability on a project takes versions; "+…" is build metadata.
    static ReadOnlySpan<byte> WithoutFlags(ReadOnlySpan<byte> version)
    {
        version = VersionText.Trim(version);
        var end = version.IndexOfAny((byte)'@', (byte)'+', (byte)'#');
        if (end > 0) version = version[..end];
        return version.Length > 1 && version[0] is (byte)'v' or (byte)'V' && VersionText.IsDigit(version[1]) ? version[1..] : version;
    }

    static bool StartsWithDev(ReadOnlySpan<byte> version) => VersionText.StartsWithIgnoringCase(version, "dev-"u8);

    static bool IsNamedBranch(ReadOnlySpan<byte> version) => version.IsEmpty || !VersionText.IsDigit(version[0]);

    ref struct Reader
    {
        ReadOnlySpan<byte> _rest;

        // Numbers still to come to make four, each of the value of _filler.
        int _missing;
        readonly ReadOnlySpan<byte> _filler;
        bool _inNumbers = true;

        /// <param name="version">Begins with a digit.</param>
        public Reader(ReadOnlySpan<byte> version)
        {
            _rest = version;
            _filler = "0"u8;

            // "1.2-beta", "2.x-dev". What has more numbers, or is a date (2010-01-02, 20100102), stays as it is.
            const int numbersMax = 4;
            const int firstDigitsMax = 5;
            var numbers = 1;
            var end = VersionText.DigitsLength(version, 0);
            if (end > firstDigitsMax) return;
            while (end + 1 < version.Length && version[end] == '.')
            {
                var digits = VersionText.DigitsLength(version, end + 1);
                if (digits == 0 && IsAny(version[end + 1]))
                {
                    _filler = AnyNumber;
                    digits = 1;
                }

                if (digits == 0) break;
                end += 1 + digits;
                numbers++;
            }

            var isDate = end + 1 < version.Length && version[end] is (byte)'-' or (byte)':' && VersionText.IsDigit(version[end + 1]);
            if (!isDate) _missing = Math.Max(0, numbersMax - numbers);
        }

        // "2.x-dev" is the branch of all versions 2, newer than each.
        static ReadOnlySpan<byte> AnyNumber => "9999999"u8;

        public int Read(out ReadOnlySpan<byte> text)
        {
            var rest = _rest;
            if (!rest.IsEmpty && rest[0] is (byte)'.' or (byte)'-' or (byte)'_' or (byte)':') rest = rest[1..];
            if (!rest.IsEmpty && (VersionText.IsDigit(rest[0]) || (_inNumbers && IsAny(rest[0]))))
            {
                var digits = VersionText.DigitsLength(rest, 0);
                text = digits > 0 ? rest[..digits] : AnyNumber;
                _rest = rest[Math.Max(1, digits)..];
                // The last of the numbers is followed by those that are missing.
                if (_inNumbers && !(_rest.Length > 1 && _rest[0] == '.' && (VersionText.IsDigit(_rest[1]) || IsAny(_rest[1])))) _inNumbers = false;
                return Number;
            }

            if (_missing > 0)
            {
                _missing--;
                text = _filler;
                return Number;
            }

            if (rest.IsEmpty)
            {
                text = default;
                _rest = default;
                return End;
            }

            var letters = 0;
            while (letters < rest.Length && VersionText.IsLetter(rest[letters])) letters++;
            text = rest[..Math.Max(1, letters)];
            _rest = rest[text.Length..];
            if (Is(text, "stable"u8))
            {
                // Whatever follows is dropped.
                _rest = default;
                return End;
            }

            return Is(text, "dev"u8) ? Dev
                : Is(text, "alpha"u8) || Is(text, "a"u8) ? Alpha
                : Is(text, "beta"u8) || Is(text, "b"u8) ? Beta
                : Is(text, "rc"u8) ? Candidate
                : Is(text, "patch"u8) || Is(text, "pl"u8) || Is(text, "p"u8) ? Patch
                : OtherWord;
        }

        static bool IsAny(byte c) => c is (byte)'x' or (byte)'X' or (byte)'*';

        static bool Is(ReadOnlySpan<byte> word, ReadOnlySpan<byte> name) =>
            word.Length == name.Length && VersionText.CompareIgnoringCase(word, name) == 0;
    }
}
