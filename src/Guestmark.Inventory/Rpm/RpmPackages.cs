namespace Guestmark.Inventory.Rpm;

/// <summary>Finds the rpm databases of a machine and reads their packages.</summary>
static class RpmPackages
{
    /// <summary>Imported keys lie among rpm's packages under this name.</summary>
    const string KeyName = "gpg-pubkey";

    // Where distributions put the database: Fedora 36 and SLE, everybody before, rpm-ostree. Elsewhere nobody has one.
    public static readonly string[] Folders = ["usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm"];

    // rpm's order of backends (lib/backend/dbi.c): sqlite, ndb, bdb.
    public static readonly string[] FileNames = ["rpmdb.sqlite", "Packages.db", "Packages"];

    public static IReadOnlyList<string> Paths { get; } =
        [.. from folder in Folders from name in (string[])[.. FileNames, "rpmdb.sqlite-wal"] select folder + "/" + name];

    /// <summary>Reads the one database of each folder that rpm uses.</summary>
    /// <remarks>
    /// After a change of backend the old file may stay beside the new one, and its packages are those of the day of the change. rpm
    /// uses the configured backend, and without a file of that the first of its order that has one; the distributions that changed
    /// configured the newer one. Here it is the first of that order that holds packages, without a look at the configuration: an rpm that was
    /// run once with another configuration leaves a file that is empty or has only keys. What a file without packages has for
    /// problems is kept, the files behind the one that is used are not opened. An ndb database is not read but is the one in use.
    /// </remarks>
    public static void Read(InventoryScan scan)
    {
        // The folders are links to each other on many systems, and within a mounted tree the same folder may be mounted twice. True: the one that is used.
        var seen = new Dictionary<(ulong Device, ulong Inode), bool>();
        foreach (var folder in Folders)
        {
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
                if (seen.TryGetValue(identity, out var isUsed))
                {
                    if (isUsed) break;
                    continue;
                }

                var contents = RpmDatabase.Read(scan.Root, file, scan.Cancellation);
                var database = $"{contents.Backend}:{folder}";
                // The other problems name their remedy themselves.
                var advice = contents.Backend is not null ? ". Run again; if it stays, run rpm --rebuilddb" : "";
                var packagesBefore = scan.Packages.Count;
                foreach (var header in contents.Headers)
                {
                    if (header.Name != KeyName) scan.Packages.Add(ToPackage(header, database));
                }

                foreach (var problem in contents.Problems) scan.AddProblem(path, problem + advice);
                isUsed = contents.IsUnread || scan.Packages.Count > packagesBefore;
                seen.Add(identity, isUsed);
                if (isUsed) break;
            }
        }
    }

    static Package ToPackage(in RpmHeader header, string database)
    {
        var (sourceName, sourceVersion) = SourceOf(header.SourceRpm);
        return new Package
        {
            Manager = PackageManager.Rpm,
            Name = header.Name,
            Epoch = header.Epoch,
            Version = header.Version,
            Release = header.Release,
            Architecture = header.Architecture ?? "",
            SourceRpm = header.SourceRpm,
            ModularityLabel = header.ModularityLabel,
            SourceName = sourceName,
            SourceVersion = sourceVersion,
            Database = database,
        };
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
        if (length <= 0) return default;
        var release = sourceRpm.LastIndexOf('-', length - 1);
        if (release <= 0) return default;
        var version = sourceRpm.LastIndexOf('-', release - 1);
        return version <= 0 ? default : (sourceRpm[..version], sourceRpm[(version + 1)..length]);
    }
}
