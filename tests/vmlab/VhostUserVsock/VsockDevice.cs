using System.Buffers.Binary;
using System.Net.Sockets;

namespace Guestmark.VhostUserVsock;

/// <summary>What became of a packet for a machine.</summary>
enum EnqueueOutcome
{
    Queued,

    /// <summary>More waits for the machine than connections that keep to their credit can have under way.</summary>
    Full,

    /// <summary>The machine is not running.</summary>
    Gone,
}

/// <summary>The vsock device of one machine: the back end of QEMU's <c>vhost-user-vsock-pci</c>.</summary>
/// <remarks>
/// One thread does everything that touches the machine's memory: messages of the monitor, packets of the driver (queue 1) and packets for it
/// (queue 0). The event queue (2) stays with the monitor. Other threads only put packets into <see cref="_pending"/>.
/// </remarks>
public sealed class VsockDevice : IAsyncDisposable
{
    /// <summary>
    /// Bytes that may wait for a machine: 64 connections with Linux' receive buffer of 256 KiB. The lab's own guests stay far below.
    /// </summary>
    const int PendingBytesMax = 16 << 20;

    const int ReceiveQueue = 0;
    const int TransmitQueue = 1;
    const int QueueCount = 2;

    /// <summary>VIRTIO_F_VERSION_1 and VHOST_USER_F_PROTOCOL_FEATURES.</summary>
    const ulong Features = (1UL << 32) | (1UL << 30);

    /// <summary>VHOST_USER_PROTOCOL_F_MQ, which GET_QUEUE_NUM belongs to, F_REPLY_ACK and F_CONFIG, which tells the CID.</summary>
    const ulong ProtocolFeatures = (1UL << 0) | (1UL << 3) | (1UL << 9);

    readonly VsockSwitch _switch;
    readonly string _socketPath;
    readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    readonly int _wake = Native.CreateEvent();
    readonly Thread _thread;
    readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Lock _lock = new();
    readonly Queue<VsockPacket> _pending = [];
    readonly Ring[] _rings = [new(), new()];
    readonly DescriptorChain _chain = new();
    GuestMemory _memory = new();
    long _pendingBytes;
    int _sentOfFirst;
    bool _running;
    volatile bool _stopping;

    internal VsockDevice(VsockSwitch vsockSwitch, uint cid, string socketPath, string? hybridBase)
    {
        _switch = vsockSwitch;
        _socketPath = socketPath;
        Cid = cid;
        Hybrid = hybridBase is null ? null : new HybridSockets(this, hybridBase);
        _thread = new Thread(Run) { IsBackground = true, Name = $"vsock device of CID {cid}" };
    }

    public uint Cid { get; }

    internal HybridSockets? Hybrid { get; }

