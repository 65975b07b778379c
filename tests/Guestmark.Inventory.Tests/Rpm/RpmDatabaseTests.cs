using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Guestmark.TestKit;
using Xunit.Abstractions;

namespace Guestmark.Inventory.Tests.Rpm;

[Collection(nameof(RealDatabases))]
public sealed class RpmDatabaseTests(RealDatabases databases, ITestOutputHelper output)
{
    [TestDataTheory]
    [MemberData(nameof(RealDatabases.Names), MemberType = typeof(RealDatabases))]
    public void Every_field_of_every_package_is_as_rpm_prints_it(string name)
    {
        var contents = Databases.Read(databases.DatabaseFile(name));

        Assert.Empty(contents.Problems);
        AssertSame(RealDatabases.Expected(name), Databases.Lines(contents.Packages), name);
    }

    [TestDataTheory]
    [MemberData(nameof(RealDatabases.Names), MemberType = typeof(RealDatabases))]
    public void A_scan_lists_the_packages_without_keys(string name)
    {
        var inventory = InventoryScanner.Scan(new InventoryScanOptions { HostPath = databases.Root(name), Os = OsRelease.Unknown }, CancellationToken.None);

        Assert.Empty(inventory.Problems);
        AssertSame(RealDatabases.Expected(name), Databases.Lines(inventory.Packages), name);
        var backend = RealDatabases.BackendOf(databases.DatabaseFile(name));
        Assert.All(inventory.Packages, package => Assert.Equal($"{backend}:var/lib/rpm", package.Database));
        Assert.All(inventory.Packages, package => Assert.Null(package.Files));
    }

    /// <summary>A database that was converted has other numbers.</summary>
    static void AssertSame(IEnumerable<string> expected, IEnumerable<string> actual, string name)
    {
        if (name.StartsWith("derived", StringComparison.Ordinal)) (expected, actual) = (WithoutNumbers(expected), WithoutNumbers(actual));
        Assert.Equal(expected, actual);

        static List<string> WithoutNumbers(IEnumerable<string> lines) =>
            [.. lines.Select(line => line[(line.IndexOf('\t') + 1)..]).Order(StringComparer.Ordinal)];
    }

