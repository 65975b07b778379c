using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.Inventory;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

public class MatcherTests
{
    static readonly OsRelease Debian12 = new("debian", "12", "Debian GNU/Linux 12 (bookworm)");
    static readonly OsRelease Rocky9 = new("rocky", "9.4", "");

    [Theory]
    [InlineData("0.9-1", false)]
    [InlineData("1.0-1", true)]
    [InlineData("1.9-1", true)]
    [InlineData("2.0-1", false)]
    [InlineData("2.9-1", false)]
    [InlineData("3.0-1", true)]
    [InlineData("3.5-1", true)]
    [InlineData("3.6-1", false)]
    [InlineData("4.0-1", true)]
    [InlineData("9999-1", true)]
    public void A_range_of_several_intervals_is_evaluated_in_version_order(string version, bool affected)
    {
        var database = Osv.Database(Osv.Document("TEST-1", "AlmaLinux:8", "p",
            ("introduced", "4.0-1"), ("introduced", "1.0-1"), ("fixed", "2.0-1"), ("introduced", "3.0-1"), ("last_affected", "3.5-1")));
        Assert.Equal(affected, Match(database, AlmaLinux8, Rpm("p", version)).Count == 1);
    }

    [Fact]
    public void Evidence_says_how_an_interval_ends()
    {
        var database = Osv.Database(
            Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "1.0-1"), ("last_affected", "2.0-1")),
            Osv.Document("TEST-2", "AlmaLinux:8", "p", ("introduced", "0")));
        var findings = Match(database, AlmaLinux8, Rpm("p", "2.0-1"));
        Assert.Equal(["introduced 1.0-1, last affected 2.0-1", "introduced 0, no fix"], findings.Select(finding => finding.Evidence.Range));
        Assert.Equal(["2.0-1 <= 2.0-1 by rpm", "2.0-1 >= 0 by rpm"], findings.Select(finding => finding.Evidence.Comparison));
        Assert.All(findings, finding => Assert.Null(finding.FixedVersion));
    }

    [Fact]
    public void A_missing_epoch_is_zero()
    {
        var database = Osv.Database(Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "1:1.0-1")));
        Assert.Single(Match(database, AlmaLinux8, Rpm("p", "2.0-1")));
        Assert.Empty(Match(database, AlmaLinux8, Rpm("p", "1:2.0-1")));
    }

    [Fact]
    public void Listed_versions_count_where_there_is_no_range()
    {
        var document = Osv.Document("TEST-1", "Debian:12", "p");
        var affected = document["affected"]![0]!.AsObject();
        affected.Remove("ranges");
        affected["versions"] = new JsonArray("1.0-1", "1.0-3");
        var database = Osv.Database(document);
        Assert.Equal("exactly 1.0-3", Assert.Single(Match(database, Debian12, Deb("p", "1.0-3"))).Evidence.Range);
        Assert.Empty(Match(database, Debian12, Deb("p", "1.0-2")));
    }

    [Fact]
    public void Debian_is_matched_by_source_package_and_its_version()
    {
        var database = Osv.Database(Osv.Document("DSA-1-1", "Debian:12", "src", ("introduced", "0"), ("fixed", "1.0-1+deb12u1")));
        var finding = Assert.Single(Match(database, Debian12, Deb("bin", "7:3.0-1") with { SourceName = "src", SourceVersion = "1.0-1" }));
        Assert.Equal("7:3.0-1", finding.InstalledVersion);
        Assert.True(finding.Evidence.MatchedBySourcePackage);
        Assert.Equal("src", finding.Evidence.MatchedPackage);
        Assert.Equal("1.0-1 < 1.0-1+deb12u1 by dpkg", finding.Evidence.Comparison);

        Assert.False(Assert.Single(Match(database, Debian12, Deb("src", "1.0-1"))).Evidence.MatchedBySourcePackage);
        Assert.Empty(Match(database, Debian12, Deb("src", "7:3.0-1") with { SourceName = "other", SourceVersion = "1.0-1" }));
    }

    [Theory]
    [InlineData("linux-signed-amd64", "linux", "6.1.55+1")]
    [InlineData("linux-signed-6.1-arm64", "linux-6.1", "6.1.55+1")]
    [InlineData("linux-signed-hwe-6.5", "linux-hwe-6.5", "6.1.55-1")]
    [InlineData("linux-signed", "linux", "6.1.55-1")]
    public void A_signed_kernel_has_the_advisories_of_its_sources(string source, string advised, string sourceVersion)
    {
        var database = Osv.Database(Osv.Document("DSA-1-1", "Debian:12", advised, ("introduced", "0"), ("fixed", "6.1.55-2")));
        var image = Deb("linux-image-6.1.0-13-amd64", "6.1.55-1") with { SourceName = source, SourceVersion = sourceVersion };
        var finding = Assert.Single(Match(database, Debian12, image));
        Assert.Equal("6.1.55-1 < 6.1.55-2 by dpkg", finding.Evidence.Comparison);
        Assert.Empty(Match(database, Debian12, image with { Version = "6.1.55", Release = "2", SourceVersion = "6.1.55+2" }));
    }

    [Fact]
    public void AlmaLinux_is_matched_by_binary_package()
    {
        var database = Osv.Database(Osv.Document("TEST-1", "AlmaLinux:8", "src", ("introduced", "0"), ("fixed", "2-1")));
        Assert.Empty(Match(database, AlmaLinux8, Rpm("bin", "1-1") with { SourceName = "src", SourceVersion = "1-1" }));
        Assert.Single(Match(database, AlmaLinux8, Rpm("src", "1-1") with { SourceName = "other", SourceVersion = "1-1" }));
    }

    [Fact]
    public void The_epoch_that_a_source_rpm_does_not_name_is_not_compared()
    {
        // perl-Carp 1.50 of perl-5.32.1-480.el9.src.rpm, where perl's packages have epoch 4.
        var database = Osv.Database(Osv.Document("TEST-1", "Rocky Linux:9", "perl", ("introduced", "0"), ("fixed", "4:5.32.1-480.el9")));
        var package = Rpm("perl-Carp", "1.50-460.el9") with { SourceName = "perl", SourceVersion = "5.32.1-480.el9" };
        Assert.Empty(Match(database, Rocky9, package));
        var finding = Assert.Single(Match(database, Rocky9, package with { SourceVersion = "5.32.1-479.el9" }));
        Assert.Equal("5.32.1-479.el9 < 4:5.32.1-480.el9 by rpm without epoch", finding.Evidence.Comparison);

        // The package's own version, used where the source's is unknown, has its epoch.
        Assert.Single(Match(database, Rocky9, package with { SourceVersion = null, Version = "9" }));
        Assert.Empty(Match(database, Rocky9, package with { SourceVersion = null, Version = "9", Epoch = 4 }));
    }

    [Fact]
    public void A_package_of_another_manager_is_not_matched()
    {
        var database = Osv.Database(Osv.Document("TEST-1", "Debian:12", "p", ("introduced", "0")));
        Assert.Empty(Match(database, Debian12, Rpm("p", "1-1")));
        Assert.Single(Match(database, Debian12, Deb("p", "1-1")));
    }

    [Theory]
    [InlineData("almalinux", "8.10", "AlmaLinux:8")]
    [InlineData("almalinux", "10", "AlmaLinux:10")]
    [InlineData("rocky", "9.4", "Rocky Linux:9")]
    [InlineData("debian", "12", "Debian:12")]
    [InlineData("ubuntu", "22.04", "Ubuntu:22.04:LTS")]
    [InlineData("ubuntu", "23.04", "Ubuntu:23.04")]
    [InlineData("ubuntu", "24.10", "Ubuntu:24.10")]
    public void A_machine_is_in_the_ecosystem_of_its_release(string id, string version, string ecosystem)
    {
        var database = Osv.Database(Osv.Document("TEST-1", ecosystem, "p", ("introduced", "0")));
        Assert.True(database.Covers(new OsRelease(id, version, "")));
        var package = ecosystem.Contains("inux:", StringComparison.Ordinal) ? Rpm("p", "1-1") : Deb("p", "1-1");
        Assert.Equal(ecosystem, Assert.Single(Match(database, new OsRelease(id, version, ""), package)).Evidence.Ecosystem);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("debian", "")]
    [InlineData("debian", "1")]
    [InlineData("debian", "120")]
    [InlineData("ubuntu", "04")]
    [InlineData("ubuntu", ".04")]
    public void An_unknown_release_is_in_none(string id, string version) =>
        Assert.False(Osv.Database(Osv.Document("TEST-1", "Debian:12", "p", ("introduced", "0"))).Covers(new OsRelease(id, version, "")));

    [Fact]
    public void A_release_of_any_length_is_harmless()
    {
        var database = Osv.Database(Osv.Document("TEST-1", "Debian:12", "p", ("introduced", "0")));
        Assert.False(database.Covers(new OsRelease("debian", new string('1', 10_000), "")));
        Assert.Single(Match(database, Debian12, Deb("p", new string('1', 10_000))));
    }

    [Fact]
    public void A_modular_advisory_that_names_no_stream_applies_to_its_version_line()
    {
        var database = Osv.Database(Osv.Document("TEST-1", "AlmaLinux:8", "ruby", ("introduced", "0"), ("fixed", "2.7.9-1.module_el8.10.0+1+a")));
        Assert.Single(Match(database, AlmaLinux8, Rpm("ruby", "2.7.1-1.module_el8.6.0+1+a", "ruby:2.7:1:a")));
        Assert.Empty(Match(database, AlmaLinux8, Rpm("ruby", "2.5.1-1.module_el8.6.0+1+a", "ruby:2.5:1:a")));
        Assert.Empty(Match(database, AlmaLinux8, Rpm("ruby", "2.7.1-1.el8")));
    }

    [Fact]
    public void A_summary_may_name_two_streams()
    {
        var database = Osv.Database(Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "2-1.module_el8.10.0+1+a"))
            .With("summary", "Moderate: virt:rhel and virt-devel:rhel security update, see ALSA-2022:0123"));
        Assert.Single(Match(database, AlmaLinux8, Rpm("p", "1-1.module_el8.6.0+1+a", "virt:rhel:1:a")));
        Assert.Single(Match(database, AlmaLinux8, Rpm("p", "1-1.module_el8.6.0+1+a", "virt-devel:rhel:1:a")));
        Assert.Empty(Match(database, AlmaLinux8, Rpm("p", "1-1.module_el8.6.0+1+a", "virt:8.2:1:a")));
        Assert.Empty(Match(database, AlmaLinux8, Rpm("p", "1-1.module_el8.6.0+1+a", "ALSA-2022:0123:1:a")));
    }

    [Fact]
    public void Findings_change_only_with_the_version_of_the_rules()
    {
        var database = Osv.Database(
            Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "1:2.0-3.el8")).With("details", "text"),
            Osv.Document("TEST-2", "AlmaLinux:8", "p", ("introduced", "1.0-1"), ("last_affected", "2.0-2"), ("introduced", "3.0-1")),
            Osv.Document("TEST-3", "AlmaLinux:8", "ruby", ("introduced", "0"), ("fixed", "2.7.9-1.module_el8.10.0+1+a")),
            Osv.Document("TEST-4", "AlmaLinux:8", "node", ("introduced", "0"), ("fixed", "18.2-1.module_el8.10.0+1+a"))
                .With("summary", "Low: node:18 security update")
                .With("severity", new JsonArray(new JsonObject { ["type"] = "CVSS_V3", ["score"] = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" })),
            Osv.Document("TEST-5", "Rocky Linux:9", "perl", ("introduced", "0"), ("fixed", "4:5.32.1-480.el9")),
            Osv.Document("TEST-6", "Debian:12", "src", ("introduced", "0"), ("fixed", "1.0-1+deb12u1")),
            Osv.Document("TEST-7", "Ubuntu:22.04:LTS", "src", ("introduced", "0")));
        string[] versions = ["0.9-1.el8", "1:2.0-2.el8", "2.0-2", "2.0~rc1-1", "3.0^git1-1", "1.0-1+deb12u1", "5.32.1-479.el9", "4:9-1"];
        Package[] modular = [
            Rpm("ruby", "2.7.1-1.module_el8.6.0+1+a", "ruby:2.7:1:a"), Rpm("ruby", "2.5.1-1.module_el8.6.0+1+a"), Rpm("ruby", "2.7.1-1.el8"),
            Rpm("node", "18.1-1.module_el8.6.0+1+a", "node:18:1:a"), Rpm("node", "18.1-1.module_el8.6.0+1+a", "node:20:1:a"), Rpm("node", "18.1-1.module_el8.6.0+1+a")];
        string[] names = ["p", "src", "perl"];
        var packages = names.SelectMany(name => versions.SelectMany(version => (Package[])[
            Rpm(name, version), Deb(name, version), Rpm("bin", version) with { SourceName = name, SourceVersion = version },
            Deb("bin", version) with { SourceName = name, SourceVersion = version }])).Concat(modular).ToList();
        OsRelease[] systems = [AlmaLinux8, Rocky9, Debian12, new("ubuntu", "22.04", ""), new("plan9", "4", "")];
        var findings = new StringBuilder();
        foreach (var os in systems)
        {
            foreach (var package in packages)
            {
                foreach (var finding in Match(database, os, package)) findings.Append(package.Name).Append(' ').AppendLine(JsonSerializer.Serialize(finding));
            }
        }

        AddRedHat(findings);

        // When this fails and the change of the findings is meant, raise the version and write the new digest here. A change of the import
        // alone needs no new version: it changes the content of the database, and so the revision.
        Assert.Equal((3, "b4bbb76d2f52dc7a"), (Matcher.RulesVersion, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(findings.ToString())))[..16]));
    }

    static void AddRedHat(StringBuilder findings)
    {
        const string main = "Red Hat:enterprise_linux:9";
        var fix = new PackageStatement { Product = main, Name = "p", Intervals = [VersionInterval.FixedIn("2-1.el9_2")], Erratum = "RHSA-1" };
        var unfixed = new PackageStatement { Product = main, Name = "p", Naming = PackageNaming.Either, Status = ProductStatus.WillNotFix, Remark = "because" };
        PackageStatement[][] documents =
        [
            [fix, fix with { Intervals = [VersionInterval.FixedIn("3-1.el9_3")] }],
            [fix with { Product = "Red Hat:rhel_eus:9.2" }, unfixed],
            [unfixed with { Product = "Red Hat:rhel_eus:9.2", Status = ProductStatus.FixDeferred }, fix],
            [unfixed with { Status = ProductStatus.NotAffected, Justification = "component_not_present" }, unfixed],
            [unfixed with { Modules = ["m:1"] }, fix with { Name = "m:1", Naming = PackageNaming.Module, Intervals = [VersionInterval.FixedIn("1-9020020240101000000.a")] }],
            [fix with { Architectures = ["aarch64"], Severity = Severity.Low, CvssScore = 1.5, CvssVector = "v" }],
        ];
        var database = Databases.Of(
        [
            .. documents.Select((statements, i) => new Advisory { Feed = FeedName.RedHatVex, Id = $"CVE-{i}", Cves = [$"CVE-{i}"], Severity = Severity.Moderate, Statements = statements }),
            new Advisory { Feed = FeedName.Osv, Id = "RHSA-1", Cves = ["CVE-0", "CVE-9"], Statements = [fix] },
        ]);
        string[] cpes = ["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/a:redhat:rhel_eus:9.2::appstream", "cpe:/a:redhat:rhel_eus:9.4::appstream", ""];
        foreach (var cpe in cpes)
        {
            foreach (var version in (string[])["1-1.el9", "2-1.el9_2", "2-2.el9_3", "3-1.el9_3"])
            {
                foreach (var label in (string?[])[null, "m:1:9020020230101000000:a", "m:1:9020020240101000000:a", "m:2:9020020230101000000:a"])
                {
                    var package = Rpm("p", version, label) with
                    {
                        Architecture = label is null ? "aarch64" : "x86_64",
                        Repository = cpe.Length == 0 ? null : new PackageRepository("repository", RepositoryEvidence.DnfHistory, [cpe], null),
                    };
                    foreach (var finding in Match(database, new OsRelease("rhel", "9.2", ""), package)) findings.Append(version).AppendLine(JsonSerializer.Serialize(finding));
                }
            }
        }
    }

    static Package Deb(string name, string version) => Rpm(name, version) with { Manager = PackageManager.Dpkg };
}
