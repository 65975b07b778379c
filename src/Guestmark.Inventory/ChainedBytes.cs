using System.Diagnostics;

namespace Guestmark.Inventory;

/// <summary>
/// A value that a database keeps in pieces. Only the ranges that somebody reads are joined, in one pass from front to back: of an
/// rpm header, which has 17 KB in the middle and up to 9 MB, less than a quarter is wanted. One instance is reused for all values
/// of a database.
/// </summary>
class ChainedBytes
{
    const int FirstBuffer = 16 * 1024;

    // Invariant: _bytes[0.._held] are the bytes of the value from _start on; the next piece begins behind them.
    byte[] _bytes = [];
    int _start;
    int _held;
    int _skipped;
    int _total;

    /// <summary>Length of the whole value, as the database says it.</summary>
    public int Length => _total - _skipped;

    /// <summary>Starts a new value.</summary>
    /// <param name="total">Its length. The caller has checked that the file could hold so much.</param>
    /// <param name="first">Its bytes that are not on the chain, at most <paramref name="total"/>.</param>
    public void Begin(int total, ReadOnlySpan<byte> first)
    {
        _total = total;
        _skipped = 0;
        _start = 0;
        _held = 0;
        Append(first);
    }

    /// <summary>Leaves out the first bytes of what remains.</summary>
    public void Skip(int count) => _skipped += count;

    /// <summary>The first <paramref name="count"/> bytes, fewer where the value is shorter. Valid until the next call.</summary>
    /// <returns>Null on success; otherwise what is wrong with the chain.</returns>
    public string? Prefix(int count, out ReadOnlySpan<byte> prefix) => Read(0, Math.Min(count, Length), out prefix);

    /// <summary>
    /// Any bytes inside the value. Valid until the next call. What lies before them may be given up: the next range must not begin
    /// before this one does.
    /// </summary>
    /// <returns>Null on success; otherwise what is wrong with the chain.</returns>
    public string? Read(int offset, int count, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        var from = _skipped + offset;
        Debug.Assert(from >= _start && from + count <= _total);
        if (from + count > _start + _held)
        {
            if (from > _start) GiveUp(from);
            while (_start + _held < from + count)
            {
                if (TakePiece(from) is { } error) return error;
            }
        }

        bytes = _bytes.AsSpan(from - _start, count);
        return null;
    }

    /// <summary>The next bytes of the value. A chain that runs in a circle must end with an error.</summary>
    protected virtual string? NextPiece(int remaining, out ReadOnlySpan<byte> piece)
    {
        piece = default;
        return $"ends {remaining} bytes early";
    }

    /// <summary>Passes over the next <paramref name="count"/> bytes where the value's place in the file is known without reading them.</summary>
    /// <returns>False where only the pieces themselves tell where the next one is.</returns>
    protected virtual bool TryPass(int count) => false;

    /// <summary>Drops the bytes before <paramref name="from"/>.</summary>
    void GiveUp(int from)
    {
        var end = _start + _held;
        if (from < end)
        {
            _bytes.AsSpan(from - _start, end - from).CopyTo(_bytes);
            _held = end - from;
            _start = from;
            return;
        }

        _held = 0;
        _start = from > end && TryPass(from - end) ? from : end;
    }

    /// <summary>Appends the next piece, or as much of it as does not lie before <paramref name="from"/>.</summary>
    string? TakePiece(int from)
    {
        var end = _start + _held;
        if (NextPiece(_total - end, out var piece) is { } error) return error;
        if (piece.Length == 0) return "has a page without data";
        piece = piece[..Math.Min(piece.Length, _total - end)];
        if (end >= from)
        {
            Append(piece);
            return null;
        }

        var before = Math.Min(from - end, piece.Length);
        _start = end + before;
        Append(piece[before..]);
        return null;
    }

    void Append(ReadOnlySpan<byte> piece)
    {
        var needed = _held + piece.Length;
        if (_bytes.Length < needed)
        {
            // Grows with what arrives, not with the length that the database claims.
            var size = Math.Max(needed, Math.Min(_total, Math.Max(FirstBuffer, _bytes.Length * 2L)));
            Array.Resize(ref _bytes, (int)size);
        }

        piece.CopyTo(_bytes.AsSpan(_held));
        _held = needed;
    }
}
