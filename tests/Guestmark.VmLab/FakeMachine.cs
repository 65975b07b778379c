using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Guestmark.TestKit;
using Guestmark.VhostUserVsock;

namespace Guestmark.VmLab;

/// <summary>
/// The other side of a vsock device without a machine: the monitor's half of vhost-user and a driver that does what a test wants, which no real
/// driver can be told to do.
/// </summary>
sealed unsafe partial class FakeMachine : IDisposable
{
    public const int Entries = 16;

    /// <summary>Smaller than Linux' 4 KiB, so that tests see packets in pieces.</summary>
    public const int ReceiveBufferBytes = VsockHeader.Bytes + 256;

    const ulong MonitorBase = 0x7000_0000_0000;
    const int MemoryBytes = 4 << 20;
    const int ReceiveBuffers = 0x10000;
    const int SendBuffers = 0x20000;
    const int SendBufferBytes = 0x20000;

    static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    readonly Socket _monitor = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    readonly int[] _kicks = [eventfd(0, 0), eventfd(0, 0)];
    readonly int[] _calls = [eventfd(0, 0), eventfd(0, 0)];
    readonly MemoryMappedFile _mapping;
    readonly MemoryMappedViewAccessor _view;
    readonly byte* _memory;
    ushort _sent;
    ushort _seen;

    public FakeMachine(TemporaryFolder folder, string socketPath, bool start = true)
    {
        using var file = File.Create(folder.File($"memory-{Guid.NewGuid():n}"));
        file.SetLength(MemoryBytes);
        _mapping = MemoryMappedFile.CreateFromFile(file, null, MemoryBytes, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: true);
        _view = _mapping.CreateViewAccessor();
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _memory);
        _monitor.Connect(new UnixDomainSocketEndPoint(socketPath));

