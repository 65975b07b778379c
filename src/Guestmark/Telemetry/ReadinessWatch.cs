using Guestmark.Rpc;
using Guestmark.Systemd;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using ServingStatus = Guestmark.Rpc.Health.HealthCheckResponse.Types.ServingStatus;

namespace Guestmark.Telemetry;

/// <summary>
/// Looks at the role's health every few seconds and tells who cares: peers by the RPC health service, the service manager by its status and its
/// watchdog, the log when something changes.
/// </summary>
/// <param name="rpc">Null for a role that serves no RPC.</param>
/// <param name="lifetime">Of the role. Its ports are the last that it opens: before it has started, nothing is looked at.</param>
sealed partial class ReadinessWatch(
    Health health, ServiceNotifier notifier, RpcHealth? rpc, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<ReadinessWatch> logger) : BackgroundService
{
    static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(5);

    readonly Dictionary<string, HealthState> _told = [];

    /// <summary>Looks once.</summary>
    internal void Look()
    {
        var findings = health.Look(livenessOnly: false);
        var isReady = Health.IsGood(findings);
        rpc?.SetStatus("", isReady ? ServingStatus.Serving : ServingStatus.NotServing);
        foreach (var finding in findings)
        {
            _told.TryGetValue(finding.Check, out var before);
            _told[finding.Check] = finding.State;
            if (finding.State == before) continue;
            if (finding.State == HealthState.Ok) LogMended(finding.Check, finding.Message);
            else LogWorse(finding.Check, finding.State, finding.Message, finding.Remedy ?? "");
        }

        notifier.Status(isReady ? "ready" : string.Join("; ", findings.Where(f => f.State == HealthState.Failed).Select(f => $"{f.Check}: {f.Message}")));
        // Without what a restart can mend the watchdog starves, and the manager starts the process again. That this line is reached says that
        // the thread pool turns.
        if (Health.IsGood(health.Look(livenessOnly: true))) notifier.Alive();
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        notifier.Stopping();
        rpc?.SetStatus("", ServingStatus.NotServing);
        await base.StopAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = lifetime.ApplicationStarted.Register(started.SetResult);
        await started.Task.WaitAsync(stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        // Half of what the manager waits, as sd_watchdog_enabled(3) advises.
        var interval = notifier.WatchdogInterval is { } watchdog && watchdog / 2 < LookInterval ? watchdog / 2 : LookInterval;
        while (!stoppingToken.IsCancellationRequested)
        {
            Look();
            // Quiet: an exception here is logged as a failure, with its stack, where the start of another service fails.
            await Task.Delay(interval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    [LoggerMessage(8201, LogLevel.Warning, "Health: {Check} is {State}: {Problem}. To mend it: {Remedy}", EventName = "HealthWorse")]
    partial void LogWorse(string check, HealthState state, string problem, string remedy);

    [LoggerMessage(8202, LogLevel.Information, "Health: {Check} is good again: {Finding}", EventName = "HealthMended")]
    partial void LogMended(string check, string finding);
}
