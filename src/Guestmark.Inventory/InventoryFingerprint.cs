namespace Guestmark.Inventory;

/// <summary>
/// The state of all files that decide what a scan gives: taking it costs some hundred system calls and reads no file, so that an
/// unchanged machine is not read again.
/// </summary>
public sealed class InventoryFingerprint
{
    // A file may change twice within one tick of the file system's clock and keep its size; ticks are 1 to 10 ms.
    static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(100);

    readonly FileStatus?[] _states;
    readonly DateTimeOffset _takenAt;

    InventoryFingerprint(FileStatus?[] states, DateTimeOffset takenAt)
    {
        _states = states;
        _takenAt = takenAt;
    }

    /// <summary>The state of the machine at <paramref name="options"/>.HostPath now. Take it before the scan whose result it stands for.</summary>
    public static InventoryFingerprint Take(InventoryScanOptions options, TimeProvider time)
    {
        var takenAt = time.GetUtcNow();
        var paths = InventoryScanner.Paths;
        var states = new FileStatus?[paths.Count + 1];
        if (GuestRoot.TryOpen(options.HostPath, out var opened) is not null) return new InventoryFingerprint(states, takenAt);
        using var root = opened!;
        for (var i = 0; i < paths.Count; i++) states[i] = root.StatusOf(paths[i]);
        if (options.RepositoryToCpePath is { } mapping && GuestRoot.TryOpen("/", out var own) is null)
        {
            using (own) states[^1] = own!.StatusOf(Path.GetFullPath(mapping));
        }

        return new InventoryFingerprint(states, takenAt);
    }

    /// <summary>Whether a scan now would give what one gave when <paramref name="earlier"/> was taken.</summary>
    public bool IsUnchangedSince(InventoryFingerprint earlier)
    {
        if (!_states.AsSpan().SequenceEqual(earlier._states)) return false;
        var newest = long.MinValue;
        foreach (var state in _states) newest = Math.Max(newest, state?.ModifiedMilliseconds ?? long.MinValue);
        return newest < earlier._takenAt.ToUnixTimeMilliseconds() - Tick.TotalMilliseconds;
    }
}
