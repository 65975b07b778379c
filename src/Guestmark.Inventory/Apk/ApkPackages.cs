namespace Guestmark.Inventory.Apk;

/// <summary>Reads the packages that apk has installed.</summary>
static class ApkPackages
{
    // Alpine before and after 3.23, which moved it for the merged /usr; the other name may be a link.
    public static readonly string[] DatabaseFiles = ["usr/lib/apk/db/installed", "lib/apk/db/installed"];

    /// <summary>What is read of a database at most. A desktop's has about 20 MB.</summary>
    public const long DatabaseBytesMax = 256 * 1024 * 1024;

    public static void Read(InventoryScan scan)
    {
        (ulong Device, ulong Inode)? read = null;
        foreach (var path in DatabaseFiles)
        {
            var failures = scan.Problems.Count;
            if (!scan.TryOpen(path, out var opened))
            {
                if (scan.Problems.Count > failures) scan.Databases++;
                continue;
            }

            using var file = opened!;
            var identity = (file.OpenedAs.Device, file.OpenedAs.Inode);
            if (read == identity) continue;
            read = identity;
            scan.Databases++;
            try
            {
                var problems = ApkInstalled.Read(file, path, scan.Files, scan.Packages, new FileLines(scan.Cancellation), new TextPool());
                foreach (var problem in problems) scan.AddProblem(path, problem + ". Run again; if it stays, check with apk audit --system");
            }
            catch (IOException e)
            {
                scan.AddProblem(path, $"cannot be read: {e.Message}");
            }
        }
    }
}
