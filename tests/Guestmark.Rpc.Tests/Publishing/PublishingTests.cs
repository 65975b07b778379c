using System.Diagnostics.Metrics;
using System.Net;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Rpc.Publishing;
using Guestmark.Spool;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Rpc.Tests.Publishing;

/// <summary>
/// Establishes that a hop delivers every event of its spool in order, acknowledges only what the next hop has stored, and
/// sends again what it has not, whatever happens to the connection between them.
/// </summary>
public sealed class PublishingTests : IDisposable
{
    static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    readonly TemporaryFolder _folder = new();
    readonly NodeEvents _events = new("stream-1");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Every_event_arrives_in_order_byte_for_byte_and_the_spool_is_emptied()
    {
        var sink = new RecordingSink();
        await using var receiver = await ReceiverAsync(sink);
        await using var spool = OpenSpool();
        var sent = new List<StampedEvent>();
        for (var i = 0; i < 3000; i++) sent.Add(await AppendAsync(spool, new byte[i % 700]));

        await using (await StartRelayAsync(spool, receiver)) await sink.WaitForAsync(3000);
        Assert.Equal(sent.Select(e => e.Encoded.ToArray()), sink.Events.Select(e => e.Encoded.ToArray()));
        Assert.Equal(0UL, spool.Depth);
    }

    [Fact]
    public async Task Events_that_come_later_are_relayed_as_they_come()
    {
        var sink = new RecordingSink();
        await using var receiver = await ReceiverAsync(sink);
        await using var spool = OpenSpool();
        await using var relay = await StartRelayAsync(spool, receiver);
        for (var i = 1; i <= 20; i++)
        {
            await AppendAsync(spool, [1]);
            await sink.WaitForAsync(i);
        }
    }

    [Fact]
    public async Task What_could_not_be_stored_is_not_acknowledged_and_is_sent_again()
    {
        var sink = new RecordingSink { FailuresLeft = 3 };
        await using var receiver = await ReceiverAsync(sink);
        await using var spool = OpenSpool();
        for (var i = 0; i < 10; i++) await AppendAsync(spool, [1]);
        await using (await StartRelayAsync(spool, receiver)) await sink.WaitForAsync(10);
        Assert.Equal(Enumerable.Range(1, 10).Select(i => (ulong)i), sink.Events.Select(e => e.Position.Sequence));
        Assert.Equal(0, sink.FailuresLeft);
    }

    [Fact]
    public async Task A_receiver_that_was_away_gets_everything_when_it_comes_back()
    {
        await using var spool = OpenSpool();
        for (var i = 0; i < 10; i++) await AppendAsync(spool, [1]);
        var first = new RecordingSink { FailuresLeft = int.MaxValue };
        var receiver = await ReceiverAsync(first);
        var port = Port(receiver);
        var relay = await StartRelayAsync(spool, receiver);
        await first.WaitForFailureAsync();
        await receiver.DisposeAsync();
        Assert.Equal(10UL, spool.Depth);

        var second = new RecordingSink();
        await using var again = await ReceiverAsync(second, port);
        await second.WaitForAsync(10);
        await relay.DisposeAsync();
    }

    [Fact]
    public async Task A_refused_event_does_not_hold_up_those_behind_it()
    {
        var sink = new RecordingSink { Refuse = 4 };
        await using var receiver = await ReceiverAsync(sink);
        await using var spool = OpenSpool();
        for (var i = 0; i < 10; i++) await AppendAsync(spool, [1]);
        await using (await StartRelayAsync(spool, receiver)) await sink.WaitForAsync(9);
        Assert.Equal([1, 2, 3, 5, 6, 7, 8, 9, 10], sink.Events.Select(e => e.Position.Sequence));
        Assert.Equal(0UL, spool.Depth);
    }

    [Fact]
    public async Task A_record_that_is_no_event_is_left_out_and_the_others_arrive()
    {
        var sink = new RecordingSink();
        await using var receiver = await ReceiverAsync(sink);
        await using var spool = OpenSpool();
        await AppendAsync(spool, [1]);
        Assert.True(spool.TryAppend(new byte[] { 1, 2, 3 }, out var durable));
        await durable;
        await AppendAsync(spool, [1]);
        await using (await StartRelayAsync(spool, receiver)) await sink.WaitForAsync(2);
        Assert.Equal(0UL, spool.Depth);
    }

