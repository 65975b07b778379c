using System.Net;
using Guestmark.Node;
using Microsoft.Extensions.Logging;

namespace Guestmark.Configuration;

/// <summary>What <c>guestmark node</c> is to do: the values of all settings put together.</summary>
sealed record NodeSetup
{
    static readonly IPEndPoint OriginalEndpoint = new(IPAddress.Any, 9000);

    /// <summary>Of the part that listens, stamps and delivers.</summary>
    public required NodeOptions Options { get; init; }

    /// <summary>Whether that part runs. Only a guest that reports to its own host does without.</summary>
    public required bool Delivers { get; init; }

    /// <summary>Whether guests are listened to.</summary>
    public bool Listens { get; init; }

    /// <summary>Whether this machine's own agent reports through a socket of the node.</summary>
    public bool HasOwnChannel { get; init; }

    /// <summary>The agent of this machine; null when nobody wants it.</summary>
    public VmAgentOptions? Agent { get; init; }

    public bool ExposeMetrics { get; init; }

    public bool HealthCheck { get; init; }

    public TimeSpan RelayGrace { get; init; }

    public LogLevel LogLevel { get; init; }

    public LogFormat LogFormat { get; init; }

    public bool HotReload { get; init; }

    /// <summary>Makes the setup; what is missing or does not go together is added to the problems of <paramref name="values"/>.</summary>
    /// <param name="running">What the node runs with, whose names, folder and parts stay until it is started again. Null: none runs.</param>
    /// <returns>Null when there are problems.</returns>
    public static NodeSetup? Create(SettingValues values, NodeSetup? running = null)
    {
        var problems = values.Problems;
        var mode = values.Of(NodeSettings.Mode);
        if (mode == NodeMode.FileMonitor || values.Of(NodeSettings.Paths).Count > 0)
        {
            var origin = values.OriginOf(mode == NodeMode.FileMonitor ? NodeSettings.Mode : NodeSettings.Paths);
            problems.Add(new(origin, "the file monitor is not built yet; choose --mode vsock-listener, vm-agent or hybrid, and give no paths"));
        }

        var (listens, runsAgent) = Parts(values, mode);
        var usesVsock = runsAgent && values.Of(NodeSettings.UseVsock);
        var prints = runsAgent && values.Of(NodeSettings.SkipHttp) && !usesVsock;
        var delivers = listens || (runsAgent && !usesVsock && !prints);
        var endpoint = values.Of(NodeSettings.EndpointAddress);
        var (metrics, health) = (values.Of(NodeSettings.ExposeMetrics), values.Of(NodeSettings.HealthCheck));
        if (endpoint is null && (metrics is true || health is true)) endpoint = OriginalEndpoint;
        if (endpoint is not null && metrics is false && health is false) endpoint = null;
        var hasOwnChannel = runsAgent && delivers && !usesVsock;
        var options = MakeOptions(values, mode, listens, hasOwnChannel, delivers, running) with { Endpoint = endpoint };
        if (delivers && problems.Count == 0)
        {
            foreach (var error in options.Validate()) problems.Add(new(null, error));
        }

        var agent = runsAgent ? MakeAgent(values, options, usesVsock, prints) : null;
        return problems.Count > 0 ? null : new NodeSetup
        {
            Options = options,
            Delivers = delivers,
            Listens = listens,
            HasOwnChannel = hasOwnChannel,
            Agent = agent,
            ExposeMetrics = endpoint is not null && metrics is not false,
            HealthCheck = endpoint is not null && health is not false,
            RelayGrace = values.Of(NodeSettings.RelayGrace),
            LogLevel = values.Of(NodeSettings.Level),
            LogFormat = values.Of(NodeSettings.Format),
            HotReload = values.Of(NodeSettings.HotReload),
        };
    }

    /// <summary>Which parts run. In hybrid mode neither flag means both.</summary>
    static (bool Listens, bool RunsAgent) Parts(SettingValues values, NodeMode mode)
    {
        var (server, agent) = (values.Of(NodeSettings.EnableVsockServer), values.Of(NodeSettings.EnableVmAgent));
        if (mode == NodeMode.Hybrid) return server || agent ? (server, agent) : (true, true);
        foreach (var setting in new[] { NodeSettings.EnableVsockServer, NodeSettings.EnableVmAgent })
        {
            if (values.Of(setting)) values.Warnings.Add(new(values.OriginOf(setting), $"{setting.Key} has an effect in hybrid mode only; this is {SettingForms.WriteWord(mode)}"));
        }

        return (mode == NodeMode.VsockListener, mode == NodeMode.VmAgent);
    }

