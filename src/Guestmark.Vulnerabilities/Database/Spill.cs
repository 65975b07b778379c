using Microsoft.Win32.SafeHandles;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Bytes that are appended and read again, in memory while they are few, else in a file. The file has no name from the start on, so that
/// nothing of it stays whenever and however the process ends.
/// </summary>
/// <param name="prefix">Start of the file's path, in the folder that is to hold it.</param>
sealed class Spill(string prefix) : IDisposable
{
    const int BufferBytesMax = 4 << 20;

    byte[] _buffer = new byte[16 * 1024];
    int _buffered;
    SafeFileHandle? _file;
    long _written;

    public long Length => _written + _buffered;

    /// <returns>Where the bytes start.</returns>
    /// <exception cref="IOException">The disk is full, or the folder cannot be written.</exception>
    public long Append(ReadOnlySpan<byte> bytes)
    {
        var start = Length;
        if (bytes.Length > _buffer.Length - _buffered) MakeRoom(bytes.Length);
        if (bytes.Length > _buffer.Length)
        {
            RandomAccess.Write(_file!, bytes, _written);
            _written += bytes.Length;
            return start;
        }

        bytes.CopyTo(_buffer.AsSpan(_buffered));
        _buffered += bytes.Length;
        return start;
    }

    public void Read(long start, Span<byte> bytes)
    {
        while (!bytes.IsEmpty && start < _written)
        {
            var read = RandomAccess.Read(_file!, bytes[..(int)Math.Min(bytes.Length, _written - start)], start);
            if (read == 0) throw new IOException("a temporary file of the import is cut");
            bytes = bytes[read..];
            start += read;
        }

        if (!bytes.IsEmpty) _buffer.AsSpan((int)(start - _written), bytes.Length).CopyTo(bytes);
    }

    public void Dispose() => _file?.Dispose();

    void MakeRoom(int bytes)
    {
        var needed = (long)_buffered + bytes;
        if (needed <= BufferBytesMax)
        {
            Array.Resize(ref _buffer, (int)Math.Min(BufferBytesMax, Math.Max(needed, _buffer.Length * 4L)));
            return;
        }

        _file ??= Open();
        RandomAccess.Write(_file, _buffer.AsSpan(0, _buffered), _written);
        _written += _buffered;
        _buffered = 0;
    }

    SafeFileHandle Open()
    {
        var path = DatabaseReplacement.TemporaryPath(prefix);
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        File.Delete(path);
        return file;
    }
}
