using System.Diagnostics;
using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Identity;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Tests;

/// <summary>Establishes what refusing costs: little time, little memory, one line in the log; and that the others do not notice.</summary>
public sealed class HostileGuestTests
{
    static readonly byte[] Report = new VMReport { IndexReport = new IndexReport { VmId = "x" } }.ToByteArray();

    public static TheoryData<string> Attacks => ["empty", "too long", "2^32-1", "garbage", "deep", "many", "another's identity"];

    [Theory]
    [MemberData(nameof(Attacks))]
    public async Task It_is_refused_within_10_ms_and_1_MB(string attack)
    {
        await using var node = await RunningNode.StartAsync(options => options with
        {
            Limits = RunningNode.Unlimited,
            Guests = [options.Guests[0] with { Cid = 5 }],
        });
        var (bytes, expected) = Bytes(attack);
        var fastest = TimeSpan.MaxValue;
        var least = long.MaxValue;

        // The machine that runs the tests does other things too: what one of many attempts can do, the code can do.
        for (var i = 0; i < 50; i++)
        {
            using var socket = await node.ConnectAsync("web1");
            var allocated = GC.GetTotalAllocatedBytes();
            var started = Stopwatch.GetTimestamp();
            await socket.SendAsync(bytes);
            Assert.Equal(expected, await RunningNode.ReceiveAsync(socket));
            var elapsed = Stopwatch.GetElapsedTime(started);
            if (elapsed < fastest) fastest = elapsed;
            least = Math.Min(least, GC.GetTotalAllocatedBytes() - allocated);
        }

        Assert.True(fastest < TimeSpan.FromMilliseconds(10), $"{fastest.TotalMilliseconds} ms");
        Assert.True(least < 1 << 20, $"{least} bytes");
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
    }

