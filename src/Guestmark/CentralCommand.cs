using System.CommandLine;
using System.Net;
using Guestmark.Central;
using Guestmark.CommandLine;

namespace Guestmark;

/// <summary><c>guestmark central</c>: store, matching, API and pages.</summary>
static class CentralCommand
{
    public static Command Create()
    {
        var data = RoleArguments.Data("central");
        var certificates = RoleArguments.Certificates();
        var listen = RoleArguments.ListenAddress("--listen", "Where sensors connect", new IPEndPoint(IPAddress.Loopback, 8444));
        var address = RoleArguments.ListenAddress("--address", "Where people and API clients connect, over HTTP", new IPEndPoint(IPAddress.Loopback, 8180));
        var feeds = FeedImport.Option();
        var host = new HostFlags();
        var command = new Command("central", "Stores what the sensors deliver, matches it and shows it") { listen, address, certificates, data, feeds }.WithExamples(
            """
            guestmark central --listen 0.0.0.0:8444 --certs /etc/guestmark/certs --feed almalinux-osv.zip
            """);
        host.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var folder = parsed.GetRequiredValue(data);
            using var held = DataFolder.Hold(folder);
            var database = await FeedImport.RunAsync(folder, parsed.GetValue(feeds) ?? [], new Progress(TimeProvider.System), cancellationToken);
            var app = await RoleHosts.StartAsync(
                "central",
                () => RoleHosts.Central(
                    new CentralOptions { DataDirectory = folder },
                    parsed.GetRequiredValue(certificates), parsed.GetRequiredValue(listen), parsed.GetRequiredValue(address), database, host.Read(parsed)),
                cancellationToken);
            await Console.Error.WriteLineAsync($"central: sensors connect to {RoleHosts.Address(app, 0).Authority}");
            await Console.Error.WriteLineAsync($"central: sign in at {RoleHosts.SignInLink(app, RoleHosts.Address(app, 1))}");
            await RoleHosts.RunAsync(app, cancellationToken);
            return ExitCode.Done;
        });
        return command;
    }
}
