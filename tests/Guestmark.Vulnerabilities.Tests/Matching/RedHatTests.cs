using Guestmark.Inventory;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Red Hat's rules for scanners, over documents made here.</summary>
public class RedHatTests
{
    const string BaseOs9 = "cpe:/o:redhat:enterprise_linux:9::baseos";
    const string AppStream9 = "cpe:/a:redhat:enterprise_linux:9::appstream";
    const string Main9 = "Red Hat:enterprise_linux:9";
    const string Eus92 = "Red Hat:rhel_eus:9.2";

    static readonly OsRelease Rhel92 = new("rhel", "9.2", "");
    static readonly OsRelease Rhel101 = new("rhel", "10.1", "");

    [Theory]
    [InlineData(BaseOs9)]
    [InlineData(AppStream9)]
    public void The_channel_and_part_of_a_CPE_are_not_compared(string cpe)
    {
        var database = Databases.Of(Vex(Unfixed(Main9, "curl") with { Cpe = "cpe:/o:redhat:enterprise_linux:9" }));
        var finding = Assert.Single(Match(database, Rhel92, From(Rpm("curl", "7.76.1-14.el9"), cpe)));
        Assert.Equal(ProductStatus.Affected, finding.Status);
        Assert.Equal(Main9, finding.Evidence.Ecosystem);
        Assert.Equal("cpe:/o:redhat:enterprise_linux:9", finding.Evidence.Cpe);
        Assert.Equal(cpe, finding.Evidence.RepositoryCpe);
        Assert.Equal("some-repository", finding.Evidence.Repository);
        Assert.False(finding.Evidence.IsGuess);
    }

    [Fact]
    public void Without_a_CPE_the_release_is_the_guess_and_the_evidence_says_so()
    {
        var database = Databases.Of(Vex(Unfixed(Main9, "curl")));
        var finding = Assert.Single(Match(database, Rhel92, Rpm("curl", "7.76.1-14.el9")));
        Assert.True(finding.Evidence.IsGuess);
        Assert.Null(finding.Evidence.RepositoryCpe);
    }

    [Fact]
    public void A_guessed_repository_is_told_from_a_known_one()
    {
        var database = Databases.Of(Vex(Unfixed(Main9, "curl")));
        var package = Rpm("curl", "7.76.1-14.el9") with { Repository = new PackageRepository("baseos", RepositoryEvidence.BaseUrl, [BaseOs9], null) };
        Assert.True(Assert.Single(Match(database, Rhel92, package)).Evidence.IsGuess);
    }

    [Theory]
    // The stream decides when it says something final.
    [InlineData("7.76.1-22.el9_2", "7.76.1-23.el9_2.4", "7.76.1-26.el9_3.2", "fix 7.76.1-23.el9_2.4")]
    [InlineData("7.76.1-23.el9_2.4", "7.76.1-23.el9_2.4", "7.76.1-26.el9_3.2", "")]
    [InlineData("7.76.1-23.el9_2.4", "7.76.1-23.el9_2.4", "unfixed", "")]
    [InlineData("7.76.1-22.el9_2", "not affected", "7.76.1-26.el9_3.2", "")]
    // It says nothing, or that it is not fixed: the main stream is looked at.
    [InlineData("7.76.1-22.el9_2", null, "7.76.1-26.el9_3.2", "elsewhere 7.76.1-26.el9_3.2")]
    [InlineData("7.76.1-22.el9_2", "unfixed", "7.76.1-26.el9_3.2", "elsewhere 7.76.1-26.el9_3.2")]
    [InlineData("7.76.1-27.el9_3", null, "7.76.1-26.el9_3.2", "")]
    [InlineData("7.76.1-27.el9_3", "unfixed", "7.76.1-26.el9_3.2", "")]
    [InlineData("7.76.1-22.el9_2", null, "unfixed", "unfixed")]
    [InlineData("7.76.1-22.el9_2", "unfixed", "unfixed", "unfixed")]
    [InlineData("7.76.1-22.el9_2", "unfixed", null, "unfixed")]
    [InlineData("7.76.1-22.el9_2", "unfixed", "not affected", "unfixed")]
    [InlineData("7.76.1-22.el9_2", null, "not affected", "")]
    [InlineData("7.76.1-22.el9_2", null, null, "")]
    public void A_stream_of_extended_updates_decides_before_the_main_stream(string installed, string? stream, string? main, string expected)
    {
        var statements = new List<PackageStatement> { Fixed("Red Hat:other:1", "curl", "1-1") };
        if (stream is not null) statements.Add(Says(Eus92, stream));
        if (main is not null) statements.Add(Says(Main9, main) with { Erratum = "RHSA-2023:6745", ErratumUrl = "https://example.com/6745" });
        var database = Databases.Of(Vex([.. statements]), Vex(Fixed(Eus92, "other", "1-1")) with { Id = "CVE-2000-1" });
        var findings = Match(database, Rhel92, From(Rpm("curl", installed), "cpe:/o:redhat:rhel_eus:9.2::baseos"));
        if (expected.Length == 0)
        {
            Assert.Empty(findings);
            return;
        }

        var finding = Assert.Single(findings);
        if (expected.StartsWith("fix ", StringComparison.Ordinal))
        {
            Assert.Equal((ProductStatus.Fixed, expected[4..]), (finding.Status, finding.FixedVersion));
        }
        else
        {
            Assert.Equal((ProductStatus.Affected, null), (finding.Status, finding.FixedVersion));
            var elsewhere = expected.StartsWith("elsewhere ", StringComparison.Ordinal);
            Assert.Equal(elsewhere ? $"not fixed in this stream; fixed in the main stream by RHSA-2023:6745 in {expected[10..]}" : null, finding.Remark);
            Assert.Equal(elsewhere ? "RHSA-2023:6745" : main == "unfixed" && stream is null ? "RHSA-2023:6745" : null, finding.Erratum);
        }

        static PackageStatement Says(string product, string what) => what switch
        {
            "unfixed" => Unfixed(product, "curl"),
            "not affected" => Unfixed(product, "curl") with { Status = ProductStatus.NotAffected },
            _ => Fixed(product, "curl", what),
        };
    }

