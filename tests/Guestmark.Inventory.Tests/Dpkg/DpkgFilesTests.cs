using Guestmark.Inventory.Dpkg;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Dpkg;

public sealed class DpkgFilesTests
{
    const string Digest = "25de5fcdc3c8ebd9c9f599fb7a899b40";

    static InventoryScan Read(GuestTree tree, FileSelector? selector = null) => ReadAt(tree.Root, selector);

    static InventoryScan ReadAt(string path, FileSelector? selector)
    {
        Assert.Null(GuestRoot.TryOpen(path, out var opened));
        using var root = opened!;
        var scan = new InventoryScan(root, CancellationToken.None) { Files = selector ?? ((_, _) => true) };
        DpkgPackages.Read(scan);
        return scan;
    }

    static string Stanza(string name) => $"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n";

    [Fact]
    public void Files_have_the_digests_beside_their_list()
    {
        using var tree = new GuestTree()
            .File("var/lib/dpkg/status", Stanza("one") + Stanza("same"))
            .File("var/lib/dpkg/info/one.list", "/.\n/usr\n/usr/bin\n/usr/bin/one\n/etc/one.conf\n")
            .File("var/lib/dpkg/info/one.md5sums", $"{Digest}  usr/bin/one\n")
            .File("var/lib/dpkg/info/same:amd64.list", "/usr/lib/é\n")
            .File("var/lib/dpkg/info/same:amd64.md5sums", $"{Digest}  ./usr/lib/é\n");

        var scan = Read(tree);

        Assert.Empty(scan.Problems);
        Assert.Equal(
            [new PackageFile("/usr", null, 0), new("/usr/bin", null, 0), new("/usr/bin/one", Digest, 0), new("/etc/one.conf", null, 0)],
            scan.Packages[0].Files!);
        Assert.Equal([new PackageFile("/usr/lib/é", Digest, 0)], scan.Packages[1].Files!);
    }

    [Fact]
    public void The_digests_of_status_d_are_the_list()
    {
        using var tree = new GuestTree()
            .File("var/lib/dpkg/status.d/base", "Package: base\nVersion: 1\n")
            .File("var/lib/dpkg/status.d/base.md5sums", $"{Digest}  etc/debian_version\n");

        Assert.Equal([new PackageFile("/etc/debian_version", Digest, 0)], Assert.Single(Read(tree).Packages).Files!);
    }

    [Fact]
    public void Only_files_that_are_wanted_are_kept()
    {
        using var tree = new GuestTree()
            .File("var/lib/dpkg/status", Stanza("one"))
            .File("var/lib/dpkg/info/one.list", "/usr/bin/one\n/usr/bin/two\n/opt/two\n");

        var files = Assert.Single(Read(tree, (folder, name) => folder.SequenceEqual("/usr/bin/"u8) && name.SequenceEqual("two"u8)).Packages).Files!;

        Assert.Equal("/usr/bin/two", Assert.Single(files).Path);
    }

    [Fact]
    public void A_package_without_a_list_is_a_problem_and_has_no_files()
    {
        using var tree = new GuestTree()
            .File("var/lib/dpkg/status", Stanza("one") + Stanza("../../etc/two") + Stanza("three"))
            .File("var/lib/dpkg/info/three.list", "/x\n");

        var scan = Read(tree);

        Assert.StartsWith("has no list of the files of 2 packages, the first of which is one", Assert.Single(scan.Problems).Message);
        Assert.Equal([true, true, false], scan.Packages.Select(package => package.Files is null));
    }

    [Fact]
    public void A_damaged_list_of_digests_is_a_problem()
    {
        using var tree = new GuestTree()
            .File("var/lib/dpkg/status", Stanza("one"))
            .File("var/lib/dpkg/info/one.list", "/a\n/b\n")
            .File("var/lib/dpkg/info/one.md5sums", $"{Digest}  a\n{Digest[1..]}  b\n{Digest.ToUpperInvariant()}  b\n");

        var scan = Read(tree);

        var problem = Assert.Single(scan.Problems);
        Assert.Equal(("/var/lib/dpkg/info/one.md5sums", "has 2 lines that are not a digest with a path"), (problem.Path, problem.Message));
        Assert.Equal([Digest, null], scan.Packages[0].Files!.Select(file => file.Digest));
    }

