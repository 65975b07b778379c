using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Microsoft.AspNetCore.Builder;
using Xunit;
using static Guestmark.Rpc.Tests.Methods;

namespace Guestmark.Rpc.Tests;

public sealed class LimitTests
{
    /// <summary>Tag and length of a field of 1000 bytes take three more.</summary>
    static readonly BytesValue Thousand = new() { Value = ByteString.CopyFrom(new byte[1000]) };

    [Fact]
    public async Task The_server_refuses_a_message_over_its_limit_and_names_it()
    {
        await using var server = await EchoAsync(options => options.ReceiveMessageBytesMax = 1002);
        using var channel = server.Connect();

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Bytes, Thousand));

        AssertNames(failure, "ReceiveMessageBytesMax");
        Assert.Equal(999, (await channel.UnaryAsync(Bytes, new BytesValue { Value = ByteString.CopyFrom(new byte[999]) })).Value.Length);
    }

    [Fact]
    public async Task The_server_does_not_send_a_message_over_its_limit()
    {
        await using var server = await EchoAsync(options => options.SendMessageBytesMax = 1002);
        using var channel = server.Connect();

        AssertNames(await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Bytes, Thousand)), "SendMessageBytesMax");
    }

    [Fact]
    public async Task The_client_refuses_a_message_over_its_limit()
    {
        await using var server = await EchoAsync();
        using var channel = server.Connect(new RpcChannelOptions { ReceiveMessageBytesMax = 1002 });

        AssertNames(await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Bytes, Thousand)), "ReceiveMessageBytesMax");
    }

    [Fact]
    public async Task The_client_does_not_send_a_message_over_its_limit()
    {
        await using var server = await EchoAsync();
        using var channel = server.Connect(new RpcChannelOptions { SendMessageBytesMax = 1002 });

        AssertNames(await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Bytes, Thousand)), "SendMessageBytesMax");
        await using var call = channel.Open(Bytes);
        AssertNames(await Assert.ThrowsAsync<RpcException>(async () => await call.WriteAsync(Thousand)), "SendMessageBytesMax");
    }

    [Fact]
    public async Task A_message_at_the_limit_passes()
    {
        await using var server = await EchoAsync(options => (options.ReceiveMessageBytesMax, options.SendMessageBytesMax) = (1003, 1003));
        using var channel = server.Connect(new RpcChannelOptions { ReceiveMessageBytesMax = 1003, SendMessageBytesMax = 1003 });

        Assert.Equal(Thousand, await channel.UnaryAsync(Bytes, Thousand));
    }

    [Fact]
    public async Task A_limit_above_that_of_the_web_server_holds()
    {
        await using var server = await TestServer.StartAsync(
            app => app.MapUnary(Bytes, (request, _) => ValueTask.FromResult(new BytesValue { Value = ByteString.CopyFromUtf8($"{request.Value.Length}") })),
            options => options.ReceiveMessageBytesMax = 64 << 20);
        using var channel = server.Connect(new RpcChannelOptions { SendMessageBytesMax = 64 << 20 });

        var answer = await channel.UnaryAsync(Bytes, new BytesValue { Value = ByteString.CopyFrom(new byte[32_000_000]) });

        Assert.Equal("32000000", answer.Value.ToStringUtf8());
    }

    static Task<TestServer> EchoAsync(Action<RpcServerOptions>? configure = null) =>
        TestServer.StartAsync(app => app.MapUnary(Bytes, (request, _) => ValueTask.FromResult(request)), configure);

    static void AssertNames(RpcException failure, string option)
    {
        Assert.Equal(RpcStatusCode.ResourceExhausted, failure.Code);
        Assert.Contains("1003 bytes", failure.Detail);
        Assert.Contains("1002 bytes", failure.Detail);
        Assert.Contains(option, failure.Detail);
    }
}
