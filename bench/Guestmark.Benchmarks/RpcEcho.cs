using System.Globalization;
using System.Net;
using Google.Protobuf;
using Guestmark.Rpc;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Benchmarks;

/// <summary>Our side of <c>bench/run rpc</c>: the same two programs as bench/rpc/peer.cc.</summary>
static class RpcEcho
{
    static readonly RpcMethod<EchoMessage, EchoMessage> Say = new("guestmark.bench.Echo", "Say");

    /// <summary>Prints "ready PORT" and serves until its input ends.</summary>
    public static async Task<int> ServeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddRpc();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseRpc()));
        await using var app = builder.Build();
        app.MapUnary(Say, (request, _) => ValueTask.FromResult(new EchoMessage { Id = request.Id, Payload = request.Payload }));
        await app.StartAsync();
        Console.WriteLine($"ready {new Uri(app.Urls.Single()).Port}");
        await Console.In.ReadToEndAsync();
        return 0;
    }

    /// <summary>Prints calls per second on one connection.</summary>
    public static async Task<int> CallAsync(int port, int warmup, int calls, int inFlight)
    {
        using var channel = new RpcChannel(new Uri($"http://127.0.0.1:{port}"));
        var run = new Run(channel);
        await run.CallAsync(warmup, inFlight);
        var start = TimeProvider.System.GetTimestamp();
        await run.CallAsync(calls, inFlight);
        var elapsed = TimeProvider.System.GetElapsedTime(start);
        Console.WriteLine((calls / elapsed.TotalSeconds).ToString("F0", CultureInfo.InvariantCulture));
        return 0;
    }

    sealed class Run(RpcChannel channel)
    {
        readonly ByteString _payload = ByteString.CopyFrom([.. Enumerable.Range(0, 288).Select(i => (byte)('a' + i % 26))]);
        int _next;

        public Task CallAsync(int calls, int inFlight)
        {
            _next = 0;
            return Task.WhenAll(Enumerable.Range(0, inFlight).Select(_ => Task.Run(() => LoopAsync(calls))));
        }

        async Task LoopAsync(int calls)
        {
            var request = new EchoMessage { Payload = _payload };
            while (Interlocked.Increment(ref _next) is var id && id <= calls)
            {
                request.Id = (ulong)id;
                var response = await channel.UnaryAsync(Say, request);
                if (response.Id != request.Id || !response.Payload.Equals(_payload)) throw new InvalidDataException($"wrong response to {id}");
            }
        }
    }
}
