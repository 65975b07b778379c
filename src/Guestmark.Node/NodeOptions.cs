using System.Net;
using Guestmark.Rpc.Guests;
using Guestmark.Wire.Framing;

namespace Guestmark.Node;

/// <summary>What one node listens to and where it delivers.</summary>
public sealed record NodeOptions
{
    /// <summary>A segment of 64 MiB and two records of 20 MiB, rounded up.</summary>
    const long SpoolBytesLeast = 105L << 20;

    /// <summary>Sixteen segments, each with room for a record.</summary>
    const long ShedSpoolBytesLeast = 16L << 20;

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

    /// <summary>What agents speak on <see cref="PushPort"/> of their Unix sockets. AF_VSOCK: <see cref="VsockListeners"/> say it each.</summary>
    public GuestProtocol PushProtocol { get; init; } = GuestProtocol.Push;

    /// <summary>
    /// Ports that are served on every guest's Unix socket, each on <c>&lt;SocketBase&gt;_&lt;port&gt;</c>. Empty: <see cref="PushPort"/> with
    /// <see cref="PushProtocol"/>.
    /// </summary>
    public IReadOnlyList<UnixListenerOptions> UnixListeners { get; init; } = [];

    /// <summary>
    /// Mode of the Unix sockets that guests' hypervisors connect to. Default 0600: hypervisors of the node's own user, and of root.
    /// </summary>
    public UnixFileMode SocketMode { get; init; } = Listening.GuestListener.ModeDefault;

    /// <summary>The sensor, as <c>https://host:port</c>. Null where <see cref="StackRoxSensor"/> is the only output.</summary>
    public Uri? SensorEndpoint { get; init; }

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

    /// <summary>Bytes of the spool. Default 1 GiB.</summary>
    public long SpoolBytesMax { get; init; } = 1L << 30;

    /// <summary>How often guests with a <see cref="GuestOptions.PullPort"/> are asked for their report. 5 minutes: an unchanged one costs a handshake.</summary>
    public TimeSpan PullInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The Unix socket of <c>guestmark cell</c> and other commands. Default: <c>control.sock</c> in the data folder.</summary>
    public string ControlSocket
    {
        get => field ?? Path.Combine(DataDirectory, "control.sock");
        init;
    }

    /// <summary>What this node does. Default: it listens for guests.</summary>
    public NodeMode Mode { get; init; } = NodeMode.VsockListener;

    /// <summary>Ports of AF_VSOCK that guests dial. Empty where every guest has a Unix socket.</summary>
    public IReadOnlyList<VsockListenerOptions> VsockListeners { get; init; } = [];

    /// <summary>A file of more guests (<see cref="GuestFile"/>), read again when it changes.</summary>
    public string? RegistryFile { get; init; }

    /// <summary>Take guests from the sensor as well, which names those of this node and says when they change.</summary>
    public bool RegistryFromSensor { get; init; }

    /// <summary>
    /// A port of AF_VSOCK that is listened on only while the registry has a guest whose channel is its context id. Null: none but those of
    /// <see cref="VsockListeners"/>.
    /// </summary>
    public uint? VsockOnDemand { get; init; }

    /// <summary>What becomes of guests that no registry knows.</summary>
    public UnknownGuestPolicy UnknownGuests { get; init; } = UnknownGuestPolicy.Refuse;

    public GuestLimits Limits { get; init; } = new();

    public CellOptions Cells { get; init; } = new();

    /// <summary>How events are signed. Null: they are not. A key that is named and cannot be read stops the start.</summary>
    public SigningOptions? Signing { get; init; }

    /// <summary>Bytes of the spool of events that may be shed. Default 256 MiB.</summary>
    public long ShedSpoolBytesMax { get; init; } = 256L << 20;

    /// <summary>A StackRox Sensor up to 4.11 that gets every report beside, or instead of, the sensor.</summary>
    public StackRoxSensorOptions? StackRoxSensor { get; init; }

    /// <summary>Where <c>/metrics</c>, <c>/healthz</c> and <c>/readyz</c> are served. Null: nowhere.</summary>
    public IPEndPoint? Endpoint { get; init; }

    /// <summary>What is served on every guest's Unix socket: <see cref="UnixListeners"/>, or the one that stands for none.</summary>
    public IReadOnlyList<UnixListenerOptions> SocketListeners() =>
        UnixListeners.Count > 0 ? UnixListeners : [new UnixListenerOptions { Port = PushPort, Protocol = PushProtocol }];

