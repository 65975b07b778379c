using System.Text;
using Guestmark.Inventory.Sbom;
using Guestmark.Inventory.Tests.Languages;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.TestKit;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Inventory.Tests;

[Collection(nameof(RealDatabases))]
public sealed class InventoryReportsTests(RealDatabases databases)
{
    static readonly OsRelease Rhel = new("rhel", "8.10", "Red Hat Enterprise Linux 8.10 (Ootpa)");

    static Package Rpm(string name, uint? epoch = null, string version = "1", string release = "2") => new()
    {
        Manager = PackageManager.Rpm,
        Name = name,
        Epoch = epoch,
        Version = version,
        Release = release,
        Architecture = "x86_64",
        SourceName = name + "-source",
        SourceVersion = "1-2",
        Database = "sqlite:var/lib/rpm",
    };

    static readonly RpmDetails Details = new()
    {
        Number = 1,
        PayloadDigestAlgorithm = 8,
        PayloadDigest = "440a643f8fc5b09c04e1a86eedf45e7c449cdca57e61bf78c95a8f8748679679",
        RsaHeader = new OpenPgpSignature(1, 8, 1643274076, "199e2f91fd431d51"),
    };

    static readonly PackageRepository BaseOs = new(
        "rhel-8-for-x86_64-baseos-rpms",
        RepositoryEvidence.DnfHistory,
        ["cpe:/o:redhat:enterprise_linux:8::baseos", "cpe:/a:redhat:enterprise_linux:8::appstream"],
        null);

    static readonly PackageRepository Unmapped = new("anaconda", RepositoryEvidence.DnfHistory, [], "anaconda names the installer & no repository");

    static readonly HostFacts Host = new()
    {
        RunningKernel = "4.18.0-553.el8_10.x86_64",
        InstalledKernels = ["4.18.0-425.el8.x86_64", "4.18.0-553.el8_10.x86_64"],
        BootId = "0f0b2a52-8b5c-4d43-9d0c-1d8f6e8b2a11",
        Architecture = "x86_64",
        Activation = Activation.Active,
        DnfMetadata = DnfMetadata.Unavailable,
    };

    static byte[] Bytes(GuestInventory inventory)
    {
        var writer = new ProtoWriter();
        InventoryReports.Write(inventory, writer);
        return writer.Written.ToArray();
    }

    static VMReport ToReport(GuestInventory inventory) => VMReport.Parser.ParseFrom(Bytes(inventory));

    static VMReport ReportOf(params Scanner.Package[] packages)
    {
        var contents = new Scanner.Contents();
        for (var i = 0; i < packages.Length; i++) contents.Packages[$"{i}"] = packages[i];
        return new VMReport { IndexReport = new IndexReport { IndexV4 = new Scanner.IndexReport { Contents = contents } } };
    }

    [TestDataTheory]
    [MemberData(nameof(RealDatabases.Names), MemberType = typeof(RealDatabases))]
    public void A_real_inventory_comes_back_as_it_was_written(string name)
    {
        var inventory = InventoryScanner.Scan(new InventoryScanOptions { HostPath = databases.Root(name), Os = Rhel }, CancellationToken.None);
        var bytes = Bytes(inventory);

        var read = InventoryReports.Read(VMReport.Parser.ParseFrom(bytes));

        Assert.Null(ReportValidator.Validate(bytes, out var summary));
        Assert.Equal(inventory.Packages.Count, summary.PackageCount);
        Assert.Equal(inventory.Os, read.Os);
        Assert.Empty(read.Problems);
        // What the message has no room for: the source rpm's file name, licence, vendor, what only rpm says, version and context of a
        // module, and an epoch of 0.
        Assert.Equal(
            inventory.Packages
                .Select(package => package with
                {
                    SourceRpm = null,
                    License = null,
                    Vendor = null,
                    Rpm = null,
                    Epoch = package.Epoch == 0 ? null : package.Epoch,
                    ModularityLabel = package.ModularityLabel is { } label ? string.Join(':', label.Split(':')[..2]) : null,
                })
                .OrderBy(package => package.Name, StringComparer.Ordinal).ThenBy(package => package.FullVersion, StringComparer.Ordinal),
            read.Packages);
    }

