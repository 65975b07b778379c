using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Guestmark.Node.Listening;

/// <summary>
/// Listening sockets that the service manager opened for this process (socket activation, sd_listen_fds(3)): <c>LISTEN_FDS</c> descriptors from 3 on,
/// when <c>LISTEN_PID</c> is this process. A socket is found by the address it listens on, so that a unit needs no names.
/// </summary>
/// <remarks>
/// They stay open as long as the process: the service manager goes on listening whatever becomes of a guest here, so a socket that was closed could never be
/// bound again. Nor would duplicates do: epoll(7) keeps what it knows of a descriptor until the last one of the socket is closed, which the service manager has. AF_VSOCK sockets are not among them: .NET cannot tell their address, and the node opens its own.
/// </remarks>
public sealed partial class InheritedSockets
{
    const int FirstDescriptor = 3;

    // <fcntl.h>
    const int SetDescriptorFlags = 2;
    const int CloseOnExec = 1;

    readonly Lock _lock = new();
    readonly List<(string Address, Socket Socket)> _sockets = [];
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
        lock (_lock)
        {
            var index = _sockets.FindIndex(socket => string.Equals(socket.Address, text, StringComparison.Ordinal));
            if (index < 0) return null;
            _taken.Add(_sockets[index].Address);
            return _sockets[index].Socket;
        }
    }

    /// <summary>As if these had been inherited.</summary>
    internal static InheritedSockets Of(params Socket[] sockets)
    {
        var inherited = new InheritedSockets();
        inherited._sockets.AddRange(sockets.Select(socket => (socket.LocalEndPoint!.ToString()!, socket)));
        return inherited;
    }

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
                var socket = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
                if (socket.LocalEndPoint?.ToString() is { } address) inherited._sockets.Add((address, socket));
            }
            catch (SocketException)
            {
                // No socket, or of a family that .NET does not know: it stays open and unused.
            }
        }

        return inherited;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int descriptor, int command, int argument);
}
