using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Guestmark.Configuration;
using Guestmark.Node;
using Guestmark.Rpc;
using Guestmark.Rpc.Guests;
using Guestmark.Rpc.Health;
using Guestmark.Telemetry;

namespace Guestmark.Diagnosis;

/// <summary>Looks at everything that a node needs and says of each thing what it is, what that means, and how to mend it. Changes nothing.</summary>
sealed class NodeDoctor(NodeSetup setup, HostView host)
{
    const int CapNetBindService = 10;
    const int ReservedPortLast = 1023;
    static readonly TimeSpan ExpiresSoon = TimeSpan.FromDays(14);
    static readonly TimeSpan DialTimeout = TimeSpan.FromSeconds(5);

    readonly NodeOptions _options = setup.Options;

    public async Task<IReadOnlyList<HealthFinding>> ExamineAsync(CancellationToken cancellationToken)
    {
        var findings = new List<HealthFinding>();
        findings.AddRange(Vsock());
        if (setup.Delivers)
        {
            if (_options.SensorEndpoint is not null) findings.AddRange(Certificates("certificates", _options.Certificates));
            if (_options.StackRoxSensor is { } stackRox && stackRox.Certificates != _options.Certificates)
                findings.AddRange(Certificates("stackrox-certificates", stackRox.Certificates));
        }

        if (setup.Delivers) findings.AddRange(StartCheck.Files(_options).Concat(StartCheck.GuestFolders(_options)));
        findings.Add(Clock());
        findings.AddRange(Spool());
        findings.AddRange(Permissions());
        if (!setup.Delivers) return findings;
        findings.AddRange(await RunningAsync(cancellationToken));
        if (_options.SensorEndpoint is { } sensor) findings.Add(await DialAsync("sensor", sensor, _options.SensorName, _options.Certificates, cancellationToken));
        if (_options is { RegistryFromSensor: true, SensorEndpoint: { } teller }) findings.Add(await AskForGuestsAsync(teller, cancellationToken));
        if (_options.StackRoxSensor is { } other) findings.Add(await DialAsync("stackrox-sensor", other.Endpoint, other.ServerName, other.Certificates, cancellationToken));
        return findings;
    }

    IEnumerable<HealthFinding> Vsock()
    {
        var listens = _options.VsockListeners.Count > 0;
        var dials = setup.Agent is { Socket: null, PrintsOnly: false };
        if (!listens && !dials)
        {
            const string onDemand = "needed when the sensor names a guest without a Unix socket";
            yield return _options.VsockOnDemand is null ? HealthFinding.Ok("vsock", "not needed: every guest has a Unix socket")
                : host.Exists("/dev/vsock") ? HealthFinding.Ok("vsock", $"{onDemand}: /dev/vsock is there")
                : HealthFinding.Warn("vsock", $"{onDemand}, and there is no /dev/vsock", "modprobe vsock; in a container mount the device; or give every guest a Unix socket");
            yield break;
        }

        if (!host.Exists("/dev/vsock"))
        {
            yield return HealthFinding.Fail("vsock", "there is no /dev/vsock: this kernel has no AF_VSOCK, or its module is not loaded",
                "modprobe vsock; in a container mount the device; or give every guest a Unix socket");
        }
        else
        {
            yield return HealthFinding.Ok("vsock", "/dev/vsock is there");
        }

        if (listens && !host.Exists("/dev/vhost-vsock"))
        {
            yield return HealthFinding.Warn("vhost-vsock", "there is no /dev/vhost-vsock: hypervisors of this host cannot give guests a vsock device",
                "modprobe vhost_vsock; not needed where this machine is itself a guest, or where guests are on vhost-user-vsock");
        }
        else if (listens)
        {
            yield return HealthFinding.Ok("vhost-vsock", "/dev/vhost-vsock is there");
        }

        // Linux 7.0: in a namespace of mode "local" guests of other namespaces cannot reach this process.
        if (host.Read("/proc/sys/net/vsock/ns_mode") is { } mode)
        {
            yield return mode == "local" && listens
                ? HealthFinding.Fail("vsock-namespace", "net.vsock.ns_mode is 'local' here: only guests whose hypervisor runs in this network namespace can connect",
                    "run the node in the host's network namespace (hostNetwork: true), or let StackRox or the sensor pull instead")
                : HealthFinding.Ok("vsock-namespace", $"net.vsock.ns_mode is '{mode}'");
        }

        if (host.Read("/proc/sys/net/vsock/child_ns_mode") is "local" && listens)
        {
            yield return HealthFinding.Warn("vsock-children", "net.vsock.child_ns_mode is 'local': guests of pods have a vsock of their own, and their pushes do not arrive here",
                "reports of such guests must be pulled; the setting is made once at boot (sysctl net.vsock.child_ns_mode=global)");
        }

        var isContainer = host.Exists("/run/.containerenv") || host.Exists("/.dockerenv") || Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_HOST") is not null;
        var isFiltered = host.Read("/proc/self/status")?.Split('\n').Any(line => line.StartsWith("Seccomp:", StringComparison.Ordinal) && line.EndsWith('2')) ?? false;
        if (isContainer && isFiltered)
        {
            yield return HealthFinding.Warn("vsock-seccomp", "this is a container with a seccomp filter; the default ones of containerd from 1.7 and of Docker from 24 refuse sockets of AF_VSOCK",
                "seccompProfile: a profile that allows socket(AF_VSOCK), or Unconfined with the capabilities dropped; --probe-vsock tries it");
        }

        if (host.ProbeVsock is { } probe)
        {
            yield return probe() is { } problem
                ? HealthFinding.Fail("vsock-socket", $"a socket of AF_VSOCK cannot be opened: {problem}", "see the findings above")
                : HealthFinding.Ok("vsock-socket", "a socket of AF_VSOCK can be opened");
        }
    }

