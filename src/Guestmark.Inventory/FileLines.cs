namespace Guestmark.Inventory;

/// <summary>Reads the lines of one file after the other through one buffer, which is all the memory it takes.</summary>
sealed class FileLines(CancellationToken cancellation)
{
    const int BufferBytes = 64 * 1024;
    // Hundreds of files have some hundred bytes.
    const int BufferBytesMin = 4096;

    byte[] _buffer = [];
    GuestFile? _file;
    long _bytesMax;
    long _offset;
    int _start;
    int _filled;
    bool _inLongLine;
    bool _ended;

    /// <summary>Whether the file goes on behind the bytes that were allowed.</summary>
    public bool IsCut { get; private set; }

    /// <summary>Bytes of the file that were read.</summary>
    public long BytesRead => _offset;

    /// <summary>Starts a file.</summary>
    /// <param name="bytesMax">What is read of it at most.</param>
    public void Begin(GuestFile file, long bytesMax)
    {
        _file = file;
        _bytesMax = bytesMax;
        _offset = 0;
        _start = _filled = 0;
        _inLongLine = _ended = IsCut = false;
        var wanted = (int)Math.Clamp(file.OpenedAs.Size + 1, BufferBytesMin, BufferBytes);
        if (_buffer.Length < wanted) _buffer = GC.AllocateUninitializedArray<byte>(wanted);
    }

    /// <summary>The next line without its end, valid until the next call. Of a line longer than the buffer only the first part is given.</summary>
    /// <exception cref="IOException">The disk does not give it.</exception>
    public bool TryNext(out ReadOnlySpan<byte> line)
    {
        while (true)
        {
            var rest = _buffer.AsSpan(_start, _filled - _start);
            var end = rest.IndexOf((byte)'\n');
            if (end >= 0)
            {
                _start += end + 1;
                line = rest[..end];
                if (line is [.., (byte)'\r']) line = line[..^1];
                if (!_inLongLine) return true;
                _inLongLine = false;
                continue;
            }

            if (_ended)
            {
                _start = _filled;
                line = rest;
                // The end of a cut file is somewhere in a line.
                return rest.Length > 0 && !_inLongLine && !IsCut;
            }

            if (_inLongLine)
            {
                _start = _filled;
            }
            else if (rest.Length == _buffer.Length)
            {
                _inLongLine = true;
                _start = _filled;
                line = rest;
                return true;
            }

            Fill();
        }
    }

    void Fill()
    {
        cancellation.ThrowIfCancellationRequested();
        _buffer.AsSpan(_start, _filled - _start).CopyTo(_buffer);
        _filled -= _start;
        _start = 0;
        // One byte more than is allowed tells whether there is more.
        var space = (int)Math.Min(_buffer.Length - _filled, _bytesMax + 1 - _offset);
        var read = _file!.Read(_buffer.AsSpan(_filled, space), _offset);
        _offset += read;
        _filled += read;
        IsCut = _offset > _bytesMax;
        _ended = read == 0 || IsCut;
    }
}
