using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>Whether a kernel package is the kernel that runs. The numbers are persisted: add, never change.</summary>
public enum KernelState
{
    /// <summary>The package is no kernel.</summary>
    NoKernel = 0,

    Running = 1,

    /// <summary>Installed, and another kernel runs: its vulnerabilities cannot be used until it is started.</summary>
    NotRunning = 2,

    /// <summary>The machine does not say which kernel runs.</summary>
    Unknown = 3,
}

/// <summary>Which packages are kernels, and which of them runs.</summary>
public static class RunningKernel
{
    // Packages that hold the kernel itself or its modules. Headers, tools and firmware are of no release that could run.
    static readonly string[] RpmNames =
    [
        "kernel", "kernel-core", "kernel-modules", "kernel-modules-core", "kernel-modules-extra", "kernel-modules-internal", "kernel-debug",
        "kernel-debug-core", "kernel-debug-modules", "kernel-debug-modules-core", "kernel-debug-modules-extra", "kernel-rt", "kernel-rt-core",
        "kernel-rt-modules", "kernel-rt-modules-core", "kernel-rt-modules-extra", "kernel-64k", "kernel-64k-core", "kernel-64k-modules",
        "kernel-64k-modules-core", "kernel-uek", "kernel-uek-core", "kernel-uek-modules", "kernel-default", "kernel-default-base",
        "kernel-azure", "kernel-preempt", "kernel-lts", "kernel-ml", "linux",
    ];

    static readonly string[] DpkgPrefixes = ["linux-image-unsigned-", "linux-image-", "linux-modules-extra-", "linux-modules-"];

    /// <param name="running"><c>uname -r</c> of the machine; null when it is not known.</param>
    public static KernelState StateOf(Package package, string? running)
    {
        if (!IsKernel(package)) return KernelState.NoKernel;
        if (string.IsNullOrEmpty(running)) return KernelState.Unknown;
        return IsRunning(package, running) ? KernelState.Running : KernelState.NotRunning;
    }

    public static bool IsKernel(Package package) => package.Manager switch
    {
        PackageManager.Rpm => package.Name.StartsWith("kernel", StringComparison.Ordinal) || package.Name == "linux" ? Array.IndexOf(RpmNames, package.Name) >= 0 : false,
        PackageManager.Dpkg => package.Name.StartsWith("linux-", StringComparison.Ordinal) && Abi(package.Name) is [>= '0' and <= '9', ..],
        _ => false,
    };

    /// <summary>
    /// Whether to restart the machine: the kernel that runs has findings, and one is installed that does not have all of them.
    /// </summary>
    /// <param name="findings">Of the machine.</param>
    /// <param name="packages">Of the machine.</param>
    /// <returns>The findings that a restart ends; empty when there are none, or when nothing says which kernel runs.</returns>
    public static IReadOnlyList<Finding> EndedByRestart(IEnumerable<Finding> findings, IEnumerable<Package> packages)
    {
        var running = new List<Finding>();
        var others = new HashSet<(Package, string)>();
        foreach (var finding in findings)
        {
            if (finding.Kernel == KernelState.Running) running.Add(finding);
            else if (finding.Kernel == KernelState.NotRunning) others.Add((finding.Package, finding.AdvisoryId));
        }

        if (running.Count == 0) return [];
        var installed = packages.Where(package => IsKernel(package)).ToLookup(GroupOf);
        return [.. running.Where(finding => installed[GroupOf(finding.Package)].Any(package =>
            package.FullVersion != finding.Package.FullVersion && IsNewer(package, finding.Package) && !others.Contains((package, finding.AdvisoryId))))];

        // Of dpkg the release is in the name, so that all images are one group.
        static (PackageManager, string) GroupOf(Package package) => package.Manager == PackageManager.Dpkg
            ? (package.Manager, DpkgPrefixes.First(prefix => package.Name.StartsWith(prefix, StringComparison.Ordinal)))
            : (package.Manager, package.Name);

        static bool IsNewer(Package a, Package b) => a.Manager == PackageManager.Dpkg
            ? DpkgVersion.Compare(a.FullVersion, b.FullVersion) > 0
            : RpmVersion.Compare(a.FullVersion, b.FullVersion) > 0;
    }

    static bool IsRunning(Package package, string running)
    {
        if (package.Manager == PackageManager.Dpkg) return Abi(package.Name).SequenceEqual(running);

        // version-release.arch, for variants with a "+rt" or "+64k" behind, but for real-time kernels that have it in the release; SUSE's version-release lacks the last number of the build and
        // has the flavour behind: 5.14.21-150500.55.19-default of 5.14.21-150500.55.19.1.
        var text = running.AsSpan();
        var plus = text.IndexOf('+');
        if (plus > 0) text = text[..plus];
        if (!text.StartsWith(package.Version, StringComparison.Ordinal)) return false;
        text = text[package.Version.Length..];
        if (text.IsEmpty || text[0] != '-') return false;
        text = text[1..];
        var release = package.Release.AsSpan();
        if (text.StartsWith(release, StringComparison.Ordinal))
        {
            text = text[release.Length..];
            var variant = Variant(package.Name);
            var runs = plus > 0 ? running.AsSpan(plus + 1) : default;
            // Only the architecture may follow: 5.14.0-362 is not the running 5.14.0-362.8.1.el9_3.x86_64.
            var isSame = text.IsEmpty || (text[0] == '.' && text[1..].IndexOf('.') < 0);
            return isSame && (plus <= 0 || variant.SequenceEqual(runs) || variant is "debug" && runs.EndsWith("debug", StringComparison.Ordinal))
                && (plus > 0 || variant is not ("64k" or "debug") && (variant is not "rt" || release.Contains(".rt", StringComparison.Ordinal)));
        }

        var flavour = text.LastIndexOf('-');
        if (flavour < 0 || !package.Name.AsSpan("kernel".Length).StartsWith(text[flavour..], StringComparison.Ordinal)) return false;
        var build = release.LastIndexOf('.');
        return build > 0 && text[..flavour].SequenceEqual(release[..build]);
    }

    /// <summary><c>rt</c> of <c>kernel-rt-modules</c>.</summary>
    static ReadOnlySpan<char> Variant(string name)
    {
        if (name.Length <= "kernel-".Length) return default;
        var rest = name.AsSpan("kernel-".Length);
        var dash = rest.IndexOf('-');
        var first = dash < 0 ? rest : rest[..dash];
        return first is "rt" or "64k" or "debug" or "uek" ? first : default;
    }

    /// <summary><c>6.1.0-13-amd64</c> of <c>linux-image-6.1.0-13-amd64</c>. Empty when the package is no image.</summary>
    static ReadOnlySpan<char> Abi(string name)
    {
        foreach (var prefix in DpkgPrefixes)
        {
            if (name.StartsWith(prefix, StringComparison.Ordinal)) return name.AsSpan(prefix.Length);
        }

        return default;
    }
}
