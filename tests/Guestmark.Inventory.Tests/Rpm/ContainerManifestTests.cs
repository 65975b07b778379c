using System.Text;
using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory.Tests.Rpm;

public sealed class ContainerManifestTests
{
    const string Line = "glibc\t2.35-4.cm2\t1679000000\t1678000000\tMicrosoft Corporation\t(none)\t10855265\tx86_64\t0\tglibc-2.35-4.cm2.src.rpm\n";

    static List<Package> Read(string manifest, int wrong = 0)
    {
        var packages = new List<Package>();
        Assert.Equal(wrong, ContainerManifest.Decode(Encoding.UTF8.GetBytes(manifest), packages, CancellationToken.None));
        return packages;
    }

    [Fact]
    public void A_line_is_a_package()
    {
        var package = Assert.Single(Read(Line));

        Assert.Equal(
            new Package
            {
                Manager = PackageManager.Rpm,
                Name = "glibc",
                Version = "2.35",
                Release = "4.cm2",
                Architecture = "x86_64",
                Vendor = "Microsoft Corporation",
                SourceRpm = "glibc-2.35-4.cm2.src.rpm",
                SourceName = "glibc",
                SourceVersion = "2.35-4.cm2",
                Database = "manifest:var/lib/rpmmanifest",
                Rpm = new RpmDetails { Number = 1, InstallTime = 1679000000, BuildTime = 1678000000, Size = 10855265 },
            },
            package with { Rpm = package.Rpm! with { } });
    }

    [Fact]
    public void What_is_none_is_absent_and_an_epoch_is_kept()
    {
        var packages = Read("a\t1-1\t(none)\t(none)\t(none)\t(none)\t(none)\t(none)\t0\t(none)\nb\t1-1\t1\t2\tV\t3\t4\tnoarch\t3\tb-1-1.src.rpm");

        Assert.Equal([("a", null), ("b", 3u)], packages.Select(package => (package.Name, package.Epoch)));
        Assert.Equal(("", null, null), (packages[0].Architecture, packages[0].SourceRpm, packages[0].Vendor));
        Assert.Equal(new RpmDetails { Number = 1 }, packages[0].Rpm);
    }

    [Theory]
    [InlineData("glibc\n")]
    [InlineData("\t1-1\t1\t2\tV\t3\t4\tnoarch\t3\tb-1-1.src.rpm\n")]
    [InlineData("b\t1\t1\t2\tV\t3\t4\tnoarch\t3\tb-1-1.src.rpm\n")]
    [InlineData("b\t1-1\t1\t2\tV\tx\t4\tnoarch\t3\tb-1-1.src.rpm\n")]
    [InlineData("b\t1-1\t1\t2\tV\t3\t4\tnoarch\t3\tb-1-1.src.rpm\tmore\n")]
    [InlineData("b\t1-1\t1\t2\tV\t3\t4\tnoarch\t3\n")]
    public void A_line_with_other_columns_is_counted_and_the_others_are_read(string line) =>
        Assert.Equal(["glibc", "glibc"], Read(Line + line + Line, wrong: 1).Select(package => package.Name));

    [Fact]
    public void The_manifest_is_read_where_there_is_no_database()
    {
        using var tree = new GuestTree().File("var/lib/rpmmanifest/container-manifest-2", Line + "broken\n");
        var inventory = tree.Scan();
        Assert.Equal(["glibc"], inventory.Packages.Select(package => package.Name));
        var problem = Assert.Single(inventory.Problems);
        Assert.Equal("/var/lib/rpmmanifest/container-manifest-2", problem.Path);
        Assert.StartsWith("has 1 lines that are not", problem.Message);

        tree.File("var/lib/rpm/Packages.db", NdbBuilder.Build([HeaderBuilder.Package("real")]));
        inventory = tree.Scan();
        Assert.Equal(["real"], inventory.Packages.Select(package => package.Name));
        Assert.Empty(inventory.Problems);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_text_gives_packages_or_counts()
    {
        var seed = Encoding.UTF8.GetBytes(Line + Line.Replace("(none)", "1"));
        var random = new Random(20260112);
        for (var i = Damage.Inputs(2_000); i > 0; i--)
        {
            var manifest = Damage.Mutate(seed, random, focus: seed.Length);
            var packages = new List<Package>();
            Damage.AssertBounded(() => ContainerManifest.Decode(manifest, packages, CancellationToken.None), manifest.Length, $"case {i}");
            Assert.InRange(packages.Count, 0, 10);
        }
    }
}
