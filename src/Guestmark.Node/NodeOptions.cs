using System.Security.Cryptography;
using System.Text;
using Guestmark.Wire.Framing;

namespace Guestmark.Node;

/// <summary>What one node listens to and where it delivers.</summary>
public sealed record NodeOptions
{
    /// <summary>Name of the cluster, the first part of every event's source. Letters, digits, <c>-</c>, <c>_</c> and <c>.</c>; at most 63.</summary>
    public string Cluster { get; init; } = "local";

    /// <summary>Name of this node, the second part of every event's source. As <see cref="Cluster"/>. Default: the host's name.</summary>
    public string Node { get; init; } = Environment.MachineName;

    /// <summary>Holds the spool. One node at a time.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>The machines whose channels this node serves.</summary>
    public IReadOnlyList<GuestOptions> Guests { get; init; } = [];

    /// <summary>The port that agents push to: the number after the underscore in a guest's socket path. Default 818, as StackRox uses it.</summary>
    public uint PushPort { get; init; } = 818;

    /// <summary>The sensor, as <c>https://host:port</c>.</summary>
    public required Uri SensorEndpoint { get; init; }

    /// <summary>The name in the sensor's certificate. Null: the host of <see cref="SensorEndpoint"/>.</summary>
    public string? SensorName { get; init; }

    /// <summary>Folder with <c>ca.pem</c>, <c>cert.pem</c> and <c>key.pem</c> of this node.</summary>
    public required string Certificates { get; init; }

    /// <summary>Longest report in bytes. Default 16 MiB.</summary>
    public int MessageBytesMax { get; init; } = PushFrame.BodyBytesMaxDefault;

    /// <summary>Time from the first byte of a message to its last. Default 30 s, the original's.</summary>
    public TimeSpan MessageTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time a connection may stay silent between messages. Default 60 s.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Connections that one guest may have open. Default 8: an agent needs one. Each may hold a message in memory, in up to four copies
    /// while it is being stored.
    /// </summary>
    public int ConnectionsPerGuestMax { get; init; } = 8;

    /// <summary>Bytes of the spool. Default 1 GiB.</summary>
    public long SpoolBytesMax { get; init; } = 1L << 30;

    /// <summary>Everything that is wrong, each with its value and what is allowed. Empty when nothing is.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (!IsName(Cluster)) errors.Add($"cluster '{Cluster}': use 1 to 63 letters, digits, '-', '_' or '.'");
        if (!IsName(Node)) errors.Add($"node '{Node}': use 1 to 63 letters, digits, '-', '_' or '.'");
        if (SensorEndpoint.Scheme is not "https") errors.Add($"sensor endpoint '{SensorEndpoint}': it must begin with https://");
        if (MessageBytesMax is < 1024 or > PushFrame.BodyBytesMaxDefault)
            errors.Add($"message bytes {MessageBytesMax}: must be 1024 to {PushFrame.BodyBytesMaxDefault}");
        if (MessageTimeout <= TimeSpan.Zero || IdleTimeout <= TimeSpan.Zero) errors.Add("timeouts must be over 0");
        if (ConnectionsPerGuestMax < 1) errors.Add($"connections per guest {ConnectionsPerGuestMax}: must be at least 1");
        foreach (var guest in Guests) guest.Validate(PushPort, errors);
        foreach (var twice in Guests.GroupBy(g => g.Uid).Where(g => g.Count() > 1)) errors.Add($"guest uid '{twice.Key}' is given {twice.Count()} times");
        foreach (var twice in Guests.GroupBy(g => g.SocketBase).Where(g => g.Count() > 1))
            errors.Add($"guest socket '{twice.Key}' is given {twice.Count()} times");
        return errors;
    }

    /// <summary>Whether a text can be the name of a cluster, a node or a guest: it is part of the source of events, and of paths.</summary>
    public static bool IsName(string text) => text.Length is >= 1 and <= 63 && text.All(IsNameCharacter);

    public static bool IsNameCharacter(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.';
}

/// <summary>One machine and its channel.</summary>
public sealed record GuestOptions
{
    /// <summary>sockaddr_un.sun_path has 108 bytes with the closing zero.</summary>
    const int SocketPathBytesMax = 107;

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
    public required string SocketBase { get; init; }

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

    internal void Validate(uint port, List<string> errors)
    {
        if (!NodeOptions.IsName(Name)) errors.Add($"guest '{Name}': a name has 1 to 63 letters, digits, '-', '_' or '.'");
        if (Uid.Length is < 1 or > 128) errors.Add($"guest '{Name}': its uid has {Uid.Length} characters, 1 to 128 are allowed");
        var path = SocketPath(port);
        if (Encoding.UTF8.GetByteCount(path) is var bytes && bytes > SocketPathBytesMax)
            errors.Add($"guest '{Name}': the socket path {path} has {bytes} bytes, a Unix socket's path has at most {SocketPathBytesMax}; use a shorter folder");
    }
}
