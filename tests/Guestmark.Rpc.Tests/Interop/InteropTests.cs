using System.Diagnostics;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Xunit;
using static Guestmark.Rpc.Tests.Methods;

namespace Guestmark.Rpc.Tests.Interop;

/// <summary>Our two ends against those of another implementation (gRPC's own C core, through Python).</summary>
public sealed class InteropTests : IDisposable
{
    static readonly RpcMethod<Google.Protobuf.WellKnownTypes.StringValue, Google.Protobuf.WellKnownTypes.StringValue>
        Fail = new("test.Calls", "Fail"),
        Wait = new("test.Calls", "Wait"),
        Ended = new("test.Calls", "Ended");

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [PythonGrpcFact]
    public async Task Another_client_calls_our_server()
    {
        await using var server = await TestServer.StartAsync(Map);

        await RunClientAsync($"127.0.0.1:{server.Address.Port}");
    }

    [PythonGrpcFact]
    public async Task Another_client_calls_our_server_with_certificates()
    {
        using var certificates = CertificateDirectory.Open(Issue("server"));
        await using var server = await TestServer.StartAsync(Map, certificates: certificates);

        await RunClientAsync($"localhost:{server.Address.Port}", Issue("client"));
    }

    [PythonGrpcFact]
    public async Task Our_client_calls_another_server()
    {
        await using var server = await PythonServer.StartAsync();
        using var channel = new RpcChannel(new Uri($"http://127.0.0.1:{server.Port}"));

        await CheckAsync(channel);
    }

    [PythonGrpcFact]
    public async Task Our_client_calls_another_server_with_certificates()
    {
        await using var server = await PythonServer.StartAsync(Issue("server"));
        using var certificates = CertificateDirectory.Open(Issue("client"));
        using var channel = new RpcChannel(new Uri($"https://127.0.0.1:{server.Port}"), new RpcChannelOptions { Certificates = certificates });

        await CheckAsync(channel);
    }

    static async Task CheckAsync(RpcChannel channel)
    {
        var metadata = new RpcMetadata { { "name", "one" }, { "name", "two" }, { "data-bin", [0, 255, 1] } };
        await using (var call = channel.Open(Unary, new RpcCallOptions { Metadata = metadata, Timeout = TimeSpan.FromSeconds(10) }))
        {
            await call.WriteAsync(Text("hällo"));
            await call.CompleteAsync();
            Assert.Equal("hällo", (await call.ReadAsync())?.Value);
            Assert.Null(await call.ReadAsync());
            Assert.Equal(["one", "two"], (await call.GetHeadersAsync()).Where(entry => entry.Key == "name").Select(entry => entry.Value));
            Assert.Equal([0, 255, 1], call.Trailers.GetBinary("data-bin"));
        }

        var large = Text(new string('x', 3_000_000));
        Assert.Equal(large, await channel.UnaryAsync(Unary, large));

        var numbers = Enumerable.Range(0, 100).Select(i => $"{i}").ToArray();
        await using (var call = channel.Open(Down))
        {
            await call.WriteAsync(Text("100"));
            await call.CompleteAsync();
            foreach (var number in numbers) Assert.Equal(number, (await call.ReadAsync())?.Value);
            Assert.Null(await call.ReadAsync());
        }

        await using (var call = channel.Open(Up))
        {
            foreach (var number in numbers) await call.WriteAsync(Text(number));
            await call.CompleteAsync();
            Assert.Equal(string.Join(',', numbers), (await call.ReadAsync())?.Value);
        }

        await using (var call = channel.Open(Both))
        {
            foreach (var number in numbers)
            {
                await call.WriteAsync(Text(number));
                Assert.Equal(number, (await call.ReadAsync())?.Value);
            }
        }

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Fail, Text("Größe 100 %")));
        Assert.Equal((RpcStatusCode.FailedPrecondition, "Größe 100 %"), (failure.Code, failure.Detail));
        Assert.Equal("because", failure.Trailers.Get("why"));
        var unknown = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Bytes, new()));
        Assert.Equal(RpcStatusCode.Unimplemented, unknown.Code);
        var late = await Assert.ThrowsAsync<RpcException>(
            () => channel.UnaryAsync(Wait, Text("late"), new RpcCallOptions { Timeout = TimeSpan.FromMilliseconds(300) }));
        Assert.Equal(RpcStatusCode.DeadlineExceeded, late.Code);
        Assert.Equal("ended", (await channel.UnaryAsync(Ended, Text("late"))).Value);
        // Many at once, over the same connection.
        var answers = await Task.WhenAll(numbers.Select(number => channel.UnaryAsync(Unary, Text(number))));
        Assert.Equal(numbers, answers.Select(answer => answer.Value));
    }

    static void Map(IEndpointRouteBuilder app)
    {
        app.MapUnary(Unary, (request, call) =>
        {
            foreach (var entry in call.Metadata)
            {
                if (entry.Key == "name") call.ResponseHeaders.Add(entry.Key, entry.Value);
                if (entry.Key == "data-bin") call.ResponseTrailers.Add(entry.Key, entry.Bytes);
            }

            return ValueTask.FromResult(request);
        });
        app.MapServerStreaming(Down, async (request, responses, call) =>
        {
            for (var i = 0; i < int.Parse(request.Value); i++) await responses.WriteAsync(Text($"{i}"), call.CancellationToken);
        });
        app.MapClientStreaming(Up, async (requests, _) =>
        {
            var all = new List<string>();
            await foreach (var request in requests.ReadAllAsync()) all.Add(request.Value);
            return Text(string.Join(',', all));
        });
        app.MapDuplex(Both, async (requests, responses, call) =>
        {
            await foreach (var request in requests.ReadAllAsync()) await responses.WriteAsync(request, call.CancellationToken);
        });
        app.MapUnary(
            Fail, (request, _) => throw new RpcException(RpcStatusCode.FailedPrecondition, request.Value, new RpcMetadata { { "why", "because" } }));
        app.MapUnary(Wait, async (request, call) =>
        {
            var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = call.CancellationToken.Register(() => cancelled.TrySetCanceled());
            await cancelled.Task;
            return request;
        });
    }

    static async Task RunClientAsync(params string[] arguments)
    {
        using var process = Start("client.py", arguments);
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.True(process.ExitCode == 0, await output + await errors);
        Assert.Equal(10, (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    static Process Start(string script, params IEnumerable<string> arguments) => Process.Start(
        new ProcessStartInfo(
            PythonGrpcFactAttribute.Python,
            [Path.Combine(Repository.Root, "tests", "Guestmark.Rpc.Tests", "Interop", script), .. arguments])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;

    string Issue(string name)
    {
        if (!Directory.Exists(_folder.File("ca"))) CertificateAuthority.Create(_folder.File("ca"));
        CertificateAuthority.Issue(_folder.File("ca"), _folder.File(name), name);
        return _folder.File(name);
    }

    /// <summary>server.py, which ends with its input.</summary>
    sealed class PythonServer(Process process, int port) : IAsyncDisposable
    {
        public int Port => port;

        public static async Task<PythonServer> StartAsync(params string[] arguments)
        {
            var process = Start("server.py", arguments);
            var line = await process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30));
            return line is not null && line.StartsWith("ready ", StringComparison.Ordinal)
                ? new PythonServer(process, int.Parse(line["ready ".Length..]))
                : throw new InvalidOperationException(await process.StandardError.ReadToEndAsync());
        }

        public async ValueTask DisposeAsync()
        {
            process.StandardInput.Close();
            await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(10));
            process.Dispose();
        }
    }
}
