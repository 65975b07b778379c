using System.Net.Sockets;
using System.Runtime.InteropServices;
using Guestmark.Wire.Declarations;

namespace Guestmark.Agent.Declaring;

/// <summary>Starts and ends of processes as the kernel tells them (the process connector, drivers/connector/cn_proc.c; root of the machine only).</summary>
/// <remarks>
/// A datagram of AF_NETLINK, protocol NETLINK_CONNECTOR, in the byte order of the machine:
/// <code>
/// nlmsghdr    u32 length @0, u16 type @4, u16 flags @6, u32 sequence @8, u32 port @12
/// cn_msg      u32 idx = 1 (CN_IDX_PROC) @16, u32 val = 1 @20, u32 seq @24, u32 ack @28, u16 length @32, u16 flags @34
/// proc_event  u32 what @36, u32 cpu @40, u64 CLOCK_MONOTONIC ns @44, data @52
///   what 0 (none, an answer)     u32 error @52
///   what 2 (exec)                u32 thread @52, u32 process @56
///   what 0x80000000 (exit)       u32 thread @52, u32 process @56, ...
/// </code>
/// cn_msg.seq counts the events of one processor, so that a gap tells how many the kernel could not deliver.
/// </remarks>
sealed partial class ProcessConnector : IDisposable
{
    const int Netlink = 16;
    const int Datagram = 2;
    const int NonBlocking = 0x800;
    const int CloseOnExec = 0x8_0000;
    const int Connector = 11;
    const int SocketLevel = 1;
    const int ReceiveBuffer = 8;
    const int NotSupported = 93;

    // About 10,000 events: a second of a machine that builds something large.
    const int ReceiveBufferBytes = 4 << 20;

    const int EventOffset = 36;
    const int LeastBytes = 60;
    const uint None = 0;
    const uint Exec = 2;
    const uint Exit = 0x8000_0000;

    // Names of processes that live, to be told again at their end. A machine has at most 4,194,304; the rest is asked for when it ends.
    const int NamesMax = 32_768;

    static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(1);

    readonly Socket _socket;
    readonly Dictionary<uint, string> _names = [];
    readonly Dictionary<uint, uint> _sequences = [];
    readonly byte[] _buffer = new byte[8192];

    ProcessConnector(Socket socket) => _socket = socket;

    /// <summary>Asks the kernel to tell.</summary>
    /// <returns>Null when it does not; why is in <paramref name="problem"/>.</returns>
    public static ProcessConnector? TryOpen(out string? problem)
    {
        problem = null;
        var descriptor = socket(Netlink, Datagram | NonBlocking | CloseOnExec, Connector);
        if (descriptor < 0)
        {
            var error = Marshal.GetLastPInvokeError();
            problem = error == NotSupported ? "this kernel has no process connector" : Marshal.GetPInvokeErrorMessage(error);
            return null;
        }

        var handle = new SafeSocketHandle(descriptor, ownsHandle: true);
        // Of what is not the family's own, a failure is no reason not to listen.
        _ = setsockopt(descriptor, SocketLevel, ReceiveBuffer, ReceiveBufferBytes, sizeof(int));

        // sockaddr_nl: u16 family, u16 pad, u32 port = 0 (the kernel chooses), u32 groups = CN_IDX_PROC.
        Span<byte> address = stackalloc byte[12];
        address.Clear();
        MemoryMarshal.Write(address, (ushort)Netlink);
        MemoryMarshal.Write(address[8..], 1u);
        if (bind(descriptor, address, address.Length) != 0)
        {
            problem = Marshal.GetLastPInvokeErrorMessage();
            handle.Dispose();
            return null;
        }

        // PROC_CN_MCAST_LISTEN.
        Span<byte> request = stackalloc byte[40];
        request.Clear();
        MemoryMarshal.Write(request, 40u);
        MemoryMarshal.Write(request[4..], (ushort)3);
        MemoryMarshal.Write(request[16..], 1u);
        MemoryMarshal.Write(request[20..], 1u);
        MemoryMarshal.Write(request[32..], (ushort)4);
        MemoryMarshal.Write(request[36..], 1u);
        if (send(descriptor, request, (nuint)request.Length, 0) != request.Length)
        {
            problem = Marshal.GetLastPInvokeErrorMessage();
            handle.Dispose();
            return null;
        }

        return new ProcessConnector(new Socket(handle));
    }

    /// <summary>
    /// Waits for the kernel's answer. In a container there is none: only the machine's first name spaces are told, and others are not even refused.
    /// </summary>
    /// <returns>Null when events will come; otherwise why not.</returns>
    public async Task<string?> WaitForAnswerAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        using var over = new CancellationTokenSource(AnswerTimeout, time);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellationToken);
        try
        {
            while (true)
            {
                var count = await _socket.ReceiveAsync(_buffer, waiting.Token);
                if (count < EventOffset + 20 || ReadUInt32(EventOffset) != None) continue;
                var error = ReadUInt32(52);
                return error == 0 ? null : Marshal.GetPInvokeErrorMessage((int)error);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return "the kernel does not answer: this is a container, or root is not root of the machine";
        }
        catch (SocketException e)
        {
            return e.Message;
        }
    }

    /// <summary>Passes on what the kernel tells until it is cancelled.</summary>
    /// <exception cref="OperationCanceledException"/>
    /// <exception cref="SocketException">The kernel tells no more.</exception>
    public async Task RunAsync(ObservationQueue queue, CancellationToken cancellationToken)
    {
        while (true)
        {
            int count;
            try
            {
                count = await _socket.ReceiveAsync(_buffer, cancellationToken);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.NoBufferSpaceAvailable)
            {
                // Some were lost. How many, the next number of their processor tells.
                continue;
            }

            Take(count, queue);
        }
    }

    public void Dispose() => _socket.Dispose();

    void Take(int count, ObservationQueue queue)
    {
        // Only the kernel, and who may command it, can send to a socket of this protocol.
        if (count < LeastBytes || ReadUInt32(16) != 1 || ReadUInt32(20) != 1) return;
        var what = ReadUInt32(EventOffset);
        if (what == None) return;
        CountLost(ReadUInt32(EventOffset + 4), ReadUInt32(24), queue);
        var (thread, process) = (ReadUInt32(52), ReadUInt32(56));
        var time = MemoryMarshal.Read<ulong>(_buffer.AsSpan(44));
        if (what == Exec)
        {
            var name = ProcessName.Of("/proc", process) ?? "";
            if (name.Length > 0 && (_names.Count < NamesMax || _names.ContainsKey(process))) _names[process] = name;
            queue.Add(new Observation(ProbeSources.ProcessSpawned, process, name, time));
        }
        else if (what == Exit && thread == process)
        {
            // Until its parent has asked for its end, /proc still knows a process that has ended.
            if (!_names.Remove(process, out var name)) name = ProcessName.Of("/proc", process) ?? "";
            queue.Add(new Observation(ProbeSources.ProcessExited, process, name, time));
        }
    }

    void CountLost(uint processor, uint sequence, ObservationQueue queue)
    {
        ref var last = ref CollectionsMarshal.GetValueRefOrAddDefault(_sequences, processor, out var isKnown);
        // A larger step than any buffer could explain is a counter that began anew.
        if (isKnown && sequence - last - 1 is > 0 and < 1 << 24) queue.Lost(sequence - last - 1);
        last = sequence;
    }

    uint ReadUInt32(int offset) => MemoryMarshal.Read<uint>(_buffer.AsSpan(offset));

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int socket, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint send(int socket, ReadOnlySpan<byte> bytes, nuint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int socket, int level, int option, in int value, int length);
}
