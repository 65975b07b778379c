using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory;

/// <summary>What to scan.</summary>
public sealed record InventoryScanOptions
{
    /// <summary>Root of the file tree to look at: <c>/</c> for this machine, or where another machine's tree is mounted.</summary>
    public string HostPath { get; init; } = "/";

    /// <summary>The operating system, when the caller knows better than os-release. Null: read os-release.</summary>
    public OsRelease? Os { get; init; }
}

/// <summary>
/// Reads the package databases of a machine: rpm's Berkeley DB hash and SQLite, dpkg's status. Starts no process, takes no lock,
/// writes nothing.
/// </summary>
public static class InventoryScanner
{
    /// <summary>Packages that are taken at most: as many as a report may have.</summary>
    public const int PackagesMax = Wire.Reports.ReportValidator.PackagesMax;

    // Enough to see that a whole folder is wrong.
    const int ProblemsMax = 1000;

    /// <summary>Imported keys lie among rpm's packages under this name.</summary>
    const string KeyName = "gpg-pubkey";

    const string DpkgStatusFile = "var/lib/dpkg/status";
    const string DpkgStatusFolder = "var/lib/dpkg/status.d";

    static readonly string[] OsReleaseFiles = ["etc/os-release", "usr/lib/os-release"];

    // Where distributions put the database: Fedora 36 and SLE, everybody before, rpm-ostree. Elsewhere nobody has one.
    static readonly string[] RpmFolders = ["usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm"];
    // rpm's order of backends (lib/backend/dbi.c): sqlite, ndb, bdb.
    static readonly string[] RpmFiles = ["rpmdb.sqlite", "Packages.db", "Packages"];

    /// <summary>Reads what is installed. What cannot be read becomes a problem of the inventory; the rest is still reported.</summary>
    /// <exception cref="OperationCanceledException">The caller does not want the inventory any more.</exception>
    public static GuestInventory Scan(InventoryScanOptions options, CancellationToken cancellation)
    {
        var problems = new List<InventoryProblem>();
        if (GuestRoot.TryOpen(options.HostPath, out var opened) is { } error)
        {
            problems.Add(new InventoryProblem(
                "/", $"{options.HostPath} cannot be opened: {error}. Give the root folder of a machine as the host path"));
            return new GuestInventory(options.Os ?? OsRelease.Unknown, [], problems);
        }

        using var root = opened!;
        var packages = new List<Package>();
        var os = options.Os ?? ReadOsRelease(root, problems);
        var databases = ReadRpm(root, packages, problems, cancellation) + ReadDpkg(root, packages, problems, cancellation);
        if (databases == 0)
        {
            problems.Add(new InventoryProblem(
                "/",
                $"has no package database: looked for {string.Join(", ", RpmFiles)} in "
                + $"{string.Join(", ", RpmFolders.Select(folder => "/" + folder))}, "
                + $"for /{DpkgStatusFile} and for files in /{DpkgStatusFolder}. If the machine's file system is mounted elsewhere, give that folder as the host path"));
        }

        if (packages.Count > PackagesMax)
        {
            problems.Add(new InventoryProblem("/", $"has more than {PackagesMax} packages; the others are left out"));
            packages.RemoveRange(PackagesMax, packages.Count - PackagesMax);
        }

        return new GuestInventory(os, packages, problems);
    }

    static OsRelease ReadOsRelease(GuestRoot root, List<InventoryProblem> problems)
    {
        foreach (var path in OsReleaseFiles)
        {
            if (!TryOpen(root, path, problems, out var opened)) continue;
            using var file = opened!;
            try
            {
                var bytes = new byte[(int)Math.Min(file.Status.Size, OsReleaseFile.BytesMax)];
                return OsReleaseFile.Read(bytes.AsSpan(0, RandomAccess.Read(file.Handle, bytes, 0)));
            }
            catch (IOException e)
            {
                problems.Add(new InventoryProblem("/" + path, $"cannot be read: {e.Message}"));
            }
        }

        // Absent is no problem: every package is still known. That nothing can be matched is said where it matters.
        return OsRelease.Unknown;
    }

