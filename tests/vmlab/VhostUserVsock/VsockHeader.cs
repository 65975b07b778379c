using System.Buffers.Binary;

namespace Guestmark.VhostUserVsock;

/// <summary>What a packet of virtio-vsock does (virtio 1.2, 5.10.6). The numbers are those on the wire.</summary>
public enum VsockOperation : ushort
{
    Invalid = 0,
    Request = 1,
    Response = 2,
    Reset = 3,
    Shutdown = 4,
    Data = 5,
    CreditUpdate = 6,
    CreditRequest = 7,
}

/// <summary>Flags of <see cref="VsockOperation.Shutdown"/>: what the sender will not do any more.</summary>
[Flags]
public enum VsockShutdown : uint
{
    None = 0,
    Receive = 1,
    Send = 2,
    Both = Receive | Send,
}

/// <summary>The header of every packet of virtio-vsock.</summary>
/// <remarks>
/// virtio 1.2, 5.10.6, little endian, packed:
/// <code>
/// struct virtio_vsock_hdr {
///   le64 src_cid;   @0    le64 dst_cid;   @8     le32 src_port; @16   le32 dst_port; @20   le32 len; @24
///   le16 type;      @28   le16 op;        @30    le32 flags;    @32   le32 buf_alloc; @36  le32 fwd_cnt; @40
/// };
/// </code>
/// <c>buf_alloc</c> is the whole receive buffer of the sender's socket and <c>fwd_cnt</c> how many bytes left it so far; a peer may have
/// <c>buf_alloc - (bytes it sent - fwd_cnt)</c> bytes under way. Both count modulo 2^32.
/// </remarks>
public readonly record struct VsockHeader
{
    public const int Bytes = 44;

    /// <summary>The only type that this switch carries. 2 is SOCK_SEQPACKET, whose feature bit is not offered.</summary>
    public const ushort TypeStream = 1;

    public ulong SourceCid { get; init; }

    public ulong DestinationCid { get; init; }

    public uint SourcePort { get; init; }

    public uint DestinationPort { get; init; }

    /// <summary>Bytes of the payload behind the header.</summary>
    public uint Length { get; init; }

    public ushort Type { get; init; }

    public VsockOperation Operation { get; init; }

    public uint Flags { get; init; }

    public uint BufferBytes { get; init; }

    public uint ForwardedBytes { get; init; }

    /// <param name="source">At least <see cref="Bytes"/> bytes.</param>
    public static VsockHeader Read(ReadOnlySpan<byte> source) => new()
    {
        SourceCid = BinaryPrimitives.ReadUInt64LittleEndian(source),
        DestinationCid = BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
        SourcePort = BinaryPrimitives.ReadUInt32LittleEndian(source[16..]),
        DestinationPort = BinaryPrimitives.ReadUInt32LittleEndian(source[20..]),
        Length = BinaryPrimitives.ReadUInt32LittleEndian(source[24..]),
        Type = BinaryPrimitives.ReadUInt16LittleEndian(source[28..]),
        Operation = (VsockOperation)BinaryPrimitives.ReadUInt16LittleEndian(source[30..]),
        Flags = BinaryPrimitives.ReadUInt32LittleEndian(source[32..]),
        BufferBytes = BinaryPrimitives.ReadUInt32LittleEndian(source[36..]),
        ForwardedBytes = BinaryPrimitives.ReadUInt32LittleEndian(source[40..]),
    };

    /// <param name="destination">At least <see cref="Bytes"/> bytes.</param>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(destination, SourceCid);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], DestinationCid);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[16..], SourcePort);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[20..], DestinationPort);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[24..], Length);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[28..], Type);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[30..], (ushort)Operation);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[32..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[36..], BufferBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[40..], ForwardedBytes);
    }

    /// <summary>The refusal of this packet, as its destination would send it.</summary>
    public VsockHeader Refusal() => new()
    {
        SourceCid = DestinationCid,
        DestinationCid = SourceCid,
        SourcePort = DestinationPort,
        DestinationPort = SourcePort,
        Type = Type,
        Operation = VsockOperation.Reset,
    };

    public override string ToString() => $"{SourceCid}:{SourcePort} -> {DestinationCid}:{DestinationPort} {Operation} {Length} bytes";
}
