using Microsoft.Win32.SafeHandles;

namespace Guestmark.Inventory;

/// <summary>Reads a file through one buffer that runs ahead of the reader.</summary>
/// <remarks>
/// pread and not a memory mapping: a package transaction may truncate the file, and touching a mapped page
/// beyond the end kills the process (SIGBUS).
/// </remarks>
sealed class FileWindow(SafeFileHandle file, long length, int readAhead)
{
    byte[] _buffer = [];
    long _start;
    int _filled;

    /// <summary>Bytes in the file when it was opened.</summary>
    public long Length => length;

    /// <summary>Bytes of the file, valid until the next call. Empty when they are not wholly inside the file.</summary>
    /// <exception cref="IOException">The disk does not give them.</exception>
    public ReadOnlySpan<byte> Read(long offset, int count) => Read(offset, count, readAhead);

    /// <inheritdoc cref="Read(long, int)"/>
    /// <param name="ahead">Bytes from <paramref name="offset"/> on that will be wanted, read in one call when some of them are not in the buffer.</param>
    public ReadOnlySpan<byte> Read(long offset, int count, int ahead)
    {
        if (offset < 0 || count > length - offset) return default;
        if (offset < _start || offset + count > _start + _filled)
        {
            var wanted = (int)Math.Min(Math.Max(count, ahead), length - offset);
            if (_buffer.Length < wanted) _buffer = GC.AllocateUninitializedArray<byte>(wanted);
            _start = offset;
            _filled = 0;
            while (_filled < count)
            {
                var read = GuestFile.Read(file, _buffer.AsSpan(_filled, wanted - _filled), offset + _filled);
                if (read == 0) return default;
                _filled += read;
            }
        }

        return _buffer.AsSpan((int)(offset - _start), count);
    }
}
