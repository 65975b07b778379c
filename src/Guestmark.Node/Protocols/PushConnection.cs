using System.Buffers;
using System.IO.Pipelines;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.Wire.Framing;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Guestmark.Node.Protocols;

/// <summary>The push protocol (<see cref="PushFrame"/>) on one connection of a guest.</summary>
/// <remarks>
/// A message:
/// <list type="number">
/// <item>Wait for the header, as long as a connection may be silent; from the first byte the message has a deadline.</item>
/// <item>Check the length, then wait for the body. It stays in the connection's buffer, so what a guest has not sent costs nothing.</item>
/// <item>Ask whether the guest is within its rates, whether the body is a report, and whether it claims another identity than the channel's
/// (<see cref="ReportIntake"/>).</item>
/// <item>Wait for the guest's turn and stamp it.</item>
/// <item>Wait until it is in the spool and answer. Only <see cref="PushStatus.Stored"/> promises anything.</item>
/// </list>
/// A guest may send without waiting for answers: what one read brings is stamped together and answered together, in order.
/// </remarks>
sealed class PushConnection(
    GuestChannel channel, ChannelIdentity identity, ConnectionContext connection, NodeOptions options, ReportIntake intake, NodeMetrics metrics,
    DeadlineSweep deadlines)
{
    /// <summary>Answers that wait for the disk together: a group commit is worth it, and the guest's own order bounds the latency.</summary>
    const int UnderWayMax = 256;

    readonly PipeReader _input = connection.Transport.Input;
    readonly PipeWriter _output = connection.Transport.Output;
    readonly Queue<(PushStatus Status, Task<StampOutcome>? Stamping, int Bytes)> _underWay = new();
    readonly CancellationToken _stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;

    /// <summary>Serves the connection to its end.</summary>
    public async Task RunAsync()
    {
        using var deadline = deadlines.Add(connection.Transport);
        await using var stopping = _stopping.UnsafeRegister(static input => ((PipeReader)input!).CancelPendingRead(), _input);
        try
        {
            await ServeAsync(deadline);
        }
        catch (MessageMemoryException e)
        {
            metrics.Abandoned();
            Enqueue(intake.Refuse(channel, PushStatus.Unavailable, e.Message));
            await AnswerAsync(deadline);
        }
        finally
        {
            // What was stamped is stored whether or not the guest still listens, and its turn is given back.
            while (_underWay.TryDequeue(out var next))
            {
                if (next.Stamping is not null) await intake.StoredAsync(channel, next.Stamping, next.Bytes);
            }
        }
    }

    async Task ServeAsync(ConnectionDeadline deadline)
    {
        var begun = false;
        deadline.Set(options.IdleTimeout);
        while (true)
        {
            // 1. and 2.
            var read = await _input.ReadAsync();
            var rest = read.Buffer;
            var messages = 0;
            var wait = TimeSpan.Zero;
            FrameReadResult result;
            uint length;
            while ((result = PushFrame.TryRead(ref rest, options.MessageBytesMax, out var body, out length)) == FrameReadResult.Complete)
            {
                // 3. and 4.
                messages++;
                if (!TryTake(body, out wait))
                {
                    await AnswerAsync(deadline);
                    await intake.TakeTurnAsync(channel, (int)body.Length);
                    Stamp(body);
                }

                if (wait > TimeSpan.Zero || _underWay.Count >= UnderWayMax) break;
            }

            if (result == FrameReadResult.EmptyBody) Enqueue(intake.Refuse(channel, PushStatus.EmptyBody, "length 0"));
            if (result == FrameReadResult.BodyTooLong)
                Enqueue(intake.Refuse(channel, PushStatus.BodyTooLong, $"length {length} is over the limit of {options.MessageBytesMax}"));
            var unfinished = !rest.IsEmpty;
            _input.AdvanceTo(rest.Start, result == FrameReadResult.Complete ? rest.Start : rest.End);

            // 5.
            if (_underWay.Count > 0) await AnswerAsync(deadline);
            if (result is FrameReadResult.EmptyBody or FrameReadResult.BodyTooLong) return;
            if (wait > TimeSpan.Zero)
            {
                // What the guest sends meanwhile fills its own socket, and then it waits too.
                await Task.Delay(wait < options.MessageTimeout ? wait : options.MessageTimeout, deadlines.Time, connection.ConnectionClosed);
                deadline.Set(options.MessageTimeout);
                continue;
            }

            if (result == FrameReadResult.Complete) continue;
            if (read.IsCompleted)
            {
                if (unfinished) metrics.Abandoned();
                return;
            }

            // A connection that was silent between messages is closed without a word: no message waits for an answer. A node that stops lets a
            // message that has begun arrive.
            var isNew = !unfinished || !begun || messages > 0;
            if (!unfinished && ((deadline.HasPassed && messages == 0) || _stopping.IsCancellationRequested)) return;
            // The deadline of the silence before it may pass as a message begins: that is not the message's.
            if (deadline.HasPassed && !isNew)
            {
                metrics.Abandoned();
                Enqueue(intake.Refuse(channel, PushStatus.DeadlineExceeded, $"a message took longer than {options.MessageTimeout.TotalSeconds} s"));
                await AnswerAsync(deadline);
                return;
            }

            // A message's time begins with its first byte and not again with each.
            if (isNew) deadline.Set(unfinished ? options.MessageTimeout : options.IdleTimeout);
            begun = unfinished;
        }
    }

    /// <summary>Steps 3 and 4 as far as they go without a wait. False: it is to be stamped when the guest's turn has come.</summary>
    bool TryTake(in ReadOnlySequence<byte> body, out TimeSpan wait)
    {
        var status = intake.Check(channel, identity, Contiguous(body), out wait);
        if (status != PushStatus.Stored)
        {
            Enqueue(status);
            return true;
        }

        if (!intake.TryTakeTurn(channel, (int)body.Length)) return false;
        Stamp(body);
        return true;
    }

    void Stamp(in ReadOnlySequence<byte> body) =>
        _underWay.Enqueue((default, intake.Stamp(identity, Contiguous(body)), (int)body.Length));

    void Enqueue(PushStatus status) => _underWay.Enqueue((status, null, 0));

    /// <summary>Step 5, for all that are under way.</summary>
    async ValueTask AnswerAsync(ConnectionDeadline deadline)
    {
        while (_underWay.TryDequeue(out var next))
        {
            var status = next.Stamping is null ? next.Status : await intake.StoredAsync(channel, next.Stamping, next.Bytes);
            metrics.Answered(status);
            PushFrame.WriteStatus(_output.GetSpan(PushFrame.StatusBytes), status);
            _output.Advance(PushFrame.StatusBytes);
        }

        var flushing = _output.FlushAsync();
        if (flushing.IsCompletedSuccessfully) return;

        // A guest that does not read its answers must not hold the connection for ever.
        deadline.SetForFlush(options.MessageTimeout);
        if ((await flushing).IsCanceled) throw new ConnectionAbortedException("the guest does not read its answers");
        deadline.Set(options.MessageTimeout);
    }

    /// <summary>The node's own connections return one segment; any other pipe's are put together.</summary>
    internal static ReadOnlySpan<byte> Contiguous(in ReadOnlySequence<byte> body) => body.IsSingleSegment ? body.FirstSpan : body.ToArray();
}
