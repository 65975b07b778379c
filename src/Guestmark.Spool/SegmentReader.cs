using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>One whole record: its index, where it lies, and its data, which is valid until the reader's next call.</summary>
readonly record struct ReadRecord(ulong Index, long Offset, ReadOnlyMemory<byte> Data)
{
    public long End => Offset + SegmentFormat.RecordHeaderBytes + Data.Length;
}

/// <summary>Reads records into memory of its own, which is used again by the next call.</summary>
sealed class SegmentReader(int recordBytesMax)
{
    byte[] _buffer = new byte[64 * 1024];

    /// <summary>
    /// Reads the record at <paramref name="offset"/>. When it is not whole, looks for the next one that is: a damaged record must
    /// not take those behind it with it.
    /// </summary>
    /// <param name="end">Bytes of the file that may be read.</param>
    /// <param name="least">The index of the record is this or, behind damage, higher.</param>
    /// <returns>Null when there is no whole record up to <paramref name="end"/>.</returns>
    public ReadRecord? ReadNext(SafeFileHandle file, long offset, long end, ulong least) =>
        Read(file, offset, end, least, least) ?? Search(file, offset + 1, end, least);

    /// <summary>
    /// Tries every offset. An index between the bounds is rare among random bytes (there can be no more records than bytes), so the
    /// checksum of few places has to be computed.
    /// </summary>
    ReadRecord? Search(SafeFileHandle file, long offset, long end, ulong least)
    {
        const int windowBytes = 64 * 1024;
        var window = new byte[windowBytes];
        while (end - offset > SegmentFormat.RecordHeaderBytes)
        {
            var read = RandomAccess.Read(file, window, offset);
            if (read <= SegmentFormat.RecordHeaderBytes) return null;
            var most = least + (ulong)(end - offset);
            for (var i = 0; i + SegmentFormat.RecordHeaderBytes <= read; i++)
            {
                var (length, _, index) = SegmentFormat.ReadRecordHeader(window.AsSpan(i));
                if (index < least || index > most || length == 0 || length > recordBytesMax) continue;
                if (Read(file, offset + i, end, least, most) is { } found) return found;
            }

            offset += read - SegmentFormat.RecordHeaderBytes + 1;
        }

        return null;
    }

    ReadRecord? Read(SafeFileHandle file, long offset, long end, ulong least, ulong most)
    {
        if (end - offset <= SegmentFormat.RecordHeaderBytes) return null;

        // One read fetches header and data of most records.
        var read = RandomAccess.Read(file, _buffer, offset);
        if (read < SegmentFormat.RecordHeaderBytes) return null;
        var (length, checksum, index) = SegmentFormat.ReadRecordHeader(_buffer);
        if (length == 0 || length > recordBytesMax || index < least || index > most) return null;

        var total = SegmentFormat.RecordHeaderBytes + (int)length;
        if (total > end - offset) return null;
        if (_buffer.Length < total) Array.Resize(ref _buffer, total);
        while (read < total)
        {
            var more = RandomAccess.Read(file, _buffer.AsSpan(read, total - read), offset + read);
            if (more == 0) return null;
            read += more;
        }

        var data = _buffer.AsMemory(SegmentFormat.RecordHeaderBytes, (int)length);
        return SegmentFormat.Checksum(index, data.Span) == checksum ? new ReadRecord(index, offset, data) : null;
    }
}
