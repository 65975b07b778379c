using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;

namespace Guestmark.Telemetry;

enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>
/// Holds the present value of every instrument of our meters, for a scrape. Adding to a counter takes a lookup by the labels' hash and an
/// interlocked addition; nothing is allocated after the first measurement of a series.
/// </summary>
/// <remarks>
/// Labels are bounded by who makes the instrument. A mistake there must not fill the memory: an instrument has at most
/// <see cref="SeriesMax"/> series, and what comes beyond is counted in <c>guestmark_telemetry_dropped_series_total</c>.
/// </remarks>
sealed class MetricsCollector : IDisposable
{
    public const int SeriesMax = 1000;

    /// <summary>Boundaries of OpenTelemetry's default for durations in seconds.</summary>
    static readonly double[] DurationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    /// <summary>256 B to 16 MiB, the sizes of messages.</summary>
    static readonly double[] ByteBounds = [256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216];

    static readonly double[] OtherBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10000, 100000, 1000000];

    readonly MeterListener _listener = new();
    readonly ConcurrentDictionary<Instrument, InstrumentState> _instruments = [];
    readonly Lock _scraping = new();
    long _scrape;
    long _droppedSeries;

    /// <param name="scope">The factory of the host's meters: several hosts in a process have counters of the same names.</param>
    public MetricsCollector(IMeterFactory scope)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            var isOurs = instrument.Meter.Name.StartsWith("Guestmark.", StringComparison.Ordinal) && (instrument.Meter.Scope is null || ReferenceEquals(instrument.Meter.Scope, scope));
            // .NET's own: heap, garbage collections, thread pool, exceptions.
            if (!isOurs && instrument.Meter.Name != "System.Runtime") return;
            if (KindOf(instrument) is not { } kind) return;
            var state = new InstrumentState(this, instrument, kind, kind == MetricKind.Histogram ? Bounds(instrument) : []);
            _instruments[instrument] = state;
            listener.EnableMeasurementEvents(instrument, state);
        };
        _listener.MeasurementsCompleted = (instrument, state) => _instruments.TryRemove(new KeyValuePair<Instrument, InstrumentState>(instrument, (InstrumentState)state!));
        _listener.SetMeasurementEventCallback<byte>((_, value, labels, state) => ((InstrumentState)state!).Record(value, labels));
        _listener.SetMeasurementEventCallback<short>((_, value, labels, state) => ((InstrumentState)state!).Record(value, labels));
        _listener.SetMeasurementEventCallback<int>((_, value, labels, state) => ((InstrumentState)state!).Record(value, labels));
        _listener.SetMeasurementEventCallback<long>((_, value, labels, state) => ((InstrumentState)state!).Record(value, labels));
        _listener.SetMeasurementEventCallback<float>((_, value, labels, state) => ((InstrumentState)state!).Record(value, labels));
        _listener.SetMeasurementEventCallback<double>((_, value, labels, state) => ((InstrumentState)state!).Record(value, labels));
        _listener.SetMeasurementEventCallback<decimal>((_, value, labels, state) => ((InstrumentState)state!).Record((double)value, labels));
        _listener.Start();
    }

    public long DroppedSeries => Interlocked.Read(ref _droppedSeries);

    /// <summary>All families with their values now, by name.</summary>
    public IReadOnlyList<MetricFamily> Collect()
    {
        lock (_scraping)
        {
            _scrape++;
            try
            {
                _listener.RecordObservableInstruments();
            }
            catch (AggregateException)
            {
                // An observer of something that is being closed: its series is absent from this scrape, the others are there.
            }

            var families = new SortedDictionary<string, MetricFamily>(StringComparer.Ordinal);
            foreach (var state in _instruments.Values) state.AddTo(families, _scrape);
            var dropped = new MetricFamily("guestmark_telemetry_dropped_series", "", "Series beyond the bound of their instrument, which are not shown.", MetricKind.Counter, []);
            dropped.Samples.Add(new MetricSample([], DroppedSeries, null));
            families[dropped.Name] = dropped;
            return [.. families.Values];
        }
    }

    public void Dispose() => _listener.Dispose();

    /// <summary>Null: a kind that has no place in the text.</summary>
    static MetricKind? KindOf(Instrument instrument)
    {
        // .NET has these two as counters, and they go down.
        if (instrument.Name is "dotnet.thread_pool.queue.length" or "dotnet.thread_pool.thread.count") return MetricKind.Gauge;
        var type = instrument.GetType().GetGenericTypeDefinition();
        return type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter
            : type == typeof(UpDownCounter<>) || type == typeof(ObservableUpDownCounter<>) || type == typeof(Gauge<>) || type == typeof(ObservableGauge<>) ? MetricKind.Gauge
            : type == typeof(Histogram<>) ? MetricKind.Histogram
            : null;
    }

    static double[] Bounds(Instrument instrument) => instrument switch
    {
        Histogram<double> { Advice.HistogramBucketBoundaries: { Count: > 0 } bounds } => [.. bounds],
        Histogram<long> { Advice.HistogramBucketBoundaries: { Count: > 0 } bounds } => [.. bounds.Select(bound => (double)bound)],
        Histogram<int> { Advice.HistogramBucketBoundaries: { Count: > 0 } bounds } => [.. bounds.Select(bound => (double)bound)],
        _ => instrument.Unit switch { "s" => DurationBounds, "By" => ByteBounds, _ => OtherBounds },
    };

    /// <summary>One instrument and its series.</summary>
    sealed class InstrumentState(MetricsCollector owner, Instrument instrument, MetricKind kind, double[] bounds)
    {
        /// <summary>By hash of the labels; those of equal hash in a chain.</summary>
        readonly ConcurrentDictionary<int, Series> _byHash = [];
        readonly Lock _adding = new();
        int _count;

        /// <summary>Observed values are totals; the others are steps, but those of a gauge.</summary>
        readonly bool _replaces = instrument.IsObservable || instrument.GetType().GetGenericTypeDefinition() == typeof(Gauge<>);

        public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> labels)
        {
            if (Find(labels) is not { } series) return;
            if (kind == MetricKind.Histogram) series.Observe(value, bounds);
            else if (_replaces) series.Set(value, Volatile.Read(ref owner._scrape));
            else series.Add(value);
        }

        public void AddTo(SortedDictionary<string, MetricFamily> families, long scrape)
        {
            var name = MetricNames.Family(instrument.Name, instrument.Unit, kind);
            if (!families.TryGetValue(name, out var family))
                families[name] = family = new MetricFamily(name, MetricNames.Unit(instrument.Unit, kind), instrument.Description ?? "", kind, bounds);
            // Two instruments of one name and different kinds cannot share a family; the first is shown.
            if (family.Kind != kind) return;
            foreach (var first in _byHash.Values)
            {
                for (var series = first; series is not null; series = series.Next)
                {
                    if (instrument.IsObservable && !series.WasSeen(scrape)) continue;
                    family.Samples.Add(series.ToSample());
                }
            }
        }

        Series? Find(ReadOnlySpan<KeyValuePair<string, object?>> labels)
        {
            var hash = 17;
            foreach (var (name, value) in labels) hash = HashCode.Combine(hash, name, value);
            _byHash.TryGetValue(hash, out var found);
            for (var series = found; series is not null; series = series.Next)
            {
                if (series.Has(labels)) return series;
            }

            lock (_adding)
            {
                _byHash.TryGetValue(hash, out var first);
                for (var series = first; series is not null; series = series.Next)
                {
                    if (series.Has(labels)) return series;
                }

                if (_count >= SeriesMax)
                {
                    Interlocked.Increment(ref owner._droppedSeries);
                    return null;
                }

                _count++;
                var added = new Series(labels.ToArray(), first, bounds.Length + 1);
                _byHash[hash] = added;
                return added;
            }
        }
    }

    /// <summary>One set of labels of one instrument.</summary>
    sealed class Series(KeyValuePair<string, object?>[] labels, Series? next, int buckets)
    {
        readonly long[] _buckets = new long[buckets];
        double _value;
        long _seen;

        public Series? Next { get; } = next;

        public bool Has(ReadOnlySpan<KeyValuePair<string, object?>> other)
        {
            if (other.Length != labels.Length) return false;
            for (var i = 0; i < labels.Length; i++)
            {
                if (!string.Equals(labels[i].Key, other[i].Key, StringComparison.Ordinal) || !Equals(labels[i].Value, other[i].Value)) return false;
            }

            return true;
        }

        public void Add(double value)
        {
            // A double counts to 2^53 exactly: at ten million a second, for 28 years.
            var seen = Volatile.Read(ref _value);
            while (true)
            {
                var was = Interlocked.CompareExchange(ref _value, seen + value, seen);
                if (was.Equals(seen)) return;
                seen = was;
            }
        }

        public void Set(double value, long scrape)
        {
            Volatile.Write(ref _value, value);
            Volatile.Write(ref _seen, scrape);
        }

        public void Observe(double value, double[] bounds)
        {
            var index = Array.BinarySearch(bounds, value);
            // A bucket includes its bound.
            Interlocked.Increment(ref _buckets[index >= 0 ? index : ~index]);
            Add(value);
        }

        public bool WasSeen(long scrape) => Volatile.Read(ref _seen) == scrape;

        public MetricSample ToSample()
        {
            var texts = new KeyValuePair<string, string>[labels.Length];
            for (var i = 0; i < labels.Length; i++)
                texts[i] = new(MetricNames.Label(labels[i].Key), Convert.ToString(labels[i].Value, CultureInfo.InvariantCulture) ?? "");
            Array.Sort(texts, (a, b) => string.CompareOrdinal(a.Key, b.Key));
            return new MetricSample(texts, Volatile.Read(ref _value), _buckets.Length > 1 ? [.. _buckets.Select((_, i) => Volatile.Read(ref _buckets[i]))] : null);
        }
    }
}

