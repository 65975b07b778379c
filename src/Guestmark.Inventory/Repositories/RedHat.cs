using System.Globalization;

namespace Guestmark.Inventory.Repositories;

/// <summary>What tells packages of Red Hat Enterprise Linux from all others, and the CPEs of its releases.</summary>
static class RedHat
{
    const string Vendor = "Red Hat, Inc.";
    const string CoreOsId = "rhcos";
    // RHEL 9 ended with 9.10, as 8 did with 8.10.
    const uint MinorMax = 20;

    /// <summary>Whether findings of a system need CPEs: those of Red Hat, and of a system that is not known.</summary>
    public static bool NeedsCpes(OsRelease os) => os.IsRhel || os.Id == CoreOsId || os.IsUnknown;

    /// <summary>RHEL's number of a system; null for every other system.</summary>
    public static (uint Major, uint? Minor)? ReleaseOf(OsRelease os) => os.IsRhel ? ParseRelease(os.VersionId) : null;

    /// <summary><c>9.4</c>, or <c>9</c>.</summary>
    public static (uint Major, uint? Minor)? ParseRelease(string text)
    {
        var dot = text.IndexOf('.');
        if (!TryNumber(dot < 0 ? text : text.AsSpan(0, dot), out var major)) return null;
        return dot >= 0 && TryNumber(text.AsSpan(dot + 1), out var minor) && minor <= MinorMax ? (major, minor) : (major, null);

        static bool TryNumber(ReadOnlySpan<char> text, out uint number) =>
            uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    /// <summary>
    /// Whether a key of Red Hat's releases signed a package, by the package's own word: the signature is not verified. Keys of beta
    /// releases are left out.
    /// </summary>
    public static bool IsSigned(Package package)
    {
        if (package.Rpm is not { } rpm || package.Vendor is not (null or Vendor)) return false;
        if (rpm.Signature is { } signature && IsReleaseKey(signature.KeyId)) return true;
        foreach (var other in rpm.OpenPgp)
        {
            if (IsReleaseKey(other.KeyId)) return true;
        }

        return false;
    }

    /// <summary>
    /// Whether a release is that of a package of RHEL itself: <c>4.el9_4.1</c>, <c>5.module+el8.9.0+1234+abcd</c>. Layered products, which
    /// the same key signs, put letters behind it (<c>1.el9cp</c>, <c>el9sat</c>, <c>el9ost</c>) or before it (<c>rhaos4.14.el9</c>).
    /// </summary>
    public static bool IsOfRelease(string release, uint major)
    {
        if (release.Contains("rhaos", StringComparison.Ordinal)) return false;
        var tag = $"el{major}";
        for (var at = release.IndexOf(tag, StringComparison.Ordinal); at >= 0; at = release.IndexOf(tag, at + 1, StringComparison.Ordinal))
        {
            var isStart = at == 0 || release[at - 1] is '.' or '+' or '_';
            if (isStart && (at + tag.Length == release.Length || release[at + tag.Length] is '.' or '_' or '+')) return true;
        }

        return false;
    }

    /// <summary>CPEs of the main stream of a release, of which a package may be in any part.</summary>
    /// <param name="minor">The minor release of the machine: from 10 on CPEs name it, and packages of earlier ones stay installed.</param>
    /// <param name="variant">Up to 7: <c>server</c>, <c>workstation</c>… Null when it is not known.</param>
    /// <param name="mapping">What the mapping says of <see cref="RepositoryIds"/>.</param>
    /// <remarks>
    /// EUS, AUS, E4S and the other streams have the same packages, keys and releases: nothing but the repository tells them apart, so that
    /// no guess names one. That findings of the main stream are looked at for them too is Red Hat's own rule for what is not fixed.
    /// </remarks>
    public static IReadOnlyList<string> Cpes(uint major, uint? minor, string? variant, string architecture, MappedRepositories? mapping)
    {
        if (major < 8) return [variant is null ? $"cpe:/o:redhat:enterprise_linux:{major}" : $"cpe:/o:redhat:enterprise_linux:{major}::{variant}"];
        if (major < 10) return [$"cpe:/o:redhat:enterprise_linux:{major}::baseos", $"cpe:/a:redhat:enterprise_linux:{major}::appstream"];
        var cpes = new List<string>();
        if (mapping is not null)
        {
            foreach (var id in RepositoryIds(major, architecture))
            {
                if (mapping.ById.TryGetValue(id, out var listed)) cpes.AddRange(listed);
            }
        }

        if (cpes.Count > 0) return cpes;
        foreach (var channel in (ReadOnlySpan<string>)["baseos", "appstream"])
        {
            for (var i = 0u; i <= (minor ?? 0); i++) cpes.Add($"cpe:/o:redhat:enterprise_linux:{major}.{i}::{channel}");
        }

        return cpes;
    }

    /// <summary>The repositories of the main stream, from 8 on.</summary>
    public static string[] RepositoryIds(uint major, string architecture) =>
        [$"rhel-{major}-for-{architecture}-baseos-rpms", $"rhel-{major}-for-{architecture}-appstream-rpms"];

    /// <summary>Whether a CPE is of RHEL itself, in any stream of support.</summary>
    public static bool IsOfRhel(string cpe) => ProductOf(cpe) is "enterprise_linux" || IsOfExtendedStream(cpe);

    /// <summary>Whether a CPE is of a stream with its own support, mostly of a minor release: <c>cpe:/o:redhat:rhel_eus:9.4::baseos</c>.</summary>
    public static bool IsOfExtendedStream(string cpe) =>
        ProductOf(cpe) is "rhel_eus" or "rhel_aus" or "rhel_tus" or "rhel_e4s" or "rhel_els" or "enterprise_linux_e2s";

    static ReadOnlySpan<char> ProductOf(ReadOnlySpan<char> cpe)
    {
        const string VendorPart = ":redhat:";
        var vendor = cpe.IndexOf(VendorPart);
        if (vendor < 0) return default;
        var product = cpe[(vendor + VendorPart.Length)..];
        var end = product.IndexOf(':');
        return end < 0 ? product : product[..end];
    }

    /// <summary>The variant that a product of RHEL up to 7 has in CPEs; empty from 8 on. Null for products that are not RHEL itself.</summary>
    /// <remarks>Ids as in product-default of redhat-release.</remarks>
    public static string? VariantOf(uint productId, uint major) => (productId, major) switch
    {
        // x86_64, Arm, POWER (little-endian), IBM Z.
        (479 or 419 or 279 or 72, >= 8) => "",
        (69 or 279 or 72 or 74 or 294, < 8) => "server",
        (71, < 8) => "workstation",
        (68, < 8) => "client",
        (76, < 8) => "computenode",
        _ => null,
    };

    // https://access.redhat.com/security/team/key
    static bool IsReleaseKey(string keyId) => keyId is
        "199e2f91fd431d51" // release key 2, RHEL 6 and later
        or "fcd355b305707a62" // release key 4, post-quantum, RHEL 9.7 and 10
        or "5054e4a45a6340b3" // auxiliary key 3, RHEL 8.6 and later
        or "f76f66c3d4082792" // auxiliary key, RHEL 8
        or "45689c882fa658e0" // auxiliary key, RHEL 6 and 7
        or "5326810137017186" // release key, RHEL 5
        or "219180cddb42a60e"; // RHEL 4 and before
}
