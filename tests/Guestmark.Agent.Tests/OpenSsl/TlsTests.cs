using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Guestmark.Agent.OpenSsl;
using Guestmark.Agent.Serving;
using Guestmark.Agent.Tests.Serving;
using Guestmark.TestKit;
using Guestmark.Wire.Pull.Messages;

namespace Guestmark.Agent.Tests.OpenSsl;

/// <summary>Establishes who is let in. The clients are .NET's SslStream and the openssl program.</summary>
public sealed class TlsTests
{
    static readonly VMServiceRequest GetReport = new() { GetReport = new GetReportRequest() };

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task A_client_of_the_authority_is_let_in(SslProtocols protocol)
    {
        await using var server = new ServerUnderTest();
        server.Publish("one");
        using var certificate = server.Authority.Issue("virt-handler");

        await using var client = await PullClient.OpenAsync(server.Path, certificate, protocol);
        Assert.Equal(protocol, client.Tls.SslProtocol);
        Assert.Equal("one", (await client.CallAsync(GetReport)).GetReport.IndexReport.HashId);
        // The end is said, not only made: nothing was cut off.
        Assert.Equal(0, await client.Tls.ReadAsync(new byte[1]));
    }

    [Fact]
    public async Task A_client_certificate_without_extended_key_usage_is_let_in()
    {
        await using var server = new ServerUnderTest();
        server.Publish("one");
        using var certificate = server.Authority.Issue("virt-handler", usage: null);
        Assert.NotNull((await PullClient.CallAsync(server.Path, certificate, GetReport)).GetReport);
    }

