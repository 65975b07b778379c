using System.Net;
using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Node;
using Guestmark.Node.Identity;
using Guestmark.Rpc;
using Guestmark.Rpc.Guests;
using Guestmark.Sensor;
using Guestmark.Telemetry;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Tests;

/// <summary>Establishes that a node hears exactly the guests that its sensor names, over real mutual TLS: as they come, change and go, and while the sensor is away.</summary>
public sealed class SensorRegistryTests : IDisposable
{
    static readonly byte[] Report = new VMReport { IndexReport = new IndexReport { VsockCid = "77" } }.ToByteArray();

    readonly TemporaryFolder _folder = new();
    readonly int _port = FreePort();

    public SensorRegistryTests() => Certificates.Create(_folder.File("certs"), ["node1", "node2", "sensor"], TimeProvider.System);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Guests_that_the_sensor_names_are_heard_renamed_and_forgotten_and_others_keep_their_connections()
    {
        Put(Entry("node1", "web1"), Entry("node1", "web2"), Entry("node2", "other"));
        await using var sensor = await StartSensorAsync();
        await using var node = await StartNodeAsync("node1");
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        await UntilAsync(() => registry.All.Count == 2 && File.Exists(Socket("web1")) && File.Exists(Socket("web2")));
        Assert.False(File.Exists(Socket("other")));
        Assert.Equal(GuestOptions.UidOf("local", "node1", "web1"), registry.All.Single(channel => channel.Guest.Name == "web1").Guest.Uid);
        var generation = Assert.Single(Metric(node, "guestmark_node_registry_generation"));
        Assert.Equal(0, Assert.Single(Metric(node, "guestmark_node_registry_age_seconds")));

        using var first = await ConnectAsync("web1");
        using var second = await ConnectAsync("web2");
        Assert.Equal(PushStatus.Stored, await PushAsync(first));
        Assert.Equal(PushStatus.Stored, await PushAsync(second));

        Put(Entry("node1", "renamed", "web1"), Entry("node1", "web2"), Entry("node1", "web3"), Entry("node2", "other"));
        await UntilAsync(() => registry.All.Count == 3 && File.Exists(Socket("web3")));
        Assert.Contains(registry.All, channel => channel.Guest.Name == "renamed");
        Assert.Null(await ReceiveAsync(first));
        Assert.Equal(PushStatus.Stored, await PushAsync(second));
        Assert.True(Assert.Single(Metric(node, "guestmark_node_registry_generation")) > generation);

        Put(Entry("node1", "web2"), Entry("node2", "other"));
        await UntilAsync(() => registry.All.Count == 1 && !File.Exists(Socket("web3")) && !File.Exists(Socket("web1")));
        Assert.Equal(PushStatus.Stored, await PushAsync(second));

        Put(Entry("node2", "other"));
        await UntilAsync(() => registry.All.Count == 0);
        Assert.Null(await ReceiveAsync(second));
        Assert.Equal(HealthState.Ok, Finding(node, "registry").State);
    }

    [Fact]
    public async Task A_change_of_one_nodes_guests_is_no_news_to_another()
    {
        Put(Entry("node1", "web1"), Entry("node2", "web2"));
        await using var sensor = await StartSensorAsync();
        using var channel = Channel("node2");
        await using var call = channel.Open(GuestListing.Watch);
        await call.WriteAsync(new WatchGuestsRequest { Node = "node2" });
        await call.CompleteAsync();
        var list = await call.ReadAsync();
        Assert.Equal("web2", Assert.Single(list!.Guests).Name);

        Put(Entry("node1", "web9"), Entry("node2", "web2"));
        await UntilAsync(() => sensor.Services.GetRequiredService<GuestLists>().Of("node1").List!.Guests[0].Name == "web9");
        Put(Entry("node1", "web9"), Entry("node2", "web3"));
        var next = await call.ReadAsync();
        Assert.Equal("web3", Assert.Single(next!.Guests).Name);
        Assert.True(next.Generation > list.Generation);
    }

