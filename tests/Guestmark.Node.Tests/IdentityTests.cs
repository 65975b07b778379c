using System.Net.Sockets;
using System.Text;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Identity;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Node.Tests;

/// <summary>Establishes that what a machine is called comes from its channel and the registry at that moment, whatever it says itself.</summary>
public sealed class IdentityTests
{
    static readonly GuestOptions Web = new() { Uid = "uid-web", Name = "web", Cid = 5, BootEpoch = "boot-1" };
    static readonly GuestOptions Database = new() { Uid = "uid-db", Name = "db", Cid = 6 };

    [Fact]
    public async Task A_report_over_vsock_is_stamped_with_context_id_port_namespace_and_boot()
    {
        await using var node = await StartAsync();
        await using var listener = node.ListenAs("five", 5);
        Assert.Equal(PushStatus.Stored, await SendAsync(listener, Claiming("5")));

        var stored = Assert.Single(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
        Assert.Equal(("uid-web", "//local/node1/web"), (stored.Subject, stored.Source));
        Assert.Contains("guestcid", Encoding.Latin1.GetString(stored.Encoded.Span), StringComparison.Ordinal);

        var identity = node.Services.GetRequiredService<GuestRegistry>().Find(5)!.OnVsock(818);
        Assert.Equal(new FileInfo("/proc/self/ns/net").LinkTarget, $"net:[{identity.NetworkNamespace}]");
        Assert.Equal((5u, 818u, "boot-1"), (identity.GuestCid!.Value, identity.GuestPort!.Value, identity.BootEpoch));
    }

    [Fact]
    public async Task A_guest_that_claims_anothers_context_id_is_refused_and_the_attempts_are_events()
    {
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        await using var node = await StartAsync(time: time);
        await using var listener = node.ListenAs("five", 5);
        using var socket = await RunningNode.ConnectToAsync(listener);
        for (var i = 0; i < 40; i++)
        {
            await socket.SendAsync(Claiming("6"));
            Assert.Equal(PushStatus.IdentityMismatch, await RunningNode.ReceiveAsync(socket));
        }

        await WaitForAsync(async () => (await RefusalsAsync(node)).Count == 1);
        Assert.Equal((RefusalReason.IdentityMismatch, "6", 1ul, "uid-web"), (await RefusalsAsync(node))[0]);
        time.Advance(TimeSpan.FromSeconds(10));
        await WaitForAsync(async () => (await RefusalsAsync(node)).Count == 2);
        Assert.Equal((RefusalReason.IdentityMismatch, "6", 39ul, "uid-web"), (await RefusalsAsync(node))[1]);
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);

        // The guest itself is as good as before.
        await socket.SendAsync(Claiming("5"));
        Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
    }

    [Theory]
    // Kubernetes' uid, which is version 4: what a guest says of it must be that, in either case.
    [InlineData("6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10", "6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10", PushStatus.Stored)]
    [InlineData("6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10", "6F2C1B9E-3C1D-4F0A-9B1E-2A7D5C8E4F10", PushStatus.Stored)]
    [InlineData("6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10", "", PushStatus.Stored)]
    [InlineData("6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10", "6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f11", PushStatus.IdentityMismatch)]
    [InlineData("6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10", "6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10 ", PushStatus.IdentityMismatch)]
    [InlineData("6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f10", "web", PushStatus.IdentityMismatch)]
    // Made of names, or an operator's own: no guest can know it, and nothing is compared.
    [InlineData("6f2c1b9e-3c1d-5f0a-9b1e-2a7d5c8e4f10", "6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f11", PushStatus.Stored)]
    [InlineData("uid-web", "6f2c1b9e-3c1d-4f0a-9b1e-2a7d5c8e4f11", PushStatus.Stored)]
    public async Task A_uid_that_a_guest_claims_is_compared_with_the_one_that_Kubernetes_gave_it(string uid, string claimed, PushStatus status)
    {
        await using var node = await StartAsync(options => options with { Guests = [Web with { Uid = uid }] });
        await using var listener = node.ListenAs("five", 5);
        var report = new VMReport { IndexReport = new IndexReport { VsockCid = "5", VmId = claimed } };
        Assert.Equal(status, await SendAsync(listener, RunningNode.Frame(report.ToByteArray())));
        if (status == PushStatus.Stored) return;
        await WaitForAsync(async () => (await RefusalsAsync(node)).Count == 1);
        Assert.Equal((RefusalReason.IdentityMismatch, claimed, 1ul, uid), (await RefusalsAsync(node))[0]);
    }