    [Fact]
    public void Of_a_repository_of_several_minor_releases_the_one_of_the_machine_counts()
    {
        // rhel-9-for-x86_64-baseos-eus-rpms is 9.0, 9.2, 9.4 and 9.6 in Red Hat's mapping.
        string[] cpes = ["cpe:/o:redhat:rhel_eus:9.0::baseos", "cpe:/o:redhat:rhel_eus:9.2::baseos", "cpe:/o:redhat:rhel_eus:9.4::baseos"];
        var database = Databases.Of(Vex(
            Fixed("Red Hat:rhel_eus:9.0", "curl", "7.76.1-14.el9_0.9"), Fixed(Eus92, "curl", "7.76.1-23.el9_2.4"),
            Fixed("Red Hat:rhel_eus:9.4", "curl", "7.76.1-29.el9_4")));
        Assert.Empty(Match(database, Rhel92, From(Rpm("curl", "7.76.1-23.el9_2.4"), cpes)));
        var finding = Assert.Single(Match(database, Rhel92, From(Rpm("curl", "7.76.1-23.el9_2.3"), cpes)));
        Assert.Equal("7.76.1-23.el9_2.4", finding.FixedVersion);
        Assert.Equal("cpe:/o:redhat:rhel_eus:9.2::baseos", finding.Evidence.RepositoryCpe);
    }

    [Fact]
    public void Of_releases_that_may_all_apply_vulnerable_in_one_is_vulnerable()
    {
        // The machine's own 9.3 is none of the repository's.
        string[] cpes = ["cpe:/o:redhat:rhel_eus:9.0::baseos", "cpe:/o:redhat:rhel_eus:9.4::baseos"];
        var database = Databases.Of(Vex(
            Unfixed("Red Hat:rhel_eus:9.0", "curl") with { Status = ProductStatus.NotAffected }, Unfixed("Red Hat:rhel_eus:9.4", "curl")));
        var finding = Assert.Single(Match(database, new OsRelease("rhel", "9.3", ""), From(Rpm("curl", "7.76.1-26.el9"), cpes)));
        Assert.Equal("Red Hat:rhel_eus:9.4", finding.Evidence.Ecosystem);
    }

