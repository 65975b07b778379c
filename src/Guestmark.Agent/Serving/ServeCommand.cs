using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using Guestmark.Agent.OpenSsl;
using Guestmark.Agent.RepositoryMapping;
using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Pull;
using Guestmark.Wire.Sockets;

namespace Guestmark.Agent.Serving;

/// <summary><c>guestmark-agent serve</c>: stays, and hands its report to a Sensor that asks for it (StackRox's pull protocol).</summary>
static class ServeCommand
{
    // virt-handler's service, seen from the guest.
    const uint CaServicePort = 1;

    // Any: nothing else is done between two waits.
    static readonly TimeSpan ChangesLook = TimeSpan.FromDays(1);

    public static Command Create()
    {
        var scanOptions = new ScanOptions();
        var port = new Option<uint>("--port") { Description = "The vsock port to listen on", HelpName = "PORT", DefaultValueFactory = _ => VsockEndPoint.PortDefault };
        var socket = new Option<string?>("--socket") { Description = "A Unix socket to listen on, instead of vsock", HelpName = "PATH" };
        var rescanInterval = Duration.Option(
            "--rescan-interval", "Time between scans", "4h", TimeSpan.FromMinutes(5), TimeSpan.FromHours(168));
        var connectionDeadline = Duration.Option(
            "--conn-deadline", "Time for one connection, from the handshake to the answer", "30s", TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(5));
        var caFetchTimeout = Duration.Option(
            "--ca-fetch-timeout", "Time to wait for KubeVirt's authorities", "10s", TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5));
        var caFile = new Option<string?>("--ca-file")
        {
            Description = "Authorities whose clients are let in, in PEM, instead of those that KubeVirt names; read at each connection",
            HelpName = "PATH",
        };
        var mapping = new MappingOptions(defaultUrl: "");
        var verbose = new Option<bool>("--verbose") { Description = "Tell of every answer" };
        var command = new Command("serve", "Stays, and hands the report to a Sensor that asks for it")
        {
            port, socket, rescanInterval, connectionDeadline, caFetchTimeout, caFile, verbose,
        }.WithExamples(
            """
            guestmark-agent serve
            guestmark-agent serve --rescan-interval 1h --repo-cpe-path /etc/guestmark/repository-to-cpe.json
            guestmark-agent serve --socket /run/guestmark.sock --ca-file /etc/guestmark/ca.pem
            """);
        scanOptions.AddTo(command);
        mapping.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var address = Address(parsed.GetValue(socket), parsed.GetRequiredValue(port));
            var scan = scanOptions.Read(parsed);
            var timeout = parsed.GetRequiredValue(caFetchTimeout).Value;
            var options = new ServeOptions
            {
                Address = address,
                HostPath = scan.HostPath,
                RescanInterval = parsed.GetRequiredValue(rescanInterval).Value,
                ConnectionDeadline = parsed.GetRequiredValue(connectionDeadline).Value,
                IsMappingFetched = mapping.Url(parsed).Length > 0,
                IsVerbose = parsed.GetValue(verbose),
                FetchAuthorities = parsed.GetValue(caFile) is { } file
                    ? cancellation => ClientAuthorities.ReadFileAsync(file, cancellation)
                    : cancellation => CaBundleClient.FetchAsync(
                        new VsockEndPoint(VsockEndPoint.CidHost, CaServicePort), timeout, TimeProvider.System, cancellation),
            };
            var mappings = mapping.Open(parsed, Note);
            var refresh = mapping.Refresh(parsed, mappings, scan, TimeProvider.System, Note);
            try
            {
                await RunAsync(
                    options,
                    (path, cancellation) => InventoryScanner.Scan(scan with { RepositoryToCpePath = path }, cancellation),
                    path => InventoryFingerprint.Take(scan with { RepositoryToCpePath = path }, TimeProvider.System),
                    mappings,
                    refresh,
                    TimeProvider.System,
                    Note,
                    cancellationToken);
            }
            catch (OpenSslException e)
            {
                throw new CommandException(e.Message, e);
            }
            catch (IOException e)
            {
                throw new CommandException(e.Message, e);
            }

