using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Guestmark.TestKit;

/// <summary>How a hypervisor answers a request for a port of its guest.</summary>
public enum HybridVsockDialect
{
    /// <summary>Firecracker and cloud-hypervisor: with the port that it took on the host's side.</summary>
    HostPort,

    /// <summary>vhost-device-vsock: with the port that was asked for.</summary>
    GuestPort,
}

/// <summary>
/// The Unix socket of a hypervisor, whose guest's ports are other Unix sockets: reads <c>CONNECT port</c>, answers in a dialect and carries bytes both ways.
/// Where nobody listens in the guest it closes without a word, as all of them do.
/// </summary>
public sealed class HybridVsockPeer : IAsyncDisposable
{
    readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    readonly HybridVsockDialect _dialect;
    readonly Func<uint, string> _guestSocket;
    readonly Task _accepting;
    int _asked;
    int _open;

    /// <param name="guestSocket">Where a port of the guest is listened on.</param>
    public HybridVsockPeer(string path, HybridVsockDialect dialect, Func<uint, string> guestSocket)
    {
        (_dialect, _guestSocket) = (dialect, guestSocket);
        _socket.Bind(new UnixDomainSocketEndPoint(path));
        _socket.Listen();
        _accepting = AcceptAsync();
    }

    /// <summary>Connections so far.</summary>
    public int Asked => Volatile.Read(ref _asked);

    /// <summary>Connections that are open.</summary>
    public int Open => Volatile.Read(ref _open);

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        await _accepting;
    }

    async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                var accepted = await _socket.AcceptAsync();
                Interlocked.Increment(ref _open);
                Interlocked.Increment(ref _asked);
                _ = ServeAsync(accepted);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    async Task ServeAsync(Socket host)
    {
        using var guest = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            var line = new StringBuilder();
            var next = new byte[1];
            while (line.Length < 32 && await host.ReceiveAsync(next) == 1 && next[0] != '\n') line.Append((char)next[0]);
            if (line.ToString().Split(' ') is not ["CONNECT", var text] || !uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port)) return;
            await guest.ConnectAsync(new UnixDomainSocketEndPoint(_guestSocket(port)));
            await host.SendAsync(Encoding.ASCII.GetBytes($"OK {(_dialect == HybridVsockDialect.HostPort ? 1_073_741_824u : port)}\n"));
            await Task.WhenAll(CarryAsync(host, guest), CarryAsync(guest, host));
        }
        catch (SocketException)
        {
            // Nobody listens there, or one of the two has gone.
        }
        finally
        {
            host.Dispose();
            Interlocked.Decrement(ref _open);
        }
    }

    static async Task CarryAsync(Socket from, Socket to)
    {
        try
        {
            var buffer = new byte[64 * 1024];
            while (await from.ReceiveAsync(buffer) is > 0 and var count)
            {
                for (var sent = 0; sent < count;) sent += await to.SendAsync(buffer.AsMemory(sent, count - sent));
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // A connection that is reset ends in both directions.
            from.Dispose();
            to.Dispose();
        }
    }
}
