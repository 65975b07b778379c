namespace Guestmark.Rpc.Http2;

/// <summary>Bytes that wait to be sent: an array that grows. Its owner bounds it. Not thread-safe.</summary>
sealed class OutputBuffer
{
    const int InitialBytes = 16 << 10;

    byte[] _bytes = new byte[InitialBytes];

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, Length);

    /// <summary>Room for exactly <paramref name="count"/> bytes, taken as written.</summary>
    public Span<byte> Append(int count)
    {
        if (_bytes.Length - Length < count) Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, Length + count));
        Length += count;
        return _bytes.AsSpan(Length - count, count);
    }

    public void Append(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Append(bytes.Length));

    public Span<byte> From(int start) => _bytes.AsSpan(start, Length - start);

    public void Truncate(int length) => Length = length;
}
