using Guestmark.Agent.RepositoryMapping;
using Guestmark.Inventory;

namespace Guestmark.Agent.Serving;

/// <summary>Keeps the report current: scans at the start, after each interval, and whenever it is asked to.</summary>
/// <param name="scan">Scans with the mapping file that it is given, which is null when there is none.</param>
/// <param name="fingerprint">The state of what a scan with that mapping file reads: while it stays, nothing is read again.</param>
/// <param name="encode">Encodes a <c>scanner.v4.IndexReport</c>. The same inventory gives the same bytes.</param>
/// <param name="reports">Gets each report.</param>
/// <param name="mappings">The mapping in use.</param>
/// <param name="interval">Between the end of a scan and the beginning of the next.</param>
/// <param name="note">Is told what came of each scan.</param>
sealed class Rescans(
    Func<string?, CancellationToken, GuestInventory> scan,
    Func<string?, InventoryFingerprint> fingerprint,
    Func<GuestInventory, ReadOnlyMemory<byte>> encode,
    ReportSource reports,
    MappingStore mappings,
    TimeSpan interval,
    TimeProvider time,
    Action<string> note) : IDisposable
{
    // A scan fails because a file system is not mounted yet, or the disk is broken: soon again, and then ever more rarely.
    static readonly TimeSpan RetryMin = TimeSpan.FromMinutes(2);
    static readonly TimeSpan RetryMax = TimeSpan.FromMinutes(30);

    // One is enough: whoever asks while a scan is under way gets a scan that begins later.
    readonly SemaphoreSlim _asked = new(0, 1);

    InventoryFingerprint? _read;

    /// <summary>Asks for a scan now.</summary>
    public void Request()
    {
        try
        {
            _asked.Release();
        }
        catch (SemaphoreFullException)
        {
            // Somebody has asked already.
        }
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var retry = RetryMin;
        while (true)
        {
            var wait = interval;
            // Whoever asked until now gets what they asked for by the scan that begins here.
            _asked.Wait(0, CancellationToken.None);
            var isDone = Scan(cancellationToken);
            // What a scan leaves behind, and a mapping before it, would otherwise stay in memory until the next, hours later.
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            if (isDone)
            {
                retry = RetryMin;
            }
            else
            {
                if (retry < wait) wait = retry;
                retry = retry * 2 < RetryMax ? retry * 2 : RetryMax;
            }

            using var due = new CancellationTokenSource(wait, time);
            using var waiting = CancellationTokenSource.CreateLinkedTokenSource(due.Token, cancellationToken);
            try
            {
                await _asked.WaitAsync(waiting.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // Due.
            }
        }
    }

    public void Dispose() => _asked.Dispose();

    /// <returns>False when there is no report to be had.</returns>
    bool Scan(CancellationToken cancellationToken)
    {
        var mapping = mappings.Current;
        var now = fingerprint(mapping?.Path);
        if (_read is not null && now.IsUnchangedSince(_read)) return true;
        _read = null;
        GuestInventory inventory;
        try
        {
            inventory = scan(mapping?.Path, cancellationToken);
        }
        catch (CommandLine.CommandException e)
        {
            return Fail(e.Message);
        }

        // Nothing but problems is no inventory: better the last one, which says when it was made.
        if (inventory.Packages.Count == 0 && inventory.Problems.Count > 0)
            return Fail($"{inventory.Problems[0].Path}: {inventory.Problems[0].Message}");
        _read = now;
        var isNew = reports.Publish(encode(inventory), HostFactNames.Of(inventory), mapping?.Hash, time.GetUtcNow());
        var generation = reports.Current!.Generation;
        note($"scanned: {inventory.Packages.Count} packages of {inventory.Os}, {(isNew ? "generation" : "unchanged, still generation")} {generation}");
        foreach (var problem in inventory.Problems) note($"{problem.Path}: {problem.Message}");
        return true;
    }

    bool Fail(string message)
    {
        reports.Fail(message, time.GetUtcNow());
        note($"the scan failed: {message}");
        return false;
    }
}
