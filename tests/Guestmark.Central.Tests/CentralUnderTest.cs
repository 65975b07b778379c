using System.Diagnostics.Metrics;
using Dapper;
using Guestmark.Central.Findings;
using Guestmark.Central.Ingest;
using Guestmark.Central.Storage;
using Guestmark.Events;
using Guestmark.Rpc.Publishing;
using Guestmark.TestKit;
using Guestmark.Vulnerabilities;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Tests;

/// <summary>Central's services over a folder, without a web server; matching runs when a test says so.</summary>
sealed class CentralUnderTest : IAsyncDisposable
{
    readonly ServiceProvider _services;
    readonly MeterListener _listener = new();
    readonly Dictionary<string, long> _metrics = [];
    readonly LogLines _log = new();

    public CentralUnderTest(
        string folder, Func<CentralOptions, CentralOptions>? configure = null, TimeProvider? time = null, MatchPackage? match = null)
    {
        var options = new CentralOptions { DataDirectory = folder };
        var services = new ServiceCollection().AddLogging(logging => logging.AddProvider(_log)).AddSingleton(time ?? new ManualTimeProvider(Samples.Start));
        services.AddCentral(configure?.Invoke(options) ?? options);
        if (match is not null) services.AddMatching(match);
        _services = services.BuildServiceProvider();
        var meters = _services.GetRequiredService<IMeterFactory>();
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == CentralMetrics.MeterName && ReferenceEquals(instrument.Meter.Scope, meters)) listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, _, _) =>
        {
            lock (_metrics) _metrics[instrument.Name] = _metrics.GetValueOrDefault(instrument.Name) + value;
        });
        _listener.Start();
    }

    public CentralStore Store => Get<CentralStore>();

    public PackageMatching Matching => Get<PackageMatching>();

    public T Get<T>()
        where T : notnull => _services.GetRequiredService<T>();

    public IReadOnlyList<string> LogOf(int id) => _log.Of(id);

    public long Metric(string name)
    {
        lock (_metrics) return _metrics.GetValueOrDefault("guestmark.central." + name);
    }

    public ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(params IReadOnlyList<StampedEvent> events) =>
        Get<CentralEventSink>().StoreAsync(events, CancellationToken.None);

    public async Task<T> ScalarAsync<T>(string sql) => (await Store.QueryAsync<T>(sql, new { }, CancellationToken.None)).Single();

    public async Task<List<T>> RowsAsync<T>(string sql) => await Store.QueryAsync<T>(sql, new { }, CancellationToken.None);

    public async Task ExecuteAsync(string sql) => await Store.WriteAsync(connection => connection.Execute(sql), CancellationToken.None);

    /// <summary>Every table that ingest fills, as text: two stores with the same text hold the same.</summary>
    public async Task<string> ContentAsync()
    {
        var lines = new List<string>();
        foreach (var sql in (string[])[
            "SELECT m.uid || '|' || m.name || '|' || m.state || '|' || m.node || '|' || coalesce(hex(s.digest), '') FROM machines m LEFT JOIN package_sets s ON s.id = m.set_id ORDER BY 1",
            "SELECT t.name || '|' || r.sequence || '|' || r.event_id || '|' || m.uid || '|' || hex(s.digest) FROM reports r JOIN streams t ON t.id = r.stream_id JOIN machines m ON m.id = r.machine_id JOIN package_sets s ON s.id = r.set_id ORDER BY 1",
            "SELECT hex(s.digest) || '|' || p.name || '|' || p.version FROM package_set_members m JOIN package_sets s ON s.id = m.set_id JOIN packages p ON p.id = m.package_id ORDER BY 1",
            "SELECT t.name || '|' || e.sequence || '|' || hex(e.encoded) FROM events e JOIN streams t ON t.id = e.stream_id ORDER BY 1",
            "SELECT name || '|' || sequence || '|' || missing FROM streams ORDER BY 1"])
        {
            lines.AddRange(await RowsAsync<string>(sql));
            lines.Add("--");
        }

        return string.Join('\n', lines);
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _services.DisposeAsync();
    }
}

/// <summary>What was logged, by id.</summary>
sealed class LogLines : ILoggerProvider, ILogger
{
    readonly Lock _lock = new();
    readonly List<(int Id, string Message)> _lines = [];

    public IReadOnlyList<string> Of(int id)
    {
        lock (_lock) return [.. _lines.Where(line => line.Id == id).Select(line => line.Message)];
    }

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_lock) _lines.Add((eventId.Id, formatter(state, exception)));
    }

    public void Dispose()
    {
    }
}

/// <summary>Matching with packages on which it fails.</summary>
static class FailingMatching
{
    /// <summary>As the matcher does, but throwing for packages of these names.</summary>
    public static MatchPackage On(AdvisoryDatabase database, params ICollection<string> names) => (os, package, findings) =>
    {
        if (names.Contains(package.Name)) throw new InvalidOperationException($"cannot match {package.Name}");
        new Matcher(database).Match(os, package, findings);
    };

    public static void AddMatching(this IServiceCollection services, MatchPackage match) => services.AddSingleton(provider => new PackageMatching(
        provider.GetRequiredService<CentralStore>(), provider.GetRequiredService<CentralMetrics>(), provider.GetRequiredService<TimeProvider>(),
        provider.GetRequiredService<ILogger<PackageMatching>>(), _ => match));
}
