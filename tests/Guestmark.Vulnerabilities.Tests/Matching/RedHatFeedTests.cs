using Guestmark.Inventory;
using Guestmark.TestKit;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Red Hat's rules over its own documents, of the feed that goes and of the one that comes.</summary>
public class RedHatFeedTests
{
    const string Python = "vex/new-feed/2024/CVE-2024-6923.json";
    const string Curl = "vex/legacy/cve-2023-38545.json";
    const string GoToolset = "vex/legacy/cve-2024-24786-illegal-module.json";

    /// <summary>Whatever a document calls affected is found in a package of that name, from a repository of either part and any channel.</summary>
    [TestDataTheory]
    [InlineData("vex/legacy/cve-2022-38752.json", 2)]
    [InlineData(GoToolset, 1)]
    [InlineData("vex/legacy/cve-2024-24786-bad-rpmmod.json", 1)]
    [InlineData(Python, 8)]
    [InlineData("vex/new-feed/2026/CVE-2026-7323.json", 1)]
    public void Every_unfixed_statement_is_found_from_BaseOS_and_from_AppStream(string path, int atLeast)
    {
        var (database, advisories) = Import(path);
        var checkedStatements = 0;
        foreach (var (advisory, statement) in advisories.SelectMany(advisory => advisory.Statements.Select(statement => (advisory, statement))))
        {
            if (statement.Status is ProductStatus.Fixed or ProductStatus.NotAffected || statement.Product.Split(':') is not [_, var name, var version]) continue;
            var interval = statement.Intervals.Count > 0 ? statement.Intervals[0] : default;
            // rhel_eus:9.0 is told by the very build that fixes it in the main stream: whoever has installed that is not affected.
            if (interval.End is { } build && advisory.Statements.Any(other => other.Status == ProductStatus.Fixed && other.Name == statement.Name && other.Intervals.Any(fix => fix.End == build))) continue;
            var package = Rpm(statement.Name, interval.End ?? "1-1");
            if (statement.Naming == PackageNaming.Source) package = package with { Name = "binary", SourceName = statement.Name, SourceVersion = interval.End ?? "1-1" };
            if (statement.Modules.Count > 0) package = package with { ModularityLabel = $"{statement.Modules[0]}:1:a" };
            if (statement.Naming == PackageNaming.Module) package = package with { Name = "binary", ModularityLabel = $"{statement.Name}:8040020200101000000:a" };
            foreach (var cpe in (string[])[$"cpe:/o:redhat:{name}:{version}::baseos", $"cpe:/a:redhat:{name}:{version}::appstream"])
            {
                var findings = Match(database, new OsRelease("rhel", version, ""), From(package, cpe));
                Assert.True(findings.Exists(finding => finding.AdvisoryId == advisory.Id), $"{statement} from {cpe}");
            }

            checkedStatements++;
        }

        Assert.True(checkedStatements >= atLeast, $"{checkedStatements} statements");
    }

    /// <summary>The old feed's archive names both packages without a package URL, for the operating system as a whole.</summary>
    [TestDataTheory]
    [InlineData("kernel-core", "kernel", "5.14.0-70.el9", "cpe:/o:redhat:enterprise_linux:9::baseos", "CVE-2023-0045")]
    [InlineData("vim-enhanced", "vim", "8.2.2637-20.el9", "cpe:/a:redhat:enterprise_linux:9::appstream", "CVE-2023-0049")]
    public void A_BaseOS_and_an_AppStream_package_get_what_is_not_fixed_from_the_old_feed(string name, string source, string version, string cpe, string cve)
    {
        var builder = new AdvisoryDatabaseBuilder();
        var options = new FeedImportOptions { Path = Repository.TestDataPath("vex/legacy/csaf_vex_2023-10-31.tar.zst") };
        FeedImport.Run(options, builder, TimeProvider.System, progress: null, CancellationToken.None);
        var package = Rpm(name, version) with { SourceName = source, SourceVersion = version };

        var finding = Assert.Single(Match(builder.Build(), new OsRelease("rhel", "9.2", ""), From(package, cpe)), finding => finding.AdvisoryId == cve);
        Assert.Equal(("cpe:/o:redhat:enterprise_linux:9", cpe), (finding.Evidence.Cpe, finding.Evidence.RepositoryCpe));
        Assert.NotEqual(ProductStatus.Fixed, finding.Status);
    }

