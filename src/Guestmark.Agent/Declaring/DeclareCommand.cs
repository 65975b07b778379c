using System.CommandLine;
using System.Net.Sockets;
using Guestmark.Agent.Reporting;
using Guestmark.CommandLine;

namespace Guestmark.Agent.Declaring;

/// <summary><c>guestmark-agent declare</c>: tells the host of a cell which processes start and end in it.</summary>
static class DeclareCommand
{
    const uint PortDefault = 9001;
    const int QueueDefault = 4096;

    public static Command Create()
    {
        var port = new Option<uint>("--port") { Description = "The host's AF_VSOCK port", HelpName = "PORT", DefaultValueFactory = _ => PortDefault };
        var socket = new Option<string?>("--socket") { Description = "A Unix socket that leads to the host, instead of AF_VSOCK", HelpName = "PATH" };
        var window = Duration.Option(
            "--window", "The host's keep-alive window; the agent speaks at least three times in each", "10s", TimeSpan.FromMilliseconds(300), TimeSpan.FromHours(1));
        var queueLength = new Option<int>("--queue") { Description = "Declarations that wait for the host; what comes beyond is dropped and counted", HelpName = "NUMBER", DefaultValueFactory = _ => QueueDefault };
        queueLength.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 1 or > 1 << 20) result.AddError("--queue: must be 1 to 1048576");
        });
        var probe = new Option<string>("--probe")
        {
            Description = "How processes are observed: connector (the kernel tells; root), proc (looks at /proc at each interval) or auto (the better that works)",
            HelpName = "auto|connector|proc",
            DefaultValueFactory = _ => "auto",
        };
        probe.AcceptOnlyFromAmong("auto", "connector", "proc");
        var interval = Duration.Option("--interval", "With /proc: time between two looks", "250ms", TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1));
        var length = Duration.Option("--for", "End after this time; 0s: never", "0s", TimeSpan.Zero, TimeSpan.FromDays(1));
        var once = new Option<bool>("--once") { Description = "Send one heartbeat and end, to try the channel" };
        var command = new Command("declare", "Tells the host which processes start and end in this machine, as a cell of CellOS does")
        {
            port, socket, window, queueLength, probe, interval, length, once,
        }.WithExamples(
            """
            guestmark-agent declare
            guestmark-agent declare --socket /run/cells/web/vsock.sock_9001 --for 10s
            guestmark-agent declare --probe proc --interval 100ms
            """);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var channel = PushCommand.Channel(parsed.GetValue(socket), parsed.GetRequiredValue(port));
            var time = TimeProvider.System;
            using var queue = new ObservationQueue(parsed.GetRequiredValue(queueLength));
            var sender = new DeclarationSender(channel, queue, parsed.GetRequiredValue(window).Value / 3, time, Tell);
            if (parsed.GetValue(once))
            {
                await SendOnceAsync(sender, channel, cancellationToken);
                return ExitCode.Done;
            }

            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            if (parsed.GetRequiredValue(length).Value is var end && end > TimeSpan.Zero) stop.CancelAfter(end);
            await RunAsync(sender, queue, parsed.GetRequiredValue(probe), parsed.GetRequiredValue(interval).Value, time, stop.Token);
            return ExitCode.Done;

            void Tell(string line) => Note($"{channel.Name}: {line}");
        });
        return command;
    }

    static void Note(string line) => Console.Error.WriteLine(TerminalText.Printable(line));

    static async Task SendOnceAsync(DeclarationSender sender, HostChannel channel, CancellationToken cancellationToken)
    {
        try
        {
            var sent = await sender.SendOnceAsync(cancellationToken);
            // It was taken by the socket: the host does not answer.
            Console.WriteLine(TerminalText.Printable($"{channel.Name}: sent one heartbeat of {sent.Comm} (pid {sent.Pid}); 'guestmark cell list' on the host counts it"));
        }
        catch (SocketException e)
        {
            throw new CommandException($"{channel.Name}: {channel.Describe(e)}", e);
        }
    }

    static async Task RunAsync(
        DeclarationSender sender, ObservationQueue queue, string probe, TimeSpan interval, TimeProvider time, CancellationToken cancellationToken)
    {
        using var connector = await OpenConnectorAsync(probe, interval, time, cancellationToken);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var observing = connector?.RunAsync(queue, stop.Token) ?? new ProcessScan("/proc").RunAsync(queue, interval, time, stop.Token);
        var sending = sender.RunAsync(stop.Token);
        try
        {
            // Neither ends but by a failure, or because it was stopped.
            await await Task.WhenAny(observing, sending);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stopping is what was asked for.
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll(observing, sending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    static async Task<ProcessConnector?> OpenConnectorAsync(string probe, TimeSpan interval, TimeProvider time, CancellationToken cancellationToken)
    {
        if (probe == "proc")
        {
            Note($"looking at /proc every {Duration.Format(interval)}");
            return null;
        }

        var connector = ProcessConnector.TryOpen(out var problem);
        if (connector is not null) problem = await connector.WaitForAnswerAsync(time, cancellationToken);
        if (problem is null)
        {
            Note("the kernel tells of processes");
            return connector;
        }

        connector?.Dispose();
        if (probe == "connector") throw new CommandException($"--probe connector: {problem}; run as root of the machine, or use --probe proc");
        Note($"looking at /proc every {Duration.Format(interval)}, because the kernel does not tell: {problem}");
        return null;
    }
}
