using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Guestmark.Events;
using Guestmark.Spool;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes what <c>guestmark spool inspect</c> says of a spool that is well, in use, damaged or not there.</summary>
public sealed class SpoolCommandTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task It_exports_the_events_as_CloudEvents_beside_the_process_that_writes_them()
    {
        await using var spool = await FillAsync(_folder.File("data/spool/keep"), 30);
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", _folder.File("data"), "-o", "jsonl");
        Assert.True(exitCode == 0, error);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(30, lines.Length);
        for (var i = 0; i < lines.Length; i++)
        {
            Assert.Null(CloudEventJson.TryRead(Encoding.UTF8.GetBytes(lines[i]), out var stamped));
            Assert.Equal(("stream-1", (ulong)i + 1), (stamped!.Position.Stream, stamped.Position.Sequence));
        }

        var (_, table, _) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", _folder.File("data"), "--class", "keep", "--records");
        Assert.Contains("20 of 30 events waiting", table, StringComparison.Ordinal);
        Assert.Contains("has it open", table, StringComparison.Ordinal);
        Assert.Equal(31, table.Split("dev.guestmark.vm.lifecycle.v1").Length - 1);
    }

    [Fact]
    public async Task It_names_damage_with_its_place_and_ends_with_3()
    {
        await using (await FillAsync(_folder.File("spool"), 30))
        {
        }

        var file = Directory.GetFiles(_folder.File("spool"), "*.spool").Single();
        var bytes = await File.ReadAllBytesAsync(file);
        bytes[1000] ^= 1;
        await File.WriteAllBytesAsync(file, bytes);
        var (exitCode, output, _) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", _folder.File("spool"), "-o", "json");
        Assert.Equal(3, exitCode);
        using var json = JsonDocument.Parse(output);
        var one = json.RootElement[0];
        var damage = one.GetProperty("segments")[0].GetProperty("damage")[0];
        Assert.InRange(1000, damage.GetProperty("offset").GetInt64(), damage.GetProperty("offset").GetInt64() + damage.GetProperty("bytes").GetInt64() - 1);
        Assert.Equal((29L, false), (one.GetProperty("records").GetInt64(), one.GetProperty("open").GetBoolean()));
    }

    [ToolTheory("script")]
    [InlineData(80)]
    [InlineData(120)]
    public async Task On_a_terminal_a_record_is_a_line(int columns)
    {
        await using var spool = await FillAsync(_folder.File("data/spool/keep"), 30);
        var (exitCode, output, _) = await OnTerminalAsync(columns, $"'{GuestmarkProcess.PathOf("guestmark")}' spool inspect '{_folder.File("data")}' --records");
        Assert.Equal(0, exitCode);
        var records = output.Split('\n').Select(line => line.TrimEnd('\r')).SkipWhile(line => !line.StartsWith("RECORD", StringComparison.Ordinal)).Skip(1).TakeWhile(line => line.Length > 0)
            // What was left out is said on standard error, which a terminal mixes in.
            .Where(line => line[0] != '(').ToList();
        Assert.Equal(30, records.Count);
        Assert.All(records, record => Assert.InRange(record.Length, 1, columns));
    }

    [Fact]
    public async Task A_segment_that_is_gone_is_damage_before_the_node_starts_and_a_gap_with_its_reason_after()
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "certs", "create", "--directory", _folder.File("certs"), "--name", "node");
        Assert.True(exitCode == 0, error);
        (exitCode, var key, error) = await GuestmarkProcess.RunAsync("guestmark", "keys", "create", "--out", _folder.File("keys"));
        Assert.True(exitCode == 0, error);

        // Each start announces its guest, in a segment of its own.
        string[] node =
        [
            "node", "--node", "node1", "--certs", _folder.File("certs/node"), "--data", _folder.File("data"), "--sensor-endpoint", "127.0.0.1:1",
            "--signing-key-file", key.Split('\n')[0], "--guest", $"web1={_folder.File("web1.sock")}",
        ];
        for (var start = 0; start < 2; start++) await StartAndStopAsync(EventTypes.VmLifecycle, start + 1);
        var segments = Directory.GetFiles(_folder.File("data/spool/keep"), "*.spool").Order(StringComparer.Ordinal).ToList();
        Assert.Equal(2, segments.Count);
        File.Delete(segments[0]);

        (exitCode, var output, _) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", _folder.File("data"));
        Assert.Equal(3, exitCode);
        Assert.Contains("records 1 to 1 are missing", output, StringComparison.Ordinal);
        await StartAndStopAsync(EventTypes.Loss, 1);

        (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", _folder.File("data"), "-o", "jsonl");
        Assert.Equal(3, exitCode);
        Assert.Contains("keep: ", error, StringComparison.Ordinal);
        await File.WriteAllTextAsync(_folder.File("export.jsonl"), output);
        (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "verify", _folder.File("export.jsonl"), "--keys", _folder.File("keys"));
        Assert.True(exitCode == 0, output + error);
        Assert.Contains("event 1 is missing; the host says why: disk-damage", output, StringComparison.Ordinal);

        // Until so many events of a type are in the spool.
        async Task StartAndStopAsync(string type, int count)
        {
            await using var process = GuestmarkProcess.Start("guestmark", node);
            await process.WaitForLineAsync("listening for");
            for (var found = 0; found < count; await Task.Yield())
            {
                found = 0;
                SpoolInspection.Read(_folder.File("data/spool/keep"), (_, data) => found += StampedEvent.TryRead(data, out var stamped) is null && stamped!.Type == type ? 1 : 0);
            }

            Assert.Equal(0, await process.StopAsync());
        }
    }

    [Fact]
    public async Task It_says_what_to_give_where_there_is_no_spool()
    {
        Directory.CreateDirectory(_folder.File("empty"));
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", _folder.File("empty"));
        Assert.Equal(1, exitCode);
        Assert.Contains("give the data folder of a node or a sensor", error, StringComparison.Ordinal);
    }

    /// <summary>A third of the events is acknowledged.</summary>
    static async Task<EventSpool> FillAsync(string folder, int count)
    {
        var events = new NodeEvents("stream-1");
        Directory.CreateDirectory(folder);
        var spool = EventSpool.Open(new SpoolOptions { Directory = folder });
        for (var i = 0; i < count; i++)
        {
            Assert.True(spool.TryAppend(events.Lifecycle("uid", $"vm{i}", DateTimeOffset.UnixEpoch).Encoded, out var durable));
            await durable;
        }

        spool.Acknowledge((ulong)count / 3);
        return spool;
    }

    /// <summary>util-linux' script gives the command a terminal of its own.</summary>
    static async Task<(int ExitCode, string Output, string Error)> OnTerminalAsync(int columns, string command)
    {
        var start = new ProcessStartInfo("script", ["-qec", $"stty cols {columns} rows 24; {command}", "/dev/null"]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["TERM"] = "xterm";
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var (output, error) = (process.StandardOutput.ReadToEndAsync(limit.Token), process.StandardError.ReadToEndAsync(limit.Token));
        await process.WaitForExitAsync(limit.Token);
        return (process.ExitCode, await output, await error);
    }
}
