using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Protobuf;

namespace Guestmark.Agent;

/// <summary>The agent without a command: scans once and sends the report to the host.</summary>
static class PushCommand
{
    static readonly TimeSpan RetryDelayMin = TimeSpan.FromMilliseconds(200);
    static readonly TimeSpan RetryDelayMax = TimeSpan.FromSeconds(5);

    public static void Configure(RootCommand command)
    {
        var options = new ScanOptions();
        options.AddTo(command);
        var socket = new Option<string?>("--socket") { Description = "The Unix socket on which the host listens for this machine", HelpName = "PATH" };
        var timeout = new Option<int>("--timeout") { Description = "Seconds to go on trying to deliver the report", HelpName = "SECONDS", DefaultValueFactory = _ => 30 };
        timeout.Validators.Add(result =>
        {
            // What is no number has its own error already.
            if (result.Errors.Any()) return;
            if (result.GetValue(timeout) is var seconds and (< 1 or > 3600)) result.AddError($"--timeout {seconds}: must be 1 to 3600 seconds");
        });
        var verbose = new Option<bool>("--verbose") { Description = "Print the inventory to standard output as JSON" };
        command.Options.Add(socket);
        command.Options.Add(timeout);
        command.Options.Add(verbose);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            // Not an option that must be there: the commands below this one do not need it.
            var path = parsed.GetValue(socket) ?? throw new UsageException("no channel to the host: give --socket PATH");
            var inventory = options.Scan(parsed, cancellationToken);
            if (parsed.GetValue(verbose))
            {
                await using var standardOutput = Console.OpenStandardOutput();
                InventoryJson.Write(inventory, standardOutput);
            }

            var writer = new ProtoWriter();
            InventoryReports.Write(inventory, writer);
            var report = writer.Written.ToArray();
            await DeliverAsync(path, report, TimeSpan.FromSeconds(parsed.GetRequiredValue(timeout)), TimeProvider.System, cancellationToken);
            await Console.Error.WriteLineAsync(TerminalText.Printable($"delivered {inventory.Packages.Count} packages of {inventory.Os} ({report.Length} bytes)"));
            return Problems.Report(inventory);
        });
    }

    /// <summary>Sends until the host has stored the report, it says that it never will, or the time is over.</summary>
    static async Task DeliverAsync(string socketPath, byte[] report, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(timeout, time);
        using var trying = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        var delay = RetryDelayMin;
        var problem = "no answer from the host";
        string? told = null;
        try
        {
            while (true)
            {
                var outcome = await PushClient.SendAsync(socketPath, report, trying.Token);
                if (outcome.Status == PushStatus.Stored) return;
                problem = outcome.Problem ?? outcome.Status!.Value.Describe();
                if (outcome.Status is { } status && !status.IsTransient()) throw new CommandException($"{socketPath}: {problem}");
                if (problem != told) await Console.Error.WriteLineAsync($"{socketPath}: {problem}; trying again for up to {timeout.TotalSeconds} seconds");
                told = problem;
                await Task.Delay(delay * (0.5 + Random.Shared.NextDouble()), time, trying.Token);
                delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax;
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CommandException($"{socketPath}: not delivered within {timeout.TotalSeconds} seconds: {problem}");
        }
    }
}
