using Google.Protobuf;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Guestmark.Rpc;

/// <summary>RPC methods as endpoints of an ASP.NET Core application, reachable only over listeners made for them.</summary>
public static class RpcServerExtensions
{
    public static IServiceCollection AddRpc(this IServiceCollection services, Action<RpcServerOptions>? configure = null)
    {
        services.AddRouting();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddEnumerable(ServiceDescriptor.Singleton<MatcherPolicy, RpcConnectionMatcherPolicy>());
        services.TryAddSingleton<UnknownMethod>();
        services.AddOptions<RpcServerOptions>().Configure(configure ?? (_ => { }));
        services.AddOptions<KestrelServerOptions>().Configure<IOptions<RpcServerOptions>>((kestrel, rpc) =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.Http2.MaxStreamsPerConnection = rpc.Value.CallsPerConnectionMax;
            kestrel.Limits.Http2.KeepAlivePingDelay = rpc.Value.KeepAliveInterval;
            kestrel.Limits.Http2.KeepAlivePingTimeout = rpc.Value.KeepAliveTimeout;
        });
        return services;
    }

    /// <summary>
    /// Makes this listener one for RPC and for nothing else. With certificates, every client must show one that chains to the
    /// directory's authority as it is at that moment; without, it is plaintext, for Unix sockets and loopback.
    /// </summary>
    public static ListenOptions UseRpc(this ListenOptions listen, CertificateDirectory? certificates = null)
    {
        listen.Protocols = HttpProtocols.Http2;
        if (certificates is not null)
        {
            listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(certificates.ServerAuthentication()) });
        }

        listen.Use(next => connection =>
        {
            connection.Features.Set(RpcConnectionFeature.Instance);
            return next(connection);
        });
        return listen;
    }

    /// <summary>One request, one response.</summary>
    public static IEndpointConventionBuilder MapUnary<TRequest, TResponse>(
        this IEndpointRouteBuilder endpoints, RpcMethod<TRequest, TResponse> method, Func<TRequest, RpcServerCall, ValueTask<TResponse>> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new() =>
        Map(endpoints, method, (options, time, logger) => new UnaryEndpoint<TRequest, TResponse>(options, time, logger, handler));

    /// <summary>One request, many responses: the call ends with Ok when the handler returns.</summary>
    public static IEndpointConventionBuilder MapServerStreaming<TRequest, TResponse>(
        this IEndpointRouteBuilder endpoints,
        RpcMethod<TRequest, TResponse> method,
        Func<TRequest, RpcResponseStream<TResponse>, RpcServerCall, Task> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new() =>
        Map(endpoints, method, (options, time, logger) => new ServerStreamingEndpoint<TRequest, TResponse>(options, time, logger, handler));

    /// <summary>Many requests, one response.</summary>
    public static IEndpointConventionBuilder MapClientStreaming<TRequest, TResponse>(
        this IEndpointRouteBuilder endpoints,
        RpcMethod<TRequest, TResponse> method,
        Func<RpcRequestStream<TRequest>, RpcServerCall, ValueTask<TResponse>> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new() =>
        Map(endpoints, method, (options, time, logger) => new ClientStreamingEndpoint<TRequest, TResponse>(options, time, logger, handler));

    /// <summary>Many of both, in any order: the call ends with Ok when the handler returns.</summary>
    public static IEndpointConventionBuilder MapDuplex<TRequest, TResponse>(
        this IEndpointRouteBuilder endpoints,
        RpcMethod<TRequest, TResponse> method,
        Func<RpcRequestStream<TRequest>, RpcResponseStream<TResponse>, RpcServerCall, Task> handler)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new() =>
        Map(endpoints, method, (options, time, logger) => new DuplexEndpoint<TRequest, TResponse>(options, time, logger, handler));

    static IEndpointConventionBuilder Map<TRequest, TResponse>(
        IEndpointRouteBuilder endpoints, RpcMethod<TRequest, TResponse> method, Func<RpcServerOptions, TimeProvider, ILogger, RpcEndpoint> create)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        var services = endpoints.ServiceProvider;
        var unknown = services.GetService<UnknownMethod>() ?? throw new InvalidOperationException("call services.AddRpc() before mapping RPC methods");
        if (unknown.ClaimMapping())
            Map(endpoints, "/{**path}", "unknown RPC method", (options, time, logger) => new UnknownMethodEndpoint(options, time, logger));
        return Map(endpoints, method.Path, method.Path, create);
    }

    static IEndpointConventionBuilder Map(
        IEndpointRouteBuilder endpoints, string pattern, string name, Func<RpcServerOptions, TimeProvider, ILogger, RpcEndpoint> create)
    {
        var services = endpoints.ServiceProvider;
        var endpoint = create(
            services.GetRequiredService<IOptions<RpcServerOptions>>().Value,
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILoggerFactory>().CreateLogger("Guestmark.Rpc.Server"));
        return endpoints.Map(RoutePatternFactory.Parse(pattern), endpoint.HandleAsync)
            .WithDisplayName(name)
            .WithMetadata(RpcEndpointMetadata.Instance);
    }

    /// <summary>The endpoint for unknown methods is mapped once an application, with the first method.</summary>
    sealed class UnknownMethod
    {
        int _mapped;

        public bool ClaimMapping() => Interlocked.Exchange(ref _mapped, 1) == 0;
    }
}
