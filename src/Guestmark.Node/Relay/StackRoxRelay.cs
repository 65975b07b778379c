using System.Diagnostics.Metrics;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.Spool;
using Guestmark.Wire.Reports;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Relay;

/// <summary>
/// Hands the inventory reports of a spool to a StackRox Sensor, releases 4.9 to 4.11, as StackRox's own relay does:
/// <c>sensor.VirtualMachineIndexReportService/UpsertVirtualMachineIndexReport</c>, one report a call.
/// </summary>
/// <remarks>
/// A VMReport and the request have the same fields under the same numbers, so the guest's bytes are the request's, unparsed. Sensor looks the
/// machine up by <c>index_report.vsock_cid</c>: a report goes there only when the host knows the context id of its channel (attribute
/// <c>guestcid</c>) and the report claims no other. Everything else is counted as withheld.
/// <para>
/// A report is done with when Sensor has answered: taken, or refused with a status that says it never will be. All other failures are tried again
/// for ever: they are of the network, of Sensor's moment (without a connection to Central it answers ResourceExhausted), or of our certificates.
/// Its place in the spool is its own, so nothing is lost whatever happens to either side; after a crash the last reports may come twice,
/// which Sensor bears: a report replaces the one before it.
/// </para>
/// </remarks>
sealed partial class StackRoxRelay(
    EventSpool spool, string? reader, string spoolName, RpcChannel channel, IMeterFactory meters, TimeProvider time, ILogger<StackRoxRelay> logger)
    : BackgroundService
{
    const int BatchRecordsMax = 64;
    const int BatchBytesMax = 1 << 20;

    /// <summary>StackRox's own limit of one attempt.</summary>
    static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(5);

    static readonly TimeSpan RetryDelayMin = TimeSpan.FromMilliseconds(100);
    static readonly TimeSpan RetryDelayMax = TimeSpan.FromSeconds(30);

    static readonly RpcMethod<RawMessage, UpsertVirtualMachineIndexReportResponse> Upsert =
        new("sensor.VirtualMachineIndexReportService", "UpsertVirtualMachineIndexReport");

    readonly RelayMetrics _metrics = new(meters, spool, "stackrox", reader, spoolName, Enum.GetNames<WithheldReason>());

    // Guests decide how many reports are withheld.
    readonly LogThrottle _withheldLog = new();
    string? _lastProblem;

    enum WithheldReason
    {
        /// <summary>There is no place for it in StackRox.</summary>
        NotAReport,

        /// <summary>The host does not know the guest's context id, so the report could name any machine.</summary>
        CidUnknown,

        /// <summary>The report names another machine.</summary>
        CidMismatch,
    }

    /// <summary>A relay with a channel and certificates of its own.</summary>
    public static StackRoxRelay Create(IServiceProvider provider, StackRoxSensorOptions options, EventSpool spool, string? reader, string spoolName)
    {
        var time = provider.GetRequiredService<TimeProvider>();
        var certificates = CertificateDirectory.Open(options.Certificates, time, provider.GetRequiredService<ILogger<CertificateDirectory>>());
        return new StackRoxRelay(
            spool,
            reader,
            spoolName,
            new RpcChannel(options.Endpoint, SpoolRelay.ChannelOptions(certificates, options.ServerName)),
            provider.GetRequiredService<IMeterFactory>(),
            time,
            provider.GetRequiredService<ILogger<StackRoxRelay>>());
    }

    public override void Dispose()
    {
        channel.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var delay = RetryDelayMin;
        while (true)
        {
            var progress = spool.AcknowledgedIndexOf(reader);
            try
            {
                try
                {
                    await RelayAsync(stoppingToken);
                    return; // The spool was closed.
                }
                catch (IOException e)
                {
                    // The spool's disk. Ending here would end the whole process, and with it what still works.
                    Retry(e.Message);
                }

                if (spool.AcknowledgedIndexOf(reader) != progress) delay = RetryDelayMin;
                await Task.Delay(delay * (0.5 + Random.Shared.NextDouble()), time, stoppingToken);
                delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax;
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return; // The rest is sent after the next start.
            }
            catch (ObjectDisposedException)
            {
                return; // Spool or channel were closed under us: the process is stopping.
            }
        }
    }

    async Task RelayAsync(CancellationToken cancellationToken)
    {
        using var cursor = spool.OpenCursor(reader);
        while (await cursor.ReadAsync(BatchRecordsMax, BatchBytesMax, cancellationToken) is { Count: > 0 } records)
        {
            foreach (var record in records)
            {
                if (ReportOf(record) is { } report) await SendAsync(report, cancellationToken);
                spool.Acknowledge(record.Index, reader);
            }
        }
    }

    /// <summary>The report of a record. Null for what is not sent, which is counted.</summary>
    StampedEvent? ReportOf(SpoolRecord record)
    {
        if (StampedEvent.TryRead(record.Data, out var stamped) is { } problem)
        {
            LogUnreadable(record.Index, problem);
            _metrics.Refused();
            return null;
        }

        if (stamped!.Type != EventTypes.InventoryReport)
        {
            _metrics.Withheld(nameof(WithheldReason.NotAReport));
            return null;
        }

        if (ReportValidator.Validate(stamped.Data.Span, out var summary) is { } malformed)
        {
            LogUnreadable(record.Index, malformed);
            _metrics.Refused();
            return null;
        }

        if (stamped.Attribute("guestcid") is not { } cid)
        {
            Withhold(stamped, WithheldReason.CidUnknown, "the host does not know its context id; give the guest a cid");
            return null;
        }

        if (summary.ClaimedCid is { } claimed && claimed != cid)
        {
            Withhold(stamped, WithheldReason.CidMismatch, "it names another context id than its guest's");
            return null;
        }

        return stamped;
    }

    void Withhold(StampedEvent report, WithheldReason reason, string problem)
    {
        _metrics.Withheld(reason.ToString());
        if (_withheldLog.MayLog(time, out var heldBack)) LogWithheld(report.Id, report.Subject, problem, heldBack);
    }

    void Retry(string problem)
    {
        _metrics.Retried();
        if (problem != _lastProblem) LogRetried(spool.DepthOf(reader), problem);
        _lastProblem = problem;
    }

    async Task SendAsync(StampedEvent report, CancellationToken cancellationToken)
    {
        var request = new RawMessage(report.Data);
        var delay = RetryDelayMin;
        while (true)
        {
            RpcException failure;
            try
            {
                var answer = await channel.UnaryAsync(Upsert, request, new RpcCallOptions { Timeout = AttemptTimeout }, cancellationToken);
                _metrics.Connected();
                if (_lastProblem is not null) LogReconnected();
                _lastProblem = null;
                if (answer.Success)
                {
                    _metrics.Delivered(1);
                }
                else
                {
                    _metrics.Refused();
                    LogRefused(report.Id, report.Subject, "success is false");
                }

                return;
            }
            catch (RpcException e)
            {
                failure = e;
            }

            if (!MayPass(failure.Code))
            {
                _metrics.Refused();
                LogRefused(report.Id, report.Subject, failure.Message);
                return;
            }

            Retry(failure.Message);
            await Task.Delay(delay * (0.5 + Random.Shared.NextDouble()), time, cancellationToken);
            delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax;
        }
    }

    /// <summary>
    /// The first four are those that StackRox's relay tries again. The next two say something about this node's certificate, which an operator can
    /// mend, and nothing about the report.
    /// </summary>
    static bool MayPass(RpcStatusCode code) => code
        is RpcStatusCode.DeadlineExceeded or RpcStatusCode.Unavailable or RpcStatusCode.ResourceExhausted or RpcStatusCode.Internal
        or RpcStatusCode.Unauthenticated or RpcStatusCode.PermissionDenied;

    [LoggerMessage(4401, LogLevel.Warning, "Cannot deliver to the StackRox Sensor, {Depth} events wait: {Problem}", EventName = "StackRoxRetried")]
    partial void LogRetried(ulong depth, string problem);

    [LoggerMessage(4402, LogLevel.Information, "Delivering to the StackRox Sensor again", EventName = "StackRoxReconnected")]
    partial void LogReconnected();

    [LoggerMessage(4403, LogLevel.Error, "The StackRox Sensor refused report {Id} of {Subject}: {Problem}", EventName = "StackRoxRefused")]
    partial void LogRefused(string id, string subject, string problem);

    [LoggerMessage(4404, LogLevel.Error, "Record {Index} of the spool is no event and is left out: {Problem}", EventName = "StackRoxUnreadable")]
    partial void LogUnreadable(ulong index, string problem);

    [LoggerMessage(
        4405, LogLevel.Warning, "Report {Id} of {Subject} is not handed to the StackRox Sensor: {Problem} ({Others} more since the last such line)",
        EventName = "StackRoxWithheld")]
    partial void LogWithheld(string id, string subject, string problem, long others);
}
