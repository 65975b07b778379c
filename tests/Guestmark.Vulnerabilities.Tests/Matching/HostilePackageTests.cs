using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Every text of a package is the guest's, and every text of a statement somebody's: any must be taken.</summary>
public class HostilePackageTests
{
    static readonly string[] Parts =
    [
        "", "curl", ":", "-", ".", "~", "^", "el9_2", ".el9_", ".module+el8.9.0", ".module_el", "1", "99999999999999999999999", "0", "é", "\ud800", "\0", "nodejs:18",
        "8100020240826142629", "x86_64", "noarch", "src", "cpe:/o:redhat:enterprise_linux:9", "cpe:/a:redhat:rhel_eus:9.2::x", "cpe:2.3:o:redhat:*", "kernel", "linux-image-6",
    ];

    static readonly string[] Products = ["Red Hat:enterprise_linux:9", "Red Hat:rhel_eus:9.2", "AlmaLinux:8", "Debian:12", "PyPI"];

    static readonly OsRelease[] Systems = [new("rhel", "9.2", ""), new("rhel", "", ""), new("almalinux", "8", ""), new("debian", "12", ""), OsRelease.Unknown];

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_package_and_any_statement_can_be_matched_and_explained()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var set) ? set : 2000;
        var random = new Random(3);
        var found = 0;
        for (var round = 0; round < Math.Max(1, inputs / 20); round++)
        {
            var database = Databases.Of([.. Enumerable.Range(0, random.Next(1, 6)).Select(i => AnyAdvisory(random, i))]);
            var matcher = new Matcher(database, new MatchOptions { IncludeNotAffected = true });
            for (var i = 0; i < 20; i++)
            {
                var (os, package) = (Systems[random.Next(Systems.Length)], AnyPackage(random));
                var findings = new List<Finding>();
                var machine = matcher.For(os, new HostFacts { RunningKernel = AnyText(random) });
                var outcome = machine.Match(package, findings);
                found += findings.Count;
                if (outcome != MatchOutcome.Matched) Assert.Empty(findings);
                foreach (var finding in findings)
                {
                    // Whatever it is, it is about a name of the package, and of a product of the database.
                    var label = package.ModularityLabel?.Split(':') is [var module, var stream, ..] ? $"{module}:{stream}" : null;
                    Assert.Contains(finding.Evidence.MatchedPackage, (string?[])[package.Name, package.SourceName, label, package.Name.ToLowerInvariant()]);
                    Assert.Contains(finding.Evidence.Ecosystem, Products);
                    Assert.NotNull(finding.Evidence.Comparison);
                }

                Assert.Equal(findings.Count, findings.DistinctBy(finding => (finding.Feed, finding.AdvisoryId, string.Join(' ', finding.Cves))).Count());
                Assert.NotNull(matcher.Explain(os, [package], "CVE-1"));
            }
        }

        Assert.True(found > inputs / 100, $"{found} findings of {inputs} packages: the packages and statements no longer meet");
    }

    static Advisory AnyAdvisory(Random random, int number) => new()
    {
        Feed = random.Next(3) switch { 0 => FeedName.RedHatVex, 1 => FeedName.Csaf, _ => FeedName.Osv },
        Id = $"ID-{number}",
        Cves = random.Next(3) == 0 ? [] : ["CVE-1", $"CVE-{random.Next(3)}"],
        Statements =
        [
            .. Enumerable.Range(0, random.Next(1, 5)).Select(_ => new PackageStatement
            {
                Product = Products[random.Next(Products.Length)],
                Name = random.Next(4) == 0 ? AnyText(random) : random.Next(4) == 0 ? "nodejs:18" : "curl",
                Naming = (PackageNaming)random.Next(4),
                Status = (ProductStatus)random.Next(1, 8),
                Intervals = [.. Enumerable.Range(0, random.Next(3)).Select(_ => AnyInterval(random))],
                Architectures = random.Next(3) == 0 ? ["x86_64", AnyText(random)] : [],
                Modules = random.Next(3) == 0 ? ["nodejs:18", AnyText(random)] : [],
                Cve = random.Next(3) == 0 ? "CVE-1" : null,
            }),
        ],
    };

    static VersionInterval AnyInterval(Random random) => random.Next(3) switch
    {
        0 => VersionInterval.FixedIn(AnyText(random)),
        1 => VersionInterval.Exactly(AnyText(random)),
        _ => new VersionInterval(AnyText(random), null, IntervalEnd.None),
    };

    static Package AnyPackage(Random random) => new()
    {
        Manager = (PackageManager)random.Next(1, 9),
        Name = random.Next(3) == 0 ? AnyText(random) : "curl",
        Epoch = random.Next(3) == 0 ? (uint)random.Next() : null,
        Version = AnyText(random),
        Release = AnyText(random),
        Architecture = random.Next(2) == 0 ? "x86_64" : AnyText(random),
        ModularityLabel = random.Next(3) switch { 0 => AnyText(random), 1 => "nodejs:18:8100020240826142629:a", _ => null },
        SourceName = random.Next(2) == 0 ? "curl" : AnyText(random),
        SourceVersion = AnyText(random),
        Vendor = random.Next(2) == 0 ? null : AnyText(random),
        Repository = random.Next(2) == 0 ? null : new PackageRepository(
            AnyText(random), (RepositoryEvidence)random.Next(0, 8), [.. Enumerable.Range(0, random.Next(4)).Select(_ => AnyText(random))], null),
    };

    static string AnyText(Random random) => string.Concat(Enumerable.Range(0, random.Next(1, 4)).Select(_ => Parts[random.Next(Parts.Length)]));
}
