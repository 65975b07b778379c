using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Guestmark.VhostUserVsock;

/// <summary>Calls of the C library that .NET has no names for.</summary>
static unsafe partial class Native
{
    public const int WaitAll = 0x100;
    public const int ControlCloseOnExec = 0x4000_0000;
    public const short PollIn = 1;

    const int EventCloseOnExec = 0x8_0000;
    const int EventNonBlocking = 0x800;
    const int Interrupted = 4;

    /// <summary>A counter to wait for and to signal with (eventfd(2)).</summary>
    public static int CreateEvent()
    {
        var descriptor = eventfd(0, EventCloseOnExec | EventNonBlocking);
        return descriptor >= 0 ? descriptor : throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    public static void Signal(int eventDescriptor)
    {
        var one = 1UL;
        _ = write(eventDescriptor, &one, sizeof(ulong));
    }

    /// <summary>Sets a counter back to 0. It is not blocking, whoever made it: a driver's kick was made by the monitor, and poll(2) said it is there.</summary>
    public static void Drain(int eventDescriptor)
    {
        ulong count;
        _ = read(eventDescriptor, &count, sizeof(ulong));
    }

    public static void Close(int descriptor) => _ = close(descriptor);

    /// <summary>Waits until one of the descriptors is readable; negative ones are skipped.</summary>
    public static void Poll(Span<PollDescriptor> descriptors)
    {
        fixed (PollDescriptor* first = descriptors)
        {
            while (poll(first, (nuint)descriptors.Length, -1) < 0)
            {
                if (Marshal.GetLastPInvokeError() != Interrupted) throw new Win32Exception(Marshal.GetLastPInvokeError());
            }
        }
    }

    /// <summary>Reads the head of a message and the descriptors that came with it.</summary>
    /// <returns>Bytes read: less than asked for at the end of the connection.</returns>
    public static int Receive(int socket, Span<byte> buffer, List<int> descriptors)
    {
        // struct cmsghdr { size_t len; int level; int type; } and the descriptors, aligned to 8.
        const int headerBytes = 16;
        const int socketLevel = 1;
        const int rights = 1;
        var control = stackalloc byte[256];
        fixed (byte* start = buffer)
        {
            var vector = new IoVector { Start = start, Bytes = (nuint)buffer.Length };
            var message = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlBytes = 256 };
            nint received;
            while ((received = recvmsg(socket, &message, WaitAll | ControlCloseOnExec)) < 0)
            {
                if (Marshal.GetLastPInvokeError() != Interrupted) return 0;
            }

            for (nuint at = 0; at + headerBytes <= message.ControlBytes;)
            {
                var length = *(nuint*)(control + at);
                if (length < headerBytes || length > message.ControlBytes - at) break;
                if (*(int*)(control + at + 8) == socketLevel && *(int*)(control + at + 12) == rights)
                {
                    for (nuint i = headerBytes; i + sizeof(int) <= length; i += sizeof(int)) descriptors.Add(*(int*)(control + at + i));
                }

                at += (length + 7) & ~(nuint)7;
            }

            return (int)received;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recvmsg(int socket, MessageHeader* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int poll(PollDescriptor* descriptors, nuint count, int milliseconds);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int descriptor, void* buffer, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int descriptor, void* buffer, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
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

/// <summary><c>struct pollfd</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
struct PollDescriptor(int descriptor)
{
    public int Descriptor = descriptor;
    public short Events = Native.PollIn;
    public short Returned;
}