    static NodeOptions MakeOptions(SettingValues values, NodeMode mode, bool listens, bool hasOwnChannel, bool delivers, NodeSetup? running)
    {
        var cluster = values.Of(NodeSettings.Cluster)!;
        var node = values.Of(NodeSettings.Node)!;
        var data = values.Of(NodeSettings.Data)!;
        var certificates = values.Of(NodeSettings.Certs);
        var stackRox = StackRox(values, certificates, delivers);
        var endpoint = values.IsGiven(NodeSettings.SensorEndpoint) ? values.Of(NodeSettings.SensorEndpoint)
            : values.Of(NodeSettings.Url) ?? (stackRox is null ? values.Of(NodeSettings.SensorEndpoint) : null);
        if (delivers && endpoint is not null && certificates is null && values.IsFileRead)
        {
            values.Problems.Add(new(null, $"certs: give --certs, {NodeSettings.Certs.Variable} or 'certs:' a folder with ca.pem, cert.pem and key.pem; "
                + $"the connection to {SettingForms.WriteEndpoint(endpoint)} is mutual TLS ('guestmark certs create' makes some to try)"));
        }

        // A uid that is made of names must not change because a name waits for a restart.
        var (uidCluster, uidNode) = (running?.Options.Cluster ?? cluster, running?.Options.Node ?? node);
        var guests = running?.Listens ?? listens ? values.Of(NodeSettings.Guests).ToList() : [];
        if (running?.HasOwnChannel ?? hasOwnChannel) guests.Add(OwnChannel(uidNode, running?.Options.DataDirectory ?? data));
        var listeners = values.Of(NodeSettings.Listeners);
        if (!listens) listeners = [];
        // Document 0 listens on AF_VSOCK; a host whose guests all have sockets may not even have the device.
        else if (!values.IsGiven(NodeSettings.Listeners) && NeedsVsock(values)) listeners = [new VsockListenerOptions { Port = values.Of(NodeSettings.VsockPort) }];
        return new NodeOptions
        {
            Cluster = cluster,
            Node = node,
            DataDirectory = data,
            Guests = [.. guests.Select(guest => guest.Uid.Length > 0 ? guest : guest with { Uid = GuestOptions.UidOf(uidCluster, uidNode, guest.Name) })],
            PushPort = values.Of(NodeSettings.VsockPort),
            PushProtocol = values.Of(NodeSettings.PushProtocol),
            SocketMode = values.Of(NodeSettings.SocketMode),
            SensorEndpoint = endpoint,
            SensorName = values.Of(NodeSettings.SensorName),
            Certificates = certificates!,
            MessageBytesMax = (int)values.Of(NodeSettings.MessageBytesMax),
            MessageTimeout = values.Of(NodeSettings.MessageTimeout),
            IdleTimeout = values.Of(NodeSettings.IdleTimeout),
            SpoolBytesMax = values.Of(NodeSettings.SpoolBytesMax),
            PullInterval = values.Of(NodeSettings.PullInterval),
            ShedSpoolBytesMax = values.Of(NodeSettings.ShedSpoolBytesMax),
            ControlSocket = values.Of(NodeSettings.ControlSocket) ?? Path.Combine(data, "control.sock"),
            Mode = mode,
            VsockListeners = listeners,
            RegistryFile = values.Of(NodeSettings.RegistryFile),
            UnknownGuests = values.Of(NodeSettings.UnknownGuests),
            Limits = new GuestLimits
            {
                ConnectionsMax = values.Of(NodeSettings.ConnectionsMax),
                ConnectionsPerGuestMax = values.Of(NodeSettings.ConnectionsPerGuestMax),
                MessagesPerSecond = values.Of(NodeSettings.MessagesPerSecond),
                MessagesBurst = values.Of(NodeSettings.MessagesBurst),
                BytesPerSecond = values.Of(NodeSettings.BytesPerSecond),
                BytesBurst = values.Of(NodeSettings.BytesBurst),
                MessageMemoryMax = values.Of(NodeSettings.MessageMemoryMax),
                OutstandingBytesMax = values.Of(NodeSettings.OutstandingBytesMax),
                ReactivePerMinute = values.Of(NodeSettings.ReactivePerMinute),
                ReactiveBurst = values.Of(NodeSettings.ReactiveBurst),
                SpoolShare = values.Of(NodeSettings.SpoolShare),
            },
            Cells = new CellOptions
            {
                Port = values.Of(NodeSettings.CellsPort),
                KeepAliveWindow = values.Of(NodeSettings.CellsKeepAlive),
                CellsMax = values.Of(NodeSettings.CellsMax),
                FrameTimeout = values.Of(NodeSettings.CellsFrameTimeout),
                DeclarationsPerSecond = values.Of(NodeSettings.DeclarationsPerSecond),
                DeclarationsBurst = values.Of(NodeSettings.DeclarationsBurst),
                ProbeSources = values.Of(NodeSettings.ProbeSources),
            },
            Signing = Signing(values),
            StackRoxSensor = stackRox,
        };
    }