    [Fact]
    public void What_has_no_fix_in_a_layered_product_is_said_of_its_major_version()
    {
        var package = From(Rpm("puppetserver", "7.9-1.el8sat"), "cpe:/a:redhat:satellite:6.13::el8");
        var rhel = new OsRelease("rhel", "8.8", "");
        var finding = Assert.Single(Match(Databases.Of(Vex(Unfixed("Red Hat:satellite:6", "puppetserver"))), rhel, package));
        Assert.Equal("cpe:/a:redhat:satellite:6.13::el8", finding.Evidence.RepositoryCpe);
        Assert.Empty(Match(Databases.Of(Vex(Fixed("Red Hat:satellite:6.13", "puppetserver", "7.9-1.el8sat"), Unfixed("Red Hat:satellite:6", "puppetserver"))), rhel, package));
        Assert.Empty(Match(Databases.Of(Vex(Unfixed("Red Hat:satellite:60", "puppetserver"))), rhel, package));
    }

    [Theory]
    [InlineData("8.4.0-2.el7jbcs", "")]
    [InlineData("8.4.0-1.el7jbcs", "8.4.0-2.el7jbcs")]
    [InlineData("8.4.0-2.el8jbcs", "")]
    [InlineData("8.4.0-1.el8jbcs", "8.4.0-2.el8jbcs")]
    public void Of_builds_for_several_major_releases_that_of_the_installed_one_decides(string installed, string fix)
    {
        const string product = "Red Hat:jboss_core_services:1";
        var database = Databases.Of(Vex(Fixed(product, "jbcs-httpd24-curl", "8.4.0-2.el7jbcs"), Fixed(product, "jbcs-httpd24-curl", "8.4.0-2.el8jbcs")));
        var findings = Match(database, new OsRelease("rhel", "7.9", ""), From(Rpm("jbcs-httpd24-curl", installed), "cpe:/a:redhat:jboss_core_services:1::el7"));
        Assert.Equal(fix.Length > 0 ? [fix] : [], findings.Select(finding => finding.FixedVersion));
    }

    [Theory]
    [InlineData("7.76.1-23.el9_2.4", "")]
    [InlineData("7.76.1-23.el9_2.3", "7.76.1-23.el9_2.4")]
    [InlineData("7.76.1-26.el9_3.2", "")]
    // Newer than the fix of 9.2, and older than that of its own 9.3.
    [InlineData("7.76.1-26.el9_3.1", "7.76.1-26.el9_3.2")]
    [InlineData("7.76.1-26.el9", "7.76.1-26.el9_3.2")]
    [InlineData("7.76.1-29.el9_4", "")]
    [InlineData("7.76.1-19.el9", "7.76.1-26.el9_3.2")]
    public void Of_builds_for_several_minor_releases_that_of_the_installed_one_decides(string installed, string fix)
    {
        var database = Databases.Of(Vex(
            Fixed(Main9, "curl", "7.76.1-23.el9_2.4") with { Erratum = "RHSA-2023:5763" }, Fixed(Main9, "curl", "7.76.1-26.el9_3.2") with { Erratum = "RHSA-2023:6745" }));
        var findings = Match(database, Rhel92, From(Rpm("curl", installed), BaseOs9));
        Assert.Equal(fix.Length > 0 ? [fix] : [], findings.Select(finding => finding.FixedVersion));
        Assert.All(findings, finding => Assert.Equal(fix.Contains("el9_2", StringComparison.Ordinal) ? "RHSA-2023:5763" : "RHSA-2023:6745", finding.Erratum));
    }

    [Fact]
    public void Errata_of_one_CVE_for_several_minor_releases_are_decided_together()
    {
        var database = Databases.Of(
            Erratum("RHSA-2023:5763", Fixed(Main9, "curl", "7.76.1-23.el9_2.4")), Erratum("RHSA-2023:6745", Fixed(Main9, "curl", "7.76.1-26.el9_3.2")));
        Assert.Empty(Match(database, Rhel92, From(Rpm("curl", "7.76.1-23.el9_2.4"), BaseOs9)));
        Assert.Equal(["RHSA-2023:5763"], Ids(Match(database, Rhel92, From(Rpm("curl", "7.76.1-23.el9_2.3"), BaseOs9))));
    }

    [Fact]
    public void Modular_builds_of_several_minor_releases_are_told_apart()
    {
        var database = Databases.Of(Vex(
            Fixed("Red Hat:enterprise_linux:8", "nodejs", "1:18.20.2-1.module+el8.9.0+21767+537f34ee") with { Modules = ["nodejs:18"] },
            Fixed("Red Hat:enterprise_linux:8", "nodejs", "1:18.20.2-1.module+el8.10.0+30000+aaaaaaaa") with { Modules = ["nodejs:18"] }));
        var package = From(Rpm("nodejs", "1:18.20.2-1.module+el8.9.0+21767+537f34ee", "nodejs:18:8090020240401:a75119d5"), "cpe:/a:redhat:enterprise_linux:8::appstream");
        Assert.Empty(Match(database, new OsRelease("rhel", "8.9", ""), package));
    }

