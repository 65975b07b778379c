using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>Source packages by the names that advisories have for them.</summary>
static class SourceNames
{
    const string Signed = "linux-signed";

    /// <summary>
    /// The source package of a package, and its version. Debian and Ubuntu build the images of their kernels from <c>linux</c> and sign them as
    /// another source package (<c>linux-signed-amd64</c> 6.1.55+1, <c>linux-signed-hwe-6.5</c>), which no advisory names; the image has the
    /// version of the first.
    /// </summary>
    public static (string? Name, string? Version) Of(Package package)
    {
        if (package.Manager != PackageManager.Dpkg || package.SourceName is not { } name || !name.StartsWith(Signed, StringComparison.Ordinal))
            return (package.SourceName, package.SourceVersion);
        var rest = name.AsSpan(Signed.Length);
        if (rest.Length > 0 && rest[0] != '-') return (name, package.SourceVersion);
        foreach (var architecture in (ReadOnlySpan<string>)["-amd64", "-arm64", "-i386"])
        {
            if (rest.EndsWith(architecture, StringComparison.Ordinal)) rest = rest[..^architecture.Length];
        }

        return ($"linux{rest}", package.FullVersion);
    }
}
