using System.Formats.Cbor;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Guestmark.Events;
using Guestmark.TestKit;
using Guestmark.Wire.Declarations;

namespace Guestmark.Node.Tests.Cells;

/// <summary>Establishes what a cell can and cannot do on its socket, from its bytes to the events in the spool.</summary>
public sealed class CellChannelTests
{
    static readonly byte[] Spawned = CellNode.Frame("process.spawned", 9, "evil", 7);

    [Fact]
    public async Task End_to_end_frame_round_trip_stamps_attribution()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        // The guest says that it is another; the host does not listen.
        await socket.SendAsync(CellNode.Framed(Map(1, 9, "evil", 7, ("cell_id", "FORGED"), ("run_id", "FORGED"), ("subject", "FORGED"))));

        var stamped = (await node.EventsUntilAsync(e => e.Type == EventTypes.GuestDeclaration))[^1];
        Assert.Equal("cell-A", stamped.Subject);
        Assert.Equal("//local/node1/cell:cell-A", stamped.Source);
        var declaration = Assert.Single(DeclarationBatch.Parser.ParseFrom(stamped.Data.Span).Declarations);
        Assert.Equal(("process.spawned", 9u, "evil", 7UL, 1u), (declaration.ProbeSource, declaration.GuestPid, declaration.GuestComm, declaration.GuestMonotonicNs, declaration.ContentVersion));
        Assert.Equal(stamped.Time.ToUnixTimeMilliseconds(), declaration.ReceivedAt.ToDateTimeOffset().ToUnixTimeMilliseconds(), 2000.0);
        Assert.False(stamped.Encoded.Span.IndexOf("FORGED"u8) >= 0);
        foreach (var text in (string[])["cellid", "runid", "run-1", "specsignaturehash", "sha256:abc"])
            Assert.True(stamped.Encoded.Span.IndexOf(Encoding.UTF8.GetBytes(text)) > 0, $"{text} is not in the event");
        Assert.Equal(3, node.Count("guestmark.node.cell.unknown_keys"));
    }

    [Fact]
    public async Task Refused_frames_are_counted_and_the_channel_goes_on()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        await socket.SendAsync((byte[])
        [
            .. CellNode.Framed(Map(0x0100, 1, "later", 1)), .. CellNode.Framed([0xff, 0xff, 0xff]), .. CellNode.Framed([.. Map(1, 1, "x", 1), 0]),
            .. CellNode.Framed(new byte[65536]), .. CellNode.Frame("guest.made.up", 2, "x", 2), .. Spawned,
        ]);
        Assert.Equal("evil", Assert.Single(await node.DeclarationsAsync(1)).GuestComm);
        Assert.Equal(1, node.Count("guestmark.node.cell.frames:UnsupportedVersion"));
        Assert.Equal(1, node.Count("guestmark.node.cell.frames:Malformed"));
        Assert.Equal(1, node.Count("guestmark.node.cell.frames:TrailingBytes"));
        Assert.Equal(1, node.Count("guestmark.node.cell.frames:NotAMap"));
        Assert.Equal(1, node.Count("guestmark.node.cell.frames:UnknownSource"));
        await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.frames:Stored") == 1, "stored is counted");
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(65537u)]
    [InlineData(uint.MaxValue)]
    public async Task A_length_that_is_none_closes_the_connection_at_once(uint length)
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        await socket.SendAsync((byte[])[.. Spawned, .. BitConverter.GetBytes(length), 1, 2, 3]);
        Assert.Equal(0, await ReceiveAsync(socket));
        Assert.Equal(1UL, (await node.SilencedAsync(SilenceReason.Malformed)).Frames);

        // And an agent may come again.
        using var again = await node.ConnectAsync("cell-A");
        await again.SendAsync(Spawned);
        Assert.Equal(2, (await node.DeclarationsAsync(2)).Count);
        Assert.Equal(1, node.Count("guestmark.node.cell.revivals"));
    }

    [Fact]
    public async Task Frames_may_come_in_any_pieces()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        var bytes = new List<byte>();
        for (var i = 1; i <= 3000; i++) bytes.AddRange(CellNode.Framed(Map(1, (uint)i, "p", (ulong)i, ("pad", new string('x', i % 997)))));
        var random = new Random(1);
        var all = bytes.ToArray();
        for (var at = 0; at < all.Length;)
        {
            var piece = Math.Min(all.Length - at, random.Next(1, random.Next(2) == 0 ? 50 : 100_000));
            await socket.SendAsync(all.AsMemory(at, piece));
            at += piece;
        }

        var declarations = await node.DeclarationsAsync(3000);
        Assert.Equal(Enumerable.Range(1, 3000).Select(i => (uint)i), declarations.Select(d => d.GuestPid));
    }

    [Fact]
    public async Task What_arrives_together_is_one_event_of_at_most_64_KiB()
    {
        await using var node = await CellNode.StartAsync(configure: options => options with { DeclarationsPerSecond = 0 });
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        var frame = CellNode.Frame("process.spawned", uint.MaxValue, new string('x', 64), ulong.MaxValue, 0, 0);
        await socket.SendAsync(Enumerable.Repeat(frame, 5000).SelectMany(f => f).ToArray());
        var count = 0;
        var events = await node.EventsUntilAsync(e => (count += DeclarationBatch.Parser.ParseFrom(e.Data.Span).Declarations.Count) == 5000);
        Assert.All(events, e => Assert.True(e.Encoded.Length <= 64 * 1024, $"{e.Encoded.Length}"));
        Assert.All(events, e => Assert.True(DeclarationBatch.Parser.ParseFrom(e.Data.Span).Declarations.Count <= 512));
        Assert.True(events.Count < 500, $"{events.Count} events for 5,000 frames");
    }

    [Fact]
    public async Task A_hundred_thousand_forged_frames_never_change_a_stamp()
    {
        await using var node = await CellNode.StartAsync(configure: options => options with { DeclarationsPerSecond = 0 });
        await node.AddAsync("cell-A");
        await node.AddAsync("victim");
        using var socket = await node.ConnectAsync("cell-A");
        string[] attribution =
            ["cell_id", "run_id", "subject", "source", "spec_signature_hash", "host_received_at", "cellid", "runid", "sequence", "stream", "id", "type", "guest_cid", "output"];
        var chunk = new List<byte>();
        for (var seed = 0; seed < 100_000; seed++)
        {
            var random = new Random(seed);
            var writer = new CborWriter(CborConformanceMode.Lax);
            var extra = random.Next(1, 6);
            var twice = random.Next(4) == 0;
            writer.WriteStartMap(5 + extra + (twice ? 1 : 0));
            var before = random.Next(extra + 1);
            for (var i = 0; i < before; i++) Forge(i);
            writer.WriteTextString("content_version");
            writer.WriteUInt64(1);
            writer.WriteTextString("probe_source");
            writer.WriteTextString("process.spawned");
            writer.WriteTextString("guest_pid");
            writer.WriteUInt64((uint)seed);
            writer.WriteTextString("guest_comm");
            writer.WriteTextString("evil");
            writer.WriteTextString("guest_monotonic_ns");
            writer.WriteUInt64((ulong)seed);
            for (var i = before; i < extra; i++) Forge(i);
            if (twice)
            {
                writer.WriteTextString(random.Next(2) == 0 ? "guest_comm" : "guest_pid");
                writer.WriteTextString("victim");
            }

            writer.WriteEndMap();
            chunk.AddRange(CellNode.Framed(writer.Encode()));
            if (seed % 1000 != 999) continue;
            await socket.SendAsync(chunk.ToArray());
            chunk.Clear();

            void Forge(int i)
            {
                writer.WriteTextString(random.Next(8) == 0 ? "cell_id" : attribution[(seed + i) % attribution.Length]);
                if (random.Next(3) == 0) writer.WriteUInt64(77);
                else writer.WriteTextString("victim");
            }
        }

        await socket.SendAsync(CellNode.Frame("process.exited", 1, "last", ulong.MaxValue));
        var events = await node.EventsUntilAsync(e => e.Data.Span.IndexOf("process.exited"u8) >= 0);
        Assert.All(events, e =>
        {
            Assert.Equal((EventTypes.GuestDeclaration, "cell-A", "//local/node1/cell:cell-A"), (e.Type, e.Subject, e.Source));
            Assert.True(e.Encoded.Span.IndexOf("victim"u8) < 0, "what was forged is in an event");
        });
        var declarations = events.SelectMany(e => DeclarationBatch.Parser.ParseFrom(e.Data.Span).Declarations).ToList();
        await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.frames:Stored") == declarations.Count, "all stored are counted");
        Assert.True(declarations.Count is > 10_000 and < 90_000, $"{declarations.Count} were taken");
        Assert.Equal(100_001, declarations.Count + node.Count("guestmark.node.cell.frames:DuplicateKey") + node.Count("guestmark.node.cell.frames:WrongType"));
        Assert.Equal(Enumerable.Range(1, events.Count).Select(i => (ulong)i), events.Select(e => e.Position.Sequence));
    }

    [Fact]
    public async Task A_second_connection_is_refused_and_told_of_at_once_and_the_next_are_gathered()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var first = await node.ConnectAsync("cell-A");
        await first.SendAsync(Spawned);
        await node.DeclarationsAsync(1);
        for (var i = 0; i < 10; i++)
        {
            using var second = await node.ConnectAsync("cell-A");
            Assert.Equal(0, await ReceiveAsync(second));
        }

        await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.second_connections") == 10, "all are counted");
        var refused = (await node.EventsUntilAsync(e => e.Type == EventTypes.GuestRefused))[^1];
        Assert.Equal(("cell-A", "//local/node1/cell:cell-A"), (refused.Subject, refused.Source));
        var data = GuestRefused.Parser.ParseFrom(refused.Data.Span);
        Assert.Equal((RefusalReason.SecondConnection, 1UL), (data.Reason, data.Count));
        Assert.Single(await node.EventsAsync(), e => e.Type == EventTypes.GuestRefused);

        // The first is not touched.
        await first.SendAsync(Spawned);
        Assert.Equal(2, (await node.DeclarationsAsync(2)).Count);
    }

    [ToolFact("python3")]
    public async Task A_killed_agent_is_an_event_after_its_last_declaration()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        // A process that speaks for the guest, and dies.
        await using var agent = GuestmarkProcess.Start("/usr/bin/python3", "-c", """
            import socket, sys, time
            s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(bytes.fromhex(sys.argv[2])); print('sent', flush=True); time.sleep(600)
            """, Path.Combine(node.Folder, "cell-A.sock_9001"), Convert.ToHexString(Spawned));
        await agent.WaitForLineAsync("sent");
        await node.DeclarationsAsync(1);
        await agent.KillAsync();
        var silenced = await node.SilencedAsync(SilenceReason.Closed);
        Assert.Equal(1UL, silenced.Frames);
        Assert.NotNull(silenced.LastFrameAt);
        Assert.Equal("silent", (await node.StatusAsync("cell-A")).GetProperty("state").GetString());
    }

    [Theory]
    [InlineData(0, SilenceReason.Closed)]
    [InlineData(1, SilenceReason.HalfFrame)]
    [InlineData(3, SilenceReason.HalfFrame)]
    [InlineData(4, SilenceReason.HalfFrame)]
    [InlineData(30, SilenceReason.HalfFrame)]
    public async Task A_close_within_a_frame_even_within_its_length_is_not_clean(int bytes, SilenceReason expected)
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using (var socket = await node.ConnectAsync("cell-A"))
        {
            await socket.SendAsync((byte[])[.. Spawned, .. Spawned.AsSpan(0, bytes)]);
        }

        await node.SilencedAsync(expected);
        Assert.Equal(1, (await node.EventsAsync()).Count(e => e.Type == EventTypes.GuestSilenced));
    }

    [Fact]
    public async Task What_the_agent_says_to_have_dropped_is_counted_by_its_steps()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using (var socket = await node.ConnectAsync("cell-A"))
        {
            await socket.SendAsync(CellNode.Frame("agent.heartbeat", 1, "agent", 1, 1, dropped: 5));
            await socket.SendAsync(CellNode.Frame("agent.heartbeat", 1, "agent", 2, 2, dropped: 7));
            await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.agent_dropped") == 7, "both steps are counted");
        }

        // The same agent on another connection goes on; a new one begins anew.
        using (var socket = await node.ConnectAsync("cell-A"))
        {
            await socket.SendAsync(CellNode.Frame("agent.heartbeat", 1, "agent", 3, 1, dropped: 10));
            await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.agent_dropped") == 10, "the step over the break is counted");
            await socket.SendAsync(CellNode.Frame("agent.heartbeat", 1, "agent", 4, 2, dropped: 2));
            await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.agent_dropped") == 12, "the new agent's are counted");
            Assert.Equal(12, (await node.StatusAsync("cell-A")).GetProperty("agentDropped").GetInt64());

            // A claim beyond all reason neither runs over nor goes back.
            await socket.SendAsync(CellNode.Frame("agent.heartbeat", 1, "agent", 5, 3, dropped: ulong.MaxValue));
            await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.agent_dropped") == 12L + uint.MaxValue, "it is bounded");
        }
    }

    [Fact]
    public async Task A_connection_that_idles_is_told_of_once_and_stays_open()
    {
        await using var node = await CellNode.StartAsync(window: 200);
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        await socket.SendAsync(Spawned);
        Assert.Equal(1UL, (await node.SilencedAsync(SilenceReason.Idle)).Frames);
        await socket.SendAsync(CellNode.Frame("agent.heartbeat", 1, "agent", 8, 1));
        await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.revivals") == 1, "a heartbeat ends the silence");
        Assert.Equal(1, node.Count("guestmark.node.cell.frames:Heartbeat"));
        await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.silences:idle") == 2, "the next episode");
    }

    [Fact]
    public async Task Half_a_frame_has_a_deadline_of_its_own_however_its_bytes_trickle()
    {
        await using var node = await CellNode.StartAsync(configure: options => options with { FrameTimeout = TimeSpan.FromMilliseconds(300) });
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        await socket.SendAsync(Spawned);
        var closed = ReceiveAsync(socket);
        var next = 0;
        while (!closed.IsCompleted && next < Spawned.Length - 1)
        {
            try
            {
                await socket.SendAsync(Spawned.AsMemory(next++, 1));
            }
            catch (SocketException)
            {
                break;
            }

            await Task.WhenAny(closed, Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System));
        }

        Assert.Equal(0, await closed);
        await node.SilencedAsync(SilenceReason.HalfFrame);
    }

    [Fact]
    public async Task A_cell_that_nobody_connects_to_is_told_of()
    {
        await using var node = await CellNode.StartAsync(window: 200);
        await node.AddAsync("cell-A");
        var silenced = await node.SilencedAsync(SilenceReason.NeverConnected);
        Assert.Equal(0UL, silenced.Frames);
        Assert.Null(silenced.LastFrameAt);
    }

    [Fact]
    public async Task A_full_spool_stalls_the_guest_and_loses_nothing()
    {
        await using var node = await CellNode.StartAsync(window: 300, options => options with { DeclarationsPerSecond = 0 }, hasSmallSpool: true);
        await node.FillSpoolAsync();
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        using var stop = new CancellationTokenSource();
        var sent = 0UL;
        var sending = Task.Run(async () =>
        {
            var frames = new List<byte>();
            while (true)
            {
                frames.Clear();
                for (var i = 1; i <= 1000; i++) frames.AddRange(CellNode.Frame("process.spawned", 1, new string('x', 64), 1, sent + (ulong)i));
                var bytes = frames.ToArray();
                for (var at = 0; at < bytes.Length;) at += await socket.SendAsync(bytes.AsMemory(at), stop.Token);
                sent += 1000;
            }
        });
        await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.silences:stalled") == 1, "the stall is noticed");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);

        // There is room again: the spool's reader acknowledges what it has.
        var cursor = node.Spool.OpenCursor();
        var expected = 1UL;
        var stalls = 0;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (expected <= sent || stalls == 0)
        {
            foreach (var record in await cursor.ReadAsync(100, 1 << 25, limit.Token))
            {
                Assert.Null(StampedEvent.TryRead(record.Data, out var stamped));
                if (CellNode.IsSilence(stamped!, SilenceReason.Stalled)) stalls++;
                if (stamped!.Type == EventTypes.GuestDeclaration)
                {
                    foreach (var declaration in DeclarationBatch.Parser.ParseFrom(stamped.Data.Span).Declarations) Assert.Equal(expected++, declaration.GuestSequence);
                }

                node.Spool.Acknowledge(record.Index);
            }
        }

        Assert.Equal(1, stalls);
    }

    [Fact]
    public async Task More_than_a_cell_s_rate_is_read_later_and_not_dropped()
    {
        await using var node = await CellNode.StartAsync(configure: options => options with { DeclarationsPerSecond = 1000, DeclarationsBurst = 100 });
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        await socket.SendAsync(Enumerable.Range(1, 500).SelectMany(i => CellNode.Frame("process.spawned", (uint)i, "p", (ulong)i, (ulong)i)).ToArray());
        Assert.Equal(Enumerable.Range(1, 500).Select(i => (uint)i), (await node.DeclarationsAsync(500)).Select(d => d.GuestPid));
        Assert.InRange(node.Count("guestmark.node.cell.throttled"), 1, 100);
    }

    [Fact]
    public async Task The_agent_s_losses_clocks_and_numbers_are_seen()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        await socket.SendAsync((byte[])
        [
            .. CellNode.Frame("process.spawned", 1, "a", 100, 1), .. CellNode.Frame("process.spawned", 2, "b", 99, 2),
            .. CellNode.Frame("process.spawned", 3, "c", 100, 4), .. CellNode.Frame("agent.heartbeat", 4, "agent", 101, 5),
            .. CellNode.Frame("agent.heartbeat", 4, "agent", 102, 6, dropped: 12_345),
        ]);
        var declarations = await node.DeclarationsAsync(4);
        Assert.Equal(12_345UL, declarations[^1].GuestDropped);
        Assert.Equal(["process.spawned", "process.spawned", "process.spawned", "agent.heartbeat"], declarations.Select(d => d.ProbeSource));
        Assert.Equal(1, node.Count("guestmark.node.cell.backward_clocks"));
        Assert.Equal(1, node.Count("guestmark.node.cell.sequence_gaps"));
        Assert.Equal(1, node.Count("guestmark.node.cell.frames:Heartbeat"));
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public async Task Whatever_a_guest_sends_the_next_agent_is_heard_and_all_is_accounted()
    {
        await using var node = await CellNode.StartAsync(configure: options => options with { DeclarationsPerSecond = 0 });
        await node.AddAsync("cell-A");
        // A connection costs a thousand times what a frame in memory does.
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), CultureInfo.InvariantCulture, out var asked) ? Math.Max(200, asked / 1000) : 200;
        for (var seed = 0; seed < inputs; seed++)
        {
            var random = new Random(seed);
            var bytes = Enumerable.Repeat(Spawned, random.Next(1, 20)).SelectMany(frame => frame).ToArray();
            for (var changes = random.Next(0, 6); changes > 0; changes--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            using var socket = await node.ConnectAsync("cell-A");
            try
            {
                await socket.SendAsync(bytes.AsMemory(0, random.Next(bytes.Length + 1)));
                socket.Shutdown(SocketShutdown.Send);
            }
            catch (SocketException)
            {
                // Refused in the middle.
            }

            await ReceiveAsync(socket);
            await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.connections") == 0, "the connection is over");
        }

        using var last = await node.ConnectAsync("cell-A");
        await last.SendAsync(CellNode.Frame("process.spawned", 4242, "last", 1));
        var events = await node.EventsUntilAsync(e =>
            e.Type == EventTypes.GuestDeclaration && DeclarationBatch.Parser.ParseFrom(e.Data.Span).Declarations.Any(d => d is { GuestPid: 4242, GuestComm: "last" }));
        Assert.All(events, e => Assert.Equal("cell-A", e.Subject));
        var declared = events.Where(e => e.Type == EventTypes.GuestDeclaration).Sum(e => DeclarationBatch.Parser.ParseFrom(e.Data.Span).Declarations.Count);
        await CellNode.UntilAsync(() => node.Count("guestmark.node.cell.frames:Stored") == declared, "what is stored is what is counted");
    }

    internal static async Task<int> ReceiveAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            return await socket.ReceiveAsync(new byte[16], limit.Token);
        }
        catch (SocketException)
        {
            // Closed with bytes of ours unread.
            return 0;
        }
    }

    static byte[] Map(ulong version, uint pid, string comm, ulong ns, params (string Key, string Value)[] extra)
    {
        var writer = new CborWriter(CborConformanceMode.Lax);
        writer.WriteStartMap(5 + extra.Length);
        writer.WriteTextString("content_version");
        writer.WriteUInt64(version);
        writer.WriteTextString("probe_source");
        writer.WriteTextString(ProbeSources.ProcessSpawned);
        writer.WriteTextString("guest_pid");
        writer.WriteUInt64(pid);
        writer.WriteTextString("guest_comm");
        writer.WriteTextString(comm);
        writer.WriteTextString("guest_monotonic_ns");
        writer.WriteUInt64(ns);
        foreach (var (key, value) in extra)
        {
            writer.WriteTextString(key);
            writer.WriteTextString(value);
        }

        writer.WriteEndMap();
        return writer.Encode();
    }
}
