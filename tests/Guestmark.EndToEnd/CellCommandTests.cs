using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes the life of a cell with real processes: node, command and agent.</summary>
public sealed class CellCommandTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    string Control => Path.Combine(_folder.File("data"), "control.sock");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_cell_is_added_declares_its_processes_falls_silent_when_its_agent_is_killed_and_is_removed()
    {
        await using var node = await StartNodeAsync();
        var (exitCode, output, error) = await GuestmarkAsync("cell", "add", "cell-A", "--run", "run-1", "--spec-hash", "sha256:abc", "--socket-base", _folder.File("vsock.sock"));
        Assert.True(exitCode == 0, error);
        Assert.Equal(_folder.File("vsock.sock_9001") + "\n", output);
        Assert.Equal("waiting", (await CellAsync())["state"]!.GetValue<string>());

        await using (var agent = GuestmarkProcess.Start("guestmark-agent", "declare", "--socket", _folder.File("vsock.sock_9001")))
        {
            await agent.WaitForLineAsync("connected");
            await UntilAsync(async () => (await CellAsync())["frames"]!.GetValue<ulong>() > 0, "frames arrive");
            Assert.Equal("connected", (await CellAsync())["state"]!.GetValue<string>());

            // Only the machine's root sees a process as short as this. Its name is asked for after it has started: where the machine is busy, once too late.
            var isToldByTheKernel = !agent.Error.Contains("looking at /proc", StringComparison.Ordinal);
            var (program, argument, comm) = isToldByTheKernel ? ("/bin/true", "", "true") : ("/bin/sleep", "1", "sleep");
            await UntilAsync(
                async () =>
                {
                    using var process = Process.Start(new ProcessStartInfo(program, argument) { UseShellExecute = false })!;
                    var pid = (uint)process.Id;
                    await process.WaitForExitAsync();
                    for (var tries = 0; tries < 20; tries++)
                    {
                        if (IsInSpool(Declaration("process.spawned", pid, comm)) && IsInSpool(Declaration("process.exited", pid, comm))) return true;
                        await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
                    }

                    return false;
                },
                $"{program} is declared");
            await agent.KillAsync();
        }

        await UntilAsync(async () => (await CellAsync())["state"]!.GetValue<string>() == "silent", "the node notices");
        Assert.Equal("closed", (await CellAsync())["reason"]!.GetValue<string>());
        await UntilAsync(() => Task.FromResult(IsInSpool("dev.guestmark.guest.silenced.v1"u8.ToArray())), "the silence is an event");
        (exitCode, output, error) = await GuestmarkAsync("cell", "list");
        Assert.True(exitCode == 0, error);
        Assert.Contains("cell-A", output, StringComparison.Ordinal);
        Assert.Contains("silent", output, StringComparison.Ordinal);

        // Another agent is heard again.
        await using (var agent = GuestmarkProcess.Start("guestmark-agent", "declare", "--socket", _folder.File("vsock.sock_9001"), "--probe", "proc"))
        {
            await agent.WaitForLineAsync("connected");
            await UntilAsync(async () => (await CellAsync())["state"]!.GetValue<string>() == "connected", "it is heard again");
        }

        Assert.Equal(0, (await GuestmarkAsync("cell", "remove", "cell-A")).ExitCode);
        Assert.False(File.Exists(_folder.File("vsock.sock_9001")));
        Assert.Empty(JsonNode.Parse((await GuestmarkAsync("cell", "list", "-o", "json")).Output)!["cells"]!.AsArray());
        Assert.Equal(0, await node.StopAsync());
    }

    [Fact]
    public async Task What_cannot_be_done_is_said_with_what_to_do()
    {
        var (exitCode, _, error) = await GuestmarkAsync("cell", "list");
        Assert.Equal(1, exitCode);
        Assert.Contains("start the node", error, StringComparison.Ordinal);

        await using var node = await StartNodeAsync();
        (exitCode, _, error) = await GuestmarkAsync("cell", "remove", "none");
        Assert.Equal(1, exitCode);
        Assert.Contains("there is no cell none", error, StringComparison.Ordinal);
        (exitCode, _, error) = await GuestmarkAsync("cell", "add", "a b", "--run", "r", "--socket-base", _folder.File("x"));
        Assert.Equal(2, exitCode);
        Assert.Contains("ID 'a b'", error, StringComparison.Ordinal);
        (exitCode, _, error) = await GuestmarkAsync("cell", "add", "a", "--run", "r 1", "--socket-base", _folder.File("x"));
        Assert.Equal(2, exitCode);
        Assert.Contains("--run 'r 1'", error, StringComparison.Ordinal);
        (exitCode, _, error) = await GuestmarkAsync("cell", "add", "a", "--run", "r", "--socket-base", _folder.File("x"), "--on-silence", "panic");
        Assert.Equal(2, exitCode);
        Assert.Contains("panic", error, StringComparison.Ordinal);
    }

    Task<(int ExitCode, string Output, string Error)> GuestmarkAsync(params string[] arguments) =>
        GuestmarkProcess.RunAsync("guestmark", [.. arguments, "--control", Control]);

    async Task<JsonNode> CellAsync() => JsonNode.Parse((await GuestmarkAsync("cell", "list", "-o", "json")).Output)!["cells"]!.AsArray().Single()!;

    async Task<GuestmarkProcess> StartNodeAsync()
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "certs", "create", "--directory", _folder.File("certs"), "--name", "node");
        Assert.True(exitCode == 0, error);
        var node = GuestmarkProcess.Start(
            "guestmark", "node", "--guest", $"other={_folder.File("other.sock")}", "--sensor-endpoint", "127.0.0.1:1",
            "--certs", Path.Combine(_folder.File("certs"), "node"), "--data", _folder.File("data"));
        await UntilAsync(() => Task.FromResult(File.Exists(Control)), "the node listens");
        return node;
    }

    /// <summary>A <c>guestmark.v1.Declaration</c> up to its name: fields 1 to 4 (proto/guestmark/v1/channel.proto).</summary>
    static byte[] Declaration(string source, uint pid, string comm)
    {
        var bytes = new List<byte> { 0x08, 0x01, 0x12, (byte)source.Length };
        bytes.AddRange(System.Text.Encoding.ASCII.GetBytes(source));
        bytes.Add(0x18);
        for (; pid >= 0x80; pid >>= 7) bytes.Add((byte)(pid | 0x80));
        bytes.AddRange([(byte)pid, 0x22, (byte)comm.Length]);
        bytes.AddRange(System.Text.Encoding.ASCII.GetBytes(comm));
        return [.. bytes];
    }

    bool IsInSpool(byte[] bytes) => Directory.EnumerateFiles(Path.Combine(_folder.File("data"), "spool"), "*", SearchOption.AllDirectories)
        // The node holds its lock for itself.
        .Where(file => Path.GetFileName(file) != "lock")
        .Any(file =>
        {
            using var content = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var all = new byte[content.Length];
            content.ReadExactly(all);
            return all.AsSpan().IndexOf(bytes) >= 0;
        });

    static async Task UntilAsync(Func<Task<bool>> isSo, string what)
    {
        var start = Stopwatch.GetTimestamp();
        while (!await isSo())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(60), string.Create(CultureInfo.InvariantCulture, $"not within 60 s: {what}"));
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }
    }
}
