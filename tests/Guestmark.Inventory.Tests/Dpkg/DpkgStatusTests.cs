using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Dpkg;

public sealed class DpkgStatusTests
{
    const string Status = "var/lib/dpkg/status";

    static GuestInventory Scan(string status)
    {
        using var tree = new GuestTree().File(Status, status);
        return tree.Scan();
    }

    [ToolFact("dpkg-query")]
    public void The_packages_of_this_machine_are_those_that_dpkg_lists()
    {
        // Epochs of 0 are not printed by us: no package of Debian has one.
        var listed = Tool.Run("dpkg-query", ["-W", "-f", "${db:Status-Status}\t${binary:Package}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"])
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split('\t'))
            .Where(fields => fields[0] == "installed")
            .Select(fields => string.Join('\t', fields[2..]))
            .Order(StringComparer.Ordinal);

        var inventory = InventoryScanner.Scan(new InventoryScanOptions(), CancellationToken.None);

        Assert.Equal(listed, inventory.Packages
            .Where(package => package.Database == Status)
            .Select(package => string.Join('\t', package.Name, package.FullVersion, package.Architecture, package.SourceName, package.SourceVersion))
            .Order(StringComparer.Ordinal));
    }

    [TestDataTheory]
    [InlineData("debian-only.status", 1)]
    [InlineData("postgresql.status", 3)]
    [InlineData("texlive.status", 357)]
    public void All_stanzas_of_a_real_status_file_are_packages(string name, int count)
    {
        var inventory = Scan(File.ReadAllText(Repository.TestDataPath($"dpkg/{name}")));

        Assert.Empty(inventory.Problems);
        Assert.Equal(count, inventory.Packages.Count);
        Assert.All(inventory.Packages, package => Assert.NotEqual("", package.Architecture));
    }

    [TestDataFact]
    public void A_corrupt_status_file_gives_its_whole_stanzas_and_problems()
    {
        var files = Archive.Read(Repository.TestDataPath("dpkg/trivy-testdata/corrupsed.txtar"));
        var inventory = Scan(files[Status]);

        // What lacks a Status is not installed; of what is installed nothing lacks a version.
        Assert.Equal(["libgcc1", "libpam-modules-bin", "libpam-runtime", "makedev"], inventory.Packages.Select(package => package.Name).Order());
        Assert.Equal(new Package
        {
            Manager = PackageManager.Dpkg,
            Name = "libgcc1",
            Epoch = 1,
            Version = "5.1.1",
            Release = "12ubuntu1",
            Architecture = "amd64",
            SourceName = "gcc-5",
            SourceVersion = "5.1.1-12ubuntu1",
            Vendor = "Ubuntu Core developers <ubuntu-devel-discuss@lists.ubuntu.com>",
            Database = Status,
        }, inventory.Packages.Single(package => package.Name == "libgcc1"));
    }

    [TestDataFact]
    public void The_samples_of_trivy_are_read_without_problems()
    {
        foreach (var name in new[] { "digest", "md5sums", "only-apt", "third-party", "valid" })
        {
            var files = Archive.Read(Repository.TestDataPath($"dpkg/trivy-testdata/{name}.txtar"));
            var stanzas = files[Status].Split('\n').Count(line => line.StartsWith("Status: install ok installed", StringComparison.Ordinal));

            var inventory = Scan(files[Status]);

            Assert.Empty(inventory.Problems);
            Assert.Equal(stanzas, inventory.Packages.Count);
        }
    }

    [Theory]
    [InlineData("1.0", null, "1.0", "")]
    [InlineData("1.0-1", null, "1.0", "1")]
    [InlineData("1:2.3-4+b1", 1u, "2.3", "4+b1")]
    [InlineData("1.2-rc1-3", null, "1.2-rc1", "3")]
    [InlineData("5:20.10.7~3-0~debian-buster", 5u, "20.10.7~3-0~debian", "buster")]
    [InlineData("2:1:3-1", 2u, "1:3", "1")]
    public void Versions_are_split_as_dpkg_does(string text, uint? epoch, string upstream, string revision)
    {
        var package = Assert.Single(Scan($"Package: a\nStatus: install ok installed\nVersion: {text}\n").Packages);
        Assert.Equal((epoch, upstream, revision), (package.Epoch, package.Version, package.Release));
    }

    [Theory]
    [InlineData("a:1.0", "has a Version whose epoch is not a number")]
    [InlineData(":1.0", "has a Version whose epoch is not a number")]
    [InlineData("4294967296:1.0", "has a Version whose epoch is not a number")]
    [InlineData("1.0-", "has a Version with an empty revision")]
    [InlineData("1:-1", "has a Version without an upstream part")]
    [InlineData("1:", "has a Version without an upstream part")]
    [InlineData("1:-", "has a Version with an empty revision")]
    public void A_version_that_dpkg_refuses_is_a_problem(string text, string expected)
    {
        var inventory = Scan($"Package: a\nStatus: install ok installed\nVersion: {text}\n");

        Assert.Empty(inventory.Packages);
        Assert.StartsWith($"stanza 1 (a) {expected}", Assert.Single(inventory.Problems).Message);
    }

    [Theory]
    [InlineData("install ok installed", true)]
    [InlineData("hold ok installed", true)]
    [InlineData("deinstall ok config-files", false)]
    [InlineData("install ok half-installed", false)]
    [InlineData("install ok unpacked", false)]
    public void Only_installed_packages_count(string status, bool listed)
    {
        var inventory = Scan($"Package: a\nStatus: {status}\nVersion: 1\n");

        Assert.Empty(inventory.Problems);
        Assert.Equal(listed, inventory.Packages.Count == 1);
    }

    [Theory]
    [InlineData("Package: a\nStatus: install ok installed\n", "stanza 2 (a) has no Version")]
    [InlineData("Status: install ok installed\nVersion: 1\n", "stanza 2 (without a name) has no Package")]
    [InlineData("Package: a\nPackage: b\nStatus: install ok installed\nVersion: 1\n", "stanza 2 (a) names a field twice")]
    [InlineData("Package: a\nStatus: installed\nVersion: 1\n", "stanza 2 (a) has a Status of 1 words")]
    [InlineData("Package: a\nStatus: install ok installed\nVersion: 1\nno colon\n", "stanza 2 (a) has a line without a field name")]
    public void A_bad_stanza_costs_only_itself(string stanza, string expected)
    {
        var inventory = Scan($"Package: first\nStatus: install ok installed\nVersion: 1\n\n{stanza}\nPackage: last\nStatus: install ok installed\nVersion: 1\n");

        Assert.Equal(["first", "last"], inventory.Packages.Select(package => package.Name));
        var problem = Assert.Single(inventory.Problems);
        Assert.Equal("/" + Status, problem.Path);
        Assert.StartsWith(expected, problem.Message);
    }

    [Fact]
    public void A_long_name_is_cut_in_a_problem_and_what_is_wrong_stays()
    {
        var problem = Assert.Single(Scan($"Package: {new string('n', 1000)}\nStatus: install ok installed\n").Problems);

        Assert.InRange(problem.Message.Length, 100, 300);
        Assert.Contains("nnn…) has no Version", problem.Message);
    }

    [Fact]
    public void Lines_longer_than_the_buffer_are_passed_over()
    {
        var depends = new string('x', 200_000);
        var inventory = Scan($"Package: a\nDepends: {depends}\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: {depends}\n\n"
            + "package: c\r\nSTATUS: install ok installed\r\nVersion: 3\r\n");

        Assert.Equal(["a", "c"], inventory.Packages.Select(package => package.Name));
        Assert.StartsWith("stanza 2 (b) has a field of ", Assert.Single(inventory.Problems).Message);
    }

    [Fact]
    public void Files_of_status_d_need_no_status()
    {
        using var tree = new GuestTree()
            .File("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4+deb12u5\nArchitecture: amd64\n")
            .File("var/lib/dpkg/status.d/base.md5sums", "25de5fcdc3c8ebd9c9f599fb7a899b40  etc/debian_version\n")
            .File("var/lib/dpkg/status.d/gone", "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n");

        var inventory = tree.Scan();

        Assert.Empty(inventory.Problems);
        var package = Assert.Single(inventory.Packages);
        Assert.Equal(("base-files", "12.4+deb12u5", "var/lib/dpkg/status.d/base"), (package.Name, package.FullVersion, package.Database));
    }

    [TestDataFact]
    public void Any_bytes_give_packages_or_problems()
    {
        var random = new Random(20260106);
        foreach (var (name, cases) in new[] { ("debian-only.status", 1000), ("postgresql.status", 1000), ("vcpkg.status", 1000), ("texlive.status", 300) })
        {
            var original = File.ReadAllBytes(Repository.TestDataPath($"dpkg/{name}"));
            using var tree = new GuestTree();
            for (var i = 0; i < cases; i++)
            {
                tree.File(Status, Damage.Mutate(original, random, focus: 1000));
                Damage.AssertBounded(() => tree.Scan(), original.Length, $"{name}, case {i}");
            }
        }
    }
}
