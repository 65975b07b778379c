using System.Text;

namespace Guestmark.Rpc.Guests;

/// <summary>One machine as a registry names it: in a file, or on its way from a sensor to its node.</summary>
public sealed record GuestEntry
{
    /// <summary>sockaddr_un.sun_path has 108 bytes with the closing zero.</summary>
    const int SocketPathBytesMax = 107;

    const int TextLengthMax = 128;

    /// <summary>0 is the hypervisor, 1 the machine itself, 2 the host (vsock(7)).</summary>
    public const uint CidReservedLast = 2;

    /// <summary>The node on whose host it runs. Null: the node whose list it is.</summary>
    public string? Node { get; init; }

    /// <summary>What identifies it everywhere, 1 to 128 characters. Null: its node makes one from cluster, node and name.</summary>
    public string? Uid { get; init; }

    /// <summary>For people: 1 to 63 letters, digits, <c>-</c>, <c>_</c> or <c>.</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Path of its vsock Unix socket; what it sends to port P arrives at <c>&lt;SocketBase&gt;_P</c>.</summary>
    public string? SocketBase { get; init; }

    /// <summary>Its vsock context id, 3 or more.</summary>
    public uint? Cid { get; init; }

    /// <summary>Inode of the network namespace in which <see cref="Cid"/> holds. Null: the host's only one.</summary>
    public ulong? NetworkNamespace { get; init; }

    /// <summary>Which boot of it has this channel now, at most 128 characters. Null: unknown.</summary>
    public string? BootEpoch { get; init; }

    /// <summary>Turns into the spool under load relative to other guests, 1 to 100. Null: 1.</summary>
    public int? Weight { get; init; }

    /// <summary>Port on which its agent is asked for a report, through the hypervisor's end of <see cref="SocketBase"/>. Null: it is not asked.</summary>
    public uint? PullPort { get; init; }

    /// <summary>Whether a text can be the name of a cluster, a node or a guest: it is part of the source of events, and of paths.</summary>
    public static bool IsName(string text) => text.Length is >= 1 and <= 63 && text.All(IsNameCharacter);

    public static bool IsNameCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.';

    /// <summary>Everything that is wrong with the guests of one node.</summary>
    /// <param name="port">The highest port that is served on their sockets, whose path is the longest. 0 where nobody knows it.</param>
    public static void Check(IReadOnlyList<GuestEntry> guests, uint port, ICollection<string> errors)
    {
        foreach (var guest in guests) guest.CheckAlone(port, errors);
        foreach (var twice in guests.GroupBy(guest => (guest.Uid, guest.Uid is null ? guest.Name : null)).Where(same => same.Count() > 1))
            errors.Add(Twice(twice.Key.Uid, [.. twice]));
        foreach (var twice in guests.Where(guest => guest.SocketBase is not null).GroupBy(guest => guest.SocketBase).Where(same => same.Count() > 1))
            errors.Add($"guest socket '{twice.Key}' is given {twice.Count()} times");
        foreach (var twice in guests.Where(guest => guest.Cid is not null).GroupBy(guest => (guest.Cid, guest.NetworkNamespace)).Where(same => same.Count() > 1))
            errors.Add($"guest cid {twice.Key.Cid} is given to {string.Join(" and ", twice.Select(guest => $"'{guest.Name}'"))}");
    }

    /// <summary>A uid is made of the name where none is given: then the name is what somebody wrote twice.</summary>
    static string Twice(string? uid, IReadOnlyList<GuestEntry> guests) =>
        guests.Select(guest => guest.Name).Distinct(StringComparer.Ordinal).ToList() is [var name]
            ? $"guest '{name}'{(uid is null ? "" : $" (uid {uid})")} is given {guests.Count} times; leave one, or give each a uid of its own (uid=UID)"
            : $"guest uid '{uid}' is given to {string.Join(" and ", guests.Select(guest => $"'{guest.Name}'"))}; give each its own";

    void CheckAlone(uint port, ICollection<string> errors)
    {
        if (!IsName(Name)) errors.Add($"guest '{Name}': a name has 1 to 63 letters, digits, '-', '_' or '.'");
        if (Uid?.Length is < 1 or > TextLengthMax) errors.Add($"guest '{Name}': its uid has {Uid.Length} characters, 1 to {TextLengthMax} are allowed");
        // Attributes of events, which CloudEvents has without them, and lines of logs.
        if (Uid?.Any(char.IsControl) == true) errors.Add($"guest '{Name}': its uid has control characters");
        if (BootEpoch?.Any(char.IsControl) == true) errors.Add($"guest '{Name}': its boot epoch has control characters");
        if (SocketBase is null && Cid is null) errors.Add($"guest '{Name}': give its socket or its cid");
        if (Cid is <= CidReservedLast or uint.MaxValue) errors.Add($"guest '{Name}': its cid is {Cid}, guests have 3 to {uint.MaxValue - 1}");
        if (Weight is < 1 or > 100) errors.Add($"guest '{Name}': its weight is {Weight}, 1 to 100 are allowed");
        if (BootEpoch?.Length > TextLengthMax) errors.Add($"guest '{Name}': its boot epoch has {BootEpoch.Length} characters, at most {TextLengthMax} are allowed");
        if (PullPort is 0 or uint.MaxValue) errors.Add($"guest '{Name}': its port to pull from is {PullPort}, 1 to {uint.MaxValue - 1} are allowed");
        if (PullPort is not null && SocketBase is null) errors.Add($"guest '{Name}': it cannot be asked on port {PullPort}: give the socket of its hypervisor");
        if (SocketBase is null) return;
        if (SocketBase.Any(char.IsControl))
        {
            errors.Add($"guest '{Name}': its socket has control characters");
            return;
        }

        // Another text for the same path would be another guest's socket.
        if (!Path.IsPathFullyQualified(SocketBase)) errors.Add($"guest '{Name}': its socket '{SocketBase}' is a relative path; write an absolute one, which does not depend on where the node is started");
        else if (Path.GetFullPath(SocketBase) is var plain && plain != SocketBase) errors.Add($"guest '{Name}': write its socket '{SocketBase}' as {plain}");
        var path = port > 0 ? $"{SocketBase}_{port}" : $"{SocketBase}_1";
        if (Encoding.UTF8.GetByteCount(path) is var bytes && bytes > SocketPathBytesMax)
            errors.Add($"guest '{Name}': the socket path {path} has {bytes} bytes, a Unix socket's path has at most {SocketPathBytesMax}; use a shorter folder");
    }
}
