using System.Diagnostics.Metrics;
using Guestmark.Spool;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Rpc.Publishing;

/// <summary>One hop's spool and where it is emptied to.</summary>
/// <param name="Spool">The folder and limits of the spool.</param>
/// <param name="Destination">What the next hop is called in logs and metrics: <c>sensor</c>, <c>central</c>.</param>
/// <param name="Endpoint">The next hop, as <c>https://host:port</c>.</param>
/// <param name="ServerName">The name in its certificate. Null: the host of <paramref name="Endpoint"/>.</param>
/// <param name="Certificates">Folder with <c>ca.pem</c>, <c>cert.pem</c> and <c>key.pem</c> of this process.</param>
public sealed record RelayOptions(SpoolOptions Spool, string Destination, Uri Endpoint, string? ServerName, string Certificates);

public static class RelayServices
{
    /// <summary>Adds a hop's <see cref="EventSpool"/>, its <see cref="CertificateDirectory"/> and the relay to the next hop.</summary>
    public static IServiceCollection AddRelay(this IServiceCollection services, RelayOptions options)
    {
        services.AddSingleton(provider =>
        {
            var spool = EventSpool.Open(options.Spool, provider.GetRequiredService<ILogger<EventSpool>>());
            SpoolMetrics.Observe(provider.GetRequiredService<IMeterFactory>(), spool, "keep");
            return spool;
        });
        services.AddRelayChannel(options.Endpoint, options.ServerName, options.Certificates);
        services.AddHostedService(provider => CreateRelay(provider, provider.GetRequiredService<EventSpool>(), options.Destination));
        return services;
    }

    /// <summary>Adds the <see cref="CertificateDirectory"/> and the <see cref="RpcChannel"/> to the next hop.</summary>
    /// <param name="serverName">The name in its certificate. Null: the host of <paramref name="endpoint"/>.</param>
    public static IServiceCollection AddRelayChannel(this IServiceCollection services, Uri endpoint, string? serverName, string certificates)
    {
        services.AddSingleton(provider => CertificateDirectory.Open(
            certificates, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<CertificateDirectory>>()));
        services.AddSingleton(provider => new RpcChannel(
            endpoint, SpoolRelay.ChannelOptions(provider.GetRequiredService<CertificateDirectory>(), serverName)));
        return services;
    }

    /// <summary>A relay of one spool over the channel of <see cref="AddRelayChannel"/>.</summary>
    public static SpoolRelay CreateRelay(IServiceProvider provider, EventSpool spool, string destination, string? reader = null, string spoolName = "keep") => new(
        spool,
        provider.GetRequiredService<RpcChannel>(),
        destination,
        provider.GetRequiredService<ILogger<SpoolRelay>>(),
        provider.GetRequiredService<IMeterFactory>(),
        provider.GetRequiredService<TimeProvider>(),
        reader,
        spoolName);
}
