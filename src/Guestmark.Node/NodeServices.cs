using Guestmark.Node.Listening;
using Guestmark.Rpc.Publishing;
using Guestmark.Spool;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Node;

/// <summary>The node as a part of a host: <see cref="AddNode"/> its services, <see cref="ListenForGuests"/> its listeners.</summary>
public static class NodeServices
{
    /// <summary>Adds the spool, the stamp and the relay to the sensor.</summary>
    public static IServiceCollection AddNode(this IServiceCollection services, NodeOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton<EventStamper>();
        services.AddSingleton<NodeMetrics>();
        services.AddSingleton<GuestChannels>();
        services.AddHostedService<GuestAnnouncer>();
        return services.AddRelay(new RelayOptions(
            new SpoolOptions { Directory = Path.Combine(options.DataDirectory, "spool"), BytesMax = options.SpoolBytesMax },
            "sensor", options.SensorEndpoint, options.SensorName, options.Certificates));
    }

    /// <summary>Listens on the socket of every guest. The socket decides who the guest is.</summary>
    /// <exception cref="AddressInUseException">Another process listens on a guest's socket.</exception>
    public static void ListenForGuests(this KestrelServerOptions kestrel)
    {
        var channels = kestrel.ApplicationServices.GetRequiredService<GuestChannels>();
        foreach (var channel in channels.All)
        {
            UnixSocketFile.Prepare(channel.SocketPath);
            kestrel.ListenUnixSocket(channel.SocketPath, listener => listener.Run(channel.RunAsync));
        }
    }
}
