using System.Diagnostics.Metrics;

namespace Guestmark.Spool;

/// <summary>Accounting of one spool: what became durable, what it takes, what was lost and why. What waits is the account of those who read it.</summary>
public static class SpoolMetrics
{
    public const string MeterName = "Guestmark.Spool";

    /// <summary>Shows the accounts of a spool.</summary>
    /// <param name="name">Label <c>spool</c>: <c>keep</c> or <c>shed</c>.</param>
    public static void Observe(IMeterFactory meters, EventSpool spool, string name)
    {
        var label = new KeyValuePair<string, object?>("spool", name);
        var meter = meters.Create(MeterName);
        meter.CreateObservableCounter(
            "guestmark.spool.stored", () => new Measurement<long>(spool.Appended, label), "{event}", "Events that were put on the disk since the start.");
        meter.CreateObservableCounter(
            "guestmark.spool.commits", () => new Measurement<long>(spool.Commits, label), "{commit}", "Flushes of the disk; each makes one or more events durable.");
        meter.CreateObservableGauge("guestmark.spool.size", () => new Measurement<long>(spool.Bytes, label), "By", "Bytes on the disk and on their way to it.");
        meter.CreateObservableGauge("guestmark.spool.limit", () => new Measurement<long>(spool.BytesMax, label), "By", "Bytes at which the spool is full.");
        meter.CreateObservableGauge(
            "guestmark.spool.failed", () => new Measurement<int>(spool.Failure is null ? 0 : 1, label), null, "1 when a flush failed and nothing is taken until a restart.");
        meter.CreateObservableGauge(
            "guestmark.spool.refusing", () => new Measurement<int>(spool.IsRefusing ? 1 : 0, label), null, "1 when an event was refused in the last 10 seconds, by a full spool or by the disk.");
        meter.CreateObservableCounter(
            "guestmark.spool.positions_mended", () => new Measurement<long>(spool.PositionsMended, label), "{position}",
            "Places of receivers that lay behind the newest event at the start: all that the spool holds is delivered again.");
        meter.CreateObservableCounter(
            "guestmark.spool.dropped",
            () => Enum.GetValues<SpoolLossReason>().Select(
                reason => new Measurement<long>(spool.LostCount(reason), label, new KeyValuePair<string, object?>("reason", reason.ToString()))),
            "{event}",
            "Events that were on the disk and are gone before they were delivered, since the start.");
    }
}
