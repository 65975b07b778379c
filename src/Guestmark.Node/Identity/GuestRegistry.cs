using System.Globalization;
using Guestmark.Events;
using Guestmark.Node.Admission;

namespace Guestmark.Node.Identity;

/// <summary>Where knowledge of guests comes from. Each source replaces its own part only.</summary>
public enum GuestSource
{
    /// <summary><see cref="NodeOptions.Guests"/>.</summary>
    Configuration,

    /// <summary><see cref="NodeOptions.RegistryFile"/>.</summary>
    File,

    /// <summary>The sensor, which watches the cluster.</summary>
    Sensor,
}

/// <summary>What the registry had before and has now.</summary>
/// <param name="Gone">Channels that are given up. Their connections are closed before anybody hears of it.</param>
public sealed record RegistryChange(IReadOnlyList<GuestChannel> Gone, IReadOnlyList<GuestChannel> Come);

/// <summary>Who is at the other end of a channel: (network namespace, context id) or the path of a socket, to a guest.</summary>
/// <remarks>
/// Looked up once for each connection, in one immutable table that is swapped as a whole. A guest whose entry is the same before and after
/// keeps its channel and its connections; any other channel is closed. What a guest may take (<see cref="GuestShare"/>) is kept by uid, so that no
/// reload renews it.
/// </remarks>
public sealed class GuestRegistry
{
    /// <summary>Machines that no registry knows, at once. The host gives context ids, so their number is that of its machines.</summary>
    const int UnknownMax = 4096;

    readonly Lock _lock = new();
    readonly NodeConfiguration _configuration;
    readonly TimeProvider _time;
    readonly string _source;
    readonly Dictionary<GuestSource, IReadOnlyList<GuestOptions>> _parts = [];
    readonly Dictionary<string, GuestShare> _shares = [];
    readonly Dictionary<uint, GuestChannel> _unknown = [];
    readonly List<Action<RegistryChange>> _listeners = [];
    volatile Table _table = new([], []);

    public GuestRegistry(NodeConfiguration configuration, TimeProvider time, NetworkNamespace? network = null)
    {
        _configuration = configuration;
        _time = time;
        Network = network ?? NetworkNamespace.OfThisProcess();
        Memory = new MessageMemoryPool(() => configuration.Current.Limits.MessageMemoryMax);
        var options = configuration.Current;
        _source = $"//{options.Cluster}/{options.Node}";
        if (Replace(GuestSource.Configuration, options.Guests) is { Count: > 0 } errors)
            throw new ArgumentException(string.Join("; ", errors), nameof(configuration));
        configuration.OnTake((former, next) => former.Guests.SequenceEqual(next.Guests) ? [] : Replace(GuestSource.Configuration, next.Guests));
        configuration.OnChange((former, now) =>
        {
            if (former.UnknownGuests != now.UnknownGuests) CloseUnknown();
        });
    }

    /// <summary>The namespace of this process: the one in which its AF_VSOCK listeners hear.</summary>
    public NetworkNamespace Network { get; }

    public MessageMemoryPool Memory { get; }

    /// <summary>The guests that are known, in no order.</summary>
    public IReadOnlyList<GuestChannel> All => _table.All;

    /// <summary>Whether any known guest's channel is a context id that this process's AF_VSOCK listeners hear.</summary>
    internal bool HearsVsock => _table.ByCid.Count > 0;

    /// <summary>
    /// Calls <paramref name="listener"/> after each change, with what is different. Calls follow each other; a listener returns quickly and does not throw.
    /// </summary>
    public void OnChange(Action<RegistryChange> listener)
    {
        lock (_lock) _listeners.Add(listener);
    }

    /// <summary>The guest with a context id in this process's namespace. Null: nobody knows it.</summary>
    public GuestChannel? Find(uint cid) => _table.ByCid.GetValueOrDefault(cid);

    /// <summary>The guests that are known, and the machines that nobody knows and that were accepted.</summary>
    internal IReadOnlyList<GuestChannel> AllWithUnknown()
    {
        lock (_lock) return [.. _table.All, .. _unknown.Values];
    }

    /// <summary>Whether what a guest says by AF_VSOCK arrives here: in this process's network namespace its context id is its own.</summary>
    internal bool IsHeard(GuestChannel channel) => !channel.IsKnown || (channel.Guest.Cid is { } cid && Find(cid) == channel);