    [Theory]
    [InlineData("none", "did not return a certificate")]
    [InlineData("other authority", "unable to get local issuer certificate")]
    [InlineData("same name, other key", "certificate")]
    [InlineData("expired", "certificate has expired")]
    [InlineData("not yet valid", "certificate is not yet valid")]
    [InlineData("server's", "unsuitable certificate purpose")]
    [InlineData("self-signed", "self")]
    public async Task A_client_without_a_good_certificate_is_not(string kind, string reason)
    {
        await using var server = new ServerUnderTest();
        server.Publish("one");
        using var other = new TestAuthority(kind == "other authority" ? "other" : "kubevirt.io");
        using var certificate = kind switch
        {
            "none" => null,
            "expired" => server.Authority.Issue("virt-handler", daysFrom: -3, daysTo: -1),
            "not yet valid" => server.Authority.Issue("virt-handler", daysFrom: 1, daysTo: 3),
            "server's" => server.Authority.Issue("virt-handler", TestAuthority.ServerAuth),
            "self-signed" => SelfSigned(),
            _ => other.Issue("virt-handler"),
        };

        foreach (var protocol in new[] { SslProtocols.Tls12, SslProtocols.Tls13 })
            await Assert.ThrowsAnyAsync<Exception>(() => PullClient.CallAsync(server.Path, certificate, GetReport, protocol));
        Assert.Contains("rejected", await server.Notes.WaitForAsync(reason), StringComparison.Ordinal);
        Assert.DoesNotContain(server.Notes.All, note => note.Contains("report of", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Tls_1_1_is_refused_by_a_protocol_version_alert()
    {
        await using var server = new ServerUnderTest();
        using var socket = await PullClient.ConnectAsync(server.Path);
        // RFC 4346, 7.4.1.2: a ClientHello of version 3.2, with two cipher suites of that time and no compression.
        byte[] hello = [3, 2, .. new byte[32], 0, 0, 4, 0xc0, 0x09, 0xc0, 0x13, 1, 0];
        await socket.SendAsync((byte[])[22, 3, 1, 0, (byte)(hello.Length + 4), 1, 0, 0, (byte)hello.Length, .. hello]);
        var alert = new byte[16];
        // Record of type 21, level fatal, protocol_version.
        Assert.Equal(7, await socket.ReceiveAsync(alert));
        Assert.Equal((21, 2, 70), (alert[0], alert[5], alert[6]));
    }

    [Fact]
    public async Task Each_connection_is_verified_anew_when_the_authority_changes()
    {
        await using var server = new ServerUnderTest();
        server.Publish("one");
        using var certificate = server.Authority.Issue("virt-handler");
        using var next = new TestAuthority("kubevirt.io");
        using var nextCertificate = next.Issue("virt-handler");
        await PullClient.CallAsync(server.Path, certificate, GetReport);

        // While authorities are rotated both are in the bundle.
        server.Bundle = new CaBundle([.. server.Authority.Pem, .. next.Pem], null);
        await PullClient.CallAsync(server.Path, certificate, GetReport);
        await PullClient.CallAsync(server.Path, nextCertificate, GetReport);

        server.Bundle = new CaBundle(next.Pem, null);
        await Assert.ThrowsAnyAsync<Exception>(() => PullClient.CallAsync(server.Path, certificate, GetReport));
        await PullClient.CallAsync(server.Path, nextCertificate, GetReport);
    }

    [ToolFact("openssl")]
    public async Task No_session_is_resumed()
    {
        await using var server = new ServerUnderTest();
        using var folder = new TemporaryFolder();
        using var certificate = server.Authority.Issue("virt-handler");
        using var key = certificate.GetECDsaPrivateKey()!;
        await File.WriteAllTextAsync(folder.File("client.pem"), certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem());
        foreach (var version in new[] { "-tls1_2", "-tls1_3" })
        {
            var start = new ProcessStartInfo("openssl", ["s_client", "-unix", server.Path, version, "-cert", folder.File("client.pem"), "-reconnect"])
            {
                RedirectStandardInput = true,
                UseShellExecute = false,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using var process = Process.Start(start)!;
            process.StandardInput.Close();
            var output = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            Assert.Contains("\nNew, TLSv1.", output, StringComparison.Ordinal);
            Assert.DoesNotContain("Reused", output, StringComparison.Ordinal);
            Assert.DoesNotContain("Post-Handshake New Session Ticket", output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_agents_certificate_is_a_p256_server_certificate_for_a_year()
    {
        var now = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
        using var one = TlsIdentity.Create("guestmark-agent", new ManualTimeProvider(now));
        using var certificate = Export(one);
        Assert.Equal("CN=guestmark-agent", certificate.Subject);
        Assert.Equal("CN=guestmark-agent", certificate.Issuer);
        Assert.Equal(now.AddDays(365).UtcDateTime, certificate.NotAfter.ToUniversalTime());
        Assert.True(certificate.NotBefore.ToUniversalTime() < now.UtcDateTime);
        using var key = certificate.GetECDsaPublicKey()!;
        Assert.Equal(ECCurve.NamedCurves.nistP256.Oid.Value, key.ExportParameters(false).Curve.Oid.Value);
        var usage = Assert.Single(certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>()).EnhancedKeyUsages;
        Assert.Equal(TestAuthority.ServerAuth, Assert.Single(usage.Cast<Oid>()).Value);
        Assert.False(Assert.Single(certificate.Extensions.OfType<X509BasicConstraintsExtension>()).CertificateAuthority);
        using var two = TlsIdentity.Create("guestmark-agent", new ManualTimeProvider(now));
        using var other = Export(two);
        Assert.NotEqual(certificate.SerialNumber, other.SerialNumber);
    }

    [Theory]
    [InlineData("", "no certificate")]
    [InlineData("nothing", "no certificate")]
    [InlineData("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no usable certificate")]
    [InlineData("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00000000000000000000000000000000\n\nAAAA\n-----END CERTIFICATE-----\n", "no usable certificate")]
    public void A_bundle_without_a_certificate_is_told(string bundle, string reason)
    {
        using var identity = TlsIdentity.Create("guestmark-agent", TimeProvider.System);
        Assert.Null(TlsServerContext.TryCreate(identity, Encoding.ASCII.GetBytes(bundle), out var problem));
        Assert.Contains(reason, problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bundle_is_taken_with_what_else_lies_in_it_and_up_to_256_authorities()
    {
        using var identity = TlsIdentity.Create("guestmark-agent", TimeProvider.System);
        using var authority = new TestAuthority("kubevirt.io");
        byte[] mixed = [.. "# a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"u8, .. authority.Pem, .. "tail"u8];
        using var context = TlsServerContext.TryCreate(identity, mixed, out var problem);
        Assert.Null(problem);
        Assert.Equal(1, context!.Authorities);

        byte[] many = [.. Enumerable.Repeat(authority.Pem, 300).SelectMany(pem => pem)];
        using var large = TlsServerContext.TryCreate(identity, many, out _);
        Assert.Equal(TlsServerContext.AuthoritiesMax, large!.Authorities);
    }

    [Fact]
    public async Task A_damaged_handshake_is_a_reason_and_never_an_exception()
    {
        // A whole ClientHello as .NET sends it, caught on the way.
        using var folder = new TemporaryFolder();
        byte[] hello;
        using (var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            listener.Bind(new UnixDomainSocketEndPoint(folder.File("s")));
            listener.Listen();
            var attempt = PullClient.OpenAsync(folder.File("s"), null);
            using var caught = await listener.AcceptAsync();
            var buffer = new byte[4096];
            hello = buffer[..await caught.ReceiveAsync(buffer)];
            caught.Close();
            await Assert.ThrowsAnyAsync<Exception>(() => attempt);
        }

        using var authority = new TestAuthority("kubevirt.io");
        using var identity = TlsIdentity.Create("guestmark-agent", TimeProvider.System);
        using var context = TlsServerContext.TryCreate(identity, authority.Pem, out _)!;
        var random = new Random(1);
        // A handshake that gets as far as a key exchange costs a millisecond.
        for (var i = 0; i < Inventory.Tests.Damage.Inputs(300); i++)
        {
            var (client, server) = await PairAsync(folder.File("s" + i));
            using (client)
            using (server)
            {
                await client.SendAsync(Inventory.Tests.Damage.Mutate(hello, random, 80));
                client.Shutdown(SocketShutdown.Send);
                using var channel = new TlsChannel(context, server);
                Assert.NotNull(await channel.HandshakeAsync(ReadOnlyMemory<byte>.Empty, CancellationToken.None));
            }

            File.Delete(folder.File("s" + i));
        }
    }

    static async Task<(Socket Client, Socket Server)> PairAsync(string path)
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var client = await PullClient.ConnectAsync(path);
        return (client, await listener.AcceptAsync());
    }

    static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var now = TimeProvider.System.GetUtcNow();
        return new CertificateRequest("CN=virt-handler", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
    }

    /// <summary>The certificate as a client sees it.</summary>
    static X509Certificate2 Export(TlsIdentity identity)
    {
        using var folder = new TemporaryFolder();
        using var authority = new TestAuthority("kubevirt.io");
        using var context = TlsServerContext.TryCreate(identity, authority.Pem, out _)!;
        var (client, server) = PairAsync(folder.File("s")).GetAwaiter().GetResult();
        using (server)
        using (var tls = new System.Net.Security.SslStream(new NetworkStream(client, ownsSocket: true), false, (_, _, _, _) => true))
        {
            using var channel = new TlsChannel(context, server);
            var shaking = channel.HandshakeAsync(ReadOnlyMemory<byte>.Empty, CancellationToken.None).AsTask();
            tls.AuthenticateAsClient("guestmark-agent", null, SslProtocols.Tls13, false);
            client.Shutdown(SocketShutdown.Send);
            shaking.GetAwaiter().GetResult();
            return X509CertificateLoader.LoadCertificate(tls.RemoteCertificate!.Export(X509ContentType.Cert));
        }
    }
}
