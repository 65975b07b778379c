using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.EndToEnd;

/// <summary>Establishes invariants 1, 2 and 5 of one node: killed again and again under load, it loses nothing that it acknowledged.</summary>
public sealed class NodeKillTests : IDisposable
{
    const int Guests = 4;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task No_acknowledged_report_is_lost_or_comes_twice_though_the_node_is_killed_every_moment()
    {
        // tests/faults asks for 200.
        var kills = int.Parse(Environment.GetEnvironmentVariable("GUESTMARK_KILLS") ?? "8", CultureInfo.InvariantCulture);
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "certs", "create", "--directory", _folder.File("certs"), "--name", "node", "--name", "sensor");
        Assert.True(exitCode == 0, error);

        var sink = new DistinctSink();
        var port = FreePort();
        await using var sensor = await StartSensorAsync(sink, port);
        var acknowledged = new ConcurrentBag<string>();
        var attempted = new ConcurrentBag<string>();
        using var done = new CancellationTokenSource();
        var pushing = Enumerable.Range(0, Guests).Select(guest => Task.Run(() => PushAsync(guest, acknowledged, attempted, done.Token))).ToList();

        var random = new Random(1);
        for (var kill = 0; kill <= kills; kill++)
        {
            await using var node = StartNode(port);
            await node.WaitForLineAsync("listening for");
            if (kill < kills)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(50, 500)), TimeProvider.System);
                await node.KillAsync();
                continue;
            }

            await done.CancelAsync();
            await Task.WhenAll(pushing);
            var all = acknowledged.ToHashSet();
            await sink.WaitUntilAsync(markers => all.IsSubsetOf(markers));
            await WaitUntilEmptyAsync();
            Assert.Equal(0, await node.StopAsync());
        }

        // Acknowledged is delivered, and nothing is delivered that no guest sent, or as two events.
        Assert.InRange(acknowledged.Count, kills, int.MaxValue);
        Assert.Empty(acknowledged.Except(sink.Markers));
        Assert.Empty(sink.Markers.Except(attempted));
        Assert.Equal(sink.Markers.Count, sink.Markers.Distinct().Count());
        // No stream has a gap, so nothing was dropped: what was stored is what was delivered.
        Assert.All(sink.Sequences, stream => Assert.Equal(Enumerable.Range(1, stream.Value.Count).Select(n => (ulong)n), stream.Value.Order()));
        Assert.InRange(sink.Sequences.Count, kills / 2, (2 * kills) + 2);
    }

    GuestmarkProcess StartNode(int port) => GuestmarkProcess.Start(
        "guestmark",
        [
            "node", "--certs", _folder.File("certs/node"), "--data", _folder.File("node"), "--sensor-endpoint", $"127.0.0.1:{port}", "--sensor-name", "sensor",
            .. Enumerable.Range(0, Guests).SelectMany(guest => new[] { "--guest", $"guest{guest}={_folder.File($"guest{guest}.sock")}" }),
        ]);

    /// <summary>Asks the spool itself, beside the node.</summary>
    async Task WaitUntilEmptyAsync()
    {
        for (var attempt = 0; ; attempt++)
        {
            var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", _folder.File("node"), "-o", "json");
            Assert.True(exitCode == 0, error);
            using var json = JsonDocument.Parse(output);
            Assert.Equal(["keep", "shed"], json.RootElement.EnumerateArray().Select(one => one.GetProperty("class").GetString()));
            Assert.All(json.RootElement.EnumerateArray(), one => Assert.True(one.GetProperty("open").GetBoolean()));
            if (json.RootElement.EnumerateArray().Sum(one => one.GetProperty("waiting").GetInt64()) == 0) return;
            Assert.True(attempt < 50, output);
        }
    }

    async Task<WebApplication> StartSensorAsync(IEventSink sink, int port)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddPublish();
        var certificates = CertificateDirectory.Open(_folder.File("certs/sensor"));
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listener => listener.UseRpc(certificates)));
        var app = builder.Build();
        app.MapPublish(sink);
        await app.StartAsync();
        return app;
    }

    /// <summary>Each attempt has a marker of its own, so it can be told apart at the receiver.</summary>
    async Task PushAsync(int guest, ConcurrentBag<string> acknowledged, ConcurrentBag<string> attempted, CancellationToken done)
    {
        for (var attempt = 0; !done.IsCancellationRequested;)
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(_folder.File($"guest{guest}.sock_818")), CancellationToken.None);
                while (!done.IsCancellationRequested)
                {
                    var marker = $"marker-{guest}-{attempt++}";
                    attempted.Add(marker);
                    if (await SendAsync(socket, marker) == PushStatus.Stored) acknowledged.Add(marker);
                }
            }
            catch (SocketException)
            {
                // Killed, or not there yet.
                await Task.Yield();
            }
        }
    }

    static async Task<PushStatus?> SendAsync(Socket socket, string marker)
    {
        var contents = new Scanner.Contents();
        contents.Packages["1"] = new Scanner.Package { Id = "1", Name = marker, Version = "1.0-1", Kind = "binary", PackageDb = "sqlite:var/lib/rpm", Arch = "x86_64" };
        var body = new VMReport { IndexReport = new IndexReport { IndexV4 = new Scanner.IndexReport { Success = true, Contents = contents } } }.ToByteArray();
        var frame = new byte[PushFrame.HeaderBytes + body.Length];
        PushFrame.WriteHeader(frame, body.Length);
        body.CopyTo(frame, PushFrame.HeaderBytes);
        await socket.SendAsync(frame);
        var answer = new byte[PushFrame.StatusBytes];
        for (var received = 0; received < answer.Length;)
        {
            var count = await socket.ReceiveAsync(answer.AsMemory(received));
            if (count == 0) throw new SocketException((int)SocketError.ConnectionReset);
            received += count;
        }

        return PushFrame.ReadStatus(answer);
    }

    static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    /// <summary>A receiver that ignores what it has, by stream and number, as every one must.</summary>
    sealed class DistinctSink : IEventSink
    {
        readonly Lock _lock = new();
        readonly HashSet<string> _seen = [];
        TaskCompletionSource _grown = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<string> Markers { get; } = [];

        public Dictionary<string, List<ulong>> Sequences { get; } = [];

        public ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(IReadOnlyList<StampedEvent> events, CancellationToken cancellationToken)
        {
            lock (_lock)
            {
                foreach (var stamped in events)
                {
                    var (stream, sequence) = stamped.Position;
                    if (!_seen.Add($"{stream} {sequence}")) continue;
                    if (!Sequences.TryGetValue(stream, out var sequences)) Sequences[stream] = sequences = [];
                    sequences.Add(sequence);
                    if (stamped.Type != EventTypes.InventoryReport) continue;
                    Markers.Add(VMReport.Parser.ParseFrom(stamped.Data.Span).IndexReport.IndexV4.Contents.Packages.Values.Single().Name);
                }

                _grown.SetResult();
                _grown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            return new([]);
        }

        public async Task WaitUntilAsync(Func<HashSet<string>, bool> complete)
        {
            while (true)
            {
                Task grown;
                lock (_lock)
                {
                    if (complete([.. Markers])) return;
                    grown = _grown.Task;
                }

                await grown.WaitAsync(TimeSpan.FromSeconds(60));
            }
        }
    }
}
