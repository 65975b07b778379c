using Dapper;
using Guestmark.Events;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Storage;

/// <summary>
/// Forgets what nobody asks for any more: machines that were deleted longer ago than <see cref="CentralOptions.DeletedMachineRetention"/>,
/// with all that only they had, events about channels older than <see cref="CentralOptions.EventRetention"/>, and streams that ended.
/// </summary>
sealed partial class StoreRetention(
    CentralStore store, CentralOptions options, CentralMetrics metrics, TimeProvider time, ILogger<StoreRetention> logger) : BackgroundService
{
    /// <summary>How long a stream may stand still before its place is forgotten.</summary>
    /// <remarks>
    /// Nothing becomes visible twice: a stream stays while any report or event of it is kept, and a lifecycle event that comes again states what it
    /// stated before. An event can come again only from a sender that was stopped between Central's commit and its own receipt of the
    /// acknowledgement, because a sender that runs repeats within seconds; 90 days are three times as long as a deleted machine is kept by
    /// default, so such a node has been replaced. A node that really goes on after 90 silent days with nothing kept of it is counted
    /// as a gap: said too often rather than too seldom.
    /// </remarks>
    public static readonly TimeSpan StreamRetention = TimeSpan.FromDays(90);

    static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    /// <summary>Machines in one transaction, for which ingest waits.</summary>
    const int BatchSize = 16;

    const int StreamBatchSize = 1_000;
    const int EventBatchSize = 1_000;

    /// <returns>How many machines were forgotten.</returns>
    public async Task<int> ForgetMachinesAsync(CancellationToken cancellationToken)
    {
        var before = (time.GetUtcNow() - options.DeletedMachineRetention).ToUnixTimeMilliseconds();
        return await InBatchesAsync(
            connection =>
            {
                var machines = connection.Query<long>(
                    "SELECT id FROM machines WHERE state = @deleted AND state_at < @before AND coalesce(last_report, 0) < @before LIMIT @limit",
                    new { deleted = (int)VmState.Deleted, before, limit = BatchSize }).ToList();
                foreach (var machine in machines)
                {
                    var sets = connection.Query<long>(
                        "SELECT set_id FROM reports WHERE machine_id = @machine UNION SELECT set_id FROM machines WHERE id = @machine AND set_id IS NOT NULL",
                        new { machine }).ToList();
                    connection.Execute("DELETE FROM machines WHERE id = @machine", new { machine });
                    PackageSets.DeleteUnused(connection, sets);
                }

                return machines.Count;
            },
            cancellationToken);
    }

    /// <returns>How many events about channels were deleted.</returns>
    public async Task<int> ForgetEventsAsync(CancellationToken cancellationToken)
    {
        var before = (time.GetUtcNow() - options.EventRetention).ToUnixTimeMilliseconds();
        return await InBatchesAsync(
            connection => connection.Execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE stored < @before ORDER BY stored, id LIMIT @limit)",
                new { before, limit = EventBatchSize }),
            cancellationToken,
            count => metrics.Deleted("age", count));
    }

    /// <returns>How many streams were forgotten.</returns>
    public async Task<int> ForgetStreamsAsync(CancellationToken cancellationToken)
    {
        var before = (time.GetUtcNow() - StreamRetention).ToUnixTimeMilliseconds();
        return await InBatchesAsync(
            connection => connection.Execute(
                """
                DELETE FROM streams WHERE id IN (
                  SELECT id FROM streams s WHERE moved_at < @before AND NOT EXISTS (SELECT 1 FROM reports WHERE stream_id = s.id)
                    AND NOT EXISTS (SELECT 1 FROM events WHERE stream_id = s.id) LIMIT @limit)
                """,
                new { before, limit = StreamBatchSize }),
            cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                var machines = await ForgetMachinesAsync(stoppingToken);
                var events = await ForgetEventsAsync(stoppingToken);
                var streams = await ForgetStreamsAsync(stoppingToken);
                if (machines + events + streams > 0) LogForgotten(machines, events, streams);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogFailed(e, Interval);
            }

            await Task.Delay(Interval, time, stoppingToken);
        }
    }

    /// <summary>Repeats a transaction until it finds nothing more; ingest can go on between two.</summary>
    /// <param name="committed">Told how much each transaction did.</param>
    async Task<int> InBatchesAsync(Func<SqliteConnection, int> body, CancellationToken cancellationToken, Action<int>? committed = null)
    {
        var total = 0;
        while (true)
        {
            var batch = await store.WriteAsync(body, cancellationToken);
            if (batch == 0) return total;
            committed?.Invoke(batch);
            total += batch;
        }
    }

    [LoggerMessage(6201, LogLevel.Information, "{Machines} machines that were deleted long ago, {Events} old events and {Streams} streams that ended are forgotten", EventName = "Forgotten")]
    partial void LogForgotten(int machines, int events, int streams);

    [LoggerMessage(6202, LogLevel.Error, "What is out of date could not be forgotten; the next attempt is in {Interval}", EventName = "RetentionFailed")]
    partial void LogFailed(Exception e, TimeSpan interval);
}
