using Guestmark.Events.Signing;
using Guestmark.Node.Admission;
using Guestmark.Node.Cells;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.Node.Protocols;
using Guestmark.Node.Pulling;
using Guestmark.Node.Relay;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
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
        services.AddSingleton(provider => new GuestRegistry(provider.GetRequiredService<NodeConfiguration>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<Refusals>();
        services.AddSingleton<DeadlineSweep>();
        services.AddSingleton<GuestReception>();
        services.AddSingleton<RegistryFile>();
        services.AddHostedService(provider => provider.GetRequiredService<RegistryFile>());
        // Before the listeners, so that a node whose sensor is away hears at once whom it heard before.
        if (options.RegistryFromSensor) services.AddHostedService<SensorRegistry>();
        services.AddHostedService<GuestAnnouncer>();
        services.AddHostedService<GuestListeners>();
        services.AddHostedService<GuestPulls>();
        services.AddSingleton<CellMetrics>();
        services.AddSingleton(provider => new CellAdmission(
            provider.GetRequiredService<GuestReception>().Order, provider.GetRequiredService<GuestReception>().Connections,
            () => provider.GetRequiredService<GuestRegistry>().NewShare(weight: 1)));
        services.AddSingleton<CellRegistry>();
        services.AddHostedService(provider => provider.GetRequiredService<CellRegistry>());
        return services.AddSpools(options);
    }

    /// <summary>
    /// Listens for commands of the host's own users on <see cref="NodeOptions.ControlSocket"/>, HTTP/1.1 over a Unix socket whose folder only the
    /// node's user may enter.
    /// </summary>
    public static void ListenForControl(this KestrelServerOptions kestrel)
    {
        var options = kestrel.ApplicationServices.GetRequiredService<NodeOptions>();
        var folder = Path.GetDirectoryName(Path.GetFullPath(options.ControlSocket))!;
        MakePrivate(folder, isOwn: folder == Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.DataDirectory)));
        UnixSocketFile.Prepare(options.ControlSocket, "stop it, or give this node a data folder or a control-socket of its own");
        kestrel.ListenUnixSocket(options.ControlSocket, listener =>
        {
            listener.Protocols = HttpProtocols.Http1;
            listener.Use(next => connection => ControlConnection.MarkAsync(connection, next));
        });
    }

    /// <summary>Adds the routes of the control socket, <c>/v1/…</c>. They answer on no other.</summary>
    /// <returns>For more of them.</returns>
    public static RouteGroupBuilder MapNode(this IEndpointRouteBuilder routes)
    {
        var control = routes.MapGroup("/v1").AddEndpointFilter(async (context, next) =>
            // The same server may listen on the network, for metrics. This is the business of who may enter the node's folder.
            context.HttpContext.Features.Get<ControlConnection>() is null ? Results.NotFound() : await next(context));
        CellApi.Map(control);
        GuestApi.Map(control);
        SigningApi.Map(control);
        return control;
    }

    /// <summary>Who may enter the folder commands the node. One that is the node's own is closed to others; of another that is open it makes no use.</summary>
    static void MakePrivate(string folder, bool isOwn)
    {
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(folder, ownerOnly);
        var mode = File.GetUnixFileMode(folder);
        if ((mode & ~ownerOnly) == UnixFileMode.None) return;
        if (!isOwn)
        {
            throw new IOException(
                $"the control socket's folder {folder} has mode 0{Convert.ToString((int)mode, 8)}: others of this host could command the node. "
                + ((mode & UnixFileMode.StickyBit) != UnixFileMode.None
                    ? "It is shared by all of this host: name a socket in a folder of the node's own."
                    : $"Close it (chmod 0700 {folder}), or name a socket in a folder that is."));
        }

        File.SetUnixFileMode(folder, ownerOnly);
    }

    /// <summary>Marks connections of the control socket: <see cref="ListenForControl"/> sets it, and nothing that arrives can.</summary>
    sealed class ControlConnection
    {
        public static Task MarkAsync(ConnectionContext connection, ConnectionDelegate next)
        {
            connection.Features.Set(new ControlConnection());
            return next(connection);
        }
    }
}
