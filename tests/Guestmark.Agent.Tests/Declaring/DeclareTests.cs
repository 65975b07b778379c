using System.Diagnostics;
using System.Text;
using Guestmark.Agent.Declaring;
using Guestmark.Agent.Reporting;
using Guestmark.TestKit;
using Guestmark.Wire.Declarations;

namespace Guestmark.Agent.Tests.Declaring;

/// <summary>Establishes what the agent sees of processes, and how what it sees reaches the host.</summary>
public sealed class DeclareTests
{
    [Theory]
    [InlineData("connector")]
    [InlineData("proc")]
    public async Task A_process_is_declared_when_it_starts_and_when_it_ends(string probe)
    {
        // Only the machine's root is told by the kernel; the other way is tried by everybody.
        if (probe == "connector" && !Environment.IsPrivilegedProcess) return;
        using var host = new CellHost();
        await using var agent = GuestmarkProcess.Start("guestmark-agent", "declare", "--socket", host.Path, "--probe", probe, "--interval", "20ms");
        using var connection = await host.AcceptAsync();
        var first = (await connection.ReadAsync())!;
        Assert.Equal(("agent.heartbeat", (uint)agent.Id, "guestmark-agent", 1UL), (first.Source, first.Pid, first.Comm, first.Sequence));
        await agent.WaitForLineAsync(probe == "proc" ? "looking at /proc" : "the kernel tells");

        using var process = Process.Start(new ProcessStartInfo("/bin/sleep", "0.3") { UseShellExecute = false })!;
        var spawned = await connection.ReadUntilAsync(frame => frame.Pid == process.Id && frame.Source == ProbeSources.ProcessSpawned && frame.Comm == "sleep");
        var exited = await connection.ReadUntilAsync(frame => frame.Pid == process.Id && frame.Source == ProbeSources.ProcessExited);
        Assert.Equal("sleep", exited.Comm);
        Assert.True(exited.MonotonicNs > spawned.MonotonicNs);
        Assert.True(exited.Sequence > spawned.Sequence);
        Assert.Equal(0, await agent.StopAsync());
    }

    [Fact]
    public async Task The_kernel_tells_even_of_bin_true()
    {
        if (!Environment.IsPrivilegedProcess) return;
        using var connector = ProcessConnector.TryOpen(out var problem);
        if (connector is not null) problem = await connector.WaitForAnswerAsync(TimeProvider.System, CancellationToken.None);
        // In a container nobody is told.
        if (problem is not null) return;
        using var queue = new ObservationQueue(100_000);
        using var stop = new CancellationTokenSource();
        var running = connector!.RunAsync(queue, stop.Token);
        using var process = Process.Start(new ProcessStartInfo("/bin/true") { UseShellExecute = false })!;
        await process.WaitForExitAsync();
        var seen = new List<Observation>();
        while (!seen.Any(o => o.Pid == process.Id && o.Source == ProbeSources.ProcessExited))
        {
            Assert.True(await queue.WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System, CancellationToken.None), "nothing was told");
            queue.Take(seen, int.MaxValue);
        }

        Assert.Contains(seen, o => o.Pid == process.Id && o.Source == ProbeSources.ProcessSpawned);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public void A_look_at_proc_tells_what_came_and_went_since_the_last()
    {
        using var proc = new TemporaryFolder();
        Add(1, "init"u8);
        Add(20, "old"u8);
        File.WriteAllText(proc.File("uptime"), "");
        using var queue = new ObservationQueue(100);
        var scan = new ProcessScan(proc.Path);
        scan.Look(queue);
        Add(21, [0xff, (byte)'x']);
        Add(22, Encoding.UTF8.GetBytes(new string('é', 40)));
        Directory.CreateDirectory(proc.File("23"));
        Directory.Delete(proc.File("20"), recursive: true);
        scan.Look(queue);
        Directory.Delete(proc.File("21"), recursive: true);
        scan.Look(queue);

        var seen = new List<Observation>();
        queue.Take(seen, 100);
        Assert.Equal(
            [
                (ProbeSources.ProcessExited, 20u, "old"), (ProbeSources.ProcessSpawned, 21u, "\ufffdx"), (ProbeSources.ProcessSpawned, 22u, new string('é', 40)),
                (ProbeSources.ProcessSpawned, 23u, ""), (ProbeSources.ProcessExited, 21u, "\ufffdx"),
            ],
            seen.Select(o => (o.Source, o.Pid, o.Comm)).OrderBy(o => o is { Item1: ProbeSources.ProcessExited, Item2: 21 }).ThenBy(o => o.Pid));

        // A name is cut between characters.
        Span<byte> name = stackalloc byte[DeclarationFrame.GuestCommBytesMax];
        Assert.Equal(new string('é', 32), Encoding.UTF8.GetString(name[..ProcessName.Write(seen.Single(o => o.Pid == 22).Comm, name)]));

        void Add(int pid, ReadOnlySpan<byte> comm)
        {
            var folder = Directory.CreateDirectory(proc.File($"{pid}")).FullName;
            File.WriteAllBytes(Path.Combine(folder, "comm"), [.. comm, (byte)'\n']);
        }
    }

