using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using Guestmark.Central;
using Guestmark.Central.Findings;
using Guestmark.Central.SignIn;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Guestmark.Node;
using Guestmark.Node.Identity;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.Sensor;
using Guestmark.Systemd;
using Guestmark.Telemetry;
using Guestmark.Vulnerabilities;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Guestmark;

/// <summary>How a host logs and whether it is watched from outside.</summary>
sealed record HostSettings
{
    public required LogSwitch Log { get; init; }

    public LogFormat Format { get; init; }

    /// <summary>Null: no endpoint.</summary>
    public TelemetryOptions? Telemetry { get; init; }

    /// <summary>How long the next hop may be out of reach before the role is not ready.</summary>
    public TimeSpan RelayGrace { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Whom to tell that the process is ready; null where several roles share a process, which none of them speaks for.</summary>
    public ServiceNotifier? Notifier { get; init; }

    /// <summary>One role of several in a process.</summary>
    public static HostSettings Part(LogLevel level) => new() { Log = new LogSwitch(level) };
}

/// <summary>Composes each role into a host of its own. A process may run one of them, or all three.</summary>
static class RoleHosts
{
    /// <param name="add">More services of the process: the reload of its configuration, the agent of this machine.</param>
    public static WebApplication Node(NodeOptions options, HostSettings host, Action<IServiceCollection>? add = null)
    {
        ThrowIfInvalid("node", options.Validate());
        var builder = CreateBuilder(host);
        builder.Services.AddNode(options);
        AddHealth(builder.Services, host, provider =>
        [
            RoleChecks.SpoolWorks(provider.GetRequiredService<MetricsCollector>()),
            RoleChecks.SocketsAreBound(() => Sockets(provider.GetRequiredService<GuestRegistry>(), options)),
            RoleChecks.FolderIsWritable(options.DataDirectory),
            RoleChecks.SpoolHasRoom(provider.GetRequiredService<MetricsCollector>()),
            RoleChecks.RelayIsConnected(provider.GetRequiredService<MetricsCollector>(), host.RelayGrace),
            .. options.RegistryFromSensor ? [RoleChecks.RegistryIsFollowed(provider.GetRequiredService<MetricsCollector>(), host.RelayGrace)] : (HealthCheck[])[],
            .. options.RegistryFile is { } guests ? [RoleChecks.GuestsAreTaken(guests, () => provider.GetRequiredService<RegistryFile>().Problem)] : (HealthCheck[])[],
            .. options.Certificates is { } folder ? [RoleChecks.CertificatesAreValid(folder, provider.GetRequiredService<TimeProvider>())] : (HealthCheck[])[],
            .. Configuration(provider),
        ]);
        add?.Invoke(builder.Services);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenForControl());
        var app = Build(builder, host);
        // What /readyz says, also where no endpoint is configured: the doctor asks.
        app.MapNode().MapGet("/health", (Health health) => Results.Bytes(Health.Json(health.Look(livenessOnly: false)), "application/json"));
        return app;
    }

    /// <summary>A process that runs only the agent of this machine.</summary>
    public static WebApplication Agent(HostSettings host, Action<IServiceCollection> add)
    {
        var builder = CreateBuilder(host);
        AddHealth(builder.Services, host, Configuration);
        add(builder.Services);
        // Without an address Kestrel would listen on port 5000.
        if (host.Telemetry is null) builder.Services.AddSingleton<IServer, NoServer>();
        return Build(builder, host);
    }

    /// <param name="rpc">Where nodes connect.</param>
    public static WebApplication Sensor(SensorOptions options, IPEndPoint rpc, HostSettings host)
    {
        ThrowIfInvalid("sensor", options.Validate());
        // Before the spool makes it with what the umask leaves. Its events are what is installed in every machine.
        DataFolder.CloseToOthers(options.DataDirectory);
        var builder = CreateBuilder(host);
        builder.Services.AddPublish();
        builder.Services.AddRpcHealth();
        builder.Services.AddSensor(options);
        AddHealth(builder.Services, host, provider =>
        [
            RoleChecks.SpoolWorks(provider.GetRequiredService<MetricsCollector>()),
            RoleChecks.PortListens("rpc", rpc),
            RoleChecks.FolderIsWritable(options.DataDirectory),
            RoleChecks.SpoolHasRoom(provider.GetRequiredService<MetricsCollector>()),
            RoleChecks.RelayIsConnected(provider.GetRequiredService<MetricsCollector>(), host.RelayGrace),
            RoleChecks.CertificatesAreValid(options.Certificates, provider.GetRequiredService<TimeProvider>()),
            .. options.GuestsFile is { } guests ? [RoleChecks.GuestsAreTaken(guests, () => provider.GetRequiredService<SensorGuests>().Problem)] : (HealthCheck[])[],
        ]);
        builder.WebHost.ConfigureKestrel(kestrel => ListenForRpc(kestrel, rpc));
        var app = Build(builder, host);
        app.MapRpcHealth();
        app.MapSensor();
        return app;
    }

