namespace Guestmark.Vulnerabilities;

/// <summary>
/// apk's order of versions, <c>digits{.digits}{letter}{_suffix{digits}}{~hash}{-rdigits}</c>, as of apk-tools 3 (src/version.c), which goes on
/// reading after <c>6.6.4p1</c> as apk-tools 2 does: Alpine has published such versions.
/// </summary>
static class ApkVersion
{
    // In falling order of what a version that goes on with it is worth, against one that goes on otherwise. A suffix of a pre-release
    // stands apart: it is less than any of them.
    enum Token
    {
        Initial,
        Digits,
        Letter,
        Suffix,
        SuffixNumber,
        Hash,
        Revision,
        End,
        Invalid,
    }

    /// <summary>
    /// Less than, equal to or greater than zero. Texts that apk does not take for versions compare by its rules up to the wrong character, then byte
    /// by byte.
    /// </summary>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var x = new Reader(a);
        var y = new Reader(b);
        do
        {
            x.Next();
            y.Next();
            if (x.Token != y.Token) return CompareTokens(x, y);
            var order = x.Token switch
            {
                Token.Initial or Token.SuffixNumber or Token.Revision => VersionText.CompareNumbers(x.Value, y.Value),
                // "05" is no number but a string, as in Gentoo: 1.05 < 1.1
                Token.Digits when x.Value[0] != '0' && y.Value[0] != '0' => VersionText.CompareNumbers(x.Value, y.Value),
                Token.Suffix => x.Suffix - y.Suffix,
                _ => x.Value.SequenceCompareTo(y.Value),
            };
            if (order != 0) return order;
        }
        while (x.Token < Token.End);

        return 0;
    }

    /// <summary>Whether apk takes it for a version.</summary>
    public static bool IsValid(ReadOnlySpan<byte> version)
    {
        var reader = new Reader(version);
        do reader.Next();
        while (reader.Token < Token.End);
        return reader.Token == Token.End;
    }

    // What goes on is greater, unless it is a pre-release.
    static int CompareTokens(in Reader a, in Reader b)
    {
        if (a.IsPreRelease) return -1;
        if (b.IsPreRelease) return 1;
        return b.Token - a.Token;
    }

    ref struct Reader(ReadOnlySpan<byte> version)
    {
        // Before the release (5) the pre-releases, after it the others.
        const int NoSuffix = 0;
        const int Release = 5;

        ReadOnlySpan<byte> _rest = version;

        // Before the first digits.
        bool _started;

        public Token Token { get; private set; } = Token.Initial;

        public ReadOnlySpan<byte> Value { get; private set; }

        public int Suffix { get; private set; }

        public readonly bool IsPreRelease => Token == Token.Suffix && Suffix < Release;

        public void Next()
        {
            if (!_started)
            {
                _started = true;
                Token = TakeDigits() ? Token.Initial : Fail();
            }
            else
            {
                Token = _rest.IsEmpty ? Token.End : Following(_rest[0]);
                if (Token == Token.End) Value = default;
            }
        }

        Token Following(byte c)
        {
            switch (c)
            {
                case >= (byte)'a' and <= (byte)'z' when Token <= Token.Digits:
                    Value = Take(1);
                    return Token.Letter;
                case (byte)'.' when Token <= Token.Digits:
                    _rest = _rest[1..];
                    return TakeDigits() ? Token.Digits : Fail();
                case >= (byte)'0' and <= (byte)'9' when Token == Token.Letter:
                    TakeDigits();
                    return Token.Digits;
                case >= (byte)'0' and <= (byte)'9' when Token == Token.Suffix:
                    TakeDigits();
                    return Token.SuffixNumber;
                case (byte)'_' when Token <= Token.SuffixNumber:
                    var end = 1;
                    while (end < _rest.Length && _rest[end] is >= (byte)'a' and <= (byte)'z') end++;
                    Suffix = SuffixOf(_rest[1..end]);
                    if (Suffix == NoSuffix) return Fail();
                    _rest = _rest[end..];
                    return Token.Suffix;
                case (byte)'~' when Token < Token.Hash:
                    var hash = 1;
                    while (hash < _rest.Length && _rest[hash] is (>= (byte)'0' and <= (byte)'9') or (>= (byte)'a' and <= (byte)'f')) hash++;
                    if (hash == 1) return Fail();
                    Value = Take(hash)[1..];
                    return Token.Hash;
                case (byte)'-' when Token < Token.Revision && _rest.StartsWith("-r"u8):
                    _rest = _rest[2..];
                    return TakeDigits() ? Token.Revision : Fail();
                default:
                    return Fail();
            }
        }

        // What cannot be read is compared as it stands.
        Token Fail()
        {
            Value = _rest;
            return Token.Invalid;
        }

        bool TakeDigits()
        {
            Value = Take(VersionText.DigitsLength(_rest, 0));
            return !Value.IsEmpty;
        }

        ReadOnlySpan<byte> Take(int length)
        {
            var taken = _rest[..length];
            _rest = _rest[length..];
            return taken;
        }

        static int SuffixOf(ReadOnlySpan<byte> suffix) =>
            suffix.SequenceEqual("alpha"u8) ? 1
            : suffix.SequenceEqual("beta"u8) ? 2
            : suffix.SequenceEqual("pre"u8) ? 3
            : suffix.SequenceEqual("rc"u8) ? 4
            : suffix.SequenceEqual("cvs"u8) ? 6
            : suffix.SequenceEqual("svn"u8) ? 7
            : suffix.SequenceEqual("git"u8) ? 8
            : suffix.SequenceEqual("hg"u8) ? 9
            : suffix.SequenceEqual("p"u8) ? 10
            : NoSuffix;
    }
}
