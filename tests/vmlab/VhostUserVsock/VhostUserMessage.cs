using System.Buffers.Binary;
using System.Net.Sockets;

namespace Guestmark.VhostUserVsock;

/// <summary>Requests of the vhost-user protocol that a vsock device gets; the numbers are those on the wire.</summary>
public enum VhostUserRequest : uint
{
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    ResetOwner = 4,
    SetMemoryTable = 5,
    SetRingEntries = 8,
    SetRingAddress = 9,
    SetRingBase = 10,
    GetRingBase = 11,
    SetRingKick = 12,
    SetRingCall = 13,
    SetRingError = 14,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueCount = 17,
    SetRingEnable = 18,
    GetConfig = 24,
}

/// <summary>One message of the vhost-user protocol and its connection's two directions.</summary>
/// <remarks>
/// QEMU, docs/interop/vhost-user.rst, "Message Specification", host byte order:
/// <code>
/// u32 request | u32 flags | u32 size | payload of size bytes, with descriptors as SCM_RIGHTS of the header
/// flags: bits 0-1 version (1), bit 2 reply, bit 3 a reply is needed (with VHOST_USER_PROTOCOL_F_REPLY_ACK)
/// </code>
/// </remarks>
public sealed class VhostUserMessage(Socket socket) : IDisposable
{
    /// <summary>A memory table of 8 regions, the longest message to this device, has 264 bytes; the configuration space at most 256 and 12.</summary>
    public const int PayloadBytesMax = 512;

    const int HeaderBytes = 12;
    const uint Version = 1;
    const uint FlagReply = 4;
    const uint FlagNeedReply = 8;

    readonly byte[] _buffer = new byte[HeaderBytes + PayloadBytesMax];
    readonly List<int> _descriptors = [];
    uint _flags;
    int _size;

    public VhostUserRequest Request { get; private set; }

    /// <summary>The payload; a reply is written over it.</summary>
    public Span<byte> Payload => _buffer.AsSpan(HeaderBytes, _size);

    /// <summary>Descriptors that came with the message and were not taken.</summary>
    public int DescriptorCount => _descriptors.Count;

    public bool NeedsReply => (_flags & FlagNeedReply) != 0;

    /// <summary>Reads the next message. Descriptors of the last one that nobody took are closed.</summary>
    /// <returns>False at the end of the connection.</returns>
    /// <exception cref="VhostUserException">It is no message.</exception>
    public bool Read()
    {
        Dispose();
        var header = _buffer.AsSpan(0, HeaderBytes);
        if (Native.Receive((int)socket.Handle, header, _descriptors) < HeaderBytes) return false;
        Request = (VhostUserRequest)BinaryPrimitives.ReadUInt32LittleEndian(header);
        _flags = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        var size = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        if ((_flags & 3) != Version) throw new VhostUserException($"version {_flags & 3} of vhost-user");
        if (size > PayloadBytesMax) throw new VhostUserException($"a message of {size} bytes, {PayloadBytesMax} are allowed");
        _size = (int)size;
        for (var rest = Payload; !rest.IsEmpty;)
        {
            var received = socket.Receive(rest);
            if (received == 0) return false;
            rest = rest[received..];
        }

        return true;
    }

    /// <summary>Throws when the payload is shorter than the request's.</summary>
    public ReadOnlySpan<byte> PayloadOf(int bytes) =>
        _size >= bytes ? Payload : throw new VhostUserException($"{Request} with {_size} bytes, it has {bytes}");

    /// <summary>Takes the next descriptor; the caller closes it.</summary>
    /// <exception cref="VhostUserException">There is none left.</exception>
    public int TakeDescriptor()
    {
        if (_descriptors.Count == 0) throw new VhostUserException($"{Request} without a descriptor");
        var descriptor = _descriptors[0];
        _descriptors.RemoveAt(0);
        return descriptor;
    }

    public void Reply(ulong value)
    {
        _size = sizeof(ulong);
        BinaryPrimitives.WriteUInt64LittleEndian(Payload, value);
        ReplyPayload();
    }

    /// <summary>Sends the payload back.</summary>
    public void ReplyPayload()
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(4), Version | FlagReply);
        BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(8), _size);
        socket.Send(_buffer.AsSpan(0, HeaderBytes + _size));
    }

    public void Dispose()
    {
        foreach (var descriptor in _descriptors) Native.Close(descriptor);
        _descriptors.Clear();
    }
}
