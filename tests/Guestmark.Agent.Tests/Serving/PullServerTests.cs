using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Google.Protobuf;
using Guestmark.Agent.Serving;
using Guestmark.Wire.Pull;
using Guestmark.Wire.Pull.Messages;

namespace Guestmark.Agent.Tests.Serving;

/// <summary>Establishes what a connection may do to the server, and what it gets.</summary>
public sealed class PullServerTests
{
    static readonly VMServiceRequest GetReport = new() { GetReport = new GetReportRequest() };

    [Fact]
    public async Task A_plaintext_client_is_closed_and_told_of()
    {
        await using var server = new ServerUnderTest();
        using var socket = await PullClient.ConnectAsync(server.Path);
        await socket.SendAsync((byte[])[0, 0, 0, 2, 0x12, 0]);
        Assert.Equal(0, await ReceiveEndAsync(socket));
        await server.Notes.WaitForAsync("rejected plaintext connection");
    }

    [Fact]
    public async Task A_client_that_stalls_is_closed_at_the_deadline_wherever_it_is()
    {
        await using var server = new ServerUnderTest(deadline: TimeSpan.FromMilliseconds(400));
        using var certificate = server.Authority.Issue("virt-handler");
        using var silent = await PullClient.ConnectAsync(server.Path);
        using var halfHello = await PullClient.ConnectAsync(server.Path);
        await halfHello.SendAsync((byte[])[22, 3, 1, 2, 0, 1, 0]);
        Assert.Equal(0, await ReceiveEndAsync(silent));
        Assert.Equal(0, await ReceiveEndAsync(halfHello));

        await using var halfFrame = await PullClient.OpenAsync(server.Path, certificate);
        await halfFrame.Tls.WriteAsync((byte[])[0, 0]);
        await AssertClosedAsync(halfFrame);
        await using var halfPayload = await PullClient.OpenAsync(server.Path, certificate);
        await halfPayload.Tls.WriteAsync((byte[])[0, 0x50, 0, 0, 0x12]);
        await AssertClosedAsync(halfPayload);
        Assert.Equal(4, server.Notes.All.Count(note => note.Contains("not done within", StringComparison.Ordinal)));

        server.Publish("one");
        Assert.NotNull((await PullClient.CallAsync(server.Path, certificate, GetReport)).GetReport);
    }

    [Fact]
    public async Task While_one_is_answered_the_others_are_told_busy()
    {
        await using var server = new ServerUnderTest();
        server.Publish("one");
        using var certificate = server.Authority.Issue("virt-handler");
        await using (var first = await PullClient.OpenAsync(server.Path, certificate))
        {
            await first.Tls.WriteAsync((byte[])[0, 0]);
            var second = await CallUntilBusyAsync(server, certificate);
            Assert.Equal("1.2.3", second.Meta.AgentVersion);
            // The first has lost nothing by it.
            var request = GetReport.ToByteArray();
            await first.Tls.WriteAsync((byte[])[0, (byte)request.Length, .. request]);
            Assert.Equal("one", (await first.ReceiveAsync()).GetReport.IndexReport.HashId);
        }

        // The place is free again as soon as the answer is sent.
        Assert.NotNull((await PullClient.CallAsync(server.Path, certificate, GetReport)).GetReport);
    }

    [Fact]
    public async Task Connections_that_never_shake_hands_do_not_keep_a_client_out()
    {
        await using var server = new ServerUnderTest();
        server.Publish("one");
        using var certificate = server.Authority.Issue("virt-handler");
        List<Socket> idle = [];
        try
        {
            for (var i = 0; i < PullServer.UnverifiedMax + 4; i++) idle.Add(await PullClient.ConnectAsync(server.Path));
            Assert.NotNull((await PullClient.CallAsync(server.Path, certificate, GetReport)).GetReport);
            // The oldest made place.
            Assert.Equal(0, await ReceiveEndAsync(idle[0]));
            Assert.Equal(0, await ReceiveEndAsync(idle[4]));
            Assert.Equal(0, idle[^1].Available);
        }
        finally
        {
            foreach (var socket in idle) socket.Dispose();
        }
    }

