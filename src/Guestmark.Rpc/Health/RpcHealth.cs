using System.Threading.Channels;
using Guestmark.Rpc.Health;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using ServingStatus = Guestmark.Rpc.Health.HealthCheckResponse.Types.ServingStatus;

namespace Guestmark.Rpc;

/// <summary>
/// Whether the services of this server can be used, as told by the standard service <c>grpc.health.v1.Health</c>
/// (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). The empty name is the server as a whole.
/// </summary>
public sealed class RpcHealth
{
    public static readonly RpcMethod<HealthCheckRequest, HealthCheckResponse> Check = new("grpc.health.v1.Health", "Check");
    public static readonly RpcMethod<HealthCheckRequest, HealthCheckResponse> Watch = new("grpc.health.v1.Health", "Watch");

    readonly Lock _lock = new();
    readonly Dictionary<string, ServingStatus> _statuses = new(StringComparer.Ordinal) { [""] = ServingStatus.Serving };
    readonly HashSet<Watcher> _watchers = [];

    /// <summary>Sets the status of a service and tells those that watch it.</summary>
    /// <param name="service">Full name of a service, or empty for the whole server, which is serving from the start.</param>
    public void SetStatus(string service, ServingStatus status)
    {
        lock (_lock)
        {
            _statuses[service] = status;
            foreach (var watcher in _watchers)
            {
                if (string.Equals(watcher.Service, service, StringComparison.Ordinal)) watcher.Statuses.Writer.TryWrite(status);
            }
        }
    }

    internal ValueTask<HealthCheckResponse> AnswerCheckAsync(HealthCheckRequest request)
    {
        lock (_lock)
        {
            return _statuses.TryGetValue(request.Service, out var status)
                ? ValueTask.FromResult(new HealthCheckResponse { Status = status })
                : throw new RpcException(RpcStatusCode.NotFound, "no such service is known here");
        }
    }

    internal async Task AnswerWatchAsync(HealthCheckRequest request, RpcResponseStream<HealthCheckResponse> responses, RpcServerCall call)
    {
        var watcher = new Watcher(request.Service);
        lock (_lock)
        {
            watcher.Statuses.Writer.TryWrite(_statuses.GetValueOrDefault(request.Service, ServingStatus.ServiceUnknown));
            _watchers.Add(watcher);
        }

        try
        {
            ServingStatus? told = null;
            await foreach (var status in watcher.Statuses.Reader.ReadAllAsync(call.CancellationToken))
            {
                if (status == told) continue;
                told = status;
                await responses.WriteAsync(new HealthCheckResponse { Status = status });
            }
        }
        finally
        {
            lock (_lock) _watchers.Remove(watcher);
        }
    }

    sealed class Watcher(string service)
    {
        public string Service { get; } = service;

        /// <summary>Only the newest status matters to a watcher that is slow.</summary>
        public Channel<ServingStatus> Statuses { get; } =
            Channel.CreateBounded<ServingStatus>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    }
}

public static class RpcHealthExtensions
{
    public static IServiceCollection AddRpcHealth(this IServiceCollection services)
    {
        services.TryAddSingleton<RpcHealth>();
        return services;
    }

    /// <summary>Maps Check and Watch.</summary>
    public static void MapRpcHealth(this IEndpointRouteBuilder endpoints)
    {
        var health = endpoints.ServiceProvider.GetRequiredService<RpcHealth>();
        endpoints.MapUnary(RpcHealth.Check, (request, _) => health.AnswerCheckAsync(request));
        endpoints.MapServerStreaming(RpcHealth.Watch, health.AnswerWatchAsync);
    }
}