    [TestDataFact]
    public void An_AppStream_and_a_BaseOS_package_get_what_is_not_fixed_from_the_new_feed()
    {
        var (database, _) = Import(Python);
        var rhel = new OsRelease("rhel", "10.0", "");
        var package = Rpm("python3.12-libs", "3.12.5-2.el10") with { SourceName = "python3.12", SourceVersion = "3.12.5-2.el10" };
        foreach (var cpe in (string[])["cpe:/o:redhat:enterprise_linux:10.0::baseos", "cpe:/a:redhat:enterprise_linux:10.0::appstream"])
        {
            var finding = Assert.Single(Match(database, rhel, From(package, cpe)));
            Assert.Equal(("CVE-2024-6923", "cpe:/o:redhat:enterprise_linux:10.0", cpe), (finding.AdvisoryId, finding.Evidence.Cpe, finding.Evidence.RepositoryCpe));
            Assert.NotEqual(ProductStatus.Fixed, finding.Status);
        }
    }

    [TestDataFact]
    public void An_AppStream_and_a_BaseOS_package_get_what_is_not_fixed_from_the_legacy_feed()
    {
        var (database, _) = Import(GoToolset);
        var package = Rpm("go-toolset", "1.20.12-1.module+el8.9.0+1+a", "go-toolset:rhel8:8090020240101000000:a");
        // The last two follow streams of extended updates, which the document has nothing about.
        foreach (var cpe in (string[])[
            "cpe:/o:redhat:enterprise_linux:8::baseos", "cpe:/a:redhat:enterprise_linux:8::appstream", "cpe:/a:redhat:rhel_eus:8.8::appstream", "cpe:/o:redhat:rhel_aus:8.6::baseos"])
        {
            var finding = Assert.Single(Match(database, new OsRelease("rhel", "8.8", ""), From(package, cpe)));
            Assert.Equal(("CVE-2024-24786", "cpe:/o:redhat:enterprise_linux:8", cpe), (finding.AdvisoryId, finding.Evidence.Cpe, finding.Evidence.RepositoryCpe));
            Assert.NotEqual(ProductStatus.Fixed, finding.Status);
        }

        Assert.Empty(Match(database, new OsRelease("rhel", "8.8", ""), From(package with { ModularityLabel = "go-toolset:1.19:1:a" }, "cpe:/a:redhat:enterprise_linux:8::appstream")));
    }

    [TestDataTheory]
    // EUS 9.2 has its own fix: RHSA-2024:6962 or another.
    [InlineData("9.2", "python3.9", "3.9.16-1.el9_2.7", "3.9.16-1.el9_2.8", null)]
    [InlineData("9.2", "python3.9", "3.9.16-1.el9_2.8", null, null)]
    [InlineData("9.2", "python3.11", "3.11.2-2.el9_2.5", "3.11.2-2.el9_2.6", null)]
    [InlineData("9.2", "python3.11", "3.11.2-2.el9_2.6", null, null)]
    // The document says that python3.12 of EUS 9.2 is not affected.
    [InlineData("9.2", "python3.12", "3.12.1-4.el9_4.2", null, null)]
    // EUS 9.0 has none, the main stream of 9.4 has.
    [InlineData("9.0", "python3.9", "3.9.10-3.el9_0.1", null, "3.9.18-3.el9_4.5")]
    [InlineData("8.8", "python3.12", "3.12.5-1.el8_8", null, null)]
    public void An_EUS_machine_gets_what_its_stream_has_not_fixed(string release, string source, string version, string? fix, string? mainFix)
    {
        var (database, _) = Import(Python);
        var package = Rpm($"{source}-libs", version) with { SourceName = source, SourceVersion = version };
        foreach (var cpe in (string[])[$"cpe:/o:redhat:rhel_eus:{release}::baseos", $"cpe:/a:redhat:rhel_eus:{release}::appstream"])
        {
            var findings = Match(database, new OsRelease("rhel", release, ""), From(package, cpe));
            if (fix is null && mainFix is null)
            {
                Assert.Empty(findings);
                continue;
            }

            var finding = Assert.Single(findings);
            Assert.Equal((fix, fix is null), (finding.FixedVersion, finding.Status != ProductStatus.Fixed));
            if (mainFix is not null) Assert.EndsWith($" in {mainFix}", finding.Remark!.Split(". ")[0]);
        }
    }

