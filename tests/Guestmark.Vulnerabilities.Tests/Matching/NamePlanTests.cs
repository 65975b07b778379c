using System.Text;
using Guestmark.Inventory;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>What is prepared to make matching fast must not change what it finds.</summary>
public class NamePlanTests
{
    static readonly string[] Versions = ["0.9-1", "1.0-1", "1.00-1", "1:0.1-1", "2.0~rc1-1", "2.0-1", "2.0^git-1", "10.0-1", "9-1", "1.0"];

    [Fact]
    public void Places_among_versions_agree_with_comparing_every_interval()
    {
        var random = new Random(7);
        for (var round = 0; round < 300; round++)
        {
            var intervals = Enumerable.Range(0, random.Next(1, 4)).Select(_ => Interval(random)).ToArray();
            var database = Databases.Of(new Advisory
            {
                Feed = FeedName.Osv,
                Id = "TEST-1",
                Statements = [new PackageStatement { Product = "AlmaLinux:8", Name = "p", Intervals = intervals }],
            });
            // Several fixed builds from the beginning on are rebuilds: the oldest decides.
            var rebuilds = intervals.Length > 1 && intervals.All(interval => interval is { Introduced: null, Kind: IntervalEnd.Fixed });
            foreach (var version in Versions)
            {
                var expected = rebuilds ? intervals.All(interval => Contains(interval, version)) : intervals.Any(interval => Contains(interval, version));
                Assert.Equal((intervals, version, expected), (intervals, version, Match(database, AlmaLinux8, Rpm("p", version)).Count == 1));
            }
        }
    }

    [Theory]
    [InlineData("7.76.1-23.el9_2.4", 9002)]
    [InlineData("7.76.1-23.el9", 0)]
    [InlineData("1:18.20.2-1.module+el8.9.0+21767+537f34ee", 8009)]
    [InlineData("18.20.2-1.module_el8.10.0+3+a", 8010)]
    [InlineData("8.4.0-2.el7jbcs", 0)]
    [InlineData("1.0-1.el8_10.elrepo", 8010)]
    [InlineData("1-1.model8_4", 0)]
    [InlineData("1-1.el", 0)]
    [InlineData("1-1.el9_", 0)]
    [InlineData("1-1.el99999999999999999999_9", 0)]
    [InlineData("", 0)]
    public void The_minor_release_is_read_from_the_build(string version, int expected) =>
        Assert.Equal(expected, BuildTag.MinorOf(Encoding.UTF8.GetBytes(version)));

    [Theory]
    [InlineData("7.76.1-23.el9_2.4", 9)]
    [InlineData("8.4.0-2.el7jbcs", 7)]
    [InlineData("1:18.20.2-1.module+el8.9.0+21767+537f34ee", 8)]
    [InlineData("1-1.model8_4", 0)]
    [InlineData("1-1.fc39", 0)]
    public void The_major_release_is_read_from_the_build(string version, int expected) =>
        Assert.Equal(expected, BuildTag.MajorOf(Encoding.UTF8.GetBytes(version)));

    [Theory]
    [InlineData("3.9-8100020240826142629.d47b87a4", 81000)]
    [InlineData("rhel8-8100020240826142629.d47b87a4", 81000)]
    [InlineData("3.9-20240826142629.d47b87a4", 0)]
    [InlineData("3.9-", 0)]
    [InlineData("", 0)]
    public void The_platform_is_read_from_the_module_s_version(string version, int expected) =>
        Assert.Equal(expected, BuildTag.PlatformOf(Encoding.UTF8.GetBytes(version)));

    [Fact]
    public async Task One_matcher_serves_many_threads()
    {
        var database = Databases.Of([.. Enumerable.Range(0, 200).Select(i => new Advisory
        {
            Feed = FeedName.Osv,
            Id = $"TEST-{i}",
            Statements = [new PackageStatement { Product = "AlmaLinux:8", Name = $"p{i % 20}", Intervals = [VersionInterval.FixedIn($"{i}-1")] }],
        })]);
        var packages = Enumerable.Range(0, 20).Select(i => Rpm($"p{i}", "100-1")).ToArray();
        var expected = Match(database, AlmaLinux8, packages).Select(finding => finding.AdvisoryId).ToArray();
        Assert.Equal(99, expected.Length);
        var matcher = new Matcher(database);
        var results = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            var findings = new List<Finding>();
            foreach (var package in packages) matcher.Match(AlmaLinux8, package, findings);
            return findings.Select(finding => finding.AdvisoryId).ToArray();
        })));
        Assert.All(results, result => Assert.Equal(expected, result));
    }

    static VersionInterval Interval(Random random)
    {
        return random.Next(4) switch
        {
            0 => VersionInterval.FixedIn(Any()),
            1 => new VersionInterval(Any(), Any(), IntervalEnd.Fixed),
            2 => new VersionInterval(random.Next(2) == 0 ? null : Any(), Any(), IntervalEnd.LastAffected),
            _ => new VersionInterval(Any(), null, IntervalEnd.None),
        };

        string Any() => Versions[random.Next(Versions.Length)];
    }

    static bool Contains(VersionInterval interval, string version) =>
        (interval.Introduced is null || RpmVersion.Compare(version, interval.Introduced) >= 0)
        && interval.Kind switch
        {
            IntervalEnd.Fixed => RpmVersion.Compare(version, interval.End) < 0,
            IntervalEnd.LastAffected => RpmVersion.Compare(version, interval.End) <= 0,
            _ => true,
        };
}