    [Theory]
    [InlineData("python39:3.9:8100020240826142629:d47b87a4", 0)]
    [InlineData("python39:3.9:8100020240826142628:d47b87a4", 1)]
    [InlineData("python39:3.9:8090020240826142629:d47b87a4", 1)]
    [InlineData("python39:3.9:8080020240902080505:63cd9eba", 0)]
    [InlineData("python39:3.9:8080020240902080504:63cd9eba", 1)]
    [InlineData("python38:3.8:8080020240902080504:63cd9eba", 0)]
    [InlineData("python39:3.9", 0)]
    public void A_module_is_compared_by_its_version_within_its_platform(string label, int findings)
    {
        var module = new PackageStatement { Product = "Red Hat:enterprise_linux:8", Name = "python39:3.9", Naming = PackageNaming.Module };
        var database = Databases.Of(Vex(
            module with { Intervals = [VersionInterval.FixedIn("3.9-8100020240826142629.d47b87a4")] },
            module with { Intervals = [VersionInterval.FixedIn("3.9-8080020240902080505.63cd9eba")] }));
        var found = Match(database, new OsRelease("rhel", "8.10", ""), From(
            Rpm("python39-libs", "3.9.19-1.module+el8.10.0+1+a", label), "cpe:/a:redhat:enterprise_linux:8::appstream"));
        Assert.Equal(findings, found.Count);
        Assert.All(found, finding => Assert.Equal("module", finding.Evidence.Naming));
        Assert.All(found, finding => Assert.EndsWith(" by module", finding.Evidence.Comparison));
    }

    [Fact]
    public void Not_affected_beats_affected_of_the_same_product()
    {
        var database = Databases.Of(Vex(
            Unfixed(Main9, "curl") with { Status = ProductStatus.NotAffected, Justification = "vulnerable_code_not_present" }, Unfixed(Main9, "curl")));
        var package = From(Rpm("curl", "1-1.el9"), BaseOs9);
        Assert.Empty(Match(database, Rhel92, package));

        var all = new List<Finding>();
        new Matcher(database, new MatchOptions { IncludeNotAffected = true }).Match(Rhel92, package, all);
        Assert.Equal((ProductStatus.NotAffected, "vulnerable_code_not_present"), (Assert.Single(all).Status, all[0].Justification));
    }

    [Fact]
    public void Errata_whose_CVEs_a_statement_of_the_vendor_covers_are_not_reported_beside_it()
    {
        var vex = Vex(Fixed(Main9, "curl", "2-1.el9"));
        var covered = Erratum("RHSA-1", Fixed(Main9, "curl", "2-1.el9"));
        var csaf = covered with { Feed = FeedName.Csaf };
        var other = Erratum("RHSA-2", Fixed(Main9, "curl", "3-1.el9")) with { Cves = ["CVE-2024-0001", "CVE-2024-0002"] };
        Assert.Equal(["CVE-2024-0001"], Ids(Match(Databases.Of(vex, covered, csaf), Rhel92, From(Rpm("curl", "1-1.el9"), BaseOs9))));
        Assert.Equal(["CVE-2024-0001", "RHSA-2"], Ids(Match(Databases.Of(vex, other), Rhel92, From(Rpm("curl", "1-1.el9"), BaseOs9))));
        // Ruled out by the statement, so that the erratum for another product key of the same package says nothing new.
        Assert.Empty(Match(Databases.Of(Vex(Unfixed(Main9, "curl") with { Status = ProductStatus.NotAffected }), covered), Rhel92, From(Rpm("curl", "1-1.el9"), BaseOs9)));
        // One advisory from two feeds is one finding.
        Assert.Equal([FeedName.Csaf], Match(Databases.Of(covered, csaf), Rhel92, From(Rpm("curl", "1-1.el9"), BaseOs9)).Select(finding => finding.Feed));
    }

