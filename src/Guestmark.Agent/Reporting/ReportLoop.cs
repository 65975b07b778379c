using Guestmark.Inventory;
using Guestmark.Wire.Framing;

namespace Guestmark.Agent.Reporting;

/// <summary>How often the agent reports when it stays.</summary>
sealed record ReportSchedule
{
    /// <summary>From one report to the next when nothing changes.</summary>
    public required TimeSpan Interval { get; init; }

    /// <summary>The first report comes after a random part of this, so that machines which start together do not report together.</summary>
    public required TimeSpan InitialDelayMax { get; init; }

    /// <summary>A transaction writes for seconds or minutes: this long nothing may change before it is read.</summary>
    public TimeSpan Quiet { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>What never comes to rest is read after this.</summary>
    public TimeSpan QuietMax { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan RetryMin { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan RetryMax { get; init; } = TimeSpan.FromMinutes(5);
}

/// <summary>Reports at each change of the package databases and after each interval, until it is stopped.</summary>
/// <remarks>
/// The newest report is kept until the host has stored it; a newer one takes its place. Nothing is read while the databases'
/// fingerprint stays: after an interval without a change the same bytes are sent again, which tells the host that the machine still
/// has what it had.
/// </remarks>
/// <param name="scan">Reads the machine and gives the report.</param>
/// <param name="fingerprint">The state of what <paramref name="scan"/> reads.</param>
/// <param name="send">One attempt to deliver.</param>
/// <param name="changed">Completes when the databases may have changed; null when nothing tells.</param>
/// <param name="tell">Takes a line for the log.</param>
sealed class ReportLoop(
    ReportSchedule schedule,
    Func<CancellationToken, byte[]> scan,
    Func<InventoryFingerprint> fingerprint,
    Func<byte[], CancellationToken, Task<PushOutcome>> send,
    Func<CancellationToken, Task>? changed,
    TimeProvider time,
    Action<string> tell)
{
    InventoryFingerprint? _read;
    byte[] _report = [];
    bool _isPending;
    TimeSpan _retryDelay;
    DateTimeOffset _nextAttempt;

    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var delay = schedule.InitialDelayMax * Random.Shared.NextDouble();
        if (delay > TimeSpan.Zero)
        {
            tell($"the first report follows in {delay.TotalSeconds:0} s");
            await Task.Delay(delay, time, cancellationToken);
        }

        while (true)
        {
            ReadWhatChanged(cancellationToken);
            SendNext();
            var nextReport = time.GetUtcNow() + schedule.Interval;
            while (time.GetUtcNow() < nextReport)
            {
                if (_isPending && time.GetUtcNow() >= _nextAttempt) await TrySendAsync(cancellationToken);
                var until = _isPending && _nextAttempt < nextReport ? _nextAttempt : nextReport;
                if (await ChangedWithinAsync(until - time.GetUtcNow(), cancellationToken) && ReadWhatChanged(cancellationToken)) SendNext();
            }
        }
    }

    void SendNext()
    {
        _isPending = true;
        _retryDelay = TimeSpan.Zero;
        _nextAttempt = DateTimeOffset.MinValue;
    }

    /// <returns>Whether something was read.</returns>
    bool ReadWhatChanged(CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        var now = fingerprint();
        if (_read is not null && now.IsUnchangedSince(_read))
        {
            tell($"nothing changed, seen in {time.GetElapsedTime(start).TotalMilliseconds:0.0} ms");
            return false;
        }

        _report = scan(cancellationToken);
        _read = now;
        tell($"read in {time.GetElapsedTime(start).TotalMilliseconds:0.0} ms: a report of {_report.Length} bytes");
        // The scan's garbage: the process now waits for hours.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return true;
    }

    async Task TrySendAsync(CancellationToken cancellationToken)
    {
        var outcome = await send(_report, cancellationToken);
        if (outcome.Status is PushStatus.Stored)
        {
            _isPending = false;
            tell($"delivered {_report.Length} bytes");
            return;
        }

        var problem = outcome.Problem ?? outcome.Status!.Value.Describe();
        if (outcome.Status is { } status && !status.IsTransient())
        {
            _isPending = false;
            tell($"not accepted: {problem}; the next report follows at a change or in {schedule.Interval}");
            return;
        }

        _retryDelay = _retryDelay == TimeSpan.Zero ? schedule.RetryMin : _retryDelay * 2 < schedule.RetryMax ? _retryDelay * 2 : schedule.RetryMax;
        // Half of it at random: the machines of a host that was away do not come back together.
        var spread = _retryDelay * (0.5 + (0.5 * Random.Shared.NextDouble()));
        _nextAttempt = time.GetUtcNow() + spread;
        tell($"not delivered: {problem}; kept, and sent again in {spread.TotalSeconds:0.0} s");
    }

    /// <summary>Waits for a change, and then until nothing changes any more.</summary>
    async Task<bool> ChangedWithinAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        if (!await SignalledWithinAsync(wait, cancellationToken)) return false;
        var since = time.GetTimestamp();
        while (time.GetElapsedTime(since) < schedule.QuietMax && await SignalledWithinAsync(schedule.Quiet, cancellationToken))
        {
        }

        return true;
    }

    async Task<bool> SignalledWithinAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        if (wait <= TimeSpan.Zero) return false;
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var delay = Task.Delay(wait, time, over.Token);
        var signal = changed?.Invoke(over.Token);
        var first = signal is null ? delay : await Task.WhenAny(signal, delay);
        await over.CancelAsync();
        cancellationToken.ThrowIfCancellationRequested();
        return first == signal && signal!.IsCompletedSuccessfully;
    }
}
