using System.Buffers;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.Wire.Framing;
using Microsoft.AspNetCore.Connections;

namespace Guestmark.Node.Protocols;

/// <summary>What the agents of StackRox 4.9 to 4.11 speak: one protobuf message until the end of the stream, and no answer.</summary>
/// <remarks>
/// <code>guest to host   body   a virtualmachine.v1.VMReport, in 4.9.0 a virtualmachine.v1.IndexReport; ends where the stream ends</code>
/// The two differ in what field 1 is, and nothing tells them apart for certain, so the listener's configuration says which it is. A bare IndexReport is
/// stored as the VMReport that has it as field 1.
/// <para>The agent learns nothing: a report that the spool does not take is lost to it until the agent's next, and is counted.</para>
/// </remarks>
sealed class StackRoxPushConnection(
    GuestChannel channel, ChannelIdentity identity, ConnectionContext connection, bool bareIndex, NodeOptions options, ReportIntake intake,
    NodeMetrics metrics, DeadlineSweep deadlines)
{
    /// <summary>From the first moment of the connection to its end, as StackRox's relay had it.</summary>
    static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    /// <summary>VMReport.index_report: field 1, wire type 2.</summary>
    const byte IndexReportTag = 1 << 3 | 2;

    public async Task RunAsync()
    {
        using var deadline = deadlines.Add(connection.Transport);
        deadline.Set(Timeout);
        PushStatus status;
        var wait = TimeSpan.Zero;
        try
        {
            (status, wait) = await ReceiveAsync(deadline);
        }
        catch (MessageMemoryException e)
        {
            metrics.Abandoned();
            status = intake.Refuse(channel, PushStatus.Unavailable, e.Message);
        }

        metrics.Answered(status);

        // A guest over its rates keeps its connection, of which it has few, until it is not.
        if (wait > TimeSpan.Zero) await Task.Delay(wait < Timeout ? wait : Timeout, deadlines.Time, connection.ConnectionClosed);
    }

    async ValueTask<(PushStatus Status, TimeSpan Wait)> ReceiveAsync(ConnectionDeadline deadline)
    {
        var input = connection.Transport.Input;
        while (true)
        {
            var read = await input.ReadAsync();
            if (read.Buffer.Length > options.MessageBytesMax)
                return (intake.Refuse(channel, PushStatus.BodyTooLong, $"over the limit of {options.MessageBytesMax} bytes"), default);
            if (read.IsCompleted)
            {
                if (read.Buffer.IsEmpty) return (intake.Refuse(channel, PushStatus.EmptyBody, "nothing was sent"), default);
                return await TakeAsync(read.Buffer);
            }

            input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            if (!deadline.HasPassed) continue;
            metrics.Abandoned();
            return (intake.Refuse(channel, PushStatus.DeadlineExceeded, $"the end did not come within {Timeout.TotalSeconds} s"), default);
        }
    }

    async ValueTask<(PushStatus Status, TimeSpan Wait)> TakeAsync(ReadOnlySequence<byte> sent)
    {
        var body = bareIndex ? Wrap(sent) : sent;
        var status = intake.Check(channel, identity, PushConnection.Contiguous(body), out var wait);
        if (status != PushStatus.Stored) return (status, wait);
        var bytes = (int)body.Length;
        await intake.TakeTurnAsync(channel, bytes);
        return (await intake.StoredAsync(channel, intake.Stamp(identity, PushConnection.Contiguous(body)), bytes), default);
    }

    static ReadOnlySequence<byte> Wrap(in ReadOnlySequence<byte> index)
    {
        Span<byte> header = stackalloc byte[6];
        header[0] = IndexReportTag;
        var length = 1;
        var rest = (uint)index.Length;
        for (; rest >= 0x80; rest >>= 7) header[length++] = (byte)(rest | 0x80);
        header[length++] = (byte)rest;
        var report = new byte[length + (int)index.Length];
        header[..length].CopyTo(report);
        index.CopyTo(report.AsSpan(length));
        return new ReadOnlySequence<byte>(report);
    }
}