    [Fact]
    public void A_report_has_what_StackRox_reads()
    {
        var report = ToReport(new GuestInventory(Rhel, [Rpm("bash", 1) with { ModularityLabel = "shells:rhel8:1:abc" }], []));

        var index = report.IndexReport.IndexV4;
        var package = index.Contents.Packages["1"];
        Assert.Equal((true, "IndexFinished", ""), (index.Success, index.State, index.Err));
        Assert.Equal(("bash", "1:1-2", "binary", "x86_64", "shells:rhel8", "sqlite:var/lib/rpm"), (package.Name, package.Version, package.Kind, package.Arch, package.Module, package.PackageDb));
        Assert.Equal(("bash-source", "1-2", "source"), (package.Source.Name, package.Source.Version, package.Source.Kind));
        var environment = Assert.Single(index.Contents.Environments["1"].Environments);
        Assert.Equal(("sqlite:var/lib/rpm", "1"), (environment.PackageDb, environment.DistributionId));
        Assert.Equal(("rhel", "8.10"), (index.Contents.Distributions["1"].Did, index.Contents.Distributions["1"].VersionId));
        Assert.Equal((DetectedOS.Rhel, "8.10"), (report.DiscoveredData.DetectedOs, report.DiscoveredData.OsVersion));
    }

