using System.Text;
using Guestmark.Inventory.Repositories;

namespace Guestmark.Inventory.Os;

/// <summary>Reads what a machine says of itself besides its packages. What is absent is unknown, and no problem.</summary>
/// <remarks>
/// Activation and dnf's metadata follow what StackRox's agent tells, which looks at names alone:
/// <code>
/// activation   NAME.pem with NAME-key.pem in etc/pki/entitlement -> active; the folder without such a pair -> inactive; no folder -> unspecified
/// dnf          a *.repo file in a folder of repositories, and a folder with "-rpms-" in its name in a cache -> available
/// </code>
/// Two things are added: an entitlement that has ended does not count, and dnf 5 has other folders.
/// </remarks>
static class HostFactsReader
{
    const string EntitlementFolder = "etc/pki/entitlement";
    const string RunningKernelFile = "proc/sys/kernel/osrelease";
    const string BootIdFile = "proc/sys/kernel/random/boot_id";
    const string ArchitectureFile = "proc/sys/kernel/arch";
    const string KeySuffix = "-key.pem";

    const int KernelTextBytesMax = 1024;
    // An entitlement with the paths of all content of RHEL has about 100 KB.
    const int CertificateBytesMax = 1024 * 1024;
    const int CertificatesMax = 100;
    const int KernelsMax = 1000;

    static readonly string[] ModuleFolders = ["lib/modules", "usr/lib/modules"];
    // Some program that every machine has. The first that is there tells the architecture where the kernel does not (before 6.1, or not running).
    static readonly string[] Programs = ["usr/bin/env", "bin/sh", "usr/bin/sh", "bin/busybox", "usr/lib/systemd/systemd", "sbin/init"];

    /// <summary>
    /// Files and folders whose change changes the facts, besides <see cref="RepositoryFiles.Folders"/> and <see cref="MetadataFolders"/>. What the kernel
    /// says changes with the boot only.
    /// </summary>
    public static readonly string[] Paths = [EntitlementFolder, .. ModuleFolders];

    /// <summary>Caches of dnf, of which only the names of the folders in them change the facts; what they hold changes every hour.</summary>
    public static readonly string[] MetadataFolders = ["var/cache/dnf", "var/cache/libdnf5"];

    /// <param name="time">Tells which entitlements have ended. Null: the machine's clock.</param>
    public static HostFacts Read(InventoryScan scan, TimeProvider? time = null) => new()
    {
        RunningKernel = KernelText(scan, RunningKernelFile),
        BootId = KernelText(scan, BootIdFile),
        Architecture = KernelText(scan, ArchitectureFile) ?? ProgramArchitecture(scan),
        InstalledKernels = InstalledKernels(scan),
        Activation = ReadActivation(scan, (time ?? TimeProvider.System).GetUtcNow()),
        DnfMetadata = ReadDnfMetadata(scan),
    };

    static string? KernelText(InventoryScan scan, string path)
    {
        if (scan.TryRead(path, KernelTextBytesMax) is not { } bytes) return null;
        var text = Encoding.UTF8.GetString(bytes).Trim();
        return text.Length > 0 ? text : null;
    }

    static string? ProgramArchitecture(InventoryScan scan)
    {
        var header = new byte[ElfFile.HeaderBytes];
        foreach (var path in Programs)
        {
            // Not worth a problem: the next program says the same.
            if (scan.Root.TryOpenFile(path, out var opened) is not null || opened is null) continue;
            using var file = opened;
            try
            {
                var read = file.Read(header, 0);
                if (ElfFile.TryRead(header.AsSpan(0, read), out var elf) && elf.MachineName is { } name) return name;
            }
            catch (IOException)
            {
                continue;
            }
        }

        return null;
    }

    static List<string> InstalledKernels(InventoryScan scan)
    {
        var kernels = new List<string>();
        // One is a link to the other where /usr is merged: each name counts once.
        foreach (var folder in ModuleFolders)
        {
            foreach (var name in Folders(scan, folder))
            {
                if (kernels.Contains(name)) continue;
                if (kernels.Count == KernelsMax)
                {
                    scan.AddProblem(folder, $"has more than {KernelsMax} folders; the others are left out");
                    break;
                }

                kernels.Add(name);
            }
        }

        kernels.Sort(StringComparer.Ordinal);
        return kernels;
    }

    static Activation ReadActivation(InventoryScan scan, DateTimeOffset now)
    {
        if (scan.Root.TryList(EntitlementFolder, out var names) is { } error)
        {
            scan.AddProblem(EntitlementFolder, $"cannot be listed: {error}. Whether the machine has an entitlement is unknown");
            return Activation.Unspecified;
        }

        if (names is null) return Activation.Unspecified;
        var present = new HashSet<string>(names);
        var certificates = 0;
        foreach (var name in names)
        {
            if (!name.EndsWith(".pem", StringComparison.Ordinal) || !present.Contains(name[..^".pem".Length] + KeySuffix)) continue;
            if (++certificates > CertificatesMax)
            {
                scan.AddProblem(EntitlementFolder, $"has more than {CertificatesMax} certificates; the others are not looked at");
                break;
            }

            var path = $"{EntitlementFolder}/{name}";
            var problems = scan.Problems.Count;
            if (scan.TryRead(path, CertificateBytesMax) is not { } pem)
            {
                // A key may be for root only, and the certificate with it; vanished between two looks it is simply gone.
                if (scan.Problems.Count > problems) return Activation.Unspecified;
                continue;
            }

            if (CertificateValidity.ReadPem(pem, out var notAfter) is { } problem)
                scan.AddProblem(path, $"{problem}, so it does not count as an entitlement. Run subscription-manager refresh");
            else if (notAfter > now)
                return Activation.Active;
        }

        return Activation.Inactive;
    }

    static DnfMetadata ReadDnfMetadata(InventoryScan scan)
    {
        var problems = scan.Problems.Count;
        var hasRepository = false;
        var hasFolder = false;
        foreach (var folder in RepositoryFiles.Folders)
        {
            var names = scan.List(folder);
            hasFolder |= names.Count > 0;
            foreach (var name in names) hasRepository |= name.EndsWith(".repo", StringComparison.Ordinal);
        }

        var hasMetadata = false;
        foreach (var folder in MetadataFolders)
        {
            var names = Folders(scan, folder);
            hasFolder |= names.Count > 0;
            foreach (var name in names) hasMetadata |= name.Contains("-rpms-", StringComparison.Ordinal);
        }

        if (hasRepository && hasMetadata) return DnfMetadata.Available;
        // Without any of the folders the machine has no dnf; one that cannot be listed may be the one.
        return hasFolder && scan.Problems.Count == problems ? DnfMetadata.Unavailable : DnfMetadata.Unspecified;
    }

    static IReadOnlyList<string> Folders(InventoryScan scan, string path)
    {
        if (scan.Root.TryList(path, out var names, foldersOnly: true) is { } error) scan.AddProblem(path, $"cannot be listed: {error}");
        return names ?? [];
    }
}
