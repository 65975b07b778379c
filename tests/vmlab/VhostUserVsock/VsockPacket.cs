namespace Guestmark.VhostUserVsock;

/// <summary>A header and its payload.</summary>
public sealed record VsockPacket(VsockHeader Header, ReadOnlyMemory<byte> Payload)
{
    /// <summary>Linux sends at most VIRTIO_VSOCK_MAX_PKT_BUF_SIZE, 64 KiB, in a packet. What is longer is no packet.</summary>
    public const int PayloadBytesMax = 64 * 1024;

    /// <summary>Most bytes that the buffers of one packet may have together.</summary>
    public const int BytesMax = VsockHeader.Bytes + PayloadBytesMax;

    public VsockPacket(VsockHeader header) : this(header, default)
    {
    }

    /// <summary>Reads a packet that a driver put into its ring.</summary>
    /// <param name="bytes">The driver's buffers, one after the other. The payload stays in them. What is beyond the length is ignored.</param>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? TryRead(ReadOnlyMemory<byte> bytes, out VsockPacket? packet)
    {
        packet = null;
        if (bytes.Length < VsockHeader.Bytes) return $"{bytes.Length} bytes are less than a header";
        var header = VsockHeader.Read(bytes.Span);
        if (header.Length > PayloadBytesMax) return $"a payload of {header.Length} bytes, {PayloadBytesMax} are allowed";
        if (header.Length > bytes.Length - VsockHeader.Bytes) return $"a payload of {header.Length} bytes in buffers of {bytes.Length}";
        packet = new VsockPacket(header, bytes.Slice(VsockHeader.Bytes, (int)header.Length));
        return null;
    }
}