/// <param name="Name">Without the suffix of its samples.</param>
/// <param name="Unit">As the name ends; empty: none.</param>
/// <param name="Bounds">Upper bounds of a histogram's buckets but the last.</param>
sealed record MetricFamily(string Name, string Unit, string Help, MetricKind Kind, double[] Bounds)
{
    public List<MetricSample> Samples { get; } = [];
}

/// <param name="Value">Of a histogram: the sum.</param>
/// <param name="Buckets">Of a histogram: how many fell into each bucket.</param>
sealed record MetricSample(KeyValuePair<string, string>[] Labels, double Value, long[]? Buckets);

/// <summary>Names of Prometheus made from those of OpenTelemetry, as its specification on compatibility makes them.</summary>
static class MetricNames
{
    /// <summary><c>guestmark.node.received</c> in <c>By</c> is <c>guestmark_node_received_bytes</c>.</summary>
    public static string Family(string name, string? unit, MetricKind kind)
    {
        var family = Safe(name, colons: true);
        var suffix = Unit(unit, kind);
        if (kind == MetricKind.Counter && family.EndsWith("_total", StringComparison.Ordinal)) family = family[..^"_total".Length];
        return suffix.Length == 0 || family.EndsWith("_" + suffix, StringComparison.Ordinal) ? family : $"{family}_{suffix}";
    }

    /// <summary>The word for a UCUM unit. A note in braces, as <c>{event}</c>, is none.</summary>
    public static string Unit(string? unit, MetricKind kind) => unit switch
    {
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        "Cel" => "celsius",
        "1" when kind == MetricKind.Gauge => "ratio",
        _ => "",
    };

    public static string Label(string name) => Safe(name, colons: false);

    static string Safe(string name, bool colons)
    {
        var safe = string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) || c == '_' || (colons && c == ':') ? c : '_'));
        return safe.Length == 0 || char.IsAsciiDigit(safe[0]) ? "_" + safe : safe;
    }
}