    [Fact]
    public async Task A_frame_over_the_limit_is_answered_before_it_is_sent()
    {
        await using var server = new ServerUnderTest();
        using var certificate = server.Authority.Issue("virt-handler");
        await using var client = await PullClient.OpenAsync(server.Path, certificate);
        await client.Tls.WriteAsync((byte[])[0xff, 0xff, 0xff, 0xff]);
        Assert.Equal(ErrorCode.RequestTooLarge, (await client.ReceiveAsync()).Error.Code);
    }

    [Fact]
    public async Task A_client_that_sends_a_frame_over_the_limit_without_listening_gets_its_answer()
    {
        await using var server = new ServerUnderTest();
        using var certificate = server.Authority.Issue("virt-handler");
        await using var client = await PullClient.OpenAsync(server.Path, certificate);
        await client.SendAsync(new byte[PullFrame.RequestWithMappingBytesMaxDefault + 1]);
        Assert.Equal(ErrorCode.RequestTooLarge, (await client.ReceiveAsync()).Error.Code);
    }

    [Theory]
    [InlineData("ff", ErrorCode.MalformedRequest)]
    [InlineData("", ErrorCode.UnknownMethod)]
    [InlineData("a20600", ErrorCode.UnknownMethod)]
    [InlineData("1200", ErrorCode.NotReady)]
    [InlineData("1a00", ErrorCode.MappingNotSensorManaged)]
    public async Task A_request_that_cannot_be_served_is_answered_by_its_error(string request, ErrorCode code)
    {
        await using var server = new ServerUnderTest();
        using var certificate = server.Authority.Issue("virt-handler");
        await using var client = await PullClient.OpenAsync(server.Path, certificate);
        await client.SendAsync(Convert.FromHexString(request));
        var response = await client.ReceiveAsync();
        Assert.Equal(code, response.Error.Code);
        Assert.NotEmpty(response.Error.Message);
        Assert.Equal((uint)ServerUnderTest.Start.ToUnixTimeSeconds(), response.Meta.Epoch);
        Assert.Equal(0u, response.Meta.ReportGeneration);
    }

    [Fact]
    public async Task A_report_of_many_megabytes_arrives_whole()
    {
        await using var server = new ServerUnderTest();
        using var certificate = server.Authority.Issue("virt-handler");
        var large = new string('x', 12_000_000);
        server.Publish(large);
        Assert.Equal(large, (await PullClient.CallAsync(server.Path, certificate, GetReport)).GetReport.IndexReport.HashId);
        server.Publish(large + large);
        Assert.Equal(ErrorCode.Internal, (await PullClient.CallAsync(server.Path, certificate, GetReport)).Error.Code);
    }

    [Fact]
    public async Task A_mapping_is_taken_kept_and_named_when_the_sensor_sends_it()
    {
        await using var server = new ServerUnderTest(updatePath: Guestmark.Wire.Pull.MappingUpdatePath.Sensor);
        using var certificate = server.Authority.Issue("virt-handler");
        var changes = 0;
        server.Mappings.Changed = () => changes++;
        server.Publish("one", os: "RHEL");
        Assert.Equal(ErrorCode.MappingRequired, (await PullClient.CallAsync(server.Path, certificate, GetReport)).Error.Code);

        // Five megabytes, as large as a mapping may be.
        var filling = new string(' ', VmServiceRequest.MappingBytesMax - 100);
        var mapping = Encoding.UTF8.GetBytes("""{"data":{"r":{"cpes":["cpe:/o:redhat:enterprise_linux:9::baseos"]}}}""" + filling);
        var sync = new VMServiceRequest { SyncRepoCpeMapping = new SyncRepoCPEMappingRequest { Mapping = ByteString.CopyFrom(mapping) } };
        Assert.True((await PullClient.CallAsync(server.Path, certificate, sync)).SyncRepoCpeMapping.Updated);
        Assert.False((await PullClient.CallAsync(server.Path, certificate, sync)).SyncRepoCpeMapping.Updated);
        Assert.Equal(1, changes);
        Assert.Equal(mapping, await File.ReadAllBytesAsync(server.Mappings.Current!.Path));

        var report = await PullClient.CallAsync(server.Path, certificate, GetReport);
        Assert.Equal("one", report.GetReport.IndexReport.HashId);
        // That report was made without the mapping.
        Assert.False(report.Meta.HasRepoCpeMappingHash);
        Assert.Equal(RepoCPEMappingUpdatePath.Sensor, report.Meta.RepoCpeMappingUpdatePath);
        Assert.Equal(["get_report", "sync_repo_cpe_mapping"], report.Meta.SupportedMethods);

        sync.SyncRepoCpeMapping.Mapping = ByteString.CopyFromUtf8("{}");
        Assert.Equal(ErrorCode.MalformedRequest, (await PullClient.CallAsync(server.Path, certificate, sync)).Error.Code);
        Assert.Equal(mapping.Length, new FileInfo(server.Mappings.Current!.Path).Length);
    }

