using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Guestmark.Agent.Serving;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Guestmark.Agent.Tests.Serving;

/// <summary>Establishes that the hand-written gRPC call is one: against Kestrel's HTTP/2, against gRPC's own, and against damage.</summary>
public sealed class CaBundleClientTests : IDisposable
{
    static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    readonly TemporaryFolder _folder = new();

    UnixDomainSocketEndPoint Address => new(_folder.File("s"));

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(10)]
    [InlineData(5_000)]
    // More than the window that HTTP/2 begins with, and than a frame.
    [InlineData(900_000)]
    public async Task A_bundle_arrives_whole_from_kestrel(int length)
    {
        var bundle = Encoding.ASCII.GetBytes(new string('x', length));
        HttpRequest? asked = null;
        await using var server = await KestrelAsync(async context =>
        {
            asked = context.Request;
            Assert.Equal(("POST", "HTTP/2", CaBundleClient.Path), (context.Request.Method, context.Request.Protocol, context.Request.Path.Value));
            Assert.Equal("application/grpc", context.Request.ContentType);
            Assert.Equal("trailers", context.Request.Headers.TE);
            Assert.Equal("10000m", context.Request.Headers["grpc-timeout"]);
            var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            Assert.Equal(new byte[5], body.ToArray());
            await AnswerAsync(context, bundle, "0");
        });
        var (pem, problem) = await FetchAsync();
        Assert.Null(problem);
        Assert.Equal(bundle, pem);
        Assert.NotNull(asked);
    }

    [Theory]
    [InlineData("13")]
    [InlineData("7")]
    public async Task A_status_is_told(string status)
    {
        await using var server = await KestrelAsync(context => AnswerAsync(context, [1, 2, 3], status));
        var (pem, problem) = await FetchAsync();
        Assert.Null(pem);
        Assert.Contains($"gRPC status {status}", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_answer_that_is_no_grpc_is_told()
    {
        await using var server = await KestrelAsync(context =>
        {
            context.Response.StatusCode = 404;
            return Task.CompletedTask;
        });
        Assert.Contains("HTTP status 404", (await FetchAsync()).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bundle_over_the_limit_is_not_read_to_its_end()
    {
        await using var server = await KestrelAsync(context => AnswerAsync(context, new byte[CaBundleClient.BundleBytesMax + 1], "0"));
        Assert.Contains("more than", (await FetchAsync()).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_service_that_does_not_answer_is_left_at_the_timeout()
    {
        using var listener = Listen();
        var (pem, problem) = await CaBundleClient.FetchAsync(Address, TimeSpan.FromMilliseconds(200), TimeProvider.System, CancellationToken.None);
        Assert.Null(pem);
        Assert.Contains("no answer within 200ms", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task That_nobody_listens_is_told() => Assert.Contains("cannot connect", (await FetchAsync()).Problem, StringComparison.Ordinal);

    [PythonGrpcFact]
    public async Task A_bundle_arrives_from_another_grpc()
    {
        const string script = """
            import grpc, sys
            from concurrent import futures
            bundle = b'p' * 100000
            length, size = len(bundle), b''
            while length > 127:
                size += bytes([length & 127 | 128])
                length >>= 7
            def answer(request, context):
                if sys.argv[2] != '0':
                    context.abort(grpc.StatusCode.PERMISSION_DENIED, 'no')
                assert request == b'', request
                return b'\x0a' + size + bytes([length]) + bundle
            class Handler(grpc.GenericRpcHandler):
                def service(self, call):
                    if call.method == '/kubevirt.vsock.system.v1.System/CABundle':
                        return grpc.unary_unary_rpc_method_handler(answer)
            server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[Handler()])
            server.add_insecure_port('unix:' + sys.argv[1])
            server.start()
            print('ready', flush=True)
            sys.stdin.read()
            """;
        foreach (var status in new[] { "0", "7" })
        {
            using var process = Process.Start(new ProcessStartInfo(PythonGrpcFactAttribute.Python, ["-c", script, _folder.File("s"), status])
            {
                RedirectStandardInput = true,
                UseShellExecute = false,
                RedirectStandardOutput = true,
            })!;
            try
            {
                Assert.Equal("ready", await process.StandardOutput.ReadLineAsync());
                var (pem, problem) = await FetchAsync();
                if (status == "0") Assert.Equal(new string('p', 100_000), Encoding.ASCII.GetString(pem!));
                else Assert.Contains("gRPC status 7", problem, StringComparison.Ordinal);
            }
            finally
            {
                process.StandardInput.Close();
                await process.WaitForExitAsync();
                File.Delete(_folder.File("s"));
            }
        }
    }

    [Fact]
    public async Task A_damaged_answer_is_a_problem_and_never_an_exception()
    {
        // SETTINGS, HEADERS (":status: 200"), DATA with a bundle of 3 bytes, HEADERS ("grpc-status: 0", Huffman's name) that end the stream.
        byte[] answer =
        [
            0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100,
            0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88,
            0, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 5, 0x0a, 3, 1, 2, 3,
            0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
            0, 0, 12, 1, 5, 0, 0, 0, 1, 0x40, 0x88, 0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f, 1, 0x30,
        ];
        using var listener = Listen();
        Assert.Equal((byte[])[1, 2, 3], (await FetchFromAsync(listener, answer)).Pem);
        var random = new Random(1);
        for (var i = 0; i < Inventory.Tests.Damage.Inputs(1_000); i++)
        {
            var damaged = Inventory.Tests.Damage.Mutate(answer, random, answer.Length);
            var (pem, problem) = await FetchFromAsync(listener, damaged);
            Assert.True((pem is null) != (problem is null), $"answer {i}");
            if (pem is not null) Assert.InRange(pem.Length, 1, damaged.Length);
        }
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Header_blocks_are_read_in_every_form_and_damage_within_bounds()
    {
        (string Block, int? Http, int? Grpc)[] blocks =
        [
            ("88", 200, null),
            ("8d", 404, null),
            ("2088", 200, null),
            // ":status" by its index and as a literal: 503.
            ("0803353033", 503, null),
            ("4803353033", 503, null),
            // "grpc-status": plain and in Huffman's code, the number as well ("13": 00001 011001, "0": 00000, filled with ones).
            ("000b677270632d737461747573" + "023133", null, 13),
            ("00889acac8b21234da8f" + "820b3f", null, 13),
            ("00889acac8b21234da8f" + "8107", null, 0),
            // What the dynamic table would hold is passed over.
            ("be", null, null),
            ("", null, null),
        ];
        foreach (var (block, http, grpc) in blocks)
        {
            var headers = new GrpcHeaders();
            Assert.True(headers.TryRead(Convert.FromHexString(block)), block);
            Assert.Equal((http, grpc), (headers.HttpStatus, headers.GrpcStatus));
        }

        foreach (var damaged in new[] { "80", "08", "0805353033", "000b6772", "08032d3033", "ffffffffffffff", "00889acac8b21234da8f0130" + "00889acac8b21234da8f8100" })
        {
            var headers = new GrpcHeaders();
            Assert.False(headers.TryRead(Convert.FromHexString(damaged)), damaged);
        }

        var seed = Convert.FromHexString(string.Concat(blocks.Select(block => block.Block)));
        var random = new Random(1);
        for (var i = 0; i < Inventory.Tests.Damage.Inputs(2_000); i++)
        {
            var block = Inventory.Tests.Damage.Mutate(seed, random, seed.Length);
            Inventory.Tests.Damage.AssertBounded(() => new GrpcHeaders().TryRead(block), block.Length, $"block {i}");
        }
    }

    static async Task AnswerAsync(HttpContext context, byte[] bundle, string status)
    {
        context.Response.ContentType = "application/grpc";
        context.Response.DeclareTrailer("grpc-status");
        if (status == "0")
        {
            var message = new MemoryStream();
            message.WriteByte(0x0a);
            var length = bundle.Length;
            for (; length > 127; length >>= 7) message.WriteByte((byte)(length | 128));
            message.WriteByte((byte)length);
            message.Write(bundle);
            var header = new byte[5];
            BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(1), (uint)message.Length);
            await context.Response.Body.WriteAsync(header);
            await context.Response.Body.WriteAsync(message.ToArray());
        }

        context.Features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers["grpc-status"] = status;
    }

    async Task<WebApplication> KestrelAsync(RequestDelegate answer)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(_folder.File("s"), listen => listen.Protocols = HttpProtocols.Http2));
        var server = builder.Build();
        server.Run(answer);
        await server.StartAsync();
        return server;
    }

    Task<CaBundle> FetchAsync() => CaBundleClient.FetchAsync(Address, Timeout, TimeProvider.System, CancellationToken.None);

    async Task<CaBundle> FetchFromAsync(Socket listener, byte[] answer)
    {
        var fetching = FetchAsync();
        using var client = await listener.AcceptAsync();
        try
        {
            await client.SendAsync(answer);
            client.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // It has seen enough.
        }

        return await fetching;
    }

    Socket Listen()
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(Address);
        listener.Listen();
        return listener;
    }
}
