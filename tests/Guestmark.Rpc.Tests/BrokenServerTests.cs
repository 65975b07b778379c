using Guestmark.Rpc.Http2;
using Guestmark.TestKit;
using Xunit;
using static Guestmark.Rpc.Tests.Methods;

namespace Guestmark.Rpc.Tests;

/// <summary>Whatever a server sends, a call ends with a clear status and the channel stays usable.</summary>
public sealed class BrokenServerTests
{
    static readonly TimeSpan Soon = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task What_is_no_http2_is_named()
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);

        var pending = channel.UnaryAsync(Unary, Text(""));
        using var connection = await server.AcceptAsync();
        await connection.WriteAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray());

        var failure = await Assert.ThrowsAsync<RpcException>(() => pending.WaitAsync(Soon));
        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        Assert.Contains("does not answer as an RPC server: the server does not speak HTTP/2", failure.Detail);
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_given_up_after_the_connect_timeout()
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address, new RpcChannelOptions { ConnectTimeout = TimeSpan.FromMilliseconds(100) });

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")).WaitAsync(Soon));

        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        Assert.Contains("within 0.1 s (ConnectTimeout) while waiting for the server's first frame", failure.Detail);
    }

    [Fact]
    public async Task An_ordinary_response_is_understood_padded_continued_and_in_pieces()
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);

        var pending = channel.UnaryAsync(Unary, Text(""));
        using var connection = await server.AcceptHttp2Async();
        await connection.ReadAsync(FrameType.Data);
        byte[] padding = [0, 0, 0];
        // Pad Length, Stream Dependency and Weight, half of the headers, padding; then the other half.
        await connection.WriteAsync(
            FrameType.Headers, FrameFlags.Padded | FrameFlags.Priority, 1, [3, 0, 0, 0, 0, 9, .. FakeConnection.Headers[..7], .. padding]);
        await connection.WriteAsync(FrameType.Continuation, FrameFlags.EndHeaders, 1, FakeConnection.Headers[7..]);
        await connection.WriteAsync((FrameType)0xBE, FrameFlags.None, 1, [1, 2, 3]);
        foreach (var b in FakeConnection.Message) await connection.WriteAsync(FrameType.Data, FrameFlags.Padded, 1, [3, b, .. padding]);
        await connection.WriteAsync(FrameType.Headers, FrameFlags.EndHeaders | FrameFlags.EndStream, 1, FakeConnection.Trailers(0));

        Assert.Equal("hi", (await pending.WaitAsync(Soon)).Value);
    }

    public static TheoryData<string, RpcStatusCode, string> Responses => new()
    {
        { "headers, message", RpcStatusCode.Internal, "without a status" },
        { "message", RpcStatusCode.Internal, "before its headers" },
        { "headers, trailers", RpcStatusCode.Internal, "no message" },
        { "headers, message, message, trailers", RpcStatusCode.Internal, "more than one message" },
        { "headers, half, trailers", RpcStatusCode.Internal, "within a message, after 6 of its bytes" },
        { "headers, noise, trailers", RpcStatusCode.Internal, "not a google.protobuf.StringValue" },
        { "headers, compressed, trailers", RpcStatusCode.Unimplemented, "compressed" },
        { "headers, flag, trailers", RpcStatusCode.Internal, "0x07" },
        { "headers, huge", RpcStatusCode.ResourceExhausted, "4294967295 bytes is over the receiver's limit of 4194304" },
        { "headers, headers", RpcStatusCode.Internal, "do not end the call" },
        { "html", RpcStatusCode.Unknown, "web server" },
        { "busy", RpcStatusCode.Unavailable, "HTTP status 503" },
        { "status99", RpcStatusCode.Unknown, "" },
        { "refused", RpcStatusCode.Unavailable, "RefusedStream" },
        { "calm", RpcStatusCode.ResourceExhausted, "EnhanceYourCalm" },
    };

    [Theory]
    [MemberData(nameof(Responses))]
    public async Task A_broken_response_ends_its_call_and_no_other(string frames, RpcStatusCode code, string detail)
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);

        var pending = channel.UnaryAsync(Unary, Text(""));
        using var connection = await server.AcceptHttp2Async();
        await connection.ReadAsync(FrameType.Data);
        var names = frames.Split(", ");
        for (var i = 0; i < names.Length; i++)
        {
            var end = i == names.Length - 1 && names[i] is not ("huge" or "headers") ? FrameFlags.EndStream : FrameFlags.None;
            var (type, payload) = names[i] switch
            {
                "headers" => (FrameType.Headers, FakeConnection.Headers),
                "trailers" => (FrameType.Headers, FakeConnection.Trailers(0)),
                "message" => (FrameType.Data, FakeConnection.Message),
                "half" => (FrameType.Data, FakeConnection.Message[..6]),
                "noise" => (FrameType.Data, [0, 0, 0, 0, 3, 0xFF, 0xFF, 0xFF]),
                "compressed" => (FrameType.Data, [1, .. FakeConnection.Message[1..]]),
                "flag" => (FrameType.Data, [7, .. FakeConnection.Message[1..]]),
                "huge" => (FrameType.Data, [0, 0xFF, 0xFF, 0xFF, 0xFF]),
                "html" => (FrameType.Headers, [0x88, .. FakeConnection.Literal("content-type", "text/html")]),
                "busy" => (FrameType.Headers, FakeConnection.Literal(":status", "503")),
                "status99" => (FrameType.Headers, [.. FakeConnection.Headers, .. FakeConnection.Trailers(99)]),
                "refused" => (FrameType.ResetStream, new byte[] { 0, 0, 0, 7 }),
                "calm" => (FrameType.ResetStream, [0, 0, 0, 11]),
                _ => throw new InvalidOperationException(names[i]),
            };
            if (type == FrameType.Headers) end |= FrameFlags.EndHeaders;
            await connection.WriteAsync(type, type == FrameType.ResetStream ? FrameFlags.None : end, 1, payload);
        }

        var failure = await Assert.ThrowsAsync<RpcException>(() => pending.WaitAsync(Soon));
        Assert.Equal(code, failure.Code);
        Assert.Contains(detail, failure.Detail);

        // The connection goes on.
        var next = channel.UnaryAsync(Unary, Text(""));
        var (header, _) = await connection.ReadAsync(FrameType.Headers);
        await AnswerAsync(connection, header.StreamId);
        Assert.Equal("hi", (await next.WaitAsync(Soon)).Value);
    }

    public static TheoryData<string, int, int, int, byte[]> Violations => new()
    {
        { "not SETTINGS", (int)FrameType.Headers, (int)FrameFlags.EndHeaders, 1, [0xFF, 0xFF] },
        { "never opened", (int)FrameType.Data, (int)FrameFlags.None, 77, [] },
        { "never opened", (int)FrameType.Headers, (int)FrameFlags.EndHeaders, 2, [] },
        { "push is off", (int)FrameType.PushPromise, (int)FrameFlags.None, 1, [] },
        { "SETTINGS frame is malformed", (int)FrameType.Settings, (int)FrameFlags.None, 0, [1] },
        { "SETTINGS frame is malformed", (int)FrameType.Settings, (int)FrameFlags.None, 1, [] },
        { "SETTINGS_MAX_FRAME_SIZE is 1", (int)FrameType.Settings, (int)FrameFlags.None, 0, [0, 5, 0, 0, 0, 1] },
        { "over 2^31-1", (int)FrameType.Settings, (int)FrameFlags.None, 0, [0, 4, 0xFF, 0xFF, 0xFF, 0xFF] },
        { "over 2^31-1", (int)FrameType.WindowUpdate, (int)FrameFlags.None, 0, [0x7F, 0xFF, 0xFF, 0xFF] },
        { "over 2^31-1", (int)FrameType.WindowUpdate, (int)FrameFlags.None, 1, [0x7F, 0xFF, 0xFF, 0xFF] },
        { "WINDOW_UPDATE by 0", (int)FrameType.WindowUpdate, (int)FrameFlags.None, 0, [0, 0, 0, 0] },
        { "Ping has 1 bytes", (int)FrameType.Ping, (int)FrameFlags.None, 0, [1] },
        { "ResetStream has 3 bytes", (int)FrameType.ResetStream, (int)FrameFlags.None, 1, [1, 2, 3] },
        { "GOAWAY frame is too short", (int)FrameType.GoAway, (int)FrameFlags.None, 0, [1] },
        { "shorter than its padding", (int)FrameType.Data, (int)FrameFlags.Padded, 1, [2, 0] },
        { "shorter than its padding", (int)FrameType.Headers, (int)(FrameFlags.Padded | FrameFlags.EndHeaders), 1, [] },
        { "CONTINUATION without HEADERS", (int)FrameType.Continuation, (int)FrameFlags.EndHeaders, 1, [] },
        { "limit is 16384", (int)FrameType.Data, (int)FrameFlags.None, 1, new byte[16385] },
        { "header block", (int)FrameType.Headers, (int)FrameFlags.EndHeaders, 1, [0x80] },
    };

    [Theory]
    [MemberData(nameof(Violations))]
    public async Task A_violation_ends_the_connection_and_the_next_call_makes_a_new_one(
        string detail, int type, int flags, int streamId, byte[] payload)
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);

        var pending = channel.UnaryAsync(Unary, Text(""));
        using var connection = detail == "not SETTINGS" ? await server.AcceptAsync() : await server.AcceptHttp2Async();
        if (detail != "not SETTINGS") await connection.ReadAsync(FrameType.Data);
        await connection.WriteAsync((FrameType)type, (FrameFlags)flags, streamId, payload);

        var failure = await Assert.ThrowsAsync<RpcException>(() => pending.WaitAsync(Soon));
        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        Assert.Contains(detail, failure.Detail);

        var next = channel.UnaryAsync(Unary, Text(""));
        using var second = await server.AcceptHttp2Async();
        await second.ReadAsync(FrameType.Data);
        await AnswerAsync(second, 1);
        Assert.Equal("hi", (await next.WaitAsync(Soon)).Value);
    }

    [Fact]
    public async Task A_server_that_ignores_the_window_is_cut_off()
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);
        await using var call = channel.Open(Unary);
        using var connection = await server.AcceptHttp2Async();
        await connection.ReadAsync(FrameType.Headers);
        await connection.WriteAsync(FrameType.Headers, FrameFlags.EndHeaders, 1, FakeConnection.Headers);
        // One message a frame, which nobody reads: 1 MiB and one byte in all.
        byte[] message = [0, 0, 0, 0x3F, 0xFB, 0x0a, 0xF8, 0x7F, .. new byte[16376]];
        for (var i = 0; i < 64; i++) await connection.WriteAsync(FrameType.Data, FrameFlags.None, 1, message);
        await connection.WriteAsync(FrameType.Data, FrameFlags.None, 1, [0]);

        var received = 0;
        var failure = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            await EndedAsync(connection);
            await foreach (var _ in call.ReadAllAsync()) received++;
        });

        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        Assert.Contains("more than a stream's window", failure.Detail);
        Assert.Equal(64, received);
    }

    [Fact]
    public async Task Any_bytes_end_in_a_status()
    {
        using var server = new FakeServer();
        for (var seed = 0; seed < 200; seed++)
        {
            using var channel = new RpcChannel(server.Address);
            var pending = channel.UnaryAsync(Unary, Text(""));
            using var connection = await server.AcceptHttp2Async();
            await connection.ReadAsync(FrameType.Data);
            await connection.WriteAsync(Noise(new Random(seed)));
            connection.Dispose();

            await Assert.ThrowsAsync<RpcException>(() => pending.WaitAsync(Soon));
        }

        // Frames that are right in form, so that what is inside is reached.
        static byte[] Noise(Random random)
        {
            var bytes = new List<byte>();
            for (var i = 0; i < 20; i++)
            {
                var payload = new byte[random.Next(40)];
                random.NextBytes(payload);
                var header = new byte[FrameHeader.Bytes];
                new FrameHeader(payload.Length, (FrameType)random.Next(11), (FrameFlags)random.Next(64), random.Next(4) == 0 ? 0 : 1).Write(header);
                bytes.AddRange(header);
                bytes.AddRange(payload);
            }

            return [.. bytes];
        }
    }

    [Fact]
    public async Task A_call_that_the_server_will_not_process_fails_and_the_next_goes_elsewhere()
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);

        var pending = channel.UnaryAsync(Unary, Text(""));
        using var connection = await server.AcceptHttp2Async();
        await connection.ReadAsync(FrameType.Data);
        var processed = channel.UnaryAsync(Unary, Text(""));
        await connection.ReadAsync(FrameType.Data);
        await connection.WriteAsync(FrameType.GoAway, FrameFlags.None, 0, [0, 0, 0, 1, 0, 0, 0, 0]);

        Assert.Equal(RpcStatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => processed.WaitAsync(Soon))).Code);
        var next = channel.UnaryAsync(Unary, Text(""));
        using var second = await server.AcceptHttp2Async();
        await second.ReadAsync(FrameType.Data);
        await AnswerAsync(second, 1);
        Assert.Equal("hi", (await next.WaitAsync(Soon)).Value);
        // What it did take it may still answer; then the connection closes.
        await AnswerAsync(connection, 1);
        Assert.Equal("hi", (await pending.WaitAsync(Soon)).Value);
        Assert.True(await EndedAsync(connection));
    }

    [Fact]
    public async Task The_server_s_windows_are_kept()
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);

        var pending = channel.UnaryAsync(Unary, Text(new string('x', 50)));
        using var connection = await server.AcceptHttp2Async((Setting.InitialWindowSize, 10));
        var sizes = new List<int>();
        while (true)
        {
            var (header, _) = await connection.ReadAsync(FrameType.Data);
            sizes.Add(header.Length);
            if (header.Has(FrameFlags.EndStream)) break;
            await connection.WriteAsync(FrameType.WindowUpdate, FrameFlags.None, 1, [0, 0, 0, 20]);
        }

        // 50 characters, two bytes of their field, five of the prefix.
        Assert.Equal([10, 20, 20, 7], sizes);
        await AnswerAsync(connection, 1);
        await pending.WaitAsync(Soon);
    }

    [Fact]
    public async Task A_ping_is_answered()
    {
        using var server = new FakeServer();
        using var channel = new RpcChannel(server.Address);

        var pending = channel.UnaryAsync(Unary, Text(""));
        using var connection = await server.AcceptHttp2Async();
        await connection.WriteAsync(FrameType.Ping, FrameFlags.None, 0, [1, 2, 3, 4, 5, 6, 7, 8]);

        var (header, payload) = await connection.ReadAsync(FrameType.Ping);
        Assert.True(header.Has(FrameFlags.Acknowledgement));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], payload);
        Assert.False(pending.IsCompleted);
    }

    [Fact]
    public async Task A_silent_server_is_asked_and_given_up_when_it_does_not_answer()
    {
        var time = new ManualTimeProvider();
        using var server = new FakeServer();
        using var channel = new RpcChannel(
            server.Address,
            new RpcChannelOptions { Time = time, KeepAliveInterval = TimeSpan.FromSeconds(30), KeepAliveTimeout = TimeSpan.FromSeconds(20) });
        var pending = channel.UnaryAsync(Unary, Text(""));
        using var connection = await server.AcceptHttp2Async();
        await connection.ReadAsync(FrameType.Data);

        for (var i = 0; i < 2; i++)
        {
            time.Advance(TimeSpan.FromSeconds(31));
            var (_, payload) = await connection.ReadAsync(FrameType.Ping);
            if (i == 1) break;
            await connection.WriteAsync(FrameType.Ping, FrameFlags.Acknowledgement, 0, payload);
            // The answer to a ping of ours shows that the client has read what came before it.
            await connection.WriteAsync(FrameType.Ping, FrameFlags.None, 0, payload);
            await connection.ReadAsync(FrameType.Ping);
        }

        Assert.False(pending.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(21));
        var failure = await Assert.ThrowsAsync<RpcException>(() => pending.WaitAsync(Soon));
        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        Assert.Contains("did not answer within 20 s", failure.Detail);
    }

    static async Task AnswerAsync(FakeConnection connection, int streamId)
    {
        await connection.WriteAsync(FrameType.Headers, FrameFlags.EndHeaders, streamId, FakeConnection.Headers);
        await connection.WriteAsync(FrameType.Data, FrameFlags.None, streamId, FakeConnection.Message);
        await connection.WriteAsync(FrameType.Headers, FrameFlags.EndHeaders | FrameFlags.EndStream, streamId, FakeConnection.Trailers(0));
    }

    /// <summary>Reads until the client closes the connection.</summary>
    static async Task<bool> EndedAsync(FakeConnection connection)
    {
        try
        {
            while (true) await connection.ReadAsync();
        }
        catch (IOException)
        {
            return true;
        }
    }
}
