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
/// <para>When a database takes the place of another, only the packages whose names it says something else about are matched again
/// (<see cref="AdvisoryDatabase.ChangedNames"/>); all others take its revision at once. All are matched again when this process has not
/// used the one before, or when the products of Red Hat are others: which of them are asked about a package depends on which there are.</para>
/// <para>
/// A package that the matcher throws on is marked as failed, which its machines show, and keeps the findings it had. It is tried again with
/// the next revision, or by the next process, and keeps no other from being matched. A package with more than
/// <see cref="FindingsPerPackageMax"/> findings counts as one, and a set with more than <see cref="FindingsPerSetMax"/> is left there: a
/// guest can make up a report of 20,000 versions of the kernel, which have 2 million findings. For the same reason the sets take
/// turns, a batch each, the smallest first.</para>
/// </remarks>
public sealed partial class PackageMatching : BackgroundService
{
    /// <summary>The packages of the Debian and AlmaLinux kernels have 102 to 1,500.</summary>
    internal const int FindingsPerPackageMax = 5_000;

    /// <summary>A hundred times what a server of five years ago has. The package that goes over it is the last that is matched for its set.</summary>
    internal const int FindingsPerSetMax = 200_000;

    /// <summary>Packages of one set that are matched at a time: of the costliest in half a second, for which the other sets wait.</summary>
    const int BatchSize = 64;

    /// <summary>Sets that take turns.</summary>
    const int TurnsMax = 64;

    /// <summary>Package sets that are counted in one transaction, for which ingest waits.</summary>
    const int SetBatchSize = 64;

    /// <summary>Packages that a new database concerns and that are matched at once, without looking for them set by set.</summary>
    const int ReleasedMax = 1_000;

    /// <summary>With more changed names than a fleet has, to match everything costs less than to look for them.</summary>
    const int ChangedNamesMax = 50_000;

    static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(10);

    readonly FindingStore _findings;
    readonly Func<AdvisoryDatabase, MatchPackage> _matcherOf;
    readonly CentralMetrics _metrics;
    readonly TimeProvider _time;
    readonly ILogger<PackageMatching> _logger;
    readonly SemaphoreSlim _matching = new(1, 1);
    readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    volatile DatabaseInUse? _inUse;
    bool _failedAreReleased;
    // What the loop matches with: behind what is in use until it has made the changed packages pending.
    AdvisoryDatabase? _taken;
    MatchPackage? _match;
    long _revision;

    public PackageMatching(CentralStore store, CentralMetrics metrics, TimeProvider time, ILogger<PackageMatching> logger)
        : this(store, metrics, time, logger, database =>
        {
            var matcher = new Matcher(database);
            return (os, package, findings) => matcher.Match(os, package, findings);
        })
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
    public AdvisoryDatabase? Database => _inUse?.Database;

    /// <summary>The database in use with the operator's decisions in it.</summary>
    internal DatabaseInUse? InUse => _inUse;

    /// <summary><see cref="FindingsPerSetMax"/>, or less where a test does not want to wait for as many.</summary>
    internal int FindingsPerSet { get; set; } = FindingsPerSetMax;

    /// <summary>
    /// Matches against <paramref name="database"/> from now on. Packages that were matched with the same revision are left alone, so a
    /// restart with the same database costs nothing. The previous one is not disposed of: requests may still read it.
    /// </summary>
    public void UseDatabase(AdvisoryDatabase database)
    {
        ArgumentNullException.ThrowIfNull(database);
        _inUse = new DatabaseInUse(database);
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
        var turns = new Dictionary<long, int>();
        while (Database is { } database)
        {
            if (!ReferenceEquals(database, _taken)) await TakeAsync(database, cancellationToken);
            var sets = await _findings.PendingSetsAsync(_revision, TurnsMax, cancellationToken);
            if (sets.Count == 0)
            {
                if (ReferenceEquals(database, Database)) return;
                continue;
            }

            // The first of those with the fewest turns is the smallest of them.
            var set = sets.MinBy(id => turns.GetValueOrDefault(id));
            turns[set] = turns.GetValueOrDefault(set) + 1;
            if (turns.Count > 2 * TurnsMax) turns = turns.Where(turn => sets.Contains(turn.Key)).ToDictionary();
            await MatchBatchAsync(set, database, _match!, cancellationToken);
        }
    }

