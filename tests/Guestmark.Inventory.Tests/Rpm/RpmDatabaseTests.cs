using System.Diagnostics;
using Guestmark.TestKit;
using Xunit.Abstractions;

namespace Guestmark.Inventory.Tests.Rpm;

[Collection(nameof(RealDatabases))]
public sealed class RpmDatabaseTests(RealDatabases databases, ITestOutputHelper output)
{
    [TestDataTheory]
    [MemberData(nameof(RealDatabases.Names), MemberType = typeof(RealDatabases))]
    public void Headers_are_those_that_rpm_lists(string name)
    {
        var contents = Databases.Read(databases.DatabaseFile(name));

        Assert.Empty(contents.Problems);
        Assert.Equal(RealDatabases.Expected(name), Databases.Lines(contents.Headers));
    }

    [TestDataTheory]
    [MemberData(nameof(RealDatabases.Names), MemberType = typeof(RealDatabases))]
    public void Scanned_packages_are_those_that_rpm_lists_without_keys(string name)
    {
        var inventory = InventoryScanner.Scan(new InventoryScanOptions { HostPath = databases.Root(name), Os = OsRelease.Unknown }, CancellationToken.None);

        Assert.Empty(inventory.Problems);
        // A package without an architecture would be printed as (none) by rpm; only keys are.
        Assert.Equal(
            RealDatabases.Expected(name).Where(line => !line.StartsWith("gpg-pubkey\t", StringComparison.Ordinal)),
            Databases.Lines(inventory.Packages));
        var backend = Path.GetFileName(databases.DatabaseFile(name)) == "Packages" ? "bdb" : "sqlite";
        Assert.All(inventory.Packages, package => Assert.Equal($"{backend}:var/lib/rpm", package.Database));
    }

    [TestDataTheory]
    [InlineData("centos8-modularitylabel", "bash", "bash", "4.4.19-10.el8")]
    [InlineData("centos8-modularitylabel", "perl-Errno", "perl", "5.26.3-416.el8")]
    [InlineData("libuuid", "libuuid", "util-linux", "2.32.1-42.el8_8")]
    public void Sources_are_split_from_the_name_of_the_source_rpm(string database, string package, string sourceName, string sourceVersion)
    {
        var inventory = InventoryScanner.Scan(new InventoryScanOptions { HostPath = databases.Root(database), Os = OsRelease.Unknown }, CancellationToken.None);

        var found = inventory.Packages.First(candidate => candidate.Name == package);
        Assert.Equal((sourceName, sourceVersion), (found.SourceName, found.SourceVersion));
    }

    [TestDataFact]
    public void Cut_in_half_a_database_gives_what_is_left_and_a_problem()
    {
        foreach (var name in new[] { "centos8-modularitylabel", "centos5-plain", "cbl-mariner-2.0", "derived" })
        {
            using var folder = new TemporaryFolder();
            var cut = folder.File("database");
            File.Copy(databases.DatabaseFile(name), cut);
            using (var file = File.OpenWrite(cut)) file.SetLength(file.Length / 2);

            var contents = Databases.Read(cut);

            Assert.NotEmpty(contents.Headers);
            Assert.Contains(contents.Problems, problem => problem.StartsWith("is cut off", StringComparison.Ordinal));
            Assert.Empty(Databases.Lines(contents.Headers).Except(RealDatabases.Expected(name)));
        }
    }

    [TestDataFact]
    public void A_database_that_changes_all_the_time_is_reported_as_such()
    {
        using var folder = new TemporaryFolder();
        var changing = folder.File("Packages");
        File.Copy(databases.DatabaseFile("centos8-modularitylabel"), changing);
        using var stop = new CancellationTokenSource();
        var writer = new Thread(() =>
        {
            for (var time = DateTime.UnixEpoch; !stop.IsCancellationRequested; time += TimeSpan.FromSeconds(1)) File.SetLastWriteTimeUtc(changing, time);
        });
        writer.Start();
        try
        {
            // Bounded: the writer may for once not get a processor during three attempts.
            var reported = Enumerable.Range(0, 100)
                .Any(_ => Databases.Read(changing).Problems.Any(problem => problem.StartsWith("changed while it was read", StringComparison.Ordinal)));
            Assert.True(reported);
        }
        finally
        {
            stop.Cancel();
            writer.Join();
        }

        Assert.Empty(Databases.Read(changing).Problems);
    }

    [TestDataFact]
    public void Reading_allocates_little_more_than_the_result()
    {
        var path = databases.DatabaseFile("centos8-modularitylabel");
        Databases.Read(path);
        var allocatedBefore = GC.GetAllocatedBytesForCurrentThread();
        var contents = Databases.Read(path);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - allocatedBefore;
        var best = Enumerable.Range(0, 10).Min(_ =>
        {
            var start = Stopwatch.GetTimestamp();
            Databases.Read(path);
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        });

        output.WriteLine($"{contents.Headers.Count} headers: best of 10 {best:F2} ms, {allocated} bytes allocated");
        // The file has 26.7 MB and its largest header 3 MB, of which the front is joined.
        Assert.InRange(allocated, 0, 8 << 20);
    }
}