    [Fact]
    public void Severity_and_score_of_the_product_come_before_those_of_the_document()
    {
        var document = Vex(
            Unfixed(Main9, "curl") with { Severity = Severity.Low, CvssScore = 3.7, CvssVector = "product" }, Unfixed(Main9, "wget"))
            with { Severity = Severity.Critical, CvssScore = 9.8, CvssVector = "document" };
        var database = Databases.Of(document);
        var own = Assert.Single(Match(database, Rhel92, From(Rpm("curl", "1-1"), BaseOs9)));
        Assert.Equal((Severity.Low, 3.7, "product"), (own.Severity, own.CvssScore, own.CvssVector));
        var general = Assert.Single(Match(database, Rhel92, From(Rpm("wget", "1-1"), BaseOs9)));
        Assert.Equal((Severity.Critical, 9.8, "document"), (general.Severity, general.CvssScore, general.CvssVector));
    }

    [Theory]
    [InlineData(ProductStatus.Affected)]
    [InlineData(ProductStatus.FixDeferred)]
    [InlineData(ProductStatus.WillNotFix)]
    [InlineData(ProductStatus.OutOfSupport)]
    [InlineData(ProductStatus.UnderInvestigation)]
    public void Every_status_without_a_fix_is_a_finding_of_its_own_kind(ProductStatus status)
    {
        var database = Databases.Of(Vex(Unfixed(Main9, "curl") with { Status = status, Remark = "why" }));
        var finding = Assert.Single(Match(database, Rhel92, From(Rpm("libcurl", "1-1.el9") with { SourceName = "curl", SourceVersion = "1-1.el9" }, BaseOs9)));
        Assert.Equal((status, "why", null, "either"), (finding.Status, finding.Remark, finding.FixedVersion, finding.Evidence.Naming));
        Assert.Equal("all versions", finding.Evidence.Range);
    }

    [Fact]
    public void An_installable_package_that_is_not_affected_is_not_found_by_its_source()
    {
        // Red Hat's own example for why its documents name installable packages: git-gui may have a flaw that git-core has not.
        var database = Databases.Of(Vex(
            Fixed(Main9, "git", "2.43.5-1.el9_4") with { Naming = PackageNaming.Source }, Fixed(Main9, "git-gui", "2.43.5-1.el9_4"),
            Unfixed(Main9, "git-core") with { Naming = PackageNaming.Binary, Status = ProductStatus.NotAffected }));
        Assert.Empty(Match(database, Rhel92, From(Git("git-core"), BaseOs9)));
        Assert.Single(Match(database, Rhel92, From(Git("git-gui"), BaseOs9)));
        Assert.Single(Match(database, Rhel92, From(Git("git-daemon"), BaseOs9)));

        static Package Git(string name) => Rpm(name, "2.39.1-1.el9") with { SourceName = "git", SourceVersion = "2.39.1-1.el9" };
    }

    [Fact]
    public void A_name_that_may_be_either_is_found_once()
    {
        var database = Databases.Of(Vex(Unfixed(Main9, "curl"), Unfixed(Main9, "libcurl")));
        Assert.Single(Match(database, Rhel92, From(Rpm("curl", "1-1.el9") with { SourceName = "curl", SourceVersion = "1-1.el9" }, BaseOs9)));
        Assert.Single(Match(database, Rhel92, From(Rpm("libcurl", "1-1.el9") with { SourceName = "curl", SourceVersion = "1-1.el9" }, BaseOs9)));
    }

    [Fact]
    public void Architectures_must_be_equal()
    {
        var database = Databases.Of(Vex(
            Fixed(Main9, "curl", "2-1") with { Architectures = ["aarch64", "x86_64"] }, Fixed(Main9, "data", "2-1") with { Architectures = ["noarch"] },
            Fixed(Main9, "any", "2-1")));
        Assert.Single(Match(database, Rhel92, From(Rpm("curl", "1-1"), BaseOs9)));
        Assert.Empty(Match(database, Rhel92, From(Rpm("curl", "1-1") with { Architecture = "i686" }, BaseOs9)));
        // A regular expression would find it in x86_64.
        Assert.Empty(Match(database, Rhel92, From(Rpm("curl", "1-1") with { Architecture = "x86" }, BaseOs9)));
        Assert.Empty(Match(database, Rhel92, From(Rpm("curl", "1-1") with { Architecture = "noarch" }, BaseOs9)));
        Assert.Single(Match(database, Rhel92, From(Rpm("data", "1-1") with { Architecture = "noarch" }, BaseOs9)));
        Assert.Single(Match(database, Rhel92, From(Rpm("any", "1-1") with { Architecture = "noarch" }, BaseOs9)));
        Assert.Empty(Match(database, Rhel92, From(Rpm("any", "1-1") with { Architecture = "src" }, BaseOs9)));
    }

