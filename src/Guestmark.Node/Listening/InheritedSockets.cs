using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Guestmark.Wire.Sockets;

namespace Guestmark.Node.Listening;

/// <summary>
/// Listening sockets that the service manager opened for this process (socket activation, sd_listen_fds(3)): <c>LISTEN_FDS</c> descriptors from 3 on,
/// when <c>LISTEN_PID</c> is this process. A socket is found by the address it listens on, so that a unit needs no names.
/// </summary>
/// <remarks>
/// They stay open as long as the process: the service manager goes on listening whatever becomes of a guest here, so a socket that was closed could never be
/// bound again. Nor would duplicates do: epoll(7) keeps what it knows of a descriptor until the last one of the socket is closed, which the service
/// manager has.
/// <para>An AF_VSOCK socket is found by its port alone, whatever context id of this machine it was bound to.</para>
/// </remarks>
public sealed partial class InheritedSockets
{
    const int FirstDescriptor = 3;

    // <fcntl.h>
    const int SetDescriptorFlags = 2;
    const int CloseOnExec = 1;
    const int CloseDuplicateOnExec = 0x8_0000; // O_CLOEXEC

    readonly Lock _lock = new();
    readonly List<(string Address, uint? VsockPort, Socket Socket)> _sockets = [];
    readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    /// <summary>Those of this process. They are looked for once.</summary>
    public static InheritedSockets OfThisProcess { get; } = FromEnvironment(
        Environment.GetEnvironmentVariable("LISTEN_PID"), Environment.GetEnvironmentVariable("LISTEN_FDS"));

    /// <summary>Addresses that nobody has taken.</summary>
    public IReadOnlyList<string> Left
    {
        get { lock (_lock) return [.. _sockets.Select(socket => socket.Address).Except(_taken)]; }
    }

    /// <summary>The socket that listens on an address, each time it is asked for. The caller does not close it. Null: none was inherited.</summary>
    public Socket? Take(EndPoint address)
    {
        var text = address.ToString();
        var vsockPort = (address as VsockEndPoint)?.Port;
        lock (_lock)
        {
            var index = _sockets.FindIndex(socket => vsockPort is null ? string.Equals(socket.Address, text, StringComparison.Ordinal) : socket.VsockPort == vsockPort);
            if (index < 0) return null;
            _taken.Add(_sockets[index].Address);
            return _sockets[index].Socket;
        }
    }

    /// <summary>As if these had been inherited.</summary>
    internal static InheritedSockets Of(params Socket[] sockets)
    {
        var inherited = new InheritedSockets();
        foreach (var socket in sockets) inherited.Add(socket.LocalEndPoint!, socket);
        return inherited;
    }

    /// <summary>As if this one had been inherited, with an address that it does not tell itself.</summary>
    internal void Add(EndPoint address, Socket socket) => _sockets.Add((address.ToString()!, (address as VsockEndPoint)?.Port, socket));

    internal static InheritedSockets FromEnvironment(string? process, string? count)
    {
        var inherited = new InheritedSockets();
        if (process != Environment.ProcessId.ToString(CultureInfo.InvariantCulture)) return inherited;
        if (!int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out var descriptors) || descriptors > 1024) return inherited;
        for (var descriptor = FirstDescriptor; descriptor < FirstDescriptor + descriptors; descriptor++)
        {
            // Agents and other children must not inherit them in turn.
            if (fcntl(descriptor, SetDescriptorFlags, CloseOnExec) != 0) continue;
            try
            {
                if (VsockAddressOf(descriptor) is { } vsock)
                {
                    inherited.Add(vsock, AdoptVsock(descriptor));
                    continue;
                }

                var socket = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
                if (socket.LocalEndPoint is { } address) inherited.Add(address, socket);
            }
            catch (SocketException)
            {
                // No socket, or of a family that neither .NET nor this node knows: it stays open and unused.
            }
        }

        return inherited;
    }

    /// <summary>Makes <paramref name="bound"/>, which is bound and was never used, the socket of <paramref name="descriptor"/>, which listens.</summary>
    /// <remarks>
    /// .NET accepts only on a socket that it has bound itself, or whose address it can read. So one of the same family is bound to any address, and the other's
    /// descriptor takes the place of its own (dup3(2)) before the runtime has put that into its epoll. To listen again only sets the length of the queue.
    /// </remarks>
    /// <exception cref="SocketException">The kernel refused it.</exception>
    internal static Socket Adopt(Socket bound, int descriptor)
    {
        if (dup3(descriptor, (int)bound.SafeHandle.DangerousGetHandle(), CloseDuplicateOnExec) < 0)
            throw new SocketException((int)SocketError.SocketError, Marshal.GetLastPInvokeErrorMessage());
        bound.Listen(GuestListener.Backlog);
        return bound;
    }

    /// <summary>Null: no socket of AF_VSOCK.</summary>
    static VsockEndPoint? VsockAddressOf(int descriptor)
    {
        Span<byte> address = stackalloc byte[128]; // sizeof(struct sockaddr_storage)
        var length = (uint)address.Length;
        return getsockname(descriptor, ref MemoryMarshal.GetReference(address), ref length) == 0
            ? VsockEndPoint.Read(address[..(int)Math.Min(length, (uint)address.Length)])
            : null;
    }

    static Socket AdoptVsock(int descriptor)
    {
        var bound = VsockEndPoint.CreateSocket();
        try
        {
            bound.Bind(new VsockEndPoint(VsockEndPoint.CidAny, VsockEndPoint.PortAny));
            return Adopt(bound, descriptor);
        }
        catch
        {
            bound.Dispose();
            throw;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockname(int descriptor, ref byte address, ref uint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup3(int descriptor, int replaced, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int descriptor, int command, int argument);
}
