using System.Buffers;
using System.Buffers.Binary;
using Google.Protobuf;

namespace Guestmark.Rpc.Protocol;

/// <summary>
/// Length-Prefixed-Message: Compressed-Flag (1 byte, 0 or 1), Message-Length (4 bytes, big endian), Message.
/// </summary>
static class MessageFraming
{
    public const int PrefixBytes = 5;

    /// <summary>Up to this size a message is encoded into one span; above it in the segments that the writer offers.</summary>
    const int OneSpanBytesMax = 16 << 10;

    /// <summary>Takes the first message off the buffer. The prefix is judged before anything else of the message is awaited.</summary>
    /// <returns>False when more bytes are needed.</returns>
    /// <exception cref="RpcException">The message is compressed, over the limit, or not a <typeparamref name="T"/>.</exception>
    public static bool TryRead<T>(ref ReadOnlySequence<byte> buffer, int bytesMax, out T? message)
        where T : class, IMessage<T>, new()
    {
        message = null;
        if (buffer.Length < PrefixBytes) return false;
        int length;
        if (buffer.FirstSpan.Length >= PrefixBytes)
        {
            length = CheckPrefix(buffer.FirstSpan, bytesMax);
        }
        else
        {
            Span<byte> prefix = stackalloc byte[PrefixBytes];
            buffer.Slice(0, PrefixBytes).CopyTo(prefix);
            length = CheckPrefix(prefix, bytesMax);
        }

        if (buffer.Length < PrefixBytes + (long)length) return false;
        message = Parse<T>(buffer.Slice(PrefixBytes, length));
        buffer = buffer.Slice(PrefixBytes + length);
        return true;
    }

    /// <summary>The length of the message that follows.</summary>
    public static int CheckPrefix(ReadOnlySpan<byte> prefix, int bytesMax)
    {
        if (prefix[0] != 0)
        {
            throw prefix[0] == 1
                ? new RpcException(RpcStatusCode.Unimplemented, "the message is compressed: send it with grpc-encoding identity")
                : new RpcException(RpcStatusCode.Internal, $"the message prefix begins with 0x{prefix[0]:x2}, expected 0 or 1");
        }

        var length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        if (length > bytesMax)
        {
            throw new RpcException(
                RpcStatusCode.ResourceExhausted,
                $"a message of {length} bytes is over the receiver's limit of {bytesMax} bytes (ReceiveMessageBytesMax)");
        }

        return (int)length;
    }

    public static T Parse<T>(ReadOnlySpan<byte> bytes)
        where T : class, IMessage<T>, new()
    {
        var message = new T();
        try
        {
            message.MergeFrom(bytes);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw Malformed(message, e);
        }

        return message;
    }

    static T Parse<T>(ReadOnlySequence<byte> bytes)
        where T : class, IMessage<T>, new()
    {
        if (bytes.IsSingleSegment) return Parse<T>(bytes.FirstSpan);
        var message = new T();
        try
        {
            message.MergeFrom(bytes);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw Malformed(message, e);
        }

        return message;
    }

    static RpcException Malformed(IMessage message, InvalidProtocolBufferException e) =>
        new(RpcStatusCode.Internal, $"the message is not a {message.Descriptor.FullName}: {e.Message}", innerException: e);

    /// <summary>The message's size without its prefix.</summary>
    public static int CheckedSize<T>(T message, int bytesMax)
        where T : class, IMessage<T>
    {
        var size = message.CalculateSize();
        return size <= bytesMax
            ? size
            : throw new RpcException(
                RpcStatusCode.ResourceExhausted, $"a message of {size} bytes is over the sender's limit of {bytesMax} bytes (SendMessageBytesMax)");
    }

    public static void Write<T>(IBufferWriter<byte> writer, T message, int bytesMax)
        where T : class, IMessage<T>
    {
        var size = CheckedSize(message, bytesMax);
        if (size <= OneSpanBytesMax)
        {
            Write(writer.GetSpan(PrefixBytes + size)[..(PrefixBytes + size)], message, size);
            writer.Advance(PrefixBytes + size);
        }
        else
        {
            WritePrefix(writer.GetSpan(PrefixBytes), size);
            writer.Advance(PrefixBytes);
            if (message is RawMessage raw) writer.Write(raw.Bytes.Span);
            else message.WriteTo(writer);
        }
    }

    /// <param name="destination">Exactly as long as prefix and message.</param>
    /// <param name="size">The message's size without its prefix.</param>
    public static void Write(Span<byte> destination, IMessage message, int size)
    {
        WritePrefix(destination, size);
        if (message is RawMessage raw) raw.Bytes.Span.CopyTo(destination[PrefixBytes..]);
        else message.WriteTo(destination[PrefixBytes..]);
    }

    static void WritePrefix(Span<byte> destination, int size)
    {
        destination[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(destination[1..], size);
    }
}