    [Fact]
    public async Task What_does_not_fit_the_queue_is_counted_and_the_count_is_sent()
    {
        using var host = new CellHost();
        using var queue = new ObservationQueue(10);
        for (var i = 1; i <= 25; i++) queue.Add(new Observation(ProbeSources.ProcessSpawned, (uint)i, "p", (ulong)i));
        queue.Lost(7);
        Assert.Equal(22UL, queue.Dropped);
        var (sender, stop) = (Sender(host, queue), new CancellationTokenSource());
        using (stop)
        {
            var sending = sender.RunAsync(stop.Token);
            using var connection = await host.AcceptAsync();
            for (var i = 1; i <= 10; i++)
            {
                var frame = (await connection.ReadAsync())!;
                Assert.Equal(((uint)i, (ulong)i, 22UL), (frame.Pid, frame.Sequence, frame.Dropped));
            }

            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
        }
    }

    [Fact]
    public async Task An_idle_agent_says_that_it_lives()
    {
        using var host = new CellHost();
        using var queue = new ObservationQueue(10);
        using var stop = new CancellationTokenSource();
        var sending = Sender(host, queue).RunAsync(stop.Token);
        using var connection = await host.AcceptAsync();
        for (var i = 1UL; i <= 5; i++)
        {
            var frame = (await connection.ReadAsync())!;
            Assert.Equal((ProbeSources.AgentHeartbeat, i, 0UL), (frame.Source, frame.Sequence, frame.Dropped));
        }

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
    }

    [Fact]
    public async Task A_host_that_goes_and_comes_is_found_again_and_numbers_begin_anew()
    {
        using var host = new CellHost();
        using var queue = new ObservationQueue(10);
        using var stop = new CancellationTokenSource();
        var sending = Sender(host, queue).RunAsync(stop.Token);
        using (var connection = await host.AcceptAsync()) await connection.ReadAsync();
        host.Stop();
        queue.Add(new Observation(ProbeSources.ProcessSpawned, 4711, "meanwhile", 1));
        host.StartAgain();
        using var again = await host.AcceptAsync();
        var frame = await again.ReadUntilAsync(frame => frame.Source == ProbeSources.ProcessSpawned);
        Assert.Equal((4711u, "meanwhile"), (frame.Pid, frame.Comm));
        Assert.InRange(frame.Sequence, 1UL, 2UL);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
    }

    [Fact]
    public async Task Once_sends_a_heartbeat_and_ends_and_without_a_host_it_says_what_to_do()
    {
        using var host = new CellHost();
        var running = GuestmarkProcess.RunAsync("guestmark-agent", "declare", "--socket", host.Path, "--once");
        using var connection = await host.AcceptAsync();
        Assert.Equal(ProbeSources.AgentHeartbeat, (await connection.ReadAsync())!.Source);
        Assert.Null(await connection.ReadAsync());
        var (exitCode, output, error) = await running;
        Assert.True(exitCode == 0, error);
        Assert.Matches($@"^{System.Text.RegularExpressions.Regex.Escape(host.Path)}: sent one heartbeat of \S+ \(pid \d+\)", output);

        (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark-agent", "declare", "--socket", host.Path + "x", "--once");
        Assert.Equal(1, exitCode);
        Assert.Contains("is the node running", error, StringComparison.Ordinal);
    }

    static DeclarationSender Sender(CellHost host, ObservationQueue queue) =>
        new(HostChannel.Unix(host.Path), queue, TimeSpan.FromMilliseconds(100), TimeProvider.System, _ => { });
}
