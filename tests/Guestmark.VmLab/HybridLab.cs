using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.TestKit;
using Guestmark.VhostUserVsock;

namespace Guestmark.VmLab;

/// <summary>A guest as under Firecracker: its AF_VSOCK is Unix sockets of this machine, on which <c>guestmark node</c> listens here.</summary>
public sealed class HybridLab : IAsyncLifetime
{
    public const string Uid = "a1d2c6a8-0c51-4f0d-9a54-5d1a6a7b2001";

    readonly TemporaryFolder _folder = new();
    readonly VsockSwitch _switch = new();
    GuestmarkProcess _node = null!;
    int _copies;

    public VirtualMachine Machine { get; private set; } = null!;

    /// <summary>The path that a hypervisor is given: the node's socket is this and <c>_818</c>, and <c>CONNECT</c> on it leads into the guest.</summary>
    public string SocketBase => _folder.File("web.vsock");

    /// <summary>Folder with an authority and with certificates of it for <c>node</c>.</summary>
    public string Certificates => _folder.File("certs");

    /// <summary>Runs a command of the node's control socket: <c>guestmark cell …</c>.</summary>
    public async Task<string> ControlAsync(params string[] arguments)
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", [.. arguments, "--control", _folder.File("data/control.sock")]);
        return exitCode == 0 ? output : throw new InvalidOperationException($"guestmark {string.Join(' ', arguments)} ended with {exitCode}:\n{error}");
    }

    public async Task InitializeAsync()
    {
        if (QemuFactAttribute.Missing is not null) return;
        await LabImages.MakeAsync();
        CertificateAuthority.Create(Path.Combine(Certificates, "ca"));
        CertificateAuthority.Issue(Path.Combine(Certificates, "ca"), Path.Combine(Certificates, "node"), "node");
        _node = GuestmarkProcess.Start(
            "guestmark", "node", "--guest", $"web={SocketBase},uid={Uid}", "--cluster", "lab", "--node", "host", "--sensor-endpoint", "127.0.0.1:9",
            "--sensor-name", "sensor", "--certs", Path.Combine(Certificates, "node"), "--data", _folder.File("data"));
        _switch.Attach(1001, _folder.File("1001"), SocketBase);
        Machine = await VirtualMachine.BootAsync("hybrid", _folder.Path, _folder.File("1001"), megabytes: 160);
    }

    public async Task<IReadOnlyList<StampedEvent>> EventsAsync()
    {
        var copy = _folder.File($"copy-{++_copies}");
        Directory.CreateDirectory(copy);
        await LabImages.RunAsync("cp", "-r", "--sparse=always", _folder.File("data/spool"), copy);
        var events = await SpoolFolder.ReadAsync(copy);
        Directory.Delete(copy, recursive: true);
        return events;
    }

    public Task<StampedEvent> WaitForEventAsync(Func<StampedEvent, bool> condition) =>
        SpoolFolder.WaitForAsync(EventsAsync, condition, () => Task.FromResult(_node.Error));

    public async Task DisposeAsync()
    {
        if (Machine is not null) await Machine.DisposeAsync();
        if (_node is not null) await _node.DisposeAsync();
        await _switch.DisposeAsync();
        _folder.Dispose();
    }
}