    /// <param name="rpc">Where sensors connect.</param>
    /// <param name="web">Where people and API clients connect, over HTTP.</param>
    public static WebApplication Central(CentralOptions options, string certificates, IPEndPoint rpc, IPEndPoint web, AdvisoryDatabase database, HostSettings host)
    {
        var builder = CreateBuilder(host);
        builder.Services.AddPublish();
        builder.Services.AddRpcHealth();
        builder.Services.AddCentral(options);
        builder.Services.AddSingleton(provider => CertificateDirectory.Open(
            certificates, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<CertificateDirectory>>()));
        AddHealth(builder.Services, host, provider =>
        [
            RoleChecks.PortListens("rpc", rpc),
            RoleChecks.PortListens("web", web),
            RoleChecks.FolderIsWritable(options.DataDirectory),
            RoleChecks.CertificatesAreValid(certificates, provider.GetRequiredService<TimeProvider>()),
        ]);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            ListenForRpc(kestrel, rpc);
            kestrel.Listen(web, listener => listener.Protocols = HttpProtocols.Http1);
        });
        var app = Build(builder, host);
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
        // The command line hears of SIGTERM when the action that it has started first waits; the host hears of it while it starts.
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, app.Lifetime.ApplicationStopping);
        var stopping = new TaskCompletionSource();
        await using (either.Token.Register(stopping.SetResult)) await stopping.Task;
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

    /// <summary>The Unix sockets of guests that a node must have.</summary>
    static List<(string Path, bool IsReachable)> Sockets(GuestRegistry guests, NodeOptions options) =>
    [
        .. guests.All.Where(channel => channel.Guest.SocketBase is not null)
            .SelectMany(channel => options.SocketListeners().Select(listener => (channel.Guest.SocketPath(listener.Port), channel.IsReachable(listener.Port)))),
    ];

    static HealthCheck[] Configuration(IServiceProvider provider) =>
        provider.GetService<NodeReload>() is { } reload ? [RoleChecks.ConfigurationIsInForce(reload)] : [];

    /// <summary>The collector of metrics, the checks, and who looks at them.</summary>
    static void AddHealth(IServiceCollection services, HostSettings host, Func<IServiceProvider, HealthCheck[]> checks)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => new MetricsCollector(provider.GetRequiredService<IMeterFactory>()));
        services.AddSingleton<ProcessMetrics>();
        services.AddSingleton(provider => new Health(checks(provider), provider.GetRequiredService<TimeProvider>()));
        if (host.Notifier is not { } notifier) return;
        services.AddSingleton(notifier);
        services.AddHostedService(provider => new ReadinessWatch(
            provider.GetRequiredService<Health>(), notifier, provider.GetService<RpcHealth>(), provider.GetRequiredService<IHostApplicationLifetime>(),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ReadinessWatch>>()));
    }

    static WebApplication Build(WebApplicationBuilder builder, HostSettings host)
    {
        if (host.Telemetry is { } endpoint) builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenForTelemetry(endpoint.Address));
        var app = builder.Build();
        if (host.Notifier is not null || host.Telemetry is not null)
        {
            // Before anything counts: what is added to a counter that nobody listens to is gone.
            app.Services.GetRequiredService<MetricsCollector>();
            app.Services.GetRequiredService<ProcessMetrics>();
        }

        if (host.Telemetry is not null) app.UseTelemetry(host.Telemetry);
        return app;
    }

    static WebApplicationBuilder CreateBuilder(HostSettings host)
    {
        // The slim builder reads no files of the working folder and no ASPNETCORE_ variables decide where a role listens.
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = [], EnvironmentName = "Production" });
        builder.Logging.ClearProviders();
        // The switch decides, so that it may change.
        builder.Logging.SetMinimumLevel(LogLevel.Trace);
        builder.Logging.AddFilter(host.Log.Lets);
        if (host.Format == LogFormat.Json)
        {
            builder.Logging.AddJsonConsole(console =>
            {
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";
                console.UseUtcTimestamp = true;
            });
        }
        else
        {
            builder.Logging.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                console.UseUtcTimestamp = true;
                console.ColorBehavior = LoggerColorBehavior.Disabled;
            });
        }

        // Standard output belongs to what the command prints.
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        return builder;
    }

    static void ThrowIfInvalid(string role, IReadOnlyList<string> errors)
    {
        if (errors.Count > 0) throw new CommandException($"{role}: {string.Join("; ", errors)}");
    }

    /// <summary>A server that serves nothing.</summary>
    sealed class NoServer : IServer
    {
        public IFeatureCollection Features { get; } = new FeatureCollection();

        public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken)
            where TContext : notnull => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public void Dispose()
        {
        }
    }
}
