using System.Buffers.Text;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Guestmark.Node.Listening;

/// <summary>
/// From the host to a port of a guest through the Unix socket of its hypervisor: Firecracker, cloud-hypervisor and vhost-device-vsock put all ports of a
/// machine behind one socket and a line of text.
/// </summary>
/// <remarks>
/// <code>
/// host to hypervisor   "CONNECT " port "\n"    port: a u32 in decimal
/// hypervisor to host   "OK " number "\n"       then the bytes of the guest
/// </code>
/// The dialects of the answer:
/// <list type="bullet">
/// <item>Firecracker and cloud-hypervisor: the number is the port that the hypervisor took on the host's side, 2^30 to 2^31.</item>
/// <item>vhost-device-vsock: the number is the port that was asked for.</item>
/// <item>Nobody listens in the guest, or the line was not understood: the connection is closed, or reset, without a word.</item>
/// </list>
/// And sometimes none: the guest's kernel has a race in which a connection request is never answered (Kata Containers waits and asks again), so each attempt
/// has a deadline of its own. The line is read byte by byte: the guest may speak first, and what it says begins right behind the line's end.
/// </remarks>
public static class HybridVsock
{
    /// <summary>"OK ", ten digits and the end are 14; nobody's line is longer.</summary>
    const int LineBytesMax = 32;

    /// <summary>Firecracker gives a guest 2 s to answer.</summary>
    public static readonly TimeSpan AttemptTimeoutDefault = TimeSpan.FromSeconds(3);

    /// <summary>Kata's.</summary>
    public static readonly TimeSpan TimeoutDefault = TimeSpan.FromSeconds(10);

    /// <summary>Connects.</summary>
    /// <param name="path">The hypervisor's socket (<c>uds_path</c>), without a port.</param>
    /// <param name="port">The port on which the guest listens.</param>
    /// <param name="timeout">For everything. Null: <see cref="TimeoutDefault"/>.</param>
    /// <param name="attemptTimeout">Without an answer for this long, the request is made again. Null: <see cref="AttemptTimeoutDefault"/>.</param>
    /// <exception cref="HybridVsockException">There is no connection; the message says why and what to look at.</exception>
    public static async Task<HybridVsockConnection> ConnectAsync(
        string path, uint port, TimeProvider time, TimeSpan? timeout = null, TimeSpan? attemptTimeout = null, CancellationToken cancellationToken = default)
    {
        using var deadline = new CancellationTokenSource(timeout ?? TimeoutDefault, time);
        using var overall = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        while (true)
        {
            using var attempt = new CancellationTokenSource(attemptTimeout ?? AttemptTimeoutDefault, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(attempt.Token, overall.Token);
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await ConnectAsync(socket, path, either.Token);
                await socket.SendAsync(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"CONNECT {port}\n")), either.Token);
                var connection = new HybridVsockConnection(socket, await ReadAnswerAsync(socket, path, port, either.Token));
                socket = null;
                return connection;
            }
            catch (OperationCanceledException) when (!overall.IsCancellationRequested)
            {
                // No answer: the race. Asking again is safe, nothing has been sent to the guest.
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new HybridVsockException($"{path} did not answer CONNECT {port} within {timeout ?? TimeoutDefault}; is the guest running?");
            }
            catch (SocketException e)
            {
                throw new HybridVsockException($"{path}: {e.SocketErrorCode} while asking for port {port}; does an agent listen there in the guest?", e);
            }
            finally
            {
                socket?.Dispose();
            }
        }
    }

    static async Task ConnectAsync(Socket socket, string path, CancellationToken cancellationToken)
    {
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
        }
        catch (SocketException e)
        {
            throw new HybridVsockException($"no hypervisor listens on {path} ({e.SocketErrorCode}); is the machine running?", e);
        }
    }

    static async Task<uint> ReadAnswerAsync(Socket socket, string path, uint port, CancellationToken cancellationToken)
    {
        var line = new byte[LineBytesMax];
        for (var length = 0; length < line.Length; length++)
        {
            if (await socket.ReceiveAsync(line.AsMemory(length, 1), cancellationToken) == 0)
                throw new HybridVsockException($"{path} closed the connection to port {port}; does an agent listen there in the guest?");
            if (line[length] != '\n') continue;
            var text = line.AsSpan(0, length);
            if (text.StartsWith("OK "u8) && Utf8Parser.TryParse(text[3..], out uint number, out var used) && used == text.Length - 3) return number;
            break;
        }

        throw new HybridVsockException($"{path} answered CONNECT {port} with something else than 'OK' and a number; is it a hypervisor's vsock socket?");
    }
}

/// <summary>A connection to a port of a guest.</summary>
/// <param name="Socket">Its next byte is the guest's first. The caller's to dispose.</param>
/// <param name="Number">What the hypervisor said: its own port on the host's side, or the guest's port again.</param>
public sealed record HybridVsockConnection(Socket Socket, uint Number);

/// <summary>A guest could not be reached.</summary>
public sealed class HybridVsockException(string message, Exception? cause = null) : IOException(message, cause);
