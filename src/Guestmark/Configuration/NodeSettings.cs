using System.Globalization;
using System.Net;
using Guestmark.Events.Signing;
using Guestmark.Node;
using Microsoft.Extensions.Logging;

namespace Guestmark.Configuration;

enum LogFormat
{
    Text,
    Json,
}

/// <summary>
/// Everything that can be configured of <c>guestmark node</c>: the one table from which flags, variables, the file, <c>config show</c> and
/// the table in docs/operating/node.md are made. Names and defaults with FACT_ are those of document 0.
/// </summary>
static class NodeSettings
{
    static readonly NodeOptions Preset = new() { DataDirectory = "/", SensorEndpoint = new Uri("https://sensor"), Certificates = "/" };
    static readonly GuestLimits Limits = Preset.Limits;
    static readonly CellOptions Cells = Preset.Cells;
    static readonly List<Setting> Table = [];

    /// <summary>From <see cref="LogLevel.Trace"/> on.</summary>
    static readonly string[] LevelWords = ["trace", "debug", "info", "warn", "error"];

    /// <summary>In the order of help and documentation.</summary>
    public static IReadOnlyList<Setting> All => Table;

    public static readonly Setting<NodeMode> Mode = Word<NodeMode>("mode", "vsock-listener", "MODE", "hybrid",
        "What this node does: vsock-listener, vm-agent (reports on this machine), hybrid (both), file-monitor (not built yet)", variable: "FACT_MODE");

    public static readonly Setting<string> Cluster = Text("cluster", Preset.Cluster, "NAME", "prod-1", "The cluster's name in every event");

    public static readonly Setting<string> Node = Text("node", ScannedGuest.NameOfThisMachine(), "NAME", "host-7", "This host's name in every event", "the host's name");

    public static readonly Setting<string> Data = FilePath("data", "/srv/guestmark", "The folder for the spools and what else this process keeps",
        Path.Combine(RoleArguments.DataHome, "node"), form: "DIR", presetInWords: "$XDG_DATA_HOME/guestmark/node");

    public static readonly Setting<Uri> SensorEndpoint = Endpoint("sensor-endpoint", "FACT_SENSOR_ENDPOINT", "sensor:443", "sensor.example.com:8443",
        "The sensor that events are delivered to");

    public static readonly Setting<string> SensorName = Text("sensor-name", "", "NAME", "sensor.guestmark.svc", "The name in the sensor's certificate, when it is not the endpoint's host");

    public static readonly Setting<string> Certs = FilePath("certs", "/etc/guestmark/certs",
        "Folder with ca.pem, cert.pem and key.pem of this process; replaced files are used at once", variable: "FACT_CERTS", shortFlag: "-c", form: "DIR");

    public static readonly Setting<Uri> Url = Endpoint("url", "FACT_URL", "", "sensor.example.com:443", "Another word of the original's for sensor-endpoint, which wins");

    public static readonly ListSetting<GuestOptions> Guests = Add(new ListSetting<GuestOptions>(SettingForms.Guest, SettingForms.WriteGuest)
    {
        Key = "guests",
        Flag = "--guest",
        IsList = true,
        Reloads = true,
        Form = "NAME=SOCKET",
        Example = "web1=/run/vm/web1.sock,uid=6f1c,weight=2",
        Description = "The machines of this host: NAME=SOCKET (the node listens on SOCKET_PORT) or NAME,cid=CID; then uid=, netns=, boot-epoch=, weight=, "
            + "with a socket cid= (which its reports must claim) and pull=PORT (its agent is asked there). Repeatable",
    });

    public static readonly Setting<string> RegistryFile = FilePath("registry-file", "/run/guestmark/guests.json", "More guests, in a JSON file that is read again when it changes");

    public static readonly Setting<bool> RegistrySensor = Flag("registry-sensor", "GUESTMARK_NODE_REGISTRY_SENSOR",
        "More guests, those that the sensor names for this node; they are kept on disk for a start without it");

    public static readonly Setting<UnknownGuestPolicy> UnknownGuests = Word<UnknownGuestPolicy>("unknown-guests", "refuse", "refuse|accept", "accept",
        "What becomes of guests that nobody has named: refused with a status, or accepted with their channel as their name", reloads: true);

    public static readonly Setting<uint> VsockPort = Port("vsock-port", Preset.PushPort, "1024",
        "The port that agents push to: of AF_VSOCK, and the number after SOCKET_ of a guest", "FACT_VSOCK_PORT");

