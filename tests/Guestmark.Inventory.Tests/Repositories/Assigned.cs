using Guestmark.Inventory.Repositories;

namespace Guestmark.Inventory.Tests.Repositories;

/// <summary>Assigns repositories to packages over the file tree of a guest.</summary>
static class Assigned
{
    public const string RedHatKey = "199e2f91fd431d51";

    public static readonly OsRelease Rhel9 = new("rhel", "9.4", "");

    public static Package Rpm(string name, string version = "1", string release = "1.el9_4", string architecture = "x86_64", uint? epoch = null, string? key = RedHatKey, string? sha1 = null, uint? installTime = null) => new()
    {
        Manager = PackageManager.Rpm,
        Name = name,
        Epoch = epoch,
        Version = version,
        Release = release,
        Architecture = architecture,
        Vendor = "Red Hat, Inc.",
        Rpm = new RpmDetails { Number = 1, RsaHeader = key is null ? null : new OpenPgpSignature(1, 8, null, key), Sha1Header = sha1, InstallTime = installTime },
    };

    /// <summary>Assigns, and returns what was wrong.</summary>
    public static List<InventoryProblem> Assign(string root, IEnumerable<Package> packages, OsRelease? os = null, RepositoryToCpe? mapping = null)
    {
        Assert.Null(GuestRoot.TryOpen(root, out var opened));
        using var guest = opened!;
        var scan = new InventoryScan(guest, CancellationToken.None);
        scan.Packages.AddRange(packages);
        PackageRepositories.Assign(scan, os ?? OsRelease.Unknown, mapping);
        return scan.Problems;
    }

    /// <summary>Runs a reader over a guest's tree.</summary>
    public static List<InventoryProblem> Read(string root, Action<InventoryScan> read)
    {
        Assert.Null(GuestRoot.TryOpen(root, out var opened));
        using var guest = opened!;
        var scan = new InventoryScan(guest, CancellationToken.None);
        read(scan);
        return scan.Problems;
    }

    public static PackageRepository RepositoryOf(string root, Package package, OsRelease os, RepositoryToCpe? mapping)
    {
        Assert.Empty(Assign(root, [package], os, mapping));
        return package.Repository!;
    }
}
