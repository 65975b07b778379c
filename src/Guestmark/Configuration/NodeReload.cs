using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using Guestmark.CommandLine;
using Guestmark.Node;
using Guestmark.Systemd;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Configuration;

/// <summary>
/// Reads the configuration again when its file changes or on SIGHUP. A good one is put into force, as far as it can be while the node
/// runs; of a bad one is said what is wrong, and the last good one stays.
/// </summary>
/// <remarks>
/// The file is looked at once a second, by what stat(2) tells: that sees every way of replacing it, also the swapped symbolic link of a
/// Kubernetes ConfigMap, which inotify on the file does not. A change is taken when a second look finds it unchanged, so that a file that is
/// still being written is not read.
/// </remarks>
sealed partial class NodeReload : BackgroundService
{
    static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    readonly Func<SettingValues> _read;
    readonly NodeConfiguration _configuration;
    readonly LogSwitch _log;
    readonly ServiceNotifier _notifier;
    readonly TimeProvider _time;
    readonly ILogger<NodeReload> _logger;
    readonly Lock _lock = new();
    readonly NodeSetup? _started;
    SettingValues _inForce;
    (DateTime, long, string?) _readStamp;
    readonly Counter<long> _reloads;
    string? _lastProblem;
    bool _contradicts;
    long _inForceSince;

    /// <param name="read">Reads all layers as they are now.</param>
    /// <param name="inForce">What the node was started with.</param>
    public NodeReload(
        Func<SettingValues> read, SettingValues inForce, NodeConfiguration configuration, LogSwitch log, ServiceNotifier notifier, IMeterFactory meters, TimeProvider time,
        ILogger<NodeReload> logger)
    {
        (_read, _inForce, _configuration, _log, _notifier, _time, _logger) = (read, inForce, configuration, log, notifier, time, logger);
        _started = NodeSetup.Create(inForce);
        // Here and not when the loop begins: a file that changes while the node starts is seen at the first look.
        _readStamp = Stamp(inForce.File);
        _inForceSince = time.GetUtcNow().UtcTicks;
        var meter = meters.Create("Guestmark.Configuration");
        _reloads = meter.CreateCounter<long>("guestmark.configuration.reloads", "{reload}", "Times that the configuration was read again since the start, by what became of it.");
        foreach (var outcome in (string[])["applied", "refused"]) _reloads.Add(0, Outcome(outcome));
        // The names that Prometheus has for its own.
        meter.CreateObservableGauge(
            "guestmark.configuration.last_reload_successful", () => Problem is null ? 1 : 0, null, "0 when the newest configuration is refused and the last good one stays in force.");
        meter.CreateObservableGauge(
            "guestmark.configuration.last_reload_success_timestamp", () => InForceSince.ToUnixTimeMilliseconds() / 1000.0, "s",
            "When the configuration in force was read, as Unix time.");
    }

    /// <summary>When the configuration in force was read.</summary>
    public DateTimeOffset InForceSince => new(Volatile.Read(ref _inForceSince), TimeSpan.Zero);

    /// <summary>What is wrong with the newest configuration; null while it is in force.</summary>
    public string? Problem => Volatile.Read(ref _lastProblem);

