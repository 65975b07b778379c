using System.Net;
using System.Net.Sockets;
using Guestmark.Central;
using Guestmark.Central.Findings;
using Guestmark.Central.SignIn;
using Guestmark.CommandLine;
using Guestmark.Node;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.Sensor;
using Guestmark.Vulnerabilities;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Guestmark;

/// <summary>Composes each role into a host of its own. A process may run one of them, or all three.</summary>
static class RoleHosts
{
    public static WebApplication Node(NodeOptions options, LogLevel logLevel)
    {
        ThrowIfInvalid("node", options.Validate());
        var builder = CreateBuilder(logLevel);
        builder.Services.AddNode(options);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenForControl());
        var app = builder.Build();
        app.MapNode();
        return app;
    }

    /// <param name="rpc">Where nodes connect.</param>
    public static WebApplication Sensor(SensorOptions options, IPEndPoint rpc, LogLevel logLevel)
    {
        ThrowIfInvalid("sensor", options.Validate());
        var builder = CreateBuilder(logLevel);
        builder.Services.AddPublish();
        builder.Services.AddRpcHealth();
        builder.Services.AddSensor(options);
        builder.WebHost.ConfigureKestrel(kestrel => ListenForRpc(kestrel, rpc));
        var app = builder.Build();
        app.MapRpcHealth();
        app.MapSensor();
        return app;
    }

    /// <param name="rpc">Where sensors connect.</param>
    /// <param name="web">Where people and API clients connect, over HTTP.</param>
    public static WebApplication Central(CentralOptions options, string certificates, IPEndPoint rpc, IPEndPoint web, AdvisoryDatabase database, LogLevel logLevel)
    {
        var builder = CreateBuilder(logLevel);
        builder.Services.AddPublish();
        builder.Services.AddRpcHealth();
        builder.Services.AddCentral(options);
        builder.Services.AddSingleton(provider => CertificateDirectory.Open(
            certificates, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<CertificateDirectory>>()));
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            ListenForRpc(kestrel, rpc);
            kestrel.Listen(web, listener => listener.Protocols = HttpProtocols.Http1);
        });
        var app = builder.Build();
        app.MapRpcHealth();
        app.MapPublish(app.Services.GetRequiredService<IEventSink>());
        app.MapCentral();
        app.Services.GetRequiredService<PackageMatching>().UseDatabase(database);
        return app;
    }

    /// <summary>Makes and starts a host, and turns what goes wrong into words for the user.</summary>
    public static async Task<WebApplication> StartAsync(string role, Func<WebApplication> create, CancellationToken cancellationToken)
    {
        WebApplication? app = null;
        try
        {
            app = create();
            await app.StartAsync(cancellationToken);
            return app;
        }
        catch (Exception e) when (e is not (CommandException or OperationCanceledException))
        {
            if (app is not null) await app.DisposeAsync();
            throw new CommandException($"{role}: {Explain(e)}", e);
        }
    }

    static string Explain(Exception e) => e switch
    {
        // Kestrel's own message names the address: "Failed to bind to address http://127.0.0.1:8180: address already in use."
        IOException { InnerException: AddressInUseException } => $"{e.Message} Stop the process that uses it or choose another address.",
        SocketException { SocketErrorCode: SocketError.AddressNotAvailable } =>
            "cannot listen: the address is not one of this machine. Choose one that 'ip addr' shows, 127.0.0.1 or 0.0.0.0.",
        SocketException { SocketErrorCode: SocketError.AccessDenied } =>
            "cannot listen: ports below 1024 are for root. Choose a port from 1024 on.",
        _ => e.Message,
    };

    /// <summary>The address that the n-th listener of a started host has, where 0 was asked for.</summary>

    public static Uri Address(WebApplication app, int listener)
    {
        var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        return new Uri(addresses.ElementAt(listener));
    }

    public static int Port(WebApplication app, int listener) => Address(app, listener).Port;

    /// <summary>A link that signs a person in once.</summary>
    public static Uri SignInLink(WebApplication central, Uri address) =>
        new(address, SignInLinks.PathOf(central.Services.GetRequiredService<SignInLinks>().Create().Token));

    /// <summary>Runs a started host until it is told to stop.</summary>
    public static async Task RunAsync(WebApplication app, CancellationToken cancellationToken)
    {
        var stopping = new TaskCompletionSource();
        await using (cancellationToken.Register(stopping.SetResult)) await stopping.Task;
        await StopAsync(app);
    }

    public static async Task StopAsync(WebApplication app)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        await app.StopAsync(limit.Token);
        await app.DisposeAsync();
    }

    static void ListenForRpc(KestrelServerOptions kestrel, IPEndPoint rpc)
    {
        var certificates = kestrel.ApplicationServices.GetRequiredService<CertificateDirectory>();
        kestrel.Listen(rpc, listener => listener.UseRpc(certificates));
    }

    static WebApplicationBuilder CreateBuilder(LogLevel logLevel)
    {
        // The slim builder reads no files of the working folder and no ASPNETCORE_ variables decide where a role listens.
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = [], EnvironmentName = "Production" });
        builder.Logging.ClearProviders();
        builder.Logging.SetMinimumLevel(logLevel);
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        // That a host could not start is told by StartAsync, without a stack trace.
        builder.Logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.Critical);
        // It warns at every start that the keys of sessions are not encrypted: their folder has mode 0700.
        builder.Logging.AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error);
        builder.Logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.UseUtcTimestamp = true;
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        // Standard output belongs to what the command prints.
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        return builder;
    }

    static void ThrowIfInvalid(string role, IReadOnlyList<string> errors)
    {
        if (errors.Count > 0) throw new CommandException($"{role}: {string.Join("; ", errors)}");
    }
}
