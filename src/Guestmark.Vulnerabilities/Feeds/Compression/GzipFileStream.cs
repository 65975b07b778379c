using System.Buffers.Binary;
using System.IO.Compression;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Unpacks gzip (RFC 1952). <see cref="GZipStream"/> verifies the CRC where it reaches one, but takes a file that is cut for one that
/// ends: the length in the file's last four bytes tells.
/// </summary>
sealed class GzipFileStream : ReadOnlyStream
{
    // 10 bytes of header, an empty block of 2, CRC and length.
    const int BytesMin = 20;

    readonly TailStream _input;
    readonly GZipStream _gzip;
    uint _length;

    public GzipFileStream(Stream input)
    {
        _input = new TailStream(input);
        _gzip = new GZipStream(_input, CompressionMode.Decompress);
    }

    public override int Read(Span<byte> buffer)
    {
        if (buffer.IsEmpty) return 0;
        var read = _gzip.Read(buffer);
        _length = unchecked(_length + (uint)read);
        if (read > 0) return read;
        // Two lengths of 4 GiB and more that differ by a multiple of that are the same here (ISIZE is modulo 2^32).
        if (!_input.Ends(_length)) throw new InvalidDataException("gzip: it is cut, or more follows its end: download it again, or unpack it first");
        return 0;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _gzip.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Remembers the last four bytes.</summary>
    sealed class TailStream(Stream inner) : ReadOnlyStream
    {
        readonly byte[] _tail = new byte[4];
        long _bytes;

        public bool Ends(uint length)
        {
            // The reader may have stopped before the end of the input.
            Span<byte> rest = stackalloc byte[512];
            while (Read(rest) > 0)
            {
            }

            return _bytes >= BytesMin && BinaryPrimitives.ReadUInt32LittleEndian(_tail) == length;
        }

        public override int Read(Span<byte> buffer)
        {
            var read = inner.Read(buffer);
            _bytes += read;
            if (read >= 4)
            {
                buffer[(read - 4)..read].CopyTo(_tail);
            }
            else if (read > 0)
            {
                _tail.AsSpan(read).CopyTo(_tail);
                buffer[..read].CopyTo(_tail.AsSpan(4 - read));
            }

            return read;
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
