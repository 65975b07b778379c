using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Guestmark.Node.Listening;

/// <summary>A thread that waits until sockets can be read, by epoll(7), and runs there whoever waits for them.</summary>
/// <remarks>
/// The runtime's own wait costs two changes of threads for each time that a guest has more to say: one to the thread that polls, one to the pool, whose
/// idle threads spin meanwhile. A frame of 512 bytes costs less than either, so with two cores they were half of what the node did. Here what waits
/// goes on at once on the thread that was woken.
/// <para>So nothing that a connection does may block, and each takes turns: see <see cref="SocketInput"/>. Whatever waits for the spool goes on elsewhere.</para>
/// <para>A socket is armed for one event at a time (EPOLLONESHOT): while its reader is busy, nobody is woken by what arrives.</para>
/// </remarks>
sealed partial class ReadinessLoop
{
    const int EventsMax = 128;

    const int ControlAdd = 1;
    const int ControlModify = 3;
    const int CloseOnExec = 0x80000;
    const int Interrupted = 4;
    const uint Readable = 0x001;
    const uint PeerShutDown = 0x2000;
    const uint OneShot = 1u << 30;

    // struct epoll_event { u32 events; u64 data; }: packed on x86-64, aligned elsewhere.
    static readonly int EventBytes = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
    static readonly int DataOffset = EventBytes - sizeof(ulong);

    // Most nodes have guests by the dozen; those with thousands have cores by the dozen as well, and spend them on signing.
    static readonly ReadinessLoop[] All = [.. Enumerable.Range(0, Math.Min(Environment.ProcessorCount, 8)).Select(_ => new ReadinessLoop())];
    static int _next;

    readonly int _epoll;
    readonly ConcurrentDictionary<ulong, SocketReadiness> _sockets = new();
    ulong _count;

    ReadinessLoop()
    {
        _epoll = epoll_create1(CloseOnExec);
        if (_epoll < 0) throw new Win32Exception(Marshal.GetLastPInvokeError(), "epoll_create1");
        new Thread(Run) { IsBackground = true, Name = "guests" }.Start();
    }

    /// <summary>The one of this process that a new connection waits with.</summary>
    public static ReadinessLoop Next() => All[(uint)Interlocked.Increment(ref _next) % (uint)All.Length];

    /// <summary>Lets a socket be waited for.</summary>
    /// <returns>By what its events are known; never that of another, even one that has the same descriptor later.</returns>
    public ulong Add(SocketReadiness readiness)
    {
        var id = Interlocked.Increment(ref _count);
        _sockets[id] = readiness;
        return id;
    }

    /// <summary>Forgets a socket. The kernel does so when it is closed.</summary>
    public void Remove(ulong id) => _sockets.TryRemove(id, out _);

    /// <summary>Asks for the next event of a socket: at once, if it can be read already.</summary>
    /// <exception cref="ObjectDisposedException">The socket is closed.</exception>
    public void Arm(SafeSocketHandle socket, ulong id, bool isFirst)
    {
        Span<byte> wanted = stackalloc byte[EventBytes];
        wanted.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(wanted, Readable | PeerShutDown | OneShot);
        BinaryPrimitives.WriteUInt64LittleEndian(wanted[DataOffset..], id);
        if (epoll_ctl(_epoll, isFirst ? ControlAdd : ControlModify, socket, wanted) != 0) throw new SocketException(Marshal.GetLastPInvokeError());
    }

    void Run()
    {
        var events = new byte[EventsMax * EventBytes];
        while (true)
        {
            var count = epoll_wait(_epoll, events, EventsMax, -1);
            if (count < 0 && Marshal.GetLastPInvokeError() is not Interrupted and var error) throw new Win32Exception(error, "epoll_wait");
            for (var i = 0; i < count; i++)
            {
                var id = BinaryPrimitives.ReadUInt64LittleEndian(events.AsSpan(i * EventBytes + DataOffset));
                if (_sockets.TryGetValue(id, out var readiness)) readiness.Complete(isInline: true);
            }
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int epoll, int operation, SafeSocketHandle socket, ReadOnlySpan<byte> wanted);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int epoll, Span<byte> events, int eventsMax, int timeoutMilliseconds);
}