    /// <summary>Reads the configuration now.</summary>
    /// <returns>Whether it is in force.</returns>
    public bool Reload()
    {
        lock (_lock)
        {
            _notifier.Reloading((long)(_time.GetTimestamp() * (1e6 / _time.TimestampFrequency)));
            // Before the file is read: a change in between is seen at the next look.
            _readStamp = Stamp(_inForce.File);
            try
            {
                return Apply(_read());
            }
            finally
            {
                _notifier.Ready();
            }
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
        {
            // The default ends the process.
            context.Cancel = true;
            Reload();
        });
        (DateTime, long, string?) seen;
        lock (_lock) seen = _readStamp;
        var isHot = _started?.HotReload ?? false;
        try
        {
            while (isHot && _inForce.File is not null)
            {
                await Task.Delay(LookInterval, _time, stoppingToken);
                var now = Stamp(_inForce.File);
                bool isNew;
                lock (_lock)
                {
                    isNew = now != _readStamp;
                    // The registry file, or the sensor, may no longer say what these guests contradict.
                    if (_contradicts && !isNew) Apply(_read());
                }

                if (isNew && now == seen) Reload();
                seen = now;
            }

            await Task.Delay(Timeout.InfiniteTimeSpan, _time, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host would take it for a failure, and log it with its stack, where the start fails and it is not the host that stops.
        }
    }

    bool Apply(SettingValues values)
    {
        if (NodeSetup.Create(values, _started) is not { } setup)
        {
            var problem = string.Join("; ", ConfigurationProblem.InOrder(values.Problems));
            _contradicts = false;
            return Refuse(values, problem);
        }

        if (_configuration.Replace(setup.Options) is { Count: > 0 } contradictions)
        {
            var problem = string.Join("; ", contradictions);
            var isTold = _contradicts && problem == _lastProblem;
            _contradicts = true;
            return !isTold && Refuse(values, problem);
        }

        _contradicts = false;
        var changed = values.All.Zip(_inForce.All).Where(pair => pair.First.Text != pair.Second.Text).Select(pair => pair.First).ToList();
        var waiting = changed.Where(value => !value.Setting.Reloads).ToList();
        _log.Level = setup.LogLevel;
        Volatile.Write(ref _inForceSince, _time.GetUtcNow().UtcTicks);
        Volatile.Write(ref _lastProblem, null);
        _reloads.Add(1, Outcome("applied"));
        foreach (var value in waiting) LogNeedsRestart(value.Setting.Key, TerminalText.Printable(value.Text), value.Origin.ToString());
        var applied = changed.Where(value => value.Setting.Reloads).Select(value => value.Setting.Key).ToList();
        LogReloaded(values.File ?? "the environment", applied.Count > 0 ? string.Join(", ", applied) : "nothing that can change while the node runs");
        // What waits for a restart is told once more when it changes once more, not at each reload.
        _inForce = values;
        return true;
    }

    bool Refuse(SettingValues values, string problem)
    {
        LogRefused(values.File ?? "the environment", TerminalText.Printable(problem));
        Volatile.Write(ref _lastProblem, problem);
        _reloads.Add(1, Outcome("refused"));
        return false;
    }

    static KeyValuePair<string, object?> Outcome(string outcome) => new("outcome", outcome);

    /// <summary>What is different after every way of replacing a file.</summary>
    static (DateTime Written, long Length, string? Target) Stamp(string? path)
    {
        if (path is null) return default;
        try
        {
            var file = new FileInfo(path);
            // ConfigMap: path → ..data/node.yaml → ..2026_01_02/node.yaml; a swap changes the final target.
            var target = file.ResolveLinkTarget(returnFinalTarget: true);
            var real = target is FileInfo linked ? linked : file;
            var folder = new DirectoryInfo(Path.Combine(Path.GetDirectoryName(path)!, "..data"));
            return (real.LastWriteTimeUtc, real.Exists ? real.Length : -1, $"{target?.FullName}|{(folder.Exists ? folder.ResolveLinkTarget(returnFinalTarget: true)?.FullName : "")}");
        }
        catch (IOException)
        {
            return default;
        }
    }

    [LoggerMessage(8101, LogLevel.Information, "Configuration read again from {File}; changed and in force: {Keys}", EventName = "ConfigurationReloaded")]
    partial void LogReloaded(string file, string keys);

    [LoggerMessage(8102, LogLevel.Error, "The new configuration in {File} is refused and the last good one stays in force: {Problems}", EventName = "ConfigurationRefused")]
    partial void LogRefused(string file, string problems);

    [LoggerMessage(8103, LogLevel.Warning, "{Key} is now '{Value}' ({Origin}); it is taken at the next start of the node", EventName = "ConfigurationNeedsRestart")]
    partial void LogNeedsRestart(string key, string value, string origin);
}
