using System.Net;
using System.Net.Sockets;
using System.Text;
using Guestmark.Agent.RepositoryMapping;
using Guestmark.Agent.Tests.Serving;
using Guestmark.TestKit;

namespace Guestmark.Agent.Tests.RepositoryMapping;

/// <summary>Establishes what is downloaded and what is not, from a server that says what a test wants, byte by byte.</summary>
public sealed class DownloadTests : IDisposable
{
    const string Mapping = """{"data":{"rhel-9":{"cpes":["cpe:/o:redhat:enterprise_linux:9::baseos"]}}}""";

    readonly TemporaryFolder _folder = new();
    readonly Notes _notes = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_file_comes_with_its_validators_and_is_asked_for_again_by_them()
    {
        await using var server = new RawHttpServer(
            Ok(Mapping, "ETag: \"one\"\r\nLast-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n"),
            "HTTP/1.1 304 Not Modified\r\nETag: \"one\"\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\n\r\n");
        var request = new DownloadRequest { Url = server.Url };
        var first = Download.Run(request, CancellationToken.None);
        Assert.Equal((Mapping, "\"one\"", "Fri, 02 Jan 2026 03:04:05 GMT"), (Encoding.UTF8.GetString(first.Body!), first.EntityTag, first.LastModified));
        var second = Download.Run(request with { EntityTag = first.EntityTag, LastModified = first.LastModified }, CancellationToken.None);
        Assert.Equal((null, null), (second.Body, second.Problem));
        Download.Run(request with { LastModified = first.LastModified }, CancellationToken.None);
        Assert.DoesNotContain("If-", server.Requests[0], StringComparison.Ordinal);
        Assert.Contains("\r\nIf-None-Match: \"one\"\r\n", server.Requests[1], StringComparison.Ordinal);
        Assert.Contains("\r\nIf-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT\r\n", server.Requests[2], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_redirect_is_followed_three_times_and_the_last_answers_validators_count()
    {
        const string redirect = "HTTP/1.1 302 Found\r\nLocation: /next\r\nETag: \"wrong\"\r\nContent-Length: 0\r\n\r\n";
        await using var server = new RawHttpServer(redirect, redirect, redirect, Ok(Mapping), redirect, redirect, redirect, redirect);
        var result = Download.Run(new DownloadRequest { Url = server.Url }, CancellationToken.None);
        Assert.Equal(Mapping, Encoding.UTF8.GetString(result.Body!));
        Assert.Equal("", result.EntityTag);
        var loop = Download.Run(new DownloadRequest { Url = server.Url }, CancellationToken.None);
        Assert.Null(loop.Body);
        Assert.Contains("redirects", loop.Problem, StringComparison.Ordinal);
        Assert.True(loop.IsPermanent);
    }

    [Fact]
    public async Task A_redirect_to_a_file_of_this_machine_is_not_followed()
    {
        await File.WriteAllTextAsync(_folder.File("secret"), Mapping);
        await using var server = new RawHttpServer($"HTTP/1.1 302 Found\r\nLocation: file://{_folder.File("secret")}\r\nContent-Length: 0\r\n\r\n");
        var result = Download.Run(new DownloadRequest { Url = server.Url }, CancellationToken.None);
        Assert.Null(result.Body);
        Assert.NotNull(result.Problem);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_too_large_is_not_taken_whether_its_length_is_announced_or_not(bool isAnnounced)
    {
        var body = new string('x', 100_000);
        await using var server = new RawHttpServer(isAnnounced ? Ok(body) : $"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
        var result = Download.Run(new DownloadRequest { Url = server.Url, BytesMax = 99_999 }, CancellationToken.None);
        Assert.Null(result.Body);
        Assert.True(result.IsPermanent);
        Assert.NotNull(result.Problem);
    }

    [Fact]
    public async Task A_body_that_is_cut_is_a_problem_that_may_pass()
    {
        await using var server = new RawHttpServer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + Mapping);
        var result = Download.Run(new DownloadRequest { Url = server.Url }, CancellationToken.None);
        Assert.Null(result.Body);
        Assert.False(result.IsPermanent);
        Assert.Contains(server.Url, result.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_does_not_answer_is_left_at_the_timeout_and_at_once_on_cancellation()
    {
        await using var server = new RawHttpServer(null, null);
        var result = Download.Run(new DownloadRequest { Url = server.Url, Timeout = TimeSpan.FromMilliseconds(300) }, CancellationToken.None);
        // libcurl says "timed out", "timeout", or "Timeout was reached" where it has no more to say.
        Assert.Matches("(?i)time(d )?out", result.Problem);
        Assert.False(result.IsPermanent);
        using var cancelled = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.Run(() => Download.Run(new DownloadRequest { Url = server.Url }, cancelled.Token)));
    }

    [Theory]
    [InlineData(404, true)]
    [InlineData(429, false)]
    [InlineData(503, false)]
    public async Task A_status_is_told_and_decides_whether_to_come_again(int status, bool isPermanent)
    {
        await using var server = new RawHttpServer($"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        var result = Download.Run(new DownloadRequest { Url = server.Url }, CancellationToken.None);
        Assert.Contains($"HTTP status {status}", result.Problem, StringComparison.Ordinal);
        Assert.Equal(isPermanent, result.IsPermanent);
    }

    [Theory]
    [InlineData("https://user:secret@example.com/m.json", "https://example.com/m.json")]
    [InlineData("https://user:sec@ret@example.com", "https://example.com")]
    [InlineData("https://example.com/a@b", "https://example.com/a@b")]
    [InlineData("file:///m.json", "file:///m.json")]
    public void A_password_in_the_url_is_not_told(string url, string told) => Assert.Equal(told, new DownloadRequest { Url = url }.PublicUrl);

    [Fact]
    public void Files_are_read_and_other_protocols_are_not()
    {
        File.WriteAllText(_folder.File("m.json"), Mapping);
        Assert.Equal(Mapping, Encoding.UTF8.GetString(Download.Run(new DownloadRequest { Url = $"file://{_folder.File("m.json")}" }, CancellationToken.None).Body!));
        foreach (var url in new[] { "ftp://127.0.0.1/m", "/etc/passwd", "", "https://\0", "gopher://127.0.0.1/" })
        {
            var result = Download.Run(new DownloadRequest { Url = url }, CancellationToken.None);
            Assert.Null(result.Body);
            Assert.True(result.IsPermanent);
        }
    }

    [Fact]
    public async Task A_round_tries_four_times_with_5_to_30_seconds_between_and_keeps_the_last_good_mapping()
    {
        const string failing = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        await using var server = new RawHttpServer(Ok(Mapping, "ETag: \"one\"\r\n"), failing, failing, failing, failing, failing, failing, "HTTP/1.1 304 Not Modified\r\n\r\n");
        var time = new ManualTimeProvider();
        var store = MappingStore.Open(_folder.File("state"), null, _notes.Add);
        var refresh = new MappingRefresh(store, new DownloadRequest { Url = server.Url }, time, _notes.Add);
        Assert.Null(await refresh.RefreshAsync(CancellationToken.None));
        Assert.True(refresh.FirstTry.IsCompleted);
        var good = store.Current;
        Assert.NotNull(good);

        Assert.NotNull(await AdvanceAsync(refresh.RefreshAsync(CancellationToken.None), time));
        Assert.Equal(1 + MappingRefresh.TriesMax, server.Requests.Count);
        Assert.Equal(good, store.Current);
        Assert.Contains("is used", _notes.All[^1], StringComparison.Ordinal);

        // Two that fail, then one that says that nothing has changed: it was asked by the tag that was stored.
        Assert.Null(await AdvanceAsync(refresh.RefreshAsync(CancellationToken.None), time));
        Assert.Contains("If-None-Match: \"one\"", server.Requests[^1], StringComparison.Ordinal);
        Assert.Equal(good, store.Current);
    }

    [Fact]
    public async Task What_is_no_mapping_is_told_once_and_not_asked_for_again_in_a_round()
    {
        await using var server = new RawHttpServer(Ok("<html>"));
        var store = MappingStore.Open(_folder.File("state"), null, _notes.Add);
        var refresh = new MappingRefresh(store, new DownloadRequest { Url = server.Url }, TimeProvider.System, _notes.Add);
        Assert.Contains("is no repository-to-cpe mapping", await refresh.RefreshAsync(CancellationToken.None), StringComparison.Ordinal);
        Assert.Contains("packages have no CPEs", Assert.Single(_notes.All), StringComparison.Ordinal);
        Assert.Null(store.Current);
    }

    static string Ok(string body, string headers = "") => $"HTTP/1.1 200 OK\r\n{headers}Content-Length: {body.Length}\r\n\r\n{body}";

    static async Task<string?> AdvanceAsync(Task<string?> round, ManualTimeProvider time)
    {
        // Tries take real time, waits between them only that of the test.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!round.IsCompleted)
        {
            limit.Token.ThrowIfCancellationRequested();
            time.Advance(MappingRefresh.RetryMax);
            await Task.Yield();
        }

        return await round;
    }

    /// <summary>Answers each connection with the next text, and closes it. Null: says nothing, until the client goes.</summary>
    sealed class RawHttpServer : IAsyncDisposable
    {
        readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        readonly List<string> _requests = [];
        readonly Task _serving;

        public RawHttpServer(params string?[] answers)
        {
            _listener.Start();
            _serving = ServeAsync(answers);
        }

        public string Url => $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/m.json";

        public IReadOnlyList<string> Requests
        {
            get { lock (_requests) return [.. _requests]; }
        }

        public async ValueTask DisposeAsync()
        {
            _listener.Stop();
            try
            {
                await _serving;
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
            {
                // Answers that nobody asked for, or that were refused half way.
            }

            _listener.Dispose();
        }

        async Task ServeAsync(string?[] answers)
        {
            foreach (var answer in answers)
            {
                using var client = await _listener.AcceptSocketAsync();
                var request = new StringBuilder();
                var buffer = new byte[4096];
                while (!request.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
                {
                    var count = await client.ReceiveAsync(buffer);
                    if (count == 0) break;
                    request.Append(Encoding.ASCII.GetString(buffer, 0, count));
                }

                lock (_requests) _requests.Add(request.ToString());
                try
                {
                    if (answer is null)
                    {
                        await client.ReceiveAsync(buffer);
                        continue;
                    }

                    await client.SendAsync(Encoding.ASCII.GetBytes(answer));
                    client.Shutdown(SocketShutdown.Send);
                    await client.ReceiveAsync(buffer);
                }
                catch (SocketException)
                {
                    // The client went away first.
                }
            }
        }
    }
}
