using System.Buffers;
using System.Net.Sockets;
using System.Text;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Node.Tests;

/// <summary>Establishes the transport under the protocols: what a pipe over a guest's socket does, and when listeners come and go.</summary>
public sealed class GuestListenerTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Bytes_arrive_in_order_as_one_segment_whatever_the_protocol_consumes()
    {
        var random = new Random(1);
        var sent = new byte[3_000_000];
        random.NextBytes(sent);
        var received = new MemoryStream();
        var done = new TaskCompletionSource();
        await using var listener = Listen(async connection =>
        {
            var input = connection.Transport.Input;
            var choice = new Random(2);
            while (true)
            {
                var read = await input.ReadAsync();
                Assert.True(read.Buffer.IsSingleSegment);
                var take = choice.Next(0, (int)read.Buffer.Length + 1);
                if (read.IsCompleted) take = (int)read.Buffer.Length;
                received.Write(read.Buffer.FirstSpan[..take]);
                var examined = choice.Next(2) == 0 ? read.Buffer.End : read.Buffer.GetPosition(choice.Next(take, (int)read.Buffer.Length + 1));
                input.AdvanceTo(read.Buffer.GetPosition(take), examined);
                if (read.IsCompleted) break;
            }

            done.SetResult();
        });
        using (var socket = await ConnectAsync())
        {
            for (var at = 0; at < sent.Length;)
            {
                var piece = Math.Min(sent.Length - at, random.Next(1, 100_000));
                await socket.SendAsync(sent.AsMemory(at, piece));
                at += piece;
            }
        }

        await done.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(sent, received.ToArray());
    }

    [Fact]
    public async Task What_is_written_arrives_though_the_guest_reads_late()
    {
        var answer = new byte[2_000_000];
        new Random(3).NextBytes(answer);
        await using var listener = Listen(async connection =>
        {
            connection.Transport.Output.Write(answer);
            await connection.Transport.Output.FlushAsync();
        });
        using var socket = await ConnectAsync();
        var received = new MemoryStream();
        var buffer = new byte[65536];
        while (await socket.ReceiveAsync(buffer) is var count and > 0) received.Write(buffer, 0, count);
        Assert.Equal(answer, received.ToArray());
    }

    [Fact]
    public async Task A_pending_read_can_be_cancelled_and_goes_on()
    {
        var seen = new List<string>();
        var waits = new TaskCompletionSource<ConnectionContext>();
        var done = new TaskCompletionSource();
        await using var listener = Listen(async connection =>
        {
            waits.SetResult(connection);
            while (true)
            {
                var read = await connection.Transport.Input.ReadAsync();
                seen.Add($"{(read.IsCanceled ? "cancelled" : read.IsCompleted ? "end" : "data")} {Encoding.ASCII.GetString(read.Buffer)}");
                connection.Transport.Input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                if (read.IsCompleted) break;
                if (seen.Count == 1) connection.Transport.Input.CancelPendingRead();
            }

            done.SetResult();
        });
        using (var socket = await ConnectAsync())
        {
            (await waits.Task).Transport.Input.CancelPendingRead();
            await IdentityTests.WaitForAsync(() => Task.FromResult(seen.Count == 2));
            await socket.SendAsync("ab"u8.ToArray());
            await IdentityTests.WaitForAsync(() => Task.FromResult(seen.Count == 3));
        }

        await done.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(["cancelled ", "cancelled ", "data ab", "end ab"], seen);
    }

    [Fact]
    public async Task An_abort_ends_reads_and_writes_that_wait()
    {
        var reading = new TaskCompletionSource<ConnectionContext>();
        var ended = new TaskCompletionSource<Exception>();
        await using var listener = Listen(async connection =>
        {
            reading.SetResult(connection);
            try
            {
                await connection.Transport.Input.ReadAsync();
            }
            catch (Exception e)
            {
                ended.SetResult(e);
            }
        });
        using var socket = await ConnectAsync();
        var served = await reading.Task;
        var closed = served.ConnectionClosed;
        served.Abort(new ConnectionAbortedException());
        Assert.IsType<ConnectionAbortedException>(await ended.Task.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.True(closed.IsCancellationRequested);
        Assert.Equal(0, await socket.ReceiveAsync(new byte[1]));
    }

    [Fact]
    public async Task A_socket_that_somebody_put_in_the_place_of_ours_is_noticed_and_left_alone()
    {
        var path = _folder.File("s");
        var listener = Listen(connection => Task.CompletedTask);
        Assert.True(listener.IsReachable);
        File.Move(path, path + ".moved");
        Assert.False(listener.IsReachable);
        // The very file is ours wherever it was meanwhile.
        File.Move(path + ".moved", path);
        Assert.True(listener.IsReachable);

        File.Delete(path);
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(path));
        other.Listen();
        Assert.False(listener.IsReachable);
        await listener.DisposeAsync();
        Assert.True(File.Exists(path));
        using (await ConnectAsync())
        {
        }

        // One's own is removed.
        other.Dispose();
        listener = Listen(connection => Task.CompletedTask);
        await listener.DisposeAsync();
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_connection_that_is_served_slowly_does_not_keep_others_from_being_accepted()
    {
        var release = new TaskCompletionSource();
        await using var listener = Listen(async connection =>
        {
            await connection.Transport.Output.WriteAsync("x"u8.ToArray());
            await release.Task;
        });
        var sockets = new List<Socket>();
        for (var i = 0; i < 200; i++) sockets.Add(await ConnectAsync());
        var one = new byte[1];
        foreach (var socket in sockets) Assert.Equal(1, await socket.ReceiveAsync(one));
        release.SetResult();
        sockets.ForEach(socket => socket.Dispose());
    }

    [Fact]
    public async Task The_sockets_file_has_its_mode_and_goes_with_the_listener()
    {
        var listener = Listen(_ => Task.CompletedTask);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder.File("s")));
        await listener.DisposeAsync();
        Assert.False(File.Exists(_folder.File("s")));
        const UnixFileMode group = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
        await using var shared = GuestListener.Bind(
            new UnixDomainSocketEndPoint(_folder.File("s")), _ => Task.CompletedTask, NullLogger.Instance,
            () => File.SetUnixFileMode(_folder.File("s"), group));
        Assert.Equal(group, File.GetUnixFileMode(_folder.File("s")));
    }

    [Fact]
    public async Task A_guest_in_the_middle_of_a_message_holds_up_a_stop_for_five_seconds()
    {
        var time = new ManualTimeProvider();
        var entered = new TaskCompletionSource();
        var listener = GuestListener.Bind(
            new UnixDomainSocketEndPoint(_folder.File("s")),
            async connection =>
            {
                entered.SetResult();
                await connection.Transport.Input.ReadAsync();
            },
            NullLogger.Instance, time: time);
        using var socket = await ConnectAsync();
        await entered.Task.WaitAsync(TimeSpan.FromSeconds(20));
        var stop = listener.DisposeAsync().AsTask();
        await IdentityTests.WaitForAsync(() => Task.FromResult(!File.Exists(_folder.File("s"))));
        Assert.False(stop.IsCompleted);
        // The stop waits for the time that this test gives, so a wait that begins late is met by the next second.
        await IdentityTests.WaitForAsync(() =>
        {
            time.Advance(TimeSpan.FromSeconds(1));
            return Task.FromResult(stop.IsCompleted);
        });
        await stop;
    }

    [Fact]
    public async Task A_second_listener_is_refused_a_stale_socket_is_replaced_and_a_file_is_left_alone()
    {
        var path = _folder.File("s");
        await using (Listen(_ => Task.CompletedTask)) Assert.Throws<AddressInUseException>(() => Listen(_ => Task.CompletedTask));
        using (var stale = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            // The runtime deletes the file that it bound, under the name that it knows.
            stale.Bind(new UnixDomainSocketEndPoint(path + ".bound"));
            File.Move(path + ".bound", path);
        }

        await using (Listen(_ => Task.CompletedTask)) (await ConnectAsync()).Dispose();
        await File.WriteAllTextAsync(path, "not a socket");
        Assert.Throws<IOException>(() => Listen(_ => Task.CompletedTask));
        Assert.Equal("not a socket", await File.ReadAllTextAsync(path));
    }

    [Fact]
    public async Task Guests_that_come_and_go_bring_and_take_their_sockets()
    {
        await using var node = await RunningNode.StartAsync();
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        var late = new GuestOptions { Uid = "uid-late", Name = "late", SocketBase = node.Folder.File("late.sock") };
        Assert.Empty(registry.Replace(GuestSource.Sensor, [late]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(File.Exists(late.SocketPath(818))));
        byte[] report = RunningNode.Frame([8 << 3, 0]);
        await IdentityTests.WaitForAsync(async () =>
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(late.SocketPath(818)));
            }
            catch (SocketException)
            {
                return false;
            }

            await socket.SendAsync(report);
            return await RunningNode.ReceiveAsync(socket) == PushStatus.Stored;
        });

        // Another machine at the same path: the socket is made anew.
        Assert.Empty(registry.Replace(GuestSource.Sensor, [late with { Uid = "uid-other" }]));
        await IdentityTests.WaitForAsync(async () =>
            (await node.EventsAsync()).Any(e => e.Type == Guestmark.Events.EventTypes.VmLifecycle && e.Subject == "uid-other"));
        Assert.Empty(registry.Replace(GuestSource.Sensor, []));
        await IdentityTests.WaitForAsync(() => Task.FromResult(!File.Exists(late.SocketPath(818))));
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", report));
    }

    [Fact]
    public async Task A_guest_of_the_registry_file_that_cannot_be_listened_for_stops_neither_the_start_nor_the_others()
    {
        using var folder = new TemporaryFolder();
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        var (taken, good) = (folder.File("taken.sock"), folder.File("good.sock"));
        await using (var other = GuestListener.Bind(new UnixDomainSocketEndPoint(taken + "_818"), _ => Task.CompletedTask, NullLogger.Instance))
        {
            await File.WriteAllTextAsync(folder.File("guests.json"), $$"""
                {"guests": [{"name": "unbindable", "socketBase": "/proc/absent/a.sock"}, {"name": "taken", "socketBase": "{{taken}}"}, {"name": "good", "socketBase": "{{good}}"}]}
                """);
            await using var node = await RunningNode.StartAsync(options => options with { RegistryFile = folder.File("guests.json") }, time);
            await IdentityTests.WaitForAsync(() => Task.FromResult(File.Exists(good + "_818")));
            byte[] report = RunningNode.Frame([8 << 3, 0]);
            Assert.Equal(PushStatus.Stored, await SendToAsync(good + "_818", report));
            Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", report));

            // What is in the way goes, and what was bound is removed by somebody: both are found.
            await other.DisposeAsync();
            File.Delete(good + "_818");
            time.Advance(TimeSpan.FromSeconds(5));
            await IdentityTests.WaitForAsync(() => Task.FromResult(File.Exists(taken + "_818") && File.Exists(good + "_818")));
            await IdentityTests.WaitForAsync(async () => await SendToAsync(taken + "_818", report) == PushStatus.Stored);
            await IdentityTests.WaitForAsync(async () => await SendToAsync(good + "_818", report) == PushStatus.Stored);
        }
    }

    [Fact]
    public async Task A_configured_guest_that_cannot_be_listened_for_stops_the_start() =>
        await Assert.ThrowsAnyAsync<IOException>(() => RunningNode.StartAsync(
            options => options with { Guests = [new GuestOptions { Uid = "u", Name = "u", SocketBase = "/proc/absent/a.sock" }] }));

    [Fact]
    public void A_path_on_which_somebody_listens_and_does_not_accept_is_in_use_at_once()
    {
        using var deaf = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        deaf.Bind(new UnixDomainSocketEndPoint(_folder.File("s")));
        deaf.Listen(0);
        var waiting = new List<Socket>();
        SocketException? full = null;
        while (full is null)
        {
            waiting.Add(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false });
            Assert.True(waiting.Count < 100);
            full = (SocketException?)Record.Exception(() => waiting[^1].Connect(deaf.LocalEndPoint!));
        }

        Assert.Throws<AddressInUseException>(() => Listen(_ => Task.CompletedTask));
        waiting.ForEach(socket => socket.Dispose());
    }

    [Fact]
    public async Task An_inherited_socket_listens_again_for_the_guest_that_comes_after()
    {
        using var opened = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        opened.Bind(new UnixDomainSocketEndPoint(_folder.File("s")));
        opened.Listen();
        var inherited = InheritedSockets.Of(opened);
        Assert.Equal([_folder.File("s")], inherited.Left);
        for (var guest = 0; guest < 3; guest++)
        {
            var served = new TaskCompletionSource();
            await using var listener = GuestListener.Bind(
                opened.LocalEndPoint!,
                _ =>
                {
                    served.SetResult();
                    return Task.CompletedTask;
                },
                NullLogger.Instance, inherited: inherited);
            using var socket = await ConnectAsync();
            await served.Task.WaitAsync(TimeSpan.FromSeconds(20));
        }

        Assert.Empty(inherited.Left);
        Assert.True(File.Exists(_folder.File("s")));
    }

    [Fact]
    public async Task A_socket_that_the_runtime_has_not_bound_accepts_in_the_place_of_one_that_it_has()
    {
        // As one of AF_VSOCK is taken over, whose address the runtime cannot read.
        var opened = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        opened.Bind(new UnixDomainSocketEndPoint(_folder.File("bound")));
        opened.Listen(1);
        var bound = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        bound.Bind(new UnixDomainSocketEndPoint(_folder.File("own")));
        var adopted = InheritedSockets.Adopt(bound, (int)opened.SafeHandle.DangerousGetHandle());
        // The runtime removes a file that it bound, under the name that it knows. The service manager's descriptor does not matter any more.
        File.Move(_folder.File("bound"), _folder.File("s"));
        opened.Dispose();

        var inherited = InheritedSockets.Of();
        inherited.Add(new VsockEndPoint(VsockEndPoint.CidHost, 818), adopted);
        Assert.Equal(["vsock:2:818"], inherited.Left);
        Assert.Null(inherited.Take(new VsockEndPoint(VsockEndPoint.CidAny, 819)));
        Assert.Null(inherited.Take(new UnixDomainSocketEndPoint(_folder.File("s"))));
        // Before anything asks for a listener: where it was not found a socket of AF_VSOCK would be opened.
        Assert.Same(adopted, inherited.Take(new VsockEndPoint(VsockEndPoint.CidAny, 818)));
        for (var start = 0; start < 2; start++)
        {
            var served = new TaskCompletionSource();
            await using var listener = GuestListener.Bind(
                new VsockEndPoint(VsockEndPoint.CidAny, 818),
                _ =>
                {
                    served.TrySetResult();
                    return Task.CompletedTask;
                },
                NullLogger.Instance, inherited: inherited);
            using var socket = await ConnectAsync();
            await served.Task.WaitAsync(TimeSpan.FromSeconds(20));
        }

        Assert.Empty(inherited.Left);
        adopted.Dispose();
    }

    [Theory]
    // struct sockaddr_vm, as the kernel writes it: family 40, port 818, any context id; the host's; a Unix socket's; cut short.
    [InlineData("2800 0000 32030000 ffffffff 00 000000", "vsock:any:818")]
    [InlineData("2800 0000 ffffffff 02000000 00 000000", "vsock:2:4294967295")]
    [InlineData("2800 0000 32030000 02000000", "vsock:2:818")]
    [InlineData("2800 0000 32030000 020000", null)]
    [InlineData("0100 2f72756e2f730000000000000000", null)]
    [InlineData("", null)]
    public void The_address_of_an_inherited_socket_is_read_from_the_kernels_bytes(string bytes, string? expected) =>
        Assert.Equal(expected, VsockEndPoint.Read(Convert.FromHexString(bytes.Replace(" ", "", StringComparison.Ordinal)))?.ToString());

    [Fact]
    public async Task A_connection_that_has_ended_can_still_be_given_up()
    {
        var served = new TaskCompletionSource<ConnectionContext>();
        CancellationToken closed;
        await using var listener = Listen(connection =>
        {
            closed = connection.ConnectionClosed;
            served.SetResult(connection);
            return Task.CompletedTask;
        });
        using var socket = await ConnectAsync();
        Assert.Equal(0, await socket.ReceiveAsync(new byte[1]));
        var ended = await served.Task;
        await ended.DisposeAsync();
        ended.Abort(new ConnectionAbortedException());
    }

    [Fact]
    public async Task A_deadline_that_was_set_again_since_it_was_found_due_does_not_pass()
    {
        var time = new ManualTimeProvider();
        using var sweep = new DeadlineSweep(time);
        var passed = new TaskCompletionSource<(bool Again, bool Late)>();
        await using var listener = Listen(connection =>
        {
            using var deadline = sweep.Add(connection.Transport);
            deadline.Set(TimeSpan.FromSeconds(1));
            var found = time.GetTimestamp() + TimeSpan.TicksPerSecond;
            Assert.True(deadline.IsDue(found));
            deadline.Set(TimeSpan.FromSeconds(2));
            deadline.Fire(found);
            var again = deadline.HasPassed;
            deadline.Fire(found + TimeSpan.TicksPerSecond);
            passed.SetResult((again, deadline.HasPassed));
            return Task.CompletedTask;
        });
        using var socket = await ConnectAsync();
        Assert.Equal((false, true), await passed.Task.WaitAsync(TimeSpan.FromSeconds(20)));
    }

    [Fact]
    public async Task A_guest_whose_socket_another_process_holds_keeps_no_other_guest_from_its_own()
    {
        await using var node = await RunningNode.StartAsync();
        var registry = node.Services.GetRequiredService<GuestRegistry>();
        GuestOptions Guest(string name) => new() { Uid = $"uid-{name}", Name = name, SocketBase = node.Folder.File($"{name}.sock") };
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(Guest("held").SocketPath(818)));
        other.Listen();

        Assert.Empty(registry.Replace(GuestSource.Sensor, [Guest("held"), .. Enumerable.Range(0, 8).Select(i => Guest($"free{i}"))]));
        await IdentityTests.WaitForAsync(() => Task.FromResult(Enumerable.Range(0, 8).All(i => File.Exists(Guest($"free{i}").SocketPath(818)))));
    }

    [Fact]
    public void The_limit_on_open_files_is_raised_when_it_may_be()
    {
        var now = DescriptorLimit.Raise(0)!.Value;
        Assert.Equal(now, DescriptorLimit.Raise(now));
        Assert.True(DescriptorLimit.Raise(now + 1) >= now);
    }

    GuestListener Listen(Func<ConnectionContext, Task> serve) =>
        GuestListener.Bind(new UnixDomainSocketEndPoint(_folder.File("s")), serve, NullLogger.Instance);

    static async Task<PushStatus?> SendToAsync(string path, byte[] bytes)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException)
        {
            return null;
        }

        await socket.SendAsync(bytes);
        return await RunningNode.ReceiveAsync(socket);
    }

    async Task<Socket> ConnectAsync()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_folder.File("s")));
        return socket;
    }
}
