using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;

namespace Guestmark.Tests;

/// <summary>Establishes what a node without a free descriptor does: it waits between its attempts, serves whom it has, and goes on by itself.</summary>
public sealed partial class DescriptorTests : IDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [ToolFact("prlimit")]
    public async Task A_node_that_may_open_nothing_more_asks_rarely_serves_who_is_there_and_the_others_afterwards()
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
        await using var node = GuestmarkProcess.Start("guestmark", "node", "--config", _folder.File("node.yaml"));
        await node.WaitForLineAsync("listening for web1");
        using var first = await ConnectAsync();
        Assert.Equal(PushStatus.Stored, await ReportAsync(first));

        var highest = Directory.GetFiles($"/proc/{node.Id}/fd").Max(link => int.Parse(Path.GetFileName(link), CultureInfo.InvariantCulture));
        using (var lower = Process.Start("prlimit", ["--pid", $"{node.Id}", $"--nofile={highest + 1}:{highest + 1}"])) await lower.WaitForExitAsync();
        var waiting = new List<Socket>();
        for (var i = 0; i < highest + 50; i++) waiting.Add(await ConnectAsync());
        Assert.Contains("TooManyOpenSockets", await node.WaitForLineAsync("were not accepted"), StringComparison.Ordinal);
        Assert.Equal(PushStatus.Stored, await ReportAsync(first));

        // The next line is of an interval of 10 s: 5 ms, doubled to 1 s, makes 8 attempts in the first second and one in each after it.
        var attempts = Attempts().Match(await node.WaitForLineAsync("were not accepted", count: 2));
        Assert.InRange(int.Parse(attempts.Groups["count"].ValueSpan, CultureInfo.InvariantCulture), 2, 25);
        Assert.Equal(PushStatus.Stored, await ReportAsync(first));

        var last = waiting[^1];
        foreach (var socket in waiting.SkipLast(1)) socket.Dispose();
        Assert.Equal(PushStatus.Stored, await ReportAsync(last));
        last.Dispose();
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
            Assert.NotEqual(0, count);
            received += count;
        }

        return PushFrame.ReadStatus(answer);
    }

    [GeneratedRegex("(?<count>[0-9]+) connections on", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Attempts();
}