    /// <summary>Everything that is wrong, each with its value and what is allowed. Empty when nothing is.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (!IsName(Cluster)) errors.Add($"cluster '{Cluster}': use 1 to 63 letters, digits, '-', '_' or '.'");
        if (!IsName(Node)) errors.Add($"node '{Node}': use 1 to 63 letters, digits, '-', '_' or '.'");
        if (SensorEndpoint is null && StackRoxSensor is null) errors.Add("no output: give the sensor's endpoint, or a StackRox Sensor's");
        if (SensorEndpoint is { Scheme: not "https" }) errors.Add($"sensor endpoint '{SensorEndpoint}': it must begin with https://");
        if (StackRoxSensor is { Endpoint.Scheme: not "https" }) errors.Add($"StackRox Sensor endpoint '{StackRoxSensor.Endpoint}': it must begin with https://");
        if (SpoolBytesMax < SpoolBytesLeast) errors.Add($"spool bytes {SpoolBytesMax}: must be at least {SpoolBytesLeast}");
        if (ShedSpoolBytesMax < ShedSpoolBytesLeast) errors.Add($"spool bytes of the class that may be shed {ShedSpoolBytesMax}: must be at least {ShedSpoolBytesLeast}");
        if (MessageBytesMax is < 1024 or > PushFrame.BodyBytesMaxDefault)
            errors.Add($"message bytes {MessageBytesMax}: must be 1024 to {PushFrame.BodyBytesMaxDefault}");
        if (MessageTimeout <= TimeSpan.Zero || IdleTimeout <= TimeSpan.Zero) errors.Add("timeouts must be over 0");
        if (PullInterval < TimeSpan.FromSeconds(1)) errors.Add($"pull interval {PullInterval}: must be at least 1 s");
        Limits.Validate(MessageBytesMax, errors);
        if (RegistryFromSensor && SensorEndpoint is null) errors.Add("guests from the sensor's registry: give the sensor's endpoint; a StackRox Sensor has none");
        if (PushProtocol == GuestProtocol.Cells) errors.Add("push protocol 'cells': cells have sockets of their own, see 'guestmark cell'");
        foreach (var twice in UnixListeners.GroupBy(l => l.Port).Where(g => g.Count() > 1)) errors.Add($"Unix listener {twice.Key} is given {twice.Count()} times");
        foreach (var listener in VsockListeners)
        {
            if (listener.Protocol == GuestProtocol.Cells)
                errors.Add($"vsock listener {listener.Port}: cells are told apart by their sockets, see 'guestmark cell'; use push or a StackRox push");
        }

        foreach (var twice in VsockListeners.GroupBy(l => l.Port).Where(g => g.Count() > 1))
            errors.Add($"vsock listener {twice.Key} is given {twice.Count()} times");
        Cells.Validate(errors);
        GuestOptions.Validate(Guests, this, errors);
        if (string.IsNullOrEmpty(Certificates) && Guests.FirstOrDefault(guest => guest.PullPort is not null) is { } asked)
            errors.Add($"guest '{asked.Name}': its agent wants to see a certificate when it is asked; give the node one (certs)");
        return errors;
    }

    /// <summary>Whether a text can be the name of a cluster, a node or a guest: it is part of the source of events, and of paths.</summary>
    public static bool IsName(string text) => GuestEntry.IsName(text);

    public static bool IsNameCharacter(char c) => GuestEntry.IsNameCharacter(c);
}

/// <summary>The modes of fact, by their names: <c>file-monitor</c>, <c>vm-agent</c>, <c>vsock-listener</c>, <c>hybrid</c>.</summary>
public enum NodeMode
{
    FileMonitor,
    VmAgent,
    VsockListener,
    Hybrid,
}

/// <summary>What speaks on a channel. Chosen by configuration, never guessed from bytes.</summary>
public enum GuestProtocol
{
    /// <summary>Length, VMReport, status; many messages a connection (<see cref="PushFrame"/>).</summary>
    Push,

    /// <summary>StackRox 4.10 and 4.11: one VMReport until the end of the stream, no answer.</summary>
    StackRoxPush,

