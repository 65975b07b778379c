using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>One file of records with consecutive indexes.</summary>
sealed class Segment : IDisposable
{
    Segment(string path, SafeFileHandle file, ulong firstIndex, ulong nextIndex, long length)
    {
        Path = path;
        File = file;
        FirstIndex = firstIndex;
        NextIndex = nextIndex;
        Length = length;
    }

    public string Path { get; }

    public SafeFileHandle File { get; }

    public ulong FirstIndex { get; }

    /// <summary>One past the last record that is durable in this segment.</summary>
    public ulong NextIndex { get; set; }

    /// <summary>Bytes that are durable.</summary>
    public long Length { get; set; }

    /// <summary>Makes an empty segment whose existence survives a crash.</summary>
    public static Segment Create(string directory, ulong firstIndex)
    {
        var path = System.IO.Path.Combine(directory, SegmentFormat.FileName(firstIndex));
        var file = System.IO.File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            Span<byte> header = stackalloc byte[SegmentFormat.HeaderBytes];
            SegmentFormat.WriteHeader(header, firstIndex);
            RandomAccess.Write(file, header, 0);
            LibC.FlushData(file);
            LibC.FlushDirectory(directory);
            return new Segment(path, file, firstIndex, firstIndex, SegmentFormat.HeaderBytes);
        }
        catch
        {
            file.Dispose();
            System.IO.File.Delete(path);
            throw;
        }
    }

    /// <summary>Opens a segment and reads it to its last whole record.</summary>
    /// <param name="damage">Null, or what follows the last whole record: a torn tail after a crash, or damage.</param>
    /// <returns>Null when not even the header is whole: the file holds nothing that was ever acknowledged.</returns>
    public static Segment? Open(string path, ulong firstIndex, int recordBytesMax, out string? damage)
    {
        var file = System.IO.File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            Span<byte> header = stackalloc byte[SegmentFormat.HeaderBytes];
            var read = RandomAccess.Read(file, header, 0);
            if (!SegmentFormat.IsHeader(header[..read], firstIndex))
            {
                damage = "its header is not whole";
                file.Dispose();
                return null;
            }

            var segment = new Segment(path, file, firstIndex, firstIndex, SegmentFormat.HeaderBytes);
            var reader = new SegmentReader(recordBytesMax);
            var fileLength = RandomAccess.GetLength(file);
            damage = null;
            while (segment.Length < fileLength)
            {
                var (data, problem) = reader.Read(file, segment.Length, segment.NextIndex);
                if (problem is not null)
                {
                    damage = $"{fileLength - segment.Length} bytes at offset {segment.Length}: {problem}";
                    break;
                }

                segment.Length += SegmentFormat.RecordHeaderBytes + data.Length;
                segment.NextIndex++;
            }

            return segment;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Dispose() => File.Dispose();
}

/// <summary>Reads records into memory of its own, which is used again by the next call.</summary>
sealed class SegmentReader(int recordBytesMax)
{
    byte[] _buffer = new byte[64 * 1024];

    /// <returns>The data, valid until the next call; or what is wrong.</returns>
    public (ReadOnlyMemory<byte> Data, string? Problem) Read(SafeFileHandle file, long offset, ulong index)
    {
        // One read fetches header and data of most records.
        var read = RandomAccess.Read(file, _buffer, offset);
        if (read < SegmentFormat.RecordHeaderBytes) return (default, "cut record header");
        var (length, checksum) = SegmentFormat.ReadRecordHeader(_buffer);
        if (length == 0 || length > recordBytesMax) return (default, $"record length {length}, expected 1 to {recordBytesMax}");

        var total = SegmentFormat.RecordHeaderBytes + (int)length;
        if (total > RandomAccess.GetLength(file) - offset) return (default, "cut record");
        if (_buffer.Length < total) Array.Resize(ref _buffer, total);
        while (read < total)
        {
            var more = RandomAccess.Read(file, _buffer.AsSpan(read, total - read), offset + read);
            if (more == 0) return (default, "cut record");
            read += more;
        }

        var data = _buffer.AsMemory(SegmentFormat.RecordHeaderBytes, (int)length);
        return SegmentFormat.Checksum(index, data.Span) == checksum ? (data, null) : (default, "wrong checksum");
    }
}