    public static readonly Setting<GuestProtocol> PushProtocol = Word<GuestProtocol>("push-protocol", "push", "PROTOCOL", "stackrox-push",
        "What agents speak on guests' sockets where there are no unix-listeners: push, stackrox-push (4.10 and 4.11) or stackrox-index-push (4.9)");

    public static readonly Setting<UnixFileMode> SocketMode = Add(new Setting<UnixFileMode>(SettingForms.FileMode, SettingForms.WriteFileMode)
    {
        Key = "socket-mode",
        Default = SettingForms.WriteFileMode(Preset.SocketMode),
        Form = "OCTAL",
        Example = "0660",
        Description = "Mode of guests' sockets: who may connect, and so speak as the guest",
    });

    public static readonly ListSetting<UnixListenerOptions> UnixListeners = Add(new ListSetting<UnixListenerOptions>(SettingForms.UnixListener, SettingForms.WriteUnixListener)
    {
        Key = "unix-listeners",
        Flag = "--unix-listener",
        IsList = true,
        Form = "PORT[=PROTOCOL]",
        Example = "818=push;10818=stackrox-push",
        Description = "Ports that are served on every guest's socket, each on SOCKET_PORT: PORT[=push|stackrox-push|stackrox-index-push|cells]. "
            + "Without: vsock-port, with push-protocol. Repeatable",
    });

    public static readonly ListSetting<VsockListenerOptions> Listeners = Add(new ListSetting<VsockListenerOptions>(SettingForms.Listener, SettingForms.WriteListener)
    {
        Key = "listeners",
        Flag = "--listener",
        IsList = true,
        Form = "PORT[,…]",
        Example = "819,protocol=stackrox-push,privileged-source-port=true",
        Description = "Ports of AF_VSOCK: PORT[,protocol=push|stackrox-push|stackrox-index-push][,privileged-source-port=true]. "
            + "Without: vsock-port, when a guest has no socket, unknown guests are accepted, or neither guests nor a registry are given; "
            + "with registry-sensor alone, while it names a guest without a socket. Repeatable",
    });

    public static readonly Setting<long> MessageBytesMax = Bytes("message-bytes-max", Preset.MessageBytesMax, 1024, Preset.MessageBytesMax, false, "Longest message of a guest", "4MiB");

    public static readonly Setting<TimeSpan> MessageTimeout = Time("message-timeout", Preset.MessageTimeout, 1, 3600, "10s", "Time from the first byte of a message to its last");

    public static readonly Setting<TimeSpan> IdleTimeout = Time("idle-timeout", Preset.IdleTimeout, 1, 86400, "5m", "Time a connection may stay silent between messages");

    public static readonly Setting<TimeSpan> PullInterval = Time("pull-interval", Preset.PullInterval, 1, 86400, "10m", "Time between two questions to a guest with pull=PORT; unchanged reports are not sent again");

    public static readonly Setting<int> ConnectionsMax = Count("limits.connections-max", Limits.ConnectionsMax, 1, 1_000_000, "Connections of all guests together");

    public static readonly Setting<int> ConnectionsPerGuestMax = Count("limits.connections-per-guest-max", Limits.ConnectionsPerGuestMax, 1, 10_000, "Connections of one guest");

    public static readonly Setting<double> MessagesPerSecond = Rate("limits.messages-per-second", Limits.MessagesPerSecond, true, "Messages of one guest over a long time; 0: no limit");

    public static readonly Setting<int> MessagesBurst = Count("limits.messages-burst", Limits.MessagesBurst, 1, 1_000_000_000, "Messages of one guest at once");

    public static readonly Setting<long> BytesPerSecond = Bytes("limits.bytes-per-second", Limits.BytesPerSecond, 0, 1L << 40, true, "Bytes of one guest over a long time; 0: no limit");

    public static readonly Setting<long> BytesBurst = Bytes("limits.bytes-burst", Limits.BytesBurst, 1024, 1L << 40, true, "Bytes of one guest at once");

    public static readonly Setting<long> MessageMemoryMax = Bytes(
        "limits.message-memory-max", Limits.MessageMemoryMax, 1 << 20, 1L << 40, true, "Memory for unfinished messages of all guests together", "512MiB");

    public static readonly Setting<long> OutstandingBytesMax = Bytes(
        "limits.outstanding-bytes-max", Limits.OutstandingBytesMax, 1 << 20, 1L << 40, false, "Messages of all guests between their last byte and the disk; beyond, guests take turns");

