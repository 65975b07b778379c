namespace Guestmark.Inventory;

/// <summary>What a machine says of itself besides its packages. A value is null when nothing tells.</summary>
public sealed record HostFacts
{
    public static HostFacts Unknown { get; } = new();

    /// <summary>The release of the running kernel (<c>uname -r</c>).</summary>
    public string? RunningKernel { get; init; }

    /// <summary>Releases of the kernels that have a folder in <c>/lib/modules</c>, sorted as text.</summary>
    public IReadOnlyList<string> InstalledKernels { get; init; } = [];

    /// <summary>The kernel's id of this boot, a UUID.</summary>
    public string? BootId { get; init; }

    /// <summary>The machine's architecture by the kernel's name (<c>x86_64</c>, <c>aarch64</c>).</summary>
    public string? Architecture { get; init; }

    /// <summary>Whether the machine has an entitlement of Red Hat.</summary>
    public Activation Activation { get; init; }

    /// <summary>Whether dnf has configured repositories and their metadata.</summary>
    public DnfMetadata DnfMetadata { get; init; }
}

/// <summary>Whether an entitlement certificate with its key is there, by the numbers of StackRox's <c>ActivationStatus</c>.</summary>
public enum Activation
{
    Unspecified = 0,
    Active = 1,
    Inactive = 2,
}

/// <summary>Whether dnf knows of packages to install, by the numbers of StackRox's <c>DnfMetadataStatus</c>.</summary>
public enum DnfMetadata
{
    Unspecified = 0,
    Available = 1,
    Unavailable = 2,
}
