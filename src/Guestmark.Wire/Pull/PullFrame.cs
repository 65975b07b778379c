using System.Buffers;
using System.Buffers.Binary;
using Guestmark.Wire.Framing;

namespace Guestmark.Wire.Pull;

/// <summary>The frame of StackRox's pull protocol: a Sensor connects to the agent, sends one request and gets one response.</summary>
/// <remarks>
/// <code>
/// u32 big endian  length of the payload in bytes, 0 to the reader's limit
/// payload         a virtualmachine.v1.VMServiceRequest, or the VMServiceResponse to it
/// </code>
/// The functions are pure: they see bytes, never a connection. Note that the push protocol (<see cref="PushFrame"/>) is little endian.
/// </remarks>
public static class PullFrame
{
    /// <summary>Bytes before the payload.</summary>
    public const int HeaderBytes = 4;

    /// <summary>1 MiB: what StackRox's agent accepts as a request without a mapping.</summary>
    public const int RequestBytesMaxDefault = 1024 * 1024;

    /// <summary>A request may carry a mapping of <see cref="VmServiceRequest.MappingBytesMax"/>; 64 KiB are for everything beside it.</summary>
    public const int RequestWithMappingBytesMaxDefault = VmServiceRequest.MappingBytesMax + (64 * 1024);

    /// <summary>16 MiB: what StackRox's Sensor accepts as a response unless it is told otherwise.</summary>
    public const int ResponseBytesMaxDefault = 16 * 1024 * 1024;

    /// <summary>Reads the header, for a reader that then awaits so many bytes.</summary>
    /// <param name="header">What has arrived, at least <see cref="HeaderBytes"/> for a result other than <see cref="FrameReadResult.Incomplete"/>.</param>
    /// <param name="payloadBytesMax">Longest payload that is accepted, in bytes.</param>
    /// <param name="length">The length that the header names, 0 while it is incomplete. Over the limit: for the message, not for memory.</param>
    /// <returns><see cref="FrameReadResult.Complete"/>, <see cref="FrameReadResult.Incomplete"/> or <see cref="FrameReadResult.BodyTooLong"/>.</returns>
    public static FrameReadResult TryReadHeader(ReadOnlySpan<byte> header, int payloadBytesMax, out uint length)
    {
        length = 0;
        if (header.Length < HeaderBytes) return FrameReadResult.Incomplete;
        length = BinaryPrimitives.ReadUInt32BigEndian(header);
        return length > (uint)payloadBytesMax ? FrameReadResult.BodyTooLong : FrameReadResult.Complete;
    }

    /// <summary>Takes the next payload off <paramref name="buffer"/> when it is there as a whole.</summary>
    /// <param name="buffer">What has arrived. On <see cref="FrameReadResult.Complete"/> it begins after the frame; otherwise it is unchanged.</param>
    /// <param name="payloadBytesMax">Longest payload that is accepted, in bytes. The length is checked before a byte of the payload is awaited.</param>
    /// <param name="payload">The payload, still in the buffer's memory.</param>
    /// <param name="length">The length that the header names, 0 while the header is incomplete.</param>
    /// <returns>
    /// <see cref="FrameReadResult.EmptyBody"/> never: an empty payload is a message whose fields all have their defaults, and is answered.
    /// </returns>
    public static FrameReadResult TryRead(
        ref ReadOnlySequence<byte> buffer, int payloadBytesMax, out ReadOnlySequence<byte> payload, out uint length)
    {
        payload = default;
        Span<byte> header = stackalloc byte[HeaderBytes];
        var available = (int)Math.Min(buffer.Length, HeaderBytes);
        buffer.Slice(0, available).CopyTo(header);
        var result = TryReadHeader(header[..available], payloadBytesMax, out length);
        if (result != FrameReadResult.Complete) return result;
        if (buffer.Length - HeaderBytes < length) return FrameReadResult.Incomplete;

        payload = buffer.Slice(HeaderBytes, length);
        buffer = buffer.Slice(payload.End);
        return FrameReadResult.Complete;
    }

    /// <summary>Writes the header of a payload of <paramref name="payloadLength"/> bytes.</summary>
    public static void WriteHeader(Span<byte> destination, int payloadLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(payloadLength);
        BinaryPrimitives.WriteUInt32BigEndian(destination, (uint)payloadLength);
    }
}
