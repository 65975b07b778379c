using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Guestmark.VhostUserVsock;

/// <summary>
/// Unix sockets in the place of a machine's host, as Firecracker (docs/vsock.md) and cloud-hypervisor have them: the guest's connection to port
/// P of CID 2 goes to <c>&lt;base&gt;_P</c>; a host's program that connects to <c>&lt;base&gt;</c> and sends <c>CONNECT P\n</c> gets
/// <c>OK &lt;host port&gt;\n</c> and is then connected to the guest's port P, or finds its connection closed.
/// </summary>
sealed class HybridSockets(VsockDevice device, string socketBase) : IAsyncDisposable
{
    /// <summary>Firecracker's: <c>CONNECT 4294967295\n</c> has 19.</summary>
    const int CommandBytesMax = 32;

    /// <summary>Firecracker's MAX_CONNECTIONS.</summary>
    const int ConnectionsMax = 1023;

    static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(2);

    readonly ConcurrentDictionary<(uint HostPort, uint GuestPort), HybridConnection> _connections = new();
    readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    Task _accepting = Task.CompletedTask;

    // Firecracker gives ports from 2^30 on to the host's side.
    uint _nextPort = 1 << 30;

    public void Start()
    {
        File.Delete(socketBase);
        _listener.Bind(new UnixDomainSocketEndPoint(socketBase));
        _listener.Listen(64);
        _accepting = AcceptAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _accepting;
        ResetAll();
        File.Delete(socketBase);
    }

    /// <summary>The machine is gone: so are its connections.</summary>
    public void ResetAll()
    {
        foreach (var connection in _connections.Values) connection.Close();
        _connections.Clear();
    }

    /// <summary>Takes a packet of the guest for CID 2.</summary>
    /// <returns>False when it belongs to no connection, or cannot open one.</returns>
    public bool Take(VsockPacket packet)
    {
        var header = packet.Header;
        var key = (header.DestinationPort, header.SourcePort);
        if (header.Operation == VsockOperation.Request)
        {
            var opened = new HybridConnection(device, key, Forget, new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified));
            if (_connections.Count >= ConnectionsMax || !_connections.TryAdd(key, opened))
            {
                opened.Close();
                return false;
            }

            opened.TakeCredit(header);
            _ = opened.ConnectAsync($"{socketBase}_{header.DestinationPort}");
            return true;
        }

        return _connections.TryGetValue(key, out var connection) && connection.Take(packet);
    }

    void Forget(HybridConnection connection) => _connections.TryRemove(new(connection.Key, connection));

    async Task AcceptAsync()
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }

            _ = DialGuestAsync(socket);
        }
    }

    async Task DialGuestAsync(Socket socket)
    {
        try
        {
            if (_connections.Count < ConnectionsMax && await ReadCommandAsync(socket) is { } port)
            {
                var connection = new HybridConnection(device, (Interlocked.Increment(ref _nextPort), port), Forget, socket);
                if (_connections.TryAdd(connection.Key, connection) && await connection.RequestAsync(RequestTimeout)) return;
            }
        }
        catch (SocketException e)
        {
            device.Log($"the host's program went away: {e.SocketErrorCode}");
        }

        socket.Dispose();
    }

    /// <summary>Reads <c>CONNECT &lt;port&gt;\n</c>, a byte at a time: what follows belongs to the guest.</summary>
    static async Task<uint?> ReadCommandAsync(Socket socket)
    {
        var line = new byte[CommandBytesMax];
        for (var length = 0; length < line.Length; length++)
        {
            if (await socket.ReceiveAsync(line.AsMemory(length, 1)) == 0) return null;
            if (line[length] == '\n') return PortOf(Encoding.ASCII.GetString(line, 0, length));
        }

        return null;
    }

    /// <summary>The port of a command without its line end; the word in any case, as Firecracker takes it. Null: it is none.</summary>
    internal static uint? PortOf(string command) =>
        command.Split(' ') is [var word, var number] && word.Equals("CONNECT", StringComparison.OrdinalIgnoreCase) &&
        uint.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            ? port
            : null;
}
