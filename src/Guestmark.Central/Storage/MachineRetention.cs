using Dapper;
using Guestmark.Central.Ingest;
using Guestmark.Events;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Storage;

/// <summary>Forgets machines that were deleted longer ago than <see cref="CentralOptions.DeletedMachineRetention"/>, with all that only they had.</summary>
sealed partial class MachineRetention(CentralStore store, CentralOptions options, TimeProvider time, ILogger<MachineRetention> logger) : BackgroundService
{
    static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    /// <summary>Machines in one transaction, for which ingest waits.</summary>
    const int BatchSize = 16;

    /// <returns>How many machines were forgotten.</returns>
    public async Task<int> ForgetAsync(CancellationToken cancellationToken)
    {
        var before = (time.GetUtcNow() - options.DeletedMachineRetention).ToUnixTimeMilliseconds();
        var forgotten = 0;
        int batch;
        do
        {
            batch = await store.WriteAsync(
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
            forgotten += batch;
        }
        while (batch > 0);

        return forgotten;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            try
            {
                var forgotten = await ForgetAsync(stoppingToken);
                if (forgotten > 0) LogForgotten(forgotten);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogFailed(e, Interval);
            }

            await Task.Delay(Interval, time, stoppingToken);
        }
    }

    [LoggerMessage(6201, LogLevel.Information, "{Machines} machines that were deleted long ago are forgotten", EventName = "MachinesForgotten")]
    partial void LogForgotten(int machines);

    [LoggerMessage(6202, LogLevel.Error, "Deleted machines could not be forgotten; the next attempt is in {Interval}", EventName = "RetentionFailed")]
    partial void LogFailed(Exception e, TimeSpan interval);
}
