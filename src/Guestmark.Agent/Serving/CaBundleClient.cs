using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Guestmark.Wire.Protobuf;

namespace Guestmark.Agent.Serving;

/// <summary>Certificates in PEM, or why there are none.</summary>
readonly record struct CaBundle(byte[]? Pem, string? Problem);

/// <summary>Asks KubeVirt's virt-handler, which listens on port 1 of the host, for the authorities that sign its certificates.</summary>
/// <remarks>
/// One unary gRPC call over HTTP/2 without TLS: <c>/kubevirt.vsock.system.v1.System/CABundle</c>, <c>EmptyRequest{}</c> to
/// <c>Bundle{ bytes Raw = 1; }</c> (KubeVirt, pkg/vsock/system/v1/system.proto). The few frames that this takes are written by hand,
/// because .NET's HttpClient would double the size of the agent:
/// <code>
/// to the host     preface, SETTINGS, WINDOW_UPDATE, HEADERS, DATA(5 bytes of zero: a message of no bytes), SETTINGS(ACK)
/// from the host   SETTINGS, HEADERS, DATA..., HEADERS (trailers: grpc-status), and any PING, WINDOW_UPDATE
/// frame           u24 length, u8 type, u8 flags, u32 stream   (RFC 9113, 4.1), all big endian
/// message         u8 compressed, u32 length, bytes            (gRPC over HTTP/2), in DATA frames cut anywhere
/// </code>
/// The window is announced as large as the longest answer, so that none is held up.
/// </remarks>
static class CaBundleClient
{
    public const string Path = "/kubevirt.vsock.system.v1.System/CABundle";

    /// <summary>Longest bundle that is taken, in bytes. KubeVirt's has one or two certificates of about 1,200 bytes.</summary>
    public const int BundleBytesMax = 1 << 20;

    const int FrameHeaderBytes = 9;

    /// <summary>SETTINGS_MAX_FRAME_SIZE, which we leave as it is.</summary>
    const int FrameBytesMax = 16 * 1024;

    const int MessageHeaderBytes = 5;

    // A bundle of the longest kind fits 65 full frames. What needs more than this sends them to keep us busy.
    const int FramesMax = 10_000;
    const uint Window = BundleBytesMax + (1 << 16);
    const uint WindowDefault = 65_535;
    const uint StreamId = 1;

    const byte FlagEndStream = 1;
    const byte FlagAck = 1;
    const byte FlagEndHeaders = 4;
    const byte FlagPadded = 8;
    const byte FlagPriority = 0x20;

    const ushort SettingHeaderTableSize = 1;
    const ushort SettingEnablePush = 2;
    const ushort SettingInitialWindowSize = 4;

    enum FrameType : byte
    {
        Data = 0,
        Headers = 1,
        Reset = 3,
        Settings = 4,
        Push = 5,
        Ping = 6,
        GoAway = 7,
        WindowUpdate = 8,
        Continuation = 9,
    }

    /// <summary>Connects to <paramref name="address"/> and asks.</summary>
    /// <param name="timeout">For everything together, from connecting to the last byte.</param>
    public static async Task<CaBundle> FetchAsync(EndPoint address, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(timeout, time);
        using var trying = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            using var socket = await Task.Run(() => ChannelSocket.Connect(address, trying.Token), trying.Token);
            return await CallAsync(socket, timeout, trying.Token);
        }
        catch (IOException e)
        {
            return new(null, e.Message);
        }
        catch (SocketException e)
        {
            return new(null, $"{address}: {e.Message}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new(null, $"{address}: no answer within {Duration.Format(timeout)}");
        }
    }

