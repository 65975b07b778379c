namespace Guestmark.Wire.Declarations;

/// <summary>What one frame declares: only what a guest may fill. Texts lie in the frame's memory.</summary>
/// <remarks>There is no attribution here, and nothing that could become one: that is the host's stamp.</remarks>
public ref struct GuestDeclaration
{
    /// <summary>0x0000 to 0x00FF.</summary>
    public ushort ContentVersion { get; internal set; }

    /// <summary>What observed it, such as <c>process.spawned</c>. UTF-8, at most <see cref="DeclarationFrame.ProbeSourceBytesMax"/>.</summary>
    public ReadOnlySpan<byte> ProbeSource { get; internal set; }

    public uint GuestPid { get; internal set; }

    /// <summary>The process's name. UTF-8, at most <see cref="DeclarationFrame.GuestCommBytesMax"/>.</summary>
    public ReadOnlySpan<byte> GuestComm { get; internal set; }

    /// <summary>The guest's own clock.</summary>
    public ulong GuestMonotonicNs { get; internal set; }

    /// <summary>Counts up from 1 on each connection. 0: this agent does not count.</summary>
    public ulong Sequence { get; internal set; }

    /// <summary>Declarations that the agent had to drop so far, as it says.</summary>
    public ulong Dropped { get; internal set; }

    /// <summary>Keys that nobody knows, whose values were skipped.</summary>
    public int UnknownKeys { get; internal set; }
}
