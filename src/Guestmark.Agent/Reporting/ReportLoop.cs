using System.Globalization;
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

    public TimeSpan RetryMin { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan RetryMax { get; init; } = TimeSpan.FromMinutes(5);
}

/// <summary>What a scan gave to send.</summary>
/// <param name="IsEmpty">It has nothing but problems.</param>
readonly record struct ScannedReport(byte[] Report, bool IsEmpty);

/// <summary>Reports at each change of the package databases and after each interval, until it is stopped.</summary>
/// <remarks>
/// The newest report is kept until the host has stored it; a newer one takes its place. Nothing is read while the databases'
/// fingerprint stays: after an interval without a change the same bytes are sent again, which tells the host that the machine still
/// has what it had. What was read anew and gave the same report is not sent: dnf touches its folders every hour.
/// </remarks>
/// <param name="scan">Reads the machine.</param>
/// <param name="fingerprint">The state of what <paramref name="scan"/> reads.</param>
/// <param name="send">One attempt to deliver.</param>
/// <param name="changes">Raised when the databases may have changed.</param>
/// <param name="tell">Takes a line for the log.</param>
/// <param name="isVerbose">Tell also when nothing had changed.</param>
sealed class ReportLoop(
    ReportSchedule schedule,
    Func<CancellationToken, ScannedReport> scan,
    Func<InventoryFingerprint> fingerprint,
    Func<byte[], CancellationToken, Task<PushOutcome>> send,
    ChangeSignal changes,
    TimeProvider time,
    Action<string> tell,
    bool isVerbose)
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
                if (await changes.WaitForRestAsync(until - time.GetUtcNow(), cancellationToken) && ReadWhatChanged(cancellationToken)) SendNext();
            }
        }
    }

    void SendNext()
    {
        _isPending = true;
        _retryDelay = TimeSpan.Zero;
        _nextAttempt = DateTimeOffset.MinValue;
    }

    /// <returns>Whether there is another report than before.</returns>
    bool ReadWhatChanged(CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        var now = fingerprint();
        if (_read is not null && now.IsUnchangedSince(_read))
        {
            if (isVerbose) tell($"nothing changed, seen in {Milliseconds(start)} ms");
            return false;
        }

        var (report, isEmpty) = scan(cancellationToken);
        _read = now;
        // The scan's garbage: the process now waits for hours.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        if (isEmpty && _report.Length > 0)
        {
            // A database that cannot be read for a moment does not mean that nothing is installed any more.
            _read = null;
            tell("nothing could be read; the last report stands");
            return false;
        }

        if (report.AsSpan().SequenceEqual(_report))
        {
            if (isVerbose) tell($"read in {Milliseconds(start)} ms: the same report");
            return false;
        }

        _report = report;
        tell($"read in {Milliseconds(start)} ms: a report of {_report.Length} bytes");
        return true;
    }

    string Milliseconds(long start) => time.GetElapsedTime(start).TotalMilliseconds.ToString("0.0", CultureInfo.InvariantCulture);

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
        // A number of a later host may mean anything: then it is tried again.
        if (outcome.Status is { } status && !status.IsTransient() && Enum.IsDefined(status))
        {
            _isPending = false;
            tell($"not accepted: {problem}; the next report follows at a change or in {Duration.Format(schedule.Interval)}");
            return;
        }

        _retryDelay = _retryDelay == TimeSpan.Zero ? schedule.RetryMin : _retryDelay * 2 < schedule.RetryMax ? _retryDelay * 2 : schedule.RetryMax;
        // Half of it at random: the machines of a host that was away do not come back together.
        var spread = _retryDelay * (0.5 + (0.5 * Random.Shared.NextDouble()));
        _nextAttempt = time.GetUtcNow() + spread;
        tell($"not delivered: {problem}; kept, and sent again in {spread.TotalSeconds:0.0} s");
    }
}
