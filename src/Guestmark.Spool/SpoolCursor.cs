namespace Guestmark.Spool;

/// <summary>One record with its index. Indexes count up from 1; a gap means that records were lost to damage on the disk.</summary>
public readonly record struct SpoolRecord(ulong Index, ReadOnlyMemory<byte> Data);

/// <summary>Walks a spool in order. For one reader at a time.</summary>
public sealed class SpoolCursor
{
    readonly EventSpool _spool;
    readonly SegmentReader _reader;
    SpoolPlace _place;
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
            var end = _spool.LastIndex;
            while (_next <= end && records.Count < countMax && bytes < bytesMax)
            {
                var index = _next;
                if (_spool.Read(_reader, ref _place, index, out _next) is not { } data) continue;
                records.Add(new SpoolRecord(index, data));
                bytes += data.Length;
            }
        }

        return records;
    }
}

/// <summary>Where a cursor stands: record <paramref name="Index"/> of a segment begins at <paramref name="Offset"/>.</summary>
readonly record struct SpoolPlace(ulong SegmentFirstIndex, ulong Index, long Offset)
{
    public SpoolPlace After(int recordLength) => this with { Index = Index + 1, Offset = Offset + SegmentFormat.RecordHeaderBytes + recordLength };
}
