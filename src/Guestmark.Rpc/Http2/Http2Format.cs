using System.Buffers.Binary;

namespace Guestmark.Rpc.Http2;

/// <summary>Frame types of RFC 9113, section 6.</summary>
enum FrameType : byte
{
    Data = 0,
    Headers = 1,
    Priority = 2,
    ResetStream = 3,
    Settings = 4,
    PushPromise = 5,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
}

[Flags]
enum FrameFlags : byte
{
    None = 0,
    /// <summary>On SETTINGS and PING.</summary>
    Acknowledgement = 0x1,
    /// <summary>On DATA and HEADERS.</summary>
    EndStream = 0x1,
    EndHeaders = 0x4,
    Padded = 0x8,
    Priority = 0x20,
}

/// <summary>Error codes of RFC 9113, section 7.</summary>
enum Http2ErrorCode : uint
{
    NoError = 0,
    ProtocolError = 1,
    InternalError = 2,
    FlowControlError = 3,
    SettingsTimeout = 4,
    StreamClosed = 5,
    FrameSizeError = 6,
    RefusedStream = 7,
    Cancel = 8,
    CompressionError = 9,
    ConnectError = 10,
    EnhanceYourCalm = 11,
    InadequateSecurity = 12,
    Http11Required = 13,
}

/// <summary>Settings of RFC 9113, section 6.5.2.</summary>
enum Setting : ushort
{
    HeaderTableSize = 1,
    EnablePush = 2,
    MaxConcurrentStreams = 3,
    InitialWindowSize = 4,
    MaxFrameSize = 5,
    MaxHeaderListSize = 6,
}

/// <summary>
/// Length (24), Type (8), Flags (8), Reserved (1), Stream Identifier (31): RFC 9113, section 4.1.
/// </summary>
readonly record struct FrameHeader(int Length, FrameType Type, FrameFlags Flags, int StreamId)
{
    public const int Bytes = 9;

    public static FrameHeader Read(ReadOnlySpan<byte> bytes) => new(
        bytes[0] << 16 | bytes[1] << 8 | bytes[2],
        (FrameType)bytes[3],
        (FrameFlags)bytes[4],
        BinaryPrimitives.ReadInt32BigEndian(bytes[5..]) & 0x7FFF_FFFF);

    public void Write(Span<byte> bytes)
    {
        bytes[0] = (byte)(Length >> 16);
        bytes[1] = (byte)(Length >> 8);
        bytes[2] = (byte)Length;
        bytes[3] = (byte)Type;
        bytes[4] = (byte)Flags;
        BinaryPrimitives.WriteInt32BigEndian(bytes[5..], StreamId);
    }

    public bool Has(FrameFlags flag) => (Flags & flag) != FrameFlags.None;
}

/// <summary>The peer broke HTTP/2 in a way that ends the connection (RFC 9113, section 5.4.1).</summary>
sealed class Http2Exception(Http2ErrorCode code, string problem) : Exception(problem)
{
    public Http2ErrorCode Code { get; } = code;
}
