using Guestmark.Events.Signing;
using Guestmark.Node.Listening;
using Guestmark.Node.Relay;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node;

/// <summary>The node as a part of a host.</summary>
public static class NodeServices
{
    /// <summary>Adds the listeners, the stamp, the spools and the relays.</summary>
    public static IServiceCollection AddNode(this IServiceCollection services, NodeOptions options)
    {
        services.AddSingleton(options);
        services.TryAddSingleton(new NodeConfiguration(options));
        services.AddSingleton(TimeProvider.System);
        if (options.Signing is { } signing)
        {
            services.AddSingleton<EventSigner>(provider => EventSigningKeys.Open(
                signing.Algorithm, signing.KeyFile, signing.KeyId, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<EventSigningKeys>>()));
        }

        services.AddSingleton(provider => new EventStamper(
            provider.GetRequiredService<NodeSpools>(), options, provider.GetService<EventSigner>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<NodeMetrics>();
        services.AddSingleton<GuestChannels>();
        services.AddHostedService<GuestAnnouncer>();
        services.AddHostedService<GuestListeners>();
        return services.AddSpools(options);
    }

    /// <summary>
    /// Listens for commands of the host's own users on <see cref="NodeOptions.ControlSocket"/>, HTTP/1.1 over a Unix socket whose folder only the
    /// node's user may enter.
    /// </summary>
    public static void ListenForControl(this KestrelServerOptions kestrel)
    {
        var options = kestrel.ApplicationServices.GetRequiredService<NodeOptions>();
        UnixSocketFile.Prepare(options.ControlSocket);
        kestrel.ListenUnixSocket(options.ControlSocket, listener => listener.Protocols = HttpProtocols.Http1);
    }
}
