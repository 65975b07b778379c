namespace Guestmark.Spool;

/// <summary>Records that were durable and are gone before all readers had acknowledged them.</summary>
/// <param name="First">Index of the first.</param>
/// <param name="Last">Index of the last.</param>
public readonly record struct SpoolLoss(ulong First, ulong Last, SpoolLossReason Reason)
{
    public ulong Count => Last - First + 1;
}

public enum SpoolLossReason
{
    /// <summary>The spool was full and dropped its oldest (<see cref="WhenFull.DropOldest"/>).</summary>
    Full,

    /// <summary>The disk does not have them any more.</summary>
    Damage,
}

/// <summary>Is shown every record of a spool while it is opened.</summary>
/// <param name="data">Valid during the call.</param>
public delegate void SpoolRecordVisitor(ulong index, ReadOnlyMemory<byte> data);
