using System.Diagnostics.Metrics;
using Guestmark.Spool;

namespace Guestmark.Rpc.Publishing;

/// <summary>Accounting of one relay: what was delivered, refused and still waits.</summary>
public sealed class RelayMetrics
{
    public const string MeterName = "Guestmark.Relay";

    readonly Counter<long> _delivered;
    readonly Counter<long> _refused;
    readonly Counter<long> _retried;
    readonly Counter<long>? _withheld;
    readonly KeyValuePair<string, object?>[] _labels;

    /// <summary>Environment.TickCount64 of the first failure since the last success; 0: the last attempt succeeded.</summary>
    long _failingSince;

    /// <param name="destination">Label <c>destination</c>: <c>sensor</c>, <c>central</c>, <c>stackrox</c>.</param>
    /// <param name="reader">Whose place in the spool it is.</param>
    /// <param name="spoolName">Label <c>spool</c>, as of <see cref="SpoolMetrics"/>.</param>
    /// <param name="withholds">Values of label <c>reason</c>, where not every event is for the destination.</param>
    public RelayMetrics(IMeterFactory meters, EventSpool spool, string destination, string? reader = null, string spoolName = "keep", params string[] withholds)
    {
        _labels = [new("destination", destination), new("spool", spoolName)];
        var meter = meters.Create(MeterName);
        _delivered = meter.CreateCounter<long>("guestmark.relay.delivered", "{event}", "Events that the next hop has stored.");
        _refused = meter.CreateCounter<long>("guestmark.relay.refused", "{event}", "Events that the next hop will never accept.");
        _retried = meter.CreateCounter<long>("guestmark.relay.retries", "{attempt}", "Attempts that failed and are made again.");
        meter.CreateObservableGauge(
            "guestmark.spool.depth", () => new Measurement<long>((long)spool.DepthOf(reader), _labels), "{event}", "Events that wait for delivery.");

        meter.CreateObservableGauge(
            "guestmark.relay.disconnected", () => new Measurement<double>(Disconnected().TotalSeconds, _labels), "s", "For how long delivery has failed; 0 while it works.");

        // A counter that has never counted is absent from an export; an operator wants to see its zero.
        foreach (var counter in new[] { _delivered, _refused, _retried }) counter.Add(0, _labels);
        if (withholds.Length == 0) return;
        _withheld = meter.CreateCounter<long>("guestmark.relay.withheld", "{event}", "Events that are not sent to the next hop, by reason.");
        foreach (var reason in withholds) _withheld.Add(0, [.. _labels, new("reason", reason)]);
    }

    /// <summary>The next hop answered.</summary>
    public void Connected() => Volatile.Write(ref _failingSince, 0);

    public void Delivered(int count)
    {
        Connected();
        _delivered.Add(count, _labels);
    }

    public void Refused() => _refused.Add(1, _labels);

    public void Withheld(string reason) => _withheld?.Add(1, [.. _labels, new("reason", reason)]);

    public void Retried()
    {
        Interlocked.CompareExchange(ref _failingSince, Environment.TickCount64, 0);
        _retried.Add(1, _labels);
    }

    TimeSpan Disconnected() => Volatile.Read(ref _failingSince) is > 0 and var since ? TimeSpan.FromMilliseconds(Environment.TickCount64 - since) : TimeSpan.Zero;
}
