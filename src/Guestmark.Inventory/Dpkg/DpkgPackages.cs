namespace Guestmark.Inventory.Dpkg;

/// <summary>
/// Reads the packages that dpkg has installed: its status file, the files of <c>status.d</c> that images without dpkg have, and the
/// status of opkg, which has the same form.
/// </summary>
static class DpkgPackages
{
    public const string StatusFile = "var/lib/dpkg/status";
    public const string StatusFolder = "var/lib/dpkg/status.d";
    public const string OpkgStatusFile = "usr/lib/opkg/status";

    public static IReadOnlyList<string> Paths { get; } = [StatusFile, StatusFolder, OpkgStatusFile];

    /// <summary>What is read at most of all status files of a kind. A desktop's has about 10 MB.</summary>
    public const long StatusBytesMax = 256 * 1024 * 1024;

    const string InfoFolder = "var/lib/dpkg/info";
    const string DigestsSuffix = ".md5sums";
    // Enough to see that a whole folder is wrong.
    const int ProblemsMax = 1000;

    public static void Read(InventoryScan scan)
    {
        var lines = new FileLines(scan.Cancellation);
        var pool = new TextPool();
        var first = scan.Packages.Count;
        ReadStatus(scan, StatusFile, installedWithoutStatus: false, StatusBytesMax, lines, pool);
        if (scan.Files is not null && scan.Packages.Count > first) ReadFiles(scan, first, lines);
        ReadStatusFolder(scan, lines, pool);
        ReadStatus(scan, OpkgStatusFile, installedWithoutStatus: false, StatusBytesMax, lines, pool);
    }

    static void ReadStatusFolder(InventoryScan scan, FileLines lines, TextPool pool)
    {
        var failures = scan.Problems.Count;
        var names = scan.List(StatusFolder);
        if (scan.Problems.Count > failures) scan.Databases++;
        var bytesLeft = StatusBytesMax;
        var files = scan.Files is null ? null : new DpkgFiles(scan.Files, lines);
        foreach (var name in names)
        {
            // Lists of files beside the stanzas.
            if (name.EndsWith(DigestsSuffix, StringComparison.Ordinal)) continue;
            if (scan.Packages.Count > InventoryScanner.PackagesMax || scan.Problems.Count > ProblemsMax || bytesLeft <= 0)
            {
                scan.AddProblem(StatusFolder, $"was not read from {name} on: there is too much in it");
                break;
            }

            var path = $"{StatusFolder}/{name}";
            var first = scan.Packages.Count;
            bytesLeft -= ReadStatus(scan, path, installedWithoutStatus: true, bytesLeft, lines, pool);
            // The digests beside a file with two stanzas are of nobody in particular.
            if (files is null || scan.Packages.Count != first + 1 || !scan.TryOpen(path + DigestsSuffix, out var opened)) continue;
            using var digests = opened!;
            var owned = new List<PackageFile>();
            AddFilesProblem(scan, path + DigestsSuffix, () => files.ReadDigests(digests, owned, digestsAreTheList: true));
            scan.Packages[first] = scan.Packages[first] with { Files = owned };
        }
    }

    /// <summary>Reads one status file. The bytes that were read of it.</summary>
    static long ReadStatus(InventoryScan scan, string path, bool installedWithoutStatus, long bytesMax, FileLines lines, TextPool pool)
    {
        var failures = scan.Problems.Count;
        if (!scan.TryOpen(path, out var opened))
        {
            if (scan.Problems.Count > failures) scan.Databases++;
            return 0;
        }

        using var file = opened!;
        scan.Databases++;
        try
        {
            var contents = DpkgStatus.Read(file, path, installedWithoutStatus, bytesMax, lines, pool);
            scan.Packages.AddRange(contents.Packages);
            foreach (var problem in contents.Problems) scan.AddProblem(path, problem + ". Run again; if it stays, check with dpkg --audit");
            return contents.BytesRead;
        }
        catch (IOException e)
        {
            scan.AddProblem(path, $"cannot be read: {e.Message}");
            return 0;
        }
    }

    /// <summary>Gives the packages from <paramref name="first"/> on their files.</summary>
    static void ReadFiles(InventoryScan scan, int first, FileLines lines)
    {
        if (scan.Root.TryOpenFolder(InfoFolder, out var opened) is { } error) scan.AddProblem(InfoFolder, $"cannot be listed: {error}");
        if (opened is null) return;
        using var info = opened;
        var files = new DpkgFiles(scan.Files!, lines);
        var unlisted = 0;
        string? firstUnlisted = null;
        for (var i = first; i < scan.Packages.Count && scan.Problems.Count <= ProblemsMax; i++)
        {
            scan.Cancellation.ThrowIfCancellationRequested();
            var package = scan.Packages[i];
            var stem = package.Name;
            var list = Open(scan, info, stem + ".list");
            if (list is null)
            {
                stem = $"{package.Name}:{package.Architecture}";
                list = Open(scan, info, stem + ".list");
            }

            if (list is null)
            {
                unlisted++;
                firstUnlisted ??= package.Name;
                continue;
            }

            List<PackageFile> owned = [];
            using (list) AddFilesProblem(scan, $"{InfoFolder}/{stem}.list", () => files.ReadList(list, out owned));
            if (owned.Count > 0 && Open(scan, info, stem + DigestsSuffix) is { } digests)
            {
                using (digests)
                    AddFilesProblem(scan, $"{InfoFolder}/{stem}{DigestsSuffix}", () => files.ReadDigests(digests, owned, digestsAreTheList: false));
            }

            scan.Packages[i] = package with { Files = owned };
        }

        if (unlisted > 0)
        {
            scan.AddProblem(
                InfoFolder, $"has no list of the files of {unlisted} packages, the first of which is {GuestText.Quote(firstUnlisted!)}. Reinstall them");
        }
    }

    static GuestFile? Open(InventoryScan scan, GuestFolder folder, string name)
    {
        if (folder.TryOpenFile(name, out var file) is { } error)
            scan.AddProblem($"{InfoFolder}/{name}", $"cannot be opened: {error}. Check what it is and who may read it");
        return file;
    }

    static void AddFilesProblem(InventoryScan scan, string path, Func<string?> read)
    {
        try
        {
            if (read() is { } problem) scan.AddProblem(path, problem);
        }
        catch (IOException e)
        {
            scan.AddProblem(path, $"cannot be read: {e.Message}");
        }
    }
}
