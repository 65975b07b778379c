using Microsoft.Win32.SafeHandles;

namespace Guestmark.Inventory;

/// <summary>The folders in which a change may change what a scan gives.</summary>
public static class WatchedFolders
{
    /// <summary>Opens each of them that is there, as the guest would walk to it: a link never leads out of the machine at <paramref name="hostPath"/>.</summary>
    /// <param name="visit">Gets the open folder, closed afterwards, and whether it is only above one that matters: there it counts what is made, moved and removed.</param>
    public static void Visit(string hostPath, Action<SafeFileHandle, bool> visit)
    {
        if (GuestRoot.TryOpen(hostPath, out var opened) is not null) return;
        using var root = opened!;
        var folders = new Dictionary<string, bool>();
        foreach (var path in InventoryScanner.Paths)
        {
            // A path is a folder of files itself, or a file that is replaced in its folder.
            folders[path] = false;
            folders[Above(path)] = false;
            for (var above = Above(Above(path)); ; above = Above(above))
            {
                folders.TryAdd(above, true);
                if (above.Length == 0) break;
            }
        }

        foreach (var (path, isAbove) in folders)
        {
            if (root.TryOpenFolder(path, out var folder) is not null || folder is null) continue;
            using (folder) visit(folder.Handle, isAbove);
        }
    }

    static string Above(string path) => path.LastIndexOf('/') is >= 0 and var end ? path[..end] : "";
}
