using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Guestmark.Node.Protocols;

/// <summary>What happens to a connection between being accepted and being served: whose it is, whether it may be, and what it speaks.</summary>
sealed class GuestReception(
    NodeConfiguration configuration, GuestRegistry registry, EventStamper stamper, Refusals refusals, NodeMetrics metrics, DeadlineSweep deadlines)
{
    /// <summary>The first port that any user of a guest may bind (PROT_SOCK of vsock and IP alike).</summary>
    const uint PortUnprivilegedFirst = 1024;

    /// <summary>The order into the spool, for guests and cells alike.</summary>
    public FairOrder Order => _intake.Order;

    readonly ReportIntake _intake = new(
        configuration, stamper, new FairOrder(configuration.Current.Limits.OutstandingBytesMax), refusals, metrics);

    readonly LogThrottle _strangers = new();

    /// <summary>Connections of all guests and cells: no listener accepts more.</summary>
    public ConnectionSlots Connections { get; } = new(() => configuration.Current.Limits.ConnectionsMax);

    /// <summary>Serves a connection of a Unix socket: it is the guest's to whom the socket was given.</summary>
    public Task ServeSocketAsync(GuestChannel channel, ConnectionContext connection) =>
        ServeAsync(channel, channel.OnSocket, configuration.Current.PushProtocol, connection);

    /// <summary>Serves a connection of AF_VSOCK: it is the guest's that has the peer's context id now.</summary>
    public Task ServeVsockAsync(VsockListenerOptions listener, ConnectionContext connection)
    {
        if (connection.RemoteEndPoint is not VsockEndPoint peer) return Task.CompletedTask;
        var mayBeGuest = peer.Cid is > GuestOptions.CidReservedLast and < uint.MaxValue;
        var channel = mayBeGuest ? registry.Find(peer.Cid) : null;
        if (channel is null && mayBeGuest && configuration.Current.UnknownGuests == UnknownGuestPolicy.Accept)
        {
            channel = registry.FindOrAddUnknown(peer.Cid);
            if (channel is null && configuration.Current.UnknownGuests == UnknownGuestPolicy.Accept)
            {
                refusals.Log(_strangers, peer.ToString(), PushStatus.TooManyConnections.ToString(), "too many machines that no registry knows");
                return AnswerAsync(listener.Protocol, PushStatus.TooManyConnections, connection);
            }
        }

        if (channel is null)
        {
            refusals.Report(registry.OfStranger(peer.Cid, listener.Port), RefusalReason.UnknownGuest);
            refusals.Log(_strangers, peer.ToString(), PushStatus.UnknownGuest.ToString(), "no registry of this node knows its context id");
            return AnswerAsync(listener.Protocol, PushStatus.UnknownGuest, connection);
        }

        var identity = channel.OnVsock(listener.Port);
        if (listener.PrivilegedSourcePort && peer.Port >= PortUnprivilegedFirst)
        {
            refusals.Report(identity, RefusalReason.UnprivilegedPort);
            _intake.Refuse(channel, PushStatus.UnprivilegedPort, $"its source port {peer.Port} is not below {PortUnprivilegedFirst}");
            return AnswerAsync(listener.Protocol, PushStatus.UnprivilegedPort, connection);
        }

        return ServeAsync(channel, identity, listener.Protocol, connection);
    }

    /// <summary>Takes a report that the node has asked a guest for, as one that was pushed.</summary>
    /// <param name="report">Whole, and in its own memory until this returns.</param>
    public async Task<PushStatus> TakePulledAsync(GuestChannel channel, ReadOnlyMemory<byte> report)
    {
        var identity = channel.OnPull;
        var status = _intake.Check(channel, identity, report.Span, out _);
        if (status == PushStatus.Stored)
        {
            await _intake.TakeTurnAsync(channel, report.Length);
            status = await _intake.StoredAsync(channel, _intake.Stamp(identity, report.Span), report.Length);
        }

        metrics.Answered(status);
        return status;
    }

    async Task ServeAsync(GuestChannel channel, ChannelIdentity identity, GuestProtocol protocol, ConnectionContext connection)
    {
        var slots = channel.Share.Connections;
        // Who closed a connection may open another at once, even if its end has not been read yet.
        if (!slots.TryTake() && !slots.TryTake(channel.Ended()))
        {
            _intake.Refuse(
                channel, PushStatus.TooManyConnections,
                $"{slots.Taken} connections are open, {configuration.Current.Limits.ConnectionsPerGuestMax} are allowed");
            await AnswerAsync(protocol, PushStatus.TooManyConnections, connection);
            return;
        }

        metrics.ConnectionOpened();
        try
        {
            if (!channel.TryAdd(connection)) return;
            if (connection is GuestConnection { Input: var input }) input.Memory = channel.Share.Memory;
            var options = configuration.Current;
            await (protocol == GuestProtocol.Push
                ? new PushConnection(channel, identity, connection, options, _intake, metrics, deadlines).RunAsync()
                : new StackRoxPushConnection(
                    channel, identity, connection, protocol == GuestProtocol.StackRoxIndexPush, options, _intake, metrics, deadlines).RunAsync());
        }
        finally
        {
            slots.Return();
            channel.Remove(connection);
            metrics.ConnectionClosed();
        }
    }

    /// <summary>Refuses a connection in the words of its protocol. Four bytes always fit into the socket of a new connection.</summary>
    async Task AnswerAsync(GuestProtocol protocol, PushStatus status, ConnectionContext connection)
    {
        metrics.Answered(status);
        if (protocol != GuestProtocol.Push) return;
        var output = connection.Transport.Output;
        PushFrame.WriteStatus(output.GetSpan(PushFrame.StatusBytes), status);
        output.Advance(PushFrame.StatusBytes);
        await output.FlushAsync();
    }
}
