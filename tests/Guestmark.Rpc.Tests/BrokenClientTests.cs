using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Xunit;
using static Guestmark.Rpc.Tests.Methods;

namespace Guestmark.Rpc.Tests;

/// <summary>Whatever a client sends, the server answers with a status or closes the connection, and serves the next.</summary>
public sealed class BrokenClientTests
{
    public static TheoryData<byte[], int, string> Bodies => new()
    {
        { [], 13, "no message" },
        { [0, 0], 13, "ended within a message, after 2" },
        { [0, 0, 0, 0, 4, 0x0a, 2, (byte)'h'], 13, "ended within a message, after 8" },
        { [0, 0xFF, 0xFF, 0xFF, 0xFF], 8, "4294967295 bytes is over the receiver's limit" },
        { [0, 0, 0x50, 0, 0, 1], 8, "ReceiveMessageBytesMax" },
        { [1, 0, 0, 0, 0], 12, "compressed" },
        { [9, 0, 0, 0, 0], 13, "0x09" },
        { [0, 0, 0, 0, 3, 0xFF, 0xFF, 0xFF], 13, "not a google.protobuf.StringValue" },
        { [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 13, "more than one message" },
    };

    [Theory]
    [MemberData(nameof(Bodies))]
    public async Task A_broken_request_gets_a_status_and_the_next_is_served(byte[] body, int status, string detail)
    {
        await using var server = await EchoAsync();
        using var client = RawClient(server);

        using var response = await PostAsync(client, body);

        var (code, message) = Status(response);
        Assert.Equal($"{status}", code);
        Assert.Contains(detail, Uri.UnescapeDataString(message));
        using var next = await PostAsync(client, FakeConnection.Message);
        Assert.Equal(FakeConnection.Message, await next.Content.ReadAsByteArrayAsync());
        Assert.Equal("0", Status(next).Code);
    }

    [Fact]
    public async Task Random_bodies_get_a_status()
    {
        await using var server = await EchoAsync();
        using var client = RawClient(server);
        var random = new Random(5);
        for (var i = 0; i < 300; i++)
        {
            var body = new byte[random.Next(60)];
            random.NextBytes(body);
            if (body.Length > 4 && i % 2 == 0) (body[0], body[1], body[2], body[3]) = (0, 0, 0, 0);
            using var response = await PostAsync(client, body);
            await response.Content.ReadAsByteArrayAsync();
            Assert.NotNull(Status(response).Code);
        }

        Assert.DoesNotContain(server.Logs, entry => entry.Id.Id == 7001);
    }

    [Fact]
    public async Task Random_bytes_on_the_socket_close_it_and_the_next_connection_is_served()
    {
        await using var server = await EchoAsync();
        var random = new Random(6);
        for (var i = 0; i < 50; i++)
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(server.Address.Host, server.Address.Port);
            var noise = new byte[200];
            random.NextBytes(noise);
            await socket.SendAsync(i % 2 == 0 ? noise : [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. noise]);
        }

        using var channel = server.Connect();
        Assert.Equal("ok", (await channel.UnaryAsync(Unary, Text("ok"))).Value);
    }

    [Theory]
    [InlineData("POST", "application/json", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("POST", "application/grpc-web", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("PUT", "application/grpc", HttpStatusCode.MethodNotAllowed)]
    [InlineData("POST", "application/grpc+proto", HttpStatusCode.OK)]
    public async Task Only_the_protocol_s_own_requests_are_taken(string method, string contentType, HttpStatusCode expected)
    {
        await using var server = await EchoAsync();
        using var client = RawClient(server);

        using var response = await PostAsync(client, FakeConnection.Message, method, contentType);

        Assert.Equal(expected, response.StatusCode);
    }

    [Fact]
    public async Task A_malformed_timeout_is_an_invalid_argument()
    {
        await using var server = await EchoAsync();
        using var client = RawClient(server);

        using var response = await PostAsync(client, FakeConnection.Message, timeout: "soon");

        Assert.Equal("3", Status(response).Code);
    }

    static Task<TestServer> EchoAsync() => TestServer.StartAsync(app => app.MapUnary(Unary, (request, _) => ValueTask.FromResult(request)));

    static HttpClient RawClient(TestServer server) => new() { BaseAddress = server.Address };

    static async Task<HttpResponseMessage> PostAsync(
        HttpClient client, byte[] body, string method = "POST", string contentType = "application/grpc", string? timeout = null)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), Unary.Path)
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue(contentType) } },
        };
        if (timeout is not null) request.Headers.Add("grpc-timeout", timeout);
        return await client.SendAsync(request);
    }

    static (string? Code, string Message) Status(HttpResponseMessage response)
    {
        HttpHeaders headers = response.Headers.Contains("grpc-status") ? response.Headers : response.TrailingHeaders;
        return (headers.TryGetValues("grpc-status", out var code) ? code.Single() : null, headers.TryGetValues("grpc-message", out var text) ? text.Single() : "");
    }
}
