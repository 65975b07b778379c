using System.Text.Json;
using Guestmark.Inventory;
using Guestmark.TestKit;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Import and matching over the complete AlmaLinux feed, against labels that people set.</summary>
public class AlmaLinuxTests(AlmaLinuxFixture almaLinux) : IClassFixture<AlmaLinuxFixture>
{
    const string AlmaLinux8Image = "docker.io/almalinux@sha256:cd49d7250ed7bb194d502d8a3e50bd775055ca275d1d9c2785aea72b890afe6a";

    const string RockyLinux8Image = "docker.io/rockylinux@sha256:72afc2e1a20c9ddf56a81c51148ebcbe927c0a879849efe813bee77d69df1dd8";

    const string Ubi8Image = "registry.access.redhat.com/ubi8@sha256:68fecea0d255ee253acbf0c860eaebb7017ef5ef007c25bee9eeffd29ce85b29";

    // So many of the labels name a package and a CVE that an ALSA of the feed fixes, counted in the feed's JSON. The others have no fix.
    const int AlmaLinuxLabelsWithAdvisory = 53;
    const int RockyLinuxLabelsWithAdvisory = 60;
    const int Ubi8LabelsWithAdvisory = 38;

    [TestDataFact]
    public void Import_reads_every_document_and_leaves_out_what_is_no_vulnerability()
    {
        Assert.Equal(4483, almaLinux.Result.Added);
        Assert.Empty(almaLinux.Result.SkippedParts);
        // 976 ALBA and 221 ALEA name no CVE; 2 and 1 do.
        Assert.Equal([KeyValuePair.Create("no vulnerability", 1197)], almaLinux.Result.LeftOut);
    }