    static async Task<CaBundle> CallAsync(Socket socket, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var output = new ArrayBufferWriter<byte>(512);
        WriteRequest(output, timeout);
        await SendAsync(socket, output, cancellationToken);

        var header = new byte[FrameHeaderBytes];
        var payload = new byte[FrameBytesMax];
        var block = new ArrayBufferWriter<byte>();
        var body = new ArrayBufferWriter<byte>();
        var answer = new GrpcHeaders();
        var endsStream = false;
        for (var frames = 0; frames < FramesMax; frames++)
        {
            if (!await ReceiveAsync(socket, header, cancellationToken)) return Broken("closed the connection before its answer was complete");
            var length = (header[0] << 16) | (header[1] << 8) | header[2];
            var (type, flags) = ((FrameType)header[3], header[4]);
            var stream = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(5)) & 0x7fff_ffff;
            if (frames == 0 && type != FrameType.Settings) return Broken("does not speak HTTP/2");
            if (length > FrameBytesMax) return Broken($"sent a frame of {length} bytes; {FrameBytesMax} are the most");
            var frame = payload.AsMemory(0, length);
            if (!await ReceiveAsync(socket, frame, cancellationToken)) return Broken("closed the connection in the middle of a frame");

            var isBlockComplete = false;
            switch (type)
            {
                case FrameType.Settings when (flags & FlagAck) == 0:
                    WriteFrame(output, FrameType.Settings, FlagAck, 0, []);
                    await SendAsync(socket, output, cancellationToken);
                    break;
                case FrameType.Ping when (flags & FlagAck) == 0:
                    WriteFrame(output, FrameType.Ping, FlagAck, 0, frame.Span);
                    await SendAsync(socket, output, cancellationToken);
                    break;
                case FrameType.GoAway when frame.Length >= 8 && (BinaryPrimitives.ReadUInt32BigEndian(frame.Span) & 0x7fff_ffff) < StreamId:
                    return Broken($"ends the connection (HTTP/2 error {BinaryPrimitives.ReadUInt32BigEndian(frame.Span[4..])})");
                case FrameType.Reset when stream == StreamId && frame.Length == 4:
                    return Broken($"reset the call (HTTP/2 error {BinaryPrimitives.ReadUInt32BigEndian(frame.Span)})");
                case FrameType.Push:
                    return Broken("sent a push, which it was told not to");
                case FrameType.Headers when stream == StreamId:
                    if (!TryUnpad(ref frame, flags, (flags & FlagPriority) != 0 ? 5 : 0)) return Broken("sent a malformed frame");
                    block.ResetWrittenCount();
                    block.Write(frame.Span);
                    endsStream = (flags & FlagEndStream) != 0;
                    isBlockComplete = (flags & FlagEndHeaders) != 0;
                    break;
                case FrameType.Continuation when stream == StreamId:
                    if (block.WrittenCount + frame.Length > FrameBytesMax) return Broken($"sent more than {FrameBytesMax} bytes of headers");
                    block.Write(frame.Span);
                    isBlockComplete = (flags & FlagEndHeaders) != 0;
                    break;
                case FrameType.Data when stream == StreamId:
                    if (!TryUnpad(ref frame, flags, 0)) return Broken("sent a malformed frame");
                    if (body.WrittenCount + frame.Length > BundleBytesMax + MessageHeaderBytes) return Broken($"sent more than {BundleBytesMax} bytes");
                    body.Write(frame.Span);
                    if ((flags & FlagEndStream) != 0) return Complete(answer, body.WrittenSpan);
                    break;
            }

            if (!isBlockComplete) continue;
            if (!answer.TryRead(block.WrittenSpan)) return Broken("sent malformed headers");
            if (endsStream) return Complete(answer, body.WrittenSpan);
        }

