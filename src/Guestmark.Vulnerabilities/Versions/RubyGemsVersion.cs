namespace Guestmark.Vulnerabilities;

/// <summary>
/// RubyGems' order of versions (https://docs.ruby-lang.org/en/master/Gem/Version.html): numbers and words, where a word makes a pre-release, '-'
/// is <c>.pre.</c>, and zeros before the first word or at the end do not count: <c>1.0.a</c> = <c>1.a</c> &lt; <c>1</c> = <c>1.0</c>.
/// </summary>
static class RubyGemsVersion
{
    /// <summary>Less than, equal to or greater than zero. Other characters than ASCII letters, digits and '-' only separate.</summary>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var x = new Segments(a);
        var y = new Segments(b);
        while (true)
        {
            // After the end of one, the other is compared with zeros.
            var hasX = x.TryTake(out var segmentX);
            var hasY = y.TryTake(out var segmentY);
            if (!hasX && !hasY) return 0;
            var xIsNumber = segmentX.IsEmpty || VersionText.IsDigit(segmentX[0]);
            var yIsNumber = segmentY.IsEmpty || VersionText.IsDigit(segmentY[0]);
            if (xIsNumber != yIsNumber) return xIsNumber ? 1 : -1;
            var order = xIsNumber ? VersionText.CompareNumbers(segmentX, segmentY) : segmentX.SequenceCompareTo(segmentY);
            if (order != 0) return order;
        }
    }

    /// <summary><c>[0-9]+(.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(.[0-9A-Za-z-]+)*)?</c></summary>
    public static bool IsValid(ReadOnlySpan<byte> version)
    {
        version = VersionText.Trim(version);
        var digits = VersionText.DigitsLength(version, 0);
        if (digits == 0) return false;
        var hasDash = false;
        for (var i = digits; i < version.Length; i++)
        {
            var c = version[i];
            if (c == '.')
            {
                if (i + 1 == version.Length || version[i + 1] == '.' || version[i - 1] == '.' || (!hasDash && version[i + 1] == '-')) return false;
            }
            else if (c == '-')
            {
                if (!hasDash && (i + 1 == version.Length || version[i + 1] == '.')) return false;
                hasDash = true;
            }
            else if (!VersionText.IsLetterOrDigit(c) || (i == digits && c != '.' && c != '-'))
            {
                return false;
            }
        }

        return true;
    }

    ref struct Segments(ReadOnlySpan<byte> version)
    {
        ReadOnlySpan<byte> _rest = version;
        bool _wordSeen;
        int _zerosThatCount;

        public bool TryTake(out ReadOnlySpan<byte> segment)
        {
            if (!TryRead(out segment)) return false;
            if (_wordSeen) return true;
            if (!VersionText.IsDigit(segment[0]))
            {
                _wordSeen = true;
                return true;
            }

            if (!VersionText.WithoutLeadingZeros(segment).IsEmpty) return true;
            if (_zerosThatCount > 0)
            {
                _zerosThatCount--;
                return true;
            }

            // Looks behind the zeros once: they count when another number follows.
            var ahead = this;
            var zeros = 0;
            while (ahead.TryRead(out var next) && VersionText.IsDigit(next[0]))
            {
                if (!VersionText.WithoutLeadingZeros(next).IsEmpty)
                {
                    _zerosThatCount = zeros;
                    return true;
                }

                zeros++;
            }

            for (; zeros > 0; zeros--) TryRead(out _);
            _wordSeen = true;
            return TryRead(out segment);
        }

        bool TryRead(out ReadOnlySpan<byte> segment)
        {
            var start = 0;
            while (start < _rest.Length && !VersionText.IsLetterOrDigit(_rest[start]) && _rest[start] != '-') start++;
            if (start == _rest.Length)
            {
                _rest = default;
                segment = default;
                return false;
            }

            if (_rest[start] == '-')
            {
                _rest = _rest[(start + 1)..];
                segment = "pre"u8;
                return true;
            }

            var isDigit = VersionText.IsDigit(_rest[start]);
            var end = start + 1;
            while (end < _rest.Length && (isDigit ? VersionText.IsDigit(_rest[end]) : VersionText.IsLetter(_rest[end]))) end++;
            segment = _rest[start..end];
            _rest = _rest[end..];
            return true;
        }
    }
}
