using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
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

    // How long the first scan waits for the mapping, so that the first report has CPEs where a download is quick.
    static readonly TimeSpan FirstMappingMax = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        var scanOptions = new ScanOptions();
        var port = new Option<uint>("--port") { Description = "The vsock port to listen on", HelpName = "PORT", DefaultValueFactory = _ => 818 };
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
        var mappingUrl = new Option<string>("--repo-cpe-url")
        {
            Description = "Where to fetch the repository-to-cpe mapping, once a day; '' to have the Sensor send it",
            HelpName = "URL",
            DefaultValueFactory = _ => MappingRefresh.DefaultUrl,
        };
        var mappingPath = new Option<string?>("--repo-cpe-path") { Description = "A mapping to use until one was fetched or sent", HelpName = "PATH" };
        var stateFolder = new Option<string>("--state-dir")
        {
            Description = "Where the mapping is kept",
            HelpName = "DIR",
            DefaultValueFactory = _ => "/var/lib/guestmark-agent",
        };
        var verbose = new Option<bool>("--verbose") { Description = "Tell of every answer" };
        var command = new Command("serve", "Stays, and hands the report to a Sensor that asks for it")
        {
            port, socket, rescanInterval, connectionDeadline, caFetchTimeout, caFile, mappingUrl, mappingPath, stateFolder, verbose,
        }.WithExamples(
            """
            guestmark-agent serve
            guestmark-agent serve --rescan-interval 1h --repo-cpe-url ''
            guestmark-agent serve --socket /run/guestmark.sock --ca-file /etc/guestmark/ca.pem
            """);
        scanOptions.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var address = Address(parsed.GetValue(socket), parsed.GetRequiredValue(port));
            var timeout = parsed.GetRequiredValue(caFetchTimeout);
            var options = new ServeOptions
            {
                Address = address,
                RescanInterval = parsed.GetRequiredValue(rescanInterval),
                ConnectionDeadline = parsed.GetRequiredValue(connectionDeadline),
                MappingUrl = parsed.GetRequiredValue(mappingUrl),
                MappingPath = parsed.GetValue(mappingPath),
                StateFolder = parsed.GetRequiredValue(stateFolder),
                IsVerbose = parsed.GetValue(verbose),
                FetchAuthorities = parsed.GetValue(caFile) is { } file
                    ? cancellation => ClientAuthorities.ReadFileAsync(file, cancellation)
                    : cancellation => CaBundleClient.FetchAsync(
                        new VsockEndPoint(VsockEndPoint.CidHost, CaServicePort), timeout, TimeProvider.System, cancellation),
            };
            GuestInventory Scan(string? mapping, CancellationToken cancellation) =>
                InventoryScanner.Scan(scanOptions.Read(parsed) with { RepositoryToCpePath = mapping }, cancellation);
            try
            {
                await RunAsync(options, Scan, TimeProvider.System, Note, cancellationToken);
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
    /// <exception cref="IOException">The address cannot be listened on.</exception>
    /// <exception cref="OpenSslException">This machine has no OpenSSL.</exception>
    public static async Task RunAsync(
        ServeOptions options, Func<string?, CancellationToken, GuestInventory> scan, TimeProvider time, Action<string> note, CancellationToken cancellationToken)
    {
        using var identity = TlsIdentity.Create("guestmark-agent", time);
        using var authorities = new ClientAuthorities(identity, options.FetchAuthorities, note);
        var reports = new ReportSource(time.GetUtcNow());
        var mappings = MappingStore.Open(options.StateFolder, options.MappingPath, note);
        var isFetched = options.MappingUrl.Length > 0;
        var service = new PullService(reports, mappings, isFetched ? MappingUpdatePath.Url : MappingUpdatePath.Sensor, Version());
        using var server = new PullServer(authorities, service, options.ConnectionDeadline, time, note, options.IsVerbose);
        using var rescans = new Rescans(scan, Encode, reports, mappings, options.RescanInterval, time, note);
        mappings.Changed = rescans.Request;

        // Before the first scan is done, so that whoever asks is told to come again instead of finding nobody.
        using var listener = ChannelSocket.Listener.Open(options.Address);
        note($"listening on {options.Address}");
        // One that ends ends the others: none of them ends by itself, unless it is broken.
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        List<Task> tasks = [server.RunAsync(listener, ended.Token)];
        var mappingIsThere = Task.CompletedTask;
        if (isFetched)
        {
            var refresh = new MappingRefresh(mappings, new DownloadRequest { Url = options.MappingUrl }, time, note);
            tasks.Add(refresh.RunAsync(ended.Token));
            if (mappings.Current is null) mappingIsThere = Task.WhenAny(refresh.FirstTry, Task.Delay(FirstMappingMax, time, ended.Token));
        }

        tasks.Add(Task.Run(
            async () =>
            {
                await mappingIsThere;
                await rescans.RunAsync(ended.Token);
            },
            ended.Token));
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

    static string Version() =>
        typeof(ServeCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

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

    /// <summary>Where the mapping is fetched. Empty: a Sensor sends it.</summary>
    public string MappingUrl { get; init; } = MappingRefresh.DefaultUrl;

    /// <summary>A mapping to use until another is there. Null: none.</summary>
    public string? MappingPath { get; init; }

    public string StateFolder { get; init; } = "/var/lib/guestmark-agent";

    /// <summary>Tell of every answer.</summary>
    public bool IsVerbose { get; init; }
}
