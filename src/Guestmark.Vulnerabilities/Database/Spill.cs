using System.Buffers;
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
    const int ChunkBits = 17;
    const int ChunkBytes = 1 << ChunkBits;

    // In chunks of the pool, so that growing neither copies nor leaves garbage. All but the last are full.
    readonly List<byte[]> _chunks = [];
    int _buffered;
    SafeFileHandle? _file;
    long _written;

    public long Length => _written + _buffered;

    /// <returns>Where the bytes start.</returns>
    /// <exception cref="IOException">The disk is full, or the folder cannot be written.</exception>
    public long Append(ReadOnlySpan<byte> bytes)
    {
        var start = Length;
        while (true)
        {
            var at = _buffered & (ChunkBytes - 1);
            var number = _buffered >> ChunkBits;
            if (number < _chunks.Count && bytes.Length <= ChunkBytes - at)
            {
                bytes.CopyTo(_chunks[number].AsSpan(at));
                _buffered += bytes.Length;
                return start;
            }

            bytes = Fill(number, at, bytes);
        }
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

        for (var at = (int)(start - _written); !bytes.IsEmpty;)
        {
            var within = at & (ChunkBytes - 1);
            var part = _chunks[at >> ChunkBits].AsSpan(within, Math.Min(ChunkBytes - within, bytes.Length));
            part.CopyTo(bytes);
            bytes = bytes[part.Length..];
            at += part.Length;
        }
    }

    public void Dispose()
    {
        _file?.Dispose();
        foreach (var chunk in _chunks) ArrayPool<byte>.Shared.Return(chunk);
        _chunks.Clear();
    }

    // Makes room, in which it puts what does not fit as a whole. Returns the rest.
    ReadOnlySpan<byte> Fill(int number, int at, ReadOnlySpan<byte> bytes)
    {
        if (number == _chunks.Count)
        {
            if (_buffered < BufferBytesMax)
            {
                _chunks.Add(ArrayPool<byte>.Shared.Rent(ChunkBytes));
                return bytes;
            }

            Write();
            return bytes;
        }

        var part = bytes[..(ChunkBytes - at)];
        part.CopyTo(_chunks[number].AsSpan(at));
        _buffered += part.Length;
        return bytes[part.Length..];
    }

    void Write()
    {
        _file ??= Open();
        foreach (var chunk in _chunks)
        {
            RandomAccess.Write(_file, chunk.AsSpan(0, ChunkBytes), _written);
            _written += ChunkBytes;
        }

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
