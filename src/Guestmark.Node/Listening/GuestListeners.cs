using System.Net;
using System.Net.Sockets;
using Guestmark.Node.Identity;
using Guestmark.Node.Protocols;
using Guestmark.Wire.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Listening;

/// <summary>
/// Listens for all guests while the node runs: the ports of AF_VSOCK that are configured, and the Unix socket of each guest as long as the registry
/// has the guest.
/// </summary>
/// <remarks>
/// A port, or the socket of a configured guest, that cannot be listened on stops the start. What others say of guests, the registry file or the sensor, does
/// not: it is logged and tried again, as for every guest that comes later. The hypervisor of the guest before it may not be gone yet, or its folder is, and one
/// machine must not keep the node from all others. A socket whose file somebody removed or replaced is bound again.
/// </remarks>
sealed partial class GuestListeners(
    NodeConfiguration configuration, GuestRegistry registry, GuestReception reception, TimeProvider time, ILogger<GuestListener> logger) : IHostedService
{
    static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);

    readonly SemaphoreSlim _changing = new(1);
    readonly Dictionary<GuestChannel, GuestListener> _sockets = [];
    readonly List<GuestListener> _vsock = [];
    readonly HashSet<Task> _draining = [];
    readonly HashSet<GuestChannel> _told = [];
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
                _vsock.Add(Listen(new VsockEndPoint(VsockEndPoint.CidAny, vsock.Port), connection => reception.ServeVsockAsync(vsock, connection)));
            var configured = options.Guests.ToHashSet();
            foreach (var channel in registry.All.Where(channel => configured.Contains(channel.Guest))) Add(channel);
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
            foreach (var listener in _sockets.Values.Concat(_vsock)) Close(listener);
            await Task.WhenAll(_draining);
            _draining.Clear();
            _sockets.Clear();
            _vsock.Clear();
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
            _told.IntersectWith(wanted);
            _draining.RemoveWhere(closing => closing.IsCompleted);
            foreach (var (channel, listener) in _sockets.Where(socket => !wanted.Contains(socket.Key) || !socket.Value.IsReachable).ToList())
            {
                // Before the next guest's is bound: it may have the same path. A message that is under way has its time, and nobody waits for it here.
                _sockets.Remove(channel);
                channel.Listeners.Clear();
                Close(listener);
            }

            RaiseDescriptors();
            foreach (var channel in wanted)
            {
                try
                {
                    Add(channel);
                    _told.Remove(channel);
                }
                catch (Exception e) when (e is IOException or SocketException or UnauthorizedAccessException or InvalidOperationException or ArgumentException
                    or NotSupportedException)
                {
                    // AddressInUseException is an InvalidOperationException.
                    if (_told.Add(channel)) LogNotListening(channel.Guest.Name, e.Message);
                }
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    /// <summary>A descriptor for every connection that is allowed, every cell's socket, and every guest's with room for as many more.</summary>
    void RaiseDescriptors()
    {
        var options = configuration.Current;
        var sockets = registry.All.Count(channel => channel.Guest.SocketBase is not null);
        var wanted = (long)options.Limits.ConnectionsMax + options.Cells.CellsMax + 2L * sockets + DescriptorLimit.BesideConnections;
        if (wanted <= _descriptors) return;
        _descriptors = wanted;
        if (DescriptorLimit.Raise(wanted) is not { } limit) return;
        // Whoever uses them up ends the process: the runtime opens a pipe for each thread and aborts when it cannot start one.
        reception.Connections.Ceiling = limit < wanted ? (int)Math.Max(limit / 2, limit - (wanted - options.Limits.ConnectionsMax)) : int.MaxValue;
        if (limit < wanted) LogFewDescriptors(limit, wanted, reception.Connections.Ceiling);
        else LogDescriptors(limit);
    }

    void Close(GuestListener listener) => _draining.Add(CloseAsync(listener));

    async Task CloseAsync(GuestListener listener)
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
    }

    void Add(GuestChannel channel)
    {
        if (channel.Guest.SocketBase is null || _sockets.ContainsKey(channel)) return;
        var address = new UnixDomainSocketEndPoint(channel.Guest.SocketPath(configuration.Current.PushPort));
        var listener = Listen(address, connection => reception.ServeSocketAsync(channel, connection));
        _sockets.Add(channel, listener);
        channel.Listeners[configuration.Current.PushPort] = listener;
    }

    GuestListener Listen(EndPoint address, Func<ConnectionContext, Task> serve)
    {
        return GuestListener.Bind(address, serve, logger, SetMode, reception.Connections, time);

        void SetMode()
        {
            if (address is UnixDomainSocketEndPoint) UnixSocketFile.SetMode(address.ToString()!, configuration.Current.SocketMode);
        }
    }

    [LoggerMessage(4113, LogLevel.Error, "Cannot listen for guest {Guest}, trying again: {Problem}", EventName = "GuestNotListening")]
    partial void LogNotListening(string guest, string problem);

    [LoggerMessage(4114, LogLevel.Information, "{Limit} files and connections may be open at once", EventName = "DescriptorLimit")]
    partial void LogDescriptors(long limit);

    [LoggerMessage(
        4115, LogLevel.Warning, "Only {Limit} files may be open at once; the connections, cells and guests that are allowed need {Wanted}, so at most {Connections} connections are taken: raise LimitNOFILE of the service",
        EventName = "DescriptorLimitLow")]
    partial void LogFewDescriptors(long limit, long wanted, int connections);

    [LoggerMessage(4116, LogLevel.Warning, "The socket {Address} cannot be removed: {Problem}", EventName = "SocketNotRemoved")]
    partial void LogNotRemoved(EndPoint address, string problem);
}
