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
/// An address that cannot be listened on stops the start. Later, when a guest comes, it is logged and tried again: the hypervisor of the guest before it may
/// not be gone yet.
/// </remarks>
sealed partial class GuestListeners(
    NodeConfiguration configuration, GuestRegistry registry, GuestReception reception, TimeProvider time, ILogger<GuestListener> logger) : IHostedService
{
    static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);

    readonly SemaphoreSlim _changing = new(1);
    readonly Dictionary<GuestChannel, GuestListener> _sockets = [];
    readonly List<GuestListener> _vsock = [];
    ITimer? _retry;
    Task _following = Task.CompletedTask;
    volatile bool _started;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var options = configuration.Current;
        if (DescriptorLimit.Raise(options.Limits.ConnectionsMax + DescriptorLimit.BesideConnections) is { } limit)
        {
            if (limit < options.Limits.ConnectionsMax + DescriptorLimit.BesideConnections) LogFewDescriptors(limit, options.Limits.ConnectionsMax);
            else LogDescriptors(limit);
        }

        try
        {
            foreach (var vsock in options.VsockListeners)
                _vsock.Add(Listen(new VsockEndPoint(VsockEndPoint.CidAny, vsock.Port), connection => reception.ServeVsockAsync(vsock, connection)));
            foreach (var channel in registry.All) Add(channel);
        }
        catch
        {
            await StopAsync(cancellationToken);
            throw;
        }

        // What came between reading the registry and here is found by the first call.
        registry.OnChange(change => _following = FollowAsync());
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
            await Task.WhenAll(_sockets.Values.Concat(_vsock).Select(listener => listener.DisposeAsync().AsTask()));
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
            var gone = _sockets.Where(socket => !wanted.Contains(socket.Key)).ToList();
            foreach (var (channel, _) in gone) _sockets.Remove(channel);

            // Before the next guest's: it may have the same path.
            await Task.WhenAll(gone.Select(socket => socket.Value.DisposeAsync().AsTask()));
            foreach (var channel in wanted)
            {
                try
                {
                    Add(channel);
                }
                catch (Exception e) when (e is IOException or SocketException or UnauthorizedAccessException or AddressInUseException or ArgumentException)
                {
                    LogNotListening(channel.Guest.Name, e.Message);
                }
            }
        }
        finally
        {
            _changing.Release();
        }
    }

    void Add(GuestChannel channel)
    {
        if (channel.Guest.SocketBase is null || _sockets.ContainsKey(channel)) return;
        var address = new UnixDomainSocketEndPoint(channel.Guest.SocketPath(configuration.Current.PushPort));
        _sockets.Add(channel, Listen(address, connection => reception.ServeSocketAsync(channel, connection)));
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
        4115, LogLevel.Warning, "Only {Limit} files may be open at once, but {Connections} connections are allowed: raise LimitNOFILE of the service",
        EventName = "DescriptorLimitLow")]
    partial void LogFewDescriptors(long limit, int connections);
}
