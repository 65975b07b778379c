using System.CommandLine;
using System.CommandLine.Parsing;
using System.Net;
using Guestmark.CommandLine;
using Microsoft.AspNetCore.Builder;

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
            // The command line hears of SIGTERM when the action first waits: before any host does.
            await Task.Yield();
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
        foreach (var twice in setup.Guests.GroupBy(g => g.Name).Where(g => g.Count() > 1))
            throw new UsageException($"--guest {twice.Key}: the name is given twice, or is this machine's");
        using var held = DataFolder.Hold(setup.Data);
        // Who can reach a guest's socket can speak as that guest.
        DataFolder.MakePrivate(setup.Sockets);
        Certificates.Create(setup.Certificates, ["central", "sensor", "node"], time);

        // :: Step 2
        var database = await FeedImport.RunAsync(setup.CentralData, setup.Feeds, progress, cancellationToken);

        // :: Step 3
        await using var hosts = new UpHosts();
        var central = await hosts.StartAsync(setup, database, cancellationToken);
        var address = RoleHosts.Address(central, 1);
        using var api = new CentralClient(address, File.ReadAllText(Path.Combine(setup.CentralData, "api-token")).Trim());

        // :: Steps 4 and 5
        var scans = new GuestScans(setup, api, progress, time);
        if (once)
        {
            var (reported, failures) = await scans.RunAsync(cancellationToken);
            await new UpSummary(api, [.. reported.Select(guest => guest.Uid(UpSetup.Cluster))]).PrintAsync(output, cancellationToken);
            if (failures.Count > 0) throw new CommandException(string.Join("\nerror: ", failures.Select(failure => failure.ToString())));
            return;
        }

        await GreetAsync(central, address, setup);
        try
        {
            while (true)
            {
                try
                {
                    var (_, failures) = await scans.RunAsync(cancellationToken);
                    foreach (var failure in failures) await Console.Error.WriteLineAsync(TerminalText.Printable($"error: {failure}"));
                }
                catch (CommandException e)
                {
                    // What could not be matched in time will be; the next scan comes in any case.
                    await Console.Error.WriteLineAsync($"error: {e.Message}");
                }

                await Task.Delay(ScanInterval, time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("stopping");
        }
    }

    static async Task GreetAsync(WebApplication central, Uri address, UpSetup setup)
    {
        var centralData = setup.CentralData;
        await Console.Out.WriteLineAsync(
            $"""

             Guestmark is at {address}
             Sign in once with {RoleHosts.SignInLink(central, address)}
             The API takes the token in {Path.Combine(centralData, "api-token")}:
               curl -H "Authorization: Bearer $(cat {Path.Combine(centralData, "api-token")})" {address}api/v1/vms
             Events are signed; the public key is in {setup.Keys}:
               guestmark spool inspect -o jsonl {setup.NodeData} | guestmark verify - --keys {setup.Keys}
             Ctrl-C stops.

             """);
    }

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
