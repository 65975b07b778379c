using System.Security.Cryptography;
using System.Text;
using Guestmark.Rpc.Guests;

namespace Guestmark.Node;

/// <summary>One machine and its channel.</summary>
public sealed record GuestOptions
{
    // RFC 9562, 6.5: the name space within which the names of guests are unique. Chosen once; changing it renames every guest.
    static readonly Guid NameSpace = new("5e0ff6f5-8d0a-4b0e-9d0c-0f6c9c1b7a35");

    /// <summary>What identifies the machine everywhere: its uid in Kubernetes, or any stable text of at most 128 characters.</summary>
    public required string Uid { get; init; }

    /// <summary>For people. As <see cref="NodeOptions.Cluster"/>.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// Path of the machine's vsock Unix socket as Firecracker and cloud-hypervisor are given it (<c>uds_path</c>). What the guest
    /// sends to port P arrives at <c>&lt;SocketBase&gt;_P</c>.
    /// </summary>
    public string? SocketBase { get; init; }

    /// <summary>
    /// The machine's vsock context id, 3 or more: its channel, or, where <see cref="SocketBase"/> is its channel, what its reports must claim if they
    /// claim one. Null there: unknown, and nothing is compared.
    /// </summary>
    public uint? Cid { get; init; }

    /// <summary>Inode of the network namespace in which <see cref="Cid"/> holds. Null: the host's only one.</summary>
    public ulong? NetworkNamespace { get; init; }

    /// <summary>Attribute <c>bootepoch</c>: which boot of the machine has this channel now. Null: unknown.</summary>
    public string? BootEpoch { get; init; }

    /// <summary>Turns into the spool under load relative to other guests, 1 to 100. Default 1. What it may fill of it: <see cref="GuestLimits.SpoolShare"/>.</summary>
    public int Weight { get; init; } = 1;

    /// <summary>
    /// The port on which the guest's agent answers when it is asked for its report (<c>guestmark-agent serve</c>), dialled through <see cref="SocketBase"/>. Null:
    /// it is not asked.
    /// </summary>
    public uint? PullPort { get; init; }

    /// <summary>The socket that the node listens on: <c>&lt;SocketBase&gt;_&lt;port&gt;</c>.</summary>
    public string SocketPath(uint port) => $"{SocketBase}_{port}";

    /// <summary>
    /// A uid for a machine that nobody has given one: a UUID of version 5 made from where it is and its name, so that it is the same
    /// after every start and two hosts may each have a guest of the same name.
    /// </summary>
    public static string UidOf(string cluster, string node, string name)
    {
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        SHA1.HashData([.. NameSpace.ToByteArray(bigEndian: true), .. Encoding.UTF8.GetBytes($"{cluster}/{node}/{name}")], hash);
        hash[6] = (byte)((hash[6] & 0x0f) | 0x50);
        hash[8] = (byte)((hash[8] & 0x3f) | 0x80);
        return new Guid(hash[..16], bigEndian: true).ToString();
    }

    /// <summary>Everything that is wrong with guests that are to be served together.</summary>
    internal static void Validate(IReadOnlyList<GuestOptions> guests, NodeOptions options, List<string> errors) =>
        GuestEntry.Check([.. guests.Select(guest => guest.ToEntry())], options.SocketListeners().Max(listener => listener.Port), errors);

    /// <summary>The guest of an entry, which gets a uid if it has none.</summary>
    internal static GuestOptions Of(GuestEntry entry, NodeOptions options) => new()
    {
        Uid = entry.Uid ?? UidOf(options.Cluster, options.Node, entry.Name),
        Name = entry.Name,
        SocketBase = entry.SocketBase,
        Cid = entry.Cid,
        NetworkNamespace = entry.NetworkNamespace,
        BootEpoch = entry.BootEpoch,
        Weight = entry.Weight ?? 1,
        PullPort = entry.PullPort,
    };

    GuestEntry ToEntry() => new()
    {
        Uid = Uid,
        Name = Name,
        SocketBase = SocketBase,
        Cid = Cid,
        NetworkNamespace = NetworkNamespace,
        BootEpoch = BootEpoch,
        Weight = Weight,
        PullPort = PullPort,
    };
}