    /// <summary>
    /// StackRox 4.9.0: the same with a bare IndexReport. Nothing in the bytes tells it from a VMReport, so it has to be configured.
    /// </summary>
    StackRoxIndexPush,

    /// <summary>CellOS declarations: length and CBOR map.</summary>
    Cells,
}

/// <summary>One port of AF_VSOCK.</summary>
public sealed record VsockListenerOptions
{
    public uint Port { get; init; } = 818;

    public GuestProtocol Protocol { get; init; } = GuestProtocol.Push;

    /// <summary>Refuse peers whose source port is 1024 or more: below it only root of the guest can bind.</summary>
    public bool PrivilegedSourcePort { get; init; }
}

/// <summary>One port of every guest's Unix socket.</summary>
public sealed record UnixListenerOptions
{
    public uint Port { get; init; } = 818;

    public GuestProtocol Protocol { get; init; } = GuestProtocol.Push;
}

public enum UnknownGuestPolicy
{
    /// <summary>They are answered with <see cref="PushStatus.UnknownGuest"/>.</summary>
    Refuse,

    /// <summary>Their events have a subject made of their channel: <c>vsock:NETNS:CID</c>.</summary>
    Accept,
}

/// <summary>What one guest, and all together, may take of the host.</summary>
public sealed record GuestLimits
{
    /// <summary>Connections of all guests together. Default 16,384.</summary>
    public int ConnectionsMax { get; init; } = 16384;

    /// <summary>
    /// Connections that one guest may have open. Default 8: an agent needs one. Each may hold a message in memory, in up to four copies
    /// while it is being stored.
    /// </summary>
    public int ConnectionsPerGuestMax { get; init; } = 8;

    /// <summary>Messages per second of one guest over a long time. Default 100. 0: no limit.</summary>
    public double MessagesPerSecond { get; init; } = 100;

    /// <summary>Messages that one guest may send at once before <see cref="MessagesPerSecond"/> holds. Default 1000.</summary>
    public int MessagesBurst { get; init; } = 1000;

    /// <summary>Bytes per second of one guest over a long time. Default 16 MiB. 0: no limit.</summary>
    public long BytesPerSecond { get; init; } = 16 << 20;

    /// <summary>Bytes of one guest at once before <see cref="BytesPerSecond"/> holds. Default 64 MiB.</summary>
    public long BytesBurst { get; init; } = 64 << 20;

    /// <summary>
    /// Reports per minute of one guest that pass although it is over its rates, because they say that they were sent for a change
    /// (<c>VMReport.trigger</c> = REACTIVE). Default 6. 0: none.
    /// </summary>
    public double ReactivePerMinute { get; init; } = 6;

    /// <summary>Such reports at once before <see cref="ReactivePerMinute"/> holds. Default 3.</summary>
    public int ReactiveBurst { get; init; } = 3;

    /// <summary>Bytes of unfinished messages of all guests together. Default 256 MiB.</summary>
    public long MessageMemoryMax { get; init; } = 256L << 20;

    /// <summary>Bytes of messages of all guests between their last byte and the disk; beyond it guests take turns by weight. Default 32 MiB.</summary>
    public long OutstandingBytesMax { get; init; } = 32L << 20;

    /// <summary>
    /// The part of the spool, in percent, that one guest may fill of what all others leave, 1 to 100. Default 50: alone it may fill half of the spool,
    /// and beside n others that do the same a part of 1/(n+2), as much as stays free. 100: no limit but the spool's.
    /// </summary>
    public int SpoolShare { get; init; } = 50;

