using System.Net;
using System.Net.Sockets;
using Guestmark.Node.Admission;
using Guestmark.Wire.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Listening;

/// <summary>
/// One address that guests connect to: a Unix socket or a port of AF_VSOCK. Starts and stops while the node runs, because machines do.
/// </summary>
/// <remarks>
/// Connections are served by a delegate that sees a pipe and never knows the transport. Accepting only accepts: no byte of a connection is
/// read, written or waited for before the next one is accepted.
/// </remarks>
public sealed partial class GuestListener : IAsyncDisposable
{
    /// <summary>Of the socket's file: only the node's own user, and root, may connect.</summary>
    public const UnixFileMode ModeDefault = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>The kernel's own limit (net.core.somaxconn) since Linux 5.4. A Unix socket's connect waits when it is reached, AF_VSOCK's fails.</summary>
    internal const int Backlog = 4096;

    static readonly TimeSpan BackOffFirst = TimeSpan.FromMilliseconds(5);
    static readonly TimeSpan BackOffLast = TimeSpan.FromSeconds(1);
    /// <summary>How long a stop waits for messages that are under way. The guest of one that is cut off sends it again.</summary>
    static readonly TimeSpan DrainTime = TimeSpan.FromSeconds(5);

    readonly Socket _socket;
    readonly Func<ConnectionContext, Task> _serve;
    readonly ConnectionSlots? _slots;
    readonly TimeProvider _time;
    readonly ILogger _logger;
    readonly CancellationTokenSource _stopping = new();
    readonly HashSet<GuestConnection> _open = [];
    readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Task _accepting;
    readonly LogThrottle _log = new();
    bool _disposed;

    /// <summary>Whether the file of a Unix socket is ours to remove; one that the service manager opened is not.</summary>
    readonly bool _ownsFile;
    readonly bool _isInherited;

    /// <summary>The file that was bound. Null: there is none, or it is not ours.</summary>
    readonly UnixFileIdentity? _file;

    GuestListener(
        EndPoint address, Socket socket, bool isInherited, Func<ConnectionContext, Task> serve, ILogger logger, ConnectionSlots? slots, TimeProvider time)
    {
        Address = address;
        _isInherited = isInherited;
        _ownsFile = !isInherited && address is UnixDomainSocketEndPoint;
        // Here and not after: between bind and this only who may write to the folder could have put another in its place, and did not wait for it.
        _file = _ownsFile ? UnixSocketFile.Identify(address.ToString()!) : null;
        _socket = socket;
        _serve = serve;
        _logger = logger;
        _slots = slots;
        _time = time;
        _accepting = Task.Run(AcceptAsync);
    }

    public EndPoint Address { get; }

    /// <summary>False: somebody removed the file of the socket or put another in its place, and nobody can connect any more.</summary>
    internal bool IsReachable => !_ownsFile || (_file is { } bound && UnixSocketFile.Identify(Address.ToString()!) == bound);

