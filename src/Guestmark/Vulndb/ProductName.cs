using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>The product of <c>--product</c>, as machines are asked for it: with another spelling nothing would ever match.</summary>
static class ProductName
{
    /// <summary>Distributions with repositories of rpm packages, and how os-release calls them.</summary>
    static readonly (string Family, string Id)[] Systems =
    [
        ("AlmaLinux", "almalinux"), ("Rocky Linux", "rocky"), ("Oracle Linux", "ol"), ("Amazon Linux", "amzn"), ("Fedora", "fedora"),
        ("Mageia", "mageia"), ("Photon OS", "photon"), ("Azure Linux", "azurelinux"), ("Red Hat", "rhel"),
    ];

    /// <summary><c>almalinux:8</c> and <c>AlmaLinux:8.10</c> are <c>AlmaLinux:8</c>.</summary>
    /// <exception cref="UsageException">No machine is of such a product.</exception>
    public static string Of(string text)
    {
        var colon = text.IndexOf(':');
        if (colon > 0 && colon < text.Length - 1)
        {
            var (name, version) = (text[..colon].Trim(), text[(colon + 1)..].Trim());
            foreach (var (family, id) in Systems)
            {
                if (!name.Equals(family, StringComparison.OrdinalIgnoreCase) && !name.Equals(id, StringComparison.OrdinalIgnoreCase)) continue;
                // Red Hat:enterprise_linux:9 and others of its products say which.
                if (version.Contains(':')) return $"{family}:{version}";
                if (Ecosystem.ProductsOf(new OsRelease(id, version, "")) is [var product, ..]) return product;
            }

            if (Ecosystem.Find(text) is { Manager: PackageManager.Rpm }) return text;
        }

        throw new UsageException(
            $"--product {text}: no such product has rpm packages: write a distribution and its release, as {string.Join(", ", Systems.Select(system => $"{system.Family}:N"))}");
    }
}
