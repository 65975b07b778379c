namespace Guestmark.Vulnerabilities;

/// <summary>Counts what is read from a file or archive: for the progress, and for how much a compressed byte became.</summary>
sealed class InputMeter(Stream inner, Action<int> read) : ReadOnlyStream
{
    public long Bytes { get; private set; }

    /// <summary>How many of the last bytes were zeros: two blocks of them end a tar archive.</summary>
    public long TrailingZeros { get; private set; }

    public override int Read(Span<byte> buffer)
    {
        var count = inner.Read(buffer);
        Bytes += count;
        var last = buffer[..count].LastIndexOfAnyExcept((byte)0);
        TrailingZeros = last < 0 ? TrailingZeros + count : count - 1 - last;
        read(count);
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) inner.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>How much may still come out of a file or archive.</summary>
/// <param name="source">Bytes that it came from, until now.</param>
sealed class OutputBudget(Func<long> source, FeedLimits limits)
{
    long _bytes;

    public void Spend(int bytes)
    {
        _bytes += bytes;
        if (_bytes > limits.ArchiveBytes) throw new DecompressionBombException($"it has more than {limits.ArchiveBytes} bytes unpacked, the limit");
        if (_bytes <= limits.RatioFreeBytes || _bytes / limits.Ratio <= source()) return;
        throw new DecompressionBombException(
            $"{source()} bytes became {_bytes} and more, over {limits.Ratio} for each: that is a decompression bomb, no feed");
    }
}

/// <summary>Ends a decompression that gives more than is allowed.</summary>
sealed class OutputLimit(Stream inner, OutputBudget budget) : ReadOnlyStream
{
    public override int Read(Span<byte> buffer)
    {
        var count = inner.Read(buffer);
        budget.Spend(count);
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) inner.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>What a reader of a whole feed reads. It remembers a failure, should the reader take it for a fault of the document.</summary>
sealed class WatchedStream(Stream inner, long bytesMax, CancellationToken cancellationToken) : ReadOnlyStream
{
    long _bytes;

    public Exception? Failure { get; private set; }

    public override int Read(Span<byte> buffer)
    {
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            var count = inner.Read(buffer);
            _bytes += count;
            if (_bytes > bytesMax) throw new DecompressionBombException($"it has more than {bytesMax} bytes, the limit");
            return count;
        }
        catch (Exception e)
        {
            Failure ??= e;
            throw;
        }
    }
}

/// <summary>Thrown out of a read, so that whatever reads cannot take it for an end.</summary>
sealed class DecompressionBombException(string message) : Exception(message);

/// <summary>Lets the first bytes be looked at before they are read.</summary>
/// <param name="inner">Where more comes from.</param>
/// <param name="first">What was read of it before.</param>
sealed class PeekStream(Stream inner, byte[]? first = null) : ReadOnlyStream
{
    byte[] _buffer = first ?? [];
    int _start;
    int _end = first?.Length ?? 0;

    /// <summary>At most <paramref name="count"/> bytes; fewer only at the end of the stream.</summary>
    public ReadOnlySpan<byte> Peek(int count)
    {
        if (_buffer.Length - _start < count)
        {
            var larger = new byte[count];
            _buffer.AsSpan(_start, _end - _start).CopyTo(larger);
            (_buffer, _start, _end) = (larger, 0, _end - _start);
        }

        while (_end - _start < count)
        {
            var read = inner.Read(_buffer.AsSpan(_end, _start + count - _end));
            if (read == 0) break;
            _end += read;
        }

        return _buffer.AsSpan(_start, Math.Min(count, _end - _start));
    }

    public override int Read(Span<byte> buffer)
    {
        if (_start == _end) return inner.Read(buffer);
        var count = Math.Min(buffer.Length, _end - _start);
        _buffer.AsSpan(_start, count).CopyTo(buffer);
        _start += count;
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) inner.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>The next so many bytes of a stream that goes on after them. Disposing it leaves the stream open.</summary>
sealed class SectionStream(Stream inner, long length) : ReadOnlyStream
{
    public long Remaining { get; private set; } = length;

    public override int Read(Span<byte> buffer)
    {
        if (Remaining == 0 || buffer.IsEmpty) return 0;
        var count = inner.Read(buffer[..(int)Math.Min(buffer.Length, Remaining)]);
        if (count == 0) throw new InvalidDataException($"the archive is cut: {Remaining} bytes of this member are missing; download it again");
        Remaining -= count;
        return count;
    }
}

/// <summary>A member of a zip archive, whose size and checksum <see cref="System.IO.Compression.ZipArchiveEntry"/> leaves to its reader.</summary>
sealed class ZipMemberStream(Stream inner, string name, long length, uint crc) : ReadOnlyStream
{
    const string Damaged = "the archive is damaged; download it again";

    uint _crc;
    long _read;

    public override int Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty) return 0;
        var count = inner.Read(buffer);
        _read += count;
        _crc = Crc32.Append(_crc, buffer[..count]);
        if (_read > length || (count == 0 && _read < length))
            throw new InvalidDataException($"the archive says that it has {length} bytes, it has {(count == 0 ? $"{_read}" : "more")}: {Damaged}");
        if (count == 0 && _crc != crc) throw new InvalidDataException($"CRC-32 of {name} does not match: {Damaged}");
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) inner.Dispose();
        base.Dispose(disposing);
    }
}
