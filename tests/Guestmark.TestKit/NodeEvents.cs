using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Events.Signing;
using Guestmark.Wire.Reports;

namespace Guestmark.TestKit;

/// <summary>Events as a node would stamp them, for tests of what comes after the node.</summary>
public sealed class NodeEvents(string stream = "test-stream", string cluster = "lab", string node = "node1", EventSigner? signer = null)
{
    ulong _sequence;

    /// <summary>An identity such as a listener gives a channel.</summary>
    public static ChannelIdentity Channel(string subject, string cluster = "lab", string node = "node1", uint? cid = null) =>
        new($"//{cluster}/{node}/{subject}", subject) { GuestCid = cid };

    public StampedEvent Lifecycle(string subject, string name, DateTimeOffset time, VmState state = VmState.Running) =>
        Stamp(subject, EventTypes.VmLifecycle, "guestmark.v1.VmLifecycle", new VmLifecycle { Name = name, State = state }.ToByteArray(), time);

    public StampedEvent Report(string subject, VMReport report, DateTimeOffset time) =>
        Stamp(subject, EventTypes.InventoryReport, "virtualmachine.v1.VMReport", report.ToByteArray(), time);

    public StampedEvent Stamp(string subject, string type, string dataType, byte[] data, DateTimeOffset time) =>
        StampedEvent.Stamp(
            new ChannelIdentity($"//{cluster}/{node}/{subject}", subject), type, dataType, data, new EventPosition(stream, ++_sequence), time, signer);
}
