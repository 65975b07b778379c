namespace Guestmark.Spool;

/// <summary>One record with its index. Indexes count up from 1; where one is missing, the spool lost the record.</summary>
public readonly record struct SpoolRecord(ulong Index, ReadOnlyMemory<byte> Data);

/// <summary>Walks a spool in order. For one caller at a time.</summary>
/// <remarks>What it has given out and is not acknowledged stays on disk while it lives, also where the oldest give way to new ones.</remarks>
public sealed class SpoolCursor : IDisposable
{
    /// <summary>Small records share memory, so that a batch costs few allocations; under 85,000 bytes they are of the kind that is collected early.</summary>
    const int SlabBytes = 64 * 1024;

    readonly EventSpool _spool;
    readonly SpoolReader _owner;
    readonly SegmentReader _reader;
    Segment? _segment;
    long _offset;
    ulong _next;
    Memory<byte> _slab;

    internal SpoolCursor(EventSpool spool, SpoolReader owner, ulong first, int recordBytesMax)
    {
        _spool = spool;
        _owner = owner;
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
            var waiting = _spool.WaitForAsync(_next, cancellationToken);
            if (!waiting.IsCompleted)
            {
                _reader.Rest();
                _slab = default;
            }

            if (!await waiting) return [];
            while (records.Count < countMax && bytes < bytesMax && TryReadNext() is { } record)
            {
                records.Add(record);
                bytes += record.Data.Length;
            }
        }

        return records;
    }

    public void Dispose() => _spool.Release(_owner);

    /// <returns>Null when the last durable record has been read.</returns>
    SpoolRecord? TryReadNext()
    {
        while (true)
        {
            // Outside the spool's lock: a slow disk must not hold up appends.
            if (_spool.SegmentFor(_owner, _next) is not var (segment, length, segmentEnd)) return null;
            if (segment != _segment)
            {
                _segment = segment;
                _offset = segment.HeaderBytes;
            }

            ReadRecord? found;
            try
            {
                // From where the last record ended; in a segment that was not read yet, past those that are done with.
                var least = _offset == segment.HeaderBytes ? segment.FirstIndex : _next;
                found = _reader.ReadNext(segment, _offset, length, least);
                while (found is { } skipped && skipped.Index < _next)
                {
                    _offset = skipped.End;
                    found = _reader.ReadNext(segment, _offset, length, skipped.Index + 1);
                }
            }
            catch (ObjectDisposedException)
            {
                // Done with or dropped, deleted and closed meanwhile: what follows lies in the next segment.
                _next = Math.Max(_next, segmentEnd);
                continue;
            }

            if (found is not { } record)
            {
                // The rest of what was durable a moment ago is damaged.
                _spool.Missing(segment, _next, segmentEnd - 1);
                _next = segmentEnd;
                _offset = length;
                continue;
            }

            if (record.Index > _next) _spool.Missing(segment, Math.Max(_next, segment.FirstIndex), record.Index - 1);
            _offset = record.End;
            _next = record.Index + 1;
            return new SpoolRecord(record.Index, Copy(record.Data.Span));
        }
    }

    ReadOnlyMemory<byte> Copy(ReadOnlySpan<byte> data)
    {
        if (data.Length > SlabBytes / 8) return data.ToArray();
        if (_slab.Length < data.Length) _slab = GC.AllocateUninitializedArray<byte>(SlabBytes);
        var copy = _slab[..data.Length];
        _slab = _slab[data.Length..];
        data.CopyTo(copy.Span);
        return copy;
    }
}