    [Fact]
    public async Task A_node_that_starts_without_its_sensor_hears_whom_it_heard_before_and_says_how_old_that_is()
    {
        Put(Entry("node1", "web1"));
        await using (var sensor = await StartSensorAsync())
        {
            await using var node = await StartNodeAsync("node1");
            await UntilAsync(() => File.Exists(Socket("web1")) && File.Exists(_folder.File("node1/guests.json")));
            // The call ends at once, and not when the sensor has waited for it.
            var stopping = sensor.StopAsync();
            await UntilAsync(() => Assert.Single(Metric(node, "guestmark_node_registry_age_seconds")) > 0);
            Assert.Single(node.Services.GetRequiredService<GuestRegistry>().All);
            await node.StopAsync();
            await stopping;
        }

        await using var again = await StartNodeAsync("node1");
        Assert.Equal("web1", Assert.Single(again.Services.GetRequiredService<GuestRegistry>().All).Guest.Name);
        using var socket = await ConnectAsync("web1");
        Assert.Equal(PushStatus.Stored, await PushAsync(socket));
        Assert.True(Assert.Single(Metric(again, "guestmark_node_registry_age_seconds")) > 0);
        Assert.Equal(1, Assert.Single(Metric(again, "guestmark_node_registry_guests")));
        // Its grace of a minute is not over.
        Assert.Equal(HealthState.Ok, Finding(again, "registry").State);
        Assert.Equal(
            HealthState.Warning, RoleChecks.RegistryIsFollowed(again.Services.GetRequiredService<MetricsCollector>(), TimeSpan.Zero).Run().State);

        // Another node's list is not this one's, although it lies in its folder.
        File.Copy(_folder.File("node1/guests.json"), Path.Combine(Directory.CreateDirectory(_folder.File("node2")).FullName, "guests.json"));
        await using var other = await StartNodeAsync("node2");
        Assert.Empty(other.Services.GetRequiredService<GuestRegistry>().All);

        // The same connection as before: nothing has changed for this guest.
        Put(Entry("node1", "web1"), Entry("node1", "web2"));
        await using var back = await StartSensorAsync();
        await UntilAsync(() => again.Services.GetRequiredService<GuestRegistry>().All.Count == 2);
        Assert.Equal(PushStatus.Stored, await PushAsync(socket));
        Assert.Equal(0, Assert.Single(Metric(again, "guestmark_node_registry_age_seconds")));
    }

    [Fact]
    public async Task A_damaged_list_on_the_disk_stops_no_start()
    {
        foreach (var damaged in new[] { "", "null", "{", """{"version":2,"cluster":"local","node":"node1","generation":1,"received":"2026-01-01T00:00:00Z","guests":[]}""" })
        {
            Directory.CreateDirectory(_folder.File("node1"));
            File.WriteAllText(_folder.File("node1/guests.json"), damaged);
            await using var node = await StartNodeAsync("node1");
            Assert.Empty(Metric(node, "guestmark_node_registry_age_seconds"));
            var finding = Finding(node, "registry");
            Assert.Equal(HealthState.Failed, finding.State);
            Assert.Contains("has never said", finding.Message, StringComparison.Ordinal);
            await node.StopAsync();
        }
    }

    [Fact]
    public async Task Nobody_learns_the_guests_of_a_node_whose_certificate_they_do_not_have()
    {
        Put(Entry("node1", "web1"), Entry("node2", "web2"));
        await using var sensor = await StartSensorAsync();
        using var channel = Channel("node2");
        Assert.Equal(RpcStatusCode.PermissionDenied, await StatusAsync(channel, "node1"));
        foreach (var name in new[] { "Node2", "node2.", "node", "*" }) Assert.NotEqual(RpcStatusCode.Ok, await StatusAsync(channel, name));
        Assert.Equal(RpcStatusCode.InvalidArgument, await StatusAsync(channel, "node2\n"));
        Assert.Equal(RpcStatusCode.Ok, await StatusAsync(channel, "node2"));
        using var unknown = Channel("sensor");
        Assert.Equal(RpcStatusCode.PermissionDenied, await StatusAsync(unknown, "node1"));
        // A name that nobody has a list for has no guests, which is a list.
        Assert.Equal(RpcStatusCode.Ok, await StatusAsync(unknown, "sensor"));

        // A node that calls itself by another's name is told nothing, and is not ready.
        await using var node = await StartNodeAsync("node1", certificate: "node2");
        await UntilAsync(() => Metric(sensor, "guestmark_sensor_registry_refused").Sum() >= 7);
        Assert.Empty(node.Services.GetRequiredService<GuestRegistry>().All);
        Assert.Equal(HealthState.Failed, Finding(node, "registry").State);
    }

