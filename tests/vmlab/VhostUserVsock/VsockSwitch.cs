namespace Guestmark.VhostUserVsock;

/// <summary>
/// Carries packets of virtio-vsock between virtual machines by their CIDs. The machine with CID 2 is the host of all others: what runs in it
/// sees the peers' CIDs as on a real host. Where no machine has CID 2, a machine's connections to it go to Unix sockets of this host, as
/// Firecracker and cloud-hypervisor do it.
/// </summary>
/// <remarks>Opens no socket of AF_VSOCK: it is the device of its machines, and memory and Unix sockets are all it has.</remarks>
public sealed class VsockSwitch(Action<string>? log = null) : IAsyncDisposable
{
    public const uint CidHost = 2;

    readonly Lock _lock = new();
    readonly Dictionary<ulong, VsockDevice> _devices = [];
    readonly HashSet<Flow> _flows = [];

    public SwitchCounters Counters { get; } = new();

    /// <summary>Makes the device of a machine; a virtual machine monitor may connect as soon as this returns, and again after it has gone.</summary>
    /// <param name="cid">2, or the guest's.</param>
    /// <param name="socketPath">The vhost-user socket, made anew.</param>
    /// <param name="hybridBase">
    /// Where the Unix sockets of this machine's connections with CID 2 are: it dials <c>&lt;base&gt;_&lt;port&gt;</c>, and <c>CONNECT &lt;port&gt;</c>
    /// on <c>&lt;base&gt;</c> dials it. Null: it has none.
    /// </param>
    public VsockDevice Attach(uint cid, string socketPath, string? hybridBase = null)
    {
        var device = new VsockDevice(this, cid, socketPath, hybridBase);
        lock (_lock)
        {
            if (!_devices.TryAdd(cid, device)) throw new ArgumentException($"CID {cid} is attached twice", nameof(cid));
        }

        device.Start();
        return device;
    }

    public async ValueTask DisposeAsync()
    {
        VsockDevice[] devices;
        lock (_lock)
        {
            devices = [.. _devices.Values];
            _devices.Clear();
        }

        foreach (var device in devices) await device.DisposeAsync();
    }

    internal void Log(string text) => log?.Invoke(text);

    /// <summary>Takes a packet from the driver of <paramref name="from"/> to where it goes.</summary>
    internal void Route(VsockDevice from, VsockPacket packet)
    {
        var header = packet.Header;
        if (header.Operation is not (VsockOperation.Data or VsockOperation.CreditUpdate or VsockOperation.CreditRequest)) Log(header.ToString());
        if (header.SourceCid != from.Cid)
        {
            // Only a driver that was written for it does this. An answer would go to the machine whose name it took.
            Counters.CountForeignSource();
            Log($"[{from.Cid}] dropped, its source is CID {header.SourceCid}");
            return;
        }

        if (header.Type != VsockHeader.TypeStream || !TryCarry(from, packet)) Refuse(from, header);
    }

    /// <summary>Ends all connections of a machine that is gone, as the kernel of a host does it for its own sockets.</summary>
    internal void ResetAll(VsockDevice gone)
    {
        List<Flow> flows;
        lock (_lock)
        {
            flows = [.. _flows.Where(flow => flow.Names(gone.Cid))];
            _flows.ExceptWith(flows);
        }

        foreach (var flow in flows)
        {
            var reset = flow.ResetFrom(gone.Cid);
            Find(reset.DestinationCid)?.Enqueue(new VsockPacket(reset));
        }

        if (flows.Count > 0) Log($"[{gone.Cid}] gone, {flows.Count} connections reset");
    }

    bool TryCarry(VsockDevice from, VsockPacket packet)
    {
        var header = packet.Header;
        if (header.DestinationCid == from.Cid) return false;
        if (Find(header.DestinationCid) is not { } to)
        {
            if (header.DestinationCid != CidHost || from.Hybrid is not { } hybrid || !hybrid.Take(packet)) return false;
            Counters.CountCarried();
            return true;
        }

        var flow = Flow.Of(header);
        lock (_lock)
        {
            if (header.Operation == VsockOperation.Reset) _flows.Remove(flow);
            else if (header.Operation == VsockOperation.Request) _flows.Add(flow);
        }

        switch (to.Enqueue(packet))
        {
            case EnqueueOutcome.Queued:
                Counters.CountCarried();
                return true;
            case EnqueueOutcome.Full:
                // Part of a stream cannot be left out: both ends learn that it is over.
                Counters.CountOverflowed();
                to.Enqueue(new VsockPacket(flow.ResetFrom(from.Cid)), always: true);
                break;
        }

        lock (_lock) _flows.Remove(flow);
        return false;
    }

    void Refuse(VsockDevice from, VsockHeader header)
    {
        Counters.CountRefused();
        if (header.Operation != VsockOperation.Reset) from.Enqueue(new VsockPacket(header.Refusal()), always: true);
    }

    VsockDevice? Find(ulong cid)
    {
        lock (_lock) return _devices.GetValueOrDefault(cid);
    }

    /// <summary>A connection between two machines, the same whichever of them sends.</summary>
    readonly record struct Flow(ulong Cid, uint Port, ulong OtherCid, uint OtherPort)
    {
        public static Flow Of(VsockHeader header) => (header.SourceCid, header.SourcePort).CompareTo((header.DestinationCid, header.DestinationPort)) < 0
            ? new(header.SourceCid, header.SourcePort, header.DestinationCid, header.DestinationPort)
            : new(header.DestinationCid, header.DestinationPort, header.SourceCid, header.SourcePort);

        public bool Names(ulong cid) => Cid == cid || OtherCid == cid;

        public VsockHeader ResetFrom(ulong cid) => new()
        {
            SourceCid = cid,
            SourcePort = Cid == cid ? Port : OtherPort,
            DestinationCid = Cid == cid ? OtherCid : Cid,
            DestinationPort = Cid == cid ? OtherPort : Port,
            Type = VsockHeader.TypeStream,
            Operation = VsockOperation.Reset,
        };
    }
}