    [Fact]
    public async Task A_claim_that_is_given_twice_counts_as_every_decoder_reads_it()
    {
        await using var node = await StartAsync();
        await using var listener = node.ListenAs("five", 5);
        byte[] Twice(string first, string last) => RunningNode.Frame(
        [
            .. new VMReport { IndexReport = new IndexReport { VsockCid = first } }.ToByteArray(), .. new VMReport { IndexReport = new IndexReport { VsockCid = last } }.ToByteArray(),
        ]);
        Assert.Equal(PushStatus.IdentityMismatch, await SendAsync(listener, Twice("5", "6")));
        Assert.Equal(PushStatus.Stored, await SendAsync(listener, Twice("6", "5")));
    }

    [Theory]
    [InlineData("05")]
    [InlineData("+5")]
    [InlineData("5 ")]
    [InlineData("4294967301")]
    [InlineData("\u001b[2Jvm")]
    public async Task A_claim_that_is_not_the_very_number_is_refused_and_kept_escaped(string claimed)
    {
        await using var node = await StartAsync();
        await using var listener = node.ListenAs("five", 5);
        Assert.Equal(PushStatus.IdentityMismatch, await SendAsync(listener, Claiming(claimed)));
        await WaitForAsync(async () => (await RefusalsAsync(node)).Count == 1);
        Assert.Equal(claimed.Replace("\u001b", "\\u{1b}", StringComparison.Ordinal), (await RefusalsAsync(node))[0].Claimed);
    }

    [Fact]
    public async Task A_machine_that_no_registry_knows_is_refused_or_named_by_its_channel()
    {
        await using (var node = await StartAsync())
        {
            await using var listener = node.ListenAs("nine", 9);
            Assert.Equal(PushStatus.UnknownGuest, await SendAsync(listener, Claiming("9")));
            await WaitForAsync(async () => (await RefusalsAsync(node)).Count == 1);
            Assert.Equal(RefusalReason.UnknownGuest, (await RefusalsAsync(node))[0].Reason);
        }

        await using (var node = await StartAsync(options => options with { UnknownGuests = UnknownGuestPolicy.Accept }))
        {
            await using var listener = node.ListenAs("nine", 9);
            using var socket = await RunningNode.ConnectToAsync(listener);
            await socket.SendAsync(Claiming("9"));
            Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
            var registry = node.Services.GetRequiredService<GuestRegistry>();
            var stored = Assert.Single(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
            Assert.Equal($"vsock:{registry.Network.Inode}:9", stored.Subject);

            // Once it is known, it does not go on as a stranger.
            registry.Replace(GuestSource.Sensor, [new GuestOptions { Uid = "uid-nine", Name = "nine", Cid = 9 }]);
            Assert.Null(await RunningNode.ReceiveAsync(socket));
            Assert.Equal(PushStatus.Stored, await SendAsync(listener, Claiming("9")));
            Assert.Equal("uid-nine", (await node.EventsAsync()).Last(e => e.Type == EventTypes.InventoryReport).Subject);
        }
    }

    [Fact]
    public async Task Unknown_machines_that_are_no_longer_accepted_lose_their_connections()
    {
        await using var node = await StartAsync(options => options with { UnknownGuests = UnknownGuestPolicy.Accept });
        await using var listener = node.ListenAs("nine", 9);
        using var socket = await RunningNode.ConnectToAsync(listener);
        await socket.SendAsync(Claiming("9"));
        Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(socket));
        node.Services.GetRequiredService<NodeConfiguration>().Replace(node.Options with { UnknownGuests = UnknownGuestPolicy.Refuse });
        Assert.Null(await RunningNode.ReceiveAsync(socket));
        Assert.Equal(PushStatus.UnknownGuest, await SendAsync(listener, Claiming("9")));
    }

    [Fact]
    public async Task What_contradicts_others_is_not_in_force_and_is_taken_when_it_no_longer_does()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("guests.json");
        await File.WriteAllTextAsync(file, """{"guests": []}""");
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        await using var node = await StartAsync(options => options with { RegistryFile = file }, time);
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        var configuration = node.Services.GetRequiredService<NodeConfiguration>();
        Assert.Empty(registry.Replace(GuestSource.Sensor, [new GuestOptions { Uid = "sensor", Name = "sensor", Cid = 41 }]));