    [Fact]
    public async Task The_doctor_says_why_a_node_is_not_told_its_guests()
    {
        Put(Entry("node1", "web1"));
        await using var sensor = await StartSensorAsync();
        Assert.Contains("names 1 guest of node 'node1'", (await ExamineAsync("node1", "node1")).Message, StringComparison.Ordinal);
        Assert.Equal(HealthState.Warning, (await ExamineAsync("node2", "node2")).State);
        var stranger = await ExamineAsync("node1", "node2");
        Assert.Equal(HealthState.Failed, stranger.State);
        Assert.Contains("certificate is for 'node2'", stranger.Message, StringComparison.Ordinal);
        Assert.Contains("certificate with its name", stranger.Remedy, StringComparison.Ordinal);

        async Task<HealthFinding> ExamineAsync(string node, string certificate)
        {
            var setup = Layers.Setup(new System.Collections.Hashtable
            {
                ["FACT_CERTS"] = _folder.File($"certs/{certificate}"),
                ["FACT_SENSOR_ENDPOINT"] = $"127.0.0.1:{_port}",
                ["GUESTMARK_NODE_SENSOR_NAME"] = "sensor",
                ["GUESTMARK_NODE_NODE"] = node,
                ["GUESTMARK_NODE_REGISTRY_SENSOR"] = "true",
                ["GUESTMARK_NODE_DATA"] = _folder.File("data"),
            });
            return (await new Diagnosis.NodeDoctor(setup, new Diagnosis.HostView()).ExamineAsync(default)).Single(finding => finding.Check == "sensor-registry");
        }
    }

    [Fact]
    public async Task A_sensor_that_was_given_no_list_says_so_and_takes_no_guest_away()
    {
        await using var sensor = await StartSensorAsync(guests: false);
        using var channel = Channel("node1");
        Assert.Equal(RpcStatusCode.FailedPrecondition, await StatusAsync(channel, "node1"));
    }

