using Guestmark.TestKit;

namespace Guestmark.VmLab;

/// <summary>A test with virtual machines. Skipped, by name, where QEMU or a kernel cannot be had; <c>./test</c> gets both.</summary>
public sealed class QemuFactAttribute : FactAttribute
{
    static readonly string[] Tools = ["qemu-system-x86_64", "busybox", "cpio", "gcc", "mke2fs", "debugfs", "e2fsck"];

    public QemuFactAttribute() => Skip = Missing;

    /// <summary>What is not there. Null: nothing.</summary>
    public static string? Missing { get; } = FindMissing();

    static string? FindMissing()
    {
        var missing = Tools.Where(tool => !LabImages.Path.Split(':').Any(folder => File.Exists(Path.Combine(folder, tool)))).ToList();
        if (!File.Exists(Path.Combine(Repository.Root, "artifacts", "vmlab", "kernel", "vmlinuz"))) missing.Add("a kernel (tests/vmlab/kernel.sh)");
        return missing.Count > 0 ? $"needs {string.Join(", ", missing)}" : null;
    }
}
