using System.Net;
using System.Text;
using Guestmark.Node.Listening;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Guestmark.Telemetry;

/// <summary>What an endpoint serves.</summary>
sealed record TelemetryOptions(IPEndPoint Address)
{
    public bool Metrics { get; init; } = true;

    public bool Health { get; init; } = true;
}

/// <summary><c>/metrics</c>, <c>/healthz</c> and <c>/readyz</c> of a role, on a listener that serves nothing else.</summary>
static class TelemetryEndpoint
{
    /// <summary>Connections of one endpoint: Prometheus and a kubelet need a handful.</summary>
    const int ConnectionsMax = 64;

    /// <summary>From the first byte of a request to the end of its headers. Kestrel's own 30 s would hold a place for long. It has one limit for
    /// all that a process listens on, so RPC and Central's pages have the same.</summary>
    static readonly TimeSpan HeadersTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Listens, or takes the socket that the service manager opened for this address.</summary>
    public static void ListenForTelemetry(this KestrelServerOptions kestrel, IPEndPoint address)
    {
        kestrel.Limits.RequestHeadersTimeout = HeadersTimeout;
        if (InheritedSockets.OfThisProcess.Take(address) is not { } inherited)
        {
            kestrel.Listen(address, Configure);
            return;
        }

        var descriptor = (ulong)inherited.SafeHandle.DangerousGetHandle();
        // From here on it is Kestrel's: our socket's finalizer must not close it.
        inherited.SafeHandle.SetHandleAsInvalid();
        kestrel.ListenHandle(descriptor, Configure);
    }

    /// <summary>Answers on that listener. To be called before other middleware.</summary>
    public static void UseTelemetry(this WebApplication app, TelemetryOptions options)
    {
        var metrics = app.Services.GetRequiredService<MetricsCollector>();
        var health = app.Services.GetRequiredService<Health>();
        app.Use((context, next) =>
        {
            if (context.Features.Get<TelemetryConnections.TelemetryConnection>() is not { } connection) return next(context);
            return connection.AnswerAsync(() => AnswerAsync(context));
        });

        Task AnswerAsync(HttpContext context)
        {
            var path = context.Request.Path.Value;
            return context.Request.Method is not ("GET" or "HEAD") ? WriteAsync(context, StatusCodes.Status405MethodNotAllowed, "text/plain", "GET is what is answered here\n"u8.ToArray())
                : path == "/metrics" && options.Metrics ? WriteMetricsAsync(context, metrics)
                : path == "/healthz" && options.Health ? WriteHealthAsync(context, health.Look(livenessOnly: true))
                // The name that fact has.
                : path is "/readyz" or "/health_check" && options.Health ? WriteHealthAsync(context, health.Look(livenessOnly: false))
                : path is "/metrics" or "/healthz" or "/readyz" or "/health_check" ? WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "text/plain", "turned off by the configuration\n"u8.ToArray())
                : WriteAsync(context, StatusCodes.Status404NotFound, "text/plain", "/metrics, /healthz and /readyz are answered here\n"u8.ToArray());
        }
    }

    /// <summary>Whether a client would rather have OpenMetrics than Prometheus' own format.</summary>
    internal static bool PrefersOpenMetrics(StringValues accept)
    {
        if (!MediaTypeHeaderValue.TryParseList(accept!, out var types)) return false;
        return Quality("application/openmetrics-text", exact: true) is var open and > 0 && open >= Quality("text/plain", exact: false);

        double Quality(string type, bool exact) => types
            .Where(t => string.Equals(t.MediaType.Value, type, StringComparison.OrdinalIgnoreCase) || (!exact && t.MatchesAllTypes))
            .Select(t => t.Quality ?? 1).DefaultIfEmpty(0).Max();
    }

    static void Configure(ListenOptions listener)
    {
        listener.Protocols = HttpProtocols.Http1;
        var connections = new TelemetryConnections(ConnectionsMax);
        listener.Use(next => connection => connections.ServeAsync(connection, next));
    }

    static Task WriteMetricsAsync(HttpContext context, MetricsCollector metrics)
    {
        var openMetrics = PrefersOpenMetrics(context.Request.Headers.Accept);
        var text = MetricsText.Write(metrics.Collect(), openMetrics);
        return WriteAsync(context, StatusCodes.Status200OK, openMetrics ? MetricsText.OpenMetricsType : MetricsText.PrometheusType, Encoding.UTF8.GetBytes(text));
    }

    static Task WriteHealthAsync(HttpContext context, IReadOnlyList<HealthFinding> findings) =>
        WriteAsync(context, Health.IsGood(findings) ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, "application/json", Health.Json(findings));

    static async Task WriteAsync(HttpContext context, int status, string type, byte[] body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.ContentLength = body.Length;
        context.Response.Headers.CacheControl = "no-store";
        if (context.Request.Method != "HEAD") await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }
}
