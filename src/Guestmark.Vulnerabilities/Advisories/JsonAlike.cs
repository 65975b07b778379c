using System.Buffers;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// An element of a JSON list as the pattern of those that follow it: byte for byte like it, but for some strings, which are its spots.
/// </summary>
/// <remarks>
/// Programs write feeds, so that in a list of hundreds each element is the one before with other names. What is the same bytes at the same place is
/// the same JSON with the same meaning, which has been checked; only the strings that differ are looked at. That is several times as fast as a
/// reader that looks at every token can be.
/// </remarks>
sealed class JsonAlike(int kinds)
{
    // Of strings: without a quotation mark, a backslash, a control character and bytes that UTF-8 would have to be checked of.
    static readonly SearchValues<byte> Plain = SearchValues.Create(
        " !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"u8);

    static readonly SearchValues<byte> White = SearchValues.Create(" \n\r\t"u8);

    // Longer elements are no patterns: what takes long to compare is not quickly read either. AlmaLinux' have 500 bytes.
    const int BytesMax = 4096;

    readonly byte[] _pattern = new byte[BytesMax];
    // In the order of the bytes.
    readonly (int Kind, int Start, int End)[] _spots = new (int, int, int)[kinds];
    readonly (int Start, int Length)[] _values = new (int, int)[kinds];
    int _count;
    int _start;
    int _length;

    /// <summary>Takes an element that was read for the pattern.</summary>
    public void Begin(ReadOnlySpan<byte> bytes, int start, int end)
    {
        _count = 0;
        _start = start;
        _length = end - start;
        if (_length > BytesMax) _length = 0;
        bytes.Slice(start, _length).CopyTo(_pattern);
        Array.Clear(_values);
    }

    /// <summary>Adds a string that may be another one, each kind at most once.</summary>
    /// <param name="start">Behind its quotation mark.</param>
    /// <param name="length">Of what is between the quotation marks, which has no escapes. 0: there is none, and there shall be none.</param>
    public void AddSpot(int kind, int start, int length)
    {
        if (length <= 0 || _length == 0) return;
        var i = _count++;
        start -= _start;
        for (; i > 0 && _spots[i - 1].Start > start; i--) _spots[i] = _spots[i - 1];
        _spots[i] = (kind, start, start + length);
    }

    /// <summary>Forgets the pattern: nothing is like it.</summary>
    public void Clear() => _length = 0;

    /// <summary>Whether the first element of a list is like the pattern, which is one of such a list of another document.</summary>
    /// <param name="position">Behind the list's bracket; when it is like the pattern, its end.</param>
    public bool First(ReadOnlySpan<byte> bytes, ref int position) => _length > 0 && Match(bytes, Space(bytes, position), ref position);

    /// <summary>Whether an element like the pattern comes next.</summary>
    /// <param name="position">The end of an element; when there is one more, its end.</param>
    public bool Next(ReadOnlySpan<byte> bytes, ref int position)
    {
        if (_length == 0) return false;
        var comma = Space(bytes, position);
        return comma < bytes.Length && bytes[comma] == ',' && Match(bytes, Space(bytes, comma + 1), ref position);
    }

    bool Match(ReadOnlySpan<byte> bytes, int next, ref int end)
    {
        ReadOnlySpan<byte> pattern = _pattern.AsSpan(0, _length);
        var done = 0;
        foreach (var (kind, from, to) in _spots.AsSpan(0, _count))
        {
            var same = pattern[done..from];
            if (!bytes[next..].StartsWith(same)) return false;
            next += same.Length;
            var length = bytes[next..].IndexOfAnyExcept(Plain);
            // Whether an empty string is one, the reader tells.
            if (length <= 0 || bytes[next + length] != '"') return false;
            _values[kind] = (next, length);
            next += length;
            done = to;
        }

        var rest = pattern[done..];
        if (!bytes[next..].StartsWith(rest)) return false;
        end = next + rest.Length;
        return true;
    }

    static int Space(ReadOnlySpan<byte> bytes, int position)
    {
        if (position >= bytes.Length || bytes[position] > ' ') return position;
        var length = bytes[position..].IndexOfAnyExcept(White);
        return length < 0 ? bytes.Length : position + length;
    }

    /// <summary>Where the string of a kind is in the element that came last. Length 0: it has none.</summary>
    public (int Start, int Length) this[int kind] => _values[kind];

    /// <summary>That string. Empty: the element has none.</summary>
    public ReadOnlySpan<byte> Text(ReadOnlySpan<byte> bytes, int kind) => bytes.Slice(_values[kind].Start, _values[kind].Length);
}