    internal SwitchCounters Counters => _switch.Counters;

    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        Native.Signal(_wake);
        _listener.Dispose();
        await _ended.Task;
        if (Hybrid is not null) await Hybrid.DisposeAsync();
        Native.Close(_wake);
        File.Delete(_socketPath);
    }

    internal void Log(string text) => _switch.Log($"[{Cid}] {text}");

    internal void Start()
    {
        File.Delete(_socketPath);
        _listener.Bind(new UnixDomainSocketEndPoint(_socketPath));
        _listener.Listen(1);
        _thread.Start();
        Hybrid?.Start();
    }

    /// <summary>Lets a packet wait for the machine's next free buffer.</summary>
    /// <param name="always">It has no payload and ends a connection: it is taken however much waits.</param>
    internal EnqueueOutcome Enqueue(VsockPacket packet, bool always = false)
    {
        lock (_lock)
        {
            if (!_running) return EnqueueOutcome.Gone;
            if (_pendingBytes > PendingBytesMax && !always) return EnqueueOutcome.Full;
            _pending.Enqueue(packet);
            _pendingBytes += VsockHeader.Bytes + packet.Payload.Length;
        }

        Native.Signal(_wake);
        return EnqueueOutcome.Queued;
    }

    void Run()
    {
        while (!_stopping)
        {
            try
            {
                using var monitor = _listener.Accept();
                Log("attached");
                try
                {
                    Serve(monitor);
                }
                catch (Exception e) when (e is VhostUserException or VirtqueueException)
                {
                    _switch.Counters.CountMalformed();
                    Log($"cut off: {e.Message}");
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The monitor ended, or the device is being disposed of.
            }
            finally
            {
                StopRings();
                foreach (var ring in _rings) ring.Reset();
                _memory.Dispose();
                Log("gone");
            }
        }

        _ended.SetResult();
    }

    void Serve(Socket monitor)
    {
        using var message = new VhostUserMessage(monitor);
        Span<PollDescriptor> waits = stackalloc PollDescriptor[4];
        while (!_stopping)
        {
            waits[0] = new((int)monitor.Handle);
            waits[1] = new(_wake);
            waits[2] = new(_rings[ReceiveQueue].Kick);
            waits[3] = new(_rings[TransmitQueue].Kick);
            Native.Poll(waits);
            foreach (var wait in waits[1..])
            {
                if (wait.Returned != 0) Native.Drain(wait.Descriptor);
            }

            TakeFromDriver();
            GiveToDriver();
            if (waits[0].Returned == 0) continue;
            if (!message.Read()) return;
            Handle(message);
        }
    }

    void Handle(VhostUserMessage message)
    {
        switch (message.Request)
        {
            case VhostUserRequest.GetFeatures:
                message.Reply(Features);
                return;
            case VhostUserRequest.GetProtocolFeatures:
                message.Reply(ProtocolFeatures);
                return;
            case VhostUserRequest.GetQueueCount:
                message.Reply(QueueCount);
                return;
            case VhostUserRequest.SetMemoryTable:
                SetMemory(message);
                break;
            case VhostUserRequest.SetRingEntries:
                RingOf(message).Entries = (int)Math.Min(ValueOf(message), int.MaxValue);
                break;
            case VhostUserRequest.SetRingAddress:
                SetAddress(message);
                break;
            case VhostUserRequest.SetRingBase:
                RingOf(message).Base = (ushort)ValueOf(message);
                break;
            case VhostUserRequest.GetRingBase:
                var stopped = RingOf(message);
                StopRings();
                stopped.CloseKick();
                BinaryPrimitives.WriteUInt32LittleEndian(message.Payload[4..], stopped.Base);
                message.ReplyPayload();
                return;
            case VhostUserRequest.SetRingKick:
                // A ring without a descriptor would have to be polled, which nobody asks of this device.
                var kicked = RingOf(message);
                kicked.CloseKick();
                kicked.Kick = message.TakeDescriptor();
                StartRings();
                break;
            case VhostUserRequest.SetRingCall:
                RingOf(message).SetCall(message.DescriptorCount > 0 ? message.TakeDescriptor() : -1);
                break;
            case VhostUserRequest.SetRingEnable:
                RingOf(message).Enabled = ValueOf(message) != 0;
                StartRings();
                break;
            case VhostUserRequest.GetConfig:
                WriteConfiguration(message);
                message.ReplyPayload();
                return;
            case VhostUserRequest.SetFeatures or VhostUserRequest.SetProtocolFeatures or VhostUserRequest.SetOwner or VhostUserRequest.ResetOwner
                or VhostUserRequest.SetRingError:
                break;
            default:
                throw new VhostUserException($"request {(uint)message.Request}, which belongs to a feature that was not offered");
        }

        if (message.NeedsReply) message.Reply(0);
    }

    /// <summary><c>u32 regions; u32 padding; regions x { u64 guest address; u64 size; u64 user address; u64 mmap offset }</c> and a descriptor each.</summary>
    void SetMemory(VhostUserMessage message)
    {
        var count = BinaryPrimitives.ReadUInt32LittleEndian(message.PayloadOf(8));
        if (count > GuestMemory.RegionsMax) throw new VhostUserException($"{count} memory regions, {GuestMemory.RegionsMax} are allowed");
        var table = message.PayloadOf(8 + ((int)count * 32))[8..];
        StopRings();
        _memory.Dispose();
        _memory = new GuestMemory();
        for (; count > 0; count--, table = table[32..])
        {
            _memory.Map(
                new Microsoft.Win32.SafeHandles.SafeFileHandle(message.TakeDescriptor(), ownsHandle: true),
                BinaryPrimitives.ReadUInt64LittleEndian(table),
                BinaryPrimitives.ReadUInt64LittleEndian(table[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(table[16..]),
                BinaryPrimitives.ReadUInt64LittleEndian(table[24..]));
        }

        StartRings();
    }

    /// <summary><c>u32 index; u32 flags; u64 descriptors; u64 used; u64 available; u64 log</c>, addresses of the monitor.</summary>
    void SetAddress(VhostUserMessage message)
    {
        var ring = RingOf(message);
        var payload = message.PayloadOf(40);
        ring.Descriptors = BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]);
        ring.Used = BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]);
        ring.Available = BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]);
    }

    /// <summary>
    /// <c>u32 offset; u32 size; u32 flags; bytes</c> of the configuration space, which is <c>struct virtio_vsock_config { le64 guest_cid; }</c>.
    /// </summary>
    void WriteConfiguration(VhostUserMessage message)
    {
        Span<byte> space = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(space, Cid);
        var request = message.PayloadOf(12);
        var offset = BinaryPrimitives.ReadUInt32LittleEndian(request);
        var size = BinaryPrimitives.ReadUInt32LittleEndian(request[4..]);
        if (offset > space.Length || size > space.Length - offset || message.Payload.Length < 12 + size)
            throw new VhostUserException($"{size} bytes from {offset} of a configuration space of {space.Length}");
        space.Slice((int)offset, (int)size).CopyTo(message.Payload[12..]);
    }

    /// <summary>The ring that a message names: its first number, of which the kick's and the call's have flags from bit 8 on.</summary>
    Ring RingOf(VhostUserMessage message)
    {
        var index = BinaryPrimitives.ReadUInt32LittleEndian(message.PayloadOf(8)) & 0xff;
        return index < QueueCount ? _rings[index] : throw new VhostUserException($"ring {index} of {QueueCount}");
    }

    static uint ValueOf(VhostUserMessage message) => BinaryPrimitives.ReadUInt32LittleEndian(message.PayloadOf(8)[4..]);

    /// <summary>Starts when both rings have what they need: packets taken before the driver can be answered would be lost.</summary>
    void StartRings()
    {
        if (_running || !_rings.All(ring => ring.Kick >= 0 && ring.Enabled && ring.Descriptors != 0)) return;
        foreach (var ring in _rings) ring.Queue = new Virtqueue(_memory, ring.Entries, ring.Descriptors, ring.Available, ring.Used, ring.Base);
        lock (_lock) _running = true;
        Native.Signal(_wake);
    }

    void StopRings()
    {
        lock (_lock)
        {
            if (!_running) return;
            _running = false;
            _pending.Clear();
            _pendingBytes = 0;
        }

        _sentOfFirst = 0;
        foreach (var ring in _rings)
        {
            ring.Base = ring.Queue!.Next;
            ring.Queue = null;
        }

        Hybrid?.ResetAll();
        _switch.ResetAll(this);
    }

    void TakeFromDriver()
    {
        if (_rings[TransmitQueue].Queue is not { } queue) return;
        var taken = false;
        while (queue.TryTake(_chain))
        {
            taken = true;
            var bytes = new byte[Math.Min(_chain.ReadableBytes, VsockPacket.BytesMax)];
            _chain.CopyTo(bytes);
            queue.Return(_chain, 0);
            if (VsockPacket.TryRead(bytes, out var packet) is { } problem)
            {
                _switch.Counters.CountMalformed();
                Log($"dropped, {problem}");
            }
            else
            {
                _switch.Route(this, packet!);
            }
        }

        if (taken) _rings[TransmitQueue].Signal();
    }

    /// <summary>Gives waiting packets to the driver, in pieces where its buffers are smaller (Linux: 4 KiB). Each piece is a packet of its own.</summary>
    void GiveToDriver()
    {
        if (_rings[ReceiveQueue].Queue is not { } queue) return;
        var given = false;
        Span<byte> header = stackalloc byte[VsockHeader.Bytes];
        while (true)
        {
            VsockPacket? packet;
            lock (_lock) _pending.TryPeek(out packet);
            if (packet is null || !queue.TryTake(_chain)) break;
            if (_chain.WritableBytes < VsockHeader.Bytes + 1) throw new VirtqueueException($"a buffer of {_chain.WritableBytes} bytes to receive with");

            var piece = packet.Payload.Span[_sentOfFirst..];
            piece = piece[..(int)Math.Min(piece.Length, _chain.WritableBytes - VsockHeader.Bytes)];
            (packet.Header with { Length = (uint)piece.Length }).Write(header);
            _chain.CopyFrom(header, 0);
            if (!piece.IsEmpty) _chain.CopyFrom(piece, VsockHeader.Bytes);
            queue.Return(_chain, (uint)(VsockHeader.Bytes + piece.Length));
            given = true;

            _sentOfFirst += piece.Length;
            if (_sentOfFirst < packet.Payload.Length) continue;
            _sentOfFirst = 0;
            lock (_lock)
            {
                _pending.Dequeue();
                _pendingBytes -= VsockHeader.Bytes + packet.Payload.Length;
            }
        }

        if (given) _rings[ReceiveQueue].Signal();
    }

    /// <summary>What the monitor said of a ring, and the ring while it runs.</summary>
    sealed class Ring
    {
        int _call = -1;

        public int Entries { get; set; }

        public ulong Descriptors { get; set; }

        public ulong Used { get; set; }

        public ulong Available { get; set; }

        public ushort Base { get; set; }

        public bool Enabled { get; set; }

        public int Kick { get; set; } = -1;

        public Virtqueue? Queue { get; set; }

        public void CloseKick()
        {
            if (Kick >= 0) Native.Close(Kick);
            Kick = -1;
        }

        public void SetCall(int descriptor)
        {
            if (_call >= 0) Native.Close(_call);
            _call = descriptor;
        }

        public void Signal()
        {
            if (_call >= 0 && Queue!.WantsSignal) Native.Signal(_call);
        }

        public void Reset()
        {
            CloseKick();
            SetCall(-1);
            (Entries, Descriptors, Used, Available, Base, Enabled) = (0, 0, 0, 0, 0, false);
        }
    }
}