    [Theory]
    [InlineData("{")]
    [InlineData("""{"guests": [{"name": "web1", "socketBase": "/run/a"}]}""")]
    [InlineData("""{"guests": [{"node": "no de", "name": "web1", "socketBase": "/run/a"}]}""")]
    [InlineData("""{"guests": [{"node": "node1", "name": "web1", "cid": 2}]}""")]
    [InlineData("""{"guests": [{"node": "node1", "name": "a", "cid": 7}, {"node": "node1", "name": "b", "cid": 7}]}""")]
    [InlineData("""{"guests": [{"node": "node1", "name": "a", "cid": 7}, {"node": "node1", "name": "a", "cid": 8}]}""")]
    public async Task A_wrong_file_stops_the_start_of_a_sensor(string text)
    {
        File.WriteAllText(_folder.File("guests.json"), text);
        var problem = await Assert.ThrowsAsync<CommandLine.CommandException>(() => StartSensorAsync());
        Assert.Contains("guests.json", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_goes_wrong_later_changes_nothing_and_is_told_of()
    {
        Put(Entry("node1", "web1"));
        await using var sensor = await StartSensorAsync();
        var lists = sensor.Services.GetRequiredService<GuestLists>();
        var before = lists.Of("node1").List;
        Assert.Equal(HealthState.Ok, Finding(sensor, "guests").State);
        Replace("""{"guests": [{"node": "node1", "name": "a", "cid": 7}, {"node": "node1", "name": "b", "cid": 7}]}""");
        await UntilAsync(() => sensor.Services.GetRequiredService<SensorGuests>().Problem is not null);
        Assert.Same(before, lists.Of("node1").List);
        // Findings are kept for a second.
        await UntilAsync(() => Finding(sensor, "guests").State == HealthState.Warning);
    }

    [Fact]
    public async Task A_nodes_own_file_that_goes_wrong_later_is_a_warning_of_a_node_that_stays_ready()
    {
        Put(Entry("node1", "web1"));
        await using var node = await StartNodeAsync("node1", registryFile: _folder.File("guests.json"));
        Assert.Equal(HealthState.Ok, Finding(node, "guests").State);
        Replace("""{"guests": [{"name": "a", "cid": 7}, {"name": "b", "cid": 7}]}""");
        await UntilAsync(() => Finding(node, "guests").State == HealthState.Warning);
        Assert.Contains("guest cid 7 is given to", Finding(node, "guests").Message, StringComparison.Ordinal);
        Assert.True(Health.IsGood(node.Services.GetRequiredService<Health>().Look(livenessOnly: false)));
        Put(Entry("node1", "web2"));
        await UntilAsync(() => Finding(node, "guests").State == HealthState.Ok);
    }

    [Fact]
    public void The_same_guest_may_be_on_two_nodes_for_it_may_be_moving()
    {
        var lists = new GuestLists(TimeProvider.System);
        Assert.Equal(0, lists.Count);
        Assert.Null(lists.Of("a").List);
        GuestEntry[] guests = [new() { Node = "a", Name = "x", Uid = "u", Cid = 7 }, new() { Node = "b", Name = "x", Uid = "u", Cid = 7 }];
        Assert.Empty(lists.Replace(guests));
        Assert.Equal(("u", "u", 0), (lists.Of("a").List!.Guests[0].Uid, lists.Of("b").List!.Guests[0].Uid, lists.Of("c").List!.Guests.Count));

        // As many as one list may have, and one more.
        GuestEntry[] many = [.. Enumerable.Range(3, GuestListing.GuestsMax).Select(i => new GuestEntry { Node = "a", Name = $"g{i}", Cid = (uint)i })];
        Assert.Empty(lists.Replace(many));
        Assert.Contains("at most 4096", Assert.Single(lists.Replace([.. many, new GuestEntry { Node = "a", Name = "one", Cid = 3_000_000 }])), StringComparison.Ordinal);
        GuestEntry[] large = [.. many.Select(guest => guest with { Uid = new string('é', 100) + guest.Name, BootEpoch = new string('é', 100) })];
        Assert.Contains("at most 1048576", Assert.Single(lists.Replace(large)), StringComparison.Ordinal);
        Assert.Equal(GuestListing.GuestsMax, lists.Of("a").List!.Guests.Count);
    }

    [Fact]
    public async Task The_real_programs_do_so_too()
    {
        Put(Entry("node1", "web1"));
        await using var sensor = GuestmarkProcess.Start(
            "guestmark", "sensor", "--certs", _folder.File("certs/sensor"), "--data", _folder.File("sensor"), "--listen", $"127.0.0.1:{_port}",
            "--central-endpoint", "127.0.0.1:1", "--guests", _folder.File("guests.json"));
        await sensor.WaitForLineAsync("nodes connect to");
        await using var node = GuestmarkProcess.Start(
            "guestmark", "node", "--node", "node1", "--data", _folder.File("node1"), "--certs", _folder.File("certs/node1"), "--sensor-endpoint", $"127.0.0.1:{_port}",
            "--sensor-name", "sensor", "--guest", $"own={_folder.File("own.sock")}", "--registry-sensor", "true");
        await node.WaitForLineAsync("The sensor names 1 guests of this node");
        await UntilAsync(() => File.Exists(Socket("web1")));
        using var socket = await ConnectAsync("web1");
        Assert.Equal(PushStatus.Stored, await PushAsync(socket));
    }

    string Entry(string node, string name, string? socket = null) =>
        $$"""{"node": "{{node}}", "name": "{{name}}", "socketBase": "{{_folder.File(socket ?? name)}}"}""";

    string Socket(string name) => _folder.File(name) + "_818";

    void Put(params string[] entries) => Replace($$"""{"guests": [{{string.Join(", ", entries)}}]}""");

    void Replace(string text)
    {
        File.WriteAllText(_folder.File("guests.json.new"), text);
        File.Move(_folder.File("guests.json.new"), _folder.File("guests.json"), overwrite: true);
    }

    Task<WebApplication> StartSensorAsync(bool guests = true)
    {
        var options = new SensorOptions
        {
            DataDirectory = _folder.File("sensor"),
            CentralEndpoint = new Uri("https://127.0.0.1:1"),
            Certificates = _folder.File("certs/sensor"),
            GuestsFile = guests ? _folder.File("guests.json") : null,
        };
        return StartAsync(() => RoleHosts.Sensor(options, new IPEndPoint(IPAddress.Loopback, _port), HostSettings.Part(LogLevel.None)));
    }

    Task<WebApplication> StartNodeAsync(string name, string? certificate = null, string? registryFile = null)
    {
        var options = new NodeOptions
        {
            Node = name,
            DataDirectory = _folder.File(name),
            SensorEndpoint = new Uri($"https://127.0.0.1:{_port}"),
            SensorName = "sensor",
            Certificates = _folder.File($"certs/{certificate ?? name}"),
            RegistryFile = registryFile,
            RegistryFromSensor = registryFile is null,
            Limits = new GuestLimits { ConnectionsMax = 64 },
            Cells = new CellOptions { CellsMax = 1 },
        };
        return StartAsync(() => RoleHosts.Node(options, HostSettings.Part(LogLevel.None)));
    }

    static Task<WebApplication> StartAsync(Func<WebApplication> create) => RoleHosts.StartAsync(
        "test",
        () =>
        {
            var app = create();
            // What is counted before somebody listens is gone.
            app.Services.GetRequiredService<MetricsCollector>();
            return app;
        },
        default);

    RpcChannel Channel(string certificate) => new(
        new Uri($"https://127.0.0.1:{_port}"),
        new RpcChannelOptions { Certificates = CertificateDirectory.Open(_folder.File($"certs/{certificate}")), ServerName = "sensor" });

    /// <summary>Ok: a list came.</summary>
    static async Task<RpcStatusCode> StatusAsync(RpcChannel channel, string node)
    {
        try
        {
            await using var call = channel.Open(GuestListing.Watch);
            await call.WriteAsync(new WatchGuestsRequest { Node = node });
            await call.CompleteAsync();
            Assert.NotNull(await call.ReadAsync());
            return RpcStatusCode.Ok;
        }
        catch (RpcException e)
        {
            return e.Code;
        }
    }

    static List<double> Metric(WebApplication app, string name) =>
        [.. app.Services.GetRequiredService<MetricsCollector>().Collect().Where(family => family.Name == name).SelectMany(family => family.Samples).Select(sample => sample.Value)];

    static HealthFinding Finding(WebApplication app, string check) =>
        app.Services.GetRequiredService<Health>().Look(livenessOnly: false).Single(finding => finding.Check == check);

    async Task<Socket> ConnectAsync(string guest)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Socket(guest)));
        return socket;
    }

    static async Task<PushStatus?> PushAsync(Socket socket)
    {
        var frame = new byte[PushFrame.HeaderBytes + Report.Length];
        PushFrame.WriteHeader(frame, Report.Length);
        Report.CopyTo(frame, PushFrame.HeaderBytes);
        await socket.SendAsync(frame);
        return await ReceiveAsync(socket);
    }

    /// <summary>Null: the node closed the connection.</summary>
    static async Task<PushStatus?> ReceiveAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var answer = new byte[PushFrame.StatusBytes];
        for (var received = 0; received < answer.Length;)
        {
            var count = await socket.ReceiveAsync(answer.AsMemory(received), limit.Token);
            if (count == 0) return null;
            received += count;
        }

        return PushFrame.ReadStatus(answer);
    }

    static async Task UntilAsync(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            if (limit.IsCancellationRequested) throw new TimeoutException("the condition did not come true");
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
        }
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
