using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Guestmark.Wire.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Agent.Serving;

/// <summary>A connection that was accepted, and who made it.</summary>
/// <param name="IsOfHost">False for another process of this machine, or another machine, on AF_VSOCK. The file of a Unix socket says who may connect.</param>
readonly record struct AcceptedChannel(Socket Socket, string Peer, bool IsOfHost);

/// <summary>Makes connections of vsock and of Unix sockets alike, by the calls of socket(7).</summary>
/// <remarks>
/// .NET's Socket reads and writes any connected stream socket that it is given, but what it makes of a listening one of AF_VSOCK, a family
/// that it does not know, is nowhere said: so connections are made here, in the same way for both families, and used there.
/// </remarks>
static partial class ChannelSocket
{
    const int Stream = 1;
    const int NonBlocking = 0x800;
    const int CloseOnExec = 0x8_0000;
    const int SocketLevel = 1;
    const int SocketErrorOption = 4;
    const short PollIn = 1;
    const short PollOut = 4;

    const int Interrupted = 4;
    const int TryAgain = 11;
    const int AddressInUse = 98;
    const int ConnectionAborted = 103;
    const int ConnectionRefused = 111;
    const int InProgress = 115;

    // accept4 writes a sockaddr_vm (16 bytes) or a sockaddr_un (110).
    const int AddressBytesMax = 128;