    /// <summary>Listens.</summary>
    /// <param name="address">A <see cref="UnixDomainSocketEndPoint"/>, whose stale file is removed, or a <see cref="VsockEndPoint"/>.</param>
    /// <param name="serve">Serves one connection to its end. The connection is closed when it returns.</param>
    /// <param name="bound">
    /// Called when the address is bound and nobody can connect yet: another mode than <see cref="ModeDefault"/>, and the owner, of a Unix socket are set here.
    /// </param>
    /// <param name="slots">Bounds the connections of all listeners together. Null: no bound.</param>
    /// <param name="inherited">Null: those of this process.</param>
    /// <exception cref="AddressInUseException">Somebody else listens there.</exception>
    /// <exception cref="SocketException">The address cannot be listened on.</exception>
    public static GuestListener Bind(
        EndPoint address, Func<ConnectionContext, Task> serve, ILogger logger, Action? bound = null, ConnectionSlots? slots = null, TimeProvider? time = null,
        InheritedSockets? inherited = null)
    {
        if ((inherited ?? InheritedSockets.OfThisProcess).Take(address) is { } opened)
            return new GuestListener(address, opened, isInherited: true, serve, logger, slots, time ?? TimeProvider.System);
        Socket socket;
        if (address is VsockEndPoint)
        {
            socket = VsockEndPoint.CreateSocket();
        }
        else
        {
            UnixSocketFile.Prepare(address.ToString()!);
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        }

        try
        {
            socket.Bind(address is UnixDomainSocketEndPoint ? new UnixSocketPath(address.ToString()!) : address);
            // Between bind and listen every connect is refused, whatever mode the umask gave.
            if (address is UnixDomainSocketEndPoint) UnixSocketFile.SetMode(address.ToString()!, ModeDefault);
            bound?.Invoke();
            socket.Listen(Backlog);
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        return new GuestListener(address, socket, isInherited: false, serve, logger, slots, time ?? TimeProvider.System);
    }

    /// <summary>
    /// Stops accepting, asks every connection to end, and waits until all have. After <see cref="DrainTime"/> what is still open is cut off, so that
    /// no guest decides how long a stop takes.
    /// </summary>
    /// <remarks>When the call returns its task, an address of its own is free for the next listener.</remarks>
    public async ValueTask DisposeAsync()
    {
        if (_disposed) return;
        _disposed = true;
        // It is cancelled when this returns; what hears of it runs elsewhere.
        var cancelling = _stopping.CancelAsync();
        // Whoever removes a cell may have removed its whole folder before, and what somebody else put there is not ours.
        if (_ownsFile && IsReachable) File.Delete(Address.ToString()!);
        if (!_isInherited) _socket.Dispose();
        await cancelling;
        await _accepting;
        lock (_open)
        {
            if (_open.Count == 0) _drained.TrySetResult();
        }

        try
        {
            await _drained.Task.WaitAsync(DrainTime, _time);
        }
        catch (TimeoutException)
        {
            GuestConnection[] open;
            lock (_open) open = [.. _open];
            foreach (var connection in open) connection.Abort(new ConnectionAbortedException("the listener stops"));
            await _drained.Task;
        }

        _stopping.Dispose();
    }

    async Task AcceptAsync()
    {
        var backOff = BackOffFirst;
        while (true)
        {
            Socket accepted;
            try
            {
                accepted = await _socket.AcceptAsync(_stopping.Token);
                backOff = BackOffFirst;
            }
            catch (Exception e) when (_stopping.IsCancellationRequested && e is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
            catch (SocketException e)
            {
                LogAtIntervals(e.SocketErrorCode.ToString());
                // The peer was gone before it was accepted: the next one may be there.
                if (e.SocketErrorCode is SocketError.ConnectionAborted or SocketError.ConnectionReset) continue;
                // Out of descriptors or memory: asking again at once would only burn a processor.
                try
                {
                    await Task.Delay(backOff, _time, _stopping.Token);
                }
                catch (OperationCanceledException)
                {
                    return;
                }

                backOff = backOff * 2 < BackOffLast ? backOff * 2 : BackOffLast;
                continue;
            }

            if (_slots?.TryTake() == false)
            {
                accepted.Dispose();
                LogAtIntervals("all connections that the node allows are open");
                continue;
            }

            GuestConnection connection;
            try
            {
                connection = new GuestConnection(accepted, accepted.RemoteEndPoint, _stopping.Token);
            }
            catch (SocketException e)
            {
                accepted.Dispose();
                _slots?.Return();
                LogAtIntervals(e.SocketErrorCode.ToString());
                continue;
            }

            lock (_open) _open.Add(connection);
            ThreadPool.UnsafeQueueUserWorkItem(
                static state => _ = state.Listener.ServeAsync(state.Connection), (Listener: this, Connection: connection), preferLocal: false);
        }
    }

    async Task ServeAsync(GuestConnection connection)
    {
        try
        {
            await _serve(connection);
        }
        catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException or OperationCanceledException)
        {
            // The guest is gone, or this side gave it up: the protocol has counted what that means.
        }
        catch (Exception e)
        {
            LogFailed(Address, e);
        }
        finally
        {
            await connection.DisposeAsync();
            _slots?.Return();
            lock (_open)
            {
                _open.Remove(connection);
                if (_disposed && _open.Count == 0) _drained.TrySetResult();
            }
        }
    }

    void LogAtIntervals(string problem)
    {
        if (_log.MayLog(_time, out var heldBack)) LogNotAccepted(Address, heldBack + 1, problem);
    }

    [LoggerMessage(4111, LogLevel.Warning, "{Count} connections on {Address} were not accepted; the last: {Problem}", EventName = "ConnectionNotAccepted")]
    partial void LogNotAccepted(EndPoint address, long count, string problem);

    [LoggerMessage(4112, LogLevel.Error, "A connection on {Address} failed", EventName = "ConnectionFailed")]
    partial void LogFailed(EndPoint address, Exception e);
}