    /// <summary>Reads the one database of each folder that rpm uses.</summary>
    /// <remarks>
    /// After a change of backend the old file may stay beside the new one, and its packages are those of the day of the change. rpm
    /// uses the configured backend, and without a file of that the first of its order that has one; the distributions that changed
    /// configured the newer one. Here it is the first of that order that holds packages, without a look at the configuration: an rpm that was
    /// run once with another configuration leaves a file that is empty or has only keys. What a file without packages has for
    /// problems is kept, the files behind the one that is used are not opened. An ndb database is not read but is the one in use.
    /// </remarks>
    /// <returns>Databases that were found, whether they could be read or not.</returns>
    static int ReadRpm(GuestRoot root, List<Package> packages, List<InventoryProblem> problems, CancellationToken cancellation)
    {
        // The folders are links to each other on many systems, and within a mounted tree the same folder may be mounted twice. True: the one that is used.
        var seen = new Dictionary<(ulong Device, ulong Inode), bool>();
        var found = 0;
        foreach (var folder in RpmFolders)
        {
            foreach (var name in RpmFiles)
            {
                var path = folder + "/" + name;
                var failures = problems.Count;
                if (!TryOpen(root, path, problems, out var opened))
                {
                    if (problems.Count > failures) found++;
                    continue;
                }

                using var file = opened!;
                found++;
                var identity = (file.OpenedAs.Device, file.OpenedAs.Inode);
                if (seen.TryGetValue(identity, out var isUsed))
                {
                    if (isUsed) break;
                    continue;
                }

                var contents = RpmDatabase.Read(root, file, cancellation);
                var database = $"{contents.Backend}:{folder}";
                // The other problems name their remedy themselves.
                var advice = contents.Backend is not null ? ". Run again; if it stays, run rpm --rebuilddb" : "";
                var packagesBefore = packages.Count;
                foreach (var header in contents.Headers)
                {
                    if (header.Name != KeyName) packages.Add(ToPackage(header, database));
                }

                foreach (var problem in contents.Problems) problems.Add(new InventoryProblem("/" + path, problem + advice));
                isUsed = contents.IsUnread || packages.Count > packagesBefore;
                seen.Add(identity, isUsed);
                if (isUsed) break;
            }
        }

        return found;
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

    /// <returns>Databases that were found, whether they could be read or not.</returns>
    static int ReadDpkg(GuestRoot root, List<Package> packages, List<InventoryProblem> problems, CancellationToken cancellation)
    {
        var found = ReadDpkgFile(root, DpkgStatusFile, DpkgStatusFile, installedWithoutStatus: false, packages, problems, cancellation) ? 1 : 0;
        if (root.TryList(DpkgStatusFolder, out var names) is { } error)
        {
            problems.Add(new InventoryProblem("/" + DpkgStatusFolder, $"cannot be listed: {error}"));
            return found + 1;
        }

        foreach (var name in names ?? [])
        {
            // Lists of files beside the stanzas.
            if (name.EndsWith(".md5sums", StringComparison.Ordinal)) continue;
            if (packages.Count > PackagesMax || problems.Count > ProblemsMax)
            {
                problems.Add(new InventoryProblem("/" + DpkgStatusFolder, $"was not read from {name} on: there is too much in it"));
                break;
            }

            var path = $"{DpkgStatusFolder}/{name}";
            if (ReadDpkgFile(root, path, path, installedWithoutStatus: true, packages, problems, cancellation)) found++;
        }

        return found;
    }

    static bool ReadDpkgFile(
        GuestRoot root, string path, string database, bool installedWithoutStatus,
        List<Package> packages, List<InventoryProblem> problems, CancellationToken cancellation)
    {
        var failures = problems.Count;
        if (!TryOpen(root, path, problems, out var opened)) return problems.Count > failures;
        using var file = opened!;
        try
        {
            var contents = DpkgStatus.Read(file, database, installedWithoutStatus, cancellation);
            packages.AddRange(contents.Packages);
            foreach (var problem in contents.Problems) problems.Add(new InventoryProblem("/" + path, problem + ". Run again; if it stays, check with dpkg --audit"));
        }
        catch (IOException e)
        {
            problems.Add(new InventoryProblem("/" + path, $"cannot be read: {e.Message}"));
        }

        return true;
    }

    static bool TryOpen(GuestRoot root, string path, List<InventoryProblem> problems, out GuestFile? file)
    {
        if (root.TryOpenFile(path, out file) is { } error)
            problems.Add(new InventoryProblem("/" + path, $"cannot be opened: {error}. Check what it is and who may read it"));
        return file is not null;
    }
}
