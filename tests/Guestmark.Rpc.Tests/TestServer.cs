using System.Collections.Concurrent;
using System.Net;
using Google.Protobuf.WellKnownTypes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Rpc.Tests;

/// <summary>The methods that the tests call, one of each kind.</summary>
static class Methods
{
    public static readonly RpcMethod<StringValue, StringValue> Unary = new("test.Calls", "Unary");
    public static readonly RpcMethod<StringValue, StringValue> Down = new("test.Calls", "Down");
    public static readonly RpcMethod<StringValue, StringValue> Up = new("test.Calls", "Up");
    public static readonly RpcMethod<StringValue, StringValue> Both = new("test.Calls", "Both");
    public static readonly RpcMethod<BytesValue, BytesValue> Bytes = new("test.Calls", "Bytes");

    public static StringValue Text(string value) => new() { Value = value };
}

/// <summary>An application with RPC methods on a port of loopback.</summary>
sealed class TestServer : IAsyncDisposable
{
    readonly WebApplication _app;

    TestServer(WebApplication app, ConcurrentQueue<LogEntry> logs, Uri address)
    {
        _app = app;
        Logs = logs;
        Address = address;
    }

    public Uri Address { get; }

    public ConcurrentQueue<LogEntry> Logs { get; }

    public IServiceProvider Services => _app.Services;

    public static async Task<TestServer> StartAsync(
        Action<IEndpointRouteBuilder> map,
        Action<RpcServerOptions>? configure = null,
        CertificateDirectory? certificates = null,
        Action<IServiceCollection>? services = null,
        string? socket = null,
        Action<KestrelServerOptions>? kestrel = null)
    {
        var logs = new ConcurrentQueue<LogEntry>();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().AddProvider(new QueueLoggerProvider(logs));
        builder.Services.AddRpc(configure);
        services?.Invoke(builder.Services);
        builder.WebHost.ConfigureKestrel(options =>
        {
            if (socket is null) options.Listen(IPAddress.Loopback, 0, listen => listen.UseRpc(certificates));
            else options.ListenUnixSocket(socket, listen => listen.UseRpc(certificates));
            kestrel?.Invoke(options);
        });
        var app = builder.Build();
        map(app);
        await app.StartAsync();
        var url = app.Urls.First();
        var address = socket is null ? new Uri($"{(certificates is null ? "http" : "https")}://127.0.0.1:{new Uri(url).Port}") : new Uri($"unix:{socket}");
        return new TestServer(app, logs, address);
    }

    public RpcChannel Connect(RpcChannelOptions? options = null) => new(Address, options);

    /// <summary>Addresses of all listeners, in the order in which they were added.</summary>
    public IReadOnlyList<Uri> Addresses => [.. _app.Urls.Select(url => new Uri(url))];

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }
}

sealed record LogEntry(EventId Id, LogLevel Level, string Message, Exception? Exception);

sealed class QueueLoggerProvider(ConcurrentQueue<LogEntry> entries) : ILoggerProvider, ILogger
{
    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        entries.Enqueue(new LogEntry(eventId, logLevel, formatter(state, exception), exception));

    public void Dispose()
    {
    }
}
