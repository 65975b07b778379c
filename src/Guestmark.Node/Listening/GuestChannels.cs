using Guestmark.Events;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Listening;

/// <summary>The channels of all guests of this node.</summary>
public sealed class GuestChannels
{
    public GuestChannels(NodeOptions options, EventStamper stamper, NodeMetrics metrics, ILogger<GuestChannel> logger, TimeProvider time) =>
        All = [.. options.Guests.Select(guest => new GuestChannel(guest, Identify(options, guest), options, stamper, metrics, logger, time))];

    public IReadOnlyList<GuestChannel> All { get; }

    /// <summary>The path of the socket is the identity: only the hypervisor of this guest, and the host, can reach it.</summary>
    static ChannelIdentity Identify(NodeOptions options, GuestOptions guest) =>
        new($"//{options.Cluster}/{options.Node}/{guest.Name}", guest.Uid) { GuestPort = options.PushPort };
}