    /// <summary>Connects. Blocks the thread until it is done, or cancelled.</summary>
    /// <exception cref="IOException">Nobody listens there, or this machine has no such kind of socket.</exception>
    /// <exception cref="OperationCanceledException"/>
    public static Socket Connect(EndPoint address, CancellationToken cancellationToken)
    {
        var handle = Create(address);
        try
        {
            var bytes = BytesOf(address);
            if (connect(handle, bytes, bytes.Length) != 0)
            {
                var error = Marshal.GetLastPInvokeError();
                if (error is not (InProgress or Interrupted)) throw Failure($"{address}: cannot connect", error);
                using var cancelled = new CancellationEvent(cancellationToken);
                cancelled.WaitFor(handle, PollOut);
                var size = sizeof(int);
                if (getsockopt(handle, SocketLevel, SocketErrorOption, out error, ref size) != 0) error = Marshal.GetLastPInvokeError();
                if (error != 0) throw Failure($"{address}: cannot connect", error);
            }

            return new Socket(handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    static SafeSocketHandle Create(EndPoint address)
    {
        var family = MemoryMarshal.Read<ushort>(BytesOf(address));
        var descriptor = socket(family, Stream | NonBlocking | CloseOnExec, 0);
        if (descriptor < 0) throw Failure($"{address}: this machine makes no such socket", Marshal.GetLastPInvokeError());
        return new SafeSocketHandle(descriptor, ownsHandle: true);
    }

    /// <summary>The <c>sockaddr</c>: a family of 16 bits in the order of the machine, and what the family defines.</summary>
    static ReadOnlySpan<byte> BytesOf(EndPoint address)
    {
        var serialized = address.Serialize();
        return serialized.Buffer.Span[..serialized.Size];
    }

    static string? PathOf(EndPoint address) => (address as UnixDomainSocketEndPoint)?.ToString();

    static (string Text, bool IsHost) DescribePeer(EndPoint listener, ReadOnlySpan<byte> peer)
    {
        if (listener is not VsockEndPoint) return ("a process of this machine", true);
        var address = new SocketAddress(AddressFamily.Unknown, peer.Length);
        peer.CopyTo(address.Buffer.Span);
        var from = (VsockEndPoint)listener.Create(address);
        return from.Cid == VsockEndPoint.CidHost ? ($"the host, port {from.Port}", true) : (from.ToString(), false);
    }

    static IOException Failure(string what, int error) => new($"{what}: {Marshal.GetPInvokeErrorMessage(error)}");

    /// <summary>A socket that listens.</summary>
    internal sealed class Listener : IDisposable
    {
        // A connection that finds it full is refused by the kernel, before anybody here could decide.
        const int Backlog = 128;

        readonly EndPoint _address;
        readonly SafeSocketHandle _handle;

        Listener(EndPoint address, SafeSocketHandle handle)
        {
            _address = address;
            _handle = handle;
        }

        /// <summary>Listens. A Unix socket's file is its owner's alone; one that a dead process left behind is replaced.</summary>
        /// <exception cref="IOException">Someone else listens there, or this process may not.</exception>
        public static Listener Open(EndPoint address)
        {
            var handle = Create(address);
            try
            {
                var bytes = BytesOf(address);
                if (bind(handle, bytes, bytes.Length) != 0)
                {
                    var error = Marshal.GetLastPInvokeError();
                    if (error != AddressInUse || !RemoveAbandoned(address)) throw Failure($"{address}: cannot listen", error);
                    if (bind(handle, bytes, bytes.Length) != 0)
                        throw Failure($"{address}: cannot listen", Marshal.GetLastPInvokeError());
                }

                // Before listen nobody can connect, so the file's mode is never open to others.
                if (PathOf(address) is { } path) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
                if (listen(handle, Backlog) != 0) throw Failure($"{address}: cannot listen", Marshal.GetLastPInvokeError());
                return new Listener(address, handle);
            }
            catch
            {
                handle.Dispose();
                throw;
            }
        }

        /// <summary>Waits for the next connection. Blocks the thread.</summary>
        /// <exception cref="IOException">No connection can be accepted now, for want of descriptors or memory.</exception>
        /// <exception cref="SocketException">The connection was broken before it could be used.</exception>
        /// <exception cref="OperationCanceledException"/>
        public AcceptedChannel Accept(CancellationToken cancellationToken)
        {
            using var cancelled = new CancellationEvent(cancellationToken);
            Span<byte> peer = stackalloc byte[AddressBytesMax];
            while (true)
            {
                cancelled.WaitFor(_handle, PollIn);
                var length = peer.Length;
                var descriptor = accept4(_handle, peer, ref length, NonBlocking | CloseOnExec);
                if (descriptor >= 0)
                {
                    var handle = new SafeSocketHandle(descriptor, ownsHandle: true);
                    try
                    {
                        var (text, isHost) = DescribePeer(_address, peer[..Math.Min(length, peer.Length)]);
                        return new(new Socket(handle), text, isHost);
                    }
                    catch
                    {
                        handle.Dispose();
                        throw;
                    }
                }

                var error = Marshal.GetLastPInvokeError();
                // The peer went away again before it was accepted.
                if (error is not (TryAgain or Interrupted or ConnectionAborted)) throw Failure($"{_address}: cannot accept a connection", error);
            }
        }

        public void Dispose()
        {
            if (PathOf(_address) is { } path) File.Delete(path);
            _handle.Dispose();
        }

        static bool RemoveAbandoned(EndPoint address)
        {
            if (PathOf(address) is not { } path) return false;
            using var probe = Create(address);
            var bytes = BytesOf(address);
            if (connect(probe, bytes, bytes.Length) == 0 || Marshal.GetLastPInvokeError() != ConnectionRefused) return false;
            // A plain file refuses as well, and is not ours to delete.
            if (CanBeOpened(path)) return false;
            File.Delete(path);
            return true;
        }

        // open(2) of a socket fails with ENXIO.
        static bool CanBeOpened(string path)
        {
            try
            {
                using var file = File.OpenHandle(path);
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }
    }

    /// <summary>A descriptor that becomes readable on cancellation (eventfd(2)), so that poll(2) can wait for both.</summary>
    sealed class CancellationEvent : IDisposable
    {
        readonly CancellationToken _cancellationToken;
        readonly SafeFileHandle _event;
        readonly CancellationTokenRegistration _registration;

        public CancellationEvent(CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            _cancellationToken = cancellationToken;
            var descriptor = eventfd(0, NonBlocking | CloseOnExec);
            if (descriptor < 0) throw Failure("cannot wait for a connection", Marshal.GetLastPInvokeError());
            _event = new SafeFileHandle(descriptor, ownsHandle: true);
            _registration = cancellationToken.Register(() => eventfd_write(_event, 1));
        }

        /// <exception cref="OperationCanceledException"/>
        public void WaitFor(SafeSocketHandle handle, short events)
        {
            Span<PollDescriptor> descriptors =
            [
                new() { Descriptor = (int)handle.DangerousGetHandle(), Events = events },
                new() { Descriptor = (int)_event.DangerousGetHandle(), Events = PollIn },
            ];
            while (poll(descriptors, (nuint)descriptors.Length, -1) < 0)
            {
                var error = Marshal.GetLastPInvokeError();
                if (error != Interrupted) throw Failure("cannot wait for a connection", error);
            }

            _cancellationToken.ThrowIfCancellationRequested();
        }

        public void Dispose()
        {
            // Waits for a callback that is running, which needs the descriptor.
            _registration.Dispose();
            _event.Dispose();
        }
    }

    struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(SafeSocketHandle socket, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int listen(SafeSocketHandle socket, int backlog);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(SafeSocketHandle socket, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int accept4(SafeSocketHandle socket, Span<byte> address, ref int length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockopt(SafeSocketHandle socket, int level, int option, out int value, ref int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int poll(Span<PollDescriptor> descriptors, nuint count, int milliseconds);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd_write(SafeFileHandle handle, ulong value);
}
