using System.Diagnostics.Metrics;
using Guestmark.Rpc;
using Guestmark.Rpc.Guests;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Sensor;

/// <summary>Tells each node who its guests are, from <see cref="SensorOptions.GuestsFile"/>.</summary>
public sealed partial class SensorGuests : IHostedService, IDisposable
{
    static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(10);

    readonly GuestLists _lists;
    readonly GuestFile? _file;
    readonly IHostApplicationLifetime _lifetime;
    readonly TimeProvider _time;
    readonly ILogger<SensorGuests> _logger;
    readonly UpDownCounter<long> _followers;
    readonly Counter<long> _refused;
    readonly Lock _logLock = new();
    long? _loggedAt;

    public SensorGuests(
        SensorOptions options, GuestLists lists, IHostApplicationLifetime lifetime, IMeterFactory meters, TimeProvider time, ILogger<SensorGuests> logger,
        ILogger<GuestFile> fileLogger)
    {
        _lists = lists;
        _lifetime = lifetime;
        _time = time;
        _logger = logger;
        if (options.GuestsFile is { } path) _file = new GuestFile(path, lists.Replace, time, fileLogger);
        var meter = meters.Create("Guestmark.Sensor");
        _followers = meter.CreateUpDownCounter<long>("guestmark.sensor.registry.followers", "{node}", "Nodes that follow the list of their guests.");
        _refused = meter.CreateCounter<long>("guestmark.sensor.registry.refused", "{call}", "Calls for a node's guests by somebody whose certificate is not that node's.");
        meter.CreateObservableGauge("guestmark.sensor.registry.guests", () => lists.Count, "{guest}", "Guests of all nodes that are known.");
        _followers.Add(0);
        _refused.Add(0);
    }

    /// <summary>What is wrong with the file as it is now; null while its guests are in force, or there is none.</summary>
    public string? Problem => _file?.Problem;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _file?.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    public void Dispose() => _file?.Dispose();

    /// <summary>Answers <c>guestmark.v1.GuestRegistry/Watch</c>: the list, and each list after it, until the node or this sensor ends the call.</summary>
    internal async Task AnswerAsync(WatchGuestsRequest request, RpcResponseStream<WatchGuestsResponse> responses, RpcServerCall call)
    {
        if (!GuestEntry.IsName(request.Node)) throw new RpcException(RpcStatusCode.InvalidArgument, "node: a name has 1 to 63 letters, digits, '-', '_' or '.'");
        if (!call.PeerHasName(request.Node))
        {
            _refused.Add(1);
            if (MayLog()) LogStranger(call.PeerName, request.Node);
            throw new RpcException(
                RpcStatusCode.PermissionDenied, $"your certificate is for '{call.PeerName}', and the guests of '{request.Node}' are that node's to know: its certificate must carry its name");
        }

        using var ending = CancellationTokenSource.CreateLinkedTokenSource(call.CancellationToken, _lifetime.ApplicationStopping);
        _followers.Add(1);
        try
        {
            ulong told = 0;
            while (true)
            {
                var (list, changed) = _lists.Of(request.Node);
                if (list is null) throw new RpcException(RpcStatusCode.FailedPrecondition, "this sensor was given no list of guests (--guests)");
                if (list.Generation != told) await responses.WriteAsync(list, ending.Token);
                told = list.Generation;
                await changed.WaitAsync(ending.Token);
            }
        }
        catch (OperationCanceledException) when (_lifetime.ApplicationStopping.IsCancellationRequested)
        {
            throw new RpcException(RpcStatusCode.Unavailable, "the sensor stops");
        }
        finally
        {
            _followers.Add(-1);
        }
    }

    bool MayLog()
    {
        lock (_logLock)
        {
            var now = _time.GetTimestamp();
            if (_loggedAt is { } last && _time.GetElapsedTime(last, now) < LogInterval) return false;
            _loggedAt = now;
            return true;
        }
    }

    [LoggerMessage(5001, LogLevel.Warning, "'{Peer}' asked for the guests of node '{Node}', whose certificate it does not have, and was refused", EventName = "GuestsRefused")]
    partial void LogStranger(string peer, string node);
}
