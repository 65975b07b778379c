using Guestmark.Inventory.Apk;
using Guestmark.Inventory.Dpkg;
using Guestmark.Inventory.Languages;
using Guestmark.Inventory.Os;
using Guestmark.Inventory.Repositories;
using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory;

/// <summary>What to scan.</summary>
public sealed record InventoryScanOptions
{
    /// <summary>Root of the file tree to look at: <c>/</c> for this machine, or where another machine's tree is mounted.</summary>
    public string HostPath { get; init; } = "/";

    /// <summary>The operating system, when the caller knows better than os-release. Null: read os-release.</summary>
    public OsRelease? Os { get; init; }

    /// <summary>List the files of each package.</summary>
    public bool Files { get; init; }

    /// <summary>List what each rpm package provides and requires.</summary>
    public bool Dependencies { get; init; }

    /// <summary>Look for packages of languages that no package of the system owns. This walks the tree.</summary>
    public bool Languages { get; init; }

    /// <summary>A <c>repository-to-cpe.json</c> on the machine that scans. Null: repositories are named without CPEs.</summary>
    public string? RepositoryToCpePath { get; init; }
}

/// <summary>
/// Reads the package databases of a machine: those of rpm in all its forms, dpkg's and apk's, and what dnf and yum say of the
/// repositories. Starts no process, takes no lock, writes nothing.
/// </summary>
public static class InventoryScanner
{
    /// <summary>Packages that are taken at most: as many as a report may have.</summary>
    public const int PackagesMax = Wire.Reports.ReportValidator.PackagesMax;

    /// <summary>Files and folders, from the root of the machine, whose state decides what <see cref="Scan"/> gives.</summary>
    public static IReadOnlyList<string> Paths { get; } =
    [
        .. OsReleaseFile.Paths,
        .. RpmPackages.Paths,
        .. DpkgPackages.Paths,
        .. ApkPackages.DatabaseFiles,
        .. PackageRepositories.Paths,
        .. HostFactsReader.Paths,
    ];

    /// <summary>Folders, from the root of the machine, of which the names of the folders in them decide what <see cref="Scan"/> gives, and nothing else.</summary>
    public static IReadOnlyList<string> ListedFolders => HostFactsReader.MetadataFolders;

    /// <summary>Reads what is installed. What cannot be read becomes a problem of the inventory; the rest is still reported.</summary>
    /// <exception cref="OperationCanceledException">The caller does not want the inventory any more.</exception>
    public static GuestInventory Scan(InventoryScanOptions options, CancellationToken cancellation)
    {
        if (GuestRoot.TryOpen(options.HostPath, out var opened) is { } error)
        {
            var problem = new InventoryProblem("/", $"{options.HostPath} cannot be opened: {error}. Give the root folder of a machine as the host path");
            return new GuestInventory(options.Os ?? OsRelease.Unknown, [], [problem]);
        }

        using var root = opened!;
        var scan = new InventoryScan(root, cancellation)
        {
            Files = options.Files ? static (_, _) => true : options.Languages ? LanguagePackages.IsCandidate : null,
            Dependencies = options.Dependencies,
        };
        var os = options.Os ?? OsReleaseFile.Read(scan);
        RpmPackages.Read(scan);
        DpkgPackages.Read(scan);
        ApkPackages.Read(scan);
        if (options.Languages)
        {
            LanguagePackages.Read(scan);
            // Only those were listed whose owner matters.
            if (!options.Files) scan.Packages.ForEach(package => package.Files = null);
        }

        if (scan.Databases == 0)
        {
            scan.AddProblem(
                "",
                $"has no package database: looked for {string.Join(", ", RpmPackages.FileNames)} in "
                + $"{string.Join(", ", RpmPackages.Folders.Select(folder => "/" + folder))}, "
                + $"for /{DpkgPackages.StatusFile}, files in /{DpkgPackages.StatusFolder}, /{DpkgPackages.OpkgStatusFile} "
                + $"and {string.Join(", ", ApkPackages.DatabaseFiles.Select(file => "/" + file))}. If the machine's file system is mounted elsewhere, give that folder as the host path");
        }

        if (scan.Packages.Count > PackagesMax)
        {
            scan.AddProblem("", $"has more than {PackagesMax} packages; the others are left out");
            scan.Packages.RemoveRange(PackagesMax, scan.Packages.Count - PackagesMax);
        }

        PackageRepositories.Assign(scan, os, MappingOf(options, scan));
        return new GuestInventory(os, scan.Packages, scan.Problems) { RpmKeys = scan.RpmKeys, Host = HostFactsReader.Read(scan) };
    }

    /// <summary>Whether a <c>repository-to-cpe.json</c> says anything of this machine's packages: it is a system of Red Hat.</summary>
    public static bool NeedsRepositoryToCpe(InventoryScanOptions options)
    {
        var os = options.Os;
        if (os is null && GuestRoot.TryOpen(options.HostPath, out var opened) is null)
        {
            using var root = opened!;
            os = OsReleaseFile.Read(new InventoryScan(root, CancellationToken.None));
        }

        return os is { IsUnknown: false } && RedHat.NeedsCpes(os);
    }

    static RepositoryToCpe? MappingOf(InventoryScanOptions options, InventoryScan scan)
    {
        if (options.RepositoryToCpePath is not { } path) return null;
        var mapping = RepositoryToCpe.TryRead(path, out var error);
        if (error is not null) scan.AddProblem("", $"has packages without CPEs: {error}");
        return mapping;
    }
}
