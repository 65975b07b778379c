using System.CommandLine;
using Guestmark.Agent.RepositoryMapping;
using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Sockets;

namespace Guestmark.Agent.Reporting;

/// <summary>The agent without a command: sends the report to the host, once or, with <c>--daemon</c>, at each change.</summary>
static class PushCommand
{
    static readonly TimeSpan IntervalMin = TimeSpan.FromMinutes(10);
    static readonly TimeSpan RetryDelayMin = TimeSpan.FromMilliseconds(200);
    static readonly TimeSpan RetryDelayMax = TimeSpan.FromSeconds(5);

    public static void Configure(RootCommand command)
    {
        var options = new ScanOptions();
        options.AddTo(command);
        var mapping = new MappingOptions(MappingRefresh.DefaultUrl);
        mapping.AddTo(command);
        var daemon = new Option<bool>("--daemon") { Description = "Stay, and report at each change of the package databases and after each interval" };
        var interval = Duration.Option("--index-interval", "With --daemon: time between two reports when nothing changes", "4h", IntervalMin, TimeSpan.FromDays(7));
        var initialDelay = Duration.Option(
            "--max-initial-report-delay", "With --daemon: the first report comes after a random part of this", "20m", TimeSpan.Zero, TimeSpan.FromDays(1));
        var port = new Option<uint>("--port") { Description = "The host's AF_VSOCK port", HelpName = "PORT", DefaultValueFactory = _ => VsockEndPoint.PortDefault };
        var socket = new Option<string?>("--socket") { Description = "A Unix socket that leads to the host, instead of AF_VSOCK", HelpName = "PATH" };
        var timeout = Duration.Option("--timeout", "Time to deliver a report; with --daemon, of one attempt", "30s", TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));
        var verbose = new Option<bool>("--verbose") { Description = "Print each inventory to standard output as JSON, and all that is done to standard error" };
        var lockFile = new Option<string?>("--lock-file") { Description = $"Held while reporting [default: one for each channel in {AgentLock.Folder}]", HelpName = "PATH" };
        command.Options.Add(daemon);
        command.Options.Add(interval);
        command.Options.Add(initialDelay);
        command.Options.Add(port);
        command.Options.Add(socket);
        command.Options.Add(timeout);
        command.Options.Add(verbose);
        command.Options.Add(lockFile);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var channel = Channel(parsed.GetValue(socket), parsed.GetRequiredValue(port));
            using var held = TakeLock(parsed.GetValue(lockFile) ?? LockFileOf(channel), channel);
            var isVerbose = parsed.GetValue(verbose);
            var scan = options.Read(parsed);
            var mappings = mapping.Open(parsed, Note);
            var refresh = mapping.Refresh(parsed, mappings, scan, TimeProvider.System, Note);
            if (!parsed.GetValue(daemon))
            {
                if (refresh is not null) await refresh.TryOnceAsync(cancellationToken);
                scan = scan with { RepositoryToCpePath = mappings.Current?.Path };
                return await PushOnceAsync(channel, scan, parsed.GetRequiredValue(timeout).Value, isVerbose, cancellationToken);
            }

