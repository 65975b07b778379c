namespace Guestmark.Inventory.Dpkg;

/// <summary>Reads the packages that dpkg has installed: its status file, and the files of <c>status.d</c> that images without dpkg have.</summary>
static class DpkgPackages
{
    public const string StatusFile = "var/lib/dpkg/status";
    public const string StatusFolder = "var/lib/dpkg/status.d";

    public static IReadOnlyList<string> Paths { get; } = [StatusFile, StatusFolder];

    // Enough to see that a whole folder is wrong.
    const int ProblemsMax = 1000;

    public static void Read(InventoryScan scan)
    {
        ReadFile(scan, StatusFile, installedWithoutStatus: false);
        var failures = scan.Problems.Count;
        var names = scan.List(StatusFolder);
        if (scan.Problems.Count > failures) scan.Databases++;
        foreach (var name in names)
        {
            // Lists of files beside the stanzas.
            if (name.EndsWith(".md5sums", StringComparison.Ordinal)) continue;
            if (scan.Packages.Count > InventoryScanner.PackagesMax || scan.Problems.Count > ProblemsMax)
            {
                scan.AddProblem(StatusFolder, $"was not read from {name} on: there is too much in it");
                break;
            }

            ReadFile(scan, $"{StatusFolder}/{name}", installedWithoutStatus: true);
        }
    }

    static void ReadFile(InventoryScan scan, string path, bool installedWithoutStatus)
    {
        var failures = scan.Problems.Count;
        if (!scan.TryOpen(path, out var opened))
        {
            if (scan.Problems.Count > failures) scan.Databases++;
            return;
        }

        using var file = opened!;
        scan.Databases++;
        try
        {
            var contents = DpkgStatus.Read(file, path, installedWithoutStatus, scan.Cancellation);
            scan.Packages.AddRange(contents.Packages);
            foreach (var problem in contents.Problems) scan.AddProblem(path, problem + ". Run again; if it stays, check with dpkg --audit");
        }
        catch (IOException e)
        {
            scan.AddProblem(path, $"cannot be read: {e.Message}");
        }
    }
}
