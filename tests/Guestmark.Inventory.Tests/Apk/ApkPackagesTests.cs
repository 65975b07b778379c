using System.Text;
using Guestmark.Inventory.Apk;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Apk;

public sealed class ApkPackagesTests
{
    const string Installed = "lib/apk/db/installed";

    static InventoryScan Read(GuestTree tree, bool files = false)
    {
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        var scan = new InventoryScan(root, CancellationToken.None) { Files = files ? (_, _) => true : null };
        ApkPackages.Read(scan);
        return scan;
    }

    static InventoryScan Read(string installed, bool files = false)
    {
        using var tree = new GuestTree().File(Installed, installed);
        return Read(tree, files);
    }

    [TestDataFact]
    public void A_real_database_gives_its_packages_and_files()
    {
        var text = File.ReadAllText(Repository.TestDataPath("apk/trivy-testdata/apk"));
        var records = text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        var named = records.Where(record => record.Split('\n').Any(line => line.StartsWith("P:", StringComparison.Ordinal)) && record.Contains("\nV:")).ToList();

        var scan = Read(text, files: true);

        Assert.Equal(named.Count, scan.Packages.Count);
        Assert.Equal(records.Length - named.Count, scan.Problems.Count);
        var musl = scan.Packages.First(package => package.Name == "musl");
        Assert.Equal(
            (PackageManager.Apk, "1.1.14", "r10", "1.1.14-r10", "x86_64", "musl", "1.1.14-r10", "MIT", "Timo Teräs <timo.teras@iki.fi>", Installed),
            (musl.Manager, musl.Version, musl.Release, musl.FullVersion, musl.Architecture, musl.SourceName, musl.SourceVersion, musl.License, musl.Vendor, musl.Database));
        Assert.Equal(
            [
                new PackageFile("/lib/libc.musl-x86_64.so.1", Convert.ToHexStringLower(Convert.FromBase64String("7yJ3JFNypA4mxhJJr0ou6CzsJVI=")), 0),
                new PackageFile("/lib/ld-musl-x86_64.so.1", Convert.ToHexStringLower(Convert.FromBase64String("KUwsFGLHn/enpN9+QIpK/FmixtQ=")), 0),
            ],
            musl.Files!);
        Assert.Equal(text.Split('\n').Count(line => line.StartsWith("R:", StringComparison.Ordinal)), scan.Packages.Sum(package => package.Files!.Count));
    }

    [Theory]
    [InlineData("1.2.3-r4", "1.2.3", "r4")]
    [InlineData("1.2.3", "1.2.3", "")]
    [InlineData("1.2-rc1", "1.2-rc1", "")]
    [InlineData("20240101_git-r0", "20240101_git", "r0")]
    [InlineData("1.2-r", "1.2-r", "")]
    [InlineData("-r1", "-r1", "")]
    public void The_release_is_what_apk_calls_the_package_revision(string text, string version, string release)
    {
        Assert.Equal((version, release), ApkInstalled.SplitVersion(text));
        Assert.Equal(text, Assert.Single(Read($"P:a\nV:{text}\n").Packages).FullVersion);
    }

    [Theory]
    [InlineData("P:b\n", "record 2 (b) has no V (version)")]
    [InlineData("V:1\n", "record 2 (without a name) has no P (name)")]
    [InlineData("P:b\nV\nV:1\n", "record 2 (b) has a line that is not a letter, a colon and a value")]
    [InlineData("P:b\nP:c\nV:1\n", "record 2 (b) names a field twice")]
    public void A_bad_record_costs_only_itself(string record, string expected)
    {
        var scan = Read($"P:a\nV:1\n\n{record}\nP:z\nV:1\n");

        Assert.Equal(["a", "z"], scan.Packages.Select(package => package.Name));
        Assert.StartsWith(expected, Assert.Single(scan.Problems).Message);
    }

    [Fact]
    public void A_database_behind_two_names_is_read_once()
    {
        using var tree = new GuestTree().File("usr/lib/apk/db/installed", "P:a\nV:1-r0\n").Link("lib", "usr/lib");

        var scan = Read(tree);

        Assert.Equal("usr/lib/apk/db/installed", Assert.Single(scan.Packages).Database);
        Assert.Equal(1, scan.Databases);
    }

    [Fact]
    public void Files_lie_in_the_folder_before_them()
    {
        var scan = Read("F:\nR:early\nP:a\nV:1\nF:etc\nR:one\nF:usr/bin\nR:two\nZ:Q1broken\nR:three\nZ:Q2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nP:b\nV:1\nR:root\n", files: true);

        Assert.Empty(scan.Problems);
        Assert.Equal(["/early", "/etc/one", "/usr/bin/two", "/usr/bin/three"], scan.Packages[0].Files!.Select(file => file.Path));
        Assert.Equal([null, null, null, new string('0', 64)], scan.Packages[0].Files!.Select(file => file.Digest));
        Assert.Equal("/root", Assert.Single(scan.Packages[1].Files!).Path);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_packages_or_problems()
    {
        var random = new Random(20260110);
        var seed = Encoding.UTF8.GetBytes("P:a\nV:1-r0\nA:x86_64\no:src\nL:MIT\nm:M <m@example.org>\nF:usr/bin\nR:two\na:0:0:755\nZ:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=\n\nP:b\nV:2\n");
        using var tree = new GuestTree();
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        var lines = new FileLines(CancellationToken.None);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var damaged = Damage.Mutate(seed, random, 60);
            tree.File("installed", damaged);
            Assert.Null(root.TryOpenFile("installed", out var file));
            using (file) Damage.AssertBounded(() => ApkInstalled.Read(file!, "db", (_, _) => true, [], lines, new TextPool()), damaged.Length, $"case {i}");
        }
    }
}
