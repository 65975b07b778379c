using System.Threading.Channels;
using Guestmark.Central.Storage;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Findings;

/// <summary>
/// Keeps the findings of every distinct package equal to a match from scratch against the advisory database in use. Each package
/// remembers what it was matched with (<see cref="Matcher.RevisionOf"/>); those with another revision are matched in batches, whenever
/// packages arrive or the database is replaced. Machines cost nothing: they have the findings of their packages.
/// </summary>
/// <remarks>
/// A package that the matcher throws on is marked as failed, which its machines show, and keeps the findings it had. It is tried again with
/// the next revision, or by the next process, and keeps no other from being matched.
/// </remarks>
public sealed partial class PackageMatching : BackgroundService
{
    /// <summary>Packages that are read at a time.</summary>
    const int BatchSize = 256;

    /// <summary>Package sets that are counted in one transaction, for which ingest waits.</summary>
    const int SetBatchSize = 16;

    static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(10);

    readonly FindingStore _findings;
    readonly Func<AdvisoryDatabase, MatchPackage> _matcherOf;
    readonly CentralMetrics _metrics;
    readonly TimeProvider _time;
    readonly ILogger<PackageMatching> _logger;
    readonly SemaphoreSlim _matching = new(1, 1);
    readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    volatile AdvisoryDatabase? _database;
    bool _failedAreReleased;

    public PackageMatching(CentralStore store, CentralMetrics metrics, TimeProvider time, ILogger<PackageMatching> logger)
        : this(store, metrics, time, logger, database => new Matcher(database).Match)
    {
    }

    /// <summary>With other matching than <see cref="Matcher"/>'s, such as one that fails.</summary>
    internal PackageMatching(
        CentralStore store, CentralMetrics metrics, TimeProvider time, ILogger<PackageMatching> logger, Func<AdvisoryDatabase, MatchPackage> matcherOf)
    {
        _matcherOf = matcherOf;
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
        // One at a time: a second one would do the same work, and could release failures that this one has just found.
        await _matching.WaitAsync(cancellationToken);
        try
        {
            await MatchUntilDoneAsync(cancellationToken);
        }
        finally
        {
            _matching.Release();
        }
    }

    public override void Dispose()
    {
        _matching.Dispose();
        base.Dispose();
    }

    async Task MatchUntilDoneAsync(CancellationToken cancellationToken)
    {
        while (_database is { } database)
        {
            if (!_failedAreReleased)
            {
                await _findings.ReleaseFailedAsync(cancellationToken);
                _failedAreReleased = true;
            }

            var revision = Matcher.RevisionOf(database);
            var pending = await _findings.PendingPackagesAsync(revision, BatchSize, cancellationToken);
            if (pending.Count > 0)
            {
                await MatchAsync(database, revision, pending, cancellationToken);
            }
            else if (await _findings.CountSetsAsync(revision, _time.GetUtcNow(), SetBatchSize, cancellationToken) == 0
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

    async Task MatchAsync(AdvisoryDatabase database, string revision, List<PendingPackage> pending, CancellationToken cancellationToken)
    {
        var match = _matcherOf(database);
        var matched = new List<MatchedPackage>(pending.Count);
        var (findingCount, failed) = (0, 0);
        foreach (var (id, os, package) in pending)
        {
            try
            {
                var findings = new List<Finding>();
                match(os, package, findings);
                matched.Add(new MatchedPackage(id, MatchedFinding.Of(findings)));
                findingCount += findings.Count;
            }
            catch (Exception e)
            {
                matched.Add(new MatchedPackage(id, null));
                // One of a batch is enough to see what is wrong: a defect may be met by every package.
                if (failed++ == 0) LogPackageFailed(e, id);
            }

            // Memory is bounded in findings too: 256 packages may have a million.
            if (findingCount >= FindingStore.FindingsPerTransactionMax) await StoreAsync();
        }

        await StoreAsync();

        async Task StoreAsync()
        {
            await _findings.StoreAsync(revision, matched, cancellationToken);
            _metrics.Matched(matched.Count - failed, failed, findingCount);
            if (failed > 0) LogPackagesFailed(failed, matched.Count);
            matched.Clear();
            (findingCount, failed) = (0, 0);
        }
    }

    [LoggerMessage(6101, LogLevel.Error, "Matching failed and is tried again in {Delay}", EventName = "MatchingFailed")]
    partial void LogFailed(Exception e, TimeSpan delay);

    [LoggerMessage(6102, LogLevel.Error, "Package {PackageId} could not be matched", EventName = "PackageMatchingFailed")]
    partial void LogPackageFailed(Exception e, long packageId);

    [LoggerMessage(6103, LogLevel.Error,
        "{Failed} of {Packages} packages could not be matched: their machines show the matching state 'failed' until the next revision or restart",
        EventName = "PackagesMatchingFailed")]
    partial void LogPackagesFailed(int failed, int packages);
}

/// <summary>Adds what applies to a package to its findings: <see cref="Matcher.Match"/>.</summary>
delegate void MatchPackage(OsRelease os, Package package, ICollection<Finding> findings);