            var schedule = new ReportSchedule { Interval = parsed.GetRequiredValue(interval).Value, InitialDelayMax = parsed.GetRequiredValue(initialDelay).Value };
            await StayAsync(channel, scan, mappings, refresh, schedule, parsed.GetRequiredValue(timeout).Value, isVerbose, cancellationToken);
            return ExitCode.Done;
        });
    }

    static void Note(string line) => Console.Error.WriteLine(TerminalText.Printable(line));

    internal static HostChannel Channel(string? socket, uint port)
    {
        if (socket is null) return HostChannel.Vsock(port);
        try
        {
            return HostChannel.Unix(socket);
        }
        catch (ArgumentOutOfRangeException)
        {
            throw new UsageException($"--socket {socket}: the path of a Unix socket has 1 to 107 bytes; use a shorter one");
        }
    }

    /// <summary>A lock of the channel: agents that read the trees of different guests on one host have channels of their own.</summary>
    static string LockFileOf(HostChannel channel) =>
        Path.Combine(AgentLock.Folder, channel.Name.Replace('/', '-') + ".lock");

    static AgentLock? TakeLock(string file, HostChannel channel)
    {
        var held = AgentLock.TryTake(file, out var holder, out var unavailable);
        if (holder is not null)
            throw new CommandException($"process {holder} already reports on {channel.Name} (it holds {file}); stop it, or leave the reporting to it");
        // Two agents would only send each report twice: no reason to send none.
        if (unavailable is not null) Console.Error.WriteLine($"note: {file} cannot be locked: {unavailable}; make sure that no second agent runs, or name another file with --lock-file");
        return held;
    }

    static async Task<int> PushOnceAsync(
        HostChannel channel, InventoryScanOptions options, TimeSpan timeout, bool isVerbose, CancellationToken cancellationToken)
    {
        var inventory = InventoryScanner.Scan(options, cancellationToken);
        if (isVerbose) PrintJson(inventory);
        var report = Encode(inventory);
        await DeliverAsync(channel, report, timeout, TimeProvider.System, cancellationToken);
        await Console.Error.WriteLineAsync(TerminalText.Printable(
            $"delivered {Problems.Count(inventory.Packages.Count, "package")} of {inventory.Os} ({report.Length} bytes)"));
        return Problems.Report(inventory);
    }

    static async Task StayAsync(
        HostChannel channel, InventoryScanOptions options, MappingStore mappings, MappingRefresh? refresh, ReportSchedule schedule, TimeSpan timeout,
        bool isVerbose, CancellationToken cancellationToken)
    {
        var time = TimeProvider.System;
        var refreshing = refresh?.RunAsync(cancellationToken) ?? Task.CompletedTask;
        using var changes = new ChangeSignal(time);
        mappings.Changed = changes.Raise;
        using var watch = DatabaseWatch.TryStart(changes, out var watchError);
        if (watch is null) Tell($"changes are only found after each interval: {watchError}");
        var loop = new ReportLoop(
            schedule,
            cancellation =>
            {
                var inventory = InventoryScanner.Scan(Options(), cancellation);
                if (isVerbose) PrintJson(inventory);
                Problems.Report(inventory);
                return new ScannedReport(Encode(inventory), IsEmpty: inventory.Packages.Count == 0 && inventory.Problems.Count > 0);
            },
            () =>
            {
                // Before the look, so that nothing happens unseen between the two.
                watch?.WatchDatabases(options.HostPath);
                return InventoryFingerprint.Take(Options(), time);
            },
            async (report, cancellation) =>
            {
                using var deadline = new CancellationTokenSource(timeout, time);
                using var trying = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
                try
                {
                    return await PushClient.SendAsync(channel, report, trying.Token);
                }
                catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
                {
                    return new PushOutcome(null, $"no answer within {Duration.Format(timeout)}");
                }
            },
            changes,
            time,
            Tell,
            isVerbose);
        try
        {
            if (refresh is not null && mappings.Current is null)
                await Task.WhenAny(refresh.FirstTry, Task.Delay(MappingOptions.FirstTryMax, time, cancellationToken));
            await loop.RunAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stopping is what was asked for.
        }

        await refreshing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        InventoryScanOptions Options() => options with { RepositoryToCpePath = mappings.Current?.Path };

        void Tell(string line) => Console.Error.WriteLine(TerminalText.Printable($"{channel.Name}: {line}"));
    }

    static byte[] Encode(GuestInventory inventory)
    {
        var writer = new ProtoWriter();
        InventoryReports.Write(inventory, writer);
        return writer.Written.ToArray();
    }

    static void PrintJson(GuestInventory inventory)
    {
        using var output = Console.OpenStandardOutput();
        InventoryJson.Write(inventory, output);
        output.Write("\n"u8);
    }

    /// <summary>Sends until the host has stored the report, it says that it never will, or the time is over.</summary>
    static async Task DeliverAsync(HostChannel channel, byte[] report, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
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
                var outcome = await PushClient.SendAsync(channel, report, trying.Token);
                if (outcome.Status == PushStatus.Stored) return;
                problem = outcome.Problem ?? outcome.Status!.Value.Describe();
                if (outcome.Status is { } status && !status.IsTransient()) throw new CommandException($"{channel.Name}: {problem}");
                if (problem != told) await Console.Error.WriteLineAsync($"{channel.Name}: {problem}; trying again for up to {Duration.Format(timeout)}");
                told = problem;
                await Task.Delay(delay * (0.5 + Random.Shared.NextDouble()), time, trying.Token);
                delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax;
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CommandException($"{channel.Name}: not delivered within {Duration.Format(timeout)}: {problem}");
        }
    }
}
