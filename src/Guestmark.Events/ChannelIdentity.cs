using Guestmark.Events.Format;

namespace Guestmark.Events;

/// <summary>
/// Who is at the other end of a channel, as the kernel and the host's own registry know it: never as the guest says it.
/// </summary>
/// <remarks>
/// Only a listener of the node makes one (the constructor is internal to this assembly and the node), and a
/// <see cref="StampedEvent"/> is made only from one. That is why what a guest writes cannot become attribution:
/// there is no path from its bytes to this type.
/// </remarks>
public sealed record ChannelIdentity
{
    internal ChannelIdentity(string source, string subject)
    {
        ArgumentException.ThrowIfNullOrEmpty(source);
        ArgumentException.ThrowIfNullOrEmpty(subject);
        Source = source;
        Subject = subject;
    }

    /// <summary><c>//cluster/node/listener</c>: the channel on which the bytes arrive.</summary>
    public string Source { get; }

    /// <summary>Uid of the virtual machine, or id of the cell, to which the channel belonged when it was opened.</summary>
    public string Subject { get; }

    /// <summary>
    /// The peer's vsock context id. On a Unix socket, where the path of the socket is the identity, the one that the registry gives the guest, if any.
    /// </summary>
    public uint? GuestCid { get; internal init; }

    /// <summary>The port that the guest dialled, or, when it was asked, the one on which it answered.</summary>
    public uint? GuestPort { get; internal init; }

    /// <summary>
    /// Inode of the network namespace in which <see cref="GuestCid"/> holds, null where there is one for the whole host: since Linux 7.0 a CID
    /// is unique within a namespace only.
    /// </summary>
    public ulong? NetworkNamespace { get; internal init; }

    /// <summary>Which boot of the machine, as the registry knows it: a CID is given to another machine some day.</summary>
    public string? BootEpoch { get; internal init; }

    /// <summary>Set when the channel belongs to a cell.</summary>
    public CellAttribution? Cell { get; internal init; }

    internal StampTemplate.Slot Template;
}

/// <summary>What CellOS stamps on everything that comes from a cell.</summary>
/// <param name="CellId">1 to 128 characters.</param>
/// <param name="RunId">1 to 128 characters.</param>
/// <param name="SpecSignatureHash">Lower-case hexadecimal digits; null when the cell's specification is not signed.</param>
public sealed record CellAttribution(string CellId, string RunId, string? SpecSignatureHash);
