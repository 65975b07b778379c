using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>One whole record: its index, where it lies, and its data, which is valid until the reader's next call.</summary>
readonly record struct ReadRecord(ulong Index, long Offset, ReadOnlyMemory<byte> Data)
{
    public long End => Offset + SegmentFormat.RecordHeaderBytes + Data.Length;
}

/// <summary>Reads records through a window of the file, so that neighbours cost one system call.</summary>
/// <remarks>A window never reaches beyond what the caller says may be read, so what it holds never changes.</remarks>
sealed class SegmentReader(int recordBytesMax)
{
    const int WindowBytes = 256 * 1024;

    byte[] _window = [];
    SafeFileHandle? _file;
    ulong _secret;
    long _start;
    int _length;

    /// <summary>
    /// Reads the record at <paramref name="offset"/>. When it is not whole, looks for the next one that is: a damaged record must
    /// not take those behind it with it. Where the segment has no secret it does: there a record could be what a guest sent.
    /// </summary>
    /// <param name="end">Bytes of the file that may be read.</param>
    /// <param name="least">The index of the record is this or, behind damage, higher.</param>
    /// <returns>Null when there is no whole record up to <paramref name="end"/>.</returns>
    public ReadRecord? ReadNext(Segment segment, long offset, long end, ulong least)
    {
        if (segment.File != _file)
        {
            _file = segment.File;
            _length = 0;
        }

        _secret = segment.Secret;
        return Read(offset, end, least, least) ?? (_secret == 0 ? null : Search(offset + 1, end, least));
    }

    /// <summary>Lets go of the window of one that has nothing to read for a while.</summary>
    public void Rest()
    {
        _window = [];
        _length = 0;
    }

    /// <summary>
    /// Tries every offset, to the end: whole records behind damage are never given up. An index between the bounds is rare among other bytes (there can
    /// be no more records than bytes), also where a guest chose them, who does not know the secret; so the checksum of few places has to be computed.
    /// </summary>
    ReadRecord? Search(long offset, long end, ulong least)
    {
        while (end - offset > SegmentFormat.RecordHeaderBytes)
        {
            var window = Window(offset, SegmentFormat.RecordHeaderBytes, end);
            if (window.Length <= SegmentFormat.RecordHeaderBytes) return null;
            var most = least + (ulong)(end - offset);
            var last = window.Length - SegmentFormat.RecordHeaderBytes;
            var next = last + 1;
            for (var i = 0; i <= last; i++)
            {
                // A length of 0 is none: the zeros of a page that was never written are passed over at once.
                if (window[i] == 0)
                {
                    var zeros = window[i..].IndexOfAnyExcept((byte)0);
                    if (zeros is < 0 or > 4) i = zeros < 0 ? last : Math.Min(i + zeros - 4, last);
                }

                var (length, _, index) = SegmentFormat.ReadRecordHeader(window[i..], _secret);
                if (index < least || index > most || length == 0 || length > recordBytesMax) continue;
                if (Read(offset + i, end, least, most) is { } found) return found;

                // That moved the window.
                next = i + 1;
                break;
            }

            offset += next;
        }

        return null;
    }

    ReadRecord? Read(long offset, long end, ulong least, ulong most)
    {
        if (end - offset <= SegmentFormat.RecordHeaderBytes) return null;
        var window = Window(offset, SegmentFormat.RecordHeaderBytes, end);
        if (window.Length < SegmentFormat.RecordHeaderBytes) return null;
        var (length, checksum, index) = SegmentFormat.ReadRecordHeader(window, _secret);
        if (length == 0 || length > recordBytesMax || index < least || index > most) return null;

        var total = SegmentFormat.RecordHeaderBytes + (int)length;
        if (total > end - offset) return null;
        window = Window(offset, total, end);
        if (window.Length < total) return null;
        return SegmentFormat.Checksum(index, window[SegmentFormat.RecordHeaderBytes..total]) == checksum
            ? new ReadRecord(index, offset, _window.AsMemory((int)(offset - _start) + SegmentFormat.RecordHeaderBytes, (int)length))
            : null;
    }

    /// <summary>Bytes of the file from an offset: as many as are wanted or more, fewer where the file ends.</summary>
    ReadOnlySpan<byte> Window(long offset, int wanted, long end)
    {
        if (offset >= _start && offset + wanted <= _start + _length) return _window.AsSpan((int)(offset - _start), (int)(_start + _length - offset));
        var size = (int)Math.Min(Math.Max(wanted, WindowBytes), end - offset);
        // One that had to hold a very long record shrinks again.
        if (_window.Length < size || _window.Length > 4 * Math.Max(size, WindowBytes)) _window = GC.AllocateUninitializedArray<byte>(size);
        (_start, _length) = (offset, 0);
        while (_length < size)
        {
            var read = RandomAccess.Read(_file!, _window.AsSpan(_length, size - _length), offset + _length);
            if (read == 0) break;
            _length += read;
        }

        return _window.AsSpan(0, _length);
    }
}
