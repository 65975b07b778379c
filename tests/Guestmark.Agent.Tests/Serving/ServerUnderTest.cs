using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Agent.OpenSsl;
using Guestmark.Agent.RepositoryMapping;
using Guestmark.Agent.Serving;
using Guestmark.TestKit;
using Guestmark.Wire.Pull;
using IndexReport = Guestmark.Wire.Reports.Scanner.IndexReport;

namespace Guestmark.Agent.Tests.Serving;

/// <summary>A server on a Unix socket, with a report.</summary>
sealed class ServerUnderTest : IAsyncDisposable
{
    public static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    readonly TemporaryFolder _folder = new();
    readonly TlsIdentity _identity;
    readonly ClientAuthorities _authorities;
    readonly PullServer _server;
    readonly ChannelSocket.Listener _listener;
    readonly CancellationTokenSource _stopped = new();
    readonly Task _running;

    public ServerUnderTest(TimeSpan? deadline = null, MappingUpdatePath updatePath = MappingUpdatePath.Url)
    {
        Path = _folder.File("agent.sock");
        Bundle = new CaBundle(Authority.Pem, null);
        Mappings = MappingStore.Open(_folder.File("state"), null, Notes.Add);
        _identity = TlsIdentity.Create("guestmark-agent", TimeProvider.System);
        _authorities = new ClientAuthorities(_identity, _ => Task.FromResult(Bundle), Notes.Add);
        var service = new PullService(Reports, Mappings, updatePath, "1.2.3");
        _server = new PullServer(_authorities, service, deadline ?? TimeSpan.FromSeconds(30), TimeProvider.System, Notes.Add, isVerbose: true);
        _listener = ChannelSocket.Listener.Open(new UnixDomainSocketEndPoint(Path));
        _running = _server.RunAsync(_listener, _stopped.Token);
    }

    public string Path { get; }

    public TestAuthority Authority { get; } = new("kubevirt.io");

    public Notes Notes { get; } = new();

    public ReportSource Reports { get; } = new(Start);

    public MappingStore Mappings { get; }

    /// <summary>What the server is told at the next handshake.</summary>
    public CaBundle Bundle { get; set; }

    public bool Publish(string hashId, string os = "UNKNOWN") => Reports.Publish(
        new IndexReport { HashId = hashId, Success = true }.ToByteArray(), new Dictionary<string, string> { ["detected_os"] = os }, null, Start.AddMinutes(1));

    public async ValueTask DisposeAsync()
    {
        await _stopped.CancelAsync();
        await _running;
        _listener.Dispose();
        _server.Dispose();
        _authorities.Dispose();
        _identity.Dispose();
        _stopped.Dispose();
        Authority.Dispose();
        _folder.Dispose();
    }
}