    [TestDataFact]
    public void Database_counts_and_describes_what_it_holds()
    {
        Assert.Equal(["AlmaLinux:10", "AlmaLinux:8", "AlmaLinux:9"], almaLinux.Database.Products);
        var source = Assert.Single(almaLinux.Database.Sources);
        Assert.Equal(("osv", ZipPath, 4440), (source.Format, source.Uri, source.Documents));
        Assert.True(source.Newest > new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        Assert.True(almaLinux.Database.Covers(AlmaLinux8));
        Assert.True(almaLinux.Database.Covers(new OsRelease("almalinux", "9", "")));
        Assert.False(almaLinux.Database.Covers(new OsRelease("almalinux", "7.9", "")));
        Assert.False(almaLinux.Database.Covers(new OsRelease("debian", "12", "")));
        Assert.False(almaLinux.Database.Covers(OsRelease.Unknown));
    }

    [TestDataFact]
    public void Finding_carries_its_evidence()
    {
        var finding = Assert.Single(
            Match(almaLinux.Database, AlmaLinux8, Rpm("openssl-libs", "1:1.1.1k-5.el8_5")),
            finding => finding.Cves.Contains("CVE-2022-0778"));
        Assert.Equal("ALSA-2022:1065", finding.AdvisoryId);
        Assert.Equal("Important: openssl security update", finding.Summary);
        Assert.Equal(Severity.Important, finding.Severity);
        Assert.Null(finding.CvssScore);
        Assert.Equal("1:1.1.1k-5.el8_5", finding.InstalledVersion);
        Assert.Equal("1:1.1.1k-6.el8_5", finding.FixedVersion);
        var evidence = finding.Evidence;
        Assert.Equal("osv ALSA-2022:1065", evidence.Source);
        Assert.Equal("AlmaLinux:8", evidence.Ecosystem);
        Assert.Equal("openssl-libs", evidence.MatchedPackage);
        Assert.False(evidence.MatchedBySourcePackage);
        Assert.Equal("introduced 0, fixed 1:1.1.1k-6.el8_5", evidence.Range);
        Assert.Equal("1:1.1.1k-5.el8_5 < 1:1.1.1k-6.el8_5 by rpm", evidence.Comparison);
        Assert.Equal(new DateTime(2022, 3, 28), evidence.Published!.Value.Date);
        Assert.StartsWith("https://", evidence.Url);
    }

    [TestDataFact]
    public void The_fixed_version_and_newer_ones_have_no_finding()
    {
        foreach (var version in (string[])["1:1.1.1k-6.el8_5", "1:1.1.1k-7.el8_6"])
        {
            var findings = Match(almaLinux.Database, AlmaLinux8, Rpm("openssl-libs", version));
            Assert.DoesNotContain(findings, finding => finding.Cves.Contains("CVE-2022-0778"));
        }
    }

    /// <summary>Rocky and UBI are of the same sources as AlmaLinux, whose advisories can be asked for them.</summary>
    [TestDataTheory]
    [InlineData(AlmaLinux8Image, 139, AlmaLinuxLabelsWithAdvisory)]
    [InlineData(RockyLinux8Image, 132, RockyLinuxLabelsWithAdvisory)]
    [InlineData(Ubi8Image, 86, Ubi8LabelsWithAdvisory)]
    public void Every_labelled_true_positive_with_an_advisory_is_found(string image, int labels, int withAdvisory)
    {
        var all = Labels(image, "TP").ToList();
        var advised = AdvisedPackages(all);
        var expected = all.Where(label => advised.Contains((label.Name, label.Cve))).ToList();
        Assert.Equal((labels, withAdvisory), (all.Count, expected.Count));
        Assert.DoesNotContain(expected, label => !IsReported(label));
    }

    [TestDataTheory]
    [InlineData(AlmaLinux8Image, 4, 3)]
    [InlineData(RockyLinux8Image, 8, 4)]
    [InlineData(Ubi8Image, 8, 3)]
    public void Labelled_false_positives_are_not_reported(string image, int labels, int ofPython)
    {
        // "rpm" 4.14.3 is the Python distribution of that name, and is matched as one, not as the rpm package: docs/reference/matching.md.
        var all = Labels(image, "FP").ToList();
        var python = all.FindAll(label => label is { Name: "rpm", Version: "4.14.3" });
        Assert.Equal((labels, ofPython), (all.Count, python.Count));
        Assert.DoesNotContain(all.Except(python), IsReported);
        foreach (var label in python)
            Assert.Empty(Match(almaLinux.Database, AlmaLinux8, Rpm(label.Name, label.Version) with { Manager = PackageManager.PyPI }));
    }

    [TestDataFact]
    public void A_machine_with_an_earlier_build_of_the_fix_is_fixed()
    {
        // ALSA-2021:4399 lists 3.6.8-41.el8 and 3.6.8-41.el8.alma.
        Assert.DoesNotContain(
            Match(almaLinux.Database, AlmaLinux8, Rpm("platform-python", "3.6.8-41.el8")),
            finding => finding.AdvisoryId == "ALSA-2021:4399");
        Assert.Contains(
            Match(almaLinux.Database, AlmaLinux8, Rpm("platform-python", "3.6.8-40.el8")),
            finding => finding.AdvisoryId == "ALSA-2021:4399");
    }

    [TestDataTheory]
    [InlineData("nodejs:18:8060020220523160029:ad008a3a", "nodejs:18", 11)]
    [InlineData("nodejs:20:8090020230522101523:a75119d5", "nodejs:20", 8)]
    public void A_modular_package_gets_the_advisories_of_its_stream_only(string label, string stream, int expected)
    {
        // Older than every fix: without the stream it would get those of 10 to 24 as well.
        var package = Rpm("nodejs", "1:9.0.0-1.module_el8.6.0+1+00000000", label);
        var findings = Match(almaLinux.Database, AlmaLinux8, package);
        Assert.Equal(expected, findings.Count);
        Assert.All(findings, finding => Assert.Contains(stream, finding.Summary));
    }

    [TestDataFact]
    public void A_modular_package_without_a_label_gets_advisories_of_its_version_only()
    {
        var package = Rpm("postgresql", "12.1-1.module_el8.6.0+1+00000000");
        var findings = Match(almaLinux.Database, AlmaLinux8, Rpm("ruby", "2.5.1-1.module_el8.6.0+1+00000000"), package);
        Assert.NotEmpty(findings);
        Assert.All(findings, finding => Assert.StartsWith("2.5.", finding.FixedVersion));
    }

    [TestDataFact]
    public void Modular_packages_and_others_never_meet()
    {
        // perl is in AlmaLinux 8 itself (5.26) and in modules; perl-libs 4:5.26 is older than every modular fix.
        var plain = Match(almaLinux.Database, AlmaLinux8, Rpm("perl-libs", "4:5.26.3-400.el8"));
        Assert.NotEmpty(plain);
        Assert.All(plain, finding => Assert.DoesNotContain("module", finding.FixedVersion));
        var modular = Match(
            almaLinux.Database, AlmaLinux8, Rpm("perl-libs", "4:5.32.0-1.module_el8.6.0+1+00000000", "perl:5.32:8060020220523160029:ad008a3a"));
        Assert.NotEmpty(modular);
        Assert.All(modular, finding => Assert.Contains("module", finding.FixedVersion));
    }

    [TestDataFact]
    public void One_advisory_gives_one_finding_for_a_package()
    {
        var findings = Match(almaLinux.Database, AlmaLinux8, Rpm("kernel", "4.18.0-1.el8"));
        Assert.True(findings.Count > 50, $"{findings.Count}");
        Assert.Equal(findings.Count, findings.DistinctBy(finding => finding.AdvisoryId).Count());
        Assert.Equal(findings.Select(finding => finding.AdvisoryId).Order(StringComparer.Ordinal), findings.Select(finding => finding.AdvisoryId));
    }

    [TestDataFact]
    public void A_package_that_no_advisory_affects_allocates_nothing()
    {
        var matcher = new Matcher(almaLinux.Database);
        var findings = new List<Finding>();
        Package[] packages = [Rpm("kernel", "4.18.0-9999.el8"), Rpm("no-such-package", "1-1"), Rpm("vim-minimal", "2:99-1")];
        foreach (var package in packages) matcher.Match(AlmaLinux8, package, findings);
        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var package in packages) matcher.Match(AlmaLinux8, package, findings);
        // The versions of the two that have advisories, as strings.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 500);
        Assert.Empty(findings);
    }

