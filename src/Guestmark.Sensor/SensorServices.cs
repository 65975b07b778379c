using Guestmark.Rpc;
using Guestmark.Rpc.Guests;
using Guestmark.Rpc.Publishing;
using Guestmark.Spool;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Sensor;

/// <summary>The sensor as a part of a host: <see cref="AddSensor"/> its services, <see cref="MapSensor"/> its endpoint for nodes.</summary>
public static class SensorServices
{
    /// <summary>Adds the spool and the relay to Central.</summary>
    public static IServiceCollection AddSensor(this IServiceCollection services, SensorOptions options)
    {
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(options);
        services.AddSingleton<IEventSink, SpoolSink>();
        services.AddSingleton<GuestLists>();
        services.AddSingleton<SensorGuests>();
        services.AddHostedService(provider => provider.GetRequiredService<SensorGuests>());
        return services.AddRelay(new RelayOptions(
            new SpoolOptions { Directory = Path.Combine(options.DataDirectory, "spool"), BytesMax = options.SpoolBytesMax },
            "central", options.CentralEndpoint, options.CentralName, options.Certificates));
    }

    /// <summary>Answers nodes.</summary>
    public static void MapSensor(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapPublish(endpoints.ServiceProvider.GetRequiredService<IEventSink>());
        endpoints.MapServerStreaming(GuestListing.Watch, endpoints.ServiceProvider.GetRequiredService<SensorGuests>().AnswerAsync);
    }
}
