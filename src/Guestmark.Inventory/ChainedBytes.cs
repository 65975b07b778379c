namespace Guestmark.Inventory;

/// <summary>
/// A value that a database keeps on a chain of pages. It is joined from the front only as far as somebody reads: what rpm needs to
/// name a package lies near the front of headers of up to 9 MB. One instance is reused for all values of a database.
/// </summary>
class ChainedBytes
{
    const int FirstBuffer = 16 * 1024;

    byte[] _bytes = [];
    int _joined;
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
        _joined = 0;
        Append(first);
    }

    /// <summary>Leaves out the first bytes of what remains.</summary>
    public void Skip(int count) => _skipped += count;

    /// <summary>The first <paramref name="count"/> bytes, fewer where the value is shorter. Valid until the next call.</summary>
    /// <returns>Null on success; otherwise what is wrong with the chain.</returns>
    public string? Prefix(int count, out ReadOnlySpan<byte> prefix)
    {
        count = Math.Min(count, Length);
        while (_joined < _skipped + count)
        {
            prefix = default;
            if (NextPiece(_total - _joined, out var piece) is { } error) return error;
            if (piece.Length == 0) return "has a page without data";
            Append(piece[..Math.Min(piece.Length, _total - _joined)]);
        }

        prefix = _bytes.AsSpan(_skipped, count);
        return null;
    }

    /// <summary>The next bytes of the value. A chain that runs in a circle must end with an error.</summary>
    protected virtual string? NextPiece(int remaining, out ReadOnlySpan<byte> piece)
    {
        piece = default;
        return $"ends {remaining} bytes early";
    }

    void Append(ReadOnlySpan<byte> piece)
    {
        var needed = _joined + piece.Length;
        if (_bytes.Length < needed)
        {
            var size = Math.Max(needed, Math.Min(_total, Math.Max(FirstBuffer, _bytes.Length * 2L)));
            Array.Resize(ref _bytes, (int)size);
        }

        piece.CopyTo(_bytes.AsSpan(_joined));
        _joined = needed;
    }
}