    [TestDataFact]
    public void Written_and_opened_again_it_gives_the_same_findings()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("advisories.db");
        almaLinux.Builder.Write(path);
        var opened = AdvisoryDatabase.Open(path);
        Assert.Equal(almaLinux.Database.Revision, opened.Revision);
        Assert.Equal(almaLinux.Database.Sources, opened.Sources);
        Assert.Equal([path], Directory.GetFiles(folder.Path));

        var packages = Labels(AlmaLinux8Image, "TP").Select(label => Rpm(label.Name, label.Version)).ToArray();
        var expected = Match(almaLinux.Database, AlmaLinux8, packages);
        Assert.NotEmpty(expected);
        Assert.Equal(JsonSerializer.Serialize(expected), JsonSerializer.Serialize(Match(opened, AlmaLinux8, packages)));
    }

    bool IsReported(Label label) =>
        Match(almaLinux.Database, AlmaLinux8, Rpm(label.Name, label.Version)).Exists(finding => finding.Cves.Contains(label.Cve));

    // From the matcher's own answers for version 0, so that an advisory for the package is known whatever the version is.
    HashSet<(string Name, string Cve)> AdvisedPackages(IEnumerable<Label> labels) =>
    [
        .. labels.Select(label => label.Name).Distinct().SelectMany(name =>
            Match(almaLinux.Database, AlmaLinux8, Rpm(name, "0-0")).SelectMany(finding => finding.Cves.Select(cve => (name, cve)))),
    ];

    static IEnumerable<Label> Labels(string image, string kind)
    {
        foreach (var line in File.ReadLines(Repository.TestDataPath("matching/labels.jsonl")))
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            if (root.GetProperty("image").GetProperty("exact").GetString() != image || root.GetProperty("label").GetString() != kind) continue;
            var package = root.GetProperty("package");
            yield return new Label(
                package.GetProperty("name").GetString()!, package.GetProperty("version").GetString()!, root.GetProperty("effective_cve").GetString()!);
        }
    }

    sealed record Label(string Name, string Version, string Cve);
}