    internal void Validate(int messageBytesMax, List<string> errors)
    {
        if (SpoolShare is < 1 or > 100) errors.Add($"share of the spool {SpoolShare}: must be 1 to 100 percent");
        if (ConnectionsMax < 1) errors.Add($"connections {ConnectionsMax}: must be at least 1");
        if (ConnectionsPerGuestMax < 1) errors.Add($"connections per guest {ConnectionsPerGuestMax}: must be at least 1");
        if (!(MessagesPerSecond >= 0)) errors.Add($"messages per second {MessagesPerSecond}: must be 0 (no limit) or more");
        if (MessagesPerSecond > 0 && MessagesBurst < 1) errors.Add($"messages at once {MessagesBurst}: must be at least 1");
        if (BytesPerSecond < 0) errors.Add($"bytes per second {BytesPerSecond}: must be 0 (no limit) or more");
        if (BytesPerSecond > 0 && BytesBurst < messageBytesMax)
            errors.Add($"bytes at once {BytesBurst}: must be at least the {messageBytesMax} bytes that one message may have");
        if (!(ReactivePerMinute >= 0)) errors.Add($"reactive reports per minute {ReactivePerMinute}: must be 0 (none) or more");
        if (ReactivePerMinute > 0 && ReactiveBurst < 1) errors.Add($"reactive reports at once {ReactiveBurst}: must be at least 1");

        // A message with its header may need a buffer of twice its size, while that grows the former is still there, and one guest may hold a fifth.
        if (MessageMemoryMax < 16L * messageBytesMax)
            errors.Add($"bytes of unfinished messages {MessageMemoryMax}: must be at least 16 times the {messageBytesMax} bytes that one message may have");
        if (OutstandingBytesMax < 1) errors.Add($"bytes on their way to the disk {OutstandingBytesMax}: must be at least 1");
    }
}

/// <summary>Cells of CellOS (<c>guestmark cell</c>).</summary>
public sealed record CellOptions
{
    /// <summary>The port of declarations: 9001, CellOS's VSOCK_TELEMETRY_PORT.</summary>
    public uint Port { get; init; } = 9001;

    /// <summary>Silence after which a cell's agent counts as silenced. Default 10 s, CellOS's.</summary>
    public TimeSpan KeepAliveWindow { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Cells at once. Default 4096.</summary>
    public int CellsMax { get; init; } = 4096;

    /// <summary>Time from the first byte of a frame to its last. Default 5 s: an agent writes a frame at once.</summary>
    public TimeSpan FrameTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Declarations per second of one cell over a long time; what comes faster is read later. Default 5,000. 0: no limit.</summary>
    public double DeclarationsPerSecond { get; init; } = 5000;

    /// <summary>Declarations that one cell may send at once before <see cref="DeclarationsPerSecond"/> holds. Default 20,000.</summary>
    public int DeclarationsBurst { get; init; } = 20_000;

    /// <summary>Probes whose declarations are taken, by name. Default: all that are known.</summary>
    public IReadOnlyList<string> ProbeSources { get; init; } = Wire.Declarations.ProbeSources.All;

    internal void Validate(List<string> errors)
    {
        var least = TimeSpan.FromMilliseconds(100);
        if (KeepAliveWindow < least) errors.Add($"cells' keep-alive window {KeepAliveWindow.TotalSeconds} s: must be at least 0.1 s");
        if (FrameTimeout < least) errors.Add($"cells' frame timeout {FrameTimeout.TotalSeconds} s: must be at least 0.1 s");
        if (CellsMax < 0) errors.Add($"cells at once {CellsMax}: must be 0 or more");
        if (DeclarationsPerSecond > 0 && DeclarationsBurst < 1) errors.Add($"cells' burst of declarations {DeclarationsBurst}: must be at least 1");
        foreach (var source in ProbeSources)
        {
            if (System.Text.Encoding.UTF8.GetByteCount(source) is < 1 or > Wire.Declarations.DeclarationFrame.ProbeSourceBytesMax)
                errors.Add($"cells' probe source '{source}': must have 1 to {Wire.Declarations.DeclarationFrame.ProbeSourceBytesMax} bytes");
        }
    }
}

/// <summary>The key that events are signed with.</summary>
public sealed record SigningOptions
{
    /// <summary><c>ecdsa-p256</c> (default), <c>ed25519</c> or <c>hmac-sha256</c>.</summary>
    public string Algorithm { get; init; } = "ecdsa-p256";

    /// <summary>File of the key; replaced files are used at once.</summary>
    public required string KeyFile { get; init; }

    /// <summary>Attribute <c>keyid</c>. Null: derived from the public key.</summary>
    public string? KeyId { get; init; }
}

/// <summary>A StackRox Sensor up to 4.11.</summary>
public sealed record StackRoxSensorOptions
{
    public required Uri Endpoint { get; init; }

    /// <summary>The name in its certificate. StackRox: <c>sensor.stackrox.svc</c>.</summary>
    public string ServerName { get; init; } = "sensor.stackrox.svc";

    /// <summary>Folder with <c>ca.pem</c>, <c>cert.pem</c> and <c>key.pem</c> of a collector.</summary>
    public required string Certificates { get; init; }
}