    public static readonly Setting<double> ReactivePerMinute = Rate("limits.reactive-per-minute", Limits.ReactivePerMinute, true,
        "Reports of one guest that were sent for a change and pass although it is over its rates; 0: none");

    public static readonly Setting<int> ReactiveBurst = Count("limits.reactive-burst", Limits.ReactiveBurst, 1, 1_000_000, "Such reports at once");

    public static readonly Setting<int> SpoolShare = Count("limits.spool-share", Limits.SpoolShare, 1, 100,
        "Percent of what the others leave of the spool that one guest may fill; beyond, it is told to try again; 100: no limit");

    public static readonly Setting<uint> CellsPort = Port("cells.port", Cells.Port, "9002", "The port of declarations of CellOS's cells");

    public static readonly Setting<TimeSpan> CellsKeepAlive = Time("cells.keep-alive-window", Cells.KeepAliveWindow, 1, 3600, "20s", "Silence after which a cell's agent counts as silenced");

    public static readonly Setting<int> CellsMax = Count("cells.cells-max", Cells.CellsMax, 1, 1_000_000, "Cells at once", reloads: false, "64");

    public static readonly Setting<TimeSpan> CellsFrameTimeout = Time("cells.frame-timeout", Cells.FrameTimeout, 1, 3600, "8s", "Time from the first byte of a declaration to its last");

    public static readonly Setting<double> DeclarationsPerSecond = Rate("cells.declarations-per-second", Cells.DeclarationsPerSecond, false, "Declarations of one cell over a long time; 0: no limit");

    public static readonly Setting<int> DeclarationsBurst = Count(
        "cells.declarations-burst", Cells.DeclarationsBurst, 1, 1_000_000_000, "Declarations of one cell at once", reloads: false, "64");

    public static readonly ListSetting<string> ProbeSources = Add(new ListSetting<string>(SettingForms.Item, text => text)
    {
        Key = "cells.probe-sources",
        Flag = "--cells-probe-source",
        IsList = true,
        Default = string.Join(';', Cells.ProbeSources),
        Form = "NAME",
        Example = "process.spawned;process.exited",
        Description = "Probes whose declarations are taken; others are dropped and counted. Repeatable",
    });

    public static readonly Setting<string> SigningKeyFile = FilePath("signing.key-file", "/etc/guestmark/signing.pem", "The key that signs events; without: events are not signed");

    public static readonly Setting<string> SigningAlgorithm = Add(new Setting<string>(SettingForms.Text, text => text)
    {
        Key = "signing.algorithm",
        Words = SigningAlgorithms.Names,
        Default = SigningAlgorithms.Names[0],
        Form = "NAME",
        Example = "ed25519",
        Description = "ecdsa-p256, ed25519 or hmac-sha256",
    });

    public static readonly Setting<string> SigningKeyId = Text("signing.key-id", "", "TEXT", "key-2026", "Attribute keyid of events; without: made from the key");

    public static readonly Setting<long> SpoolBytesMax = Bytes("spool.bytes-max", Preset.SpoolBytesMax, 128 << 20, 1L << 50, false, "Size of the spool of events that must be kept");

    public static readonly Setting<long> ShedSpoolBytesMax = Bytes(
        "spool.shed-bytes-max", Preset.ShedSpoolBytesMax, 16 << 20, 1L << 50, false, "Size of the spool of events whose oldest are dropped when it is full");

    public static readonly Setting<Uri> StackRoxEndpoint = Endpoint("stackrox-sensor.endpoint", "GUESTMARK_NODE_STACKROX_SENSOR_ENDPOINT", "", "sensor.stackrox.svc:443",
        "A StackRox Sensor up to 4.11 that gets every report; without a sensor-endpoint of its own, instead of the sensor");

    public static readonly Setting<string> StackRoxName = Text("stackrox-sensor.name", "sensor.stackrox.svc", "NAME", "sensor.rhacs", "The name in its certificate");

    public static readonly Setting<string> StackRoxCerts = FilePath("stackrox-sensor.certs", "/run/secrets/stackrox.io/certs", "Folder with ca.pem, cert.pem and key.pem for it; without: certs");

    public static readonly Setting<string> ControlSocket = FilePath("control-socket", "/run/guestmark/control.sock", "Unix socket that guestmark cell, guest, keys and doctor ask; without: control.sock in the data folder");