    [Fact]
    public async Task A_guest_that_names_a_length_makes_the_host_hold_what_it_has_sent_and_no_more()
    {
        await using var node = await RunningNode.StartAsync(options => options with { Limits = RunningNode.Unlimited });
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        using var socket = await node.ConnectAsync("web1");
        await socket.SendAsync(new byte[] { 0, 0, 0, 1, 10 });
        var channel = registry.All.Single(c => c.Guest.Name == "web1");
        await IdentityTests.WaitForAsync(() => Task.FromResult(channel.Connections == 1));
        Assert.Equal(0, channel.Share.Memory.Held);
        await socket.SendAsync(new byte[300_000]);
        await IdentityTests.WaitForAsync(() => Task.FromResult(channel.Share.Memory.Held > 0));
        Assert.InRange(registry.Memory.Taken, 1, 1 << 20);
        socket.Close();
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Memory.Taken == 0));
    }

    [Fact]
    public async Task Guests_that_hold_unfinished_messages_run_into_the_cap_and_another_still_reports()
    {
        var limits = RunningNode.Unlimited with { MessageMemoryMax = 16L << 20 };
        await using var node = await RunningNode.StartAsync(options => options with { Limits = limits, MessageBytesMax = 1 << 20 });
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        var sockets = new List<Socket>();
        var refused = 0;
        for (var i = 0; i < 8; i++)
        {
            var socket = await node.ConnectAsync("web1");
            sockets.Add(socket);
            byte[] unfinished = [0, 0, 16, 0, .. new byte[1_000_000]];
            try
            {
                await socket.SendAsync(unfinished);
            }
            catch (SocketException)
            {
                // The node gave up before it was all sent.
            }

            Assert.True(registry.Memory.Taken <= limits.MessageMemoryMax / 4);
        }

        foreach (var socket in sockets)
        {
            if (socket.Poll(100_000, SelectMode.SelectRead) && await RunningNode.ReceiveAsync(socket) == PushStatus.Unavailable) refused++;
        }

        Assert.InRange(refused, 1, 8);
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web2", RunningNode.Frame(Report)));
        sockets.ForEach(socket => socket.Dispose());
        await IdentityTests.WaitForAsync(() => Task.FromResult(registry.Memory.Taken == 0));
    }

    [Fact]
    public async Task Connections_that_are_opened_and_abandoned_leave_nothing_behind()
    {
        await using var node = await RunningNode.StartAsync(options => options with { Limits = RunningNode.Unlimited });
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        var random = new Random(1);
        for (var i = 0; i < 2000; i++)
        {
            using var socket = await node.ConnectAsync("web1");
            var frame = RunningNode.Frame(Report);
            try
            {
                await socket.SendAsync(frame.AsMemory(0, random.Next(frame.Length)));
            }
            catch (SocketException)
            {
                // Over its connections for the moment.
            }
        }

        var channel = registry.All.Single(c => c.Guest.Name == "web1");
        await IdentityTests.WaitForAsync(() => Task.FromResult(channel.Connections == 0 && channel.Share.Connections.Taken == 0));
        Assert.Equal(0, registry.Memory.Taken);
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
    }

    [Fact]
    public async Task However_much_is_refused_the_log_gets_a_line_a_guest_and_interval()
    {
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        using var log = new LineCounter();
        await using var node = await RunningNode.StartAsync(options => options with { Limits = RunningNode.Unlimited }, time, log);
        using var socket = await node.ConnectAsync("web1");
        for (var i = 0; i < 500; i++)
        {
            await socket.SendAsync(RunningNode.Frame([0xff, 0xff, 0xff]));
            Assert.Equal(PushStatus.Malformed, await RunningNode.ReceiveAsync(socket));
        }

        Assert.Equal(PushStatus.Malformed, await node.SendAsync("web2", RunningNode.Frame([0xff])));
        Assert.Equal(2, log.Of(4101));
        time.Advance(LogThrottle.Interval);
        await socket.SendAsync(RunningNode.Frame([0xff]));
        Assert.Equal(PushStatus.Malformed, await RunningNode.ReceiveAsync(socket));
        Assert.Equal(3, log.Of(4101));
        Assert.Contains("499 refusals", log.Last, StringComparison.Ordinal);
    }

    /// <summary>The small form of <c>bench/run node-load</c>, which measures time as well.</summary>
    [Fact]
    public async Task Beside_idle_slow_churning_and_flooding_guests_no_honest_report_is_lost()
    {
        const int honest = 20;
        const int reports = 15;
        const int idleGuests = 100;
        GuestOptions[] guests = [.. Enumerable.Range(0, honest + 3 + idleGuests).Select(i => new GuestOptions { Uid = $"uid-{i}", Name = $"g{i}", SocketBase = "" })];
        await using var node = await RunningNode.StartAsync(options => options with
        {
            Guests = [.. guests.Select(g => g with { SocketBase = Path.Combine(Path.GetDirectoryName(options.Certificates)!, g.Name) })],
        });
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        using var stop = new CancellationTokenSource();
        var idle = new List<Socket>();
        for (var i = 0; i < idleGuests * 8; i++) idle.Add(await node.ConnectAsync($"g{honest + 3 + i / 8}"));
        GC.Collect();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        Task[] hostile = [FloodAsync(), FloodAsync(), ChurnAsync(), .. Enumerable.Range(0, 8).Select(_ => SlowAsync())];

        var statuses = await Task.WhenAll(Enumerable.Range(0, honest).Select(HonestAsync));
        var most = GC.GetTotalMemory(forceFullCollection: false) - before;
        await stop.CancelAsync();
        await Task.WhenAll(hostile);

        Assert.All(statuses.SelectMany(s => s), status => Assert.Equal(PushStatus.Stored, status));
        var stored = (await node.EventsAsync()).Where(e => e.Type == EventTypes.InventoryReport).ToList();
        for (var i = 0; i < honest; i++) Assert.Equal(reports, stored.Count(e => e.Subject == $"uid-{i}"));

        // What the flooder got through is its rate and its burst, whatever it sent.
        Assert.InRange(stored.Count(e => e.Subject == $"uid-{honest}"), 1, 10_000);
        Assert.All(idle, socket => Assert.False(socket.Poll(0, SelectMode.SelectRead)));
        Assert.True(most < 256L << 20, $"{most} bytes");
        Assert.True(registry.Memory.Taken < 64 << 20);
        idle.ForEach(socket => socket.Dispose());

        async Task<List<PushStatus?>> HonestAsync(int guest)
        {
            var answers = new List<PushStatus?>();
            using var socket = await node.ConnectAsync($"g{guest}");
            for (var i = 0; i < reports; i++)
            {
                await socket.SendAsync(RunningNode.Frame(Report));
                answers.Add(await RunningNode.ReceiveAsync(socket));
            }

            return answers;
        }

        async Task FloodAsync()
        {
            using var socket = await node.ConnectAsync($"g{honest}");
            var frames = Enumerable.Repeat(RunningNode.Frame(Report), 1000).SelectMany(f => f).ToArray();
            await UntilStoppedAsync(async () => await socket.SendAsync(frames, stop.Token));
        }

        Task ChurnAsync() => UntilStoppedAsync(async () =>
        {
            using var socket = await node.ConnectAsync($"g{honest + 1}");
            await socket.SendAsync(new byte[] { 1, 2 }, stop.Token);
        });

        async Task SlowAsync()
        {
            using var socket = await node.ConnectAsync($"g{honest + 2}");
            await UntilStoppedAsync(async () =>
            {
                await socket.SendAsync(new byte[] { 1 }, stop.Token);
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, stop.Token);
            });
        }

        async Task UntilStoppedAsync(Func<Task> act)
        {
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    await act();
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                    await Task.Yield();
                }
            }
        }
    }

    static (byte[] Bytes, PushStatus Status) Bytes(string attack) => attack switch
    {
        "empty" => ([0, 0, 0, 0], PushStatus.EmptyBody),
        "too long" => ([1, 0, 0, 1, 9, 9, 9], PushStatus.BodyTooLong),
        "2^32-1" => ([255, 255, 255, 255, .. new byte[1000]], PushStatus.BodyTooLong),
        "garbage" => (RunningNode.Frame([0xde, 0xad, 0xbe, 0xef]), PushStatus.Malformed),
        // Field 1 in field 1 in …, and eight thousand packages of two bytes.
        "deep" => (RunningNode.Frame(Deep(4000)), PushStatus.Malformed),
        "many" => (RunningNode.Frame([0x0a, 0xff, 0xff, 0x7f, .. new byte[32000]]), PushStatus.Malformed),
        _ => (RunningNode.Frame(new VMReport { IndexReport = new IndexReport { VsockCid = "6" } }.ToByteArray()), PushStatus.IdentityMismatch),
    };

    /// <summary>Package.source is a package: VMReport.index_report.index_v4.contents.packages{value.source.source…}.</summary>
    static byte[] Deep(int depth)
    {
        byte[] inner = [];
        for (var i = 0; i < depth && inner.Length < 30_000; i++) inner = Field(7, inner);
        return Field(1, Field(2, Field(5, Field(5, Field(2, inner)))));
    }

    static byte[] Field(int number, byte[] value)
    {
        var header = new List<byte> { (byte)(number << 3 | 2) };
        var length = value.Length;
        for (; length >= 0x80; length >>= 7) header.Add((byte)(length | 0x80));
        header.Add((byte)length);
        return [.. header, .. value];
    }

    sealed class LineCounter : ILoggerFactory, ILogger
    {
        readonly Lock _lock = new();
        readonly List<(int Id, string Text)> _lines = [];

        public string Last
        {
            get { lock (_lock) return _lines.Last(line => line.Id == 4101).Text; }
        }

        public int Of(int id)
        {
            lock (_lock) return _lines.Count(line => line.Id == id);
        }

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lock) _lines.Add((eventId.Id, formatter(state, exception)));
        }

        public void Dispose()
        {
        }
    }
}