    [ToolFact("dpkg-query")]
    public void The_files_of_this_machine_are_those_that_dpkg_lists()
    {
        foreach (var name in new[] { "bash", "libc6", "coreutils" })
        {
            var listed = Tool.Run("dpkg-query", ["-L", name]).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                // "/." and what dpkg says of diverted files.
                .Where(line => line != "/." && line.StartsWith('/'));

            // The native one: an image may have a foreign libc6 beside it.
            var packages = ReadAt("/", (_, _) => true).Packages.Where(package => package.Name == name).ToList();

            Assert.Contains(listed.ToList(), packages.Select(package => package.Files!.Select(file => file.Path).ToList()).ToList());
            Assert.Contains(packages[0].Files!, file => file.Digest is not null);
        }
    }

    [Fact]
    public void A_status_file_is_read_to_its_bound_and_says_so()
    {
        using var tree = new GuestTree().File("var/lib/dpkg/status", Stanza("first"));
        using (var status = File.OpenWrite(tree.Path("var/lib/dpkg/status"))) status.SetLength(10L << 30);

        var scan = Read(tree, (_, _) => false);

        Assert.Equal("first", Assert.Single(scan.Packages).Name);
        Assert.Contains(scan.Problems, problem => problem.Message.StartsWith("has more than 268435456 bytes; the packages behind them are left out", StringComparison.Ordinal));
    }

    [Fact]
    public void Opkg_has_the_form_of_dpkg()
    {
        using var tree = new GuestTree().File(
            "usr/lib/opkg/status",
            "Package: busybox\nVersion: 1.36.1-r2\nDepends: libc\nStatus: install user installed\nArchitecture: mips_24kc\nInstalled-Time: 1700000000\n\n"
            + "Package: gone\nVersion: 1\nStatus: deinstall user not-installed\n");

        var package = Assert.Single(Read(tree, (_, _) => false).Packages);

        Assert.Equal((PackageManager.Dpkg, "busybox", "1.36.1-r2", "usr/lib/opkg/status"), (package.Manager, package.Name, package.FullVersion, package.Database));
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_files_or_problems()
    {
        var random = new Random(20260108);
        var list = "/.\n/usr\n/usr/bin/one\n/etc/one.conf\n/usr/share/doc/one/copyright\n"u8.ToArray();
        var digests = System.Text.Encoding.ASCII.GetBytes($"{Digest}  usr/bin/one\n{Digest}  usr/share/doc/one/copyright\n");
        using var tree = new GuestTree().File("a", "").File("b", "");
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        var reader = new DpkgFiles((_, _) => true, new FileLines(CancellationToken.None));
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var (damagedList, damagedDigests) = (Damage.Mutate(list, random, 20), Damage.Mutate(digests, random, 20));
            tree.File("a", damagedList).File("b", damagedDigests);
            using var a = Open("a");
            using var b = Open("b");
            Damage.AssertBounded(
                () =>
                {
                    reader.ReadList(a, out var files);
                    reader.ReadDigests(b, files, digestsAreTheList: i % 2 == 0);
                },
                damagedList.Length + damagedDigests.Length,
                $"case {i}");
        }

        GuestFile Open(string path)
        {
            Assert.Null(root.TryOpenFile(path, out var file));
            return file!;
        }
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_of_a_small_status_give_packages_or_problems()
    {
        var random = new Random(20260109);
        var seed = System.Text.Encoding.UTF8.GetBytes(
            Stanza("one") + "Package: two\nStatus: install ok installed\nSource: src (2:1-1)\nVersion: 1:2.3-4\nMaintainer: M <m@example.org>\nDescription: x\n y\n .\n");
        using var tree = new GuestTree();
        Assert.Null(GuestRoot.TryOpen(tree.Folder("var/lib/dpkg").Root, out var opened));
        using var root = opened!;
        var lines = new FileLines(CancellationToken.None);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var damaged = Damage.Mutate(seed, random, 100);
            tree.File("var/lib/dpkg/status", damaged);
            Assert.Null(root.TryOpenFile("var/lib/dpkg/status", out var file));
            using (file)
            {
                Damage.AssertBounded(
                    () => DpkgStatus.Read(file!, "status", installedWithoutStatus: i % 2 == 0, 1 << 20, lines, new TextPool()),
                    damaged.Length,
                    $"case {i}");
            }
        }
    }
}