    [Fact]
    public async Task An_event_that_the_receiver_cannot_read_does_not_block_those_behind_it()
    {
        // As an event of a later version would be to an older receiver. The sender is played by hand, as ours knows its own events.
        var sink = new RecordingSink();
        await using var receiver = await ReceiverAsync(sink);
        using var channel = new RpcChannel(new Uri($"http://127.0.0.1:{Port(receiver)}"), SpoolRelay.ChannelOptions(null, null));
        await using var call = channel.Open(PublishMethod.Publish);
        Assert.True((await call.ReadAsync(default))!.Credit > 0);
        var request = new PublishRequest();
        request.Events.Add(ByteString.CopyFrom(_events.Stamp("uid-1", "t", "d", [1], Now).Encoded.Span));
        request.Events.Add(ByteString.CopyFromUtf8("not an event"));
        request.Events.Add(ByteString.CopyFrom(_events.Stamp("uid-1", "t", "d", [1], Now).Encoded.Span));
        await call.WriteAsync(request, default);

        var answer = (await call.ReadAsync(default))!;
        Assert.Equal(3u, answer.Credit);
        var refused = Assert.Single(answer.Acknowledgements, a => a.Code == AcknowledgementCode.Refused);
        Assert.Equal((2UL, ""), (refused.Ordinal, refused.Stream));
        Assert.Equal(2UL, Assert.Single(answer.Acknowledgements, a => a.Code == AcknowledgementCode.Stored).Sequence);
        Assert.Equal(2, sink.Events.Count);
    }

    [Fact]
    public void A_refusal_by_ordinal_finds_its_event_and_skipped_records_do_not_count()
    {
        var underWay = new UnderWay();
        underWay.Grant(10);
        underWay.Add(5, new EventPosition("s", 1));
        underWay.Skip(6);
        underWay.Add(7, new EventPosition("s", 2));
        Assert.True(underWay.Refuse(new EventPosition("", 0), ordinal: 2));
        Assert.Null(underWay.TakeDone());
        Assert.Equal(1, underWay.Store(new EventPosition("s", 1)));
        Assert.Equal(7UL, underWay.TakeDone());
        Assert.False(underWay.Refuse(new EventPosition("", 0), ordinal: 2));
    }

    [Fact]
    public async Task A_largest_report_passes()
    {
        var sink = new RecordingSink();
        await using var receiver = await ReceiverAsync(sink);
        await using var spool = OpenSpool();
        await AppendAsync(spool, new byte[16 << 20]);
        await using (await StartRelayAsync(spool, receiver)) await sink.WaitForAsync(1);
    }

    EventSpool OpenSpool() => EventSpool.Open(new SpoolOptions { Directory = _folder.File("spool") });

    async Task<StampedEvent> AppendAsync(EventSpool spool, byte[] data)
    {
        var stamped = _events.Stamp("uid-1", "t", "d", data, Now);
        Assert.True(spool.TryAppend(stamped.Encoded, out var durable));
        await durable;
        return stamped;
    }

    static async Task<WebApplication> ReceiverAsync(IEventSink sink, int port = 0)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddPublish();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listener => listener.UseRpc(null)));
        var app = builder.Build();
        app.MapPublish(sink);
        await app.StartAsync();
        return app;
    }

    static int Port(WebApplication app) => new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;

    static async Task<RunningRelay> StartRelayAsync(EventSpool spool, WebApplication receiver)
    {
        var channel = new RpcChannel(new Uri($"http://127.0.0.1:{Port(receiver)}"), SpoolRelay.ChannelOptions(null, null));
        var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var relay = new SpoolRelay(spool, channel, "test", NullLogger<SpoolRelay>.Instance, services.GetRequiredService<IMeterFactory>(), TimeProvider.System);
        await relay.StartAsync(default);
        return new RunningRelay(relay, channel, spool);
    }

    /// <summary>Stops the relay when all that the receiver has stored is acknowledged.</summary>
    sealed class RunningRelay(SpoolRelay relay, RpcChannel channel, EventSpool spool) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            while (spool.Depth > 0 && !limit.IsCancellationRequested) await Task.Yield();
            await relay.StopAsync(default);
            channel.Dispose();
        }
    }

    sealed class RecordingSink : IEventSink
    {
        readonly Lock _lock = new();
        readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource _grown = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<StampedEvent> Events { get; } = [];

        public int FailuresLeft { get; set; }

        public ulong Refuse { get; init; }

        public ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(IReadOnlyList<StampedEvent> events, CancellationToken cancellationToken)
        {
            lock (_lock)
            {
                if (FailuresLeft > 0)
                {
                    FailuresLeft--;
                    _failed.TrySetResult();
                    throw new IOException("the disk is gone");
                }

                // As every receiver must: what came before is ignored.
                var last = Events.Count > 0 ? Events[^1].Position.Sequence : 0;
                Events.AddRange(events.Where(e => e.Position.Sequence > last && e.Position.Sequence != Refuse));
                _grown.SetResult();
                _grown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                return new([.. events.Where(e => e.Position.Sequence == Refuse).Select(e => new EventRefusal(e.Position, "no"))]);
            }
        }

        public Task WaitForFailureAsync() => _failed.Task.WaitAsync(TimeSpan.FromSeconds(20));

        public async Task WaitForAsync(int count)
        {
            while (true)
            {
                Task grown;
                lock (_lock)
                {
                    if (Events.Count >= count) return;
                    grown = _grown.Task;
                }

                await grown.WaitAsync(TimeSpan.FromSeconds(20));
            }
        }
    }
}
