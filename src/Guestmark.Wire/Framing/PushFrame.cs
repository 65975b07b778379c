using System.Buffers;
using System.Buffers.Binary;

namespace Guestmark.Wire.Framing;

/// <summary>
/// The push protocol of the vsock listener: the guest sends messages, the host answers each with a status.
/// </summary>
/// <remarks>
/// <code>
/// guest to host   u32 little endian  length of the body in bytes, 1 to the host's limit
///                 body               a virtualmachine.v1.VMReport
/// host to guest   u32 little endian  a <see cref="PushStatus"/>
/// </code>
/// Any number of messages follow each other on a connection. The functions are pure: they see bytes, never a connection.
/// </remarks>
public static class PushFrame
{
    /// <summary>Bytes before the body.</summary>
    public const int HeaderBytes = 4;

    /// <summary>Bytes of the answer.</summary>
    public const int StatusBytes = 4;

    /// <summary>16 MiB, StackRox's limit since 4.10: about 6,400 packages at 2.6 KB each.</summary>
    public const int BodyBytesMaxDefault = 16 * 1024 * 1024;

    /// <summary>Takes the next message off <paramref name="buffer"/> when it is there as a whole.</summary>
    /// <param name="buffer">What has arrived. On <see cref="FrameReadResult.Complete"/> it begins after the message; otherwise it is unchanged.</param>
    /// <param name="bodyBytesMax">Longest body that is accepted, in bytes. The length is checked before a byte of the body is awaited.</param>
    /// <param name="body">The body, still in the buffer's memory.</param>
    /// <param name="length">The length that the header names, 0 while the header is incomplete.</param>
    public static FrameReadResult TryRead(
        ref ReadOnlySequence<byte> buffer, int bodyBytesMax, out ReadOnlySequence<byte> body, out uint length)
    {
        body = default;
        length = 0;
        if (buffer.Length < HeaderBytes) return FrameReadResult.Incomplete;

        Span<byte> header = stackalloc byte[HeaderBytes];
        buffer.Slice(0, HeaderBytes).CopyTo(header);
        length = BinaryPrimitives.ReadUInt32LittleEndian(header);
        if (length == 0) return FrameReadResult.EmptyBody;
        if (length > (uint)bodyBytesMax) return FrameReadResult.BodyTooLong;
        if (buffer.Length - HeaderBytes < length) return FrameReadResult.Incomplete;

        body = buffer.Slice(HeaderBytes, length);
        buffer = buffer.Slice(body.End);
        return FrameReadResult.Complete;
    }

    /// <summary>Writes the header of a message whose body has <paramref name="bodyLength"/> bytes.</summary>
    public static void WriteHeader(Span<byte> destination, int bodyLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bodyLength);
        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)bodyLength);
    }

    /// <summary>Writes the host's answer.</summary>
    public static void WriteStatus(Span<byte> destination, PushStatus status) =>
        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)status);

    /// <summary>Reads the host's answer. A number that is not in the table is returned as it is.</summary>
    public static PushStatus ReadStatus(ReadOnlySpan<byte> source) => (PushStatus)BinaryPrimitives.ReadUInt32LittleEndian(source);
}

/// <summary>What <see cref="PushFrame.TryRead"/> found.</summary>
public enum FrameReadResult
{
    /// <summary>More bytes are needed.</summary>
    Incomplete,

    Complete,

    /// <summary>The header names a length of 0. Where the next message begins is known, but no client sends this: close.</summary>
    EmptyBody,

    /// <summary>The header names a length over the limit. The rest of the stream cannot be used.</summary>
    BodyTooLong,
}
