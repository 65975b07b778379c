using Guestmark.Vulnerabilities;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Findings;

/// <summary>
/// Takes the advisory database in Central's data folder into use when <c>guestmark vulndb import</c> has replaced it. A file that cannot be read
/// is said once and left: the one in use stays.
/// </summary>
/// <remarks>Polls, because a folder may be on a file system that tells nobody of changes. Every replacement is another file with its own times.</remarks>
sealed partial class DatabaseWatch(CentralOptions options, PackageMatching matching, TimeProvider time, ILogger<DatabaseWatch> logger) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    (long Length, DateTime Written, DateTime Created)? _seen;

    /// <summary>Looks once.</summary>
    /// <returns>Whether another database was taken into use.</returns>
    public bool Look()
    {
        var file = new FileInfo(options.AdvisoryDatabasePath);
        // Nobody deletes it on purpose: what is in use stays.
        if (!file.Exists) return false;
        var identity = (file.Length, file.LastWriteTimeUtc, file.CreationTimeUtc);
        if (identity == _seen) return false;
        _seen = identity;
        try
        {
            var database = AdvisoryDatabase.Open(file.FullName);
            matching.UseDatabase(database);
            LogTaken(database.AdvisoryCount, file.FullName);
            return true;
        }
        catch (AdvisoryDatabaseException e)
        {
            LogUnreadable(e.Message);
            return false;
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        do
        {
            try
            {
                Look();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                LogUnreadable(e.Message);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    [LoggerMessage(6111, LogLevel.Information, "{Advisories} advisories of '{Path}' are in use", EventName = "DatabaseTaken")]
    partial void LogTaken(int advisories, string path);

    [LoggerMessage(6112, LogLevel.Error, "The advisory database cannot be used, and the one in use stays: {Reason}", EventName = "DatabaseUnreadable")]
    partial void LogUnreadable(string reason);
}
