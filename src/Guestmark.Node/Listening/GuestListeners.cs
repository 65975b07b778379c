using System.Net;
using System.Net.Sockets;
using Guestmark.Node.Cells;
using Guestmark.Node.Identity;
using Guestmark.Node.Protocols;
using Guestmark.Wire.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Listening;

/// <summary>
/// Listens for all guests while the node runs: the ports of AF_VSOCK that are configured, or needed, and the Unix sockets of each guest as long as the
/// registry has the guest.
/// </summary>
/// <remarks>
/// A port, or the socket of a configured guest, that cannot be listened on stops the start. What others say of guests, the registry file or the sensor, does
/// not: it is logged and tried again, as for every guest that comes later. The hypervisor of the guest before it may not be gone yet, or its folder is, and one
/// machine must not keep the node from all others. A socket whose file somebody removed or replaced is bound again.
/// </remarks>
/// <param name="listenOnVsock">Listens on a port of AF_VSOCK. Null: the real one.</param>
sealed partial class GuestListeners(
    NodeConfiguration configuration, GuestRegistry registry, GuestReception reception, TimeProvider time, ILogger<GuestListener> logger,
    Func<VsockListenerOptions, GuestListener>? listenOnVsock = null) : IHostedService
{
    static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);

    readonly SemaphoreSlim _changing = new(1);
    readonly Dictionary<(GuestChannel Channel, uint Port), GuestSocket> _sockets = [];
    readonly List<GuestListener> _vsock = [];
    readonly IReadOnlyList<UnixListenerOptions> _ports = configuration.Current.SocketListeners();
    readonly HashSet<Task> _draining = [];
    readonly HashSet<(GuestChannel Channel, uint Port)> _told = [];
    GuestListener? _onDemand;
    string? _onDemandProblem;
    long _descriptors;
    ITimer? _retry;
    Task _following = Task.CompletedTask;
    volatile bool _started;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var options = configuration.Current;
        RaiseDescriptors();
        try
        {
            foreach (var vsock in options.VsockListeners)
                _vsock.Add(ListenOnVsock(vsock));
            var configured = options.Guests.ToHashSet();
            foreach (var channel in registry.All.Where(channel => configured.Contains(channel.Guest)))
            {
                foreach (var port in _ports) Add(channel, port);
            }
        }
        catch
        {
            await StopAsync(cancellationToken);
            throw;
        }

        // What came between reading the registry and here is found by the first call.
        // Not on the thread of the registry, which holds its lock.
        registry.OnChange(change => _following = Task.Run(FollowAsync));
        _started = true;
        _retry = time.CreateTimer(state => _following = FollowAsync(), null, RetryInterval, RetryInterval);
        await FollowAsync();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        _started = false;
        if (_retry is not null) await _retry.DisposeAsync();
        await _following;
        await _changing.WaitAsync(CancellationToken.None);
        try
        {
            foreach (var socket in _sockets.Values) Close(socket.Listener, socket.Declarations);
            foreach (var listener in _vsock) Close(listener);
            if (_onDemand is not null) Close(_onDemand);
            await Task.WhenAll(_draining);
            _draining.Clear();
            _sockets.Clear();
            _vsock.Clear();
            _onDemand = null;
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>Makes the sockets those of the registry.</summary>
    async Task FollowAsync()
    {
        await _changing.WaitAsync();
        try
        {
            if (!_started) return;
            var wanted = registry.All.ToHashSet();
            _told.RemoveWhere(told => !wanted.Contains(told.Channel));
            _draining.RemoveWhere(closing => closing.IsCompleted);
            foreach (var (key, socket) in _sockets.Where(socket => !wanted.Contains(socket.Key.Channel) || !socket.Value.Listener.IsReachable).ToList())
            {
                // Before the next guest's is bound: it may have the same path. A message that is under way has its time, and nobody waits for it here.
                _sockets.Remove(key);
                key.Channel.Listeners.TryRemove(key.Port, out _);
                Close(socket.Listener, socket.Declarations);
            }

            RaiseDescriptors();
            FollowNeed();
            foreach (var (channel, port) in wanted.SelectMany(channel => _ports.Select(port => (channel, port))))
            {
                try
                {
                    Add(channel, port);
                    _told.Remove((channel, port.Port));
                }
                catch (Exception e) when (IsRefusal(e))
                {
                    if (_told.Add((channel, port.Port))) LogNotListening(channel.Guest.Name, e.Message);
                }
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>What a kernel, a file system or another process answers to a wish to listen.</summary>
    static bool IsRefusal(Exception e) => e
        // AddressInUseException is an InvalidOperationException.
        is IOException or SocketException or UnauthorizedAccessException or InvalidOperationException or ArgumentException or NotSupportedException;

    /// <summary>Has <see cref="NodeOptions.VsockOnDemand"/> open as long as a guest needs it, so that a host without such guests never opens AF_VSOCK.</summary>
    void FollowNeed()
    {
        if (configuration.Current.VsockOnDemand is not { } port) return;
        if (registry.HearsVsock == _onDemand is not null) return;
        if (_onDemand is not null)
        {
            Close(_onDemand);
            _onDemand = null;
            LogVsockClosed(port);
            return;
        }

        try
        {
            _onDemand = ListenOnVsock(new VsockListenerOptions { Port = port });
            _onDemandProblem = null;
            LogVsockOpened(port);
        }
        catch (Exception e) when (IsRefusal(e))
        {
            if (_onDemandProblem != e.Message) LogVsockNotOpened(port, e.Message);
            _onDemandProblem = e.Message;
        }
    }

    /// <summary>A descriptor for every connection that is allowed, every cell's socket, and every guest's with room for as many more.</summary>
    void RaiseDescriptors()
    {
        var options = configuration.Current;
        var sockets = registry.All.Count(channel => channel.Guest.SocketBase is not null);
        var wanted = (long)options.Limits.ConnectionsMax + options.Cells.CellsMax + 2L * sockets * _ports.Count + DescriptorLimit.BesideConnections;
        if (wanted <= _descriptors) return;
        _descriptors = wanted;
        if (DescriptorLimit.Raise(wanted) is not { } limit) return;
        // Whoever uses them up ends the process: the runtime opens a pipe for each thread and aborts when it cannot start one.
        reception.Connections.Ceiling = limit < wanted ? (int)Math.Max(limit / 2, limit - (wanted - options.Limits.ConnectionsMax)) : int.MaxValue;
        if (limit < wanted) LogFewDescriptors(limit, wanted, reception.Connections.Ceiling);
        else LogDescriptors(limit);
    }

    void Close(GuestListener listener, CellChannel? declarations = null) => _draining.Add(CloseAsync(listener, declarations));

    async Task CloseAsync(GuestListener listener, CellChannel? declarations)
    {
        try
        {
            await listener.DisposeAsync();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Its file, which is in a folder of others.
            LogNotRemoved(listener.Address, e.Message);
        }
        finally
        {
            declarations?.Dispose();
        }
    }

    void Add(GuestChannel channel, UnixListenerOptions port)
    {
        if (channel.Guest.SocketBase is null || _sockets.ContainsKey((channel, port.Port))) return;
        var address = new UnixDomainSocketEndPoint(channel.Guest.SocketPath(port.Port));
        var declarations = port.Protocol == GuestProtocol.Cells ? reception.DeclarationsOf(channel, port.Port) : null;
        try
        {
            var listener = Listen(address, connection => reception.ServeSocketAsync(channel, port, declarations, connection));
            _sockets.Add((channel, port.Port), new GuestSocket(listener, declarations));
            channel.Listeners[port.Port] = listener;
        }
        catch
        {
            declarations?.Dispose();
            throw;
        }
    }

    GuestListener ListenOnVsock(VsockListenerOptions vsock) => listenOnVsock is not null
        ? listenOnVsock(vsock)
        : Listen(new VsockEndPoint(VsockEndPoint.CidAny, vsock.Port), connection => reception.ServeVsockAsync(vsock, connection));

    GuestListener Listen(EndPoint address, Func<ConnectionContext, Task> serve)
    {
        return GuestListener.Bind(address, serve, logger, SetMode, reception.Connections, time);

        void SetMode()
        {
            if (address is UnixDomainSocketEndPoint) UnixSocketFile.SetMode(address.ToString()!, configuration.Current.SocketMode);
        }
    }

    /// <param name="Declarations">Where that is what is spoken there.</param>
    sealed record GuestSocket(GuestListener Listener, CellChannel? Declarations);

    [LoggerMessage(4113, LogLevel.Error, "Cannot listen for guest {Guest}, trying again: {Problem}", EventName = "GuestNotListening")]
    partial void LogNotListening(string guest, string problem);

    [LoggerMessage(4114, LogLevel.Information, "{Limit} files and connections may be open at once", EventName = "DescriptorLimit")]
    partial void LogDescriptors(long limit);

    [LoggerMessage(
        4115, LogLevel.Warning, "Only {Limit} files may be open at once; the connections, cells and guests that are allowed need {Wanted}, so at most {Connections} connections are taken: raise LimitNOFILE of the service",
        EventName = "DescriptorLimitLow")]
    partial void LogFewDescriptors(long limit, long wanted, int connections);

    [LoggerMessage(4117, LogLevel.Information, "Listening on vsock port {Port}: a guest's channel is its context id", EventName = "VsockOpened")]
    partial void LogVsockOpened(uint port);

    [LoggerMessage(4118, LogLevel.Information, "No longer listening on vsock port {Port}: no guest's channel is its context id", EventName = "VsockClosed")]
    partial void LogVsockClosed(uint port);

    [LoggerMessage(4119, LogLevel.Error, "Cannot listen on vsock port {Port}, where guests are to report, trying again: {Problem}", EventName = "VsockNotOpened")]
    partial void LogVsockNotOpened(uint port, string problem);

    [LoggerMessage(4116, LogLevel.Warning, "The socket {Address} cannot be removed: {Problem}", EventName = "SocketNotRemoved")]
    partial void LogNotRemoved(EndPoint address, string problem);
}
