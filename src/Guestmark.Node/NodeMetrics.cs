using System.Diagnostics.Metrics;
using Guestmark.Wire.Framing;

namespace Guestmark.Node;

/// <summary>Accounting of what guests sent. Labels are bounded: a status of the protocol, never text of a guest.</summary>
public sealed class NodeMetrics
{
    public const string MeterName = "Guestmark.Node";

    readonly Counter<long> _messages;
    readonly Counter<long> _bytes;
    readonly Counter<long> _abandoned;
    readonly Counter<long> _reactive;
    readonly UpDownCounter<long> _connections;

    public NodeMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _messages = meter.CreateCounter<long>("guestmark.node.messages", "{message}", "Messages of guests by the status that answered them.");
        _bytes = meter.CreateCounter<long>("guestmark.node.received", "By", "Bytes of the bodies of complete messages.");
        _abandoned = meter.CreateCounter<long>("guestmark.node.abandoned", "{message}", "Messages that ended before their last byte.");
        _reactive = meter.CreateCounter<long>(
            "guestmark.node.reactive", "{message}", "Reports of guests over their rates that passed because something had changed.");
        _connections = meter.CreateUpDownCounter<long>("guestmark.node.connections", "{connection}", "Open connections of guests.");

        // A counter that has never counted is absent from an export; an operator wants to see its zero.
        foreach (var status in Enum.GetValues<PushStatus>()) _messages.Add(0, Status(status));
        foreach (var counter in (Counter<long>[])[_bytes, _abandoned, _reactive]) counter.Add(0);
        _connections.Add(0);
    }

    public void Answered(PushStatus status) => _messages.Add(1, Status(status));

    public void Received(int bytes) => _bytes.Add(bytes);

    public void Abandoned() => _abandoned.Add(1);

    public void Reactive() => _reactive.Add(1);

    public void ConnectionOpened() => _connections.Add(1);

    public void ConnectionClosed() => _connections.Add(-1);

    static KeyValuePair<string, object?> Status(PushStatus status) => new("status", status.ToString());
}
