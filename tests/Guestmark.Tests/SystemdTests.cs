using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Guestmark.Systemd;
using Guestmark.TestKit;

namespace Guestmark.Tests;

/// <summary>Establishes what the node says to systemd, that it takes the sockets it is given, and that the units are sound.</summary>
public sealed partial class SystemdTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Notifications_go_to_paths_and_to_abstract_names()
    {
        foreach (var address in new[] { _folder.File("notify"), $"@guestmark-test-{Environment.ProcessId}-{Guid.NewGuid():N}" })
        {
            using var manager = new ServiceManagerDouble(address);
            using var notifier = new ServiceNotifier(address, "30000000", Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            notifier.Ready();
            notifier.Reloading(42);
            notifier.Status("two\nlines");
            notifier.Stopping();
            notifier.Alive();
            Assert.Equal(["READY=1", "RELOADING=1\nMONOTONIC_USEC=42", "STATUS=two lines", "STOPPING=1", "WATCHDOG=1"], await manager.ReceiveAsync(5));
            Assert.Equal(TimeSpan.FromSeconds(30), notifier.WatchdogInterval);
        }
    }

    [Fact]
    public void Without_a_manager_or_with_a_strange_one_nothing_happens()
    {
        foreach (var address in new[] { null, "", "relative", _folder.File("nobody"), "/" + new string('x', 200) })
        {
            using var notifier = new ServiceNotifier(address, "1000000", "1");
            notifier.Ready();
            Assert.Null(notifier.WatchdogInterval);
        }
    }

    [Fact]
    public async Task The_real_node_says_ready_reloading_and_stopping_and_feeds_the_watchdog()
    {
        Certificates.Create(_folder.File("certs"), ["node"], TimeProvider.System);
        File.WriteAllText(_folder.File("node.yaml"), $"certs: certs/node\ndata: data\nsensor-endpoint: 127.0.0.1:1\nguests: [web1={_folder.File("web1.sock")}]\n");
        using var manager = new ServiceManagerDouble(_folder.File("notify"));
        await using var node = GuestmarkProcess.Start(
            "guestmark", new Dictionary<string, string> { ["NOTIFY_SOCKET"] = manager.Address, ["WATCHDOG_USEC"] = "500000" }, "node", "--config", _folder.File("node.yaml"));
        await manager.ReceiveUntilAsync("READY=1");
        await manager.ReceiveUntilAsync("WATCHDOG=1");
        await manager.ReceiveUntilAsync("WATCHDOG=1");

        node.Signal("HUP");
        var reloading = (await manager.ReceiveUntilAsync("RELOADING=1"))[^1];
        // CLOCK_MONOTONIC, by which systemd knows which READY=1 belongs to it.
        var monotonic = long.Parse(reloading.Split('=')[^1], CultureInfo.InvariantCulture);
        var now = Environment.TickCount64 * 1000;
        Assert.InRange(monotonic, now - 60_000_000, now + 60_000_000);
        await manager.ReceiveUntilAsync("READY=1");

        Assert.Equal(0, await node.StopAsync());
        await manager.ReceiveUntilAsync("STOPPING=1");
    }

    [ToolFact("systemd-socket-activate")]
    public async Task Sockets_that_systemd_opened_are_served()
    {
        Certificates.Create(_folder.File("certs"), ["node"], TimeProvider.System);
        var guest = _folder.File("web1.sock");
        var port = FreePort();
        string[] arguments =
        [
            "--fdname=guest:metrics", "-l", $"{guest}_818", "-l", $"127.0.0.1:{port}", .. Variables(), Path.Combine(AppContext.BaseDirectory, "guestmark"),
            "node", "--certs", _folder.File("certs/node"), "--data", _folder.File("data"), "--sensor-endpoint", "127.0.0.1:1", "--guest", $"web1={guest}",
            "--address", $"127.0.0.1:{port}",
        ];
        using var activator = Process.Start(new ProcessStartInfo("systemd-socket-activate", arguments) { UseShellExecute = false })!;
        try
        {
            // The first connection starts the program; it waits in the socket meanwhile.
            using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(60) };
            await WaitForAsync(() => File.Exists($"{guest}_818"));
            var health = await (await http.GetAsync($"http://127.0.0.1:{port}/readyz")).Content.ReadAsStringAsync();
            Assert.Contains("1 socket of guests listen", health, StringComparison.Ordinal);
            using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified);
            await socket.ConnectAsync(new System.Net.Sockets.UnixDomainSocketEndPoint($"{guest}_818"));
            await socket.SendAsync(new byte[] { 0, 0, 0, 0 });
            var answer = new byte[4];
            Assert.Equal(4, await socket.ReceiveAsync(answer));
            Assert.NotEqual(0u, BitConverter.ToUInt32(answer));
        }
        finally
        {
            // It has become the node (execve): its id is the node's.
            using var stop = Process.Start("kill", ["-TERM", activator.Id.ToString(CultureInfo.InvariantCulture)]);
            await activator.WaitForExitAsync();
        }

        // The manager's file is the manager's to remove.
        Assert.True(File.Exists($"{guest}_818"));
    }

    [ToolFact("systemd-analyze")]
    public async Task The_units_are_sound_and_expose_little()
    {
        // Verification looks for the program, and a machine may not have it where the unit expects it.
        var unit = _folder.File("guestmark-node.service");
        var text = File.ReadAllText(Path.Combine(Repository.Root, "deploy", "systemd", "guestmark-node.service"));
        File.WriteAllText(unit, text.Replace("/usr/bin/guestmark", Path.Combine(AppContext.BaseDirectory, "guestmark"), StringComparison.Ordinal));
        File.Copy(Path.Combine(Repository.Root, "deploy", "systemd", "guestmark-node.socket"), _folder.File("guestmark-node.socket"));
        var (code, words) = await AnalyzeAsync("verify", unit, _folder.File("guestmark-node.socket"));
        Assert.True(code == 0 && !words.Contains(_folder.Path, StringComparison.Ordinal), words);

        (_, words) = await AnalyzeAsync("security", "--offline=true", unit);
        var exposure = double.Parse(Exposure().Match(words).Groups["level"].Value, CultureInfo.InvariantCulture);
        Assert.True(exposure <= 2.5, words);

        // Or the manager would remove the sockets that it holds open, and those of the hypervisors, whenever the node stops.
        Assert.Contains("\nRuntimeDirectoryPreserve=yes\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_unit_may_bind_every_socket_that_the_pages_for_operators_name()
    {
        var unit = File.ReadAllLines(Path.Combine(Repository.Root, "deploy", "systemd", "guestmark-node.service"));
        var writable = unit.Where(line => line.StartsWith("ReadWritePaths=", StringComparison.Ordinal)).SelectMany(line => line["ReadWritePaths=".Length..].Split(' ')).ToList();
        var sockets = ((string[])["node.md", "cells.md", "separate-processes.md"])
            .SelectMany(page => DocumentedSocket().Matches(File.ReadAllText(Path.Combine(Repository.Root, "docs", "operating", page)))).Select(match => match.Value).ToList();
        Assert.Contains("/run/vm/web1.sock", sockets);
        Assert.All(sockets, socket => Assert.Contains(
            [.. writable, "/var/lib/guestmark"], folder => socket.StartsWith(folder + "/", StringComparison.Ordinal)));
    }

    static async Task<(int Code, string Words)> AnalyzeAsync(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("systemd-analyze", ["--no-pager", .. arguments]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var words = await process.StandardOutput.ReadToEndAsync() + await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, words);
    }

    /// <summary>It gives the program nothing of its own environment that is not named.</summary>
    static IEnumerable<string> Variables() =>
        new[] { "PATH", "DOTNET_ROOT", "HOME", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT" }.Where(name => Environment.GetEnvironmentVariable(name) is { Length: > 0 }).SelectMany(name => new[] { "-E", name });

    static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }

    static async Task WaitForAsync(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!condition()) await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, limit.Token);
    }

    [GeneratedRegex(@"(?<![\w/.-])/[\w/.-]+\.sock", RegexOptions.None, matchTimeoutMilliseconds: 5000)]
    private static partial Regex DocumentedSocket();

    [GeneratedRegex(@"Overall exposure level for \S+: (?<level>[0-9.]+)", RegexOptions.None, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Exposure();
}