    /// <summary>
    /// A channel for a machine that nobody knows: its subject says only where it is. Null when there are too many of them, or they are not accepted. The
    /// machine's own, when it became known meanwhile.
    /// </summary>
    public GuestChannel? FindOrAddUnknown(uint cid)
    {
        lock (_lock)
        {
            if (Find(cid) is { } known) return known;
            // Under the lock, so that none comes after those that are closed when the policy changes.
            if (_configuration.Current.UnknownGuests != UnknownGuestPolicy.Accept) return null;
            if (_unknown.TryGetValue(cid, out var channel)) return channel;
            if (_unknown.Count >= UnknownMax)
            {
                foreach (var (idle, _) in _unknown.Where(u => u.Value.Connections == 0).ToList()) _unknown.Remove(idle);
                if (_unknown.Count >= UnknownMax) return null;
            }

            var name = string.Create(CultureInfo.InvariantCulture, $"vsock:{Network.Inode}:{cid}");
            channel = new GuestChannel(
                new GuestOptions { Uid = name, Name = name, Cid = cid }, _source, Network.Inode, NewShare(weight: 1), isKnown: false);
            _unknown.Add(cid, channel);
            return channel;
        }
    }

    /// <summary>The attribution of a connection that belongs to no guest, for the event that says so.</summary>
    internal ChannelIdentity OfStranger(uint cid, uint port)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"vsock:{Network.Inode}:{cid}");
        return new ChannelIdentity($"{_source}/{name}", name) { GuestCid = cid, GuestPort = port, NetworkNamespace = Network.Inode };
    }

    /// <summary>Puts what one source knows in place of what it knew before.</summary>
    /// <returns>What is wrong with the guests, all sources together; then nothing has changed. Empty on success.</returns>
    public IReadOnlyList<string> Replace(GuestSource source, IReadOnlyList<GuestOptions> guests)
    {
        lock (_lock)
        {
            var options = _configuration.Current;
            GuestOptions[] all = [.. _parts.Where(part => part.Key != source).SelectMany(part => part.Value), .. guests];
            var errors = new List<string>();
            GuestOptions.Validate(all, options, errors);
            // Who names this process's namespace, and who names none, mean the same one.
            foreach (var twice in all.Where(IsHeardHere).GroupBy(guest => guest.Cid).Where(same => same.Select(guest => guest.NetworkNamespace).Distinct().Count() > 1))
                errors.Add($"guest cid {twice.Key} is given to {string.Join(" and ", twice.Select(guest => $"'{guest.Name}'"))}: network namespace {Network.Inode} is this node's own");
            if (errors.Count > 0) return errors;

            _parts[source] = guests;
            var former = _table.All.ToDictionary(channel => channel.Guest);
            var come = new List<GuestChannel>();
            var next = new List<GuestChannel>(all.Length);
            foreach (var guest in all)
            {
                if (!former.Remove(guest, out var channel))
                {
                    if (!_shares.TryGetValue(guest.Uid, out var share)) _shares.Add(guest.Uid, share = NewShare(guest.Weight));
                    share.Flow.Weight = guest.Weight;
                    channel = new GuestChannel(guest, _source, guest.NetworkNamespace ?? Network.Inode, share);
                    come.Add(channel);
                }

                next.Add(channel);
            }

            foreach (var uid in _shares.Keys.Except(all.Select(guest => guest.Uid)).ToList()) _shares.Remove(uid);
            var byCid = next.Where(channel => IsHeardHere(channel.Guest)).ToDictionary(channel => channel.Guest.Cid!.Value);
            _table = new Table(next, byCid);

            List<GuestChannel> gone = [.. former.Values];
            foreach (var cid in _unknown.Keys.Where(byCid.ContainsKey).ToList())
            {
                _unknown.Remove(cid, out var unknown);
                unknown!.Close();
            }

            foreach (var channel in gone) channel.Close();
            if (gone.Count + come.Count == 0) return [];
            var change = new RegistryChange(gone, come);
            foreach (var listener in _listeners) listener(change);
            return [];
        }
    }

    /// <summary>Ends what was accepted under another policy.</summary>
    void CloseUnknown()
    {
        lock (_lock)
        {
            foreach (var channel in _unknown.Values) channel.Close();
            _unknown.Clear();
        }
    }

    /// <summary>Its context id is one of those that this process's AF_VSOCK listeners hear.</summary>
    bool IsHeardHere(GuestOptions guest) => guest.SocketBase is null && (guest.NetworkNamespace ?? Network.Inode) == Network.Inode;

    /// <summary>What a new guest, or a cell, may take of the host.</summary>
    internal GuestShare NewShare(int weight) => new(() => _configuration.Current.Limits, Memory, weight, _time);

    sealed record Table(IReadOnlyList<GuestChannel> All, Dictionary<uint, GuestChannel> ByCid);
}
