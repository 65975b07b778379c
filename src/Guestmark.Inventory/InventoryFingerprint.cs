namespace Guestmark.Inventory;

/// <summary>
/// The state of all files that decide what a scan gives: taking it costs some hundred system calls and reads no file, so that an
/// unchanged machine is not read again.
/// </summary>
public sealed class InventoryFingerprint
{
    // A file may change twice within one tick of the file system's clock and keep its size; ticks are 1 to 10 ms.
    static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(100);

    // Of folders with more, what their own state tells must do: they change when a file is made, replaced or removed.
    const int FolderEntriesMax = 512;

    readonly List<FileStatus?> _states;
    readonly List<string> _names;
    readonly DateTimeOffset _takenAt;
    readonly bool _isWhole;

    InventoryFingerprint(List<FileStatus?> states, List<string> names, DateTimeOffset takenAt, bool isWhole)
    {
        _states = states;
        _names = names;
        _takenAt = takenAt;
        _isWhole = isWhole;
    }

    /// <summary>The state of the machine at <paramref name="options"/>.HostPath now. Take it before the scan whose result it stands for.</summary>
    public static InventoryFingerprint Take(InventoryScanOptions options, TimeProvider time)
    {
        var takenAt = time.GetUtcNow();
        var states = new List<FileStatus?>();
        var names = new List<string>();
        if (GuestRoot.TryOpen(options.HostPath, out var opened) is null)
        {
            using var root = opened!;
            foreach (var path in InventoryScanner.Paths) Add(root, path, states);
            foreach (var path in InventoryScanner.ListedFolders)
            {
                if (root.TryList(path, out var folders, foldersOnly: true) is not null || folders is null) continue;
                names.Add("/" + path);
                names.AddRange(folders);
            }
        }

        if (options.RepositoryToCpePath is { } mapping && GuestRoot.TryOpen("/", out var own) is null)
        {
            using (own) Add(own!, Path.GetFullPath(mapping), states);
        }

        // Languages have no database whose state could tell.
        return new InventoryFingerprint(states, names, takenAt, isWhole: !options.Languages);
    }

    static void Add(GuestRoot root, string path, List<FileStatus?> states)
    {
        var state = root.StatusOf(path);
        states.Add(state);
        if (state is not { IsFolder: true } || root.TryList(path, out var names) is not null || names is null || names.Count > FolderEntriesMax) return;
        foreach (var name in names) states.Add(root.StatusOf(path + "/" + name));
    }

    /// <summary>Whether a scan now would give what one gave when <paramref name="earlier"/> was taken.</summary>
    public bool IsUnchangedSince(InventoryFingerprint earlier)
    {
        if (!_isWhole || !_states.SequenceEqual(earlier._states) || !_names.SequenceEqual(earlier._names)) return false;
        var newest = long.MinValue;
        foreach (var state in _states) newest = Math.Max(newest, state?.ModifiedMilliseconds ?? long.MinValue);
        return newest < earlier._takenAt.ToUnixTimeMilliseconds() - Tick.TotalMilliseconds;
    }
}