    [Fact]
    public void A_minor_release_of_RHEL_10_is_looked_up_with_its_major_one()
    {
        // rhel-10-for-x86_64-baseos-rpms is 10.0 and 10.1 in Red Hat's mapping.
        string[] cpes = ["cpe:/o:redhat:enterprise_linux:10.0::baseos", "cpe:/o:redhat:enterprise_linux:10.1::baseos"];
        var package = From(Rpm("curl", "8.9.1-5.el10_1"), cpes);
        Assert.Single(Match(Databases.Of(Vex(Unfixed("Red Hat:enterprise_linux:10", "curl"))), Rhel101, package));
        Assert.Single(Match(Databases.Of(Vex(Unfixed("Red Hat:enterprise_linux:10.0", "curl"))), Rhel101, package));
        var fix = Assert.Single(Match(Databases.Of(Vex(Unfixed("Red Hat:enterprise_linux:10.1", "curl"), Fixed("Red Hat:enterprise_linux:10", "curl", "8.9.1-6.el10_1"))), Rhel101, package));
        Assert.Equal((ProductStatus.Fixed, "8.9.1-6.el10_1"), (fix.Status, fix.FixedVersion));
        Assert.Empty(Match(Databases.Of(Vex(Fixed("Red Hat:enterprise_linux:10.1", "curl", "8.9.1-5.el10_1"), Unfixed("Red Hat:enterprise_linux:10.0", "curl"))), Rhel101, package));
        // An extended stream falls back to both.
        var e2s = From(Rpm("curl", "8.9.1-5.el10_0"), "cpe:/o:redhat:enterprise_linux_e2s:10.0::baseos");
        Assert.Single(Match(Databases.Of(Vex(Unfixed("Red Hat:enterprise_linux:10.0", "curl"))), Rhel101, e2s));
        Assert.Single(Match(Databases.Of(Vex(Unfixed("Red Hat:enterprise_linux:10", "curl"))), Rhel101, e2s));
    }

    [Fact]
    public void A_module_name_in_a_statement_must_be_the_package_s_stream()
    {
        var database = Databases.Of(Vex(
            Unfixed("Red Hat:enterprise_linux:8", "nodejs") with { Modules = ["nodejs:18"] }), Vex(Unfixed("Red Hat:enterprise_linux:8", "nodejs")) with { Id = "CVE-2024-2", Cves = ["CVE-2024-2"] });
        var cpe = "cpe:/a:redhat:enterprise_linux:8::appstream";
        var rhel = new OsRelease("rhel", "8.10", "");
        Assert.Equal(["CVE-2024-0001"], Ids(Match(database, rhel, From(Rpm("nodejs", "1:18-1.module+el8.9.0+1+a", "nodejs:18:1:a"), cpe))));
        Assert.Empty(Match(database, rhel, From(Rpm("nodejs", "1:20-1.module+el8.9.0+1+a", "nodejs:20:1:a"), cpe)));
        // Without a label, as of many SBOMs, the stream's name must be the beginning of the version.
        Assert.Equal(["CVE-2024-0001"], Ids(Match(database, rhel, From(Rpm("nodejs", "1:18.19.0-1.module+el8.9.0+1+a"), cpe))));
        Assert.Empty(Match(database, rhel, From(Rpm("nodejs", "1:20.9.0-1.module+el8.9.0+1+a"), cpe)));
        Assert.Empty(Match(database, rhel, From(Rpm("nodejs", "1:180.9.0-1.module+el8.9.0+1+a"), cpe)));
        Assert.Equal(["CVE-2024-2"], Ids(Match(database, rhel, From(Rpm("nodejs", "1:10-1.el8"), cpe))));
    }

