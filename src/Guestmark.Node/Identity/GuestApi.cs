using System.Globalization;
using Guestmark.Node.Relay;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Guestmark.Node.Identity;

/// <summary>The guests of a node on its control socket.</summary>
/// <remarks><code>GET /v1/guests   200: {"guests": [...]}</code></remarks>
static class GuestApi
{
    /// <param name="control">Of the control socket, below <c>/v1</c>.</param>
    public static void Map(IEndpointRouteBuilder control) =>
        control.MapGet("/guests", (GuestRegistry registry, NodeConfiguration configuration, NodeSpools spools) =>
        {
            spools.KeepShares.Release(spools.Keep.AcknowledgedIndex);
            return Results.Json(new GuestStatusList([.. registry.AllWithUnknown().Select(channel => StatusOf(channel, registry, spools, configuration.Current))
                .OrderBy(guest => guest.Name, StringComparer.Ordinal).ThenBy(guest => guest.Uid, StringComparer.Ordinal)]), ControlJson.Options);
        });

    static GuestStatus StatusOf(GuestChannel channel, GuestRegistry registry, NodeSpools spools, NodeOptions options)
    {
        var guest = channel.Guest;
        var sockets = options.SocketListeners();
        var isHeard = guest.SocketBase is not null ? sockets.All(listener => channel.IsReachable(listener.Port)) : options.VsockListeners.Count > 0 && registry.IsHeard(channel);
        var (reports, refused, lastReportAt, refusal) = channel.Share.Account;
        return new GuestStatus(
            guest.Name, guest.Uid, channel.IsKnown,
            guest.SocketBase is not null ? guest.SocketPath(sockets[0].Port) : string.Create(CultureInfo.InvariantCulture, $"vsock:{guest.Cid}"),
            !isHeard ? "not-listening" : channel.Connections > 0 ? "connected" : "listening",
            channel.Connections, lastReportAt?.UtcDateTime, reports, refused, refusal?.Status.ToString(), refusal?.At.UtcDateTime,
            spools.KeepShares.Of(guest.Uid));
    }
}

/// <summary>The answer to <c>GET /v1/guests</c>.</summary>
public sealed record GuestStatusList(IReadOnlyList<GuestStatus> Guests);

/// <summary>How a guest is, for people and programs. Counts are from the start of the node.</summary>
/// <param name="Known">False: no registry knows it, and it was accepted as it is.</param>
/// <param name="Channel">The path of its Unix socket, the first where it has several, or <c>vsock:CID</c>.</param>
/// <param name="State">
/// <c>connected</c>; <c>listening</c>, as between two reports; <c>not-listening</c> when a socket of it cannot be bound, somebody replaced it, or nobody listens on AF_VSOCK.
/// </param>
/// <param name="LastReportAt">When the last report was stored. Null: none since the start.</param>
/// <param name="Reports">Reports that were stored.</param>
/// <param name="Refused">Messages and connections that were answered with another status.</param>
/// <param name="LastRefusal">The last such status.</param>
/// <param name="SpoolBytes">What waits in the spool for delivery.</param>
public sealed record GuestStatus(
    string Name, string Uid, bool Known, string Channel, string State, int Connections, DateTime? LastReportAt, ulong Reports, ulong Refused, string? LastRefusal, DateTime? LastRefusedAt,
    long SpoolBytes);
