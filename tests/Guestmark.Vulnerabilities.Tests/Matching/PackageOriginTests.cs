using Guestmark.Inventory;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Packages that did not come from the distribution, and what else is not matched.</summary>
public class PackageOriginTests
{
    static readonly OsRelease Debian12 = new("debian", "12", "");
    static readonly OsRelease CentOs8 = new("centos", "8", "");

    static readonly AdvisoryDatabase Database = Databases.Of(
        Advisory("ALSA-1", "AlmaLinux:8", "nginx"), Advisory("DSA-1", "Debian:12", "nodejs"), Advisory("GHSA-1", "PyPI", "requests"));

    [Theory]
    [InlineData("AlmaLinux", true)]
    [InlineData("CentOS", true)]
    [InlineData("Red Hat, Inc.", true)]
    [InlineData("Rocky Enterprise Software Foundation", true)]
    [InlineData("Oracle America", true)]
    [InlineData(null, true)]
    [InlineData("", true)]
    [InlineData("Fedora Project", false)]
    [InlineData("Docker", false)]
    [InlineData("Remi's RPM repository", false)]
    public void An_rpm_of_another_vendor_is_not_matched(string? vendor, bool matched) =>
        Says(matched ? MatchOutcome.Matched : MatchOutcome.ThirdParty, AlmaLinux8, Rpm("nginx", "1-1.el8") with { Vendor = vendor });

    [Theory]
    [InlineData("epel", false)]
    [InlineData("docker-ce-stable", false)]
    [InlineData("copr:copr.fedorainfracloud.org:someone:nginx", false)]
    [InlineData("baseos", true)]
    [InlineData("appstream", true)]
    [InlineData("anaconda", true)]
    [InlineData("@System", true)]
    [InlineData("Some_Organization_AlmaLinux_8_BaseOS", true)]
    public void Where_no_vendor_is_known_the_repository_tells(string repository, bool matched) =>
        Says(matched ? MatchOutcome.Matched : MatchOutcome.ThirdParty, AlmaLinux8, Rpm("nginx", "1-1.el8") with
        {
            Repository = new PackageRepository(repository, RepositoryEvidence.DnfHistory, [], "no mapping"),
        });

    [Fact]
    public void The_vendor_counts_more_than_the_repository()
    {
        var mirror = new PackageRepository("epel", RepositoryEvidence.DnfHistory, [], "no mapping");
        Says(MatchOutcome.Matched, AlmaLinux8, Rpm("nginx", "1-1.el8") with { Vendor = "AlmaLinux", Repository = mirror });
    }

    [Theory]
    [InlineData("18.19.0+dfsg-6", "Debian Javascript Maintainers <pkg-javascript-devel@lists.alioth.debian.org>", true)]
    [InlineData("18.19.0-1nodesource1", "Debian Javascript Maintainers <pkg-javascript-devel@lists.alioth.debian.org>", false)]
    [InlineData("18.19.0-1+deb.sury.org~jammy+1", null, false)]
    [InlineData("18.19.0-1~ppa1", null, false)]
    [InlineData("18.19.0-1", "Docker <support@docker.com>", false)]
    [InlineData("18.19.0-1", "Puppet Package Maintainers <pkg-puppet-devel@alioth-lists.debian.net>", true)]
    [InlineData("18.19.0-1", "Puppet Labs <info@puppetlabs.com>", false)]
    [InlineData("18.19.0-1", null, true)]
    public void A_Debian_package_is_known_by_its_version_and_maintainer(string version, string? maintainer, bool matched) =>
        Says(matched ? MatchOutcome.Matched : MatchOutcome.ThirdParty, Debian12, Rpm("nodejs", version) with { Manager = PackageManager.Dpkg, Vendor = maintainer });

    [Fact]
    public void Language_packages_meet_only_advisories_of_their_language()
    {
        var python = Rpm("requests", "1.0") with { Manager = PackageManager.PyPI };
        Says(MatchOutcome.Matched, AlmaLinux8, python, "GHSA-1");
        Says(MatchOutcome.Matched, OsRelease.Unknown, python with { Name = "Requests" }, "GHSA-1");
        // A Python distribution with the name of an rpm, as "rpm" itself is.
        Says(MatchOutcome.Matched, AlmaLinux8, python with { Name = "nginx" }, null);
        Says(MatchOutcome.LanguageNotCovered, AlmaLinux8, python with { Manager = PackageManager.Npm });
    }

    [Fact]
    public void What_was_not_matched_is_counted_by_reason()
    {
        var machine = new Matcher(Database).For(AlmaLinux8);
        var findings = new List<Finding>();
        Package[] packages =
        [
            Rpm("nginx", "1-1.el8"), Rpm("other", "1-1.el8"), Rpm("nginx", "1-1.el8") with { Vendor = "Docker" }, Rpm("gpg-pubkey", "1-1"),
            Rpm("nginx", "1-1.el8") with { Architecture = "src" }, Rpm("nginx", "1-1") with { Manager = PackageManager.Dpkg },
            Rpm("left-pad", "1") with { Manager = PackageManager.Npm },
        ];
        foreach (var package in packages) machine.Match(package, findings);
        var summary = machine.Summary;
        Assert.Equal((7, 2), (summary.Packages, summary.Matched));
        Assert.Equal(2, summary.Count(MatchOutcome.NotSoftware));
        Assert.Equal(1, summary.Count(MatchOutcome.ThirdParty));
        Assert.Equal(1, summary.Count(MatchOutcome.OtherManager));
        Assert.Equal(1, summary.Count(MatchOutcome.LanguageNotCovered));
        Assert.Single(findings);

        Says(MatchOutcome.SystemNotCovered, CentOs8, Rpm("nginx", "1-1.el8"));
        Says(MatchOutcome.SystemNotCovered, new OsRelease("almalinux", "7", ""), Rpm("nginx", "1-1.el7"));
        Says(MatchOutcome.ProductNotCovered, new OsRelease("rhel", "9", ""), Rpm("nginx", "1-1.el9") with
        {
            Repository = new PackageRepository("rhel-9", RepositoryEvidence.DnfHistory, ["cpe:/o:redhat:enterprise_linux:9::baseos"], null),
        });
    }

    static void Says(MatchOutcome expected, OsRelease os, Package package, string? advisory = "")
    {
        var findings = new List<Finding>();
        Assert.Equal(expected, new Matcher(Database).For(os).Match(package, findings));
        if (advisory is "") Assert.Equal(expected == MatchOutcome.Matched ? 1 : 0, findings.Count);
        else Assert.Equal(advisory is null ? [] : [advisory], findings.Select(finding => finding.AdvisoryId));
    }

    static Advisory Advisory(string id, string product, string name) => new()
    {
        Feed = FeedName.Osv,
        Id = id,
        Cves = ["CVE-2024-1"],
        Statements =
        [
            new PackageStatement
            {
                Product = product,
                Name = name,
                Naming = product.StartsWith("Debian", StringComparison.Ordinal) ? PackageNaming.Source : PackageNaming.Binary,
                Intervals = [VersionInterval.FixedIn("99")],
            },
        ],
    };
}
