namespace Guestmark.Inventory.Rpm;

/// <summary>Finds the rpm database of a machine and reads its packages.</summary>
static class RpmPackages
{
    // Where distributions put the database: Fedora 36 and SLE, everybody before, rpm-ostree. Elsewhere nobody has one.
    public static readonly string[] Folders = ["usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm"];

    // rpm's order of backends (lib/backend/dbi.c): sqlite, ndb, bdb.
    public static readonly string[] FileNames = ["rpmdb.sqlite", "Packages.db", "Packages"];

    /// <summary>All files whose state decides what <see cref="Read"/> gives, from the root and without a leading slash.</summary>
    public static IReadOnlyList<string> Paths { get; } =
    [
        .. Folders.SelectMany(folder => ((string[])[.. FileNames, "rpmdb.sqlite-journal", "rpmdb.sqlite-wal"]).Select(name => $"{folder}/{name}")),
        ContainerManifest.Path,
    ];

    /// <summary>Reads the one database that rpm uses.</summary>
    /// <remarks>
    /// rpm uses one folder (<c>%_dbpath</c>) and one file in it. Which, its configuration says, which may be anywhere; here the
    /// databases tell it themselves:
    /// <list type="number">
    /// <item>
    /// Of the files in one folder it is the first in rpm's order of backends that holds packages. After a change of backend the old
    /// file may stay beside the new one with the packages of the day of the change; an rpm that was run once with another
    /// configuration leaves a file that is empty or has only keys.
    /// </item>
    /// <item>
    /// Of several folders it is the first of <see cref="Folders"/> that has such a file: a distribution that moved its database
    /// moved it to the front of this list, and rpm-ostree links the others to the one it has. The database of another folder is
    /// left out, as rpm leaves it out. Should it hold a package that was installed later than any of the used one, then the order
    /// may be wrong for this machine, which becomes a problem.
    /// </item>
    /// <item>Without any database the manifest of an image without rpm is read.</item>
    /// </list>
    /// What a file without packages has for problems is kept; the files behind the one that is used are not opened.
    /// </remarks>
    public static void Read(InventoryScan scan)
    {
        // The folders are links to each other on many systems, and within a mounted tree the same folder may be mounted twice.
        // True: the file holds packages.
        var seen = new Dictionary<(ulong Device, ulong Inode), bool>();
        var databasesBefore = scan.Databases;
        DatabaseContents? used = null;
        var usedFolder = "";
        foreach (var folder in Folders)
        {
            if (ReadFolder(scan, folder, seen, used is null) is not { } contents) continue;
            if (used is null)
            {
                (used, usedFolder) = (contents, folder);
                scan.Packages.AddRange(contents.Packages);
                scan.RpmKeys.AddRange(contents.Keys);
            }
            else if (contents.NewestInstallTime > used.NewestInstallTime)
            {
                scan.AddProblem(
                    folder,
                    $"holds a database ({contents.Backend}, {contents.Packages.Count} packages) that is left out, as /{usedFolder} holds the one in use, "
                    + "but its last package was installed later. Check with rpm --eval '%_dbpath', and remove the one that is not used");
            }
        }

        if (scan.Databases == databasesBefore) ContainerManifest.Read(scan);
    }

    /// <summary>The first database of a folder that holds packages. Null when none does, or when it was read by another path.</summary>
    /// <param name="isWanted">Whether the packages are listed: otherwise only their times matter, and no problem is of interest.</param>
    static DatabaseContents? ReadFolder(InventoryScan scan, string folder, Dictionary<(ulong Device, ulong Inode), bool> seen, bool isWanted)
    {
        var request = new PackageRequest(folder, isWanted ? scan.Files : null, isWanted && scan.Dependencies);
        foreach (var name in FileNames)
        {
            var path = folder + "/" + name;
            var failures = scan.Problems.Count;
            if (!scan.TryOpen(path, out var opened))
            {
                if (scan.Problems.Count > failures) scan.Databases++;
                continue;
            }

            using var file = opened!;
            scan.Databases++;
            var identity = (file.OpenedAs.Device, file.OpenedAs.Inode);
            if (seen.TryGetValue(identity, out var hadPackages))
            {
                if (hadPackages) return null;
                continue;
            }

            var contents = RpmDatabase.Read(scan.Root, file, request, scan.Cancellation);
            if (isWanted)
            {
                // The other problems name their remedy themselves.
                var advice = contents.Backend is not null ? ". Run again; if it stays, run rpm --rebuilddb" : "";
                foreach (var problem in contents.Problems) scan.AddProblem(path, problem + advice);
            }

            seen.Add(identity, contents.Packages.Count > 0);
            if (contents.Packages.Count > 0) return contents;
        }

        return null;
    }

    /// <summary>
    /// <c>name-version-release.src.rpm</c> or <c>.nosrc.rpm</c>. This file name has no epoch, so the version here has none.
    /// </summary>
    internal static (string? Name, string? Version) SourceOf(string? sourceRpm)
    {
        if (sourceRpm is null) return default;
        var length = sourceRpm.EndsWith(".src.rpm", StringComparison.Ordinal) ? sourceRpm.Length - ".src.rpm".Length
            : sourceRpm.EndsWith(".nosrc.rpm", StringComparison.Ordinal) ? sourceRpm.Length - ".nosrc.rpm".Length
            : -1;
        return length <= 0 ? default : SplitNevr(sourceRpm.AsSpan(0, length));
    }

    /// <summary><c>name-[epoch:]version-release</c>: neither version nor release contains a hyphen.</summary>
    internal static (string? Name, string? Version) SplitNevr(ReadOnlySpan<char> nevr)
    {
        var release = nevr.LastIndexOf('-');
        if (release <= 0) return default;
        var version = nevr[..release].LastIndexOf('-');
        return version <= 0 ? default : (nevr[..version].ToString(), nevr[(version + 1)..].ToString());
    }
}
