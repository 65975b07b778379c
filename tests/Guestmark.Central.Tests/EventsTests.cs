using System.Diagnostics.Metrics;
using System.Net;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Central.Ingest;
using Guestmark.Central.Storage;
using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.Sensor;
using Guestmark.Spool;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static Guestmark.Central.Tests.Samples;

namespace Guestmark.Central.Tests;

/// <summary>Establishes that what nodes say of their channels is kept byte for byte, once, within bounds, and can be read.</summary>
public sealed class EventsTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Events_of_every_known_type_come_through_a_sensor_byte_for_byte_and_make_no_machine()
    {
        CertificateAuthority.Create(_folder.File("ca"));
        foreach (var name in new[] { "node", "sensor", "central" }) CertificateAuthority.Issue(_folder.File("ca"), _folder.File(name), name);
        await using var central = new CentralUnderTest(_folder.File("central-data"));
        await using var rpc = await StartAsync("central", _ => { }, _ => central.Get<CentralEventSink>());
        await using var sensor = await StartAsync(
            "sensor",
            services => services.AddSensor(new SensorOptions
            {
                DataDirectory = _folder.File("sensor-data"),
                CentralEndpoint = Address(rpc),
                CentralName = "central",
                Certificates = _folder.File("sensor"),
            }),
            services => services.GetRequiredService<IEventSink>());

        var sent = OneOfEach(new NodeEvents());
        await using var spool = EventSpool.Open(new SpoolOptions { Directory = _folder.File("node-spool") });
        foreach (var one in sent)
        {
            Assert.True(spool.TryAppend(one.Encoded, out var durable));
            await durable;
        }

        using var channel = new RpcChannel(Address(sensor), SpoolRelay.ChannelOptions(CertificateDirectory.Open(_folder.File("node")), "sensor"));
        using var relay = new SpoolRelay(
            spool, channel, "sensor", NullLogger<SpoolRelay>.Instance, central.Get<IMeterFactory>(), TimeProvider.System);
        await relay.StartAsync(default);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (central.Metric("events.stored") + central.Metric("events.refused") < sent.Count)
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        await relay.StopAsync(default);

        Assert.Equal((sent.Count, 0, 0), (central.Metric("events.stored"), central.Metric("events.refused"), central.Metric("events.missing")));
        var kept = await central.RowsAsync<byte[]>("SELECT encoded FROM events ORDER BY id");
        Assert.Equal(sent.Select(one => Convert.ToHexString(one.Encoded.Span)), kept.Select(Convert.ToHexString));
        Assert.Equal(
            sent.Select(one => $"{one.Position.Stream}|{one.Position.Sequence}|{one.Type}|{one.Subject}|{one.Source}|{one.Time.ToUnixTimeMilliseconds()}"),
            await central.RowsAsync<string>(
                "SELECT t.name || '|' || e.sequence || '|' || e.type || '|' || e.subject || '|' || e.source || '|' || e.time FROM events e JOIN streams t ON t.id = e.stream_id ORDER BY e.id"));
        Assert.Equal(0, await central.ScalarAsync<long>("SELECT count(*) FROM machines"));
    }

    [Fact]
    public async Task An_event_that_comes_again_is_kept_once()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var sent = OneOfEach(new NodeEvents());
        await central.StoreAsync(sent);
        var content = await central.ContentAsync();
        Assert.Empty(await central.StoreAsync(sent));
        Assert.Equal(content, await central.ContentAsync());
        Assert.Equal((sent.Count, sent.Count), (central.Metric("events.stored"), central.Metric("events.repeated")));
    }

    [Fact]
    public async Task What_is_unknown_unreadable_or_too_large_is_refused()
    {
        await using var central = new CentralUnderTest(_folder.Path);
        var events = new NodeEvents();
        var refusals = await central.StoreAsync(
            events.Stamp("cell-a", "dev.guestmark.guest.declaration.v2", "x", [], Start),
            events.Stamp("cell-a", EventTypes.GuestDeclaration, "guestmark.v1.DeclarationBatch", [0xff, 0xff], Start),
            events.Stamp("cell-a", EventTypes.Loss, "guestmark.v1.EventLoss", [0xff, 0xff], Start),
            events.Stamp("cell-a", EventTypes.GuestDeclaration, "guestmark.v1.DeclarationBatch", new byte[StoredEvents.DataBytesMax + 1], Start));
        Assert.Equal(4, refusals.Count);
        Assert.Contains("is not known to this version of Central", refusals[0].Reason);
        Assert.Contains("cannot be read", refusals[1].Reason);
        Assert.Contains("cannot be read", refusals[2].Reason);
        Assert.Contains("262145 bytes, the limit is 262144", refusals[3].Reason);
        Assert.Equal(0, await central.ScalarAsync<long>("SELECT count(*) FROM events"));
    }

    [Fact]
    public async Task The_oldest_events_go_when_there_are_too_many_and_are_counted()
    {
        await using var central = new CentralUnderTest(_folder.Path, options => options with { EventsMax = 5 });
        var events = new NodeEvents();
        await central.StoreAsync([.. Enumerable.Range(0, 5).Select(_ => Declared(events, "cell-a"))]);
        Assert.Equal(0, central.Metric("events.deleted"));
        await central.StoreAsync(Declared(events, "cell-a"));
        Assert.Equal(1, central.Metric("events.deleted"));
        await central.StoreAsync([.. Enumerable.Range(0, 7).Select(_ => Declared(events, "cell-a"))]);
        Assert.Equal([9, 10, 11, 12, 13], await central.RowsAsync<long>("SELECT sequence FROM events ORDER BY id"));
        Assert.Equal(8, central.Metric("events.deleted"));
    }

    [Fact]
    public async Task The_oldest_events_go_when_they_are_too_large_and_the_bound_is_held_exactly()
    {
        await using var central = new CentralUnderTest(_folder.Path, options => options with { EventBytesMax = 1 << 20 });
        var events = new NodeEvents();
        var random = new Random(1);
        var sizes = new List<int>();
        for (var i = 0; i < 40; i++)
        {
            var one = events.Stamp("vm-1", EventTypes.FileActivity, "x", new byte[random.Next(1, StoredEvents.DataBytesMax)], Start);
            sizes.Add(one.Encoded.Length);
            await central.StoreAsync(one);
            // From the newest back, as many as fit.
            var fit = Enumerable.Range(1, sizes.Count).Last(count => sizes.TakeLast(count).Sum() <= 1 << 20);
            Assert.Equal(fit, await central.ScalarAsync<long>("SELECT count(*) FROM events"));
            Assert.Equal(sizes.Count, await central.ScalarAsync<long>("SELECT max(sequence) FROM events"));
        }

        Assert.Equal(40 - await central.ScalarAsync<long>("SELECT count(*) FROM events"), central.Metric("events.deleted"));
    }

    [Fact]
    public async Task Events_go_after_their_time_and_their_stream_stays_as_long_as_they_do()
    {
        var time = new ManualTimeProvider(Start);
        await using var central = new CentralUnderTest(_folder.Path, options => options with { EventRetention = TimeSpan.FromDays(100) }, time);
        using var retention = new StoreRetention(
            central.Store, central.Get<CentralOptions>(), central.Get<CentralMetrics>(), time, NullLogger<StoreRetention>.Instance);
        var (old, young) = (new NodeEvents("old"), new NodeEvents("young"));
        // The node's clock, which says something else, does not decide.
        await central.StoreAsync([.. Enumerable.Range(0, 1500).Select(_ => Declared(old, "cell-a", Start.AddYears(1)))]);
        time.Advance(TimeSpan.FromDays(100));
        await central.StoreAsync(Declared(young, "cell-a", Start.AddYears(-1)));
        Assert.Equal((0, 0), (await retention.ForgetEventsAsync(default), await retention.ForgetStreamsAsync(default)));

        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal((1500, 1), (await retention.ForgetEventsAsync(default), await retention.ForgetStreamsAsync(default)));
        Assert.Equal(["young"], await central.RowsAsync<string>("SELECT t.name FROM events e JOIN streams t ON t.id = e.stream_id"));
        Assert.Equal(1500, central.Metric("events.deleted"));
    }

    [Fact]
    public async Task The_api_shows_the_events_of_a_subject_and_a_type_with_their_data()
    {
        await using var central = await CentralServer.StartAsync(_folder.Path);
        var sent = OneOfEach(new NodeEvents());
        await central.StoreAsync(sent);

        var all = (await central.GetJsonAsync("/api/v1/events")).GetProperty("items").EnumerateArray().ToList();
        Assert.Equal(sent.Count, all.Count);
        foreach (var (item, one) in all.Zip(sent))
        {
            // What the API gives is the event, in the format that 'guestmark verify' reads.
            Assert.Null(CloudEventJson.TryRead(Encoding.UTF8.GetBytes(item.GetProperty("event").GetRawText()), out var read));
            Assert.Equal((one.Id, one.Source, one.Type, one.Subject, one.Position, one.Time), (read!.Id, read.Source, read.Type, read.Subject, read.Position, read.Time));
            Assert.Equal(Convert.ToHexString(one.Data.Span), Convert.ToHexString(read.Data.Span));
            Assert.Equal("2026-01-02T03:04:05+00:00", item.GetProperty("storedAt").GetString());
        }

        Assert.Equal(
            """{"declarations":[{"contentVersion":1,"probeSource":"process.spawned","guestPid":42,"guestComm":"true","guestMonotonicNs":7,"guestSequence":3,"guestDropped":0,"receivedAt":"2026-01-02T03:04:05+00:00"}]}""",
            all[0].GetProperty("data").GetRawText());
        Assert.Equal("""{"reason":"half-frame","lastFrameAt":null,"frames":9}""", all[1].GetProperty("data").GetRawText());
        Assert.Equal("""{"reason":"identity-mismatch","claimed":"vm-2","count":4}""", all[2].GetProperty("data").GetRawText());
        Assert.Equal("""{"reason":"spool-full","first":1,"last":2}""", all[3].GetProperty("data").GetRawText());
        Assert.Equal(JsonValueKind.Null, all[4].GetProperty("data").ValueKind);

        Assert.Equal(["1", "2"], await IdsAsync("subject=cell-a"));
        Assert.Equal(["2"], await IdsAsync($"subject=cell-a&type={EventTypes.GuestSilenced}"));
        Assert.Equal(["4"], await IdsAsync($"type={EventTypes.Loss}"));
        Assert.Equal(["2"], await IdsAsync("subject=cell-a&after=1"));
        Assert.Empty(await IdsAsync("subject=CELL-A"));
        Assert.Empty(await IdsAsync("after=6"));
        Assert.Empty((await central.GetJsonAsync("/api/v1/vms")).GetProperty("items").EnumerateArray());
        using var anonymous = await central.Anonymous.GetAsync("/api/v1/events");
        Assert.Equal(HttpStatusCode.Unauthorized, anonymous.StatusCode);

        async Task<List<string>> IdsAsync(string query) => [.. (await central.GetJsonAsync("/api/v1/events?" + query))
            .GetProperty("items").EnumerateArray().Select(item => item.GetProperty("id").GetString()!)];
    }

    [Fact]
    public async Task Walking_the_events_yields_each_once_and_no_page_is_large()
    {
        await using var central = await CentralServer.StartAsync(_folder.Path);
        var events = new NodeEvents();
        for (var i = 0; i < 30; i++)
            await central.StoreAsync(events.Stamp("vm-1", EventTypes.SocketCalls, "x", new byte[i % 3 == 0 ? StoredEvents.DataBytesMax : 10], Start));
        foreach (var limit in (int[])[1, 4, 500])
        {
            var seen = new List<ulong>();
            for (string? after = "0"; after is not null;)
            {
                var page = await central.GetJsonAsync($"/api/v1/events?subject=vm-1&limit={limit}&after={after}");
                var items = page.GetProperty("items").EnumerateArray().ToList();
                Assert.InRange(items.Count, 1, limit);
                Assert.InRange(page.GetRawText().Length, 1, StoredEvents.PageBytesMax * 3 / 2);
                seen.AddRange(items.Select(item => ulong.Parse(item.GetProperty("event").GetProperty("sequence").GetString()!)));
                after = page.GetProperty("next").GetString();
                if (after is not null) Assert.Equal(items[^1].GetProperty("id").GetString(), after);
            }

            Assert.Equal(Enumerable.Range(1, 30).Select(i => (ulong)i), seen);
        }
    }

    [Theory]
    [InlineData("limit=0", "limit is '0'", "from 1 to 500")]
    [InlineData("after=-1", "after is '-1'", "'id' of the last event")]
    [InlineData("after=99999999999999999999", "after is '99999999999999999999'", "'id' of the last event")]
    [InlineData("type=dev.guestmark.inventory.report.v1", "type 'dev.guestmark.inventory.report.v1'", "dev.guestmark.guest.declaration.v1, dev.guestmark.guest.silenced.v1")]
    [InlineData("cell=a", "no parameter 'cell'", "subject, type, after, limit")]
    public async Task A_wrong_request_for_events_is_a_problem_that_names_the_value_and_the_remedy(string query, string title, string remedy)
    {
        await using var central = await CentralServer.StartAsync(_folder.Path);
        var problem = await central.GetJsonAsync("/api/v1/events?" + query, HttpStatusCode.BadRequest);
        Assert.Contains(title, problem.GetProperty("title").GetString());
        Assert.Contains(remedy, problem.GetProperty("detail").GetString());
    }

    static StampedEvent Declared(NodeEvents events, string cell, DateTimeOffset? time = null) =>
        events.Stamp(
            cell,
            EventTypes.GuestDeclaration,
            "guestmark.v1.DeclarationBatch",
            new DeclarationBatch
            {
                Declarations =
                {
                    new Declaration
                    {
                        ContentVersion = 1, ProbeSource = "process.spawned", GuestPid = 42, GuestComm = "true", GuestMonotonicNs = 7, GuestSequence = 3,
                        ReceivedAt = Timestamp.FromDateTimeOffset(Start),
                    },
                },
            }.ToByteArray(),
            time ?? Start);

    /// <summary>Of each type whose events are kept, in the order of <see cref="StoredEvents.Types"/>.</summary>
    static List<StampedEvent> OneOfEach(NodeEvents events)
    {
        List<StampedEvent> each =
        [
            Declared(events, "cell-a"),
            events.Stamp("cell-a", EventTypes.GuestSilenced, "guestmark.v1.GuestSilenced", new GuestSilenced { Reason = SilenceReason.HalfFrame, Frames = 9 }.ToByteArray(), Start),
            events.Stamp(
                "vm-1", EventTypes.GuestRefused, "guestmark.v1.GuestRefused",
                new GuestRefused { Reason = Events.RefusalReason.IdentityMismatch, Claimed = "vm-2", Count = 4 }.ToByteArray(), Start),
            events.Stamp("node1", EventTypes.Loss, "guestmark.v1.EventLoss", new EventLoss { First = 1, Last = 2, Reason = LossReason.SpoolFull }.ToByteArray(), Start),
            events.Stamp("vm-1", EventTypes.FileActivity, "guestmark.v1.FileActivity", [0xff, 0xff], Start),
            events.Stamp("vm-1", EventTypes.SocketCalls, "guestmark.v1.SocketCalls", [], Start),
        ];
        Assert.Equal(StoredEvents.Types, each.Select(one => one.Type));
        return each;
    }

    async Task<WebApplication> StartAsync(string certificates, Action<IServiceCollection> add, Func<IServiceProvider, IEventSink> sink)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddPublish();
        add(builder.Services);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(
            IPAddress.Loopback, 0, listener => listener.UseRpc(CertificateDirectory.Open(_folder.File(certificates)))));
        var app = builder.Build();
        app.MapPublish(sink(app.Services));
        await app.StartAsync();
        return app;
    }

    static Uri Address(WebApplication app) =>
        new($"https://127.0.0.1:{new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port}");
}