        return Broken($"sent {FramesMax} frames without an answer");
    }

    static CaBundle Complete(GrpcHeaders answer, ReadOnlySpan<byte> body)
    {
        if (answer.HttpStatus is { } http and not 200) return Broken($"answered with HTTP status {http}");
        if (answer.GrpcStatus is null) return Broken("answered without a gRPC status");
        if (answer.GrpcStatus is { } status and not 0) return Broken($"answered with gRPC status {status}");
        if (body.Length < MessageHeaderBytes) return Broken("answered without a message");
        if (body[0] != 0) return Broken("compressed its answer, which it was not asked to");
        var length = BinaryPrimitives.ReadUInt32BigEndian(body[1..]);
        if (length != body.Length - MessageHeaderBytes) return Broken("answered with a message of another length than it says");

        byte[]? pem = null;
        var message = new ProtoReader(body[MessageHeaderBytes..]);
        while (message.TryNext(out var field, out var type))
        {
            if (field == 1 && type == WireType.LengthDelimited) pem = message.Bytes.ToArray();
        }

        if (message.IsMalformed) return Broken("answered with a malformed message");
        return pem is { Length: > 0 } ? new(pem, null) : Broken("has no authorities");
    }

    static CaBundle Broken(string what) => new(null, "the CA bundle service " + what);

    static void WriteRequest(ArrayBufferWriter<byte> output, TimeSpan timeout)
    {
        output.Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8);
        Span<byte> settings = stackalloc byte[18];
        WriteSetting(settings, SettingHeaderTableSize, 0);
        WriteSetting(settings[6..], SettingEnablePush, 0);
        WriteSetting(settings[12..], SettingInitialWindowSize, Window);
        WriteFrame(output, FrameType.Settings, 0, 0, settings);
        Span<byte> increment = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(increment, Window - WindowDefault);
        WriteFrame(output, FrameType.WindowUpdate, 0, 0, increment);

        var block = new ArrayBufferWriter<byte>(256);
        // RFC 7541, appendix A: 3 is :method POST, 6 is :scheme http, 4 a :path, 1 an :authority, 31 a content-type.
        block.Write<byte>([0x80 | 3, 0x80 | 6]);
        WriteLiteral(block, 4, Path);
        WriteLiteral(block, 1, "localhost");
        WriteLiteral(block, 31, "application/grpc");
        WriteLiteral(block, "te", "trailers");
        // Whole milliseconds, at most 8 digits.
        WriteLiteral(block, "grpc-timeout", Math.Clamp((long)timeout.TotalMilliseconds, 1, 99_999_999).ToString(CultureInfo.InvariantCulture) + "m");
        WriteFrame(output, FrameType.Headers, FlagEndHeaders, StreamId, block.WrittenSpan);
        WriteFrame(output, FrameType.Data, FlagEndStream, StreamId, stackalloc byte[MessageHeaderBytes]);
    }

    static void WriteSetting(Span<byte> destination, ushort setting, uint value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination, setting);
        BinaryPrimitives.WriteUInt32BigEndian(destination[2..], value);
    }

    // RFC 7541, 6.2.2: literal without indexing, the name from the static table or as text. Lengths below 127 are one byte.
    static void WriteLiteral(ArrayBufferWriter<byte> block, int name, string value)
    {
        const int prefixMax = 15;
        block.Write<byte>(name < prefixMax ? [(byte)name] : [prefixMax, (byte)(name - prefixMax)]);
        WriteText(block, value);
    }

    static void WriteLiteral(ArrayBufferWriter<byte> block, string name, string value)
    {
        block.Write<byte>([0]);
        WriteText(block, name);
        WriteText(block, value);
    }

    static void WriteText(ArrayBufferWriter<byte> block, string text)
    {
        block.Write<byte>([(byte)text.Length]);
        foreach (var c in text) block.Write<byte>([(byte)c]);
    }

    static void WriteFrame(ArrayBufferWriter<byte> output, FrameType type, byte flags, uint stream, ReadOnlySpan<byte> payload)
    {
        output.Write<byte>([(byte)(payload.Length >> 16), (byte)(payload.Length >> 8), (byte)payload.Length, (byte)type, flags, 0, 0, 0, (byte)stream]);
        output.Write(payload);
    }

    /// <summary>Takes padding off, and so many bytes that come before the content.</summary>
    static bool TryUnpad(ref Memory<byte> frame, byte flags, int before)
    {
        var padding = 0;
        if ((flags & FlagPadded) != 0)
        {
            if (frame.IsEmpty) return false;
            padding = frame.Span[0];
            before++;
        }

        if (frame.Length < before + padding) return false;
        frame = frame[before..^padding];
        return true;
    }

    static async ValueTask SendAsync(Socket socket, ArrayBufferWriter<byte> output, CancellationToken cancellationToken)
    {
        var bytes = output.WrittenMemory;
        while (!bytes.IsEmpty) bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None, cancellationToken)..];
        output.ResetWrittenCount();
    }

    static async ValueTask<bool> ReceiveAsync(Socket socket, Memory<byte> destination, CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            var count = await socket.ReceiveAsync(destination, SocketFlags.None, cancellationToken);
            if (count == 0) return false;
            destination = destination[count..];
        }

        return true;
    }
}