        var wanted = node.Options with { Guests = [Web, new GuestOptions { Uid = "config", Name = "config", Cid = 41 }] };
        Assert.Contains("cid 41", Assert.Single(configuration.Replace(wanted)), StringComparison.Ordinal);
        Assert.Equal([Web, Database], configuration.Current.Guests);

        await File.WriteAllTextAsync(file, """{"guests": [{"name": "file", "uid": "file", "cid": 41}]}""");
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("sensor", registry.Find(41)!.Guest.Uid);
        Assert.Empty(registry.Replace(GuestSource.Sensor, []));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("file", registry.Find(41)!.Guest.Uid);

        await File.WriteAllTextAsync(file, """{"guests": [ ]}""");
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Empty(configuration.Replace(wanted));
        Assert.Equal("config", registry.Find(41)!.Guest.Uid);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(uint.MaxValue)]
    public async Task The_hosts_own_context_ids_are_never_guests(uint cid)
    {
        await using var node = await StartAsync(options => options with { UnknownGuests = UnknownGuestPolicy.Accept });
        await using var listener = node.ListenAs("host", cid);
        Assert.Equal(PushStatus.UnknownGuest, await SendAsync(listener, Claiming("5")));
    }

    [Fact]
    public async Task Where_a_privileged_port_is_demanded_any_other_is_refused()
    {
        await using var node = await StartAsync();
        var demanding = new VsockListenerOptions { PrivilegedSourcePort = true };
        await using var unprivileged = node.ListenAs("high", 5, 1024, demanding);
        await using var privileged = node.ListenAs("low", 5, 1023, demanding);
        Assert.Equal(PushStatus.UnprivilegedPort, await SendAsync(unprivileged, Claiming("5")));
        Assert.Equal(PushStatus.Stored, await SendAsync(privileged, Claiming("5")));
        await WaitForAsync(async () => (await RefusalsAsync(node)).Count == 1);
        Assert.Equal((RefusalReason.UnprivilegedPort, "uid-web"), ((await RefusalsAsync(node))[0].Reason, (await RefusalsAsync(node))[0].Subject));
    }

    [Fact]
    public async Task When_a_context_id_goes_to_another_machine_the_old_connections_end_and_others_stay()
    {
        await using var node = await StartAsync();
        await using var five = node.ListenAs("five", 5);
        await using var six = node.ListenAs("six", 6);
        using var old = await RunningNode.ConnectToAsync(five);
        using var other = await RunningNode.ConnectToAsync(six);
        await old.SendAsync(Claiming("5"));
        await other.SendAsync(Claiming("6"));
        Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(old));
        Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(other));

        var registry = node.Services.GetRequiredService<GuestRegistry>();
        Assert.Empty(registry.Replace(GuestSource.Configuration, [new GuestOptions { Uid = "uid-new", Name = "new", Cid = 5 }, Database]));
        Assert.Null(await RunningNode.ReceiveAsync(old));
        await other.SendAsync(Claiming("6"));
        Assert.Equal(PushStatus.Stored, await RunningNode.ReceiveAsync(other));
        Assert.Equal(PushStatus.Stored, await SendAsync(five, Claiming("5")));
        Assert.Equal("uid-new", (await node.EventsAsync()).Last(e => e.Type == EventTypes.InventoryReport).Subject);
        await WaitForAsync(async () => (await node.EventsAsync()).Any(e => e.Type == EventTypes.VmLifecycle && e.Subject == "uid-new"));
    }

    [Fact]
    public async Task Half_a_message_does_not_survive_a_change_of_its_machine()
    {
        await using var node = await StartAsync();
        await using var five = node.ListenAs("five", 5);
        using var socket = await RunningNode.ConnectToAsync(five);
        var message = Claiming("5");
        await socket.SendAsync(message.AsMemory(0, 7));
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        await WaitForAsync(() => Task.FromResult(registry.Find(5)!.Connections == 1));
        registry.Replace(GuestSource.Configuration, [Web with { BootEpoch = "boot-2" }]);
        Assert.Null(await RunningNode.ReceiveAsync(socket));
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
    }

    [Fact]
    public void Guests_that_contradict_each_other_are_not_taken()
    {
        var registry = new GuestRegistry(new NodeConfiguration(Options([Web, Database])), new ManualTimeProvider());
        Assert.Contains("cid 5", Assert.Single(registry.Replace(GuestSource.Sensor, [new GuestOptions { Uid = "x", Name = "x", Cid = 5 }])), StringComparison.Ordinal);
        Assert.Contains("uid-web", Assert.Single(registry.Replace(GuestSource.Sensor, [Web with { Cid = 7 }])), StringComparison.Ordinal);
        Assert.Contains("3 to", Assert.Single(registry.Replace(GuestSource.Sensor, [new GuestOptions { Uid = "x", Name = "x", Cid = 2 }])), StringComparison.Ordinal);
        Assert.Equal(2, registry.All.Count);

        // In another namespace the same context id is another machine, which is not on these listeners.
        Assert.Empty(registry.Replace(GuestSource.Sensor, [new GuestOptions { Uid = "x", Name = "x", Cid = 5, NetworkNamespace = registry.Network.Inode + 1 }]));
        Assert.Equal("uid-web", registry.Find(5)!.Guest.Uid);

        // To name this process's own namespace is to name none.
        var own = new GuestOptions { Uid = "y", Name = "y", Cid = 5, NetworkNamespace = registry.Network.Inode };
        Assert.Contains("cid 5", Assert.Single(registry.Replace(GuestSource.File, [own])), StringComparison.Ordinal);
        Assert.Empty(registry.Replace(GuestSource.File, [own with { Cid = 6 + 1000 }]));
        Assert.Equal("y", registry.Find(1006)!.Guest.Uid);
        Assert.Same(registry.Find(5), registry.FindOrAddUnknown(5));
    }

    [Fact]
    public void What_a_guest_has_used_up_is_not_renewed_by_a_new_boot()
    {
        var options = Options([Web]) with { Limits = new GuestLimits { MessagesPerSecond = 1, MessagesBurst = 1 } };
        var registry = new GuestRegistry(new NodeConfiguration(options), new ManualTimeProvider());
        Assert.Equal(TimeSpan.Zero, registry.Find(5)!.Share.Admit(1));
        registry.Replace(GuestSource.Configuration, [Web with { BootEpoch = "boot-2", Weight = 3 }]);
        Assert.True(registry.Find(5)!.Share.Admit(1) > TimeSpan.Zero);
        Assert.Equal(3, registry.Find(5)!.Share.Flow.Weight);
    }

    [Fact]
    public async Task A_registry_file_is_read_again_when_it_was_replaced_and_a_bad_one_changes_nothing()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("guests.json");
        await File.WriteAllTextAsync(file, """{"guests": [{"name": "file1", "cid": 41, "bootEpoch": "b"}]}""");
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        await using var node = await StartAsync(options => options with { RegistryFile = file }, time);
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        Assert.Equal(GuestOptions.UidOf("local", "node1", "file1"), registry.Find(41)!.Guest.Uid);
        var kept = registry.Find(41);

        Put("""{"guests": [{"name": "file1", "cid": 41, "bootEpoch": "b"}, {"name": "file2", "uid": "u2", "cid": 42}]}""");
        Assert.Same(kept, registry.Find(41));
        Assert.Equal("u2", registry.Find(42)!.Guest.Uid);
        foreach (var bad in new[]
        {
            "null", """{"guests": null}""", """{"guests": [null]}""", """{"guests": [{"name": null, "cid": 43}]}""", """{"guests": [{"name": "a", "name": "b", "cid": 43}]}""",
            """{"guests": [], "guests": []}""",
        })
        {
            Put(bad);
            Assert.Equal(4, registry.All.Count);
        }

        foreach (var bad in new[] { "", "{", "[]", """{"guests": [{"nam": "x"}]}""", """{"guests": [{"name": "x", "cid": 1}]}""", """{"guests": [{"name": "x", "cid": 5}]}""" })
        {
            Put(bad);
            Assert.Equal(4, registry.All.Count);
        }

        File.Delete(file);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(4, registry.All.Count);
        Put("""{"guests": []}""");
        Assert.Equal(2, registry.All.Count);

        void Put(string text)
        {
            File.WriteAllText(file + ".new", text);
            File.Move(file + ".new", file, overwrite: true);
            time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    [Theory]
    [InlineData("""{"guests": [{"name": "a", "sockt": "/x"}]}""", "'sockt' is not known; the file has guests, and a guest uid, name,")]
    [InlineData("""{"guests": [{"uid": "a"}]}""", "a guest has no name")]
    [InlineData("{\n}", "there is no list guests")]
    [InlineData("{\n\"guests\": 5}", "line 2, $.guests: the value is of the wrong kind")]
    [InlineData("""{"guests": [{"name": "a", "cid": "five"}]}""", "line 1, $.guests[0].cid: the value is of the wrong kind")]
    [InlineData("""{"guests": [{"name": "a", "name": "b"}]}""", "given twice")]
    [InlineData("guests: []", "line 1: is not JSON")]
    public void A_mistake_in_a_registry_file_is_told_in_words_of_the_file(string text, string words)
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("guests.json");
        File.WriteAllText(file, text);
        var message = Assert.Throws<InvalidDataException>(() => RegistryFile.Read(file, Options([]))).Message;
        Assert.StartsWith(file + ": ", message, StringComparison.Ordinal);
        Assert.Contains(words, message, StringComparison.Ordinal);
        foreach (var foreign in new[] { ".NET", "System.", "Guestmark.", "BytePosition" }) Assert.DoesNotContain(foreign, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_guest_that_is_given_twice_is_called_by_its_name_and_a_relative_socket_is_refused()
    {
        var guest = new GuestOptions { Name = "web1", Uid = GuestOptions.UidOf("local", "node1", "web1"), SocketBase = "/run/a.sock" };
        Assert.Contains("guest 'web1' (uid", Assert.Single(Options([guest, guest with { SocketBase = "/run/b.sock" }]).Validate()), StringComparison.Ordinal);
        Assert.Contains("is given to 'web1' and 'web2'", Assert.Single(Options([guest, guest with { Name = "web2", SocketBase = "/run/b.sock" }]).Validate()), StringComparison.Ordinal);
        Assert.Contains("'run/a.sock' is a relative path", Assert.Single(Options([guest with { SocketBase = "run/a.sock" }]).Validate()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_registry_file_that_is_wrong_at_the_start_stops_it()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("guests.json");
        await File.WriteAllTextAsync(file, """{"guests": [{"name": "x", "cid": 2}]}""");
        var problem = await Assert.ThrowsAsync<InvalidDataException>(() => StartAsync(options => options with { RegistryFile = file }));
        Assert.Contains("guests.json", problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("net:[4026531840]", 4026531840)]
    [InlineData("net:[]", 0)]
    [InlineData("mnt:[1]", 0)]
    [InlineData(null, 0)]
    public void The_namespace_is_the_number_in_the_link(string? target, ulong expected) => Assert.Equal(expected, NetworkNamespace.Read(target));

    static NodeOptions Options(IReadOnlyList<GuestOptions> guests) => new()
    {
        Node = "node1",
        DataDirectory = "/nonexistent",
        Certificates = "/nonexistent",
        SensorEndpoint = new Uri("https://127.0.0.1:1"),
        Guests = guests,
    };

    static Task<RunningNode> StartAsync(Func<NodeOptions, NodeOptions>? configure = null, TimeProvider? time = null) =>
        RunningNode.StartAsync(options => (configure ?? (o => o))(options with { Guests = [Web, Database] }), time);

    static byte[] Claiming(string cid) => RunningNode.Frame(new VMReport { IndexReport = new IndexReport { VsockCid = cid } }.ToByteArray());

    static async Task<PushStatus?> SendAsync(Listening.GuestListener listener, byte[] bytes)
    {
        using var socket = await RunningNode.ConnectToAsync(listener);
        try
        {
            await socket.SendAsync(bytes);
        }
        catch (SocketException)
        {
            // Refused before it was sent: the answer is there.
        }

        return await RunningNode.ReceiveAsync(socket);
    }

    static async Task<List<(RefusalReason Reason, string Claimed, ulong Count, string Subject)>> RefusalsAsync(RunningNode node) =>
        [.. (await node.EventsAsync()).Where(e => e.Type == EventTypes.GuestRefused).Select(e =>
        {
            var refused = GuestRefused.Parser.ParseFrom(e.Data.Span);
            return (refused.Reason, refused.Claimed, refused.Count, e.Subject);
        })];

    internal static async Task WaitForAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!await condition())
        {
            if (limit.IsCancellationRequested) throw new TimeoutException("the condition did not come true");
            await Task.Yield();
        }
    }
}