    IEnumerable<HealthFinding> Certificates(string name, string folder)
    {
        CertificateDirectory? opened = null;
        HealthFinding? failure = null;
        try
        {
            opened = CertificateDirectory.Open(folder, host.Time);
        }
        catch (CertificateException e)
        {
            // Its message has the file, what is wrong and what to do.
            failure = HealthFinding.Fail(name, e.Message, "'guestmark certs create' makes certificates to try; files that are replaced are used at once");
        }

        if (failure is not null)
        {
            yield return failure;
            yield break;
        }

        using (opened)
        {
            var left = opened!.NotAfter - host.Time.GetUtcNow();
            var words = $"{folder}: readable, the key belongs to the certificate, which chains to ca.pem; names: {Names(folder)}; ends in {Words.Span(left)}";
            yield return left < ExpiresSoon
                ? HealthFinding.Warn(name, words, "replace it before then; new files are used at once, without a restart")
                : HealthFinding.Ok(name, words);
        }

        var key = Path.Combine(folder, "key.pem");
        const UnixFileMode others = UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        if ((File.GetUnixFileMode(key) & others) != UnixFileMode.None)
            yield return HealthFinding.Warn(name + "-key", $"{key} can be read or changed by others of this host", $"chmod 0600 {key}");
    }

    static string Names(string folder)
    {
        try
        {
            using var certificate = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(folder, "cert.pem"));
            var names = certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(extension => extension.EnumerateDnsNames()).Take(5).ToList();
            return names.Count > 0 ? CommandLine.TerminalText.Printable(string.Join(", ", names)) : "none";
        }
        catch (Exception e) when (e is CryptographicException or IOException)
        {
            return "unreadable";
        }
    }

    HealthFinding Clock()
    {
        var state = host.Clock();
        const string meaning = "events carry this machine's time, and certificates are judged by it";
        return state.Problem is not null ? HealthFinding.Warn("clock", $"the kernel does not tell whether the clock is synchronised: {state.Problem}", "allow adjtimex, or look with 'timedatectl'")
            : state.Synchronised ? HealthFinding.Ok("clock", "synchronised")
            : HealthFinding.Warn("clock", $"nobody synchronises the clock: {meaning}", "run chrony or systemd-timesyncd; in a container the host's counts");
    }

    IEnumerable<HealthFinding> Spool()
    {
        if (!setup.Delivers) yield break;
        var data = _options.DataDirectory;
        var existing = data;
        while (!Directory.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
        if (existing != data)
        {
            yield return HealthFinding.Ok("spool", $"{data} does not exist yet; the node makes it in {existing}");
        }
        else if (File.GetUnixFileMode(data) is var mode && (mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != UnixFileMode.None)
        {
            yield return HealthFinding.Fail("spool", $"others of this host may write into {data}", $"chmod 0700 {data}");
        }

        var held = 0L;
        var segments = 0;
        foreach (var file in existing == data ? Directory.EnumerateFiles(data, "*.spool", SearchOption.AllDirectories) : [])
        {
            held += new FileInfo(file).Length;
            segments++;
        }

        if (existing == data) yield return HealthFinding.Ok("spool", $"{data}: {Words.Count(segments, "segment")}, {Words.Size(held)}; 'guestmark spool inspect' looks for damage");
        var free = host.FreeBytes(existing);
        var wanted = Math.Max(0, _options.SpoolBytesMax + _options.ShedSpoolBytesMax - held);
        yield return free < wanted
            ? HealthFinding.Warn("disk", $"the spools may grow by {Words.Size(wanted)}, and {existing} has {Words.Size(free)} free: the disk would be full before the spool is",
                "make spool.bytes-max smaller or the disk larger")
            : HealthFinding.Ok("disk", $"{Words.Size(free)} free, the spools may grow by {Words.Size(wanted)}");
    }

    IEnumerable<HealthFinding> Permissions()
    {
        var reserved = _options.VsockListeners.Select(listener => listener.Port).Concat(_options.VsockOnDemand is { } onDemand ? [onDemand] : []).Where(port => port <= ReservedPortLast).Select(port => $"vsock port {port}").ToList();
        var firstFree = int.TryParse(host.Read("/proc/sys/net/ipv4/ip_unprivileged_port_start"), NumberStyles.None, CultureInfo.InvariantCulture, out var start) ? start : ReservedPortLast + 1;
        if (_options.Endpoint is { } endpoint && endpoint.Port < firstFree && endpoint.Port > 0) reserved.Add($"TCP port {endpoint.Port}");
        if (reserved.Count > 0)
        {
            yield return HasCapability(CapNetBindService)
                ? HealthFinding.Ok("permissions", $"{Words.List(reserved)} may be listened on (CAP_NET_BIND_SERVICE)")
                : HealthFinding.Fail("permissions", $"{Words.List(reserved)} need CAP_NET_BIND_SERVICE, which this user does not have",
                    "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or choose ports from 1024 on");
        }

        var folders = _options.Guests.Where(guest => guest.SocketBase is not null).Select(guest => Path.GetDirectoryName(guest.SocketBase)!).Distinct(StringComparer.Ordinal);
        foreach (var folder in folders)
        {
            if (!Directory.Exists(folder)) continue;
            if ((File.GetUnixFileMode(folder) & UnixFileMode.OtherWrite) != UnixFileMode.None)
                yield return HealthFinding.Fail("permissions", $"everybody may write into {folder}, where guests' sockets are: who replaces a socket speaks as its guest", Close(folder, "o-w", "guests' sockets"));
            else if (LibC.access(folder, LibC.MayWrite | LibC.MayEnter) != 0)
                yield return HealthFinding.Fail("permissions", $"sockets cannot be made in {folder}", "give the node's user write and search permission there");
        }

        var control = Path.GetDirectoryName(_options.ControlSocket)!;
        if (Directory.Exists(control) && control != _options.DataDirectory
            && (File.GetUnixFileMode(control) & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute)) != UnixFileMode.None)
        {
            yield return HealthFinding.Fail("permissions", $"others may enter {control}, where the control socket is: they could command the node", Close(control, "0700", "the control socket"));
        }
    }

    /// <summary>A sticky folder is one that everybody shares, as /tmp: closing it would break the host.</summary>
    static string Close(string folder, string mode, string what) => (File.GetUnixFileMode(folder) & UnixFileMode.StickyBit) != UnixFileMode.None
        ? $"put {what} into a folder of their own: {folder} is shared by all of this host"
        : $"chmod {mode} {folder}";

    /// <summary>What the node itself finds, when one runs here: a refused reload, for example, only it knows of.</summary>
    async Task<IReadOnlyList<HealthFinding>> RunningAsync(CancellationToken cancellationToken)
    {
        if (!File.Exists(_options.ControlSocket)) return [HealthFinding.Ok("node", $"none runs with {_options.ControlSocket}")];
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(DialTimeout);
            var health = await new ControlClient(_options.ControlSocket).GetAsync("v1/health", limit.Token);
            var ill = health!["checks"]!.AsArray().Where(check => check!["state"]!.GetValue<string>() != "ok").Select(check => new HealthFinding(
                $"node-{check!["check"]}", check["state"]!.GetValue<string>() == "failed" ? HealthState.Failed : HealthState.Warning, $"the running node says: {check["message"]}",
                check["remedy"]?.ToString() ?? "")).ToList();
            return ill.Count > 0 ? ill : [HealthFinding.Ok("node", "runs, and is ready")];
        }
        catch (CommandLine.CommandException e)
        {
            return [HealthFinding.Warn("node", $"a running node cannot be asked: {e.Message}", "run the doctor as the node's user; where no node runs this is no problem")];
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return [HealthFinding.Fail("node", $"what listens on {_options.ControlSocket} does not answer within {Words.Span(DialTimeout)}", "look at the node's log; start it again")];
        }
    }

    /// <summary>CapEff of /proc/self/status: a mask in hexadecimal.</summary>
    bool HasCapability(int number)
    {
        var line = host.Read("/proc/self/status")?.Split('\n').FirstOrDefault(text => text.StartsWith("CapEff:", StringComparison.Ordinal));
        return line is not null && ulong.TryParse(line["CapEff:".Length..].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var mask) && (mask >> number & 1) != 0;
    }

    /// <summary>Asks the sensor who this node's guests are, as the node does, and looks at the first list.</summary>
    async Task<HealthFinding> AskForGuestsAsync(Uri endpoint, CancellationToken cancellationToken)
    {
        try
        {
            using var certificates = CertificateDirectory.Open(_options.Certificates, host.Time);
            using var channel = new RpcChannel(
                endpoint, new RpcChannelOptions { Certificates = certificates, ServerName = _options.SensorName, ConnectTimeout = DialTimeout });
            var callOptions = new RpcCallOptions { Timeout = DialTimeout, ReceiveMessageBytesMax = GuestListing.ListBytesMax };
            await using var call = channel.Open(GuestListing.Watch, callOptions, cancellationToken);
            await call.WriteAsync(new WatchGuestsRequest { Node = _options.Node }, cancellationToken);
            await call.CompleteAsync();
            var list = await call.ReadAsync(cancellationToken) ?? throw new RpcException(RpcStatusCode.Unavailable, "the sensor ended the call");
            return list.Guests.Count > 0
                ? HealthFinding.Ok("sensor-registry", $"the sensor names {Words.Count(list.Guests.Count, "guest")} of node '{_options.Node}'")
                : HealthFinding.Warn("sensor-registry", $"the sensor names no guest of node '{_options.Node}'", "see that its list calls the node so, or give the node that name (node)");
        }
        catch (CertificateException)
        {
            return HealthFinding.Fail("sensor-registry", "not asked without certificates", "mend the certificates first");
        }
        catch (RpcException e)
        {
            var remedy = e.Code switch
            {
                RpcStatusCode.PermissionDenied => "give the node a certificate with its name, or the name of its certificate (node)",
                RpcStatusCode.FailedPrecondition or RpcStatusCode.Unimplemented => "start the sensor with --guests FILE, or the node without registry-sensor",
                _ => "see that the sensor can be reached; the guests of the last list are heard until then",
            };
            return HealthFinding.Fail("sensor-registry", $"the sensor does not say who the guests of node '{_options.Node}' are: {CommandLine.TerminalText.Printable(e.Detail)}", remedy);
        }
    }

    /// <summary>Connects as the relay does: TCP, mutual TLS, and one call.</summary>
    async Task<HealthFinding> DialAsync(string name, Uri endpoint, string? serverName, string folder, CancellationToken cancellationToken)
    {
        var where = SettingForms.WriteEndpoint(endpoint);
        try
        {
            using var certificates = CertificateDirectory.Open(folder, host.Time);
            using var channel = new RpcChannel(endpoint, new RpcChannelOptions { Certificates = certificates, ServerName = serverName, ConnectTimeout = DialTimeout });
            var answer = await channel.UnaryAsync(RpcHealth.Check, new HealthCheckRequest(), new RpcCallOptions { Timeout = DialTimeout }, cancellationToken);
            return answer.Status == HealthCheckResponse.Types.ServingStatus.Serving
                ? HealthFinding.Ok(name, $"{where}: TCP, mutual TLS and a call work")
                : HealthFinding.Warn(name, $"{where} answers that it is not ready", "look at its /readyz");
        }
        catch (CertificateException)
        {
            return HealthFinding.Fail(name, $"{where}: not tried without certificates", "mend the certificates first");
        }
        catch (RpcException e) when (e.Code is RpcStatusCode.Unimplemented or RpcStatusCode.NotFound or RpcStatusCode.PermissionDenied)
        {
            // Somebody with the right certificate answered; a StackRox Sensor does not offer this service to everybody.
            return HealthFinding.Ok(name, $"{where}: TCP and mutual TLS work");
        }
        catch (RpcException e)
        {
            return HealthFinding.Fail(name, $"{where}: {CommandLine.TerminalText.Printable(e.Detail)}",
                "see that the name resolves and the port is open from here, and that both have certificates of one authority; events wait in the spool until then");
        }
    }
}
