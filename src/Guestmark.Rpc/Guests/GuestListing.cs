using Google.Protobuf.Collections;

namespace Guestmark.Rpc.Guests;

/// <summary>proto/guestmark/v1/guests.proto: how a node learns from the sensor who its guests are.</summary>
public static class GuestListing
{
    /// <summary>Guests in one list. The largest hosts run about a thousand machines.</summary>
    public const int GuestsMax = 4096;

    /// <summary>Bytes of one list. Decoded, one of empty guests would need forty times as much.</summary>
    public const int ListBytesMax = 1 << 20;

    public static RpcMethod<WatchGuestsRequest, WatchGuestsResponse> Watch { get; } = new("guestmark.v1.GuestRegistry", "Watch");

    /// <summary>A list as it is sent.</summary>
    public static WatchGuestsResponse Encode(ulong generation, IEnumerable<GuestEntry> guests)
    {
        var list = new WatchGuestsResponse { Generation = generation };
        foreach (var guest in guests)
        {
            var message = new Guest { Uid = guest.Uid ?? "", Name = guest.Name, SocketBase = guest.SocketBase ?? "", BootEpoch = guest.BootEpoch ?? "", Weight = (uint)(guest.Weight ?? 0) };
            if (guest.Cid is { } cid) message.Cid = cid;
            if (guest.NetworkNamespace is { } network) message.NetworkNamespace = network;
            if (guest.PullPort is { } pull) message.PullPort = pull;
            list.Guests.Add(message);
        }

        return list;
    }

    /// <summary>The guests of a list that came.</summary>
    /// <returns>What is wrong with it as a list. Null: only <see cref="GuestEntry.Check"/> can find something.</returns>
    public static string? Decode(WatchGuestsResponse list, out IReadOnlyList<GuestEntry> guests)
    {
        guests = [];
        if (list.Guests.Count > GuestsMax) return $"it has {list.Guests.Count} guests, at most {GuestsMax} are allowed";
        if (list.Generation == 0) return "it has no generation";
        guests = Entries(list.Guests);
        return null;
    }

    static GuestEntry[] Entries(RepeatedField<Guest> guests) =>
    [
        .. guests.Select(guest => new GuestEntry
        {
            Uid = guest.Uid.Length > 0 ? guest.Uid : null,
            Name = guest.Name,
            SocketBase = guest.SocketBase.Length > 0 ? guest.SocketBase : null,
            Cid = guest.HasCid ? guest.Cid : null,
            NetworkNamespace = guest.HasNetworkNamespace ? guest.NetworkNamespace : null,
            BootEpoch = guest.BootEpoch.Length > 0 ? guest.BootEpoch : null,
            PullPort = guest.HasPullPort ? guest.PullPort : null,
            // Beyond int it is refused as any other that is too large.
            Weight = guest.Weight > 0 ? (int)Math.Min(guest.Weight, int.MaxValue) : null,
        }),
    ];
}
