namespace Guestmark.Vulnerabilities;

/// <summary>The ecosystem, in OSV's words, that a product of a CSAF document is.</summary>
static class CsafEcosystem
{
    /// <param name="cpe">As written; empty when there is none.</param>
    /// <param name="name">What SUSE's products are known by: <c>SUSE Linux Enterprise Server 15 SP5</c>, <c>openSUSE Leap 15.5</c>.</param>
    /// <returns>Null when it is none whose packages can be matched.</returns>
    public static string? Of(string cpe, string name)
    {
        if (Cpe.ProductOf(cpe) is { } redHat) return redHat;

        // OSV's names are those of SUSE without the first word (https://ossf.github.io/osv-schema/#defined-ecosystems).
        if (name.StartsWith("SUSE ", StringComparison.Ordinal)) return $"SUSE:{name["SUSE ".Length..]}";
        if (name.StartsWith("openSUSE ", StringComparison.Ordinal)) return $"openSUSE:{name["openSUSE ".Length..]}";

        Span<Range> parts = stackalloc Range[8];
        var text = cpe.AsSpan();
        if (text.StartsWith("cpe:2.3:", StringComparison.Ordinal)) text = text["cpe:2.3:".Length..];
        else if (text.StartsWith("cpe:/", StringComparison.Ordinal)) text = text["cpe:/".Length..];
        else return null;
        // part, vendor, product, version
        if (text.Split(parts, ':') < 4) return null;
        var version = text[parts[3]];
        if (version.IsEmpty || version is "*" or "-") return null;
        var dot = version.IndexOf('.');
        var major = dot < 0 ? version : version[..dot];
        // vendor:product
        return text[parts[1].Start.Value..parts[2].End.Value] switch
        {
            "almalinux:almalinux" => $"AlmaLinux:{major}",
            "rocky:rocky" or "rockylinux:rocky_linux" or "resf:rocky_linux" => $"Rocky Linux:{major}",
            "oracle:linux" => $"Oracle Linux:{major}",
            "debian:debian_linux" => $"Debian:{major}",
            "canonical:ubuntu_linux" => Ubuntu(version),
            "openeuler:openeuler" or "openEuler:openEuler" => $"openEuler:{version}",
            "vmware:photon_os" or "vmware:photon" => $"Photon OS:{version}",
            "microsoft:azure_linux" => $"Azure Linux:{major}",
            _ => null,
        };
    }

    // April of even years is long-term support, and OSV says so.
    static string Ubuntu(ReadOnlySpan<char> version)
    {
        var dot = version.IndexOf('.');
        var isLongTerm = dot > 0 && version[dot..].StartsWith(".04", StringComparison.Ordinal) && version[dot - 1] is '0' or '2' or '4' or '6' or '8';
        return isLongTerm ? $"Ubuntu:{version}:LTS" : $"Ubuntu:{version}";
    }
}
