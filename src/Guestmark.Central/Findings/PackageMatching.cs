using System.Threading.Channels;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Findings;

/// <summary>
/// Keeps the findings of every distinct package equal to a match from scratch against the advisory database in use. Each package
/// remembers the revision it was matched with; those with another one are matched in batches, whenever packages arrive or the
/// database is replaced. Machines cost nothing: they have the findings of their packages.
/// </summary>
public sealed partial class PackageMatching : BackgroundService
{
    /// <summary>Packages in one transaction: some milliseconds, for which ingest waits.</summary>
    const int BatchSize = 256;

    static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(10);

    readonly FindingStore _findings;
    readonly CentralMetrics _metrics;
    readonly TimeProvider _time;
    readonly ILogger<PackageMatching> _logger;
    readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    volatile AdvisoryDatabase? _database;

    public PackageMatching(CentralStore store, CentralMetrics metrics, TimeProvider time, ILogger<PackageMatching> logger)
    {
        _findings = new FindingStore(store);
        _metrics = metrics;
        _time = time;
        _logger = logger;
    }

    /// <summary>
    /// The database in use. Null until the first <see cref="UseDatabase"/>; until then nothing is matched and findings stay as stored.
    /// </summary>
    public AdvisoryDatabase? Database => _database;

    /// <summary>
    /// Matches against <paramref name="database"/> from now on. Packages that were matched with the same revision are left alone, so a
    /// restart with the same database costs nothing. The previous one is not disposed of: requests may still read it.
    /// </summary>
    public void UseDatabase(AdvisoryDatabase database)
    {
        _database = database;
        Wake();
    }

    /// <summary>Says that packages may have arrived.</summary>
    public void Wake() => _wake.Writer.TryWrite(true);

    /// <summary>Matches until nothing is left to do with the database in use.</summary>
    public async Task MatchPendingAsync(CancellationToken cancellationToken)
    {
        while (_database is { } database)
        {
            var pending = await _findings.PendingPackagesAsync(database.Revision, BatchSize, cancellationToken);
            if (pending.Count > 0)
            {
                await MatchAsync(database, pending, cancellationToken);
            }
            else if (await _findings.CountSetsAsync(database.Revision, _time.GetUtcNow(), BatchSize, cancellationToken) == 0
                && ReferenceEquals(database, _database))
            {
                return;
            }
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await _wake.Reader.ReadAsync(stoppingToken);
            try
            {
                await MatchPendingAsync(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogFailed(e, RetryDelay);
                await Task.Delay(RetryDelay, _time, stoppingToken);
                Wake();
            }
        }
    }

    async Task MatchAsync(AdvisoryDatabase database, List<PendingPackage> pending, CancellationToken cancellationToken)
    {
        var matcher = new Matcher(database);
        var matched = new List<MatchedPackage>(pending.Count);
        var failed = 0;
        foreach (var (id, os, package) in pending)
        {
            var findings = new List<Finding>();
            try
            {
                matcher.Match(os, package, findings);
            }
            catch (Exception e)
            {
                // One package that the matcher cannot cope with must not keep all others from being matched.
                LogPackageFailed(e, id);
                findings.Clear();
                failed++;
            }

            matched.Add(new MatchedPackage(id, findings));
        }

        await _findings.StoreAsync(database.Revision, matched, cancellationToken);
        _metrics.Matched(matched.Count, failed, matched.Sum(m => m.Findings.Count));
    }

    [LoggerMessage(6101, LogLevel.Error, "Matching failed and is tried again in {Delay}", EventName = "MatchingFailed")]
    partial void LogFailed(Exception e, TimeSpan delay);

    [LoggerMessage(6102, LogLevel.Error, "Package {PackageId} could not be matched and shows no findings", EventName = "PackageMatchingFailed")]
    partial void LogPackageFailed(Exception e, long packageId);
}

/// <summary>A distinct package whose findings are not those of the database in use.</summary>
sealed record PendingPackage(long Id, OsRelease Os, Package Package);

sealed record MatchedPackage(long Id, IReadOnlyList<Finding> Findings);
