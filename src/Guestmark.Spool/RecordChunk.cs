using System.Buffers;

namespace Guestmark.Spool;

/// <summary>Records in memory, as they will stand in the segment, on their way to the disk.</summary>
/// <remarks>
/// Places are given out under the spool's lock; the bytes are copied, and their checksums computed, by the appending threads outside it. The
/// writer waits until all are done, after it has taken the chunk and nobody gets a place in it any more.
/// </remarks>
sealed class RecordChunk(int bytes, ulong firstIndex, bool beginsSegment, ulong secret)
{
    // The last append of the queue speaks for those before it: records become durable in order.
    readonly TaskCompletionSource _durable = new(TaskCreationOptions.RunContinuationsAsynchronously);
    byte[] _buffer = ArrayPool<byte>.Shared.Rent(bytes);
    int _copying;

    public ulong FirstIndex => firstIndex;

    /// <summary>The segment before it is full.</summary>
    public bool BeginsSegment => beginsSegment;

    public int Length { get; private set; }

    public int Records { get; private set; }

    public int Room => _buffer.Length - Length;

    public ReadOnlyMemory<byte> Bytes => _buffer.AsMemory(0, Length);

    /// <summary>Ends when all of the chunk is on disk, or is refused.</summary>
    public Task Durable => _durable.Task;

    /// <summary>Under the spool's lock. Every place is filled by a call of <see cref="Fill"/>.</summary>
    /// <returns>Where.</returns>
    public int Take(int size, int records)
    {
        var place = Length;
        Length += size;
        Records += records;
        Interlocked.Increment(ref _copying);
        return place;
    }

    public void Fill(int place, ReadOnlySpan<ReadOnlyMemory<byte>> records, ulong index)
    {
        try
        {
            foreach (var record in records) place += Write(place, record.Span, index++);
        }
        finally
        {
            Interlocked.Decrement(ref _copying);
        }
    }

    public void WaitUntilFilled()
    {
        var spin = new SpinWait();
        while (Volatile.Read(ref _copying) != 0) spin.SpinOnce();
    }

    public void Complete() => _durable.SetResult();

    public void Refuse(IOException error)
    {
        _durable.SetException(error);
        // Whoever waits for it has it; where nobody waits it is no unobserved failure.
        _ = _durable.Task.Exception;
    }

    /// <summary>Gives the memory back. The chunk is not used after it.</summary>
    public void Release()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    int Write(int place, ReadOnlySpan<byte> record, ulong index)
    {
        var destination = _buffer.AsSpan(place, SegmentFormat.RecordHeaderBytes + record.Length);
        record.CopyTo(destination[SegmentFormat.RecordHeaderBytes..]);
        SegmentFormat.WriteRecordHeader(destination, index, record, secret);
        return destination.Length;
    }
}
