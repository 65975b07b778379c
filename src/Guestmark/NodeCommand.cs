using System.CommandLine;
using System.Diagnostics.Metrics;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Guestmark.Node;
using Guestmark.Node.Listening;
using Guestmark.Systemd;
using Guestmark.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark;

/// <summary><c>guestmark node</c>: the daemon of one host.</summary>
static class NodeCommand
{
    public static Command Create()
    {
        var flags = new NodeFlags();
        var command = new Command(
            "node",
            "Listens to the guests of this host, stamps what they report and keeps it until the sensor has it. A flag wins over its environment variable, "
            + "that over the configuration file").WithExamples(
            """
            guestmark node --guest web1=/run/vm/web1.sock --sensor-endpoint sensor:443 --certs /etc/guestmark/certs
            guestmark node --config /etc/guestmark/node.yaml --address 127.0.0.1:9000
            guestmark node --mode hybrid --guest web1=/run/vm/web1.sock,uid=0d5c… --sensor-endpoint 127.0.0.1:8443 --sensor-name sensor --certs certs/node1
            """);
        flags.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var values = flags.Read(parsed);
            var setup = NodeFlags.Require(values);
            using var notifier = ServiceNotifier.OfThisProcess();
            var app = await RoleHosts.StartAsync("node", () => Host(setup, values, () => flags.Read(parsed), notifier), cancellationToken);
            await TellAsync(setup);
            notifier.Ready();
            await RoleHosts.RunAsync(app, cancellationToken);
            return ExitCode.Done;
        });
        return command;
    }

    static WebApplication Host(NodeSetup setup, SettingValues values, Func<SettingValues> read, ServiceNotifier notifier)
    {
        var host = new HostSettings
        {
            Log = new LogSwitch(setup.LogLevel),
            Format = setup.LogFormat,
            Telemetry = setup.Options.Endpoint is { } address ? new TelemetryOptions(address) { Metrics = setup.ExposeMetrics, Health = setup.HealthCheck } : null,
            RelayGrace = setup.RelayGrace,
            Notifier = notifier,
        };
        return setup.Delivers ? RoleHosts.Node(setup.Options, host, Add) : RoleHosts.Agent(host, Add);

        void Add(IServiceCollection services)
        {
            // After the listeners, whose socket it connects to.
            if (setup.Agent is { } agent)
            {
                services.AddHostedService(provider => new VmAgent(
                    agent, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<VmAgent>>()));
            }

            services.AddSingleton(provider => new NodeReload(
                read, values, provider.GetService<NodeConfiguration>() ?? new NodeConfiguration(setup.Options), host.Log, notifier,
                provider.GetRequiredService<IMeterFactory>(), provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<NodeReload>>()));
            services.AddHostedService(provider => provider.GetRequiredService<NodeReload>());
        }
    }

    static async Task TellAsync(NodeSetup setup)
    {
        var options = setup.Options;
        foreach (var guest in options.Guests.Where(_ => setup.Delivers))
        {
            var channel = guest.SocketBase is not null
                ? string.Join(" and ", options.SocketListeners().Select(listener => guest.SocketPath(listener.Port)))
                : $"vsock CID {guest.Cid}";
            await Console.Error.WriteLineAsync($"node: listening for {guest.Name} ({guest.Uid}) on {channel}");
        }

        foreach (var listener in options.VsockListeners) await Console.Error.WriteLineAsync($"node: listening on vsock port {listener.Port}");
        if (options.RegistryFromSensor && setup.Delivers) await Console.Error.WriteLineAsync("node: following the sensor's list of guests");
        if (options.Endpoint is { } endpoint) await Console.Error.WriteLineAsync($"node: /metrics, /healthz and /readyz on http://{endpoint}");
        foreach (var left in InheritedSockets.OfThisProcess.Left)
            await Console.Error.WriteLineAsync($"warning: the service manager opened {left}, and nothing in the configuration listens there");
    }
}
