using Google.Protobuf;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.TestKit;
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
        var bytes = InventoryReports.Write(inventory).ToByteArray();

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
        var report = InventoryReports.Write(new GuestInventory(Rhel, [Rpm("bash", 1) with { ModularityLabel = "shells:rhel8:1:abc" }], []));

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
    public void Another_system_is_named_with_its_version()
    {
        var discovered = InventoryReports.Write(new GuestInventory(new OsRelease("debian", "12", ""), [], [])).DiscoveredData;
        Assert.Equal((DetectedOS.Unknown, "debian 12"), (discovered.DetectedOs, discovered.OsVersion));
    }

    [Fact]
    public void Problems_travel_in_the_report()
    {
        var problems = new[] { new InventoryProblem("/var/lib/rpm/Packages", "is cut off: 1 of 2 pages"), new InventoryProblem("/", "two\nlines") };

        var some = InventoryReports.Write(new GuestInventory(Rhel, [Rpm("bash")], problems));
        var none = InventoryReports.Write(new GuestInventory(Rhel, [], problems));

        Assert.True(some.IndexReport.IndexV4.Success);
        Assert.False(none.IndexReport.IndexV4.Success);
        Assert.Equal([problems[0], new InventoryProblem("/", "two lines")], InventoryReports.Read(some).Problems);
    }

    [Fact]
    public void Many_problems_are_cut_and_counted()
    {
        var problems = Enumerable.Range(0, 1000).Select(i => new InventoryProblem($"/{i}", new string('x', 100))).ToList();

        var report = InventoryReports.Write(new GuestInventory(Rhel, [], problems));
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
            new Scanner.Package { Name = "d", Kind = "binary", PackageDb = "python:usr/lib/python3" },
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
    public void Any_report_that_is_well_formed_is_read()
    {
        var original = InventoryReports.Write(new GuestInventory(
            Rhel, [.. Enumerable.Range(0, 20).Select(i => Rpm($"package{i}", (uint)i))], [new InventoryProblem("/", "problem")])).ToByteArray();
        var random = new Random(20260108);
        var read = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var bytes = Damage.Mutate(original, random, focus: 200);
            if (ReportValidator.Validate(bytes, out _) is not null) continue;
            Damage.AssertBounded(() => InventoryReports.Read(VMReport.Parser.ParseFrom(bytes)), bytes.Length, $"case {i}");
            read++;
        }

        Assert.True(read > 1000, $"only {read} cases were well-formed");
    }
}
