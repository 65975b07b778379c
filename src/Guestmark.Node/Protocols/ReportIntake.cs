using System.Globalization;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Identity;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;

namespace Guestmark.Node.Protocols;

/// <summary>What every push protocol does with a complete report: admit, check, compare, take a turn, stamp.</summary>
sealed class ReportIntake(NodeConfiguration configuration, EventStamper stamper, FairOrder order, Refusals refusals, NodeMetrics metrics)
{
    public FairOrder Order => order;

    /// <summary>Steps 1 to 3: whether the guest may send it now, whether it is a report, whether it is this guest's.</summary>
    /// <param name="wait">How long the guest is over its rates. Its connection is not read before that.</param>
    /// <returns><see cref="PushStatus.Stored"/>: go on with <see cref="TryTakeTurn"/>.</returns>
    public PushStatus Check(GuestChannel channel, ChannelIdentity identity, ReadOnlySpan<byte> body, out TimeSpan wait)
    {
        metrics.Received(body.Length);
        var share = channel.Share;
        wait = share.Admit(body.Length);
        if (wait > TimeSpan.Zero && !share.MayAdmitReactive())
            return Refuse(channel, PushStatus.TooManyMessages, $"over {Limits()}");

        if (ReportValidator.Validate(body, out var report) is { } problem) return Refuse(channel, PushStatus.Malformed, problem);
        if (wait > TimeSpan.Zero)
        {
            if (!report.IsReactive || !share.AdmitReactive()) return Refuse(channel, PushStatus.TooManyMessages, $"over {Limits()}");
            wait = TimeSpan.Zero;
            metrics.Reactive();
        }

        // The registry knows the context id of some guests whose channel is a socket.
        if (identity.GuestCid is { } cid && report.ClaimedCid is { } claimed
            && !string.Equals(claimed, cid.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal))
        {
            refusals.Report(identity, RefusalReason.IdentityMismatch, claimed);
            return Refuse(channel, PushStatus.IdentityMismatch, $"a report on the channel of CID {cid} claims another");
        }

        if (channel.KubernetesUid is { } uid && report.ClaimedUid is { } claimedUid && !string.Equals(claimedUid, uid, StringComparison.OrdinalIgnoreCase))
        {
            refusals.Report(identity, RefusalReason.IdentityMismatch, claimedUid);
            return Refuse(channel, PushStatus.IdentityMismatch, $"a report on the channel of uid {uid} claims another");
        }

        return PushStatus.Stored;
    }

    /// <summary>Step 4, at once if it is possible.</summary>
    public bool TryTakeTurn(GuestChannel channel, int bytes) => order.TryTake(channel.Share.Flow, bytes);

    /// <summary>Step 4. The caller holds no other turn.</summary>
    public Task TakeTurnAsync(GuestChannel channel, int bytes) => order.TakeAsync(channel.Share.Flow, bytes);

    /// <summary>Step 5. The body is copied before this returns.</summary>
    public Task<StampOutcome> Stamp(ChannelIdentity identity, ReadOnlySpan<byte> body) =>
        stamper.StampAsync(identity, EventTypes.InventoryReport, "virtualmachine.v1.VMReport", body);

    /// <summary>Waits for the disk and gives the turn back.</summary>
    public async ValueTask<PushStatus> StoredAsync(GuestChannel channel, Task<StampOutcome> stamping, int bytes)
    {
        StampOutcome outcome;
        try
        {
            outcome = await stamping;
        }
        finally
        {
            order.Return(bytes);
        }

        if (outcome == StampOutcome.Stored)
        {
            channel.Share.Answered(PushStatus.Stored);
            return PushStatus.Stored;
        }

        return outcome switch
        {
            StampOutcome.OverShare => Refuse(
                channel, PushStatus.TooManyMessages,
                $"its reports that wait for delivery fill {configuration.Current.Limits.SpoolShare} % of what others leave of the spool"),
            StampOutcome.Full => Refuse(channel, PushStatus.Unavailable, "the spool is full"),
            _ => Refuse(channel, PushStatus.Unavailable, "the spool's disk failed"),
        };
    }

    public PushStatus Refuse(GuestChannel channel, PushStatus status, string reason)
    {
        channel.Share.Answered(status);
        refusals.Log(channel.Share.Log, channel.Guest.Name, status.ToString(), reason);
        return status;
    }

    string Limits() => string.Create(
        CultureInfo.InvariantCulture,
        $"{configuration.Current.Limits.MessagesPerSecond} messages or {configuration.Current.Limits.BytesPerSecond} bytes a second");
}
