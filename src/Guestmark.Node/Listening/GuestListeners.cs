using System.Net.Sockets;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Listening;

/// <summary>Listens for all guests while the node runs.</summary>
sealed class GuestListeners(GuestChannels channels, ILogger<GuestListener> logger) : IHostedService
{
    readonly List<GuestListener> _listeners = [];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            foreach (var channel in channels.All)
                _listeners.Add(GuestListener.Bind(new UnixDomainSocketEndPoint(channel.SocketPath), channel.RunAsync, logger));
        }
        catch
        {
            await StopAsync(cancellationToken);
            throw;
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        foreach (var listener in _listeners) await listener.DisposeAsync();
        _listeners.Clear();
    }
}
