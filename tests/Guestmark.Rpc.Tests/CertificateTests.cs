using System.Collections.Concurrent;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Builder;
using Xunit;
using static Guestmark.Rpc.Tests.Methods;

namespace Guestmark.Rpc.Tests;

public sealed class CertificateTests : IDisposable
{
    static readonly DateTimeOffset LongAgo = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);

    readonly TemporaryFolder _folder = new();

    /// <summary>Of the servers' certificate directories.</summary>
    readonly ConcurrentQueue<LogEntry> _logs = new();

    public CertificateTests() => CertificateAuthority.Create(_folder.File("ca"), time: new ManualTimeProvider(LongAgo));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Both_sides_know_each_other_by_certificate()
    {
        await using var server = await ServeAsync(Issue("server"));
        using var channel = Connect(server, Issue("client"));

        Assert.Equal("client client", (await channel.UnaryAsync(Unary, Text(""))).Value);
    }

    [Fact]
    public async Task A_client_without_certificate_is_refused()
    {
        await using var server = await ServeAsync(Issue("server"));
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.Address.Host, server.Address.Port);
        await using var tls = new SslStream(new NetworkStream(socket));

        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                ApplicationProtocols = [SslApplicationProtocol.Http2],
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            });
            await tls.WriteAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray());
            if (await tls.ReadAsync(new byte[1]) == 0) throw new IOException("closed");
        });
        Assert.Contains(_logs, entry => entry.Id.Id == 7103 && entry.Message.Contains("showed no certificate"));
    }

    [Fact]
    public async Task A_client_of_another_authority_is_refused_and_told_what_to_look_at()
    {
        await using var server = await ServeAsync(Issue("server"));
        using var foreign = Trusting(Issue("client", Authority("other")), _folder.File("ca"));
        using var channel = new RpcChannel(server.Address, new RpcChannelOptions { Certificates = foreign });

        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")));

        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        Assert.Contains("our certificate ('CN=client', issued by 'CN=Guestmark CA", failure.Detail);
        Assert.Contains(_logs, entry => entry.Id.Id == 7103 && entry.Message.Contains("of another authority"));
    }

    [Fact]
    public async Task An_expired_client_is_refused()
    {
        await using var server = await ServeAsync(Issue("server"));
        using var expired = CertificateDirectory.Open(Issue("client", expired: true), new ManualTimeProvider(LongAgo));
        // Its clock is behind, as that of a machine that believes its certificate good; so the server's looks as if from the future.
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.Address.Host, server.Address.Port);
        await using var tls = new SslStream(new NetworkStream(socket));

        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            var options = expired.ClientAuthentication("localhost", _ => { });
            options.RemoteCertificateValidationCallback = (_, _, _, _) => true;
            await tls.AuthenticateAsClientAsync(options);
            if (await tls.ReadAsync(new byte[1]) == 0) throw new IOException("closed");
        });
        Assert.Contains(_logs, entry => entry.Id.Id == 7103 && entry.Message.Contains("'CN=client' is expired since 2020-01-02"));
    }

    [Fact]
    public async Task A_server_of_another_authority_is_not_accepted()
    {
        await using var server = await ServeAsync(Issue("server", Authority("other")));
        using var channel = Connect(server, Issue("client"));

        await AssertUnavailableAsync(channel, "'CN=server' is of another authority", "issued by 'CN=Guestmark CA");
    }

    [Fact]
    public async Task An_expired_server_is_not_accepted()
    {
        await using var server = await ServeAsync(CertificateDirectory.Open(Issue("server", expired: true), new ManualTimeProvider(LongAgo)));
        using var channel = Connect(server, Issue("client"));

        await AssertUnavailableAsync(channel, "'CN=server' is expired since 2020-01-02T00:00:00Z");
    }

    [Fact]
    public async Task A_server_of_another_name_is_not_accepted()
    {
        await using var server = await ServeAsync(Issue("server", names: ["central.example"]));
        using var other = Connect(server, Issue("client"), "sensor.example");
        using var own = Connect(server, Issue("client2"), "central.example");

        await AssertUnavailableAsync(other, "is for server, central.example, localhost, 127.0.0.1, ::1, not for 'sensor.example'");
        Assert.Equal("client2 client2", (await own.UnaryAsync(Unary, Text(""))).Value);
    }

    [Fact]
    public async Task Plaintext_and_tls_do_not_mix_and_say_so()
    {
        await using var secure = await ServeAsync(Issue("server"));
        await using var plain = await TestServer.StartAsync(app => app.MapUnary(Unary, (request, _) => ValueTask.FromResult(request)));
        using var plainToSecure = new RpcChannel(new Uri($"http://127.0.0.1:{secure.Address.Port}"));
        using var certificates = CertificateDirectory.Open(Issue("client"));
        using var secureToPlain = new RpcChannel(
            new Uri($"https://127.0.0.1:{plain.Address.Port}"),
            new RpcChannelOptions { Certificates = certificates });

        await AssertUnavailableAsync(plainToSecure, "does not answer as an RPC server");
        await AssertUnavailableAsync(secureToPlain, "TLS handshake");
    }

    [Fact]
    public async Task A_unix_socket_may_be_secured_too()
    {
        using var certificates = CertificateDirectory.Open(Issue("server"));
        await using var server = await TestServer.StartAsync(
            app => app.MapUnary(Unary, (_, call) => ValueTask.FromResult(Text(call.PeerName))), certificates: certificates, socket: _folder.File("s"));
        using var channel = Connect(server, Issue("client"));

        Assert.Equal("client", (await channel.UnaryAsync(Unary, Text(""))).Value);
    }

    [Fact]
    public async Task New_connections_use_new_files_and_open_ones_live_on()
    {
        var folder = Issue("server");
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        using var certificates = CertificateDirectory.Open(folder, time);
        await using var server = await ServeAsync(certificates);
        using var before = Connect(server, Issue("client"));
        await before.UnaryAsync(Unary, Text(""));

        Replace(folder, Issue("renamed"));
        time.Advance(TimeSpan.FromSeconds(1.5));
        using var after = Connect(server, Issue("client2"), "renamed");

        Assert.Equal("client2 client2", (await after.UnaryAsync(Unary, Text(""))).Value);
        Assert.Equal("client client", (await before.UnaryAsync(Unary, Text(""))).Value);
    }

    [Fact]
    public async Task A_removed_authority_locks_its_clients_out_of_new_connections()
    {
        var folder = Issue("server");
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        await using var server = await ServeAsync(CertificateDirectory.Open(folder, time));
        using var before = Connect(server, Issue("client"));
        await before.UnaryAsync(Unary, Text(""));

        var other = Authority("other");
        Replace(folder, Issue("server-of-other", other));
        time.Advance(TimeSpan.FromSeconds(1.5));
        using var trusting = Trusting(Issue("client2"), other);
        using var after = new RpcChannel(server.Address, new RpcChannelOptions { Certificates = trusting });

        await AssertUnavailableAsync(after, "our certificate ('CN=client2'");
    }

    [Fact]
    public void A_broken_set_is_logged_once_and_the_last_good_one_stays()
    {
        var folder = Issue("server");
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        var logs = new ConcurrentQueue<LogEntry>();
        using var certificates = CertificateDirectory.Open(folder, time, new QueueLoggerProvider(logs));

        File.WriteAllText(Path.Combine(folder, "cert.pem"), "half a cert");
        for (var i = 0; i < 3; i++)
        {
            time.Advance(TimeSpan.FromSeconds(2));
            Assert.Equal("CN=server", Subject(certificates));
        }

        var problem = Assert.Single(logs);
        Assert.Equal(7102, problem.Id.Id);
        Assert.Contains("cert.pem: is not PEM", problem.Message);

        Replace(folder, Issue("repaired"));
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("CN=repaired", Subject(certificates));
        Assert.Equal([7102, 7101], logs.Select(entry => entry.Id.Id));
    }

    [Fact]
    public void The_symbolic_link_that_kubernetes_swaps_is_followed()
    {
        var mount = _folder.File("mount");
        Directory.CreateDirectory(mount);
        Directory.CreateSymbolicLink(Path.Combine(mount, "..data"), Issue("old"));
        foreach (var file in (string[])["ca.pem", "cert.pem", "key.pem"]) File.CreateSymbolicLink(Path.Combine(mount, file), Path.Combine("..data", file));
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        using var certificates = CertificateDirectory.Open(mount, time);
        Assert.Equal("CN=old", Subject(certificates));

        Directory.Delete(Path.Combine(mount, "..data"));
        Directory.CreateSymbolicLink(Path.Combine(mount, "..data"), Issue("new"));

        Assert.Equal("CN=old", Subject(certificates));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("CN=new", Subject(certificates));
    }

    [Fact]
    public void A_first_set_that_cannot_be_used_is_refused_with_file_fault_and_remedy()
    {
        AssertRefused(_folder.File("nowhere"), "nowhere: the folder does not exist; create it");
        AssertRefused(With("key.pem", null), "key.pem: is missing; the folder must hold");
        AssertRefused(With("ca.pem", ""), "ca.pem: is not PEM");
        AssertRefused(With("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "cert.pem: holds a certificate that cannot be read");
        AssertRefused(With("key.pem", "nothing"), "key.pem: is not PEM");
        AssertRefused(With("key.pem", File.ReadAllText(Path.Combine(Issue("stranger"), "key.pem"))), "key.pem: the key does not belong to the certificate");
        AssertRefused(With("cert.pem", new string('x', 2 << 20)), "cert.pem: is 2097152 bytes long");
        AssertRefused(With("ca.pem", File.ReadAllText(Path.Combine(Authority("other"), "ca.pem"))), "cert.pem: the certificate was issued by", "take ca.pem and cert.pem from the same authority");
        AssertRefused(Issue("late", expired: true), "cert.pem: the certificate is expired since 2020-01-02T00:00:00Z; issue a new one");
        AssertRefused(Issue("early"), new ManualTimeProvider(LongAgo), "cert.pem: the certificate is not valid before");
    }

    [Fact]
    public void The_authority_issues_what_every_client_accepts_and_keeps_keys_private()
    {
        var folder = Issue("node1", names: ["node1.example", "10.1.2.3"]);
        using var certificate = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(folder, "cert.pem"));

        Assert.True(certificate.MatchesHostname("node1.example"));
        Assert.True(certificate.MatchesHostname("10.1.2.3"));
        Assert.True(certificate.MatchesHostname("localhost"));
        Assert.False(certificate.MatchesHostname("node2.example"));
        Assert.Equal(
            ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
            certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().Single().EnhancedKeyUsages.Cast<System.Security.Cryptography.Oid>().Select(usage => usage.Value));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, "key.pem")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder.File("ca"), "ca-key.pem")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
    }

    [Fact]
    public void The_authority_overwrites_nothing()
    {
        var folder = Issue("node1");
        var before = File.ReadAllText(Path.Combine(folder, "cert.pem"));

        Assert.Contains("exists already", Assert.Throws<CertificateException>(() => CertificateAuthority.Issue(_folder.File("ca"), folder, "node1")).Message);
        Assert.Contains("exists already", Assert.Throws<CertificateException>(() => CertificateAuthority.Create(_folder.File("ca"))).Message);
        Assert.Equal(before, File.ReadAllText(Path.Combine(folder, "cert.pem")));
        Assert.Contains("no usable authority", Assert.Throws<CertificateException>(() => CertificateAuthority.Issue(folder, _folder.File("x"), "x")).Message);
    }

    static string Subject(CertificateDirectory certificates) => certificates.ServerAuthentication().ServerCertificateContext!.TargetCertificate.Subject;

    static async Task AssertUnavailableAsync(RpcChannel channel, params string[] details)
    {
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(Unary, Text("")));
        Assert.Equal(RpcStatusCode.Unavailable, failure.Code);
        foreach (var detail in details) Assert.Contains(detail, failure.Detail);
    }

    static void AssertRefused(string folder, params string[] details) => AssertRefused(folder, TimeProvider.System, details);

    static void AssertRefused(string folder, TimeProvider time, params string[] details)
    {
        var failure = Assert.Throws<CertificateException>(() => CertificateDirectory.Open(folder, time));
        foreach (var detail in details) Assert.Contains(detail, failure.Message);
    }

    static void Replace(string folder, string by)
    {
        foreach (var file in (string[])["ca.pem", "cert.pem", "key.pem"]) File.Copy(Path.Combine(by, file), Path.Combine(folder, file), overwrite: true);
    }

    Task<TestServer> ServeAsync(string folder) => ServeAsync(CertificateDirectory.Open(folder, logger: new QueueLoggerProvider(_logs)));

    static async Task<TestServer> ServeAsync(CertificateDirectory certificates) => await TestServer.StartAsync(
        app => app.MapUnary(Unary, (_, call) => ValueTask.FromResult(Text($"{call.PeerName} {call.PeerCertificate?.GetNameInfo(X509NameType.SimpleName, false)}"))),
        certificates: certificates);

    static RpcChannel Connect(TestServer server, string folder, string? serverName = null) =>
        server.Connect(new RpcChannelOptions { Certificates = CertificateDirectory.Open(folder), ServerName = serverName });

    string Authority(string name)
    {
        var folder = _folder.File($"ca-{name}");
        if (!Directory.Exists(folder)) CertificateAuthority.Create(folder, time: new ManualTimeProvider(LongAgo));
        return folder;
    }

    string Issue(string name, string? authority = null, string[]? names = null, bool expired = false)
    {
        var folder = _folder.File(name);
        CertificateAuthority.Issue(
            authority ?? _folder.File("ca"), folder, name, names, expired ? TimeSpan.FromDays(1) : null, expired ? new ManualTimeProvider(LongAgo) : null);
        return folder;
    }

    /// <summary>A good set in which one file is changed, or missing when null.</summary>
    string With(string file, string? text)
    {
        var folder = Issue($"with-{Guid.NewGuid():N}");
        if (text is null) File.Delete(Path.Combine(folder, file));
        else File.WriteAllText(Path.Combine(folder, file), text);
        return folder;
    }

    /// <summary>A client with a certificate of one authority that trusts another, as one that an attacker would build.</summary>
    static CertificateDirectory Trusting(string folder, string authority)
    {
        var own = Path.Combine(folder, "ca.pem");
        File.AppendAllText(own, File.ReadAllText(Path.Combine(authority, "ca.pem")));
        return CertificateDirectory.Open(folder);
    }
}
