using System.Diagnostics.Metrics;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Spool;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Rpc.Publishing;

/// <summary>
/// The sending side of a hop: reads the spool in order, sends as credit allows, and acknowledges in the spool what the next
/// hop has stored.
/// </summary>
/// <remarks>
/// <list type="number">
/// <item>Connect and wait for the first credit.</item>
/// <item>Read from the oldest record that is not acknowledged and send in batches, never more events than the credit.</item>
/// <item>Each answer marks events as done; the spool is acknowledged up to the first that is not.</item>
/// <item>When the connection ends, wait (doubling, with jitter) and begin again at 1: what was sent and not acknowledged is
/// sent again, and the receiver ignores what it has.</item>
/// </list>
/// </remarks>
/// <param name="reader">Whose place in the spool it moves, where the spool has several readers.</param>
public sealed partial class SpoolRelay(
    EventSpool spool, RpcChannel channel, string destination, ILogger<SpoolRelay> logger, IMeterFactory meters, TimeProvider time,
    string? reader = null, string spoolName = "keep")
    : BackgroundService
{
    const int BatchEventsMax = 256;
    const int BatchBytesMax = 1 << 20;
    static readonly TimeSpan RetryDelayMin = TimeSpan.FromMilliseconds(100);
    static readonly TimeSpan RetryDelayMax = TimeSpan.FromSeconds(5);

    readonly ILogger<SpoolRelay> _logger = logger;
    readonly RelayMetrics _metrics = new(meters, spool, destination, reader, spoolName);

    /// <summary>Options that a channel for this protocol needs.</summary>
    public static RpcChannelOptions ChannelOptions(CertificateDirectory? certificates, string? serverName) => new()
    {
        Certificates = certificates,
        ServerName = serverName,
        SendMessageBytesMax = PublishMethod.MessageBytesMax,
    };

    /// <summary>Relays until cancelled. Failures of the peer are retried for ever and logged when they begin and end.</summary>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var delay = RetryDelayMin;
        string? lastProblem = null;
        while (!stoppingToken.IsCancellationRequested)
        {
            var progress = spool.AcknowledgedIndexOf(reader);
            string problem;
            try
            {
                await RelayAsync(connected: () =>
                {
                    _metrics.Connected();
                    if (lastProblem is not null) LogReconnected(destination);
                    lastProblem = null;
                }, stoppingToken);
                return; // The spool was closed.
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return; // Spool or channel were closed under us: the process is stopping.
            }
            catch (RpcException e)
            {
                problem = $"{e.Code}: {e.Detail}";
            }
            catch (IOException e)
            {
                // The spool's disk. Ending here would end the whole process, and with it what still works.
                problem = e.Message;
            }

            if (problem != lastProblem) LogDisconnected(destination, problem, spool.DepthOf(reader));
            lastProblem = problem;
            _metrics.Retried();
            if (spool.AcknowledgedIndexOf(reader) != progress) delay = RetryDelayMin;
            try
            {
                // Jitter, so that the senders of a whole cluster do not come back at the same moment.
                await Task.Delay(delay * (0.5 + Random.Shared.NextDouble()), time, stoppingToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax;
        }
    }

    async Task RelayAsync(Action connected, CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        // :: Step 1
        await using var call = channel.Open(PublishMethod.Publish, cancellationToken: ending.Token);
        var underWay = new UnderWay();
        var receiving = ReceiveAsync(call, underWay, connected, ending.Token);
        var sending = SendAsync(call, underWay, ending.Token);
        try
        {
            await await Task.WhenAny(receiving, sending);
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(receiving, sending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    async Task SendAsync(RpcCall<PublishRequest, PublishResponse> call, UnderWay underWay, CancellationToken cancellationToken)
    {
        using var cursor = spool.OpenCursor(reader);
        while (true)
        {
            // :: Step 2
            var credit = await underWay.WaitForCreditAsync(cancellationToken);
            var records = await cursor.ReadAsync(Math.Min(credit, BatchEventsMax), BatchBytesMax, cancellationToken);
            if (records.Count == 0) return;

            var request = new PublishRequest();
            foreach (var record in records)
            {
                if (StampedEvent.TryRead(record.Data, out var stamped) is { } problem)
                {
                    // Its checksum was right, so another version wrote it. It can never be sent; a gap downstream tells of it.
                    LogUnreadable(record.Index, problem);
                    _metrics.Refused();
                    underWay.Skip(record.Index);
                    continue;
                }

                underWay.Add(record.Index, stamped!.Position);
                request.Events.Add(UnsafeByteOperations.UnsafeWrap(record.Data));
            }

            if (request.Events.Count > 0) await call.WriteAsync(request, cancellationToken);
            else if (underWay.TakeDone() is { } done) spool.Acknowledge(done, reader);
        }
    }

    async Task ReceiveAsync(
        RpcCall<PublishRequest, PublishResponse> call, UnderWay underWay, Action connected, CancellationToken cancellationToken)
    {
        while (await call.ReadAsync(cancellationToken) is { } response)
        {
            connected();
            // :: Step 3
            foreach (var acknowledgement in response.Acknowledgements)
            {
                var position = new EventPosition(acknowledgement.Stream, acknowledgement.Sequence);
                if (acknowledgement.Code == AcknowledgementCode.Stored)
                {
                    _metrics.Delivered(underWay.Store(position));
                }
                else if (acknowledgement.Code == AcknowledgementCode.Refused && underWay.Refuse(position, acknowledgement.Ordinal))
                {
                    _metrics.Refused();
                    LogRefused(destination, position.Stream, position.Sequence, acknowledgement.Ordinal, acknowledgement.Reason);
                }
            }

            if (underWay.TakeDone() is { } done) spool.Acknowledge(done, reader);
            if (response.Credit > 0) underWay.Grant(response.Credit);
        }

        throw new RpcException(RpcStatusCode.Unavailable, "the receiver ended the stream");
    }

    [LoggerMessage(3101, LogLevel.Warning, "Cannot deliver to {Destination}, {Depth} events wait: {Problem}", EventName = "RelayDisconnected")]
    partial void LogDisconnected(string destination, string problem, ulong depth);

    [LoggerMessage(3102, LogLevel.Information, "Delivering to {Destination} again", EventName = "RelayReconnected")]
    partial void LogReconnected(string destination);

    [LoggerMessage(3103, LogLevel.Error, "{Destination} refused event {Sequence} of stream '{Stream}' (or the {Ordinal}th of the call): {Reason}", EventName = "RelayRefused")]
    partial void LogRefused(string destination, string stream, ulong sequence, ulong ordinal, string reason);

    [LoggerMessage(3104, LogLevel.Error, "Record {Index} of the spool is no event and is left out: {Problem}", EventName = "RelayUnreadable")]
    partial void LogUnreadable(ulong index, string problem);
}
