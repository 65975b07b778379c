using System.Diagnostics.Metrics;
using Guestmark.Node.Admission;
using Guestmark.Rpc;
using Guestmark.Rpc.Guests;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Identity;

/// <summary>Follows the sensor's list of this node's guests (proto/guestmark/v1/guests.proto).</summary>
/// <remarks>
/// <list type="number">
/// <item>At the start the list that was kept on disk is in force, so that guests are heard although the sensor is away.</item>
/// <item>Ask the sensor. It sends the whole list, and a whole list after each change.</item>
/// <item>A good list is put in force and kept on disk. One with anything wrong in it is refused as a whole, told of and counted, and the one before
/// stays. One that contradicts the node's own guests is tried again each second, since those may change.</item>
/// <item>When the call ends, wait (doubling, with jitter) and begin again at 2.</item>
/// </list>
/// </remarks>
sealed partial class SensorRegistry : BackgroundService
{
    const int ProblemsToldMax = 3;
    static readonly TimeSpan RetryDelayMin = TimeSpan.FromMilliseconds(100);
    static readonly TimeSpan RetryDelayMax = TimeSpan.FromSeconds(5);
    static readonly TimeSpan RefusedRetryInterval = TimeSpan.FromSeconds(1);

    readonly NodeOptions _options;
    readonly GuestRegistry _registry;
    readonly RpcChannel _channel;
    readonly KeptGuests _kept;
    readonly TimeProvider _time;
    readonly ILogger<SensorRegistry> _logger;
    readonly Counter<long> _lists;
    readonly LogThrottle _takenLog = new();
    readonly LogThrottle _refusedLog = new();
    readonly LogThrottle _lostLog = new();
    readonly Lock _lock = new();
    (ulong Generation, IReadOnlyList<GuestEntry> Guests)? _refused;
    string? _refusal;
    ulong? _generation;
    int _count;
    DateTimeOffset _confirmed;
    bool _isCurrent;

    public SensorRegistry(NodeOptions options, GuestRegistry registry, RpcChannel channel, IMeterFactory meters, TimeProvider time, ILogger<SensorRegistry> logger)
    {
        _options = options;
        _registry = registry;
        _channel = channel;
        _kept = new KeptGuests(options);
        _time = time;
        _logger = logger;
        var meter = meters.Create(NodeMetrics.MeterName);
        _lists = meter.CreateCounter<long>("guestmark.node.registry.lists", "{list}", "Lists of guests that the sensor sent, by what became of them.");
        foreach (var outcome in new[] { "accepted", "refused" }) _lists.Add(0, Outcome(outcome));
        meter.CreateObservableGauge("guestmark.node.registry.age", () => Known(() => Age.TotalSeconds), "s",
            "Time since the sensor's list of guests was last known to be right; 0 while it is followed, absent before there was one.");
        meter.CreateObservableGauge("guestmark.node.registry.generation", () => Known(() => (long)_generation!.Value), null, "Generation of the sensor's list that is in force.");
        meter.CreateObservableGauge("guestmark.node.registry.guests", () => Known(() => (long)_count), "{guest}", "Guests of the sensor's list that is in force.");
    }

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        // :: Step 1
        try
        {
            if (_kept.Read() is { } kept)
            {
                if (Take(kept.Generation, kept.Guests) is { } problem)
                {
                    LogKeptRefused(_kept.Path, problem);
                }
                else
                {
                    _confirmed = kept.Received;
                    LogKept(kept.Guests.Count, kept.Received, Age);
                }
            }
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            // The sensor will tell. A start that failed would leave the other guests unheard.
            LogKeptRefused(_kept.Path, e.Message);
        }

