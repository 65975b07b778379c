using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Whether a package came from the distribution of its machine. Another vendor's package of the same name (docker's containerd, EPEL's
/// nginx) has other versions and other fixes, so that no advisory of the distribution says anything about it.
/// </summary>
/// <remarks>
/// Strongest first: who built the package (rpm's VENDOR), who signed it, which repository it came from; of dpkg the marks in the version,
/// then the maintainer. A package of which nothing is known is taken for the distribution's: a missed vulnerability is worse than one too many.
/// </remarks>
static class PackageOrigin
{
    // Ids of os-release by who rebuilds whose packages. The rebuilds of Enterprise Linux are one family: a CentOS machine is matched with
    // AlmaLinux' advisories when the operator says so.
    static readonly Family[] Families =
    [
        new(
            ["rhel", "centos", "almalinux", "rocky", "ol", "scientific", "cloudlinux", "eurolinux", "circle", "miraclelinux", "virtuozzo", "navylinux"],
            [
                "Red Hat", "CentOS", "AlmaLinux", "Rocky", "Oracle America", "Scientific Linux", "CloudLinux", "EuroLinux", "Circle Linux",
                "MIRACLE LINUX", "Virtuozzo", "Navy Linux", "koji",
            ]),
        new(
            ["sles", "sled", "sles_sap", "sle-micro", "sl-micro", "suse", "opensuse", "opensuse-leap", "opensuse-tumbleweed", "opensuse-leap-micro"],
            ["SUSE", "openSUSE"]),
        new(["amzn"], ["Amazon"]),
        new(["fedora"], ["Fedora Project"]),
        new(["photon"], ["VMware", "Broadcom"]),
        new(["mariner", "azurelinux"], ["Microsoft Corporation"]),
        new(["openEuler"], ["http://openeuler.org", "https://openeuler.org", "openEuler"]),
        new(["mageia"], ["Mageia"]),
    ];

    // Release keys, as their owners publish them.
    static readonly string[] OwnKeys =
    [
        "199e2f91fd431d51", // Red Hat, release key 2: https://access.redhat.com/security/team/key
        "5054e4a45a6340b3", // Red Hat, auxiliary key 3
        "05b555b38483c65d", // CentOS 8: https://www.centos.org/keys/
        "24c6a8a7f4a80eb5", // CentOS 7
    ];

    static readonly string[] ThirdPartyKeys =
    [
        "6a2faea2352c64e5", // EPEL 7: https://fedoraproject.org/security/
        "21ea45ab2f86d6a1", // EPEL 8
        "8a3872bf3228467c", // EPEL 9
        "c52feb6b621e9f35", // Docker: https://docs.docker.com/engine/install/centos/
    ];

    // Beginnings of the ids that these publishers' own instructions give their repositories.
    static readonly string[] ThirdPartyRepositories =
    [
        "epel", "docker-ce", "remi", "rpmfusion", "elrepo", "ius", "nodesource", "nodejs", "pgdg", "copr:", "google-chrome", "google-cloud",
        "packages-microsoft-com", "microsoft-", "kubernetes", "hashicorp", "gitlab", "mariadb", "mysql", "nginx-", "grafana", "zabbix", "percona",
        "elastic", "mongodb-org", "datadog", "influxdata", "jenkins", "rabbitmq", "puppet", "nvidia", "cuda-", "webmin", "plesk", "cpanel",
    ];

    static readonly string[] ThirdPartyVersions = ["nodesource", "+deb.sury.org", "~ppa", "+ppa", ".pgdg", "~mariadb"];

    static readonly string[] ThirdPartyMaintainers =
    [
        "Docker <", "NodeSource", "Google LLC", "Chrome Linux Team", "Microsoft", "HashiCorp", "Grafana Labs", "GitLab", "Kubernetes Authors",
        "MariaDB Developers", "Elastic", "MongoDB", "NVIDIA", "Zabbix", "Percona", "InfluxData", "Datadog",
        // "Puppet Package Maintainers" are Debian's.
        "Puppet Labs", "Puppet, Inc", "Puppet Inc", "Puppet Release",
    ];

    public static Family? FamilyOf(OsRelease os)
    {
        foreach (var family in Families)
        {
            if (family.Systems.Contains(os.Id, StringComparer.OrdinalIgnoreCase)) return family;
        }

        return null;
    }

    /// <param name="family">Null: nothing is known of who builds for the system.</param>
    public static bool IsThirdParty(Package package, Family? family) => package.Manager switch
    {
        PackageManager.Rpm => IsThirdPartyRpm(package, family),
        PackageManager.Dpkg => HasAny(package.Version, ThirdPartyVersions) || HasAny(package.Release, ThirdPartyVersions)
            || StartsWithAny(package.Vendor, ThirdPartyMaintainers),
        _ => false,
    };

    static bool IsThirdPartyRpm(Package package, Family? family)
    {
        var key = package.Rpm?.Signature?.KeyId;
        if (family is not null && package.Vendor is { Length: > 0 } vendor)
        {
            if (StartsWithAny(vendor, family.Vendors)) return false;
            return key is null || !HasKey(OwnKeys, key);
        }

        if (key is not null)
        {
            if (HasKey(OwnKeys, key)) return false;
            if (HasKey(ThirdPartyKeys, key)) return true;
        }

        // Its CPEs say that the repository is Red Hat's; a guessed repository says nothing about the package.
        return package.Repository is { Id.Length: > 0, Cpes.Count: 0, IsGuess: false } repository && StartsWithAny(repository.Id, ThirdPartyRepositories);
    }

    // Key ids are written with 16 digits, or with the whole fingerprint that they end.
    static bool HasKey(string[] keys, string key)
    {
        foreach (var known in keys)
        {
            if (key.EndsWith(known, StringComparison.OrdinalIgnoreCase)) return true;
        }

        return false;
    }

    static bool HasAny(string text, string[] parts)
    {
        foreach (var part in parts)
        {
            if (text.Contains(part, StringComparison.Ordinal)) return true;
        }

        return false;
    }

    static bool StartsWithAny(string? text, string[] beginnings)
    {
        if (string.IsNullOrEmpty(text)) return false;
        foreach (var beginning in beginnings)
        {
            if (text.StartsWith(beginning, StringComparison.OrdinalIgnoreCase)) return true;
        }

        return false;
    }

    /// <summary>Systems that install each other's packages, and the beginnings of what their builders write as VENDOR.</summary>
    internal sealed record Family(string[] Systems, string[] Vendors);
}
