using System.Buffers.Binary;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Pulling;
using Guestmark.TestKit;
using Guestmark.Wire.Pull.Messages;
using Guestmark.Wire.Reports;
using Microsoft.Extensions.DependencyInjection;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Node.Tests;

/// <summary>Establishes that the node asks agents through their hypervisors, takes what they answer as if it were pushed, and bears every answer.</summary>
public sealed class GuestPullTests : IDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly ManualTimeProvider _time = new(TimeProvider.System.GetUtcNow());
    readonly Dictionary<string, long> _outcomes = [];
    readonly MeterListener _meters = new();

    public void Dispose()
    {
        _meters.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData(HybridVsockDialect.HostPort)]
    [InlineData(HybridVsockDialect.GuestPort)]
    public async Task The_real_agent_is_asked_and_its_report_is_stamped_once(HybridVsockDialect dialect)
    {
        Directory.CreateDirectory(_folder.File("guest/etc"));
        Directory.CreateDirectory(_folder.File("guest/var/lib/dpkg"));
        Directory.CreateDirectory(_folder.File("guest/lib/modules/6.1.0-42-amd64"));
        await File.WriteAllTextAsync(_folder.File("guest/etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n");
        await File.WriteAllTextAsync(_folder.File("guest/var/lib/dpkg/status"), "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2\n\n");
        await using var hypervisor = new HybridVsockPeer(_folder.File("vm.sock"), dialect, port => _folder.File($"agent_{port}"));
        await using var node = await StartAsync();

        // Nobody listens in the guest: the hypervisor closes without a word.
        await UntilAsync(hypervisor, () => Count(PullOutcome.Unreachable) > 0);
        await using var agent = GuestmarkProcess.Start(
            "guestmark-agent", "serve", "--host-path", _folder.File("guest"), "--socket", _folder.File("agent_1818"), "--ca-file", node.Folder.File("certs/ca.pem"));
        await agent.WaitForLineAsync("generation 1");
        await UntilAsync(hypervisor, () => Count(PullOutcome.Stored) > 0);
        await UntilAsync(hypervisor, () => Count(PullOutcome.Unchanged) >= 2);
        Assert.Equal(1, Count(PullOutcome.Stored));

        var stamped = Assert.Single(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
        Assert.Equal(("uid-asked", "7", "1818"), (stamped.Subject, stamped.Attribute("guestcid"), stamped.Attribute("guestport")));
        var report = VMReport.Parser.ParseFrom(stamped.Data.Span);
        Assert.Equal("bash", Assert.Single(report.IndexReport.IndexV4.Contents.Packages).Value.Name);
        Assert.Equal(("7", "debian 12"), (report.IndexReport.VsockCid, report.DiscoveredData.OsVersion));
        Assert.Equal(new KeyValuePair<string, string>("kernels_installed", "6.1.0-42-amd64"), Assert.Single(report.Facts));
    }

    [Fact]
    public async Task Whatever_an_agent_answers_is_counted_for_what_it_is_and_the_next_question_follows()
    {
        await using var hypervisor = new HybridVsockPeer(_folder.File("vm.sock"), HybridVsockDialect.GuestPort, _ => _folder.File("agent"));
        using var listening = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listening.Bind(new UnixDomainSocketEndPoint(_folder.File("agent")));
        listening.Listen();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=any", key, HashAlgorithmName.SHA256).CreateSelfSigned(_time.GetUtcNow().AddDays(-1), _time.GetUtcNow().AddDays(1));
        await using var node = await StartAsync();

        var report = Answer(new VMServiceResponse { GetReport = new GetReportResponse { IndexReport = new Scanner.IndexReport { HashId = "1" } } });
        (byte[]? Answer, PullOutcome Outcome)[] answers =
        [
            ([0xff, 0xff, 0xff, 0xff], PullOutcome.Malformed),
            (Frame([1, 2, 3]), PullOutcome.Malformed),
            (Frame([]), PullOutcome.Malformed),
            (Answer(new VMServiceResponse { Error = new ErrorResponse { Code = ErrorCode.NotReady, Message = "\u001b[2J" } }), PullOutcome.Refused),
            (Answer(new VMServiceResponse { Error = new ErrorResponse { Code = (ErrorCode)(-5) } }), PullOutcome.Refused),
            (Answer(new VMServiceResponse { GetReport = new GetReportResponse { Unchanged = true } }), PullOutcome.Unchanged),
            // No index report at all within the field, one that is none, one over the limit, half of one.
            (Frame([0x12, 3, 0x0a, 1, 0xff]), PullOutcome.NotStored),
            (Answer(new VMServiceResponse { GetReport = new GetReportResponse { IndexReport = new Scanner.IndexReport { Err = new string('x', node.Options.MessageBytesMax) } } }), PullOutcome.Malformed),
            (report[..^1], PullOutcome.Broken),
            ([], PullOutcome.Broken),
            // No TLS.
            (null, PullOutcome.Broken),
            (report, PullOutcome.Stored),
        ];
        var serving = ServeAsync();
        await UntilAsync(hypervisor, () => Count(PullOutcome.Stored) > 0 || serving.IsFaulted);
        await serving;
        foreach (var expected in answers.GroupBy(answer => answer.Outcome))
        {
            // Time that passes at once may end a connection before it is served; that one is asked again.
            var count = Count(expected.Key);
            Assert.True(expected.Key == PullOutcome.Broken ? count >= expected.Count() : count == expected.Count(), $"{expected.Key}: {count}");
        }

        Assert.Single(await node.EventsAsync(), e => e.Type == EventTypes.InventoryReport);
        Assert.Equal(0, node.Services.GetRequiredService<Identity.GuestRegistry>().Memory.Taken);

        // One that says nothing holds nobody up for longer than its time.
        await UntilAsync(hypervisor, () => hypervisor.Asked > answers.Length && hypervisor.Open > 0);
        using var mute = await listening.AcceptAsync();
        await IdentityTests.WaitForAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            return Task.FromResult(Count(PullOutcome.TimedOut) > 0);
        });

        async Task ServeAsync()
        {
            for (var next = 0; next < answers.Length;)
            {
                var answer = answers[next].Answer;
                using var accepted = await listening.AcceptAsync();
                if (answer is null)
                {
                    // Nothing comes when the node has given this connection up meanwhile.
                    if (await accepted.ReceiveAsync(new byte[16 * 1024]) == 0) continue;
                    next++;
                    await accepted.SendAsync("SSH-2.0-OpenSSH\r\n"u8.ToArray());
                    continue;
                }

                try
                {
                    await using var tls = new SslStream(new NetworkStream(accepted));
                    await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
                    {
                        ServerCertificate = certificate,
                        ClientCertificateRequired = true,
                        RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null,
                    });
                    var header = new byte[4];
                    await tls.ReadExactlyAsync(header);
                    var question = new byte[BinaryPrimitives.ReadInt32BigEndian(header)];
                    await tls.ReadExactlyAsync(question);
                    Assert.NotNull(VMServiceRequest.Parser.ParseFrom(question).GetReport);
                    next++;
                    await tls.WriteAsync(answer);
                    await tls.ShutdownAsync();
                }
                catch (IOException)
                {
                    // The node has read enough, or asks again.
                }
            }
        }
    }

    [Fact]
    public async Task Whatever_certificate_an_agent_shows_the_node_fetches_nothing_and_asks_again()
    {
        await using var hypervisor = new HybridVsockPeer(_folder.File("vm.sock"), HybridVsockDialect.GuestPort, _ => _folder.File("agent"));
        using var listening = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listening.Bind(new UnixDomainSocketEndPoint(_folder.File("agent")));
        listening.Listen();
        // What a guest would have the host fetch.
        using var elsewhere = new TcpListener(IPAddress.Loopback, 0);
        elsewhere.Start();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var issuer = new X500DistinguishedName("CN=nobody");
        X509Extension[] extensions =
        [
            new X509AuthorityInformationAccessExtension(null, [$"http://{elsewhere.LocalEndpoint}/ca.crt"]),
            // Names, constraints, purposes, issuer and policies that are no DER: of some .NET says so by an exception of its own.
            .. "2.5.29.14 2.5.29.17 2.5.29.19 2.5.29.30 2.5.29.31 2.5.29.32 2.5.29.33 2.5.29.35 2.5.29.36 2.5.29.37 2.5.29.54 1.3.6.1.5.5.7.1.1"
                .Split(' ').Select(oid => new X509Extension(oid, [0x30, 0x84, 0xff, 0xff, 0xff, 0xff], critical: false)),
        ];
        await using var node = await StartAsync();
        foreach (var extension in extensions)
        {
            var request = new CertificateRequest("CN=any", key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(extension);
            using var issued = request.Create(issuer, X509SignatureGenerator.CreateForECDsa(key), _time.GetUtcNow().AddDays(-1), _time.GetUtcNow().AddDays(9), [1]);
            using var certificate = issued.CopyWithPrivateKey(key);
            var options = new SslServerAuthenticationOptions { ServerCertificateContext = SslStreamCertificateContext.Create(certificate, null, offline: true) };
            var ended = Ended();
            Socket accepted;
            while (true)
            {
                var accepting = listening.AcceptAsync();
                await UntilAsync(hypervisor, () => accepting.IsCompleted);
                accepted = await accepting;
                if (await accepted.ReceiveAsync(new byte[1], SocketFlags.Peek) > 0) break;
                // The node has given this connection up meanwhile, and asks again.
                accepted.Dispose();
            }

            try
            {
                await using var tls = new SslStream(new NetworkStream(accepted));
                await tls.AuthenticateAsServerAsync(options);
                await tls.ReadExactlyAsync(new byte[5]);
                await tls.WriteAsync(Answer(new VMServiceResponse { GetReport = new GetReportResponse { Unchanged = true } }));
            }
            catch (Exception e) when (e is IOException or AuthenticationException)
            {
                // OpenSSL refuses some of them by itself.
            }

            accepted.Dispose();
            await UntilAsync(hypervisor, () => Ended() > ended);
        }

        Assert.True(Count(PullOutcome.Unchanged) > 0);
        Assert.False(elsewhere.Pending());
        Assert.Empty(node.Services.GetRequiredService<NodeConfiguration>().Replace(node.Options with { Guests = [] }));

        long Ended()
        {
            lock (_outcomes) return _outcomes.Values.Sum();
        }
    }

    [Fact]
    public async Task A_guest_that_leaves_is_asked_no_more()
    {
        await using var hypervisor = new HybridVsockPeer(_folder.File("vm.sock"), HybridVsockDialect.HostPort, _ => _folder.File("nobody"));
        await using var node = await StartAsync();
        await UntilAsync(hypervisor, () => Count(PullOutcome.Unreachable) > 0);
        var configuration = node.Services.GetRequiredService<NodeConfiguration>();
        Assert.Empty(configuration.Replace(node.Options with { Guests = [] }));
        var asked = hypervisor.Asked;
        for (var i = 0; i < 20; i++) _time.Advance(node.Options.PullInterval);
        // One that comes is asked, so the time has passed for the other as well.
        await using var other = new HybridVsockPeer(_folder.File("other.sock"), HybridVsockDialect.HostPort, _ => _folder.File("nobody"));
        Assert.Empty(configuration.Replace(node.Options with { Guests = [Asked() with { Uid = "other", Name = "other", Cid = null, SocketBase = _folder.File("other.sock") }] }));
        await UntilAsync(other, () => other.Asked > 1);
        // It may have been about to be asked when it left, once.
        Assert.InRange(hypervisor.Asked, asked, asked + 1);
    }

    GuestOptions Asked() => new() { Uid = "uid-asked", Name = "asked", Cid = 7, SocketBase = _folder.File("vm.sock"), PullPort = 1818 };

    async Task<RunningNode> StartAsync()
    {
        var node = await RunningNode.StartAsync(options => options with { Guests = [Asked()], MessageBytesMax = 1 << 20, PullInterval = TimeSpan.FromSeconds(10) }, _time);
        var meters = node.Services.GetRequiredService<IMeterFactory>();
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Scope == meters && instrument.Name == "guestmark.node.pulls") listener.EnableMeasurementEvents(instrument);
        };
        _meters.SetMeasurementEventCallback<long>((_, count, tags, _) =>
        {
            lock (_outcomes) _outcomes[tags[0].Value!.ToString()!] = _outcomes.GetValueOrDefault(tags[0].Value!.ToString()!) + count;
        });
        _meters.Start();
        return node;
    }

    long Count(PullOutcome outcome)
    {
        lock (_outcomes) return _outcomes.GetValueOrDefault(outcome.ToString());
    }

    /// <summary>Lets time pass while nobody is being asked: a second in each hundredth, so that who connects just now is not too late.</summary>
    Task UntilAsync(HybridVsockPeer hypervisor, Func<bool> condition)
    {
        var advanced = Stopwatch.StartNew();
        return IdentityTests.WaitForAsync(() =>
        {
            if (condition()) return Task.FromResult(true);
            long ended;
            lock (_outcomes) ended = _outcomes.Values.Sum();
            // A connection that was given up before it was accepted has no outcome.
            var isAsking = hypervisor.Open > 0 || (ended < hypervisor.Asked && advanced.Elapsed < TimeSpan.FromSeconds(1));
            if (isAsking || advanced.Elapsed < TimeSpan.FromMilliseconds(10)) return Task.FromResult(false);
            _time.Advance(TimeSpan.FromSeconds(1));
            advanced.Restart();
            return Task.FromResult(false);
        });
    }

    static byte[] Answer(VMServiceResponse response) => Frame(response.ToByteArray());

    static byte[] Frame(byte[] payload)
    {
        var frame = new byte[4 + payload.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, payload.Length);
        payload.CopyTo(frame, 4);
        return frame;
    }
}