    [TestDataTheory]
    [MemberData(nameof(RealDatabases.Names), MemberType = typeof(RealDatabases))]
    public void Lists_of_files_have_the_expected_hash(string name)
    {
        var files = Databases.Read(databases.DatabaseFile(name), (_, _) => true).Packages.ToLookup(package => Line(package), package => package.Files!);

        // Made by rpm -qa --qf '[%{NAME}\t%{FILENAMES}\n]': a line is only printed where both arrays have one element, or none.
        var text = new StringBuilder();
        foreach (var row in RealDatabases.Rows(name).Select(row => row.Split('\t')))
        {
            var list = files[string.Join('\t', row[1..5])].FirstOrDefault() ?? [];
            if (list.Count < 2) text.Append($"{row[1]}\t{(list.Count == 1 ? list[0].Path : "(none)")}\n");
        }

        var source = name.StartsWith("derived", StringComparison.Ordinal) ? "centos5-plain" : name;
        var expected = File.ReadAllText(Repository.TestDataPath($"rpmdb/expected-rpm-4.18/{source}.filelist.sha256")).Trim();
        Assert.Equal(expected, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString()))));

        static string Line(Package package) => string.Join('\t', package.Name, package.Epoch?.ToString() ?? "(none)", package.Version, package.Release);
    }

    [RealDatabaseFact("rpm")]
    public void Files_with_their_digests_and_flags_and_dependencies_are_those_that_rpm_lists()
    {
        // rpm of Debian has no ndb.
        foreach (var name in RealDatabases.All.Where(name => RealDatabases.BackendOf(databases.DatabaseFile(name)) != "ndb"))
        {
            var packages = Databases.Read(databases.DatabaseFile(name), (_, _) => true, dependencies: true).Packages;

            AssertLines(
                "[%{=DBINSTANCE}\t%{FILENAMES}\t%{FILEDIGESTS}\t%{FILEFLAGS}\n]",
                packages.SelectMany(package => package.Files!.Select(file => $"{package.Rpm!.Number}\t{file.Path}\t{file.Digest}\t{file.Flags}")));
            AssertLines(
                "[%{=DBINSTANCE}\t%{PROVIDENAME}\t%{PROVIDEVERSION}\n]",
                packages.SelectMany(package => package.Rpm!.Provides!.Select(provide => $"{package.Rpm.Number}\t{provide.Name}\t{provide.Version}")));
            AssertLines(
                "[%{=DBINSTANCE}\t%{REQUIRENAME}\n]",
                packages.SelectMany(package => package.Rpm!.Requires!.Select(require => $"{package.Rpm.Number}\t{require}")));
            AssertLines(
                "%{DBINSTANCE}\t%{SUMMARY}\t%{GROUP}\t%{INSTALLTID}\t%{FILEDIGESTALGO}\n",
                packages.Select(package => $"{package.Rpm!.Number}\t{package.Rpm.Summary}\t{package.Rpm.Group}\t{package.Rpm.InstallTransaction}\t{package.Rpm.FileDigestAlgorithm?.ToString() ?? "(none)"}"));

            void AssertLines(string format, IEnumerable<string> actual)
            {
                var numbers = packages.Select(package => $"{package.Rpm!.Number}").ToHashSet();
                var expected = RpmTool.Query(databases.DatabaseFile(name), format).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                    // An array of no element is printed once; keys are no packages.
                    .Where(line => !line.EndsWith("\t(none)", StringComparison.Ordinal) || format[0] != '[').Where(line => numbers.Contains(line.Split('\t')[0]));
                Assert.Equal(expected.Order(StringComparer.Ordinal), actual.Order(StringComparer.Ordinal));
            }
        }
    }

    [RealDatabaseFact("rpmdb", "db5.3_load")]
    public void Databases_that_are_converted_by_rpm_and_by_Berkeley_DB_hold_the_same_packages()
    {
        foreach (var name in new[] { "centos8-modularitylabel", "centos6-plain", "cbl-mariner-2.0" })
        {
            using var folder = new TemporaryFolder();
            var source = databases.DatabaseFile(name);
            var expected = Converted(Databases.Read(source, (_, _) => true, dependencies: true));

            RpmTool.Convert(source, folder.File("sqlite"));
            Assert.Equal(expected, Converted(Databases.Read(folder.File("sqlite/rpmdb.sqlite"), (_, _) => true, dependencies: true)));

            var headers = RpmTool.Export(source);
            Assert.Equal(expected, Converted(Databases.Read(NdbBuilder.Write(folder.File("Packages.db"), headers), (_, _) => true, dependencies: true)));
            foreach (var byteOrder in new[] { BerkeleyHashTests.LittleEndian, BerkeleyHashTests.BigEndian })
            {
                var path = folder.File($"Packages-{byteOrder}");
                BerkeleyHashTests.Load(path, 4096, byteOrder, headers);
                Assert.Equal(expected, Converted(Databases.Read(path, (_, _) => true, dependencies: true)));
            }
        }

        // JSON shows what a record's ToString leaves out: the elements of lists.
        static List<string> Converted(ReadDatabase contents)
        {
            Assert.Empty(contents.Problems);
            return [.. contents.Packages
                .Select(package => JsonSerializer.Serialize(package with { Database = "", Rpm = package.Rpm! with { Number = 0 } })).Order(StringComparer.Ordinal)];
        }
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
        foreach (var name in new[] { "centos8-modularitylabel", "centos5-plain", "cbl-mariner-2.0", "sle15-bci" })
        {
            using var folder = new TemporaryFolder();
            var cut = folder.File("database");
            File.Copy(databases.DatabaseFile(name), cut);
            using (var file = File.OpenWrite(cut)) file.SetLength(file.Length / 2);

            var contents = Databases.Read(cut);

            Assert.NotEmpty(contents.Packages);
            Assert.NotEmpty(contents.Problems);
            Assert.Empty(Databases.Lines(contents.Packages).Except(RealDatabases.Expected(name)));
        }
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

        output.WriteLine($"{contents.Packages.Count} packages: best of 10 {best:F2} ms, {allocated} bytes allocated");
        // 518 packages with 20 texts each; of the 26.7 MB of the file a few pages at a time are held.
        Assert.InRange(allocated, 0, 2 << 20);
    }
}
