using System.CommandLine;
using System.CommandLine.Parsing;
using Guestmark.CommandLine;
using Guestmark.Node;
using Microsoft.Extensions.Logging;

namespace Guestmark;

/// <summary><c>guestmark node</c>: the daemon of one host.</summary>
static class NodeCommand
{
    public static Command Create()
    {
        var data = RoleArguments.Data("node");
        var certificates = RoleArguments.Certificates();
        var sensor = RoleArguments.PeerAddress("--sensor-endpoint", "The sensor");
        var sensorName = new Option<string?>("--sensor-name") { Description = "The name in the sensor's certificate, when it is not the endpoint's host", HelpName = "NAME" };
        var cluster = new Option<string>("--cluster") { Description = "The cluster's name in every event", HelpName = "NAME", DefaultValueFactory = _ => "local" };
        var name = new Option<string>("--node") { Description = "This host's name in every event", HelpName = "NAME", DefaultValueFactory = _ => Environment.MachineName };
        var port = new Option<uint>("--vsock-port") { Description = "The port that agents push to", HelpName = "PORT", DefaultValueFactory = _ => 818u };
        var guests = new Option<GuestOptions[]>("--guest")
        {
            Description = "A machine and its vsock Unix socket: NAME=SOCKET[,uid=UID]. The node listens on SOCKET_PORT. Repeatable",
            HelpName = "NAME=SOCKET",
            Required = true,
            CustomParser = ParseGuests,
        };
        var command = new Command("node", "Listens to the guests of this host, stamps what they report and keeps it until the sensor has it")
        {
            guests, sensor, sensorName, certificates, data, cluster, name, port,
        }.WithExamples(
            """
            guestmark node --guest web1=/run/vm/web1.sock --sensor-endpoint sensor:443 --certs /etc/guestmark/certs
            guestmark node --guest web1=/run/vm/web1.sock,uid=0d5c… --sensor-endpoint 127.0.0.1:8443 --sensor-name sensor --certs certs/node1
            """);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var (inCluster, onNode) = (parsed.GetRequiredValue(cluster), parsed.GetRequiredValue(name));
            var options = new NodeOptions
            {
                Cluster = inCluster,
                Node = onNode,
                DataDirectory = parsed.GetRequiredValue(data),
                Guests = [.. parsed.GetRequiredValue(guests).Select(guest => guest.Uid.Length > 0 ? guest : guest with { Uid = GuestOptions.UidOf(inCluster, onNode, guest.Name) })],
                PushPort = parsed.GetRequiredValue(port),
                SensorEndpoint = parsed.GetRequiredValue(sensor),
                SensorName = parsed.GetValue(sensorName),
                Certificates = parsed.GetRequiredValue(certificates),
            };
            var app = await RoleHosts.StartAsync("node", () => RoleHosts.Node(options, LogLevel.Information), cancellationToken);
            foreach (var guest in options.Guests) await Console.Error.WriteLineAsync($"node: listening for {guest.Name} ({guest.Uid}) on {guest.SocketPath(options.PushPort)}");
            await RoleHosts.RunAsync(app, cancellationToken);
            return ExitCode.Done;
        });
        return command;
    }

    static GuestOptions[]? ParseGuests(ArgumentResult result)
    {
        var guests = new List<GuestOptions>();
        foreach (var token in result.Tokens)
        {
            var parts = token.Value.Split(',');
            var uid = parts.Skip(1).Select(part => part.StartsWith("uid=", StringComparison.Ordinal) ? part[4..] : "").FirstOrDefault();
            if (parts[0].Split('=', 2) is not [{ Length: > 0 } name, { Length: > 0 } socket] || parts.Length > 2 || uid is "")
            {
                result.AddError($"--guest {token.Value}: write NAME=SOCKET or NAME=SOCKET,uid=UID");
                return null;
            }

            guests.Add(new GuestOptions { Name = name, SocketBase = Path.GetFullPath(socket), Uid = uid ?? "" });
        }

        return [.. guests];
    }
}
