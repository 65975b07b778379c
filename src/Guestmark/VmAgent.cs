using System.Diagnostics;
using System.Globalization;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark;

/// <summary>
/// Runs the agent for this machine as a process of its own, as document 0's mode <c>vm-agent</c> wants it: what reads foreign databases is not in the
/// process that holds keys and stamps. One that ends is started again.
/// </summary>
sealed partial class VmAgent(VmAgentOptions options, TimeProvider time, ILogger<VmAgent> logger) : BackgroundService
{
    const int LineLengthMax = 400;
    static readonly TimeSpan RestartDelayMin = TimeSpan.FromSeconds(1);
    static readonly TimeSpan RestartDelayMax = TimeSpan.FromMinutes(1);
    static readonly TimeSpan GoodAfter = TimeSpan.FromMinutes(1);
    static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    /// <summary>The agent's arguments.</summary>
    internal IEnumerable<string> Arguments()
    {
        if (options.PrintsOnly) return ["scan", "--output", "json", "--host-path", options.HostPath];
        string[] channel = options.Socket is { } socket ? ["--socket", socket] : ["--port", options.VsockPort.ToString(CultureInfo.InvariantCulture)];
        return
        [
            "--daemon", .. channel, "--host-path", options.HostPath,
            "--index-interval", $"{(long)options.Interval.TotalSeconds}s", "--max-initial-report-delay", "0s",
            "--state-dir", options.StateDirectory, "--lock-file", Path.Combine(options.StateDirectory, "lock"),
            .. options.AlsoPrints ? (string[])["--verbose"] : [],
        ];
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        var delay = RestartDelayMin;
        Directory.CreateDirectory(options.StateDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        while (!stoppingToken.IsCancellationRequested)
        {
            var started = time.GetTimestamp();
            var ended = await RunOnceAsync(stoppingToken);
            if (stoppingToken.IsCancellationRequested) return;
            if (options.PrintsOnly && ended == "exit code 0")
            {
                await Task.Delay(options.Interval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                continue;
            }

            if (time.GetElapsedTime(started) >= GoodAfter) delay = RestartDelayMin;
            LogEnded(ended, delay.TotalSeconds);
            await Task.Delay(delay, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            delay = delay * 2 < RestartDelayMax ? delay * 2 : RestartDelayMax;
        }
    }

    async Task<string> RunOnceAsync(CancellationToken stoppingToken)
    {
        var program = Path.Combine(AppContext.BaseDirectory, "guestmark-agent");
        // Its standard output is ours: what it prints there is meant for whoever reads ours.
        var start = new ProcessStartInfo(program) { UseShellExecute = false, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in Arguments()) start.ArgumentList.Add(argument);
        foreach (var ours in new[] { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" }) start.Environment.Remove(ours);
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return $"cannot start {program}: {e.Message}";
        }

        using (process)
        {
            LogStarted(process.Id);
            try
            {
                while (await process.StandardError.ReadLineAsync(stoppingToken) is { } line)
                    LogLine(TerminalText.Printable(line.Length <= LineLengthMax ? line : line[..LineLengthMax] + "…"));
                await process.WaitForExitAsync(stoppingToken);
                return $"exit code {process.ExitCode}";
            }
            catch (OperationCanceledException)
            {
                await StopAsync(process);
                return "stopped";
            }
        }
    }

    async Task StopAsync(Process process)
    {
        // SIGTERM: it may be in the middle of a report.
        _ = LibC.kill(process.Id, LibC.SigTerm);
        using var limit = new CancellationTokenSource(StopTimeout, time);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
        }
    }

    [LoggerMessage(8301, LogLevel.Information, "The agent of this machine runs as process {Process}", EventName = "AgentStarted")]
    partial void LogStarted(int process);

    [LoggerMessage(8302, LogLevel.Information, "agent: {Line}", EventName = "AgentSaid")]
    partial void LogLine(string line);

    [LoggerMessage(8303, LogLevel.Warning, "The agent of this machine ended ({Reason}); it is started again in {Seconds} s", EventName = "AgentEnded")]
    partial void LogEnded(string reason, double seconds);
}
