using System.Net;
using Guestmark.Spool;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;

namespace Guestmark.EndToEnd;

/// <summary>Establishes that a node whose disk is full says so to everybody, loses nothing that it acknowledged, and goes on by itself when there is room.</summary>
public sealed class FullDiskTests : IDisposable
{
    /// <summary>Of one report: six pages of memory, so that what does not fit once does not fit later.</summary>
    const int ReportBytes = 20_000;

    readonly TemporaryFolder _folder = new();
    readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };
    readonly int _metricsPort = SensorDouble.FreePort();
    readonly int _sensorPort = SensorDouble.FreePort();
    readonly List<string> _acknowledged = [];
    int _attempts;
    int _storedInThisLife;
    int _refusedInThisLife;

    string Data => _folder.File("disk/node");

    public void Dispose()
    {
        _http.Dispose();
        _folder.Dispose();
    }

    [RootFact]
    public async Task A_node_on_a_full_disk_says_retry_loses_nothing_and_goes_on_by_itself()
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "certs", "create", "--directory", _folder.File("certs"), "--name", "node", "--name", "sensor");
        Assert.True(exitCode == 0, error);
        await SmallDisk.MountAsync(_folder.File("disk"), "4m");
        try
        {
            await File.WriteAllBytesAsync(_folder.File("disk/filler"), new byte[1 << 20]);

            // The sensor is away. The guests fill the disk.
            await using (var node = await StartAsync())
            {
                using var guest = await GuestDouble.ConnectAsync(_folder.File("web1.sock"));
                using var other = await GuestDouble.ConnectAsync(_folder.File("web2.sock"));
                await FillAsync(guest, other);
                Assert.InRange(_acknowledged.Count, 100, 160);
                await CheckFullAsync((0, 0));
                await node.KillAsync();
            }

            // Killed, it starts on the full disk, with all that it had.
            var atStart = Spool();
            Assert.Equal((ulong)_acknowledged.Count + 2, atStart.Last);
            (_storedInThisLife, _refusedInThisLife) = (0, 0);
            await using (var node = await StartAsync())
            {
                using var guest = await GuestDouble.ConnectAsync(_folder.File("web1.sock"));
                using var other = await GuestDouble.ConnectAsync(_folder.File("web2.sock"));
                for (var i = 0; i < 10; i++) Assert.Equal(PushStatus.Unavailable, await PushAsync(guest));
                await CheckFullAsync(atStart);

                // Somebody makes room.
                File.Delete(_folder.File("disk/filler"));
                for (var i = 0; i < 10; i++) Assert.Equal(PushStatus.Stored, await PushAsync(i % 2 == 0 ? guest : other));
                await FillAsync(guest, other);
                await CheckFullAsync(atStart);

                // The sensor comes, and what it has makes room, though the newest segment was far from its size.
                var sink = new SensorDouble();
                await using var sensor = await sink.StartAsync(_folder.File("certs/sensor"), _sensorPort);
                await sink.WaitUntilAsync(markers => markers.Count == _acknowledged.Count);
                await UntilAsync(() => Task.FromResult(Spool() is var (last, acknowledged) && last == acknowledged));
                for (var i = 0; i < 20; i++) Assert.Equal(PushStatus.Stored, await PushAsync(i % 2 == 0 ? guest : other));
                await UntilAsync(async () => (await _http.GetAsync(new Uri($"http://127.0.0.1:{_metricsPort}/readyz"))).StatusCode == HttpStatusCode.OK);

                // By now the guests are announced in this life as well.
                await sink.WaitUntilAsync(markers => markers.Count == _acknowledged.Count);
                await UntilAsync(() => Task.FromResult(Spool() is var (last, acknowledged) && last == acknowledged && last == (ulong)_acknowledged.Count + 4));
                var page = await CheckAsync(atStart);
                Assert.Equal(_storedInThisLife + 2, page.Stored);
                Assert.Equal((long)(atStart.Last - atStart.Acknowledged) + page.Stored, page.Delivered);
                Assert.Equal((0, 0), (page.Depth, page.Sum("guestmark_spool_refusing", "spool=\"keep\"")));
                Assert.Equal(0, await node.StopAsync());

                // What was refused is nowhere, and what was acknowledged is there, once, without a gap in any stream.
                Assert.Equal(_acknowledged.Order(StringComparer.Ordinal), sink.Markers.Order(StringComparer.Ordinal));
                Assert.All(sink.Streams, stream => Assert.Equal(Enumerable.Range(1, stream.Value.Count).Select(n => (ulong)n), stream.Value.Select(one => one.Sequence).Order()));
            }
        }
        finally
        {
            await SmallDisk.UnmountAsync(_folder.File("disk"));
        }
    }

    async Task<GuestmarkProcess> StartAsync()
    {
        var node = GuestmarkProcess.Start(
            "guestmark", "node", "--certs", _folder.File("certs/node"), "--data", Data, "--sensor-endpoint", $"127.0.0.1:{_sensorPort}", "--sensor-name", "sensor",
            "--address", $"127.0.0.1:{_metricsPort}", "--guest", $"web1={_folder.File("web1.sock")}", "--guest", $"web2={_folder.File("web2.sock")}");
        try
        {
            await node.WaitForLineAsync("listening for", count: 2);
            return node;
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    async Task<PushStatus> PushAsync(GuestDouble guest)
    {
        var marker = $"marker-{_attempts++}";
        var status = await guest.SendAsync(marker, ReportBytes);
        if (status == PushStatus.Stored)
        {
            _acknowledged.Add(marker);
            _storedInThisLife++;
        }
        else
        {
            Assert.Equal(PushStatus.Unavailable, status);
            _refusedInThisLife++;
        }

        return status;
    }

    async Task FillAsync(GuestDouble guest, GuestDouble other)
    {
        while (await PushAsync(guest) == PushStatus.Stored && await PushAsync(other) == PushStatus.Stored)
        {
        }

        // The connections stay, and every guest hears the same.
        for (var i = 0; i < 10; i++) Assert.Equal(PushStatus.Unavailable, await PushAsync(i % 2 == 0 ? guest : other));
    }

    /// <summary>What it says of itself while the disk is full: it is alive, a restart would mend nothing, and it is not ready.</summary>
    async Task CheckFullAsync((ulong Last, ulong Acknowledged) atStart)
    {
        // What it saw is good for a second.
        await UntilAsync(async () =>
        {
            var ready = await _http.GetAsync(new Uri($"http://127.0.0.1:{_metricsPort}/readyz"));
            var words = await ready.Content.ReadAsStringAsync();
            return ready.StatusCode == HttpStatusCode.ServiceUnavailable && words.Contains("refused an event within the last 10 seconds", StringComparison.Ordinal);
        });
        Assert.Equal(HttpStatusCode.OK, (await _http.GetAsync(new Uri($"http://127.0.0.1:{_metricsPort}/healthz"))).StatusCode);
        var page = await CheckAsync(atStart);
        Assert.Equal(1, page.Sum("guestmark_spool_refusing", "spool=\"keep\""));
        Assert.Equal((long)(atStart.Last - atStart.Acknowledged) + page.Stored, page.Depth);
    }

    /// <summary>Every answer is counted by its status, and what is stored is what was answered so, and the announcements of two guests.</summary>
    async Task<MetricsPage> CheckAsync((ulong Last, ulong Acknowledged) atStart)
    {
        var page = await MetricsPage.ReadAsync(_http, _metricsPort);
        Assert.Equal((_storedInThisLife, _refusedInThisLife), (page.Messages(PushStatus.Stored), page.Messages(PushStatus.Unavailable)));
        Assert.Equal(_storedInThisLife + _refusedInThisLife, page.Messages());
        Assert.InRange(page.Stored, _storedInThisLife, _storedInThisLife + 2);
        Assert.Equal((long)(Spool().Last - atStart.Last), page.Stored);
        Assert.Equal(0, page.Dropped);
        return page;
    }

    (ulong Last, ulong Acknowledged) Spool()
    {
        var spool = SpoolInspection.Read(Path.Combine(Data, "spool", "keep"));
        Assert.Empty(spool.Missing);
        Assert.Empty(spool.Segments.SelectMany(segment => segment.Damage));
        return (spool.Last, spool.Acknowledged);
    }

    static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await condition())
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }
}