    [Fact]
    public async Task The_last_good_bundle_is_used_while_none_can_be_had_and_nobody_is_let_in_before_the_first()
    {
        await using var server = new ServerUnderTest();
        server.Publish("one");
        using var certificate = server.Authority.Issue("virt-handler");
        var good = server.Bundle;
        server.Bundle = new CaBundle(null, "nobody answers");
        await Assert.ThrowsAnyAsync<Exception>(() => PullClient.CallAsync(server.Path, certificate, GetReport));
        await server.Notes.WaitForAsync("no connection is accepted: nobody answers");

        server.Bundle = good;
        await PullClient.CallAsync(server.Path, certificate, GetReport);
        server.Bundle = new CaBundle(null, "nobody answers");
        await PullClient.CallAsync(server.Path, certificate, GetReport);
        await server.Notes.WaitForAsync("the last good CA bundle is used");
        server.Bundle = new CaBundle("no PEM"u8.ToArray(), null);
        await PullClient.CallAsync(server.Path, certificate, GetReport);
    }

    [Fact]
    public async Task A_socket_is_its_owners_alone_and_one_left_behind_is_replaced()
    {
        await using var server = new ServerUnderTest();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(server.Path));
        Assert.Contains("in use", Assert.Throws<IOException>(() => ChannelSocket.Listener.Open(new UnixDomainSocketEndPoint(server.Path))).Message, StringComparison.Ordinal);

        var file = server.Path + ".file";
        await File.WriteAllTextAsync(file, "precious");
        Assert.Throws<IOException>(() => ChannelSocket.Listener.Open(new UnixDomainSocketEndPoint(file)));
        Assert.Equal("precious", await File.ReadAllTextAsync(file));

        var abandoned = server.Path + ".old";
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Bind(new UnixDomainSocketEndPoint(abandoned));
            // .NET deletes the file of a socket that it closes.
            File.Move(abandoned, abandoned + ".kept");
        }

        File.Move(abandoned + ".kept", abandoned);
        using var listener = ChannelSocket.Listener.Open(new UnixDomainSocketEndPoint(abandoned));
        using var limit = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        Assert.Throws<OperationCanceledException>(() => listener.Accept(limit.Token));
    }

    static async Task<VMServiceResponse> CallUntilBusyAsync(ServerUnderTest server, X509Certificate2 certificate)
    {
        // The server may still be verifying the first client: then this one is served.
        for (var i = 0; i < 200; i++)
        {
            var response = await PullClient.CallAsync(server.Path, certificate, GetReport);
            if (response.Error?.Code == ErrorCode.Busy) return response;
        }

        throw new TimeoutException("never busy");
    }

    /// <summary>0 when the peer closed the connection; reads over what it sent before.</summary>
    static async Task<int> ReceiveEndAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        var buffer = new byte[4096];
        try
        {
            while (await socket.ReceiveAsync(buffer, limit.Token) > 0)
            {
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
        }

        return 0;
    }

    static async Task AssertClosedAsync(PullClient client)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            Assert.Equal(0, await client.Tls.ReadAsync(new byte[1], limit.Token));
        }
        catch (IOException)
        {
            // Closed without a word.
        }
    }
}
