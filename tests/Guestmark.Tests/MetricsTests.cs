using System.Diagnostics;
using System.Diagnostics.Metrics;
using Guestmark.Telemetry;
using Guestmark.TestKit;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Tests;

/// <summary>Establishes that what instruments were told is what a scrape reads, in both formats.</summary>
public sealed class MetricsTests : IDisposable
{
    readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    readonly IMeterFactory _meters;
    readonly MetricsCollector _collector;

    public MetricsTests()
    {
        _meters = _services.GetRequiredService<IMeterFactory>();
        _collector = new MetricsCollector(_meters);
    }

    public void Dispose()
    {
        _collector.Dispose();
        _services.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_kind_of_instrument_has_its_place(bool openMetrics)
    {
        var meter = _meters.Create("Guestmark.Test");
        var counter = meter.CreateCounter<long>("test.messages", "{message}", "Messages.");
        counter.Add(3, new KeyValuePair<string, object?>("status", "Stored"));
        counter.Add(4, new KeyValuePair<string, object?>("status", "Stored"));
        counter.Add(1, new KeyValuePair<string, object?>("status", "Malformed"));
        meter.CreateCounter<long>("test.received", "By", "Bytes.").Add(4096);
        var open = meter.CreateUpDownCounter<int>("test.connections", "{connection}", "Open.");
        open.Add(5);
        open.Add(-2);
        meter.CreateGauge<double>("test.temperature", "Cel").Record(-3.5);
        meter.CreateObservableGauge("test.depth", () => 17L, "{event}", "Waiting.");
        meter.CreateObservableCounter("test.cpu", () => 1.25, "s", "Time.");
        var histogram = meter.CreateHistogram<double>("test.wait", "s", "Waits.");
        foreach (var seconds in new[] { 0.0001, 0.001, 0.0011, 7, 100 }) histogram.Record(seconds);
        var sizes = meter.CreateHistogram("test.size", "By", "Sizes.", advice: new InstrumentAdvice<long> { HistogramBucketBoundaries = [10L, 100L] });
        sizes.Record(10);

        var samples = MetricsTextParser.Parse(MetricsText.Write(_collector.Collect(), openMetrics), openMetrics);
        double Value(string name, string label = "", string value = "") =>
            Assert.Single(samples, s => s.Name == name && (label.Length == 0 || (s.Labels.TryGetValue(label, out var found) && found == value))).Value;
        Assert.Equal(7, Value("test_messages_total", "status", "Stored"));
        Assert.Equal(1, Value("test_messages_total", "status", "Malformed"));
        Assert.Equal(4096, Value("test_received_bytes_total"));
        Assert.Equal(3, Value("test_connections"));
        Assert.Equal(-3.5, Value("test_temperature_celsius"));
        Assert.Equal(17, Value("test_depth"));
        Assert.Equal(1.25, Value("test_cpu_seconds_total"));
        Assert.Equal(5, Value("test_wait_seconds_count"));
        Assert.Equal(107.0022, Value("test_wait_seconds_sum"), 4);
        // A bucket includes its bound.
        Assert.Equal(2, Value("test_wait_seconds_bucket", "le", "0.001"));
        Assert.Equal(1, Value("test_size_bytes_bucket", "le", "10.0"));
        Assert.Equal(0, Value("guestmark_telemetry_dropped_series_total"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_label_keeps_its_text_whatever_is_in_it(bool openMetrics)
    {
        const string awkward = "a\"b\\c\nd\\n{},= é";
        _meters.Create("Guestmark.Test").CreateCounter<long>("test.labels", null, "Line one\nline \\ \"two\".").Add(1, new KeyValuePair<string, object?>("the.label", awkward));
        var samples = MetricsTextParser.Parse(MetricsText.Write(_collector.Collect(), openMetrics), openMetrics);
        Assert.Equal(awkward, Assert.Single(samples, s => s.Name == "test_labels_total").Labels["the_label"]);
    }

    [Fact]
    public void Series_without_bound_are_cut_and_counted()
    {
        var counter = _meters.Create("Guestmark.Test").CreateCounter<long>("test.unbounded");
        for (var i = 0; i < MetricsCollector.SeriesMax + 25; i++) counter.Add(1, new KeyValuePair<string, object?>("guest", i));
        var samples = MetricsTextParser.Parse(MetricsText.Write(_collector.Collect(), openMetrics: false), openMetrics: false);
        Assert.Equal(MetricsCollector.SeriesMax, samples.Count(s => s.Name == "test_unbounded_total"));
        Assert.Equal(25, samples.Single(s => s.Name == "guestmark_telemetry_dropped_series_total").Value);
    }

    [Fact]
    public void What_is_no_longer_observed_is_no_longer_shown()
    {
        var shown = new List<string> { "a", "b" };
        _meters.Create("Guestmark.Test").CreateObservableGauge("test.seen", () => shown.Select(name => new Measurement<int>(1, new KeyValuePair<string, object?>("name", name))));
        Assert.Equal(2, _collector.Collect().Single(family => family.Name == "test_seen").Samples.Count);
        shown.Remove("a");
        Assert.Equal("b", Assert.Single(_collector.Collect().Single(family => family.Name == "test_seen").Samples).Labels[0].Value);
    }

    [Fact]
    public void Another_hosts_instruments_and_those_of_strangers_are_not_shown()
    {
        using var other = new ServiceCollection().AddMetrics().BuildServiceProvider();
        other.GetRequiredService<IMeterFactory>().Create("Guestmark.Test").CreateCounter<long>("test.other").Add(1);
        _meters.Create("Stranger").CreateCounter<long>("test.stranger").Add(1);
        Assert.DoesNotContain(_collector.Collect(), family => family.Name is "test_other" or "test_stranger");
    }

    [Fact]
    public async Task Counting_from_many_threads_loses_nothing()
    {
        var counter = _meters.Create("Guestmark.Test").CreateCounter<long>("test.parallel");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(thread => Task.Run(() =>
        {
            for (var i = 0; i < 20_000; i++) counter.Add(1, new KeyValuePair<string, object?>("status", i % 7));
        })));
        Assert.Equal(160_000, _collector.Collect().Single(family => family.Name == "test_parallel").Samples.Sum(sample => sample.Value));
    }

    [Fact]
    public void A_measurement_of_a_known_series_allocates_nothing()
    {
        var counter = _meters.Create("Guestmark.Test").CreateCounter<long>("test.hot");
        var label = new KeyValuePair<string, object?>("status", "Stored");
        for (var i = 0; i < 1000; i++) counter.Add(1, label);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) counter.Add(1, label);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("text/plain", false)]
    [InlineData("*/*", false)]
    [InlineData("application/openmetrics-text", true)]
    [InlineData("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", true)]
    [InlineData("application/openmetrics-text;q=0.2,text/plain;q=0.8", false)]
    [InlineData("application/openmetrics-text;q=0", false)]
    [InlineData("not a header;;;", false)]
    public void The_format_is_the_one_that_the_scraper_prefers(string accept, bool openMetrics) =>
        Assert.Equal(openMetrics, TelemetryEndpoint.PrefersOpenMetrics(accept));

    [ToolFact("promtool")]
    public async Task Prometheus_own_linter_finds_nothing_wrong_with_our_families()
    {
        var meter = _meters.Create("Guestmark.Test");
        meter.CreateCounter<long>("test.messages", "{message}", "Messages.").Add(3, new KeyValuePair<string, object?>("status", "a\"\\\n"));
        meter.CreateHistogram<double>("test.wait", "s", "Waits.").Record(0.1);
        _ = new ProcessMetrics(_meters);
        var families = _collector.Collect().Where(family => !family.Name.StartsWith("dotnet_", StringComparison.Ordinal)).ToList();
        using var promtool = Process.Start(new ProcessStartInfo("promtool", ["check", "metrics"]) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardError = true, RedirectStandardOutput = true })!;
        await promtool.StandardInput.WriteAsync(MetricsText.Write(families, openMetrics: false));
        promtool.StandardInput.Close();
        var words = await promtool.StandardError.ReadToEndAsync() + await promtool.StandardOutput.ReadToEndAsync();
        await promtool.WaitForExitAsync();
        Assert.True(promtool.ExitCode == 0 && words.Length == 0, words);
    }
}
