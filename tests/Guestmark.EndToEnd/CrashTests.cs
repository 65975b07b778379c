using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.EndToEnd;

/// <summary>Establishes invariants 1 and 2 with real processes: whatever is killed, an acknowledged report is in Central once.</summary>
public sealed class CrashTests : IDisposable
{
    const int Guests = 4;
    const int ReportsPerGuest = 250;
    const int ReportsPerKill = 100;

    readonly TemporaryFolder _folder = new();
    readonly int _centralPort = FreePort();
    readonly int _sensorPort = FreePort();
    readonly int _webPort = FreePort();
    int _sent;

    public void Dispose() => _folder.Dispose();

    [ToolFact("sqlite3")]
    public async Task Every_acknowledged_report_is_in_Central_exactly_once_though_each_process_is_killed_thrice()
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync(
            "guestmark", "certs", "create", "--directory", _folder.File("certs"), "--name", "node", "--name", "sensor", "--name", "central");
        Assert.True(exitCode == 0, error);

        var processes = new Dictionary<string, GuestmarkProcess>();
        try
        {
            foreach (var role in new[] { "central", "sensor", "node" }) await StartAsync(role, processes);

            var acknowledged = new ConcurrentBag<string>();
            var unanswered = new ConcurrentBag<string>();
            var pushing = Enumerable.Range(0, Guests).Select(guest => Task.Run(() => PushAsync(guest, acknowledged, unanswered))).ToList();
            var kills = 0;
            foreach (var role in new[] { "node", "sensor", "central", "node", "sensor", "central", "node", "sensor", "central" })
            {
                kills++;
                while (Volatile.Read(ref _sent) < kills * ReportsPerKill) await Task.Yield();
                processes.Remove(role, out var killed);
                await killed!.KillAsync();
                await killed.DisposeAsync();
                await StartAsync(role, processes);
            }

            await Task.WhenAll(pushing);
            Assert.Equal(Guests * ReportsPerGuest, acknowledged.Count);

            // Wait for the last to arrive, then for the spools to be empty: a late repetition would still be on its way.
            var stored = await ReadUntilAsync(markers => acknowledged.All(markers.Contains));
            foreach (var role in new[] { "node", "sensor" }) Assert.Equal(0, await processes[role].StopAsync());
            stored = await ReadAsync();

            Assert.Empty(acknowledged.Except(stored));
            Assert.Equal(stored.Count, stored.Distinct().Count());
            Assert.Empty(stored.Except(acknowledged).Except(unanswered));
        }
        finally
        {
            foreach (var process in processes.Values) await process.DisposeAsync();
        }
    }

    /// <summary>Starts a role and puts it among the processes before waiting for it, so that a failed start leaves none behind.</summary>
    async Task StartAsync(string role, Dictionary<string, GuestmarkProcess> processes)
    {
        string[] arguments = role switch
        {
            "central" => ["--listen", $"127.0.0.1:{_centralPort}", "--address", $"127.0.0.1:{_webPort}"],
            "sensor" => ["--listen", $"127.0.0.1:{_sensorPort}", "--central-endpoint", $"127.0.0.1:{_centralPort}", "--central-name", "central"],
            _ =>
            [
                "--sensor-endpoint", $"127.0.0.1:{_sensorPort}", "--sensor-name", "sensor",
                .. Enumerable.Range(0, Guests).SelectMany(guest => new[] { "--guest", $"guest{guest}={_folder.File($"guest{guest}.sock")}" }),
            ],
        };
        var process = GuestmarkProcess.Start("guestmark", [role, "--certs", _folder.File($"certs/{role}"), "--data", _folder.File(role), .. arguments]);
        processes[role] = process;
        await process.WaitForLineAsync(role == "node" ? "listening for" : role == "sensor" ? "nodes connect to" : "sign in at");
    }

    /// <summary>Sends reports until the given number is acknowledged. Each attempt has a marker of its own, so it can be told apart in Central.</summary>
    async Task PushAsync(int guest, ConcurrentBag<string> acknowledged, ConcurrentBag<string> unanswered)
    {
        for (int done = 0, attempt = 0; done < ReportsPerGuest; attempt++)
        {
            var marker = $"marker-{guest}-{attempt}";
            if (await SendAsync(guest, marker) == PushStatus.Stored)
            {
                acknowledged.Add(marker);
                done++;
                Interlocked.Increment(ref _sent);
            }
            else
            {
                // Sent or not, nobody said so: it may arrive once, it must not arrive twice.
                unanswered.Add(marker);
                await Task.Yield();
            }
        }
    }

    async Task<PushStatus?> SendAsync(int guest, string marker)
    {
        var contents = new Scanner.Contents();
        contents.Packages["1"] = new Scanner.Package { Id = "1", Name = marker, Version = "1.0-1", Kind = "binary", PackageDb = "sqlite:var/lib/rpm", Arch = "x86_64" };
        var body = new VMReport { IndexReport = new IndexReport { IndexV4 = new Scanner.IndexReport { Success = true, Contents = contents } } }.ToByteArray();
        var frame = new byte[PushFrame.HeaderBytes + body.Length];
        PushFrame.WriteHeader(frame, body.Length);
        body.CopyTo(frame, PushFrame.HeaderBytes);

        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(_folder.File($"guest{guest}.sock_818")));
            await socket.SendAsync(frame);
            var answer = new byte[PushFrame.StatusBytes];
            for (var received = 0; received < answer.Length;)
            {
                var count = await socket.ReceiveAsync(answer.AsMemory(received));
                if (count == 0) return null;
                received += count;
            }

            return PushFrame.ReadStatus(answer);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    async Task<List<string>> ReadUntilAsync(Func<HashSet<string>, bool> complete)
    {
        var started = Stopwatch.GetTimestamp();
        while (true)
        {
            var markers = await ReadAsync();
            if (complete([.. markers])) return markers;
            if (Stopwatch.GetElapsedTime(started) > TimeSpan.FromSeconds(60)) return markers;
        }
    }

    /// <summary>The marker of every report in Central's store, one row for each report.</summary>
    async Task<List<string>> ReadAsync()
    {
        const string query = """
            SELECT packages.name FROM reports
            JOIN package_set_members ON package_set_members.set_id = reports.set_id
            JOIN packages ON packages.id = package_set_members.package_id
            """;
        using var sqlite = Process.Start(new ProcessStartInfo("sqlite3", ["-readonly", "-cmd", ".timeout 5000", _folder.File("central/central.db"), query])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = sqlite.StandardError.ReadToEndAsync();
        var rows = await sqlite.StandardOutput.ReadToEndAsync();
        await sqlite.WaitForExitAsync();
        Assert.True(sqlite.ExitCode == 0, await error);
        return [.. rows.Split('\n', StringSplitOptions.RemoveEmptyEntries)];
    }

    static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