    public static readonly Setting<IPEndPoint> EndpointAddress = Add(new Setting<IPEndPoint>(SettingForms.Address, address => address.ToString())
    {
        Key = "endpoint.address",
        Flag = "--address",
        ShortFlag = "-a",
        Variable = "FACT_ENDPOINT_ADDRESS",
        Form = "IP:PORT",
        Example = "127.0.0.1:9100",
        Description = "Where /metrics, /healthz and /readyz are served; without: nowhere, or 0.0.0.0:9000 with one of the next two",
    });

    public static readonly Setting<bool?> ExposeMetrics = Part("expose-metrics", "FACT_ENDPOINT_EXPOSE_METRICS", "Serve /metrics; without: when there is an address");

    public static readonly Setting<bool?> HealthCheck = Part("health-check", "FACT_ENDPOINT_HEALTH_CHECK", "Serve /healthz and /readyz; without: when there is an address");

    public static readonly Setting<TimeSpan> RelayGrace = Time("endpoint.relay-grace", TimeSpan.FromSeconds(60), 1, 86400, "5m",
        "How long the sensor may be out of reach before /readyz says so");

    public static readonly Setting<LogLevel> Level = Add(new Setting<LogLevel>(ParseLevel, WriteLevel)
    {
        Key = "log.level",
        Words = LevelWords,
        Variable = "FACT_LOGLEVEL",
        Default = "info",
        Reloads = true,
        Form = "LEVEL",
        Example = "debug",
        Description = "trace, debug, info, warn or error",
    });

    public static readonly Setting<LogFormat> Format = Word<LogFormat>("log.format", "text", "text|json", "json", "A line of text or of JSON for each entry, on standard error");

    public static readonly Setting<bool> HotReload = Flag(
        "hotreload", "FACT_HOTRELOAD", "Read the configuration file again when it changes; SIGHUP does so in any case", preset: true);

    public static readonly Setting<bool> EnableVsockServer = Flag("enable-vsock-server", "FACT_ENABLE_VSOCK_SERVER", "hybrid: listen for guests; with neither of the two, both are on");

    public static readonly Setting<bool> EnableVmAgent = Flag("enable-vm-agent", "FACT_ENABLE_VM_AGENT", "hybrid: report on this machine");

    public static readonly Setting<bool> UseVsock = Flag("use-vsock", "FACT_USE_VSOCK", "vm-agent: this machine is a guest; report to its host's AF_VSOCK vsock-port, not to the sensor");

    public static readonly Setting<bool> SkipHttp = Flag("skip-http", "FACT_SKIP_HTTP", "vm-agent: send nothing over the network; prints each inventory as JSON");

    public static readonly Setting<bool> Json = Flag("json", "FACT_JSON", "vm-agent: also print each inventory to standard output as JSON", shortFlag: "-j");

    public static readonly Setting<string> RpmDb = FilePath("rpmdb", "/host/var/lib/rpm",
        "vm-agent: the rpm database; its root is where dpkg's and apk's are looked for as well", "/var/lib/rpm", "FACT_RPMDB", form: "DIR");

    public static readonly Setting<string> HostMount = FilePath("host-mount", "/host", "vm-agent: where the root of this machine is mounted", "/", "FACT_HOST_MOUNT", form: "DIR");

    public static readonly Setting<TimeSpan> Interval = Add(new Setting<TimeSpan>(SettingForms.Time(TimeSpan.FromMinutes(10), TimeSpan.FromDays(7)), SettingForms.WriteTime)
    {
        Key = "interval",
        Variable = "FACT_INTERVAL",
        Default = "3600",
        Form = "TIME",
        Example = "4h",
        Description = "vm-agent: time between two reports when nothing changes; a change is reported within seconds",
    });

    public static readonly ListSetting<string> Paths = Add(new ListSetting<string>(SettingForms.Item, text => text)
    {
        Key = "paths",
        Variable = "FACT_PATHS",
        ShortFlag = "-p",
        IsList = true,
        ListSeparator = ':',
        Form = "PATHS",
        Example = "/etc:/var/log",
        Description = "file-monitor: what to watch (not built yet: refused)",
    });

    static TSetting Add<TSetting>(TSetting setting)
        where TSetting : Setting
    {
        Table.Add(setting);
        return setting;
    }

    static Setting<string> Text(string key, string preset, string form, string example, string description, string? presetInWords = null) =>
        Add(new Setting<string>(SettingForms.Text, text => text)
        {
            Key = key,
            Default = preset,
            DefaultInWords = presetInWords,
            Form = form,
            Example = example,
            Description = description,
        });

