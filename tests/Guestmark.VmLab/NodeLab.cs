using System.Text.Json;
using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.TestKit;
using Guestmark.VhostUserVsock;

namespace Guestmark.VmLab;

/// <summary>
/// Three machines on one switch: one with CID 2, in which <c>guestmark node</c> runs as on a host, and two guests. The node's sensor is not there, so
/// that its spool keeps every event.
/// </summary>
public sealed class NodeLab : IAsyncLifetime
{
    public const uint WebCid = 1001;
    public const uint DatabaseCid = 1002;

    /// <summary>A machine that the node's registry does not know.</summary>
    public const uint StrangerCid = 1003;

    public const string WebUid = "5f0b3e6c-92b5-4c0e-8c7a-3b8a5e0d1001";
    public const string DatabaseUid = "5f0b3e6c-92b5-4c0e-8c7a-3b8a5e0d1002";

    /// <summary>Ports of the node: the push protocol, StackRox's, and the push protocol for root only.</summary>
    public const uint PushPort = 818;
    public const uint StackRoxPort = 819;
    public const uint PrivilegedPort = 820;

    readonly TemporaryFolder _folder = new();
    readonly VsockSwitch _switch = new();
    string _disk = "";
    int _copies;

    public VirtualMachine Node { get; private set; } = null!;

    public VirtualMachine Web { get; private set; } = null!;

    public VirtualMachine Database { get; private set; } = null!;

    public SwitchCounters Counters => _switch.Counters;

    public async Task InitializeAsync()
    {
        if (QemuFactAttribute.Missing is not null) return;
        await LabImages.MakeAsync();
        _disk = await LabImages.MakeDiskAsync(Prepare(), _folder.File("node.disk"));
        foreach (var cid in new[] { VsockSwitch.CidHost, WebCid, DatabaseCid, StrangerCid }) _switch.Attach(cid, _folder.File($"{cid}"));
        var node = BootNodeAsync();
        var guests = new[] { BootGuestAsync("web", WebCid), BootGuestAsync("database", DatabaseCid) };
        (Web, Database) = (await guests[0], await guests[1]);
        Node = await node;
    }

    public Task<VirtualMachine> BootGuestAsync(string name, uint cid) =>
        VirtualMachine.BootAsync(name, _folder.Path, _folder.File($"{cid}"), megabytes: 160);

    /// <summary>Cuts the node's power, and boots it again.</summary>
    public async Task LosePowerAsync()
    {
        await Node.DisposeAsync();
        Node = await BootNodeAsync();
    }

    /// <summary>Cuts a guest's power, and boots it again with the CID that it had.</summary>
    public async Task RebootWebAsync()
    {
        await Web.DisposeAsync();
        Web = await BootGuestAsync("web", WebCid);
    }

    /// <summary>Writes the node's list of guests. It is read again when it changes.</summary>
    public static byte[] Registry(string webEpoch) => JsonSerializer.SerializeToUtf8Bytes(new
    {
        guests = new[]
        {
            new { uid = WebUid, name = "web", cid = WebCid, bootEpoch = webEpoch },
            new { uid = DatabaseUid, name = "database", cid = DatabaseCid, bootEpoch = "1" },
        },
    });

    /// <summary>The events that would be found after a power failure of the node at this moment.</summary>
    public async Task<IReadOnlyList<StampedEvent>> EventsAsync()
    {
        var copy = _folder.File($"copy-{++_copies}");
        await Node.CopyDiskAsync(_disk, copy + ".disk");
        await LabImages.ReadDiskAsync(copy + ".disk", "/node/spool", copy);
        File.Delete(copy + ".disk");
        var events = await SpoolFolder.ReadAsync(copy);
        Directory.Delete(copy, recursive: true);
        return events;
    }

    /// <summary>Waits until there is an event of which something holds.</summary>
    /// <param name="before">What is done before each look.</param>
    public Task<StampedEvent> WaitForEventAsync(Func<StampedEvent, bool> condition, Func<Task>? before = null)
    {
        return SpoolFolder.WaitForAsync(ReadAsync, condition, async () => (await Node.TryAsync("tail -n 40 /data/node.log")).Output);

        async Task<IReadOnlyList<StampedEvent>> ReadAsync()
        {
            if (before is not null) await before();
            return await EventsAsync();
        }
    }

    public async Task DisposeAsync()
    {
        foreach (var machine in new[] { Web, Database, Node }.OfType<VirtualMachine>()) await machine.DisposeAsync();
        await _switch.DisposeAsync();
        _folder.Dispose();
    }

    /// <summary>What is on the node's disk before its first boot.</summary>
    string Prepare()
    {
        var root = _folder.File("root");
        Directory.CreateDirectory(root);
        CertificateAuthority.Create(_folder.File("ca"));
        CertificateAuthority.Issue(_folder.File("ca"), Path.Combine(root, "certs"), "node");
        File.WriteAllBytes(Path.Combine(root, "guests.json"), Registry(webEpoch: "1"));
        File.WriteAllText(
            Path.Combine(root, "node.yaml"),
            $"""
            cluster: lab
            node: host
            data: /data/node
            sensor-endpoint: 127.0.0.1:9
            sensor-name: sensor
            certs: /data/certs
            registry-file: /data/guests.json
            message-bytes-max: 1MiB
            listeners:
              - {PushPort}
              - {StackRoxPort},protocol=stackrox-push
              - {PrivilegedPort},privileged-source-port=true
            """);
        return root;
    }

    async Task<VirtualMachine> BootNodeAsync()
    {
        var machine = await VirtualMachine.BootAsync("node", _folder.Path, _folder.File($"{VsockSwitch.CidHost}"), megabytes: 640, _disk);
        // The first port is a socket that the service manager opened; the others the node opens itself.
        await machine.RunAsync($"vsock activate {PushPort} guestmark node --config /data/node.yaml >> /data/node.log 2>&1 &");
        return machine;
    }
}
