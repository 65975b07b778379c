using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using Guestmark.Events;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Listening;

/// <summary>The push protocol on the channel of one guest.</summary>
/// <remarks>
/// A message:
/// <list type="number">
/// <item>Wait for the header, as long as a connection may be silent; from the first byte the message has a deadline.</item>
/// <item>Check the length, then wait for the body. It stays in the connection's buffer, so what a guest has not sent costs nothing.</item>
/// <item>Check that the body is a report, without building it.</item>
/// <item>Compare the identity it claims with that of the channel.</item>
/// <item>Stamp it and wait until it is in the spool.</item>
/// <item>Answer. Only <see cref="PushStatus.Stored"/> promises anything.</item>
/// </list>
/// </remarks>
public sealed partial class GuestChannel
{
    static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(10);

    readonly NodeOptions _options;
    readonly EventStamper _stamper;
    readonly NodeMetrics _metrics;
    readonly ILogger _logger;
    readonly TimeProvider _time;
    readonly ConcurrentDictionary<PushStatus, long> _loggedAt = new();
    int _connections;

    internal GuestChannel(
        GuestOptions guest, ChannelIdentity identity, NodeOptions options, EventStamper stamper, NodeMetrics metrics, ILogger logger, TimeProvider time)
    {
        Guest = guest;
        Identity = identity;
        _options = options;
        _stamper = stamper;
        _metrics = metrics;
        _logger = logger;
        _time = time;
    }

    public GuestOptions Guest { get; }

    public ChannelIdentity Identity { get; }

    public string SocketPath => Guest.SocketPath(_options.PushPort);