    [Fact]
    public void A_repository_is_written_once_for_each_CPE_and_named_by_its_packages()
    {
        var report = ToReport(new GuestInventory(
            Rhel,
            [
                Rpm("bash") with { Rpm = Details, Repository = BaseOs },
                Rpm("zsh") with { Repository = new PackageRepository("", RepositoryEvidence.ReleaseAndSignature, [BaseOs.Cpes[0]], null) },
                Rpm("ksh") with { Repository = BaseOs with { } },
                Rpm("csh") with { Repository = Unmapped },
            ],
            []));

        var contents = report.IndexReport.IndexV4.Contents;
        Assert.Equal(
            [
                ("1", "cpe:/o:redhat:enterprise_linux:8::baseos", "rhel-cpe-repository", "repoid=rhel-8-for-x86_64-baseos-rpms", "cpe:2.3:o:redhat:enterprise_linux:8:*:baseos:*:*:*:*:*"),
                ("2", "cpe:/a:redhat:enterprise_linux:8::appstream", "rhel-cpe-repository", "repoid=rhel-8-for-x86_64-baseos-rpms", "cpe:2.3:a:redhat:enterprise_linux:8:*:appstream:*:*:*:*:*"),
                ("3", "cpe:/o:redhat:enterprise_linux:8::baseos", "rhel-cpe-repository", "", "cpe:2.3:o:redhat:enterprise_linux:8:*:baseos:*:*:*:*:*"),
            ],
            contents.Repositories.OrderBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => (entry.Value.Id, entry.Value.Name, entry.Value.Key, entry.Value.Uri, entry.Value.Cpe)));
        Assert.Equal(["1 2", "3", "1 2", ""], Enumerable.Range(1, 4).Select(id => string.Join(' ', contents.Environments[$"{id}"].Environments[0].RepositoryIds)));
        Assert.Equal(
            [
                $"hash=sha256:{Details.PayloadDigest}&key=199e2f91fd431d51&repoid=rhel-8-for-x86_64-baseos-rpms&evidence=dnf-history",
                "evidence=release-and-signature",
                "repoid=rhel-8-for-x86_64-baseos-rpms&evidence=dnf-history",
                "repoid=anaconda&evidence=dnf-history&why=anaconda%20names%20the%20installer%20%26%20no%20repository",
            ],
            Enumerable.Range(1, 4).Select(id => contents.Packages[$"{id}"].RepositoryHint));
        Assert.All(contents.Packages.Values, package => Assert.Equal("", package.Cpe));
    }

    [Fact]
    public void Repositories_and_facts_of_the_host_come_back()
    {
        PackageRepository[] repositories =
        [
            BaseOs,
            Unmapped,
            new("", RepositoryEvidence.ProductCertificate, [BaseOs.Cpes[1]], null),
            new("epel", RepositoryEvidence.YumDatabase, [], null),
            new("a&b=c%20d ü", RepositoryEvidence.ContentManifest, [], "why"),
            new("r", RepositoryEvidence.BaseUrl, [BaseOs.Cpes[0]], null),
            new("", null, [], "nothing names a repository"),
        ];

        var read = InventoryReports.Read(ToReport(new GuestInventory(
            Rhel, [.. repositories.Select((repository, i) => Rpm($"p{i}") with { Rpm = Details, Repository = repository }), Rpm("q")], [])
        {
            Host = Host,
        }));

        Assert.Equivalent(repositories, read.Packages.Take(repositories.Length).Select(package => package.Repository), strict: true);
        Assert.Null(read.Packages[^1].Repository);
        Assert.Equivalent(Host, read.Host, strict: true);
    }

    [Fact]
    public void The_repositories_of_another_agent_are_read()
    {
        var report = ReportOf(
            new Scanner.Package { Name = "a", Kind = "binary", PackageDb = "bdb:var/lib/rpm", RepositoryHint = "hash=sha256%3Aab&key=cd&repoid=base" },
            new Scanner.Package { Name = "b", Kind = "binary", PackageDb = "bdb:var/lib/rpm", RepositoryHint = "hash=sha256:ab|key:cd" });
        var contents = report.IndexReport.IndexV4.Contents;
        contents.Repositories["7"] = new Scanner.Repository { Id = "7", Name = BaseOs.Cpes[0], Key = "rhel-cpe-repository" };
        contents.Repositories["8"] = new Scanner.Repository { Id = "8", Name = "go", Key = "" };
        contents.Environments["0"] = new Scanner.Environment.Types.List { Environments = { new Scanner.Environment { RepositoryIds = { "7", "8", "7", "9" } } } };

        var packages = InventoryReports.Read(report).Packages;

        Assert.Equivalent(new PackageRepository("base", null, [BaseOs.Cpes[0]], null), packages[0].Repository, strict: true);
        Assert.Null(packages[1].Repository);
    }

    [Fact]
    public void More_repositories_than_a_report_may_have_are_left_out_and_that_is_a_problem()
    {
        var packages = Enumerable.Range(0, ReportValidator.RepositoriesMax + 1).Select(i => Rpm("p") with { Repository = new PackageRepository($"r{i}", null, ["cpe:/o:v:p"], null) });

        var bytes = Bytes(new GuestInventory(Rhel, [.. packages], []));

        Assert.Null(ReportValidator.Validate(bytes, out var summary));
        Assert.Equal(ReportValidator.RepositoriesMax, summary.RepositoryCount);
        Assert.Contains("more than 20000 repositories", Assert.Single(InventoryReports.Read(VMReport.Parser.ParseFrom(bytes)).Problems).Message);
    }

    [Fact]
    public void Kernels_are_cut_at_whole_names()
    {
        var kernels = Enumerable.Range(0, 200).Select(i => $"6.12.{i}-1.el10.x86_64").Append("a,b").ToList();

        var read = InventoryReports.Read(ToReport(new GuestInventory(Rhel, [], []) { Host = new HostFacts { InstalledKernels = kernels } })).Host.InstalledKernels;

        Assert.InRange(read.Count, 30, 60);
        Assert.Equal(kernels.Take(read.Count), read);
    }

    [Fact]
    public void The_index_of_a_pull_is_the_index_of_a_push()
    {
        var inventory = new GuestInventory(Rhel, [Rpm("bash") with { Repository = BaseOs }], [new InventoryProblem("/a", "b")]);
        var writer = new ProtoWriter();

        InventoryReports.WriteIndexReport(inventory, writer);

        Assert.Equal(ToReport(inventory).IndexReport.IndexV4, Scanner.IndexReport.Parser.ParseFrom(writer.Written.Span));
    }

    [Theory]
    [InlineData("python:usr/lib/python3.9/site-packages", PackageManager.PyPI)]
    [InlineData("nodejs:usr/lib/node_modules/npm/package.json", PackageManager.Npm)]
    [InlineData("maven:opt/app.jar", PackageManager.Maven)]
    [InlineData("go:usr/bin/podman", PackageManager.Go)]
    [InlineData("nuget:opt/app/app.deps.json", PackageManager.NuGet)]
    [InlineData("lib/apk/db/installed", PackageManager.Apk)]
    [InlineData("usr/lib/apk/db/installed", PackageManager.Apk)]
    [InlineData("var/lib/dpkg/status", PackageManager.Dpkg)]
    [InlineData("usr/lib/opkg/status", PackageManager.Dpkg)]
    [InlineData("manifest:var/lib/rpmmanifest", PackageManager.Rpm)]
    [InlineData("ndb:usr/lib/sysimage/rpm", PackageManager.Rpm)]
    public void A_database_tells_the_manager_and_how_the_version_is_split(string database, PackageManager manager)
    {
        var isLanguage = database.Contains(':', StringComparison.Ordinal) && manager != PackageManager.Rpm;
        var package = new Package
        {
            Manager = manager,
            Name = "p",
            Version = isLanguage ? "1:1.0.0-beta.1" : "1.0.0",
            Release = isLanguage ? "" : "r1",
            Architecture = "",
            Database = database,
        };

        Assert.Equal(package, Assert.Single(InventoryReports.Read(ToReport(new GuestInventory(Rhel, [package], []))).Packages));
    }

    /// <summary>With <see cref="A_real_inventory_comes_back_as_it_was_written"/>, which has bdb and sqlite, every text that a reader writes.</summary>
    [Fact]
    public void What_each_reader_finds_comes_back_with_its_manager()
    {
        using var ndb = new GuestTree().File("usr/lib/sysimage/rpm/Packages.db", NdbBuilder.Build([HeaderBuilder.Package("of-ndb")]));
        using var manifest = new GuestTree().File(
            "var/lib/rpmmanifest/container-manifest-2", "of-manifest\t2.35-4.cm2\t1\t2\tMicrosoft Corporation\t(none)\t3\tx86_64\t0\ta-2.35-4.cm2.src.rpm\n");
        using var others = new GuestTree()
            .File("var/lib/dpkg/status", Stanza("of-dpkg"))
            .File("var/lib/dpkg/status.d/base", Stanza("of-status.d"))
            .File("usr/lib/opkg/status", Stanza("of-opkg"))
            .File("lib/apk/db/installed", "P:of-apk\nV:1.2.3-r4\nA:x86_64\n\n")
            .File("usr/lib/apk/db/installed", "P:of-merged-apk\nV:1.2.3-r4\nA:x86_64\n\n")
            .File("opt/py/of-python.dist-info/METADATA", "Name: of-python\nVersion: 1.0-rc1\n")
            .File("opt/web/node_modules/of-node/package.json", """{"name":"of-node","version":"1.0.0-rc.1"}""")
            .File("opt/app/App.deps.json", """{"libraries":{"of-nuget/1.0.0-rc.1":{"type":"package"}}}""")
            .File("opt/app/of-go", GoPrograms.Build())
            .File("opt/app/of-maven.jar", LanguagePackagesTests.Jar(
                ("META-INF/maven/g/a/pom.properties", Encoding.UTF8.GetBytes("groupId=g\nartifactId=of-maven\nversion=1.0-rc1\n"))));
        File.SetUnixFileMode(others.Path("opt/app/of-go"), (UnixFileMode)0x1ed);

        var managers = new HashSet<PackageManager>();
        foreach (var tree in new[] { ndb, manifest, others })
        {
            var scanned = InventoryScanner.Scan(new InventoryScanOptions { HostPath = tree.Root, Os = Rhel, Languages = true }, CancellationToken.None);
            var read = InventoryReports.Read(ToReport(scanned));

            Assert.Empty(read.Problems);
            Assert.Equal(
                scanned.Packages.Select(Text).Order(StringComparer.Ordinal),
                read.Packages.Select(Text).Order(StringComparer.Ordinal));
            managers.UnionWith(read.Packages.Select(package => package.Manager));
        }

        Assert.Equal(Enum.GetValues<PackageManager>(), managers.Order());

        static string Text(Package package) => $"{package.Manager} {package.Name} {package.Epoch} {package.Version} {package.Release} {package.Database}";
    }

    static string Stanza(string name) => $"Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2.3-4\n";

    [Fact]
    public void Another_system_is_named_with_its_version()
    {
        var discovered = ToReport(new GuestInventory(new OsRelease("debian", "12", ""), [], [])).DiscoveredData;
        Assert.Equal((DetectedOS.Unknown, "debian 12"), (discovered.DetectedOs, discovered.OsVersion));
    }

    [Fact]
    public void Problems_travel_in_the_report()
    {
        var problems = new[] { new InventoryProblem("/var/lib/rpm/Packages", "is cut off: 1 of 2 pages"), new InventoryProblem("/", "two\nlines") };

        var some = ToReport(new GuestInventory(Rhel, [Rpm("bash")], problems));
        var none = ToReport(new GuestInventory(Rhel, [], problems));

        Assert.True(some.IndexReport.IndexV4.Success);
        Assert.False(none.IndexReport.IndexV4.Success);
        Assert.Equal([problems[0], new InventoryProblem("/", "two lines")], InventoryReports.Read(some).Problems);
    }

    [Fact]
    public void Many_problems_are_cut_and_counted()
    {
        var problems = Enumerable.Range(0, 1000).Select(i => new InventoryProblem($"/{i}", new string('x', 100))).ToList();

        var report = ToReport(new GuestInventory(Rhel, [], problems));
        var read = InventoryReports.Read(report).Problems;

        Assert.InRange(report.IndexReport.IndexV4.Err.Length, 10_000, 17_000);
        Assert.Equal($"{1000 - (read.Count - 1)} more problems", read[^1].Message);
    }

    [Fact]
    public void An_empty_report_is_an_empty_inventory_with_a_problem()
    {
        var inventory = InventoryReports.Read(new VMReport());

        Assert.Equal(OsRelease.Unknown, inventory.Os);
        Assert.Empty(inventory.Packages);
        Assert.Equal("the report has no index", Assert.Single(inventory.Problems).Message);
    }

    [Fact]
    public void Entries_that_are_no_packages_are_left_out_and_lost_ones_counted()
    {
        var inventory = InventoryReports.Read(ReportOf(
            new Scanner.Package { Name = "a", Kind = "binary", PackageDb = "ndb:usr/lib/sysimage/rpm", Version = "1" },
            new Scanner.Package { Name = "b", Kind = "binary", PackageDb = "var/lib/dpkg/status.d/b", Version = "1" },
            new Scanner.Package { Name = "c", Kind = "source", PackageDb = "bdb:var/lib/rpm" },
            new Scanner.Package { Name = "d", Kind = "binary", PackageDb = "gem:usr/lib/ruby" },
            new Scanner.Package { Name = "", Kind = "binary", PackageDb = "bdb:var/lib/rpm" }));

        Assert.Equal([("a", PackageManager.Rpm), ("b", PackageManager.Dpkg)], inventory.Packages.Select(package => (package.Name, package.Manager)));
        Assert.StartsWith("2 packages", Assert.Single(inventory.Problems).Message);
    }

    [Fact]
    public void The_database_may_be_named_by_the_environment()
    {
        var report = ReportOf(new Scanner.Package { Name = "a", Kind = "binary", Version = "1" });
        report.IndexReport.IndexV4.Contents.Environments["0"] = new Scanner.Environment.Types.List { Environments = { new Scanner.Environment { PackageDb = "bdb:var/lib/rpm" } } };

        Assert.Equal("bdb:var/lib/rpm", Assert.Single(InventoryReports.Read(report).Packages).Database);
    }

    [Fact]
    public void Long_texts_are_cut_between_characters()
    {
        var emoji = string.Concat(Enumerable.Repeat("😀", 1000));
        var package = Assert.Single(InventoryReports.Read(ReportOf(new Scanner.Package { Name = "x" + emoji, Kind = "binary", PackageDb = "bdb:x", Version = emoji })).Packages);
        Assert.Equal((1023, 1024), (package.Name.Length, package.Version.Length));
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_report_that_is_well_formed_is_read()
    {
        var original = Bytes(new GuestInventory(
            Rhel, [.. Enumerable.Range(0, 8).Select(i => Rpm($"package{i}", (uint)i) with { Rpm = Details, Repository = i % 3 == 0 ? BaseOs : Unmapped })], [new InventoryProblem("/", "problem")])
        {
            Host = Host,
        });
        var random = new Random(20260108);
        var read = 0;
        var inputs = Damage.Inputs(20_000);
        for (var i = 0; i < inputs; i++)
        {
            var bytes = Damage.Mutate(original, random, focus: 200);
            if (ReportValidator.Validate(bytes, out _) is not null) continue;
            Damage.AssertBounded(() => InventoryReports.Read(VMReport.Parser.ParseFrom(bytes)), bytes.Length, $"case {i}");
            read++;
        }

        Assert.True(read > inputs / 20, $"only {read} cases were well-formed");
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Whatever_a_report_holds_can_be_written_in_every_form()
    {
        var original = Bytes(new GuestInventory(
            Rhel,
            [Rpm("bash", 1) with { Rpm = Details, Repository = BaseOs }, Rpm("p") with { Manager = PackageManager.Npm, Database = "nodejs:x", Release = "" }],
            [new InventoryProblem("/", "problem")])
        {
            Host = Host,
        });
        var options = new SbomOptions { SerialNumber = Guid.Empty, Created = DateTimeOffset.UnixEpoch, ToolVersion = "1" };
        using var output = new MemoryStream();
        var random = new Random(20260124);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var bytes = Damage.Mutate(original, random, focus: 200);
            if (ReportValidator.Validate(bytes, out _) is not null) continue;
            var inventory = InventoryReports.Read(VMReport.Parser.ParseFrom(bytes));
            Damage.AssertBounded(
                () =>
                {
                    output.SetLength(0);
                    InventoryJson.Write(inventory, output);
                    InventoryTsv.Write(inventory, output);
                    CycloneDx.Write(inventory, options, output);
                    Spdx.Write(inventory, options, output);
                    Bytes(inventory);
                },
                // Five documents, each with buffers of its own.
                5 * (bytes.Length + 4096),
                $"case {i}");
        }
    }
}
