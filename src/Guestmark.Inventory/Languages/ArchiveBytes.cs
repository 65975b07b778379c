namespace Guestmark.Inventory.Languages;

/// <summary>The bytes of an archive: a file, a part of one, or memory. A part is not copied.</summary>
sealed class ArchiveBytes
{
    const int ReadAheadBytes = 32 * 1024;

    readonly FileWindow? _file;
    readonly byte[] _memory;
    readonly long _start;

    public ArchiveBytes(GuestFile file)
    {
        _file = new FileWindow(file.Handle, file.OpenedAs.Size, ReadAheadBytes);
        _memory = [];
        Length = file.OpenedAs.Size;
    }

    public ArchiveBytes(byte[] memory)
    {
        _memory = memory;
        Length = memory.Length;
    }

    ArchiveBytes(ArchiveBytes whole, long start, long length)
    {
        _file = whole._file;
        _memory = whole._memory;
        _start = whole._start + start;
        Length = length;
    }

    public long Length { get; }

    /// <summary>A part, which shares the bytes. It lies inside the whole.</summary>
    public ArchiveBytes Slice(long start, long length) => new(this, start, length);

    /// <summary>Bytes, valid until the next call on this or on what shares its file. Empty when they are not wholly inside.</summary>
    /// <exception cref="IOException">The disk does not give them.</exception>
    public ReadOnlySpan<byte> Read(long offset, int count)
    {
        if (offset < 0 || count < 0 || count > Length - offset) return default;
        return _file is null ? _memory.AsSpan((int)(_start + offset), count) : _file.Read(_start + offset, count);
    }

    /// <summary>The bytes as a stream, for the decompressor.</summary>
    public Stream OpenRead(long start, long length) => new PartStream(this, start, length);

    sealed class PartStream(ArchiveBytes bytes, long start, long length) : Stream
    {
        const int PieceBytesMax = 16 * 1024;

        long _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => length;

        public override long Position { get => _position; set => throw new NotSupportedException(); }

        public override int Read(Span<byte> buffer)
        {
            var piece = bytes.Read(start + _position, (int)Math.Min(Math.Min(buffer.Length, PieceBytesMax), length - _position));
            piece.CopyTo(buffer);
            _position += piece.Length;
            return piece.Length;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
