using System.CommandLine;
using System.Net;
using Guestmark.CommandLine;
using Guestmark.Sensor;

namespace Guestmark;

/// <summary><c>guestmark sensor</c>: one for each cluster.</summary>
static class SensorCommand
{
    public static Command Create()
    {
        var data = RoleArguments.Data("sensor");
        var certificates = RoleArguments.Certificates();
        var listen = RoleArguments.ListenAddress("--listen", "Where nodes connect", new IPEndPoint(IPAddress.Loopback, 8443));
        var central = RoleArguments.PeerAddress("--central-endpoint", "Central");
        var centralName = new Option<string?>("--central-name") { Description = "The name in Central's certificate, when it is not the endpoint's host", HelpName = "NAME" };
        var guests = new Option<string?>("--guests")
        {
            Description = "The guests of all nodes, in a JSON file that is read again when it changes; nodes with registry-sensor follow it",
            HelpName = "FILE",
        };
        var host = new HostFlags();
        var command = new Command("sensor", "Receives from the nodes of a cluster and delivers to Central") { listen, central, centralName, certificates, data, guests }.WithExamples(
            """
            guestmark sensor --listen 0.0.0.0:8443 --central-endpoint central.example.com:8444 --certs /etc/guestmark/certs
            guestmark sensor --guests /etc/guestmark/guests.json --central-endpoint central:8444 --certs /etc/guestmark/certs
            """);
        host.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new SensorOptions
            {
                DataDirectory = parsed.GetRequiredValue(data),
                CentralEndpoint = parsed.GetRequiredValue(central),
                CentralName = parsed.GetValue(centralName),
                Certificates = parsed.GetRequiredValue(certificates),
                GuestsFile = parsed.GetValue(guests) is { } file ? Path.GetFullPath(file) : null,
            };
            var app = await RoleHosts.StartAsync("sensor", () => RoleHosts.Sensor(options, parsed.GetRequiredValue(listen), host.Read(parsed)), cancellationToken);
            await Console.Error.WriteLineAsync($"sensor: nodes connect to {RoleHosts.Address(app, 0).Authority}");
            await RoleHosts.RunAsync(app, cancellationToken);
            return ExitCode.Done;
        });
        return command;
    }
}
