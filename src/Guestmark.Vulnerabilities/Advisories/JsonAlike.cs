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

    // In the order of the bytes.
    readonly (int Kind, int Start, int End)[] _spots = new (int, int, int)[kinds];
    readonly (int Start, int Length)[] _values = new (int, int)[kinds];
    int _count;
    int _start;
    int _end;

    /// <summary>Takes an element that was read for the pattern.</summary>
    public void Begin(int start, int end)
    {
        _count = 0;
        (_start, _end) = (start, end);
    }

    /// <summary>Adds a string that may be another one, each kind at most once.</summary>
    /// <param name="start">Behind its quotation mark.</param>
    /// <param name="length">Of what is between the quotation marks, which has no escapes. 0: there is none, and there shall be none.</param>
    public void AddSpot(int kind, int start, int length)
    {
        _values[kind] = default;
        if (length <= 0) return;
        var i = _count++;
        for (; i > 0 && _spots[i - 1].Start > start; i--) _spots[i] = _spots[i - 1];
        _spots[i] = (kind, start, start + length);
    }

    /// <summary>Whether an element like the pattern comes next in <paramref name="bytes"/>.</summary>
    /// <param name="position">The end of an element; when there is one more, its end.</param>
    public bool Next(ReadOnlySpan<byte> bytes, ref int position)
    {
        var next = AfterComma(bytes, position);
        if (next < 0) return false;
        var done = _start;
        foreach (var (kind, start, end) in _spots.AsSpan(0, _count))
        {
            var same = bytes[done..start];
            if (!bytes[next..].StartsWith(same)) return false;
            next += same.Length;
            var length = bytes[next..].IndexOfAnyExcept(Plain);
            // Whether an empty string is one, the reader tells.
            if (length <= 0 || bytes[next + length] != '"') return false;
            _values[kind] = (next, length);
            next += length;
            done = end;
        }

        var rest = bytes[done.._end];
        if (!bytes[next..].StartsWith(rest)) return false;
        position = next + rest.Length;
        return true;
    }

    /// <summary>Where the string of a kind is in the element that came last. Length 0: it has none.</summary>
    public (int Start, int Length) this[int kind] => _values[kind];

    /// <summary>That string. Empty: the element has none.</summary>
    public ReadOnlySpan<byte> Text(ReadOnlySpan<byte> bytes, int kind) => bytes.Slice(_values[kind].Start, _values[kind].Length);

    /// <summary>Where the value after the comma begins, -1 when none comes.</summary>
    static int AfterComma(ReadOnlySpan<byte> bytes, int position)
    {
        position = Space(bytes, position);
        return position < bytes.Length && bytes[position] == ',' ? Space(bytes, position + 1) : -1;

        static int Space(ReadOnlySpan<byte> bytes, int position)
        {
            if (position >= bytes.Length || bytes[position] > ' ') return position;
            var length = bytes[position..].IndexOfAnyExcept(White);
            return length < 0 ? bytes.Length : position + length;
        }
    }
}
