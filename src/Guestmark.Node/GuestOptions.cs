using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Node;

/// <summary>One machine and its channel.</summary>
public sealed record GuestOptions
{
    /// <summary>sockaddr_un.sun_path has 108 bytes with the closing zero.</summary>
    const int SocketPathBytesMax = 107;

    /// <summary>0 is the hypervisor, 1 the machine itself, 2 the host (vsock(7)).</summary>
    internal const uint CidReservedLast = 2;

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

    /// <summary>Share of the spool under load relative to other guests, 1 to 100. Default 1.</summary>
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
    internal static void Validate(IReadOnlyList<GuestOptions> guests, uint port, List<string> errors)
    {
        foreach (var guest in guests) guest.Validate(port, errors);
        foreach (var twice in guests.GroupBy(g => g.Uid).Where(g => g.Count() > 1)) errors.Add(Twice(twice));
        foreach (var twice in guests.Where(g => g.SocketBase is not null).GroupBy(g => Path.GetFullPath(g.SocketBase!)).Where(g => g.Count() > 1))
            errors.Add($"guest socket '{twice.Key}' is given {twice.Count()} times");
        foreach (var twice in guests.Where(g => g.Cid is not null).GroupBy(g => (g.Cid, g.NetworkNamespace)).Where(g => g.Count() > 1))
            errors.Add($"guest cid {twice.Key.Cid} is given to {string.Join(" and ", twice.Select(g => $"'{g.Name}'"))}");
    }

    /// <summary>A uid is made of the name where none is given: then the name is what somebody wrote twice.</summary>
    static string Twice(IGrouping<string, GuestOptions> guests) =>
        guests.Select(guest => guest.Name).Distinct(StringComparer.Ordinal).ToList() is [var name]
            ? $"guest '{name}' (uid {guests.Key}) is given {guests.Count()} times; leave one, or give each a uid of its own (uid=UID)"
            : $"guest uid '{guests.Key}' is given to {string.Join(" and ", guests.Select(guest => $"'{guest.Name}'"))}; give each its own";

    void Validate(uint port, List<string> errors)
    {
        if (!NodeOptions.IsName(Name)) errors.Add($"guest '{Name}': a name has 1 to 63 letters, digits, '-', '_' or '.'");
        if (Uid.Length is < 1 or > 128) errors.Add($"guest '{Name}': its uid has {Uid.Length} characters, 1 to 128 are allowed");
        if (SocketBase is null && Cid is null) errors.Add($"guest '{Name}': give its socket or its cid");
        if (Cid is <= CidReservedLast or uint.MaxValue) errors.Add($"guest '{Name}': its cid is {Cid}, guests have 3 to {uint.MaxValue - 1}");
        if (Weight is < 1 or > 100) errors.Add($"guest '{Name}': its weight is {Weight}, 1 to 100 are allowed");
        if (BootEpoch?.Length > 128) errors.Add($"guest '{Name}': its boot epoch has {BootEpoch.Length} characters, at most 128 are allowed");
        if (PullPort is 0 or uint.MaxValue) errors.Add($"guest '{Name}': its port to pull from is {PullPort}, 1 to {uint.MaxValue - 1} are allowed");
        if (PullPort is not null && SocketBase is null) errors.Add($"guest '{Name}': it cannot be asked on port {PullPort}: give the socket of its hypervisor");
        if (SocketBase is null) return;
        if (!Path.IsPathFullyQualified(SocketBase)) errors.Add($"guest '{Name}': its socket '{SocketBase}' is a relative path; write an absolute one, which does not depend on where the node is started");
        var path = SocketPath(port);
        if (Encoding.UTF8.GetByteCount(path) is var bytes && bytes > SocketPathBytesMax)
            errors.Add($"guest '{Name}': the socket path {path} has {bytes} bytes, a Unix socket's path has at most {SocketPathBytesMax}; use a shorter folder");
    }
}
