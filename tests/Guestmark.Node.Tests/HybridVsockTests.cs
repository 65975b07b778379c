using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Guestmark.Node.Listening;
using Guestmark.TestKit;

namespace Guestmark.Node.Tests;

/// <summary>Establishes the host's way to a port of a guest, beside a peer that speaks each dialect of the answer.</summary>
public sealed partial class HybridVsockTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    string Path => _folder.File("vm.sock");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("OK 1073741824\n", 1073741824)]
    [InlineData("OK 818\n", 818)]
    [InlineData("OK 4294967295\n", 4294967295)]
    public async Task The_request_is_a_line_and_so_is_the_answer(string answer, uint number)
    {
        using var hypervisor = Listen();
        var connecting = HybridVsock.ConnectAsync(Path, 818, TimeProvider.System);
        using var accepted = await hypervisor.AcceptAsync();
        Assert.Equal("CONNECT 818\n", await ReadLineAsync(accepted));
        await accepted.SendAsync(Encoding.ASCII.GetBytes(answer));
        var connection = await connecting;
        using var socket = connection.Socket;
        Assert.Equal(number, connection.Number);
    }

    [Fact]
    public async Task What_the_guest_says_at_once_is_not_lost()
    {
        using var hypervisor = Listen();
        var connecting = HybridVsock.ConnectAsync(Path, 818, TimeProvider.System);
        using var accepted = await hypervisor.AcceptAsync();
        await ReadLineAsync(accepted);
        await accepted.SendAsync("OK 1073741824\nfirst words of the guest\n"u8.ToArray());
        using var socket = (await connecting).Socket;
        var bytes = new byte[100];
        var count = await socket.ReceiveAsync(bytes);
        Assert.Equal("first words of the guest\n", Encoding.ASCII.GetString(bytes, 0, count));
    }

    [Fact]
    public async Task An_answer_that_comes_byte_by_byte_is_understood()
    {
        using var hypervisor = Listen();
        var connecting = HybridVsock.ConnectAsync(Path, 818, TimeProvider.System);
        using var accepted = await hypervisor.AcceptAsync();
        foreach (var b in "OK 7\n"u8.ToArray()) await accepted.SendAsync(new[] { b });
        var connection = await connecting;
        using var socket = connection.Socket;
        Assert.Equal(7u, connection.Number);
    }

    [Fact]
    public async Task A_silent_close_says_that_nobody_listens_in_the_guest()
    {
        using var hypervisor = Listen();
        var connecting = HybridVsock.ConnectAsync(Path, 818, TimeProvider.System);
        using (var accepted = await hypervisor.AcceptAsync()) await ReadLineAsync(accepted);
        Assert.Contains("agent listen", (await Assert.ThrowsAsync<HybridVsockException>(() => connecting)).Message, StringComparison.Ordinal);

        // And one before the request was read, which is a reset.
        connecting = HybridVsock.ConnectAsync(Path, 818, TimeProvider.System);
        (await hypervisor.AcceptAsync()).Dispose();
        Assert.Contains("agent listen", (await Assert.ThrowsAsync<HybridVsockException>(() => connecting)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ERR\n")]
    [InlineData("OK\n")]
    [InlineData("OK \n")]
    [InlineData("OK -1\n")]
    [InlineData("OK 4294967296\n")]
    [InlineData("OK 1 \n")]
    [InlineData("ok 1\n")]
    [InlineData("\n")]
    [InlineData("OK 1111111111111111111111111111111111111111111111111111111111111111\n")]
    public async Task Any_other_line_is_refused(string answer)
    {
        using var hypervisor = Listen();
        var connecting = HybridVsock.ConnectAsync(Path, 818, TimeProvider.System);
        using var accepted = await hypervisor.AcceptAsync();
        await ReadLineAsync(accepted);
        await accepted.SendAsync(Encoding.ASCII.GetBytes(answer));
        Assert.Contains("hypervisor's vsock socket", (await Assert.ThrowsAsync<HybridVsockException>(() => connecting)).Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public async Task Any_bytes_are_an_answer_in_its_form_or_refused_and_what_follows_is_the_guests()
    {
        using var hypervisor = Listen();
        var random = new Random(20261122);
        // The dialects, with what a guest may say at once.
        byte[][] seeds = ["OK 1073741824\nhello"u8.ToArray(), "OK 818\n"u8.ToArray(), "OK 4294967295\nOK 1\n"u8.ToArray(), []];
        for (var i = 0; i < Damage.Inputs(2000); i++)
        {
            var seed = seeds[random.Next(seeds.Length)];
            var answer = random.Next(8) == 0 ? seed : Damage.Mutate(seed, random);
            var connecting = HybridVsock.ConnectAsync(Path, 818, TimeProvider.System);
            using (var accepted = await hypervisor.AcceptAsync())
            {
                await ReadLineAsync(accepted);
                await accepted.SendAsync(answer);
            }

            // Latin-1: a byte is a character.
            var form = AnswerForm().Match(Encoding.Latin1.GetString(answer));
            if (!form.Success || !uint.TryParse(form.Groups["number"].ValueSpan, out var number))
            {
                await Assert.ThrowsAsync<HybridVsockException>(() => connecting);
                continue;
            }

            var connection = await connecting;
            using var socket = connection.Socket;
            Assert.Equal(number, connection.Number);
            var rest = new byte[answer.Length + 1];
            var length = 0;
            while (await socket.ReceiveAsync(rest.AsMemory(length)) is > 0 and var count) length += count;
            Assert.Equal(answer[form.Length..], rest[..length]);
        }
    }

    [GeneratedRegex("^OK (?<number>[0-9]{1,28})\n", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex AnswerForm();

    [Fact]
    public async Task Without_an_answer_it_is_asked_again_and_in_the_end_given_up()
    {
        var time = new ManualTimeProvider();
        using var hypervisor = Listen();
        var connecting = HybridVsock.ConnectAsync(Path, 818, time, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(3));
        using var silent = await hypervisor.AcceptAsync();
        await ReadLineAsync(silent);
        time.Advance(TimeSpan.FromSeconds(3));
        using var second = await hypervisor.AcceptAsync();
        Assert.Equal("CONNECT 818\n", await ReadLineAsync(second));
        await second.SendAsync("OK 1\n"u8.ToArray());
        (await connecting).Socket.Dispose();

        connecting = HybridVsock.ConnectAsync(Path, 818, time, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(3));
        using var mute = await hypervisor.AcceptAsync();
        await ReadLineAsync(mute);
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.Contains("did not answer", (await Assert.ThrowsAsync<HybridVsockException>(() => connecting)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Where_no_hypervisor_listens_the_message_names_the_socket()
    {
        var problem = await Assert.ThrowsAsync<HybridVsockException>(() => HybridVsock.ConnectAsync(Path, 818, TimeProvider.System));
        Assert.Contains(Path, problem.Message, StringComparison.Ordinal);
    }

    Socket Listen()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(Path));
        socket.Listen();
        return socket;
    }

    static async Task<string> ReadLineAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var line = new StringBuilder();
        var next = new byte[1];
        while (line.Length == 0 || line[^1] != '\n')
        {
            Assert.Equal(1, await socket.ReceiveAsync(next, limit.Token));
            line.Append((char)next[0]);
        }

        return line.ToString();
    }
}
