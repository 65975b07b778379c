using System.Net;
using System.Net.Sockets;
using Guestmark.Wire.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Listening;

/// <summary>
/// One address that guests connect to: a Unix socket or a port of AF_VSOCK. Starts and stops while the node runs, because machines do.
/// </summary>
/// <remarks>Connections are served by a delegate that sees a pipe and never knows the transport.</remarks>
public sealed partial class GuestListener : IAsyncDisposable
{
    const int Backlog = 512;

    readonly Socket _socket;
    readonly Func<ConnectionContext, Task> _serve;
    readonly SocketConnectionContextFactory _connections;
    readonly ILogger _logger;
    readonly CancellationTokenSource _stopping = new();
    readonly HashSet<Task> _serving = [];
    readonly Task _accepting;

    /// <summary>Whether the file of a Unix socket is ours to remove; one that the service manager opened is not.</summary>
    readonly bool _ownsFile;

    GuestListener(EndPoint address, Socket socket, bool ownsFile, Func<ConnectionContext, Task> serve, ILogger logger)
    {
        Address = address;
        _ownsFile = ownsFile && address is UnixDomainSocketEndPoint;
        _socket = socket;
        _serve = serve;
        _logger = logger;
        _connections = new SocketConnectionContextFactory(new SocketConnectionFactoryOptions(), logger);
        _accepting = Task.Run(AcceptAsync);
    }

    public EndPoint Address { get; }

    /// <summary>Listens.</summary>
    /// <param name="address">A <see cref="UnixDomainSocketEndPoint"/>, whose stale file is removed, or a <see cref="VsockEndPoint"/>.</param>
    /// <param name="serve">Serves one connection to its end. The connection is closed when it returns.</param>
    /// <exception cref="AddressInUseException">Somebody else listens there.</exception>
    /// <exception cref="SocketException">The address cannot be listened on.</exception>
    public static GuestListener Bind(EndPoint address, Func<ConnectionContext, Task> serve, ILogger logger)
    {
        if (InheritedSockets.OfThisProcess.Take(address) is { } inherited) return new GuestListener(address, inherited, ownsFile: false, serve, logger);
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
            socket.Bind(address);
            socket.Listen(Backlog);
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        return new GuestListener(address, socket, ownsFile: true, serve, logger);
    }

    /// <summary>Stops accepting, asks every connection to end, and waits until all have.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        _socket.Dispose();
        if (_ownsFile) File.Delete(Address.ToString()!);
        await _accepting;
        Task[] serving;
        lock (_serving) serving = [.. _serving];
        await Task.WhenAll(serving);
        _connections.Dispose();
        _stopping.Dispose();
    }

    async Task AcceptAsync()
    {
        while (true)
        {
            Socket accepted;
            try
            {
                accepted = await _socket.AcceptAsync(_stopping.Token);
            }
            catch (Exception e) when (_stopping.IsCancellationRequested && e is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
            catch (SocketException e)
            {
                // Out of descriptors, or the peer is gone already.
                LogNotAccepted(Address, e.Message);
                continue;
            }

            var connection = _connections.Create(accepted);
            connection.Features.Set<IConnectionLifetimeNotificationFeature>(new Stopping(_stopping.Token));
            var serving = ServeAsync(connection);
            lock (_serving) _serving.Add(serving);
            _ = serving.ContinueWith(
                done =>
                {
                    lock (_serving) _serving.Remove(done);
                },
                CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    async Task ServeAsync(ConnectionContext connection)
    {
        await Task.Yield();
        try
        {
            await _serve(connection);
        }
        catch (Exception e)
        {
            LogFailed(Address, e);
        }
        finally
        {
            await connection.DisposeAsync();
        }
    }

    [LoggerMessage(4111, LogLevel.Warning, "Cannot accept a connection on {Address}: {Problem}", EventName = "ConnectionNotAccepted")]
    partial void LogNotAccepted(EndPoint address, string problem);

    [LoggerMessage(4112, LogLevel.Error, "A connection on {Address} failed", EventName = "ConnectionFailed")]
    partial void LogFailed(EndPoint address, Exception e);

    sealed class Stopping(CancellationToken token) : IConnectionLifetimeNotificationFeature
    {
        public CancellationToken ConnectionClosedRequested { get; set; } = token;

        public void RequestClose()
        {
        }
    }
}
