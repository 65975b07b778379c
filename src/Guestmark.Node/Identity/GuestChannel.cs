using System.Collections.Concurrent;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Listening;
using Microsoft.AspNetCore.Connections;

namespace Guestmark.Node.Identity;

/// <summary>
/// One machine as the registry knows it, from the moment it has a context id or a socket until it has another: what all its connections are
/// attributed to.
/// </summary>
/// <remarks>A connection keeps the channel that it was accepted on. When the channel is given up its connections are closed, so that none speaks
/// for a machine that the registry knows otherwise by now.</remarks>
public sealed class GuestChannel
{
    readonly string _source;
    readonly ConcurrentDictionary<ConnectionContext, byte> _connections = new();
    readonly ConcurrentDictionary<uint, ChannelIdentity> _vsock = new();
    readonly ConcurrentDictionary<uint, ChannelIdentity> _socket = new();
    readonly ChannelIdentity _pull;
    readonly ulong _networkNamespace;
    volatile bool _closed;

    /// <param name="source">First part of its events' source: <c>//cluster/node</c>.</param>
    /// <param name="networkNamespace">Inode of the namespace in which its context id holds.</param>
    internal GuestChannel(GuestOptions guest, string source, ulong networkNamespace, GuestShare share, bool isKnown = true)
    {
        Guest = guest;
        Share = share;
        IsKnown = isKnown;
        _source = $"{source}/{guest.Name}";
        _networkNamespace = networkNamespace;
        KubernetesUid = Guid.TryParseExact(guest.Uid, "D", out var uid) && uid.Version == 4 ? guest.Uid : null;
        _pull = new ChannelIdentity(_source, guest.Uid) { GuestCid = guest.Cid, GuestPort = guest.PullPort, BootEpoch = guest.BootEpoch };
    }

    public GuestOptions Guest { get; }

    /// <summary>False: no registry knows the machine, and its uid is made of its channel.</summary>
    public bool IsKnown { get; }

    public GuestShare Share { get; }

    /// <summary>
    /// What its reports must claim as its uid in Kubernetes, if they claim one. Null where the registry has another kind of uid: Kubernetes' are UUIDs of version
    /// 4, those that a node makes of names are of version 5, and anything else is no word that a guest could know.
    /// </summary>
    public string? KubernetesUid { get; }

    /// <summary>Connections that speak on it.</summary>
    public int Connections => _connections.Count;

    /// <summary>Who listens on its Unix sockets, by port.</summary>
    internal ConcurrentDictionary<uint, GuestListener> Listeners { get; } = new();

    /// <summary>Whether somebody who connects to its Unix socket of a port reaches this node.</summary>
    public bool IsReachable(uint port) => Listeners.TryGetValue(port, out var listener) && listener.IsReachable;

    /// <summary>Of these, how many the guest has closed already.</summary>
    internal int Ended() => _connections.Count(entry => entry.Key is GuestConnection { Input.HasEnded: true });

    /// <summary>
    /// The attribution of what comes to <paramref name="port"/> of its Unix socket: the path alone says whose it is. Its context id is the registry's.
    /// </summary>
    public ChannelIdentity OnSocket(uint port) =>
        _socket.GetOrAdd(
            port,
            static (port, channel) => new ChannelIdentity(channel._source, channel.Guest.Uid)
            {
                GuestCid = channel.Guest.Cid,
                GuestPort = port,
                BootEpoch = channel.Guest.BootEpoch,
            },
            this);

    /// <summary>The attribution of what it answers when it is asked, through the hypervisor's end of the same socket.</summary>
    public ChannelIdentity OnPull => _pull;

    /// <summary>The attribution of what comes from its context id to <paramref name="port"/>.</summary>
    public ChannelIdentity OnVsock(uint port) =>
        _vsock.GetOrAdd(
            port,
            static (port, channel) => new ChannelIdentity(channel._source, channel.Guest.Uid)
            {
                GuestCid = channel.Guest.Cid,
                GuestPort = port,
                NetworkNamespace = channel._networkNamespace,
                BootEpoch = channel.Guest.BootEpoch,
            },
            this);

    /// <summary>Binds a connection to the channel. False when the channel was given up meanwhile.</summary>
    internal bool TryAdd(ConnectionContext connection)
    {
        _connections.TryAdd(connection, 0);
        if (!_closed) return true;
        _connections.TryRemove(connection, out _);
        return false;
    }

    internal void Remove(ConnectionContext connection) => _connections.TryRemove(connection, out _);

    /// <summary>Closes all connections, and takes no more.</summary>
    internal void Close()
    {
        _closed = true;
        foreach (var (connection, _) in _connections) connection.Abort(new ConnectionAbortedException("the channel is no longer this machine's"));
    }
}
