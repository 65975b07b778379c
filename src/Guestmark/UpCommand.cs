using System.CommandLine;
using System.CommandLine.Parsing;
using System.Net;
using Guestmark.Central;
using Guestmark.CommandLine;
using Guestmark.Node;
using Guestmark.Sensor;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Guestmark;

/// <summary><c>guestmark up</c>: node, sensor and Central in one process, and agents that scan this machine and folders.</summary>
/// <remarks>
/// <list type="number">
/// <item>Take the data folder for this process; make certificates when there are none.</item>
/// <item>Import the feeds.</item>
/// <item>Start Central, then the sensor, then the node: each connects to the one before over loopback with mutual TLS.</item>
/// <item>Run an agent process for each guest, which reports through the guest's socket.</item>
/// <item>With <c>--once</c>, wait until Central has stored and matched every report, print and end; else scan again every four hours.</item>
/// </list>
/// </remarks>
static class UpCommand
{
    const string Cluster = "local";
    const uint PushPort = 818;
    static readonly TimeSpan ScanInterval = TimeSpan.FromHours(4);
    static readonly IPEndPoint AnyLoopbackPort = new(IPAddress.Loopback, 0);
    static readonly IPEndPoint DefaultAddress = new(IPAddress.Loopback, 8180);

    public static Command Create()
    {
        var data = new Option<string>("--data") { Description = "The folder for everything that is kept", HelpName = "DIR", DefaultValueFactory = _ => RoleArguments.DataHome };
        var guests = new Option<ScannedGuest[]>("--guest")
        {
            Description = "A folder that holds the files of another machine: NAME=DIR[,distro=ID:VERSION]. Repeatable",
            HelpName = "NAME=DIR",
            CustomParser = ParseGuests,
        };
        var feeds = FeedImport.Option();
        var address = new Option<IPEndPoint?>("--address")
        {
            Description = $"Where the pages and the API are [default: {DefaultAddress}; any free port with --once]",
            HelpName = "IP:PORT",
            CustomParser = RoleArguments.ParseListenAddress,
        };
        var once = new Option<bool>("--once") { Description = "Scan every guest once, print what was found and end" };
        var output = new Option<string>("--output", "-o") { Description = "How --once prints", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json");
        var command = new Command("up", "Runs everything in one process, with this machine as the first guest") { guests, feeds, once, output, address, data }.WithExamples(
            """
            guestmark up
            guestmark up --feed almalinux-osv.zip --guest web1=/mnt/web1 --guest c8=/mnt/c8,distro=almalinux:8
            guestmark up --once -o json --guest c8=/mnt/c8,distro=almalinux:8 --feed almalinux-osv.zip
            """);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var isOnce = parsed.GetValue(once);
            var setup = new UpSetup(
                Path.GetFullPath(parsed.GetRequiredValue(data)),
                [ScannedGuest.ThisMachine(), .. parsed.GetValue(guests) ?? []],
                parsed.GetValue(feeds) ?? [],
                parsed.GetValue(address) ?? (isOnce ? AnyLoopbackPort : DefaultAddress));
            await RunAsync(setup, isOnce, parsed.GetRequiredValue(output), cancellationToken);
            return ExitCode.Done;
        });
        return command;
    }

    static async Task RunAsync(UpSetup setup, bool once, string output, CancellationToken cancellationToken)
    {
        var time = TimeProvider.System;
        var progress = new Progress(time);

        // :: Step 1
        foreach (var twice in setup.Guests.GroupBy(g => g.Name).Where(g => g.Count() > 1)) throw new UsageException($"--guest {twice.Key}: the name is given twice, or is this machine's");
        using var held = DataFolder.Hold(setup.Data);
        var certificates = Path.Combine(setup.Data, "certs");
        Certificates.Create(certificates, ["central", "sensor", "node"], time);

        // :: Step 2
        var centralData = Path.Combine(setup.Data, "central");
        var database = await FeedImport.RunAsync(centralData, setup.Feeds, progress, cancellationToken);

        var hosts = new Stack<WebApplication>();
        try
        {
            // :: Step 3
            var central = await RoleHosts.StartAsync(
                "central",
                () => RoleHosts.Central(
                    new CentralOptions { DataDirectory = centralData }, Path.Combine(certificates, "central"), AnyLoopbackPort, setup.Address, database, LogLevel.Warning),
                cancellationToken);
            hosts.Push(central);

            var sensorOptions = new SensorOptions
            {
                DataDirectory = Path.Combine(setup.Data, "sensor"),
                CentralEndpoint = LoopbackEndpoint(central),
                CentralName = "central",
                Certificates = Path.Combine(certificates, "sensor"),
            };
            var sensor = await RoleHosts.StartAsync("sensor", () => RoleHosts.Sensor(sensorOptions, AnyLoopbackPort, LogLevel.Warning), cancellationToken);
            hosts.Push(sensor);

            var nodeOptions = new NodeOptions
            {
                Cluster = Cluster,
                Node = ScannedGuest.NameOfThisMachine(),
                DataDirectory = Path.Combine(setup.Data, "node"),
                Guests = [.. setup.Guests.Select(guest => guest.Channel(setup.Data, Cluster))],
                PushPort = PushPort,
                SensorEndpoint = LoopbackEndpoint(sensor),
                SensorName = "sensor",
                Certificates = Path.Combine(certificates, "node"),
            };
            hosts.Push(await RoleHosts.StartAsync("node", () => RoleHosts.Node(nodeOptions, LogLevel.Warning), cancellationToken));

            var address = RoleHosts.Address(central, 1);
            using var api = new CentralClient(address, File.ReadAllText(Path.Combine(centralData, "api-token")).Trim());
            if (!once) await GreetAsync(central, address, centralData);

            // :: Steps 4 and 5
            var agents = new GuestScans(setup, Cluster, PushPort, progress, time);
            if (once)
            {
                var started = time.GetUtcNow();
                var failures = await agents.RunAsync(cancellationToken);
                var reported = setup.Guests.Where(guest => failures.All(failure => failure.Guest != guest || failure.Reported)).ToList();
                await agents.WaitUntilMatchedAsync(api, reported, started, cancellationToken);
                await new UpSummary(api, [.. reported.Select(guest => guest.Uid(Cluster))]).PrintAsync(output, cancellationToken);
                if (failures.Count > 0) throw new CommandException(string.Join("\nerror: ", failures.Select(failure => failure.ToString())));
                return;
            }

            try
            {
                while (true)
                {
                    foreach (var failure in await agents.RunAsync(cancellationToken)) await Console.Error.WriteLineAsync(TerminalText.Printable($"error: {failure}"));
                    await Task.Delay(ScanInterval, time, cancellationToken);
                }
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                await Console.Error.WriteLineAsync("stopping");
            }
        }
        finally
        {
            while (hosts.TryPop(out var host)) await RoleHosts.StopAsync(host);
        }
    }

    static async Task GreetAsync(WebApplication central, Uri address, string centralData)
    {
        await Console.Out.WriteLineAsync(
            $"""

             Guestmark is at {address}
             Sign in once with {RoleHosts.SignInLink(central, address)}
             The API takes the token in {Path.Combine(centralData, "api-token")}:
               curl -H "Authorization: Bearer $(cat {Path.Combine(centralData, "api-token")})" {address}api/v1/vms
             Ctrl-C stops.

             """);
    }

    static Uri LoopbackEndpoint(WebApplication app) => new($"https://127.0.0.1:{RoleHosts.Port(app, 0)}");

    static ScannedGuest[]? ParseGuests(ArgumentResult result)
    {
        var guests = new List<ScannedGuest>();
        foreach (var token in result.Tokens)
        {
            if (ScannedGuest.Parse(token.Value, out var problem) is { } guest)
            {
                guests.Add(guest);
            }
            else
            {
                result.AddError($"--guest {token.Value}: {problem}");
                return null;
            }
        }

        return [.. guests];
    }
}

/// <summary>What <c>guestmark up</c> was asked for.</summary>
sealed record UpSetup(string Data, IReadOnlyList<ScannedGuest> Guests, string[] Feeds, IPEndPoint Address);
