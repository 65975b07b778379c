using System.Net;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Xunit;
using static Guestmark.Rpc.Tests.Methods;

namespace Guestmark.Rpc.Tests;

public sealed class CallTests
{
    static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task A_unary_call_returns_the_answer()
    {
        await using var server = await TestServer.StartAsync(app => app.MapUnary(Unary, (request, _) => ValueTask.FromResult(Text(request.Value + "!"))));
        using var channel = server.Connect();

        Assert.Equal("hello!", (await channel.UnaryAsync(Unary, Text("hello"))).Value);
        Assert.Equal("!", (await channel.UnaryAsync(Unary, Text(""))).Value);
    }

    [Fact]
    public async Task A_server_stream_is_read_to_its_end()
    {
        await using var server = await TestServer.StartAsync(app => app.MapServerStreaming(Down, async (request, responses, call) =>
        {
            for (var i = 0; i < int.Parse(request.Value); i++) await responses.WriteAsync(Text($"{i}"), call.CancellationToken);
        }));
        using var channel = server.Connect();

        await using var call = channel.Open(Down);
        await call.WriteAsync(Text("1000"));
        await call.CompleteAsync();
        var received = new List<string>();
        await foreach (var response in call.ReadAllAsync()) received.Add(response.Value);

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => $"{i}"), received);
        Assert.Null(await call.ReadAsync());
    }

    [Fact]
    public async Task A_client_stream_is_read_to_its_end()
    {
        await using var server = await TestServer.StartAsync(app => app.MapClientStreaming(Up, async (requests, _) =>
        {
            var all = new List<string>();
            await foreach (var request in requests.ReadAllAsync()) all.Add(request.Value);
            return Text(string.Join(',', all));
        }));
        using var channel = server.Connect();

        await using var call = channel.Open(Up);
        foreach (var text in (string[])["a", "b", "c"]) await call.WriteAsync(Text(text));
        await call.CompleteAsync();

        Assert.Equal("a,b,c", (await call.ReadAsync())?.Value);
        Assert.Null(await call.ReadAsync());
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await call.WriteAsync(Text("late")));
    }

    [Fact]
    public async Task A_duplex_call_answers_each_request_before_the_next()
    {
        await using var server = await TestServer.StartAsync(app => app.MapDuplex(Both, EchoAsync));
        using var channel = server.Connect();

        await using var call = channel.Open(Both);
        for (var i = 0; i < 100; i++)
        {
            await call.WriteAsync(Text($"{i}"));
            Assert.Equal($"{i}", (await call.ReadAsync())?.Value);
        }

        await call.CompleteAsync();
        Assert.Null(await call.ReadAsync());
    }

    [Fact]
    public async Task The_server_may_speak_first()
    {
        await using var server = await TestServer.StartAsync(app => app.MapDuplex(Both, async (requests, responses, call) =>
        {
            await responses.WriteAsync(Text("credit"), call.CancellationToken);
            await EchoAsync(requests, responses, call);
        }));
        using var channel = server.Connect();

        await using var call = channel.Open(Both);
        Assert.Equal("credit", (await call.ReadAsync())?.Value);
        await call.WriteAsync(Text("x"));
        Assert.Equal("x", (await call.ReadAsync())?.Value);
    }

    [Fact]
    public async Task Metadata_travels_both_ways_with_repeated_names_and_bytes()
    {
        RpcMetadata? seen = null;
        await using var server = await TestServer.StartAsync(app => app.MapServerStreaming(Down, async (_, responses, call) =>
        {
            seen = call.Metadata;
            call.ResponseHeaders.Add("from-server", "header");
            call.ResponseHeaders.Add("raw-bin", [0, 255, 1]);
            call.ResponseTrailers.Add("at-end", "trailer");
            call.ResponseTrailers.Add("end-bin", [9, 8, 7, 6]);
            await responses.WriteAsync(Text("x"), call.CancellationToken);
        }));
        using var channel = server.Connect();
        var metadata = new RpcMetadata { { "name", "one" }, { "name", "two" }, { "data-bin", [1, 2, 3, 4, 5] } };

        await using var call = channel.Open(Down, new RpcCallOptions { Metadata = metadata });
        await call.WriteAsync(Text(""));
        await call.CompleteAsync();
        var headers = await call.GetHeadersAsync().WaitAsync(Soon);
        while (await call.ReadAsync() is not null)
        {
        }

        Assert.NotNull(seen);
        Assert.Equal(["one", "two"], seen.Where(entry => entry.Key == "name").Select(entry => entry.Value));
        Assert.Equal([1, 2, 3, 4, 5], seen.GetBinary("data-bin"));
        Assert.DoesNotContain(seen, entry => entry.Key is "te" or "content-type" || entry.Key.StartsWith("grpc-"));
        Assert.Equal("header", headers.Get("from-server"));
        Assert.Equal([0, 255, 1], headers.GetBinary("raw-bin"));
        Assert.Equal("trailer", call.Trailers.Get("at-end"));
        Assert.Equal([9, 8, 7, 6], call.Trailers.GetBinary("end-bin"));
    }

    [Fact]
    public async Task Metadata_larger_than_a_frame_is_continued_in_the_next()
    {
        await using var server = await TestServer.StartAsync(
            app => app.MapUnary(Unary, (_, call) => ValueTask.FromResult(Text($"{call.Metadata.Sum(entry => entry.Key.StartsWith('x') ? entry.Value.Length : 0)}"))));
        using var channel = server.Connect();
        var metadata = new RpcMetadata();
        for (var i = 0; i < 25; i++) metadata.Add($"x-{i}", new string('v', 1000));

        Assert.Equal("25000", (await channel.UnaryAsync(Unary, Text(""), new RpcCallOptions { Metadata = metadata })).Value);
    }

    [Fact]
    public async Task A_status_reaches_the_client_with_its_detail_and_trailers()
    {
        await using var server = await TestServer.StartAsync(app => app.MapUnary(
            Unary, (_, _) => throw new RpcException(RpcStatusCode.FailedPrecondition, "Größe 100 %\n", new RpcMetadata { { "why", "because" } })));
        using var channel = server.Connect();

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")));

        Assert.Equal(RpcStatusCode.FailedPrecondition, failure.Code);
        Assert.Equal("Größe 100 %\n", failure.Detail);
        Assert.Equal("because", failure.Trailers.Get("why"));
    }

    [Fact]
    public async Task A_status_after_messages_comes_after_them()
    {
        await using var server = await TestServer.StartAsync(app => app.MapDuplex(Both, async (_, responses, call) =>
        {
            await responses.WriteAsync(Text("first"), call.CancellationToken);
            throw new RpcException(RpcStatusCode.DataLoss, "gone");
        }));
        using var channel = server.Connect();

        await using var call = channel.Open(Both);
        Assert.Equal("first", (await call.ReadAsync())?.Value);
        var failure = await Assert.ThrowsAsync<RpcException>(async () => await call.ReadAsync());
        Assert.Equal(RpcStatusCode.DataLoss, failure.Code);
        var again = await Assert.ThrowsAsync<RpcException>(async () => await call.WriteAsync(Text("more")));
        Assert.Equal(RpcStatusCode.DataLoss, again.Code);
    }

    [Fact]
    public async Task An_unexpected_exception_is_logged_and_keeps_its_text_from_the_peer()
    {
        await using var server = await TestServer.StartAsync(app => app.MapUnary(Unary, (_, _) => throw new InvalidOperationException("secret")));
        using var channel = server.Connect();

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")));

        Assert.Equal(RpcStatusCode.Internal, failure.Code);
        Assert.DoesNotContain("secret", failure.Detail);
        Assert.Contains(server.Logs, entry => entry.Id.Id == 7001 && entry.Exception?.Message == "secret");
    }

    [Fact]
    public async Task An_unknown_method_is_unimplemented()
    {
        await using var server = await TestServer.StartAsync(app => app.MapUnary(Unary, (request, _) => ValueTask.FromResult(request)));
        using var channel = server.Connect();

        foreach (var method in (RpcMethod<StringValue, StringValue>[])[new("test.Calls", "None"), new("other.Service", "Unary"), new("a/b", "c")])
        {
            var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(method, Text("")));
            Assert.Equal(RpcStatusCode.Unimplemented, failure.Code);
            Assert.Contains(method.Path, failure.Detail);
        }
    }

    [Fact]
    public async Task The_client_gives_up_at_its_deadline_and_the_server_notices()
    {
        var gone = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(app => app.MapUnary(Unary, async (request, call) =>
        {
            Assert.NotNull(call.Deadline);
            // A handler whose client is late to give up: it waits for the token only.
            await WhenCancelled(call.CancellationToken);
            gone.SetResult();
            return request;
        }));
        using var channel = server.Connect();

        var failure = await Assert.ThrowsAsync<RpcException>(
            () => channel.UnaryAsync(Unary, Text(""), new RpcCallOptions { Timeout = TimeSpan.FromMilliseconds(150) }));

        Assert.Equal(RpcStatusCode.DeadlineExceeded, failure.Code);
        await gone.Task.WaitAsync(Soon);
    }

    [Fact]
    public async Task The_server_ends_a_call_at_its_deadline_when_the_client_does_not()
    {
        // The clock of the client stands still.
        await using var server = await TestServer.StartAsync(app => app.MapUnary(Unary, async (request, call) =>
        {
            await WhenCancelled(call.CancellationToken);
            call.CancellationToken.ThrowIfCancellationRequested();
            return request;
        }));
        using var channel = server.Connect(new RpcChannelOptions { Time = new ManualTimeProvider() });

        var failure = await Assert.ThrowsAsync<RpcException>(
            () => channel.UnaryAsync(Unary, Text(""), new RpcCallOptions { Timeout = TimeSpan.FromMilliseconds(100) }).WaitAsync(Soon));

        Assert.Equal(RpcStatusCode.DeadlineExceeded, failure.Code);
        Assert.Contains("answer was ready", failure.Detail);
    }

    [Fact]
    public async Task A_cancelled_call_is_noticed_by_the_server()
    {
        var started = new TaskCompletionSource();
        var gone = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(app => app.MapUnary(Unary, async (request, call) =>
        {
            started.SetResult();
            await WhenCancelled(call.CancellationToken);
            gone.SetResult();
            return request;
        }));
        using var channel = server.Connect();
        using var cancel = new CancellationTokenSource();

        var pending = channel.UnaryAsync(Unary, Text(""), cancellationToken: cancel.Token);
        await started.Task.WaitAsync(Soon);
        await cancel.CancelAsync();

        var failure = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pending);
        Assert.Equal(cancel.Token, failure.CancellationToken);
        await gone.Task.WaitAsync(Soon);
    }

    [Fact]
    public async Task A_disposed_call_is_noticed_by_the_server_and_the_connection_goes_on()
    {
        var gone = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(app =>
        {
            app.MapDuplex(Both, async (requests, responses, call) =>
            {
                await responses.WriteAsync(Text("started"), call.CancellationToken);
                try
                {
                    await requests.ReadAsync();
                }
                catch (OperationCanceledException)
                {
                    gone.SetResult();
                    throw;
                }
            });
            app.MapUnary(Unary, (_, call) => ValueTask.FromResult(Text(call.PeerName)));
        });
        using var channel = server.Connect();
        var before = (await channel.UnaryAsync(Unary, Text(""))).Value;

        var call = channel.Open(Both);
        Assert.Equal("started", (await call.ReadAsync())?.Value);
        await call.DisposeAsync();

        await gone.Task.WaitAsync(Soon);
        Assert.Equal(RpcStatusCode.Cancelled, (await Assert.ThrowsAsync<RpcException>(async () => await call.ReadAsync())).Code);
        // The peer's name holds the client's port: it is the same connection.
        Assert.Equal(before, (await channel.UnaryAsync(Unary, Text(""))).Value);
    }

    [Fact]
    public async Task Cancelling_a_read_leaves_the_call()
    {
        await using var server = await TestServer.StartAsync(app => app.MapDuplex(Both, EchoAsync));
        using var channel = server.Connect();
        await using var call = channel.Open(Both);
        using var cancel = new CancellationTokenSource();

        var read = call.ReadAsync(cancel.Token).AsTask();
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);

        await call.WriteAsync(Text("still here"));
        Assert.Equal("still here", (await call.ReadAsync())?.Value);
    }

    [Fact]
    public async Task More_calls_than_the_server_takes_at_once_wait_and_are_all_answered()
    {
        var most = 0;
        var now = 0;
        await using var server = await TestServer.StartAsync(
            app => app.MapUnary(Unary, async (request, _) =>
            {
                var count = Interlocked.Increment(ref now);
                InterlockedMax(ref most, count);
                await Task.Yield();
                Interlocked.Decrement(ref now);
                return request;
            }),
            options => options.CallsPerConnectionMax = 7);
        using var channel = server.Connect();

        var answers = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => channel.UnaryAsync(Unary, Text($"{i}")))).WaitAsync(Soon);

        Assert.Equal(Enumerable.Range(0, 500).Select(i => $"{i}"), answers.Select(answer => answer.Value));
        Assert.InRange(most, 1, 7);
    }

    [Fact]
    public async Task A_call_that_is_cancelled_while_it_waits_for_a_place_lets_the_next_have_it()
    {
        var started = new TaskCompletionSource();
        var release = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(
            app => app.MapUnary(Unary, async (request, _) =>
            {
                started.TrySetResult();
                await release.Task;
                return request;
            }),
            options => options.CallsPerConnectionMax = 1);
        using var channel = server.Connect();
        using var cancel = new CancellationTokenSource();

        var first = channel.UnaryAsync(Unary, Text("first"));
        await started.Task.WaitAsync(Soon);
        var second = channel.UnaryAsync(Unary, Text("second"), cancellationToken: cancel.Token);
        var third = channel.UnaryAsync(Unary, Text("third"));
        await cancel.CancelAsync();
        release.SetResult();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.Equal("first", (await first.WaitAsync(Soon)).Value);
        Assert.Equal("third", (await third.WaitAsync(Soon)).Value);
    }

    [Theory]
    [InlineData(16_000)]
    [InlineData(16_379)]
    [InlineData(16_384)]
    [InlineData(70_000)]
    [InlineData(3_000_000)]
    public async Task Messages_larger_than_frames_and_windows_pass_in_both_directions(int size)
    {
        await using var server = await TestServer.StartAsync(app => app.MapUnary(Bytes, (request, _) => ValueTask.FromResult(request)));
        using var channel = server.Connect();
        var payload = new byte[size];
        new Random(size).NextBytes(payload);
        var request = new BytesValue { Value = ByteString.CopyFrom(payload) };

        var answers = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => channel.UnaryAsync(Bytes, request))).WaitAsync(Soon);

        Assert.All(answers, answer => Assert.Equal(request.Value, answer.Value));
    }

    [Fact]
    public async Task A_reader_that_waits_stops_the_writer_and_then_gets_everything()
    {
        const int Messages = 400;
        var written = 0;
        var payload = new BytesValue { Value = ByteString.CopyFrom(new byte[100_000]) };
        await using var server = await TestServer.StartAsync(app => app.MapServerStreaming(Bytes, async (_, responses, call) =>
        {
            for (var i = 0; i < Messages; i++)
            {
                await responses.WriteAsync(payload, call.CancellationToken);
                Interlocked.Increment(ref written);
            }
        }));
        using var channel = server.Connect();

        await using var call = channel.Open(Bytes);
        await call.WriteAsync(payload);
        await call.CompleteAsync();
        await call.GetHeadersAsync().WaitAsync(Soon);
        // Another call answered on the same connection shows that the stream does not block it.
        await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")).WaitAsync(Soon));
        // 40 MB in all; what is on its way fits into the stream's window (1 MiB) and the server's own buffers.
        Assert.InRange(Volatile.Read(ref written), 0, Messages / 2);

        var received = 0;
        await foreach (var message in call.ReadAllAsync())
        {
            Assert.Equal(100_000, message.Value.Length);
            received++;
        }

        Assert.Equal(Messages, received);
    }

    [Fact]
    public async Task A_writer_waits_while_the_server_does_not_read()
    {
        var read = new TaskCompletionSource();
        var payload = new BytesValue { Value = ByteString.CopyFrom(new byte[500_000]) };
        await using var server = await TestServer.StartAsync(app => app.MapClientStreaming(Bytes, async (requests, _) =>
        {
            await read.Task;
            var count = 0;
            while (await requests.ReadAsync() is not null) count++;
            return new BytesValue { Value = ByteString.CopyFrom([(byte)count]) };
        }));
        using var channel = server.Connect();

        await using var call = channel.Open(Bytes);
        var writing = WriteAllAsync();
        Assert.False(writing.IsCompleted);
        read.SetResult();
        await writing.WaitAsync(Soon);

        Assert.Equal(20, (int)(await call.ReadAsync())!.Value[0]);

        async Task WriteAllAsync()
        {
            for (var i = 0; i < 20; i++) await call.WriteAsync(payload);
            await call.CompleteAsync();
        }
    }

    [Fact]
    public async Task A_server_may_answer_before_it_has_read_everything()
    {
        var payload = new BytesValue { Value = ByteString.CopyFrom(new byte[1_000_000]) };
        await using var server = await TestServer.StartAsync(app => app.MapClientStreaming(Bytes, (_, _) => ValueTask.FromResult(new BytesValue())));
        using var channel = server.Connect();

        await using var call = channel.Open(Bytes);
        // More than the window: these end because the call does, not because they were read.
        for (var i = 0; i < 5; i++) await call.WriteAsync(payload).AsTask().WaitAsync(Soon);

        Assert.NotNull(await call.ReadAsync());
        Assert.Null(await call.ReadAsync());
    }

    [Fact]
    public async Task A_channel_connects_again_after_the_server_was_restarted()
    {
        using var folder = new TemporaryFolder();
        var socket = folder.File("rpc.sock");
        var first = await TestServer.StartAsync(app => app.MapDuplex(Both, EchoAsync), socket: socket);
        using var channel = new RpcChannel(first.Address);
        var call = channel.Open(Both);
        await call.WriteAsync(Text("one"));
        Assert.Equal("one", (await call.ReadAsync())?.Value);

        await first.DisposeAsync();
        var lost = await Assert.ThrowsAsync<RpcException>(async () => await call.ReadAsync().AsTask().WaitAsync(Soon));
        var absent = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")));
        await using var second = await TestServer.StartAsync(app => app.MapUnary(Unary, (request, _) => ValueTask.FromResult(request)), socket: socket);

        Assert.Equal(RpcStatusCode.Unavailable, lost.Code);
        Assert.Equal(RpcStatusCode.Unavailable, absent.Code);
        Assert.Equal("two", (await channel.UnaryAsync(Unary, Text("two"))).Value);
    }

    [Fact]
    public async Task A_refused_connection_names_the_address()
    {
        using var channel = new RpcChannel(new Uri("http://127.0.0.1:1"));

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")));

        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        Assert.Contains("http://127.0.0.1:1/", failure.Detail);
        Assert.Contains("refused", failure.Detail);
    }

    [Fact]
    public async Task Disposing_the_channel_ends_its_calls()
    {
        await using var server = await TestServer.StartAsync(app => app.MapDuplex(Both, EchoAsync));
        var channel = server.Connect();
        var call = channel.Open(Both);
        await call.WriteAsync(Text("x"));
        await call.ReadAsync();

        channel.Dispose();

        Assert.Equal(RpcStatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(async () => await call.ReadAsync())).Code);
        Assert.Throws<ObjectDisposedException>(() => channel.Open(Both));
    }

    [Fact]
    public async Task Rpc_and_web_endpoints_of_one_application_answer_only_on_their_own_listeners()
    {
        await using var server = await TestServer.StartAsync(
            app =>
            {
                app.MapUnary(Unary, (request, _) => ValueTask.FromResult(request));
                app.MapGet("/page", () => "page");
                app.MapPost("/test.Calls/Web", () => "web");
                app.MapFallback(() => "fallback");
            },
            kestrel: options =>
            {
                options.Listen(IPAddress.Loopback, 0);
                options.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = Microsoft.AspNetCore.Server.Kestrel.Core.HttpProtocols.Http2);
            });
        using var rpc = server.Connect();
        using var rpcOnWeb = new RpcChannel(server.Addresses[2]);
        using var web = new HttpClient { BaseAddress = server.Addresses[1] };
        using var webOnRpc = new HttpClient
        {
            BaseAddress = server.Address,
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };

        Assert.Equal("x", (await rpc.UnaryAsync(Unary, Text("x"))).Value);
        Assert.Equal("page", await web.GetStringAsync("/page"));
        Assert.Equal("fallback", await web.GetStringAsync("/test.Calls/Unary"));
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await webOnRpc.GetAsync(new Uri("/page", UriKind.Relative))).StatusCode);
        Assert.Equal(
            RpcStatusCode.Unimplemented,
            (await Assert.ThrowsAsync<RpcException>(() => rpc.UnaryAsync(new RpcMethod<StringValue, StringValue>("test.Calls", "Web"), Text("")))).Code);
        await Assert.ThrowsAsync<RpcException>(() => rpcOnWeb.UnaryAsync(Unary, Text("x")));
    }

    [Fact]
    public async Task An_rpc_method_is_not_found_on_a_web_listener()
    {
        await using var server = await TestServer.StartAsync(
            app => app.MapUnary(Unary, (request, _) => ValueTask.FromResult(request)),
            kestrel: options => options.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = Microsoft.AspNetCore.Server.Kestrel.Core.HttpProtocols.Http2));
        using var channel = new RpcChannel(server.Addresses[1]);

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("x")));

        Assert.Equal(RpcStatusCode.Unimplemented, failure.Code);
        Assert.Contains("404", failure.Detail);
    }

    [Fact]
    public void An_address_and_options_that_contradict_each_other_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new RpcChannel(new Uri("ftp://host")));
        Assert.Throws<ArgumentException>(() => new RpcChannel(new Uri("https://host")));
    }

    static async Task EchoAsync(RpcRequestStream<StringValue> requests, RpcResponseStream<StringValue> responses, RpcServerCall call)
    {
        while (await requests.ReadAsync() is { } request) await responses.WriteAsync(request, call.CancellationToken);
    }

    static async Task WhenCancelled(CancellationToken token)
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = token.Register(cancelled.SetResult);
        await cancelled.Task.WaitAsync(Soon, CancellationToken.None);
    }

    static void InterlockedMax(ref int target, int value)
    {
        int seen;
        do
        {
            seen = Volatile.Read(ref target);
        }
        while (value > seen && Interlocked.CompareExchange(ref target, value, seen) != seen);
    }
}