    /// <summary>
    /// A host whose guests all have Unix sockets must not listen where every machine of the host can connect. So a registry file alone, whose
    /// guests may come later, opens nothing: listeners are then named.
    /// </summary>
    static bool NeedsVsock(SettingValues values)
    {
        var guests = values.Of(NodeSettings.Guests);
        return guests.Any(guest => guest.SocketBase is null) || values.Of(NodeSettings.UnknownGuests) == UnknownGuestPolicy.Accept
            || (guests.Count == 0 && values.Of(NodeSettings.RegistryFile) is null);
    }

    /// <summary>The channel of this machine's own agent.</summary>
    static GuestOptions OwnChannel(string node, string data) => new() { Name = node, Uid = "", SocketBase = Path.Combine(data, "self.sock") };

    static SigningOptions? Signing(SettingValues values)
    {
        if (values.Of(NodeSettings.SigningKeyFile) is { } file)
            return new SigningOptions { KeyFile = file, Algorithm = values.Of(NodeSettings.SigningAlgorithm)!, KeyId = values.Of(NodeSettings.SigningKeyId) };
        foreach (var setting in new[] { NodeSettings.SigningAlgorithm, NodeSettings.SigningKeyId })
        {
            // Who names an algorithm wants signatures: without a key there would silently be none.
            if (values.IsGiven(setting)) values.Problems.Add(new(values.OriginOf(setting), $"{setting.Key}: give signing.key-file as well; 'guestmark keys create' makes one"));
        }

        return null;
    }

    static StackRoxSensorOptions? StackRox(SettingValues values, string? certificates, bool delivers)
    {
        if (values.Of(NodeSettings.StackRoxEndpoint) is not { } endpoint) return null;
        var folder = values.Of(NodeSettings.StackRoxCerts) ?? certificates;
        if (folder is null && delivers && values.IsFileRead)
        {
            values.Problems.Add(new(values.OriginOf(NodeSettings.StackRoxEndpoint),
                "stackrox-sensor.certs: give the folder with ca.pem, cert.pem and key.pem of a collector, or certs"));
        }

        return new StackRoxSensorOptions { Endpoint = endpoint, ServerName = values.Of(NodeSettings.StackRoxName)!, Certificates = folder! };
    }

    static VmAgentOptions MakeAgent(SettingValues values, NodeOptions options, bool usesVsock, bool prints) => new()
    {
        Socket = usesVsock || prints ? null : Path.Combine(options.DataDirectory, "self.sock") + $"_{options.PushPort}",
        VsockPort = options.PushPort,
        PrintsOnly = prints,
        AlsoPrints = values.Of(NodeSettings.Json),
        HostPath = HostPath(values),
        Interval = values.Of(NodeSettings.Interval),
        StateDirectory = Path.Combine(options.DataDirectory, "agent"),
    };

    /// <summary>The agent finds all databases below a root; the original was given the folder of one.</summary>
    static string HostPath(SettingValues values)
    {
        var mount = values.Of(NodeSettings.HostMount)!;
        if (!values.IsGiven(NodeSettings.RpmDb)) return mount;
        var database = values.Of(NodeSettings.RpmDb)!.TrimEnd('/');
        foreach (var place in new[] { "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm" })
        {
            if (database.EndsWith(place, StringComparison.Ordinal)) return database.Length == place.Length ? mount : database[..^place.Length];
        }

        values.Problems.Add(new(values.OriginOf(NodeSettings.RpmDb),
            $"rpmdb: '{database}' is not ROOT/var/lib/rpm, ROOT/usr/lib/sysimage/rpm or ROOT/usr/share/rpm; set host-mount to the root of the machine instead"));
        return mount;
    }
}

/// <summary>How the agent of this machine is run.</summary>
sealed record VmAgentOptions
{
    /// <summary>The Unix socket it reports to. Null: AF_VSOCK, or nowhere.</summary>
    public string? Socket { get; init; }

    public uint VsockPort { get; init; }

    /// <summary>It reports to nobody and prints each inventory.</summary>
    public bool PrintsOnly { get; init; }

    public bool AlsoPrints { get; init; }

    public required string HostPath { get; init; }

    public TimeSpan Interval { get; init; }

    public required string StateDirectory { get; init; }
}