    [Fact]
    public void A_statement_about_one_build_is_about_no_other()
    {
        var exact = Unfixed(Main9, "curl") with { Intervals = [VersionInterval.Exactly("1-1.el9_4.5")] };
        Assert.Single(Match(Databases.Of(Vex(exact)), Rhel92, From(Rpm("curl", "1-1.el9_4.5"), BaseOs9)));
        Assert.Empty(Match(Databases.Of(Vex(exact)), Rhel92, From(Rpm("curl", "1-1.el9_4.4"), BaseOs9)));
        var notAffected = exact with { Status = ProductStatus.NotAffected };
        Assert.Empty(Match(Databases.Of(Vex(notAffected, Fixed(Main9, "curl", "2-1.el9_4"))), Rhel92, From(Rpm("curl", "1-1.el9_4.5"), BaseOs9)));
        Assert.Single(Match(Databases.Of(Vex(notAffected, Fixed(Main9, "curl", "2-1.el9_4"))), Rhel92, From(Rpm("curl", "1-1.el9_4.4"), BaseOs9)));
    }

    [Fact]
    public void Explain_names_every_statement_and_what_decided()
    {
        var database = Databases.Of(
            Vex(
                Fixed(Main9, "curl", "7.76.1-23.el9_2.4"),
                Fixed(Main9, "curl", "7.76.1-26.el9_3.2"),
                Fixed("Red Hat:enterprise_linux:8", "curl", "7.61.1-33.el8"),
                Fixed(Main9, "curl", "7.76.1-26.el9_3.3") with { Architectures = ["s390x"] },
                Unfixed(Main9, "curl") with { Modules = ["web:1"] },
                Fixed(Main9, "openssl", "3-1")),
            Erratum("RHSA-1", Fixed(Main9, "curl", "7.76.1-26.el9_3.2")));
        var explanations = new Matcher(database).Explain(Rhel92, [From(Rpm("curl", "7.76.1-25.el9_3"), BaseOs9), Rpm("gpg-pubkey", "1-1")], "CVE-2024-0001");
        Assert.Equal(
            [
                ("CVE-2024-0001", "introduced 0, fixed 7.76.1-23.el9_2.4", StatementDecision.OutOfRange),
                ("CVE-2024-0001", "introduced 0, fixed 7.76.1-26.el9_3.2", StatementDecision.Applies),
                ("CVE-2024-0001", "introduced 0, fixed 7.61.1-33.el8", StatementDecision.OtherProduct),
                ("CVE-2024-0001", "introduced 0, fixed 7.76.1-26.el9_3.3", StatementDecision.OtherArchitecture),
                ("CVE-2024-0001", "all versions", StatementDecision.OtherModule),
                ("RHSA-1", "introduced 0, fixed 7.76.1-26.el9_3.2", StatementDecision.Overruled),
                ("", "", StatementDecision.NotMatched),
            ],
            explanations.Select(e => (e.AdvisoryId, e.Range, e.Decision)).OrderBy(e => Array.IndexOf(Order, (e.AdvisoryId, e.Decision))));
        Assert.Equal(MatchOutcome.NotSoftware, explanations[^1].Outcome);
    }

    static readonly (string, StatementDecision)[] Order =
    [
        ("CVE-2024-0001", StatementDecision.OutOfRange), ("CVE-2024-0001", StatementDecision.Applies), ("CVE-2024-0001", StatementDecision.OtherProduct),
        ("CVE-2024-0001", StatementDecision.OtherArchitecture), ("CVE-2024-0001", StatementDecision.OtherModule), ("RHSA-1", StatementDecision.Overruled),
        ("", StatementDecision.NotMatched),
    ];

    static Advisory Vex(params PackageStatement[] statements) =>
        new() { Feed = FeedName.RedHatVex, Id = "CVE-2024-0001", Cves = ["CVE-2024-0001"], Severity = Severity.Moderate, Statements = statements };

    static Advisory Erratum(string id, params PackageStatement[] statements) =>
        new() { Feed = FeedName.Osv, Id = id, Cves = ["CVE-2024-0001"], Severity = Severity.Moderate, Statements = statements };

    static PackageStatement Fixed(string product, string name, string version) =>
        new() { Product = product, Name = name, Status = ProductStatus.Fixed, Intervals = [VersionInterval.FixedIn(version)] };

    static PackageStatement Unfixed(string product, string name) =>
        new() { Product = product, Name = name, Naming = PackageNaming.Either, Status = ProductStatus.Affected };

    static Package From(Package package, params string[] cpes) =>
        package with { Repository = new PackageRepository("some-repository", RepositoryEvidence.DnfHistory, cpes, null) };

    static IEnumerable<string> Ids(List<Finding> findings) => findings.Select(finding => finding.AdvisoryId);
}
