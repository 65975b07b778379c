using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Guestmark.Central;

/// <summary>
/// What Central did. Every event that arrives is counted once: received = stored + repeated + refused.
/// The instruments are <c>guestmark.central.*</c> on the meter <c>Guestmark.Central</c>.
/// </summary>
public sealed class CentralMetrics
{
    public const string MeterName = "Guestmark.Central";

    readonly Counter<long> _stored;
    readonly Counter<long> _repeated;
    readonly Counter<long> _refused;
    readonly Counter<long> _missing;
    readonly Counter<long> _deleted;
    readonly Counter<long> _packagesMatched;
    readonly Counter<long> _packagesFailed;
    readonly Counter<long> _findings;

    public CentralMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _stored = meter.CreateCounter<long>("guestmark.central.events.stored", "{event}", "Events that were made durable.");
        _repeated = meter.CreateCounter<long>("guestmark.central.events.repeated", "{event}", "Events that came again and were ignored.");
        _refused = meter.CreateCounter<long>("guestmark.central.events.refused", "{event}", "Events that will never be accepted.");
        _missing = meter.CreateCounter<long>("guestmark.central.events.missing", "{event}", "Events that were lost before Central.");
        _deleted = meter.CreateCounter<long>(
            "guestmark.central.events.deleted", "{event}", "Events about channels that were kept and had to go: too old (age), too many (rows) or too large (bytes).");
        _packagesMatched = meter.CreateCounter<long>("guestmark.central.packages.matched", "{package}", "Distinct packages that were matched, without those that failed.");
        _packagesFailed = meter.CreateCounter<long>("guestmark.central.packages.failed", "{package}", "Packages that the matcher failed on.");
        _findings = meter.CreateCounter<long>("guestmark.central.findings", "{finding}", "Findings that matching yielded.");
        foreach (var reason in Enum.GetValues<RefusalReason>()) Refused(reason, 0);
        foreach (var cause in (string[])["age", "rows", "bytes"]) Deleted(cause, 0);
    }

    internal void Stored(int events) => _stored.Add(events);

    internal void Repeated(int events) => _repeated.Add(events);

    internal void Refused(RefusalReason reason, int events) => _refused.Add(events, new KeyValuePair<string, object?>("reason", reason switch
    {
        RefusalReason.UnknownType => "unknown_type",
        RefusalReason.BadPosition => "bad_position",
        RefusalReason.BadAttribute => "bad_attribute",
        RefusalReason.Unreadable => "unreadable",
        RefusalReason.TooLarge => "too_large",
        _ => throw new UnreachableException(),
    }));

    internal void Missing(long events) => _missing.Add(events);

    /// <param name="cause">age, rows or bytes.</param>
    internal void Deleted(string cause, int events) => _deleted.Add(events, new KeyValuePair<string, object?>("cause", cause));

    internal void Matched(int packages, int failed, int findings)
    {
        _packagesMatched.Add(packages);
        _packagesFailed.Add(failed);
        _findings.Add(findings);
    }
}

/// <summary>Why an event is refused, as a label of a metric.</summary>
enum RefusalReason
{
    UnknownType,
    BadPosition,
    BadAttribute,
    Unreadable,
    TooLarge,
}