        return base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await using var retrying = _time.CreateTimer(_ => TakeRefused(), null, RefusedRetryInterval, RefusedRetryInterval);
        var delay = RetryDelayMin;
        string? lastProblem = null;
        while (true)
        {
            var problem = "the sensor ended the call";
            try
            {
                // :: Step 2
                var request = new WatchGuestsRequest { Node = _options.Node };
                var callOptions = new RpcCallOptions { ReceiveMessageBytesMax = GuestListing.ListBytesMax };
                await using var call = _channel.Open(GuestListing.Watch, callOptions, stoppingToken);
                await call.WriteAsync(request, stoppingToken);
                await call.CompleteAsync();
                await foreach (var list in call.ReadAllAsync(stoppingToken))
                {
                    (delay, lastProblem) = (RetryDelayMin, null);
                    Receive(list);
                }
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return; // The channel was closed under us: the process is stopping.
            }
            catch (RpcException e)
            {
                problem = $"{e.Code}: {e.Detail}";
            }

            Lose();
            if (problem != lastProblem && _lostLog.MayLog(_time, out _)) LogNotFollowing(problem, _count);
            lastProblem = problem;

            // :: Step 4
            try
            {
                await Task.Delay(delay * (0.5 + Random.Shared.NextDouble()), _time, stoppingToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            delay = delay * 2 < RetryDelayMax ? delay * 2 : RetryDelayMax;
        }
    }

    TimeSpan Age
    {
        get
        {
            lock (_lock)
            {
                if (_isCurrent) return TimeSpan.Zero;
                // A clock that went back does not make a list of the future.
                var age = _time.GetUtcNow() - _confirmed;
                return age > TimeSpan.Zero ? age : TimeSpan.Zero;
            }
        }
    }

    /// <summary>Step 3.</summary>
    void Receive(WatchGuestsResponse list)
    {
        lock (_lock)
        {
            _refused = null;
            var problem = GuestListing.Decode(list, out var guests) ?? Take(list.Generation, guests);
            if (problem is null)
            {
                _lists.Add(1, Outcome("accepted"));
                Accepted(list.Generation, guests);
                return;
            }

            _lists.Add(1, Outcome("refused"));
            if (_isCurrent) _confirmed = _time.GetUtcNow();
            _isCurrent = false;
            if (guests.Count > 0) _refused = (list.Generation, guests);
            if (problem != _refusal && _refusedLog.MayLog(_time, out _)) LogRefused(list.Generation, problem);
            _refusal = problem;
        }
    }

    void TakeRefused()
    {
        lock (_lock)
        {
            if (_refused is not var (generation, guests) || Take(generation, guests) is not null) return;
            _refused = null;
            Accepted(generation, guests);
        }
    }

    /// <summary>The sensor no longer says whether the list is right.</summary>
    void Lose()
    {
        lock (_lock)
        {
            if (_isCurrent) _confirmed = _time.GetUtcNow();
            _isCurrent = false;
            _refused = null;
        }
    }

    void Accepted(ulong generation, IReadOnlyList<GuestEntry> guests)
    {
        (_isCurrent, _refusal, _confirmed) = (true, null, _time.GetUtcNow());
        if (_takenLog.MayLog(_time, out _)) LogTaken(guests.Count, generation);
        try
        {
            _kept.Write(generation, _confirmed, guests);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogNotKept(_kept.Path, e.Message);
        }
    }

    /// <summary>Puts guests in force.</summary>
    /// <returns>What is wrong with them; then nothing has changed.</returns>
    string? Take(ulong generation, IReadOnlyList<GuestEntry> guests)
    {
        var problems = _registry.Replace(GuestSource.Sensor, [.. guests.Select(guest => GuestOptions.Of(guest, _options))]);
        if (problems.Count == 0)
        {
            lock (_lock) (_generation, _count) = (generation, guests.Count);
            return null;
        }

        // Whoever sends a list of 4,096 wrong names must not fill the log.
        var told = string.Join("; ", problems.Take(ProblemsToldMax).Select(Printable));
        return problems.Count > ProblemsToldMax ? $"{told}; and {problems.Count - ProblemsToldMax} more" : told;
    }

    static string Printable(string problem)
    {
        var text = problem.Length <= 300 ? problem : problem[..300] + "…";
        return text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? '?' : c)) : text;
    }

    IEnumerable<Measurement<T>> Known<T>(Func<T> value)
        where T : struct
    {
        lock (_lock) return _generation is null ? [] : [new Measurement<T>(value())];
    }

    static KeyValuePair<string, object?> Outcome(string outcome) => new("outcome", outcome);

    [LoggerMessage(4411, LogLevel.Information, "The sensor names {Count} guests of this node, generation {Generation}", EventName = "SensorRegistryTaken")]
    partial void LogTaken(int count, ulong generation);

    [LoggerMessage(
        4412, LogLevel.Error, "The sensor's list of guests, generation {Generation}, is refused and the one before stays: {Problem}", EventName = "SensorRegistryRefused")]
    partial void LogRefused(ulong generation, string problem);

    [LoggerMessage(
        4413, LogLevel.Warning, "Cannot follow the sensor's list of guests, the {Count} of the last one stay: {Problem}", EventName = "SensorRegistryLost")]
    partial void LogNotFollowing(string problem, int count);

    [LoggerMessage(
        4414, LogLevel.Information, "Until the sensor sends another, its list of {Count} guests of {Received:yyyy-MM-ddTHH:mm:ss}Z is used, which is {Age} old",
        EventName = "SensorRegistryKept")]
    partial void LogKept(int count, DateTimeOffset received, TimeSpan age);

    [LoggerMessage(4415, LogLevel.Error, "The list of guests that was kept in {Path} is not used: {Problem}", EventName = "SensorRegistryKeptRefused")]
    partial void LogKeptRefused(string path, string problem);

    [LoggerMessage(
        4416, LogLevel.Error, "The sensor's list of guests cannot be kept in {Path}; a start without the sensor would have the one before: {Problem}",
        EventName = "SensorRegistryNotKept")]
    partial void LogNotKept(string path, string problem);
}
