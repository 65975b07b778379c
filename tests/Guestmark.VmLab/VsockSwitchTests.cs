using System.Net.Sockets;
using System.Text;
using Guestmark.TestKit;
using Guestmark.VhostUserVsock;

namespace Guestmark.VmLab;

/// <summary>The switch beside drivers that lie, without a virtual machine.</summary>
public sealed class VsockSwitchTests : IAsyncDisposable
{
    const uint Port = 818;

    readonly TemporaryFolder _folder = new();
    readonly VsockSwitch _switch = new();

    public async ValueTask DisposeAsync()
    {
        await _switch.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public void A_device_tells_its_cid_and_offers_what_it_has()
    {
        using var guest = Attach(1001);
        Assert.Equal(1001ul, guest.Cid);
        Assert.Equal((1ul << 32) | (1ul << 30), guest.Features);
    }

    [Fact]
    public void Machines_reach_each_other_by_cid_and_large_packets_arrive_in_pieces()
    {
        using var host = Attach(2);
        using var guest = Attach(1001);
        guest.Send(VsockOperation.Request, 2, Port);
        var request = host.Receive(VsockOperation.Request);
        Assert.Equal((1001ul, 5000u, Port), (request.Header.SourceCid, request.Header.SourcePort, request.Header.DestinationPort));
        host.Send(VsockOperation.Response, 1001, 5000, Port);
        guest.Receive(VsockOperation.Response);

        var sent = new byte[VsockPacket.PayloadBytesMax];
        new Random(1).NextBytes(sent);
        guest.Send(VsockOperation.Data, 2, Port, payload: sent);
        var received = new List<byte>();
        while (received.Count < sent.Length)
        {
            var piece = host.Receive(VsockOperation.Data);
            Assert.InRange(piece.Payload.Length, 1, FakeMachine.ReceiveBufferBytes - VsockHeader.Bytes);
            received.AddRange(piece.Payload.Span);
        }

        Assert.Equal(sent, received);
    }

    [Fact]
    public void A_packet_with_another_source_cid_is_dropped_and_counted()
    {
        using var host = Attach(2);
        using var victim = Attach(1002);
        using var liar = Attach(1001);
        foreach (var source in new ulong[] { 1002, 2, 0, 0x1_0000_03e9, ulong.MaxValue })
            liar.Send(new VsockHeader { SourceCid = source, DestinationCid = 2, SourcePort = 1, DestinationPort = Port, Type = 1, Operation = VsockOperation.Request });
        liar.Send(VsockOperation.Request, 2, Port, from: 77);

        // The first that arrives is the honest one, and the machine whose CID was taken hears nothing.
        Assert.Equal((1001ul, 77u), (host.Receive().Header.SourceCid, 77u));
        Assert.Equal(5, _switch.Counters.ForeignSource);
        host.Send(VsockOperation.Request, 1002, 1);
        Assert.Equal(2ul, victim.Receive(VsockOperation.Request).Header.SourceCid);
    }

    [Theory]
    [InlineData(1003ul)]
    [InlineData(2ul)]
    [InlineData(1001ul)]
    [InlineData(0x1_0000_0002ul)]
    public void Where_nobody_is_the_connection_is_reset(ulong destination)
    {
        using var guest = Attach(1001);
        guest.Send(VsockOperation.Request, destination, Port);
        var reset = guest.Receive(VsockOperation.Reset).Header;
        Assert.Equal((destination, Port, 5000u), (reset.SourceCid, reset.SourcePort, reset.DestinationPort));
        Assert.Equal(1, _switch.Counters.Refused);
    }

    [Fact]
    public void Sockets_of_another_type_are_refused()
    {
        using var host = Attach(2);
        using var guest = Attach(1001);
        guest.Send(new VsockHeader { SourceCid = 1001, DestinationCid = 2, DestinationPort = Port, Type = 2, Operation = VsockOperation.Request });
        Assert.Equal(2, guest.Receive(VsockOperation.Reset).Header.Type);
    }

    [Fact]
    public void When_a_machine_dies_its_peers_connections_are_reset()
    {
        using var host = Attach(2);
        var guest = Attach(1001);
        guest.Send(VsockOperation.Request, 2, Port);
        host.Receive(VsockOperation.Request);
        host.Send(VsockOperation.Response, 1001, 5000, Port);
        guest.Receive(VsockOperation.Response);
        guest.Dispose();
        var reset = host.Receive(VsockOperation.Reset).Header;
        Assert.Equal((1001ul, 5000u, Port), (reset.SourceCid, reset.SourcePort, reset.DestinationPort));

        // The same CID may boot again.
        using var again = new FakeMachine(_folder, _folder.File("1001"));
        again.Send(VsockOperation.Request, 2, Port);
        host.Receive(VsockOperation.Request);
    }

    [Fact]
    public void A_flood_beyond_every_credit_is_bounded_and_ends_its_connection()
    {
        using var host = new FakeMachine(_folder, AttachSocket(2), start: false);
        host.Start();
        using var guest = Attach(1001);
        guest.Send(VsockOperation.Request, 2, Port);
        var payload = new byte[VsockPacket.PayloadBytesMax];
        // The host posts no buffers: 16 MiB wait, the rest is refused.
        for (var i = 0; i < 300; i++) guest.Send(VsockOperation.Data, 2, Port, payload: payload);
        guest.Receive(VsockOperation.Reset);
        Assert.InRange(_switch.Counters.Overflowed, 1, 300 - 250);
        Assert.InRange(_switch.Counters.Carried, 250, 270);
    }

    /// <summary>Each is what a driver must not do; its device ends, others go on.</summary>
    [Theory]
    [InlineData("descriptor out of the ring")]
    [InlineData("buffer out of memory")]
    [InlineData("buffer over the end of memory")]
    [InlineData("address that wraps around")]
    [InlineData("chain without end")]
    [InlineData("indirect descriptor")]
    [InlineData("more entries than the ring has")]
    [InlineData("readable behind writable")]
    [InlineData("length of 4 GiB")]
    [InlineData("buffer too small to receive with")]
    public void A_driver_that_breaks_its_ring_loses_its_device_alone(string what)
    {
        using var host = Attach(2);
        using var other = Attach(1002);
        using var guest = Attach(1001);
        switch (what)
        {
            case "descriptor out of the ring":
                guest.Offer(1, FakeMachine.Entries);
                break;
            case "buffer out of memory":
                Offer(0x1_0000_0000, 44, 0);
                break;
            case "buffer over the end of memory":
                Offer((4 << 20) - 20, 44, 0);
                break;
            case "address that wraps around":
                Offer(ulong.MaxValue - 10, 44, 0);
                break;
            case "chain without end":
                Offer(0x20000, 1, 1);
                break;
            case "indirect descriptor":
                Offer(0x20000, 44, 4);
                break;
            case "more entries than the ring has":
                guest.Advance(1, FakeMachine.Entries + 1);
                break;
            case "readable behind writable":
                guest.SetDescriptor(1, 1, 0x20000, 44, 0, 0);
                Offer(0x20000, 44, 1 | 2, next: 1);
                break;
            case "length of 4 GiB":
                Offer(0x20000, uint.MaxValue, 0);
                break;
            case "buffer too small to receive with":
                for (var i = 0; i < FakeMachine.Entries; i++) guest.SetDescriptor(0, i, 0x10000, VsockHeader.Bytes, 2, 0);
                other.Send(VsockOperation.Request, 1001, 1);
                break;
        }

        Assert.True(guest.IsDetached);
        Assert.Equal(1, _switch.Counters.Malformed);
        other.Send(VsockOperation.Request, 2, Port);
        Assert.Equal(1002ul, host.Receive(VsockOperation.Request).Header.SourceCid);

        void Offer(ulong address, uint length, ushort flags, ushort next = 0)
        {
            guest.SetDescriptor(1, 0, address, length, flags, next);
            guest.Offer(1, 0);
        }
    }

    [Theory]
    [InlineData("three entries")]
    [InlineData("too many entries")]
    [InlineData("ring out of memory")]
    [InlineData("third ring")]
    [InlineData("unknown request")]
    [InlineData("short request")]
    [InlineData("region beyond its file")]
    [InlineData("nine regions")]
    [InlineData("kick without a descriptor")]
    public void A_monitor_that_breaks_the_protocol_is_cut_off(string what)
    {
        using var guest = new FakeMachine(_folder, AttachSocket(1001), start: false);
        switch (what)
        {
            case "three entries":
                Tried(() => guest.Start(3));
                break;
            case "too many entries":
                Tried(() => guest.Start(1 << 16));
                break;
            case "ring out of memory":
                Tried(() =>
                {
                    guest.Request(VhostUserRequest.SetMemoryTable, new byte[8]);
                    guest.Start();
                });
                break;
            case "third ring":
                guest.Request(VhostUserRequest.SetRingEntries, [2, 0, 0, 0, 16, 0, 0, 0]);
                break;
            case "unknown request":
                guest.Request((VhostUserRequest)39);
                break;
            case "short request":
                guest.Request(VhostUserRequest.SetRingAddress, new byte[8]);
                break;
            case "region beyond its file":
                using (var file = File.Create(_folder.File("small")))
                {
                    file.SetLength(4096);
                    byte[] region = [1, 0, 0, 0, 0, 0, 0, 0, .. new byte[8], 1, 16, 0, 0, 0, 0, 0, 0, .. new byte[16]];
                    guest.Request(VhostUserRequest.SetMemoryTable, region, (int)file.SafeFileHandle.DangerousGetHandle());
                }

                break;
            case "nine regions":
                guest.Request(VhostUserRequest.SetMemoryTable, [9, .. new byte[7 + (9 * 32)]]);
                break;
            case "kick without a descriptor":
                guest.Request(VhostUserRequest.SetRingKick, new byte[8]);
                break;
        }

        Assert.True(guest.IsDetached);
        using var next = new FakeMachine(_folder, _folder.File("1001"));
        next.Send(VsockOperation.Request, 2, Port);
        next.Receive(VsockOperation.Reset);

        // The back end may have gone before all was said.
        static void Tried(Action action)
        {
            try
            {
                action();
            }
            catch (Exception e) when (e is SocketException or Xunit.Sdk.XunitException)
            {
            }
        }
    }

    [Fact]
    public async Task Without_a_host_machine_its_ports_are_unix_sockets()
    {
        using var listener = Listen(_folder.File("uds_818"));
        using var guest = AttachHybrid();
        guest.Send(VsockOperation.Request, 2, Port);
        using var accepted = await listener.AcceptAsync();
        guest.Receive(VsockOperation.Response);

        guest.Send(VsockOperation.Data, 2, Port, payload: "hello"u8);
        Assert.Equal("hello", await ReadAsync(accepted, 5));
        await accepted.SendAsync("world"u8.ToArray());
        Assert.Equal("world"u8.ToArray(), guest.Receive(VsockOperation.Data).Payload.ToArray());

        // The end of the guest's direction, then the rest of the answer, then the end of both.
        guest.Send(VsockOperation.Shutdown, 2, Port, flags: VsockShutdown.Send);
        Assert.Equal(0, await accepted.ReceiveAsync(new byte[1]));
        await accepted.SendAsync("!"u8.ToArray());
        Assert.Equal("!"u8.ToArray(), guest.Receive(VsockOperation.Data).Payload.ToArray());
        accepted.Dispose();
        Assert.Equal((uint)VsockShutdown.Both, guest.Receive(VsockOperation.Shutdown).Header.Flags);
    }

    [Fact]
    public async Task What_a_host_answered_before_it_closed_arrives_though_the_guest_still_writes()
    {
        using var listener = Listen(_folder.File("uds_818"));
        using var guest = AttachHybrid();
        guest.Send(VsockOperation.Request, 2, Port);
        using var accepted = await listener.AcceptAsync();
        guest.Receive(VsockOperation.Response);
        guest.Send(VsockOperation.Data, 2, Port, payload: "much"u8);
        Assert.Equal("mu", await ReadAsync(accepted, 2));
        await accepted.SendAsync("refused"u8.ToArray());
        accepted.Shutdown(SocketShutdown.Both);
        for (var i = 0; i < 8; i++) guest.Send(VsockOperation.Data, 2, Port, payload: new byte[1000]);
        Assert.Equal("refused"u8.ToArray(), guest.Receive(VsockOperation.Data).Payload.ToArray());
        guest.Receive(VsockOperation.Shutdown);
    }

    [Fact]
    public async Task The_hosts_side_respects_the_guests_credit_and_the_guest_must_respect_ours()
    {
        using var listener = Listen(_folder.File("uds_818"));
        using var guest = AttachHybrid();
        var request = new VsockHeader { SourceCid = 1001, DestinationCid = 2, SourcePort = 9, DestinationPort = Port, Type = 1, Operation = VsockOperation.Request, BufferBytes = 100 };
        guest.Send(request);
        using var accepted = await listener.AcceptAsync();
        guest.Receive(VsockOperation.Response);
        await accepted.SendAsync(new byte[150]);
        Assert.Equal(100, guest.Receive(VsockOperation.Data).Payload.Length);
        guest.Send(request with { Operation = VsockOperation.CreditUpdate, ForwardedBytes = 100 });
        Assert.Equal(50, guest.Receive(VsockOperation.Data).Payload.Length);

        // Nobody reads there: more than the buffer of this side and that of the socket is over the credit.
        var data = request with { Operation = VsockOperation.Data, Length = 65536, ForwardedBytes = 150 };
        for (var i = 0; i < 40 && _switch.Counters.Overflowed == 0; i++) guest.Send(data, new byte[65536]);
        VsockPacket last;
        while ((last = guest.Receive()).Header.Operation == VsockOperation.CreditUpdate)
        {
        }

        Assert.Equal(VsockOperation.Reset, last.Header.Operation);
        Assert.Equal(1, _switch.Counters.Overflowed);
    }

    [Fact]
    public async Task A_program_of_the_host_dials_into_the_guest()
    {
        using var guest = AttachHybrid();
        using var program = await ConnectAsync("CONNECT 1024\nearly");
        var request = guest.Receive(VsockOperation.Request).Header;
        Assert.Equal((2ul, 1024u), (request.SourceCid, request.DestinationPort));
        Assert.InRange(request.SourcePort, 1u << 30, (1u << 31) - 1);
        guest.Send(VsockOperation.Response, 2, request.SourcePort, 1024);
        Assert.Equal($"OK {request.SourcePort}\n", await ReadAsync(program, $"OK {request.SourcePort}\n".Length));
        Assert.Equal("early"u8.ToArray(), guest.Receive(VsockOperation.Data).Payload.ToArray());
    }

    [Fact]
    public async Task A_port_on_which_no_guest_listens_closes_the_programs_connection()
    {
        using var guest = AttachHybrid();
        using var program = await ConnectAsync("connect 1024\n");
        var request = guest.Receive(VsockOperation.Request).Header;
        guest.Send(VsockOperation.Reset, 2, request.SourcePort, 1024);
        Assert.Equal(0, await program.ReceiveAsync(new byte[1]));
    }

    [Theory]
    [InlineData("GET / HTTP/1.1\n")]
    [InlineData("CONNECT 4294967296\n")]
    [InlineData("CONNECT -1\n")]
    [InlineData("CONNECT 1 2\n")]
    [InlineData("CONNECT 00000000000000000000000000001024\n")]
    public async Task Anything_but_a_port_is_refused(string command)
    {
        using var guest = AttachHybrid();
        using var program = await ConnectAsync(command);
        try
        {
            Assert.Equal(0, await program.ReceiveAsync(new byte[1]));
        }
        catch (SocketException e)
        {
            // What was not read when the socket was closed.
            Assert.Equal(SocketError.ConnectionReset, e.SocketErrorCode);
        }
    }

    static async Task<string> ReadAsync(Socket socket, int bytes)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var buffer = new byte[bytes];
        for (var at = 0; at < bytes;)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(at), limit.Token);
            Assert.NotEqual(0, received);
            at += received;
        }

        return Encoding.ASCII.GetString(buffer);
    }

    static Socket Listen(string path)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(8);
        return listener;
    }

    async Task<Socket> ConnectAsync(string command)
    {
        var program = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await program.ConnectAsync(new UnixDomainSocketEndPoint(_folder.File("uds")));
        await program.SendAsync(Encoding.ASCII.GetBytes(command));
        return program;
    }

    string AttachSocket(uint cid)
    {
        _switch.Attach(cid, _folder.File($"{cid}"));
        return _folder.File($"{cid}");
    }

    FakeMachine Attach(uint cid) => new(_folder, AttachSocket(cid));

    FakeMachine AttachHybrid()
    {
        _switch.Attach(1001, _folder.File("1001"), _folder.File("uds"));
        return new FakeMachine(_folder, _folder.File("1001"));
    }
}
