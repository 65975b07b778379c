namespace Guestmark.Spool;

/// <summary>One record with its index. Indexes count up from 1; where one is missing, the disk lost the record.</summary>
public readonly record struct SpoolRecord(ulong Index, ReadOnlyMemory<byte> Data);

/// <summary>Walks a spool in order. For one reader at a time.</summary>
public sealed class SpoolCursor
{
    readonly EventSpool _spool;
    readonly SegmentReader _reader;
    Segment? _segment;
    long _offset;
    ulong _next;

    internal SpoolCursor(EventSpool spool, ulong first, int recordBytesMax)
    {
        _spool = spool;
        _reader = new SegmentReader(recordBytesMax);
        _next = first;
    }

    /// <summary>Reads what is on disk, waiting until there is at least one record.</summary>
    /// <param name="countMax">Most records to return.</param>
    /// <param name="bytesMax">Stops after the record that reaches this many bytes; one record is always returned.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Empty when the spool was closed.</returns>
    public async ValueTask<IReadOnlyList<SpoolRecord>> ReadAsync(int countMax, int bytesMax, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(countMax, 1);
        var records = new List<SpoolRecord>();
        var bytes = 0L;
        while (records.Count == 0)
        {
            if (!await _spool.WaitForAsync(_next, cancellationToken)) return [];
            while (records.Count < countMax && bytes < bytesMax && TryReadNext() is { } record)
            {
                records.Add(record);
                bytes += record.Data.Length;
            }
        }

        return records;
    }

    /// <returns>Null when the last durable record has been read.</returns>
    SpoolRecord? TryReadNext()
    {
        while (true)
        {
            // Outside the spool's lock: a slow disk must not hold up appends.
            if (_spool.SegmentOf(_next) is not var (segment, length, segmentEnd)) return null;
            if (segment != _segment)
            {
                _segment = segment;
                _offset = SegmentFormat.HeaderBytes;
            }

            ReadRecord? found;
            try
            {
                // From where the last record ended; in a segment that was not read yet, past those that are done with.
                var least = _offset == SegmentFormat.HeaderBytes ? segment.FirstIndex : _next;
                found = _reader.ReadNext(segment.File, _offset, length, least);
                while (found is { } skipped && skipped.Index < _next)
                {
                    _offset = skipped.End;
                    found = _reader.ReadNext(segment.File, _offset, length, skipped.Index + 1);
                }
            }
            catch (ObjectDisposedException)
            {
                // Acknowledged, deleted and closed meanwhile: what follows lies in the next segment.
                found = null;
            }

            if (found is not { } record)
            {
                // The rest of what was durable a moment ago is damaged.
                _next = segmentEnd;
                _offset = length;
                continue;
            }

            _offset = record.End;
            _next = record.Index + 1;
            return new SpoolRecord(record.Index, record.Data.ToArray());
        }
    }
}
