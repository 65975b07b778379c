using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.TestKit;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Node.Tests.Relay;

/// <summary>Establishes that a StackRox Sensor gets every report, byte for byte as the guest sent it, whatever it answers in between.</summary>
public sealed partial class StackRoxRelayTests : IDisposable
{
    const int Reports = 60;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [PythonGrpcFact]
    public async Task Another_implementation_gets_the_same_bytes_over_failures_and_restarts_and_none_is_lost()
    {
        Issue();
        var port = FreePort();
        var options = Options(port) with { SensorEndpoint = null };
        var sent = new List<byte[]>();
        var sensor = await PythonSensor.StartAsync(_folder, port);
        await using (var node = await SpoolingNode.StartAsync(_folder, options))
        {
            for (var i = 0; i < Reports; i++)
            {
                if (i == Reports / 3) await sensor.DisposeAsync();
                if (i == Reports / 2) sensor = await PythonSensor.StartAsync(_folder, port);
                var report = Report(i);
                Assert.Equal(StampOutcome.Stored, await StampAsync(node, i, report));
                sent.Add(report);
                // Other events are not for StackRox.
                await node.StampAsync(EventTypes.VmLifecycle, "guestmark.v1.VmLifecycle", []);
            }

            // Stopped while it waits for Sensor: what is not delivered is delivered after the next start.
            await sensor.DisposeAsync();
            for (var i = 0; i < 5; i++)
            {
                var report = Report(Reports + i);
                await StampAsync(node, Reports + i, report);
                sent.Add(report);
            }
        }

        await using (await PythonSensor.StartAsync(_folder, port))
        await using (var node = await SpoolingNode.StartAsync(_folder, options))
        {
            await EmptyAsync(() => node.Keep.Depth);
            Assert.Equal(0, node.Counter("guestmark.relay.refused stackrox keep"));
        }

        // Each at least once, in order; one whose answer was lost with the connection may come again.
        var received = Received();
        Assert.Equal(sent.Select(Convert.ToHexString), received.Select(Convert.ToHexString).Distinct());
        Assert.InRange(received.Count, sent.Count, sent.Count + 4);
    }

    [PythonGrpcFact]
    public async Task A_report_that_is_refused_is_counted_and_does_not_hold_up_the_others_and_all_that_was_stored_is_accounted_for()
    {
        Issue();
        var port = FreePort();
        await using var sensor = await PythonSensor.StartAsync(_folder, port, every: 1000);
        await using var node = await SpoolingNode.StartAsync(_folder, Options(port) with { SensorEndpoint = null });
        foreach (var name in new[] { "one", "refuse me", "two" })
            await StampAsync(node, 1, Report(1, name));
        foreach (var type in new[] { EventTypes.VmLifecycle, EventTypes.GuestSilenced, EventTypes.Loss }) await node.StampAsync(type, "guestmark.v1.Any", []);
        await EmptyAsync(() => node.Keep.Depth);
        Assert.Equal(2, Received().Count);
        Assert.Equal((1, 2), (node.Counter("guestmark.relay.refused stackrox keep"), node.Counter("guestmark.relay.delivered stackrox keep")));
        Assert.Equal((6, 3), (node.Counter("guestmark.spool.stored keep"), Count(node, "withheld", " NotAReport")));
    }

    [PythonGrpcFact]
    public async Task A_report_stays_until_both_outputs_have_it()
    {
        Issue();
        var port = FreePort();
        await using var sensor = await PythonSensor.StartAsync(_folder, port);
        // Nobody listens where the sensor should be.
        await using var node = await SpoolingNode.StartAsync(_folder, Options(port));
        for (var i = 0; i < 10; i++) await StampAsync(node, i, Report(i));
        await EmptyAsync(() => node.Keep.DepthOf("stackrox"));
        Assert.Equal((10UL, 10UL, 0UL), (node.Keep.Depth, node.Keep.DepthOf("sensor"), node.Keep.AcknowledgedIndex));
        Assert.Equal(10, Received().Count);
    }

