namespace Guestmark.Spool;

/// <summary>Limits of one spool.</summary>
public sealed record SpoolOptions
{
    /// <summary>The folder that holds the segments. Created when absent. One process at a time may have it open.</summary>
    public required string Directory { get; init; }

    /// <summary>
    /// Bytes of all segments together. An append that would exceed them is refused, so the disk never fills because a receiver
    /// is away. Default 1 GiB: about 800 reports of 500 packages in StackRox's encoding.
    /// </summary>
    public long BytesMax { get; init; } = 1L << 30;

    /// <summary>A segment is closed when it has reached this size; acknowledged records are removed a segment at a time. Default 64 MiB.</summary>
    public long SegmentBytesMax { get; init; } = 64L << 20;

    /// <summary>Longest record in bytes. Default 20 MiB: a report of 16 MiB with its attributes.</summary>
    public int RecordBytesMax { get; init; } = 20 << 20;

    internal void Validate()
    {
        if (string.IsNullOrEmpty(Directory)) throw new ArgumentException("the spool's directory is empty", nameof(Directory));
        if (RecordBytesMax is < 1 or > 1 << 30) throw new ArgumentException($"is {RecordBytesMax}; it must be 1 to {1 << 30}", nameof(RecordBytesMax));
        if (SegmentBytesMax <= SegmentFormat.HeaderBytes)
            throw new ArgumentException($"is {SegmentBytesMax}; it must be over {SegmentFormat.HeaderBytes}", nameof(SegmentBytesMax));

        // The newest segment is never deleted and may pass its size by one record. Beside it there must be room for another
        // record, or a spool whose records are all acknowledged could still refuse one.
        var least = SegmentBytesMax + (2L * (RecordBytesMax + SegmentFormat.RecordHeaderBytes)) + SegmentFormat.HeaderBytes;
        if (BytesMax < least) throw new ArgumentException($"is {BytesMax}; with these segments and records it must be at least {least}", nameof(BytesMax));
    }
}