            return ExitCode.Done;
        });
        return command;
    }

    /// <summary>Serves until it is cancelled.</summary>
    /// <param name="scan">Scans with a mapping file, or with none.</param>
    /// <param name="fingerprint">The state of what such a scan reads.</param>
    /// <param name="refresh">Keeps the mapping current. Null: a Sensor does, or nobody.</param>
    /// <exception cref="IOException">The address cannot be listened on.</exception>
    /// <exception cref="OpenSslException">This machine has no OpenSSL.</exception>
    public static async Task RunAsync(
        ServeOptions options, Func<string?, CancellationToken, GuestInventory> scan, Func<string?, InventoryFingerprint> fingerprint,
        MappingStore mappings, MappingRefresh? refresh, TimeProvider time, Action<string> note, CancellationToken cancellationToken)
    {
        using var identity = TlsIdentity.Create("guestmark-agent", time);
        using var authorities = new ClientAuthorities(identity, options.FetchAuthorities, note);
        var reports = new ReportSource(time.GetUtcNow());
        var service = new PullService(reports, mappings, options.IsMappingFetched ? MappingUpdatePath.Url : MappingUpdatePath.Sensor, AgentVersion.Text);
        using var server = new PullServer(authorities, service, options.ConnectionDeadline, time, note, options.IsVerbose);
        using var changes = new ChangeSignal(time);
        using var watch = DatabaseWatch.TryStart(changes, out var watchError);
        if (watch is null) note($"changes are only found after each interval: {watchError}");
        using var rescans = new Rescans(
            scan,
            path =>
            {
                // Before the look, so that nothing happens unseen between the two.
                watch?.WatchDatabases(options.HostPath);
                return fingerprint(path);
            },
            Encode,
            reports,
            mappings,
            options.RescanInterval,
            time,
            note);
        mappings.Changed = rescans.Request;

        // Before the first scan is done, so that whoever asks is told to come again instead of finding nobody.
        using var listener = ChannelSocket.Listener.Open(options.Address);
        note($"listening on {options.Address}");
        // One that ends ends the others: none of them ends by itself, unless it is broken.
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        List<Task> tasks = [server.RunAsync(listener, ended.Token)];
        var mappingIsThere = Task.CompletedTask;
        if (refresh is not null)
        {
            tasks.Add(refresh.RunAsync(ended.Token));
            if (mappings.Current is null) mappingIsThere = Task.WhenAny(refresh.FirstTry, Task.Delay(MappingOptions.FirstTryMax, time, ended.Token));
        }

        tasks.Add(Task.Run(
            async () =>
            {
                await mappingIsThere;
                await rescans.RunAsync(ended.Token);
            },
            ended.Token));
        if (watch is not null) tasks.Add(RequestAtChangesAsync(changes, rescans, ended.Token));
        await Task.WhenAny(tasks);
        await ended.CancelAsync();
        foreach (var task in tasks)
        {
            try
            {
                await task;
            }
            catch (OperationCanceledException)
            {
                // That is how they end.
            }
        }
    }

    static async Task RequestAtChangesAsync(ChangeSignal changes, Rescans rescans, CancellationToken cancellationToken)
    {
        while (true)
        {
            if (await changes.WaitForRestAsync(ChangesLook, cancellationToken)) rescans.Request();
        }
    }

    static EndPoint Address(string? path, uint port)
    {
        if (path is null) return new VsockEndPoint(VsockEndPoint.CidAny, port);
        try
        {
            return new UnixDomainSocketEndPoint(path);
        }
        catch (ArgumentOutOfRangeException)
        {
            throw new UsageException($"--socket {path}: the path of a Unix socket has 1 to 107 bytes; use a shorter one");
        }
    }

    static ReadOnlyMemory<byte> Encode(GuestInventory inventory)
    {
        var writer = new ProtoWriter();
        InventoryReports.WriteIndexReport(inventory, writer);
        // The report stays for hours, and the writer's buffer is up to twice as long.
        return writer.Written.ToArray();
    }

    static void Note(string message) => Console.Error.WriteLine(TerminalText.Printable(message));
}

/// <summary>How the agent serves.</summary>
sealed record ServeOptions
{
    /// <summary>A <see cref="VsockEndPoint"/> or a <see cref="UnixDomainSocketEndPoint"/>.</summary>
    public required EndPoint Address { get; init; }

    /// <summary>Gets the authorities whose clients are let in, at each handshake.</summary>
    public required Func<CancellationToken, Task<CaBundle>> FetchAuthorities { get; init; }

    public TimeSpan RescanInterval { get; init; } = TimeSpan.FromHours(4);

    public TimeSpan ConnectionDeadline { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The root of the machine, whose databases are watched.</summary>
    public required string HostPath { get; init; }

    /// <summary>The mapping is fetched by this machine, and a Sensor may not send one.</summary>
    public bool IsMappingFetched { get; init; }

    /// <summary>Tell of every answer.</summary>
    public bool IsVerbose { get; init; }
}