    [PythonGrpcFact]
    public async Task A_report_whose_context_id_nobody_compared_is_counted_and_not_handed_over()
    {
        Issue();
        var port = FreePort();
        await using var sensor = await PythonSensor.StartAsync(_folder, port, every: 1000);
        await using var node = await SpoolingNode.StartAsync(_folder, Options(port) with { SensorEndpoint = null });
        // From a socket without a context id, from another's, from its own.
        await node.StampAsync(EventTypes.InventoryReport, "virtualmachine.v1.VMReport", Report(1));
        await StampAsync(node, 2, Report(1));
        await StampAsync(node, 1, Report(1));
        await EmptyAsync(() => node.Keep.Depth);
        Assert.Equal((1, 1), (Count(node, "withheld", " CidUnknown"), Count(node, "withheld", " CidMismatch")));
        Assert.Equal((1, 0), (Count(node, "delivered"), Count(node, "refused")));
        Assert.Equal(Report(1), Assert.Single(Received()));
    }

    [PythonGrpcFact]
    public async Task What_a_hostile_report_is_made_of_is_passed_on_as_bytes_and_builds_nothing()
    {
        Issue();
        var port = FreePort();
        await using var sensor = await PythonSensor.StartAsync(_folder, port, every: 1000);
        await using var node = await SpoolingNode.StartAsync(_folder, Options(port) with { SensorEndpoint = null });
        // Field 15 with one byte, 600,000 times, before the fields that are known, in an order that no encoder writes.
        byte[] hostile = [.. Enumerable.Range(0, 600_000).SelectMany(_ => new byte[] { 0x7a, 1, 0x41 }), .. Report(1)];
        await StampAsync(node, 1, hostile);
        await EmptyAsync(() => node.Keep.Depth);
        Assert.True(Assert.Single(Received()).AsSpan().SequenceEqual(hostile), "other bytes came");
    }

    [Fact]
    public async Task Activity_has_no_place_in_StackRox_and_does_not_wait_for_ever_where_that_is_the_only_output()
    {
        Issue();
        await using var node = await SpoolingNode.StartAsync(_folder, Options(1) with { SensorEndpoint = null });
        await node.StampAsync(EventTypes.FileActivity, "guestmark.v1.Any", [8, 1]);
        await EmptyAsync(() => node.Shed.Depth);
        Assert.Equal((1, 1), (node.Counter("guestmark.spool.stored shed"), node.Counter("guestmark.relay.withheld stackrox shed NotAReport")));
    }

