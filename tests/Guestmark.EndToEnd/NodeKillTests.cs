using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using Guestmark.Events;
using Guestmark.Spool;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;

namespace Guestmark.EndToEnd;

/// <summary>
/// Establishes invariants 1, 2 and 5 of one node: killed again and again under load, it loses nothing that it acknowledged, and what it counts adds up with
/// what its guests and its receiver count.
/// </summary>
public sealed class NodeKillTests : IDisposable
{
    const int Guests = 4;

    static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(20);

    readonly TemporaryFolder _folder = new();
    readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };
    readonly int _metricsPort = SensorDouble.FreePort();
    readonly List<Life> _lives = [];

    public void Dispose()
    {
        _http.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task No_acknowledged_report_is_lost_or_comes_twice_though_the_node_is_killed_every_moment_and_the_accounts_add_up()
    {
        // tests/faults asks for 200.
        var kills = int.Parse(Environment.GetEnvironmentVariable("GUESTMARK_KILLS") ?? "6", CultureInfo.InvariantCulture);
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "certs", "create", "--directory", _folder.File("certs"), "--name", "node", "--name", "sensor");
        Assert.True(exitCode == 0, error);

        var sink = new SensorDouble();
        var port = SensorDouble.FreePort();
        await using var sensor = await sink.StartAsync(_folder.File("certs/sensor"), port);
        using var done = new CancellationTokenSource();
        List<Task>? pushing = null;
        var random = new Random(1);
        for (var kill = 0; kill <= kills; kill++)
        {
            var life = new Life(kill == 0 ? (0, 0) : Spool());
            lock (_lives) _lives.Add(life);
            pushing ??= [.. Enumerable.Range(0, Guests).Select(guest => Task.Run(() => PushAsync(guest, done.Token)))];
            await using var node = StartNode(port);
            await node.WaitForLineAsync("listening for");
            using var looked = new CancellationTokenSource();
            var looking = LookAsync(life, looked.Token);
            if (kill < kills)
            {
                // Every second life is one that was looked at, the others may be over before there is anything to see.
                while (kill % 2 == 1 && life.Looks < 2) await Task.Delay(LookInterval, TimeProvider.System);
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(50, 500)), TimeProvider.System);
                await node.KillAsync();
                await looked.CancelAsync();
                await looking;
                life.End(Spool());
                // The receiver has all that the spool is done with, and nothing that the spool never had.
                Assert.InRange((ulong)sink.Count, life.AcknowledgedAtEnd, life.LastAtEnd);
                continue;
            }

            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            while (life.Acknowledged.Count < 50 && !limit.IsCancellationRequested) await Task.Yield();
            await done.CancelAsync();
            await Task.WhenAll(pushing);
            await looked.CancelAsync();
            await looking;
            var all = _lives.SelectMany(one => one.Acknowledged).ToHashSet();
            await sink.WaitUntilAsync(markers => all.IsSubsetOf(markers));
            // The guests are announced meanwhile, too.
            while (Spool() is var (last, acknowledged) && (acknowledged < last || last < life.LastAtStart + (ulong)(life.Acknowledged.Count + Guests)))
            {
                Assert.False(limit.IsCancellationRequested, $"{acknowledged} of {last} are delivered");
                await Task.Yield();
            }

            life.Add(await MetricsPage.ReadAsync(_http, _metricsPort));
            life.End(Spool());
            Assert.Equal(0, await node.StopAsync());
        }

        // Acknowledged is delivered, and nothing is delivered that no guest sent, or as two events.
        var answered = _lives.SelectMany(life => life.Acknowledged).ToList();
        Assert.InRange(answered.Count, kills, int.MaxValue);
        Assert.Empty(answered.Except(sink.Markers));
        Assert.Empty(sink.Markers.Except(answered).Except(_lives.SelectMany(life => life.Unanswered)));
        Assert.Equal(sink.Markers.Count, sink.Markers.Distinct().Count());
        // No stream has a gap, so nothing was dropped: what was stored is what was delivered.
        Assert.All(sink.Streams, stream => Assert.Equal(Enumerable.Range(1, stream.Value.Count).Select(n => (ulong)n), stream.Value.Select(one => one.Sequence).Order()));
        CheckAccounts(sink);
    }

    /// <summary>What must hold in each life of the node, however it ended, and exactly in the last, which ended in order.</summary>
    void CheckAccounts(SensorDouble sink)
    {
        // The name of a stream begins with the time of its start. A life that was too short to store anything has none.
        var streams = sink.Streams.OrderBy(stream => stream.Key, StringComparer.Ordinal).Select(stream => stream.Value).ToList();
        Assert.Equal(_lives.Where(life => life.Stored > 0).Select(life => life.Stored), streams.Select(stream => (long)stream.Count));
        Assert.Equal((ulong)sink.Count, _lives[^1].LastAtEnd);
        var unknown = 0;
        foreach (var (life, stream) in _lives.Where(life => life.Stored > 0).Zip(streams))
        {
            // What is in the spool was acknowledged, or sent and not answered, which is one a guest; beside it each guest was announced.
            var reports = stream.Count(one => one.Type == EventTypes.InventoryReport);
            Assert.InRange(reports - life.Acknowledged.Count, 0, Math.Min(Guests, life.Unanswered.Count));
            Assert.Equal(stream.Count - reports, stream.Count(one => one.Type == EventTypes.VmLifecycle));
            Assert.InRange(stream.Count - reports, 0, Guests);
            unknown += reports - life.Acknowledged.Count;
        }

        foreach (var life in _lives)
        {
            foreach (var page in life.Pages)
            {
                // Counted is what is on the disk, and answered is what was sent.
                Assert.InRange(page.Stored, 0, life.Stored);
                Assert.InRange(page.Messages(), 0, life.Acknowledged.Count + life.Unanswered.Count);
                Assert.InRange(page.Delivered, 0, life.Waiting + life.Stored);
                Assert.Equal(page.Messages(), page.Messages(PushStatus.Stored));
                Assert.Equal(0, page.Dropped);
            }

            // A page is not of one moment. What was counted for the one before was so before anything of the next was looked at.
            foreach (var (before, after) in life.Pages.Zip(life.Pages.Skip(1)))
            {
                Assert.InRange(before.Messages(PushStatus.Stored), 0, after.Stored);
                Assert.InRange(before.Delivered, 0, life.Waiting + after.Stored);
                Assert.InRange(before.Delivered, 0, after.Delivered);
                Assert.InRange(before.Stored, 0, after.Stored);
                Assert.InRange(before.Messages(), 0, after.Messages());
            }
        }

        Assert.InRange(_lives.Count(life => life.Pages.Count > 0), _lives.Count / 2, _lives.Count);

        var (orderly, atEnd) = (_lives[^1], _lives[^1].Pages[^1]);
        Assert.Empty(orderly.Unanswered);
        Assert.Equal(orderly.Acknowledged.Count, atEnd.Messages());
        Assert.Equal(orderly.Acknowledged.Count + Guests, atEnd.Stored);
        Assert.Equal(orderly.Stored, atEnd.Stored);
        Assert.Equal(orderly.Waiting + atEnd.Stored, atEnd.Delivered + atEnd.Depth);
        Assert.Equal(0, atEnd.Depth);
        Assert.Equal(0, atEnd.Sum("guestmark_node_abandoned_total"));

        // All lives together: each event of the receiver is one that was acknowledged, or not answered, or announced a guest.
        Assert.Equal(sink.Markers.Count, _lives.Sum(life => life.Acknowledged.Count) + unknown);
        Assert.InRange(unknown, 0, _lives.Sum(life => life.Unanswered.Count));
    }

    GuestmarkProcess StartNode(int port) => GuestmarkProcess.Start(
        "guestmark",
        [
            "node", "--certs", _folder.File("certs/node"), "--data", _folder.File("node"), "--sensor-endpoint", $"127.0.0.1:{port}", "--sensor-name", "sensor",
            "--address", $"127.0.0.1:{_metricsPort}",
            .. Enumerable.Range(0, Guests).SelectMany(guest => new[] { "--guest", $"guest{guest}={_folder.File($"guest{guest}.sock")}" }),
        ]);

    /// <summary>The newest record of the spool, and up to which all are done with; also beside the node.</summary>
    (ulong Last, ulong Acknowledged) Spool()
    {
        // Its folder is there when the node has started, not yet before.
        var folder = _folder.File("node/spool/keep");
        if (!Directory.Exists(folder)) return (0, 0);
        var spool = SpoolInspection.Read(folder);
        Assert.Empty(spool.Missing);
        Assert.Empty(spool.Ahead);
        Assert.Empty(spool.Segments.SelectMany(segment => segment.Damage));
        return (spool.Last, spool.Acknowledged);
    }

    /// <summary>Looks at the accounts until the node is killed.</summary>
    async Task LookAsync(Life life, CancellationToken done)
    {
        while (!done.IsCancellationRequested)
        {
            try
            {
                life.Add(await MetricsPage.ReadAsync(_http, _metricsPort));
            }
            catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
            {
                // Killed, or not there yet.
            }

            await Task.Delay(LookInterval, TimeProvider.System, CancellationToken.None);
        }
    }

    /// <summary>Each attempt has a marker of its own, so it can be told apart at the receiver.</summary>
    async Task PushAsync(int guest, CancellationToken done)
    {
        for (var attempt = 0; !done.IsCancellationRequested;)
        {
            Life? life = null;
            var marker = "";
            try
            {
                // A life begins when the node before is dead, so a connection that was made within one is to its node.
                lock (_lives) life = _lives[^1];
                using var connection = await GuestDouble.ConnectAsync(_folder.File($"guest{guest}.sock"));
                lock (_lives)
                {
                    if (life != _lives[^1]) continue;
                }

                while (!done.IsCancellationRequested)
                {
                    marker = $"marker-{guest}-{attempt++}";
                    Assert.Equal(PushStatus.Stored, await connection.SendAsync(marker));
                    life.Acknowledged.Add(marker);
                    marker = "";
                }
            }
            catch (SocketException)
            {
                // Killed, or not there yet.
                if (marker.Length > 0) life!.Unanswered.Add(marker);
                await Task.Yield();
            }
        }
    }

    /// <summary>From one start of the node to its end.</summary>
    sealed class Life((ulong Last, ulong Acknowledged) atStart)
    {
        int _looks;

        /// <summary>Events that were in the spool at the start and not delivered.</summary>
        public long Waiting => (long)(atStart.Last - atStart.Acknowledged);

        public ulong LastAtStart => atStart.Last;

        public ulong LastAtEnd { get; private set; }

        public ulong AcknowledgedAtEnd { get; private set; }

        /// <summary>Events that it put on the disk.</summary>
        public long Stored => (long)(LastAtEnd - LastAtStart);

        /// <summary>Markers that a guest was told are stored.</summary>
        public ConcurrentBag<string> Acknowledged { get; } = [];

        /// <summary>Markers of which no guest was told anything.</summary>
        public ConcurrentBag<string> Unanswered { get; } = [];

        public List<MetricsPage> Pages { get; } = [];

        public int Looks => Volatile.Read(ref _looks);

        public void Add(MetricsPage page)
        {
            Pages.Add(page);
            Interlocked.Increment(ref _looks);
        }

        public void End((ulong Last, ulong Acknowledged) spool) => (LastAtEnd, AcknowledgedAtEnd) = spool;
    }
}
