using System.Diagnostics.Metrics;
using Guestmark.Events;
using Guestmark.Wire.Declarations;

namespace Guestmark.Node.Cells;

/// <summary>Accounting of declarations: every frame that was looked at is in exactly one outcome.</summary>
public sealed class CellMetrics
{
    readonly Counter<long> _frames;
    readonly Counter<long> _unknownKeys;
    readonly Counter<long> _silences;
    readonly Counter<long> _revivals;
    readonly Counter<long> _secondConnections;
    readonly Counter<long> _backwardClocks;
    readonly Counter<long> _sequenceGaps;
    readonly Counter<long> _throttled;
    readonly Counter<long> _agentDropped;
    readonly UpDownCounter<long> _connections;
    readonly UpDownCounter<long> _cells;

    public CellMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(NodeMetrics.MeterName);
        _frames = meter.CreateCounter<long>("guestmark.node.cell.frames", "{frame}", "Frames of declarations by what became of them.");
        _unknownKeys = meter.CreateCounter<long>("guestmark.node.cell.unknown_keys", "{key}", "Keys of accepted frames that nobody knows, dropped.");
        _silences = meter.CreateCounter<long>("guestmark.node.cell.silences", "{silence}", "Cells that fell silent, by reason.");
        _revivals = meter.CreateCounter<long>("guestmark.node.cell.revivals", "{revival}", "Cells that spoke again after a silence.");
        _secondConnections = meter.CreateCounter<long>("guestmark.node.cell.second_connections", "{connection}", "Connections refused because the cell had one.");
        _backwardClocks = meter.CreateCounter<long>("guestmark.node.cell.backward_clocks", "{frame}", "Frames whose monotonic time was before that of the frame before.");
        _sequenceGaps = meter.CreateCounter<long>("guestmark.node.cell.sequence_gaps", "{frame}", "Frames whose number did not follow on the one before.");
        _throttled = meter.CreateCounter<long>("guestmark.node.cell.throttled", "{wait}", "Times that a cell was not read because it sends more than its rate.");
        _agentDropped = meter.CreateCounter<long>(
            "guestmark.node.cell.agent_dropped", "{declaration}", "Declarations that agents of cells say to have dropped, because the host did not take them soon enough.");
        _connections = meter.CreateUpDownCounter<long>("guestmark.node.cell.connections", "{connection}", "Open connections of cells.");
        _cells = meter.CreateUpDownCounter<long>("guestmark.node.cells", "{cell}", "Cells that are listened for.");

        // A counter that has never counted is absent from an export; an operator wants to see its zero.
        foreach (var outcome in Enum.GetValues<FrameOutcome>()) _frames.Add(0, Outcome(outcome.ToString()));
        foreach (var fault in Enum.GetValues<DeclarationFault>())
        {
            if (fault != DeclarationFault.None) _frames.Add(0, Outcome(fault.ToString()));
        }

        foreach (var reason in Enum.GetValues<SilenceReason>())
        {
            if (reason != SilenceReason.Unspecified) _silences.Add(0, Reason(reason));
        }

        foreach (var counter in (Counter<long>[])[_unknownKeys, _revivals, _secondConnections, _backwardClocks, _sequenceGaps, _throttled, _agentDropped]) counter.Add(0);
        _connections.Add(0);
        _cells.Add(0);
    }

    internal void Frames(FrameOutcome outcome, int count)
    {
        if (count > 0) _frames.Add(count, Outcome(outcome.ToString()));
    }

    internal void Refused(DeclarationFault fault) => _frames.Add(1, Outcome(fault.ToString()));

    internal void UnknownKeys(int count)
    {
        if (count > 0) _unknownKeys.Add(count);
    }

    internal void Silenced(SilenceReason reason) => _silences.Add(1, Reason(reason));

    internal void Revived() => _revivals.Add(1);

    internal void SecondConnection() => _secondConnections.Add(1);

    internal void BackwardClock() => _backwardClocks.Add(1);

    internal void SequenceGap() => _sequenceGaps.Add(1);

    internal void Throttled() => _throttled.Add(1);

    internal void AgentDropped(long count)
    {
        if (count > 0) _agentDropped.Add(count);
    }

    internal void ConnectionOpened() => _connections.Add(1);

    internal void ConnectionClosed() => _connections.Add(-1);

    internal void CellOpened() => _cells.Add(1);

    internal void CellClosed() => _cells.Add(-1);

    static KeyValuePair<string, object?> Outcome(string outcome) => new("outcome", outcome);

    static KeyValuePair<string, object?> Reason(SilenceReason reason) => new("reason", reason.Word());
}

/// <summary>What became of a frame, beside a <see cref="DeclarationFault"/>.</summary>
enum FrameOutcome
{
    /// <summary>In an event, on disk.</summary>
    Stored,

    /// <summary>A heartbeat that said nothing new: it kept the channel alive and is not stored.</summary>
    Heartbeat,

    /// <summary>Its probe is not one that the host was told of.</summary>
    UnknownSource,

    /// <summary>Its length is none: the connection was closed.</summary>
    BadLength,

    /// <summary>It was still waiting for room in the spool when the node stopped.</summary>
    Lost,
}