    /// <summary>Makes pending what the database changes.</summary>
    async Task TakeAsync(AdvisoryDatabase database, CancellationToken cancellationToken)
    {
        var revision = Matcher.RevisionOf(database);
        var isOther = _taken is null || Matcher.RevisionOf(_taken) != revision;
        if (!_failedAreReleased || isOther)
        {
            await _findings.ReleaseFailedAsync(cancellationToken);
            _failedAreReleased = true;
        }

        IReadOnlyList<long> released = [];
        if (isOther)
        {
            // Packages are made pending before the revision moves: when this ends in between, they are matched again and nothing is missed.
            if (_taken is not null && ChangesFrom(_taken, database) is { } changed)
            {
                released = await _findings.ReleaseAsync(changed, cancellationToken);
                await _findings.AdvanceAsync(_revision, revision, _time.GetUtcNow(), cancellationToken);
                LogChanged(changed.Count, released.Count);
            }
            else
            {
                _revision = await _findings.RevisionAsync(revision, _time.GetUtcNow(), cancellationToken);
            }
        }

        await _findings.UpdateScoresAsync(database, cancellationToken);
        _match = _matcherOf(database);
        _taken = database;

        // More than that is left to the sets' turns, as what one guest made up may be among it.
        if (released.Count > ReleasedMax) return;
        foreach (var batch in released.Chunk(BatchSize))
        {
            var pending = await _findings.PendingPackagesAsync(batch, cancellationToken);
            await MatchAsync(database, _match, pending, FindingsPerSet, cancellationToken);
        }
    }

    /// <returns>Null: everything may have changed.</returns>
    static IReadOnlyList<(string Product, string Name)>? ChangesFrom(AdvisoryDatabase previous, AdvisoryDatabase database)
    {
        if (!RedHatProducts(previous).SequenceEqual(RedHatProducts(database))) return null;
        var changed = database.ChangedNames(previous);
        return changed.Count > ChangedNamesMax ? null : changed;

        static IEnumerable<string> RedHatProducts(AdvisoryDatabase database) =>
            database.Products.Where(product => product.StartsWith("Red Hat:", StringComparison.Ordinal));
    }

    async Task MatchBatchAsync(long set, AdvisoryDatabase database, MatchPackage match, CancellationToken cancellationToken)
    {
        var revision = _revision;
        var pending = await _findings.PendingPackagesAsync(set, revision, BatchSize, cancellationToken);
        if (pending.Count > 0)
        {
            var left = FindingsPerSet - await _findings.FindingCountAsync(set, revision, cancellationToken);
            if (left >= 0)
            {
                await MatchAsync(database, match, pending, left, cancellationToken);
            }
            else
            {
                await _findings.CloseAsync(set, revision, _time.GetUtcNow(), cancellationToken);
                LogTooManyFindings(set, FindingsPerSet);
                return;
            }
        }

        // Only the last batch is short. All sets whose packages are matched are counted, which other sets may have had as well.
        if (pending.Count < BatchSize)
        {
            while (await _findings.CountSetsAsync(revision, _time.GetUtcNow(), SetBatchSize, cancellationToken) == SetBatchSize)
            {
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

    /// <summary>Matches packages until they have more than <paramref name="left"/> findings.</summary>
    async Task MatchAsync(AdvisoryDatabase database, MatchPackage match, List<PendingPackage> pending, long left, CancellationToken cancellationToken)
    {
        var matched = new List<MatchedPackage>(pending.Count);
        var (findingCount, failed) = (0, 0);
        foreach (var (id, os, package) in pending)
        {
            try
            {
                var findings = new List<Finding>();
                match(os, package, findings);
                if (findings.Count > FindingsPerPackageMax)
                    throw new InvalidOperationException($"{findings.Count} findings apply to the package, the limit is {FindingsPerPackageMax}");
                matched.Add(new MatchedPackage(id, package, MatchedFinding.Of(findings)));
                findingCount += findings.Count;
                left -= findings.Count;
            }
            catch (Exception e)
            {
                matched.Add(new MatchedPackage(id, package, null));
                // One of a batch is enough to see what is wrong: a defect may be met by every package.
                if (failed++ == 0) LogPackageFailed(e, id);
            }

            if (left < 0) break;
            // Memory is bounded in findings too: a batch of packages may have 320,000.
            if (findingCount >= FindingStore.FindingsPerTransactionMax) await StoreAsync();
        }

        await StoreAsync();

        async Task StoreAsync()
        {
            await _findings.StoreAsync(database, _revision, matched, cancellationToken);
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

    [LoggerMessage(6104, LogLevel.Warning,
        "Package set {SetId} has more than {Limit} findings: the rest of its packages is not matched, and its machines show the matching state 'failed'",
        EventName = "TooManyFindings")]
    partial void LogTooManyFindings(long setId, int limit);

    [LoggerMessage(6105, LogLevel.Information,
        "The advisory database changed for {Names} package names: {Packages} distinct packages are matched again", EventName = "DatabaseChanged")]
    partial void LogChanged(int names, int packages);

    [LoggerMessage(6103, LogLevel.Error,
        "{Failed} of {Packages} packages could not be matched: their machines show the matching state 'failed' until the next revision or restart",
        EventName = "PackagesMatchingFailed")]
    partial void LogPackagesFailed(int failed, int packages);
}

/// <summary>Adds what applies to a package to its findings: <see cref="Matcher.Match"/>.</summary>
delegate void MatchPackage(OsRelease os, Package package, ICollection<Finding> findings);
