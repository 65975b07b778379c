using System.Globalization;
using System.Text;

namespace Guestmark.Telemetry;

/// <summary>
/// Writes families as Prometheus' text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/) or as OpenMetrics 1.0
/// (https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md).
/// </summary>
/// <remarks>
/// They differ in little: in OpenMetrics a counter's family has its name without <c>_total</c>, a family may name its unit, and the text ends with
/// <c># EOF</c>.
/// </remarks>
static class MetricsText
{
    public const string PrometheusType = "text/plain; version=0.0.4; charset=utf-8";
    public const string OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// <summary>No label of ours is longer; should one be, the scrape stays small.</summary>
    const int LabelLengthMax = 128;

    public static string Write(IReadOnlyList<MetricFamily> families, bool openMetrics)
    {
        var text = new StringBuilder(16 << 10);
        foreach (var family in families)
        {
            if (family.Samples.Count == 0) continue;
            var name = family.Kind == MetricKind.Counter && !openMetrics ? family.Name + "_total" : family.Name;
            var kind = family.Kind switch { MetricKind.Counter => "counter", MetricKind.Histogram => "histogram", _ => "gauge" };
            text.Append("# TYPE ").Append(name).Append(' ').Append(kind).Append('\n');
            if (openMetrics && family.Unit.Length > 0) text.Append("# UNIT ").Append(name).Append(' ').Append(family.Unit).Append('\n');
            if (family.Help.Length > 0) text.Append("# HELP ").Append(name).Append(' ').Append(Escape(family.Help, quotes: openMetrics)).Append('\n');
            foreach (var sample in family.Samples)
            {
                if (sample.Buckets is null) Line(text, family.Kind == MetricKind.Counter ? family.Name + "_total" : family.Name, sample.Labels, null, Number(sample.Value));
                else Histogram(text, family, sample);
            }
        }

        if (openMetrics) text.Append("# EOF\n");
        return text.ToString();
    }

    static void Histogram(StringBuilder text, MetricFamily family, MetricSample sample)
    {
        var count = 0L;
        for (var i = 0; i < sample.Buckets!.Length; i++)
        {
            count += sample.Buckets[i];
            var bound = i < family.Bounds.Length ? Bound(family.Bounds[i]) : "+Inf";
            Line(text, family.Name + "_bucket", sample.Labels, bound, count.ToString(CultureInfo.InvariantCulture));
        }

        Line(text, family.Name + "_sum", sample.Labels, null, Number(sample.Value));
        Line(text, family.Name + "_count", sample.Labels, null, count.ToString(CultureInfo.InvariantCulture));
    }

    static void Line(StringBuilder text, string name, KeyValuePair<string, string>[] labels, string? bound, string value)
    {
        text.Append(name);
        if (labels.Length > 0 || bound is not null)
        {
            text.Append('{');
            var comma = "";
            foreach (var (label, content) in labels)
            {
                text.Append(comma).Append(label).Append("=\"").Append(Escape(content.Length <= LabelLengthMax ? content : content[..LabelLengthMax], quotes: true)).Append('"');
                comma = ",";
            }

            if (bound is not null) text.Append(comma).Append("le=\"").Append(bound).Append('"');
            text.Append('}');
        }

        text.Append(' ').Append(value).Append('\n');
    }

    static string Escape(string text, bool quotes)
    {
        text = text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return quotes ? text.Replace("\"", "\\\"", StringComparison.Ordinal) : text;
    }

    static string Number(double value) =>
        double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf" : double.IsNaN(value) ? "NaN" : value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>OpenMetrics wants a point in a bound; the same text in both formats makes the same series.</summary>
    static string Bound(double value)
    {
        var text = Number(value);
        return text.AsSpan().ContainsAny(".eE") ? text : text + ".0";
    }
}