    [TestDataTheory]
    [InlineData("enterprise_linux:9", "9.2", "7.76.1-23.el9_2.4", null)]
    [InlineData("enterprise_linux:9", "9.2", "7.76.1-23.el9_2.3", "RHSA-2023:5763")]
    [InlineData("enterprise_linux:9", "9.3", "7.76.1-26.el9_3.2", null)]
    [InlineData("enterprise_linux:9", "9.3", "7.76.1-26.el9_3.1", "RHSA-2023:6745")]
    [InlineData("rhel_eus:9.0", "9.0", "7.76.1-14.el9_0.9", null)]
    [InlineData("rhel_eus:9.0", "9.0", "7.76.1-14.el9_0.8", "RHSA-2023:5700")]
    [InlineData("enterprise_linux:8", "8.9", "7.61.1-33.el8", null)]
    public void Each_minor_release_is_compared_with_its_own_build(string product, string release, string version, string? erratum)
    {
        var (database, _) = Import(Curl);
        foreach (var name in (string[])["curl", "libcurl"])
        {
            var package = From(Rpm(name, version) with { SourceName = "curl", SourceVersion = version }, $"cpe:/o:redhat:{product}::baseos");
            Assert.Equal(erratum is null ? [] : [erratum], Match(database, new OsRelease("rhel", release, ""), package).Select(finding => finding.Erratum));
        }
    }

    [TestDataTheory]
    [InlineData("8.10", "enterprise_linux:8", "python39:3.9:8100020240826142629:d47b87a4", 0)]
    [InlineData("8.10", "enterprise_linux:8", "python39:3.9:8100020240701000000:d47b87a4", 1)]
    [InlineData("8.8", "rhel_eus:8.8", "python39:3.9:8080020240911100614:93c2fc2f", 0)]
    [InlineData("8.8", "rhel_eus:8.8", "python39:3.9:8080020240101000000:93c2fc2f", 1)]
    public void A_module_of_the_new_feed_is_found_by_its_packages(string release, string product, string label, int expected)
    {
        var (database, _) = Import(Python);
        var package = Rpm("python39-libs", "3.9.18-1.module+el8.10.0+1+a", label) with { SourceName = "python39", SourceVersion = "3.9.18-1.module+el8.10.0+1+a" };
        Assert.Equal(expected, Match(database, new OsRelease("rhel", release, ""), From(package, $"cpe:/a:redhat:{product}::appstream")).Count);
    }

    [TestDataFact]
    public void Explain_tells_why_a_machine_is_not_affected()
    {
        var (database, _) = Import(Curl);
        var explanations = new Matcher(database).Explain(
            new OsRelease("rhel", "8.9", ""), [From(Rpm("libcurl", "7.61.1-33.el8"), "cpe:/o:redhat:enterprise_linux:8::baseos")], "CVE-2023-38545");
        Assert.Contains(explanations, explanation => explanation is { Decision: StatementDecision.NotAffected, Product: "Red Hat:enterprise_linux:8" });
        Assert.Contains(explanations, explanation => explanation is { Decision: StatementDecision.OtherProduct, Product: "Red Hat:enterprise_linux:9" });
        Assert.DoesNotContain(explanations, explanation => explanation.Decision == StatementDecision.Applies);
    }

    static (AdvisoryDatabase Database, IReadOnlyList<Advisory> Advisories) Import(string path)
    {
        var builder = new AdvisoryDatabaseBuilder();
        var import = builder.Import("redhat-vex", FeedName.RedHatVex, path, ImportMode.Replace);
        CsafDocument.Read(path, File.ReadAllBytes(Repository.TestDataPath(path)), import);
        import.Complete("", DateTimeOffset.UnixEpoch);
        var database = builder.Build();
        var advisories = new List<Advisory>();
        foreach (ref readonly var row in database.Documents) advisories.Add(database.ToAdvisory(row));
        return (database, advisories);
    }

    static Package From(Package package, string cpe) =>
        package with { Repository = new PackageRepository("some-repository", RepositoryEvidence.DnfHistory, [cpe], null) };
}
