namespace Guestmark.Spool;

/// <summary>Limits of one spool.</summary>
public sealed record SpoolOptions
{
    /// <summary>The folder that holds the segments. Created when absent. One process at a time may have it open.</summary>
    public required string Directory { get; init; }

    /// <summary>
    /// Bytes of all segments together, so the disk never fills because a receiver is away. Default 1 GiB: about 800 reports of 500 packages in
    /// StackRox's encoding.
    /// </summary>
    public long BytesMax { get; init; } = 1L << 30;

    /// <summary>What an append does that would exceed <see cref="BytesMax"/>. Default: it is refused.</summary>
    public WhenFull WhenFull { get; init; }

    /// <summary>
    /// A segment is closed when it has reached this size; records are removed a segment at a time. As much is reserved on the disk when a segment
    /// is made. Default 64 MiB.
    /// </summary>
    public long SegmentBytesMax { get; init; } = 64L << 20;

    /// <summary>Longest record in bytes. Default 20 MiB: a report of 16 MiB with its attributes.</summary>
    public int RecordBytesMax { get; init; } = 20 << 20;

    /// <summary>
    /// Bytes that may be in memory because they are not on disk yet. An append beyond them is refused as by a full spool, unless nothing is
    /// queued. Default 64 MiB: what a disk of 300 MB/s writes in a fifth of a second.
    /// </summary>
    public long QueueBytesMax { get; init; } = 64L << 20;

    /// <summary>
    /// Names of those who read, each at their own pace; a record is done with when all have acknowledged it. Letters, digits and <c>-</c>. Empty,
    /// the default: one, without a name. One that is added begins at the oldest record that is kept.
    /// </summary>
    public IReadOnlyList<string> Readers { get; init; } = [];

    internal void Validate()
    {
        if (string.IsNullOrEmpty(Directory)) throw new ArgumentException("the spool's directory is empty", nameof(Directory));
        if (RecordBytesMax is < 1 or > 1 << 30) throw new ArgumentException($"is {RecordBytesMax}; it must be 1 to {1 << 30}", nameof(RecordBytesMax));
        if (SegmentBytesMax <= SegmentFormat.HeaderBytes)
            throw new ArgumentException($"is {SegmentBytesMax}; it must be over {SegmentFormat.HeaderBytes}", nameof(SegmentBytesMax));
        if (QueueBytesMax < 1) throw new ArgumentException($"is {QueueBytesMax}; it must be at least 1", nameof(QueueBytesMax));
        if (Readers.Any(name => name.Length is < 1 or > 32 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '-')) || Readers.Distinct().Count() < Readers.Count)
            throw new ArgumentException($"is '{string.Join(", ", Readers)}'; each must be once, of 1 to 32 letters, digits or '-'", nameof(Readers));

        // The newest segment is never deleted and may pass its size by one record. Beside it there must be room for another
        // record, or a spool whose records are all acknowledged could still refuse one.
        var least = SegmentBytesMax + (2L * (RecordBytesMax + SegmentFormat.RecordHeaderBytes)) + SegmentFormat.HeaderBytes;
        if (BytesMax < least) throw new ArgumentException($"is {BytesMax}; with these segments and records it must be at least {least}", nameof(BytesMax));
    }
}

/// <summary>What becomes of a record when there is no room for it.</summary>
public enum WhenFull
{
    /// <summary>It is not taken.</summary>
    Refuse,

    /// <summary>The oldest segment that nobody is reading gives way. Its records are counted and told by <see cref="EventSpool.TakeLossesAsync"/>.</summary>
    DropOldest,
}