        Request(VhostUserRequest.GetFeatures);
        Features = ReplyValue();
        Request(VhostUserRequest.GetConfig, [.. U32(0), .. U32(8), .. U32(0), .. new byte[8]]);
        Cid = BinaryPrimitives.ReadUInt64LittleEndian(Reply().AsSpan(12));
        Request(
            VhostUserRequest.SetMemoryTable, [.. U32(1), .. U32(0), .. U64(0), .. U64(MemoryBytes), .. U64(MonitorBase), .. U64(0)],
            (int)file.SafeFileHandle.DangerousGetHandle());
        for (var i = 0; i < Entries; i++) SetDescriptor(0, i, (ulong)(ReceiveBuffers + (i * ReceiveBufferBytes)), ReceiveBufferBytes, 2, 0);
        if (!start) return;
        Start();
        for (var i = 0; i < Entries; i++) Offer(0, i);
    }

    public ulong Features { get; }

    public ulong Cid { get; }

    /// <summary>Whether the device has closed the monitor's connection.</summary>
    public bool IsDetached => _monitor.Poll(Limit, SelectMode.SelectRead) && _monitor.Available == 0;

    public void Start(uint entries = Entries)
    {
        for (var ring = 0u; ring < 2; ring++)
        {
            Request(VhostUserRequest.SetRingEntries, [.. U32(ring), .. U32(entries)]);
            Request(VhostUserRequest.SetRingBase, [.. U32(ring), .. U32(0)]);
            var at = MonitorBase + (ulong)Ring((int)ring);
            Request(VhostUserRequest.SetRingAddress, [.. U32(ring), .. U32(0), .. U64(at), .. U64(at + 0x2000), .. U64(at + 0x1000), .. U64(0)]);
            Request(VhostUserRequest.SetRingCall, U64(ring), _calls[ring]);
            Request(VhostUserRequest.SetRingKick, U64(ring), _kicks[ring]);
            Request(VhostUserRequest.SetRingEnable, [.. U32(ring), .. U32(1)]);
        }

        // Its answer says that all before it was done.
        Request(VhostUserRequest.GetQueueCount);
        ReplyValue();
    }

    public void Request(VhostUserRequest request, ReadOnlySpan<byte> payload = default, params ReadOnlySpan<int> descriptors) =>
        SendMessage([.. U32((uint)request), .. U32(1), .. U32((uint)payload.Length), .. payload], descriptors);

    public ulong ReplyValue() => BinaryPrimitives.ReadUInt64LittleEndian(Reply());

    /// <summary>Sends a packet as a driver does: header and payload in a descriptor each.</summary>
    public void Send(VsockHeader header, ReadOnlySpan<byte> payload = default)
    {
        // Linux waits for used buffers too.
        var slot = _sent % (Entries / 2);
        Wait(() => (ushort)(_sent - UsedIndex(1)) < Entries / 2);
        var at = SendBuffers + (slot * SendBufferBytes);
        header.Write(Bytes(at, VsockHeader.Bytes));
        payload.CopyTo(Bytes(at + VsockHeader.Bytes, payload.Length));
        SetDescriptor(1, slot * 2, (ulong)at, VsockHeader.Bytes, (ushort)(payload.IsEmpty ? 0 : 1), (ushort)((slot * 2) + 1));
        SetDescriptor(1, (slot * 2) + 1, (ulong)(at + VsockHeader.Bytes), (uint)payload.Length, 0, 0);
        Offer(1, slot * 2);
    }

    public void Send(VsockOperation operation, ulong to, uint port, uint from = 5000, ReadOnlySpan<byte> payload = default, VsockShutdown flags = VsockShutdown.None) =>
        Send(
            new VsockHeader
            {
                SourceCid = Cid,
                DestinationCid = to,
                SourcePort = from,
                DestinationPort = port,
                Length = (uint)payload.Length,
                Type = VsockHeader.TypeStream,
                Operation = operation,
                Flags = (uint)flags,
                BufferBytes = 256 * 1024,
            },
            payload);

    /// <summary>The next packet for this machine.</summary>
    public VsockPacket Receive()
    {
        Wait(() => UsedIndex(0) != _seen);
        var entry = Bytes(Ring(0) + 0x2000 + 4 + (_seen % Entries * 8), 8);
        var index = BinaryPrimitives.ReadInt32LittleEndian(entry);
        var length = BinaryPrimitives.ReadInt32LittleEndian(entry[4..]);
        _seen++;
        var bytes = Bytes(ReceiveBuffers + (index * ReceiveBufferBytes), length).ToArray();
        Offer(0, index);
        Assert.Null(VsockPacket.TryRead(bytes, out var packet));
        Assert.Equal(length, VsockHeader.Bytes + packet!.Payload.Length);
        return packet;
    }

    public VsockPacket Receive(VsockOperation operation)
    {
        var packet = Receive();
        Assert.Equal(operation, packet.Header.Operation);
        return packet;
    }

    public void SetDescriptor(int ring, int index, ulong address, uint length, ushort flags, ushort next)
    {
        var descriptor = Bytes(Ring(ring) + (index * 16), 16);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, address);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], flags);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], next);
    }

    /// <summary>Makes a chain available and says so.</summary>
    public void Offer(int ring, int head)
    {
        var available = _memory + Ring(ring) + 0x1000;
        var index = *(ushort*)(available + 2);
        *(ushort*)(available + 4 + (index % Entries * 2)) = (ushort)head;
        Advance(ring, 1);
        if (ring == 1) _sent++;
    }

    public void Advance(int ring, ushort by)
    {
        ref var index = ref *(ushort*)(_memory + Ring(ring) + 0x1002);
        Volatile.Write(ref index, (ushort)(index + by));
        var one = 1UL;
        Assert.Equal(8, write(_kicks[ring], &one, 8));
    }

    public void Dispose()
    {
        _monitor.Dispose();
        foreach (var descriptor in _kicks.Concat(_calls)) _ = close(descriptor);
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _mapping.Dispose();
    }

    /// <summary>Descriptors, available and used ring, 0x1000 apart.</summary>
    static int Ring(int ring) => 0x1000 + (ring * 0x4000);

    static byte[] U32(uint value) => BitConverter.GetBytes(value);

    static byte[] U64(ulong value) => BitConverter.GetBytes(value);

    static void Wait(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, Limit), $"not within {Limit}");

    ushort UsedIndex(int ring) => Volatile.Read(ref *(ushort*)(_memory + Ring(ring) + 0x2002));

    Span<byte> Bytes(int at, int length) => new Span<byte>(_memory, MemoryBytes).Slice(at, length);

    byte[] Reply()
    {
        _monitor.ReceiveTimeout = (int)Limit.TotalMilliseconds;
        var header = ReadExactly(12);
        return ReadExactly(BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8)));
    }

    byte[] ReadExactly(int length)
    {
        var bytes = new byte[length];
        for (var at = 0; at < length;)
        {
            var received = _monitor.Receive(bytes.AsSpan(at));
            Assert.NotEqual(0, received);
            at += received;
        }

        return bytes;
    }

    void SendMessage(ReadOnlySpan<byte> message, ReadOnlySpan<int> descriptors)
    {
        if (descriptors.IsEmpty)
        {
            _monitor.Send(message);
            return;
        }

        // struct cmsghdr { size_t len; int level = SOL_SOCKET; int type = SCM_RIGHTS; }, then the descriptors.
        Span<byte> control = stackalloc byte[16 + ((descriptors.Length + 1) / 2 * 8)];
        control.Clear();
        BitConverter.TryWriteBytes(control, 16L + (descriptors.Length * 4));
        BitConverter.TryWriteBytes(control[8..], 1);
        BitConverter.TryWriteBytes(control[12..], 1);
        MemoryMarshal.AsBytes(descriptors).CopyTo(control[16..]);
        fixed (byte* bytes = message, controlBytes = control)
        {
            var vector = new IoVector { Start = bytes, Bytes = (nuint)message.Length };
            var header = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = controlBytes, ControlBytes = (nuint)control.Length };
            Assert.Equal(message.Length, sendmsg((int)_monitor.Handle, &header, 0));
        }
    }

    [LibraryImport("libc")]
    private static partial nint sendmsg(int socket, MessageHeader* message, int flags);

    [LibraryImport("libc")]
    private static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc")]
    private static partial nint write(int descriptor, void* buffer, nuint bytes);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    [StructLayout(LayoutKind.Sequential)]
    struct IoVector
    {
        public void* Start;
        public nuint Bytes;
    }

    [StructLayout(LayoutKind.Sequential)]
    struct MessageHeader
    {
        public void* Name;
        public uint NameBytes;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlBytes;
        public int Flags;
    }
}