    /// <summary>Serves one connection to its end.</summary>
    public async Task RunAsync(ConnectionContext connection)
    {
        _metrics.ConnectionOpened();
        var open = Interlocked.Increment(ref _connections);
        try
        {
            if (open <= _options.Limits.ConnectionsPerGuestMax)
            {
                await ServeAsync(connection);
            }
            else
            {
                var reason = $"{open} connections are open, {_options.Limits.ConnectionsPerGuestMax} are allowed";
                await AnswerAsync(connection.Transport.Output, PushStatus.TooManyConnections, reason, connection.ConnectionClosed);
            }
        }
        catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException or OperationCanceledException)
        {
            // The guest is gone, or the node is stopping. What it was told is true; what it was not told it sends again.
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
            _metrics.ConnectionClosed();
        }
    }

    async Task ServeAsync(ConnectionContext connection)
    {
        var input = connection.Transport.Input;
        var output = connection.Transport.Output;
        var stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        while (true)
        {
            var (body, buffer, end) = await ReadMessageAsync(input, output, connection.ConnectionClosed, stopping);
            if (end) return;

            PushStatus status;
            string? reason;
            try
            {
                (status, reason) = await TakeAsync(body);
            }
            finally
            {
                input.AdvanceTo(buffer);
            }

            await AnswerAsync(output, status, reason, connection.ConnectionClosed);
        }
    }

    /// <summary>Steps 1 and 2.</summary>
    /// <returns>The body and where the next message begins; or End when the connection is over and any answer has been given.</returns>
    async ValueTask<(ReadOnlySequence<byte> Body, SequencePosition Next, bool End)> ReadMessageAsync(
        PipeReader input, PipeWriter output, CancellationToken closed, CancellationToken stopping)
    {
        using var deadline = new CancellationTokenSource(_options.IdleTimeout, _time);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, closed);

        // A node that stops ends silent connections at once, and lets a message that has begun arrive.
        using var idle = CancellationTokenSource.CreateLinkedTokenSource(waiting.Token, stopping);
        var begun = false;
        while (true)
        {
            ReadResult read;
            try
            {
                read = await input.ReadAsync(begun ? waiting.Token : idle.Token);
            }
            catch (OperationCanceledException) when (!closed.IsCancellationRequested)
            {
                // A connection that was silent between messages is closed without a word: no message is waiting for an answer.
                if (begun)
                {
                    _metrics.Abandoned();
                    await AnswerAsync(output, PushStatus.DeadlineExceeded, $"a message took longer than {_options.MessageTimeout.TotalSeconds} s", closed);
                }

                return (default, default, true);
            }

            var buffer = read.Buffer;
            switch (PushFrame.TryRead(ref buffer, _options.MessageBytesMax, out var body, out var length))
            {
                case FrameReadResult.Complete:
                    return (body, body.End, false);
                case FrameReadResult.EmptyBody:
                    input.AdvanceTo(buffer.End);
                    await AnswerAsync(output, PushStatus.EmptyBody, "length 0", closed);
                    return (default, default, true);
                case FrameReadResult.BodyTooLong:
                    input.AdvanceTo(buffer.End);
                    await AnswerAsync(output, PushStatus.BodyTooLong, $"length {length} is over the limit of {_options.MessageBytesMax}", closed);
                    return (default, default, true);
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted)
            {
                if (!buffer.IsEmpty) _metrics.Abandoned();
                return (default, default, true);
            }

            if (!begun && !buffer.IsEmpty)
            {
                begun = true;
                deadline.CancelAfter(_options.MessageTimeout);
            }
        }
    }

    /// <summary>Steps 3 to 5.</summary>
    async ValueTask<(PushStatus Status, string? Reason)> TakeAsync(ReadOnlySequence<byte> body)
    {
        _metrics.Received((int)body.Length);
        Task<StampOutcome> stamping;
        if (body.IsSingleSegment)
        {
            if (Check(body.FirstSpan) is { } refusal) return refusal;
            stamping = Stamp(body.FirstSpan);
        }
        else
        {
            // The length was checked against the limit and the bytes have arrived: renting as many again is bounded.
            var rented = ArrayPool<byte>.Shared.Rent((int)body.Length);
            try
            {
                body.CopyTo(rented);
                var bytes = rented.AsSpan(0, (int)body.Length);
                if (Check(bytes) is { } refusal) return refusal;
                stamping = Stamp(bytes);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(rented);
            }
        }

        return await stamping switch
        {
            StampOutcome.Stored => (PushStatus.Stored, null),
            StampOutcome.Full => (PushStatus.Unavailable, "the spool is full"),
            _ => (PushStatus.Unavailable, "the spool's disk failed"),
        };
    }

    (PushStatus, string?)? Check(ReadOnlySpan<byte> body)
    {
        if (ReportValidator.Validate(body, out var report) is { } problem) return (PushStatus.Malformed, problem);
        if (Identity.GuestCid is { } cid && report.ClaimedCid is { } claimed && claimed != cid.ToString(System.Globalization.CultureInfo.InvariantCulture))
            return (PushStatus.IdentityMismatch, $"a report on the channel of CID {cid} claims another");
        return null;
    }

    Task<StampOutcome> Stamp(ReadOnlySpan<byte> body) =>
        _stamper.StampAsync(Identity, EventTypes.InventoryReport, "virtualmachine.v1.VMReport", body);

    /// <summary>Step 6.</summary>
    async ValueTask AnswerAsync(PipeWriter output, PushStatus status, string? reason, CancellationToken closed)
    {
        _metrics.Answered(status);
        if (status != PushStatus.Stored && MayLog(status)) LogRefused(Guest.Name, status, reason);
        PushFrame.WriteStatus(output.GetSpan(PushFrame.StatusBytes), status);
        output.Advance(PushFrame.StatusBytes);

        // A guest that does not read its answers must not hold the connection for ever.
        using var deadline = new CancellationTokenSource(_options.MessageTimeout, _time);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, closed);
        await output.FlushAsync(waiting.Token);
    }

    /// <summary>Once in ten seconds for each status, so that a guest cannot fill the host's log. All are counted.</summary>
    bool MayLog(PushStatus status)
    {
        var now = _time.GetTimestamp();
        if (_loggedAt.TryGetValue(status, out var last) && _time.GetElapsedTime(last, now) < LogInterval) return false;
        _loggedAt[status] = now;
        return true;
    }

    [LoggerMessage(4101, LogLevel.Warning, "Refused a message of guest {Guest} with status {Status}: {Reason}", EventName = "GuestMessageRefused")]
    partial void LogRefused(string guest, PushStatus status, string? reason);
}