    [Fact]
    public async Task A_disk_that_refuses_the_position_does_not_end_the_node_and_what_waited_goes_on_afterwards()
    {
        Issue();
        await using var node = await SpoolingNode.StartAsync(_folder, Options(1) with { SensorEndpoint = null });
        var position = OpenFile(_folder.File("data/spool/keep/acknowledged"));
        using var full = File.OpenHandle("/dev/full", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var kept = dup(position);
        Assert.Equal(position, dup2((int)full.DangerousGetHandle(), position));
        try
        {
            await node.StampAsync(EventTypes.VmLifecycle, "guestmark.v1.Any", []);
            await IdentityTests.WaitForAsync(() => Task.FromResult(Count(node, "retries") > 0));
        }
        finally
        {
            Assert.Equal(position, dup2(kept, position));
            Assert.Equal(0, close(kept));
        }

        await node.StampAsync(EventTypes.VmLifecycle, "guestmark.v1.Any", []);
        await EmptyAsync(() => node.Keep.Depth);
        await IdentityTests.WaitForAsync(() => Task.FromResult(Count(node, "withheld", " NotAReport") >= 2));

        static int OpenFile(string path) => Directory.GetFiles("/proc/self/fd")
            .Where(link => File.ResolveLinkTarget(link, returnFinalTarget: false)?.FullName == path).Select(link => int.Parse(Path.GetFileName(link))).Single();
    }

    [LibraryImport("libc")]
    private static partial int dup(int file);

    [LibraryImport("libc")]
    private static partial int dup2(int from, int to);

    [LibraryImport("libc")]
    private static partial int close(int file);

    /// <summary>On the channel whose context id <see cref="Report"/> of the number claims.</summary>
    static Task<StampOutcome> StampAsync(SpoolingNode node, int number, byte[] report) =>
        node.StampAsync(EventTypes.InventoryReport, "virtualmachine.v1.VMReport", report, cid: (uint)number + 3);

    static long Count(SpoolingNode node, string what, string reason = "") => node.Counter($"guestmark.relay.{what} stackrox keep{reason}");

    NodeOptions Options(int port) => SpoolingNode.Options(_folder) with
    {
        StackRoxSensor = new StackRoxSensorOptions { Endpoint = new Uri($"https://127.0.0.1:{port}"), Certificates = _folder.File("collector") },
    };

    void Issue()
    {
        CertificateAuthority.Create(_folder.File("ca"));
        CertificateAuthority.Issue(_folder.File("ca"), _folder.File("sensor"), "sensor.stackrox.svc");
        CertificateAuthority.Issue(_folder.File("ca"), _folder.File("collector"), "collector");
    }

    /// <summary>With a field that this version does not know, as a later agent's would have.</summary>
    static byte[] Report(int number, string name = "bash")
    {
        var contents = new Scanner.Contents();
        for (var i = 0; i < 20 * number % 700; i++) contents.Packages[$"{i}"] = new Scanner.Package { Id = $"{i}", Name = $"{name}{i}", Version = $"{number}.0-1", Arch = "x86_64" };
        contents.Packages["name"] = new Scanner.Package { Id = "name", Name = name, Version = $"{number}" };
        var report = new VMReport
        {
            IndexReport = new IndexReport { VsockCid = $"{number + 3}", IndexV4 = new Scanner.IndexReport { HashId = $"{number}", Success = true, Contents = contents } },
            DiscoveredData = new DiscoveredData { OsVersion = $"9.{number}" },
        };
        return [.. report.ToByteArray(), 0x18, 0x01];
    }

    List<byte[]> Received()
    {
        var received = new List<byte[]>();
        var bytes = File.ReadAllBytes(_folder.File("received"));
        for (var place = 0; place < bytes.Length;)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(place));
            received.Add(bytes[(place + 4)..(place + 4 + length)]);
            place += 4 + length;
        }

        return received;
    }

    static async Task EmptyAsync(Func<ulong> depth)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (depth() > 0)
        {
            Assert.False(limit.IsCancellationRequested, $"{depth()} events still wait");
            await Task.Yield();
        }
    }

    static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    /// <summary>stackrox_sensor.py, which ends with its input.</summary>
    sealed class PythonSensor(Process process) : IAsyncDisposable
    {
        bool _disposed;

        public static async Task<PythonSensor> StartAsync(TemporaryFolder folder, int port, int every = 7)
        {
            var process = Process.Start(
                new ProcessStartInfo(
                    PythonGrpcFactAttribute.Python,
                    [
                        Path.Combine(Repository.Root, "tests", "Guestmark.Node.Tests", "stackrox_sensor.py"),
                        folder.File("sensor"), folder.File("received"), $"{port}", $"{every}",
                    ])
                {
                    UseShellExecute = false,
                    RedirectStandardInput = true,
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                })!;
            var line = await process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30));
            return line is not null && line.StartsWith("ready ", StringComparison.Ordinal)
                ? new PythonSensor(process)
                : throw new InvalidOperationException(await process.StandardError.ReadToEndAsync());
        }

        public async ValueTask DisposeAsync()
        {
            if (_disposed) return;
            _disposed = true;
            process.StandardInput.Close();
            await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(10));
            process.Dispose();
        }
    }
}
