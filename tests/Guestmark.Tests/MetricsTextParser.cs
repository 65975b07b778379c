using System.Globalization;
using System.Text.RegularExpressions;

namespace Guestmark.Tests;

/// <summary>
/// A strict reader of both text formats: every rule of theirs that a scraper may rely on is an assertion here. It shares nothing with the writer.
/// </summary>
static partial class MetricsTextParser
{
    public sealed record Sample(string Name, IReadOnlyDictionary<string, string> Labels, double Value);

    public static List<Sample> Parse(string text, bool openMetrics)
    {
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        var lines = text.Split('\n')[..^1];
        if (openMetrics)
        {
            Assert.Equal("# EOF", lines[^1]);
            lines = lines[..^1];
        }

        var samples = new List<Sample>();
        var seen = new HashSet<string>();
        var families = new HashSet<string>();
        var (family, kind) = ("", "");
        foreach (var line in lines)
        {
            if (TypeLine().Match(line) is { Success: true } type)
            {
                (family, kind) = (type.Groups["name"].Value, type.Groups["kind"].Value);
                Assert.True(families.Add(family), $"{family} comes twice");
                Assert.True(kind is not "counter" || openMetrics != family.EndsWith("_total", StringComparison.Ordinal), line);
                continue;
            }

            if (line.StartsWith('#'))
            {
                var about = AboutLine().Match(line);
                Assert.True(about.Success && about.Groups["name"].Value == family, line);
                Assert.True(about.Groups["what"].Value == "HELP" || openMetrics, line);
                // A unit is how the family's name ends.
                if (about.Groups["what"].Value == "UNIT") Assert.EndsWith("_" + about.Groups["text"].Value, family, StringComparison.Ordinal);
                continue;
            }

            var match = SampleLine().Match(line);
            Assert.True(match.Success, $"no sample: {line}");
            var name = match.Groups["name"].Value;
            string[] allowed = kind switch
            {
                "counter" => [openMetrics ? family + "_total" : family],
                "histogram" => [family + "_bucket", family + "_sum", family + "_count"],
                _ => [family],
            };
            Assert.Contains(name, allowed);
            Assert.True(seen.Add(line[..line.LastIndexOf(' ')]), $"a series comes twice: {line}");
            var labels = new Dictionary<string, string>();
            foreach (Match label in Label().Matches(match.Groups["labels"].Value)) labels.Add(label.Groups["name"].Value, Unescape(label.Groups["text"].Value));
            Assert.Equal(match.Groups["labels"].Value, string.Join(',', Label().Matches(match.Groups["labels"].Value).Select(label => label.Value)));
            samples.Add(new Sample(name, labels, Number(match.Groups["value"].Value)));
        }

        CheckHistograms(samples);
        return samples;
    }

    public static IEnumerable<string> LabelNames(string line) => Label().Matches(line).Select(label => label.Groups["name"].Value).Where(name => name != "le");

    public static double Number(string text) => text switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        "NaN" => double.NaN,
        _ => double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture),
    };

    /// <summary>Buckets grow, the last is infinite and is the count.</summary>
    static void CheckHistograms(List<Sample> samples)
    {
        foreach (var series in samples.Where(s => s.Name.EndsWith("_bucket", StringComparison.Ordinal))
            .GroupBy(s => s.Name[..^"_bucket".Length] + string.Join(',', s.Labels.Where(l => l.Key != "le"))))
        {
            var buckets = series.Select(s => (Bound: Number(s.Labels["le"]), s.Value)).ToList();
            Assert.Equal(buckets.OrderBy(b => b.Bound), buckets);
            Assert.True(buckets.Zip(buckets.Skip(1)).All(pair => pair.First.Value <= pair.Second.Value));
            Assert.Equal(double.PositiveInfinity, buckets[^1].Bound);
            Assert.All(series, s => Assert.True(s.Labels["le"] == "+Inf" || s.Labels["le"].AsSpan().ContainsAny(".e")));
            var first = series.First();
            var name = first.Name[..^"_bucket".Length];
            var others = first.Labels.Where(l => l.Key != "le").ToList();
            Assert.Contains(samples, s => s.Name == name + "_count" && s.Value == buckets[^1].Value && s.Labels.SequenceEqual(others));
            Assert.Contains(samples, s => s.Name == name + "_sum" && s.Labels.SequenceEqual(others));
        }
    }

    static string Unescape(string text) => Escape().Replace(text, match => match.Value[1] switch { 'n' => "\n", var c => c.ToString() });

    [GeneratedRegex(@"^# TYPE (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?<kind>counter|gauge|histogram)$", RegexOptions.None, matchTimeoutMilliseconds: 5000)]
    private static partial Regex TypeLine();

    [GeneratedRegex(@"^# (?<what>HELP|UNIT) (?<name>[a-zA-Z_:][a-zA-Z0-9_:]*) (?<text>.+)$", RegexOptions.None, matchTimeoutMilliseconds: 5000)]
    private static partial Regex AboutLine();

    [GeneratedRegex("""^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?<labels>(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (?<value>\S+)$""", RegexOptions.None, matchTimeoutMilliseconds: 5000)]
    private static partial Regex SampleLine();

    [GeneratedRegex("""(?<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?<text>(?:[^"\\\n]|\\["\\n])*)["]""", RegexOptions.None, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Label();

    [GeneratedRegex("""\\["\\n]""", RegexOptions.None, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Escape();
}