    static Setting<string> FilePath(
        string key, string example, string description, string preset = "", string? variable = null, string? shortFlag = null, string form = "PATH", string? presetInWords = null) =>
        Add(new Setting<string>(SettingForms.FilePath, text => text)
        {
            Key = key,
            ShortFlag = shortFlag,
            Variable = variable,
            Default = preset,
            DefaultInWords = presetInWords,
            Form = form,
            Example = example,
            Description = description,
        });

    static Setting<Uri> Endpoint(string key, string variable, string preset, string example, string description) =>
        Add(new Setting<Uri>(SettingForms.Endpoint, SettingForms.WriteEndpoint)
        {
            Key = key,
            Variable = variable,
            Default = preset,
            Form = "HOST:PORT",
            Example = example,
            Description = description,
        });

    static Setting<T> Word<T>(string key, string preset, string form, string example, string description, bool reloads = false, string? variable = null)
        where T : struct, Enum => Add(new Setting<T>(SettingForms.Word<T>(), SettingForms.WriteWord)
        {
            Words = SettingForms.Words<T>(),
            Key = key,
            Variable = variable,
            Default = preset,
            Reloads = reloads,
            Form = form,
            Example = example,
            Description = description,
        });

    static Setting<bool> Flag(string key, string variable, string description, bool preset = false, string? shortFlag = null) =>
        Add(new Setting<bool>(SettingForms.Switch, Switch)
        {
            Key = key,
            Variable = variable,
            ShortFlag = shortFlag,
            Default = Switch(preset),
            IsSwitch = true,
            Form = "true|false",
            Example = Switch(!preset),
            Description = description,
        });

    /// <summary>A part of the endpoint, which is there with an address unless it is refused.</summary>
    static Setting<bool?> Part(string name, string variable, string description) => Add(new Setting<bool?>(SettingForms.OptionalSwitch, value => Switch(value is true))
    {
        Key = "endpoint." + name,
        Flag = "--" + name,
        Variable = variable,
        IsSwitch = true,
        Form = "true|false",
        Example = "false",
        Description = description,
    });

    static Setting<TimeSpan> Time(string key, TimeSpan preset, int min, int max, string example, string description) =>
        Add(new Setting<TimeSpan>(SettingForms.Time(TimeSpan.FromSeconds(min), TimeSpan.FromSeconds(max)), SettingForms.WriteTime)
        {
            Key = key,
            Default = SettingForms.WriteTime(preset),
            Form = "TIME",
            Example = example,
            Description = description,
        });

    static Setting<double> Rate(string key, double preset, bool reloads, string description) => Number(key, preset, SettingForms.Number("rate", 0.0, 1e9), reloads, "N", "12.5", description);

    static Setting<int> Count(string key, int preset, int min, int max, string description, bool reloads = true, string example = "7") =>
        Number(key, preset, SettingForms.Number("number", min, max), reloads, "N", example, description);

    static Setting<uint> Port(string key, uint preset, string example, string description, string? variable = null) =>
        Number(key, preset, SettingForms.Port, reloads: false, "PORT", example, description, variable);

    static Setting<T> Number<T>(string key, T preset, Func<ScalarNode, (T, string?)> parse, bool reloads, string form, string example, string description, string? variable = null)
        where T : struct, IFormattable => Add(new Setting<T>(parse, Number)
        {
            Key = key,
            Variable = variable,
            Default = Number(preset),
            Reloads = reloads,
            Form = form,
            Example = example,
            Description = description,
        });

    static Setting<long> Bytes(string key, long preset, long min, long max, bool reloads, string description, string example = "192MiB") =>
        Add(new Setting<long>(SettingForms.Bytes(min, max), SettingForms.WriteBytes)
        {
            Key = key,
            Default = SettingForms.WriteBytes(preset),
            Reloads = reloads,
            Form = "SIZE",
            Example = example,
            Description = description,
        });

    /// <summary>As <see cref="ParseLevel"/> calls it first.</summary>
    public static string WriteLevel(LogLevel level) => LevelWords[(int)level];

    public static (LogLevel, string?) ParseLevel(ScalarNode node) => node.Text.ToLowerInvariant() switch
    {
        "trace" => (LogLevel.Trace, null),
        "debug" => (LogLevel.Debug, null),
        "info" or "information" => (LogLevel.Information, null),
        "warn" or "warning" => (LogLevel.Warning, null),
        "error" => (LogLevel.Error, null),
        _ => (default, $"is not one of {string.Join(", ", LevelWords)}"),
    };

    static string Number<T>(T number)
        where T : IFormattable => number.ToString(null, CultureInfo.InvariantCulture);

    static string Switch(bool value) => value ? "true" : "false";
}
