using System.Net.Sockets;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;

namespace Guestmark.Tests;

/// <summary>Establishes that guests cannot use up the descriptors without which the runtime cannot live.</summary>
public sealed class DescriptorTests : IDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [ToolFact("prlimit", "setpriv")]
    public async Task A_node_that_may_open_few_files_takes_fewer_connections_and_lives()
    {
        Certificates.Create(_folder.File("certs"), ["node"], TimeProvider.System);
        await File.WriteAllTextAsync(
            _folder.File("node.yaml"),
            $$"""
            certs: certs/node
            data: data
            sensor-endpoint: 127.0.0.1:1
            guests: [web1={{_folder.File("web1.sock")}}]
            limits: {connections-per-guest-max: 4000}
            """);
        // Root could raise the limit again.
        string[] command = ["prlimit", "--nofile=800:800", Path.Combine(AppContext.BaseDirectory, "guestmark"), "node", "--config", _folder.File("node.yaml")];
        if (Environment.IsPrivilegedProcess) command = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", .. command];
        await using var node = GuestmarkProcess.Start("/usr/bin/env", command);
        await node.WaitForLineAsync("listening for web1");
        Assert.Contains("at most 400 connections", await node.WaitForLineAsync("[4115]"), StringComparison.Ordinal);
        using var first = await ConnectAsync();
        Assert.Equal(PushStatus.Stored, await ReportAsync(first));

        var others = new List<Socket>();
        for (var i = 0; i < 1000; i++) others.Add(await ConnectAsync());
        Assert.Contains("all connections that the node allows are open", await node.WaitForLineAsync("were not accepted"), StringComparison.Ordinal);
        Assert.Equal(PushStatus.Stored, await ReportAsync(first));
        Assert.Equal(PushStatus.Stored, await ReportAsync(others[0]));

        // Those beyond are closed at once, and when the others go there is room again.
        Assert.Equal(0, await others[^1].ReceiveAsync(new byte[1]));
        others.ForEach(socket => socket.Dispose());
        using var limit = new CancellationTokenSource(Limit);
        while (true)
        {
            using var later = await ConnectAsync();
            try
            {
                if (await ReportAsync(later) == PushStatus.Stored) break;
            }
            catch (SocketException)
            {
                Assert.False(limit.IsCancellationRequested, node.Error);
            }
        }

        Assert.DoesNotContain("TooManyOpenSockets", node.Error, StringComparison.Ordinal);
        Assert.Equal(0, await node.StopAsync());
    }

    async Task<Socket> ConnectAsync()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_folder.File("web1.sock_818")));
        return socket;
    }

    static async Task<PushStatus> ReportAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(Limit);
        byte[] body = [8 << 3, 0];
        var frame = new byte[PushFrame.HeaderBytes + body.Length];
        PushFrame.WriteHeader(frame, body.Length);
        body.CopyTo(frame, PushFrame.HeaderBytes);
        await socket.SendAsync(frame, limit.Token);
        var answer = new byte[PushFrame.StatusBytes];
        for (var received = 0; received < answer.Length;)
        {
            var count = await socket.ReceiveAsync(answer.AsMemory(received), limit.Token);
            if (count == 0) throw new SocketException((int)SocketError.ConnectionReset);
            received += count;
        }

        return PushFrame.ReadStatus(answer);
    }
}
