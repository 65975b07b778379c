using System.Diagnostics.Metrics;
using Guestmark.Spool;

namespace Guestmark.Rpc.Publishing;

/// <summary>Accounting of one relay: what was delivered, refused and still waits.</summary>
sealed class RelayMetrics
{
    public const string MeterName = "Guestmark.Relay";

    readonly Counter<long> _delivered;
    readonly Counter<long> _refused;
    readonly KeyValuePair<string, object?> _destination;

    public RelayMetrics(IMeterFactory meters, EventSpool spool, string destination)
    {
        _destination = new("destination", destination);
        var meter = meters.Create(MeterName);
        _delivered = meter.CreateCounter<long>("guestmark.relay.delivered", "{event}", "Events that the next hop has stored.");
        _refused = meter.CreateCounter<long>("guestmark.relay.refused", "{event}", "Events that the next hop will never accept.");
        meter.CreateObservableGauge(
            "guestmark.spool.depth", () => new Measurement<long>((long)spool.Depth, _destination), "{event}", "Events that wait for delivery.");
    }

    public void Delivered(int count) => _delivered.Add(count, _destination);

    public void Refused() => _refused.Add(1, _destination);
}
