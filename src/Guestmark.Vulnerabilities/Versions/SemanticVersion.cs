namespace Guestmark.Vulnerabilities;

/// <summary>
/// The order of SemVer 2.0.0 (https://semver.org/spec/v2.0.0.html#spec-item-11) and of those that differ from it in details: Go and NuGet.
/// </summary>
/// <remarks>
/// Reads leniently what the ecosystems publish: a leading <c>v</c> or <c>=</c>, fewer or more than three numbers (missing ones are 0), a
/// pre-release without its '-'. Build metadata (<c>+…</c>) do not count.
/// </remarks>
static class SemanticVersion
{
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var preReleaseA = Split(a, out var numbersA);
        var preReleaseB = Split(b, out var numbersB);
        var order = CompareNumbers(numbersA, numbersB);
        return order != 0 ? order : ComparePreReleases(new Identifiers(preReleaseA), new Identifiers(preReleaseB), ignoreCase: false);
    }

    /// <summary>
    /// NuGet (https://learn.microsoft.com/nuget/concepts/package-versioning): up to four numbers, and the letters of pre-releases in any case.
    /// </summary>
    public static int CompareNuGet(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var preReleaseA = Split(a, out var numbersA);
        var preReleaseB = Split(b, out var numbersB);
        var order = CompareNumbers(numbersA, numbersB);
        return order != 0 ? order : ComparePreReleases(new Identifiers(preReleaseA), new Identifiers(preReleaseB), ignoreCase: true);
    }

    /// <summary>
    /// Go modules (https://go.dev/ref/mod#versions): as SemVer, pseudo-versions and <c>+incompatible</c> included. Toolchains too, which are
    /// named <c>go1.21rc2</c> and in advisories <c>1.21.0-rc.2</c>.
    /// </summary>
    public static int CompareGo(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var toolchainA = TakeToolchain(ref a);
        var toolchainB = TakeToolchain(ref b);
        var preReleaseA = Split(a, out var numbersA);
        var preReleaseB = Split(b, out var numbersB);
        var order = CompareNumbers(numbersA, numbersB);
        return order != 0
            ? order
            : ComparePreReleases(new Identifiers(preReleaseA, toolchainA), new Identifiers(preReleaseB, toolchainB), ignoreCase: false);

        static bool TakeToolchain(ref ReadOnlySpan<byte> version)
        {
            if (version.Length < 3 || !version.StartsWith("go"u8) || !VersionText.IsDigit(version[2])) return false;
            version = version[2..];
            return true;
        }
    }

    /// <summary>SemVer's grammar, with an optional leading <c>v</c>.</summary>
    public static bool IsValid(ReadOnlySpan<byte> version) => IsValid(version, numbersMin: 3, numbersMax: 3, zerosMayLead: false);

    public static bool IsValidNuGet(ReadOnlySpan<byte> version) =>
        !version.StartsWith("v"u8) && IsValid(version, numbersMin: 1, numbersMax: 4, zerosMayLead: true);

    public static bool IsValidGo(ReadOnlySpan<byte> version) =>
        version.StartsWith("go"u8) ? version.Length > 2 && VersionText.IsDigit(version[2]) : IsValid(version);

    static bool IsValid(ReadOnlySpan<byte> version, int numbersMin, int numbersMax, bool zerosMayLead)
    {
        if (version.StartsWith("v"u8)) version = version[1..];
        var plus = version.IndexOf((byte)'+');
        if (plus >= 0 && !AreIdentifiers(version[(plus + 1)..], numbersAreStrict: false)) return false;
        if (plus >= 0) version = version[..plus];
        var dash = version.IndexOf((byte)'-');
        if (dash >= 0 && !AreIdentifiers(version[(dash + 1)..], numbersAreStrict: !zerosMayLead)) return false;
        if (dash >= 0) version = version[..dash];

        var numbers = 0;
        do
        {
            var number = VersionText.TakeUntil(ref version, (byte)'.');
            if (!VersionText.IsNumber(number) || (!zerosMayLead && number.Length > 1 && number[0] == '0')) return false;
            numbers++;
        }
        while (!version.IsEmpty && numbers < numbersMax);

        return version.IsEmpty && numbers >= numbersMin;

        static bool AreIdentifiers(ReadOnlySpan<byte> text, bool numbersAreStrict)
        {
            while (true)
            {
                var last = !text.Contains((byte)'.');
                var identifier = VersionText.TakeUntil(ref text, (byte)'.');
                if (identifier.IsEmpty) return false;
                foreach (var c in identifier)
                {
                    if (!VersionText.IsLetterOrDigit(c) && c != '-') return false;
                }

                if (numbersAreStrict && identifier.Length > 1 && identifier[0] == '0' && VersionText.IsNumber(identifier)) return false;
                if (last) return true;
            }
        }
    }

    /// <returns>The pre-release, empty when there is none.</returns>
    static ReadOnlySpan<byte> Split(ReadOnlySpan<byte> version, out ReadOnlySpan<byte> numbers)
    {
        version = VersionText.Trim(version);
        if (version.Length > 1 && version[0] is (byte)'v' or (byte)'V' or (byte)'=') version = version[1..];
        var plus = version.IndexOf((byte)'+');
        if (plus >= 0) version = version[..plus];

        var end = VersionText.DigitsLength(version, 0);
        while (end > 0 && end + 1 < version.Length && version[end] == '.' && VersionText.IsDigit(version[end + 1]))
            end += 1 + VersionText.DigitsLength(version, end + 1);

        numbers = version[..end];
        var preRelease = version[end..];
        return preRelease.Length > 0 && preRelease[0] is (byte)'-' or (byte)'.' ? preRelease[1..] : preRelease;
    }

    static int CompareNumbers(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        while (!a.IsEmpty || !b.IsEmpty)
        {
            var order = VersionText.CompareNumbers(VersionText.TakeUntil(ref a, (byte)'.'), VersionText.TakeUntil(ref b, (byte)'.'));
            if (order != 0) return order;
        }

        return 0;
    }

    // "Identifiers consisting of only digits are compared numerically; identifiers with letters or hyphens lexically in ASCII sort order;
    // numeric identifiers always have lower precedence; a larger set of fields has a higher precedence."
    static int ComparePreReleases(Identifiers a, Identifiers b, bool ignoreCase)
    {
        if (a.IsEmpty || b.IsEmpty) return (a.IsEmpty ? 1 : 0) - (b.IsEmpty ? 1 : 0);
        while (!a.IsEmpty && !b.IsEmpty)
        {
            var x = a.Take();
            var y = b.Take();
            var xIsNumber = VersionText.IsNumber(x);
            var yIsNumber = VersionText.IsNumber(y);
            if (xIsNumber != yIsNumber) return xIsNumber ? -1 : 1;
            var order = xIsNumber ? VersionText.CompareNumbers(x, y) : ignoreCase ? VersionText.CompareIgnoringCase(x, y) : x.SequenceCompareTo(y);
            if (order != 0) return order;
        }

        return (a.IsEmpty ? 0 : 1) - (b.IsEmpty ? 0 : 1);
    }

    ref struct Identifiers(ReadOnlySpan<byte> preRelease, bool endsBeforeDigits = false)
    {
        ReadOnlySpan<byte> _rest = preRelease;
        bool _isEmpty = preRelease.IsEmpty;

        public readonly bool IsEmpty => _isEmpty;

        public ReadOnlySpan<byte> Take()
        {
            var end = 0;
            while (end < _rest.Length && _rest[end] != '.'
                && !(endsBeforeDigits && end > 0 && VersionText.IsDigit(_rest[end]) && !VersionText.IsDigit(_rest[end - 1])))
                end++;
            var identifier = _rest[..end];
            _isEmpty = end == _rest.Length;
            _rest = _isEmpty ? default : _rest[(_rest[end] == '.' ? end + 1 : end)..];
            return identifier;
        }
    }
}
