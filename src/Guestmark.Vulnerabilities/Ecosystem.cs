using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The families of distributions whose advisories can be matched, by the first part of OSV's ecosystem name
/// (https://ossf.github.io/osv-schema/#defined-ecosystems). This is the one table of: how their versions compare, whether their
/// advisories name source or binary packages, and which machine (os-release) is in which ecosystem.
/// </summary>
sealed class Ecosystem
{
    // Source or binary as the published documents have it: Red Hat and AlmaLinux list each binary package,
    // the others list the source package and, where they do, the binaries in ecosystem_specific.
    static readonly Ecosystem[] All =
    [
        new("AlmaLinux", PackageManager.Rpm, namesSource: false, "almalinux", Release.Major),
        new("Rocky Linux", PackageManager.Rpm, namesSource: true, "rocky", Release.Major),
        // Keyed by CPE ("Red Hat:rhel_eus:9.2::appstream"), so os-release alone does not say which one a machine is in.
        new("Red Hat", PackageManager.Rpm, namesSource: false, null, Release.Major),
        new("SUSE", PackageManager.Rpm, namesSource: true, null, Release.Major),
        new("openSUSE", PackageManager.Rpm, namesSource: true, null, Release.Major),
        new("openEuler", PackageManager.Rpm, namesSource: true, null, Release.Major),
        new("Mageia", PackageManager.Rpm, namesSource: true, null, Release.Major),
        new("Azure Linux", PackageManager.Rpm, namesSource: true, null, Release.Major),
        new("Debian", PackageManager.Dpkg, namesSource: true, "debian", Release.Major),
        new("Ubuntu", PackageManager.Dpkg, namesSource: true, "ubuntu", Release.Ubuntu),
    ];

    /// <summary>Longest <c>ecosystem:release</c> of a machine; os-release comes from guests and may hold anything.</summary>
    public const int NameMax = 64;

    readonly string? _osId;
    readonly Release _release;

    Ecosystem(string family, PackageManager manager, bool namesSource, string? osId, Release release)
    {
        Family = family;
        Manager = manager;
        NamesSource = namesSource;
        _osId = osId;
        _release = release;
    }

    enum Release
    {
        /// <summary>8.10 is 8.</summary>
        Major,

        /// <summary>22.04 is <c>22.04:LTS</c>, 23.10 is <c>23.10</c>: April of even years is long-term support.</summary>
        Ubuntu,
    }

    /// <summary>The part of the name before the first ':'.</summary>
    public string Family { get; }

    /// <summary>Whose packages the advisories are about, which is how versions compare.</summary>
    public PackageManager Manager { get; }

    /// <summary>Advisories name source packages.</summary>
    public bool NamesSource { get; }

    /// <summary>The word for <see cref="Manager"/> in a finding's evidence.</summary>
    public string Rules => Manager == PackageManager.Rpm ? "rpm" : "dpkg";

    public int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b) =>
        Manager == PackageManager.Rpm ? RpmVersion.Compare(a, b) : DpkgVersion.Compare(a, b);

    /// <summary>The family of a full name such as <c>AlmaLinux:8</c>. Null when versions of it cannot be compared here.</summary>
    public static Ecosystem? Find(ReadOnlySpan<char> name)
    {
        var colon = name.IndexOf(':');
        if (colon >= 0) name = name[..colon];
        foreach (var ecosystem in All)
        {
            if (name.SequenceEqual(ecosystem.Family)) return ecosystem;
        }

        return null;
    }

    /// <summary>Writes the full ecosystem name of a machine: almalinux 8.10 is <c>AlmaLinux:8</c>.</summary>
    /// <returns>Length written; 0 when the machine is in no known ecosystem or its name does not fit.</returns>
    public static int NameOf(OsRelease os, Span<char> destination)
    {
        foreach (var ecosystem in All)
        {
            if (ecosystem._osId is null || !string.Equals(ecosystem._osId, os.Id, StringComparison.Ordinal)) continue;
            var version = os.VersionId.AsSpan();
            var dot = version.IndexOf('.');
            var suffix = "";
            if (ecosystem._release == Release.Major)
            {
                if (dot >= 0) version = version[..dot];
            }
            else if (dot > 0 && version[dot..] is ".04" && version[dot - 1] is '0' or '2' or '4' or '6' or '8')
            {
                suffix = ":LTS";
            }

            return version.Length > 0 && destination.TryWrite($"{ecosystem.Family}:{version}{suffix}", out var length) ? length : 0;
        }

        return 0;
    }
}
