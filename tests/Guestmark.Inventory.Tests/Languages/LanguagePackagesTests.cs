using System.IO.Compression;
using System.Text;
using Guestmark.Inventory.Dpkg;
using Guestmark.Inventory.Languages;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Languages;

public sealed class LanguagePackagesTests
{
    const string Metadata = "Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\nLicense: Apache 2.0\nAuthor: Kenneth Reitz\n\nText\n";

    static InventoryScan Read(GuestTree tree, LanguageSearchLimits? limits = null, TimeProvider? time = null)
    {
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        var scan = new InventoryScan(root, CancellationToken.None) { Files = LanguagePackages.IsCandidate };
        DpkgPackages.Read(scan);
        LanguagePackages.Read(scan, limits ?? new LanguageSearchLimits(), time ?? new ManualTimeProvider());
        return scan;
    }

    static IEnumerable<(string Name, string Version, string Database)> Found(InventoryScan scan) =>
        scan.Packages.Where(package => package.Manager != PackageManager.Dpkg).Select(package => (package.Name, package.Version, package.Database));

    [Fact]
    public void Python_distributions_are_found_in_each_of_their_forms()
    {
        using var tree = new GuestTree()
            .File("opt/app/venv/lib/python3.12/site-packages/requests-2.31.0.dist-info/METADATA", Metadata)
            .File("usr/lib/python3/dist-packages/six-1.16.0.egg-info", "Metadata-Version: 1.2\nName: six\nVersion: 1.16.0\nLicense: MIT\nAuthor: UNKNOWN\n")
            .File("usr/lib/python3/dist-packages/foo.egg-info/PKG-INFO", "Name: foo\nVersion: 1\n")
            .File("usr/lib/python2.7/site-packages/bar-2-py2.7.egg/EGG-INFO/PKG-INFO", "Name: bar\nVersion: 2\n")
            .File("usr/lib/python3/dist-packages/foo/METADATA", Metadata);

        var scan = Read(tree);

        Assert.Empty(scan.Problems);
        Assert.Equal(
            [
                ("requests", "2.31.0", "python:opt/app/venv/lib/python3.12/site-packages"),
                ("bar", "2", "python:usr/lib/python2.7/site-packages"),
                ("six", "1.16.0", "python:usr/lib/python3/dist-packages"),
                ("foo", "1", "python:usr/lib/python3/dist-packages"),
            ],
            Found(scan));
        Assert.Equal((PackageManager.PyPI, "Apache 2.0", "Kenneth Reitz", "", ""), Facts(scan.Packages[0]));
        Assert.Equal((PackageManager.PyPI, "MIT", null, "", ""), Facts(scan.Packages[2]));

        static (PackageManager, string?, string?, string, string) Facts(Package package) =>
            (package.Manager, package.License, package.Vendor, package.Release, package.Architecture);
    }

    [Fact]
    public void Packages_of_node_lie_directly_below_node_modules()
    {
        using var tree = new GuestTree()
            .File("srv/web/node_modules/left-pad/package.json", """{"name":"left-pad","version":"1.3.0","license":"WTFPL","author":{"name":"azer","email":"x"}}""")
            .File("srv/web/node_modules/@types/node/package.json", """{"version":"20.1.0","name":"@types/node","licenses":[{"type":"MIT","url":"x"}],"author":"M <m@x>"}""")
            .File("srv/web/node_modules/left-pad/node_modules/inner/package.json", """{"name":"inner","version":"0.1.0","license":{"type":"BSD"}}""")
            .File("srv/web/node_modules/left-pad/test/package.json", """{"name":"fixture","version":"9.9.9"}""")
            .File("srv/web/node_modules/left-pad/test/broken/package.json", "{")
            .File("srv/web/node_modules/nameless/package.json", """{"type":"module"}""")
            .File("srv/web/package.json", """{"name":"web","version":"1.0.0"}""");

        var scan = Read(tree);

        Assert.Empty(scan.Problems);
        Assert.Equal(
            [
                ("@types/node", "20.1.0", "nodejs:srv/web/node_modules/@types/node/package.json"),
                ("left-pad", "1.3.0", "nodejs:srv/web/node_modules/left-pad/package.json"),
                ("inner", "0.1.0", "nodejs:srv/web/node_modules/left-pad/node_modules/inner/package.json"),
            ],
            Found(scan));
        Assert.Equal([("MIT", "M <m@x>"), ("WTFPL", "azer"), ("BSD", null)], scan.Packages.Select(package => (package.License, package.Vendor)));
        Assert.All(scan.Packages, package => Assert.Equal(PackageManager.Npm, package.Manager));
    }

    [Fact]
    public void Libraries_of_dotnet_are_those_of_type_package()
    {
        using var tree = new GuestTree().File(
            "opt/app/App.deps.json",
            """
            { "runtimeTarget": { "name": ".NETCoreApp,Version=v8.0" }, "targets": { "x": { "App/1.0.0": {} } },
              "libraries": { "App/1.0.0": { "type": "project", "sha512": "" }, "Newtonsoft.Json/13.0.3": { "type": "package", "serviceable": true, "path": "x" } } }
            """).File("opt/app/other.deps.json", "[]");

        var scan = Read(tree);

        Assert.Empty(scan.Problems);
        Assert.Equal([("Newtonsoft.Json", "13.0.3", "nuget:opt/app/App.deps.json")], Found(scan));
    }

    [Fact]
    public void A_file_of_a_package_is_not_reported_again_also_where_usr_is_merged()
    {
        using var tree = new GuestTree()
            .Link("lib", "usr/lib").Link("bin", "usr/bin")
            .File("var/lib/dpkg/status", "Package: python3-requests\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n")
            .File(
                "var/lib/dpkg/info/python3-requests.list",
                "/.\n/lib/python3/dist-packages/owned.dist-info/METADATA\n/usr/lib/python3/dist-packages/owned.egg-info\n/bin/gopher\n/usr/share/doc/x/README\n")
            .File("usr/lib/python3/dist-packages/owned.dist-info/METADATA", Metadata)
            .File("usr/lib/python3/dist-packages/owned.egg-info", Metadata)
            .File("usr/lib/python3/dist-packages/free.egg-info", "Name: free\nVersion: 1\n")
            .File("usr/bin/gopher", GoPrograms.Build())
            .File("usr/local/bin/gopher", GoPrograms.Build());
        foreach (var program in new[] { "usr/bin/gopher", "usr/local/bin/gopher" }) File.SetUnixFileMode(tree.Path(program), (UnixFileMode)0x1ed);

        var scan = Read(tree);

        Assert.Empty(scan.Problems);
        Assert.Equal(["python:usr/lib/python3/dist-packages", "go:usr/local/bin/gopher"], Found(scan).Select(package => package.Database).Distinct());
        // Of the package's files only those that tell who owns what.
        Assert.DoesNotContain(scan.Packages[0].Files!, file => file.Path.EndsWith("README", StringComparison.Ordinal));
    }

    [Fact]
    public void A_file_with_two_names_is_read_once()
    {
        using var tree = new GuestTree().File("opt/a/x.egg-info", "Name: x\nVersion: 1\n").Folder("opt/b").Link("opt/c", "a");
        Tool.Run("ln", [tree.Path("opt/a/x.egg-info"), tree.Path("opt/b/x.egg-info")]);

        Assert.Equal([("x", "1", "python:opt/a")], Found(Read(tree)));
    }

    [Theory]
    [InlineData("proc/1/root/x.egg-info")]
    [InlineData("tmp/x.egg-info")]
    [InlineData("var/lib/docker/overlay2/0/merged/x.egg-info")]
    [InlineData("var/lib/containers/storage/overlay/0/diff/x.egg-info")]
    [InlineData("home/user/.local/share/containers/storage/x.egg-info")]
    [InlineData("data/docker/overlay2/0/diff/x.egg-info")]
    [InlineData("sysroot/ostree/deploy/x.egg-info")]
    public void Other_machines_trees_and_what_is_not_installed_are_passed_over(string path)
    {
        using var tree = new GuestTree().File(path, "Name: x\nVersion: 1\n");
        var scan = Read(tree);

        Assert.Empty(scan.Packages);
        Assert.Empty(scan.Problems);
    }

    [Fact]
    public void What_is_not_looked_at_because_of_a_limit_is_a_problem()
    {
        using var tree = new GuestTree().File("a/b/c/d/x.egg-info", "Name: x\nVersion: 1\n").File("e/y.egg-info", "Name: y\nVersion: 1\n");

        Assert.Equal("was not searched to its end for language packages: there are more than 3 folders; the search was at /a/", Problem(new() { FoldersMax = 3 }));
        Assert.StartsWith("was not searched to its end for language packages: there are more than 4 files", Problem(new() { EntriesMax = 4 }));
        Assert.StartsWith("was not searched to its end for language packages: more than 0 files", Problem(new() { FilesMax = 0 }));
        Assert.StartsWith("and 0 more folders lie deeper than 3", Problem(new() { DepthMax = 3 }));
        Assert.StartsWith("was not searched to its end for language packages: it took longer than 60 s", Problem(new(), new Hasty()));

        string Problem(LanguageSearchLimits limits, TimeProvider? time = null) => Assert.Single(Read(tree, limits, time).Problems).Message;
    }

    /// <summary>A clock by which a second passes between two looks at it, and a minute soon.</summary>
    sealed class Hasty : TimeProvider
    {
        long _now;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => _now += 30;
    }

    [RootFact]
    public void Mounted_disks_of_the_machine_are_searched_once_and_others_are_passed_over_in_silence()
    {
        using var tree = new GuestTree();
        var mounted = new Stack<string>();
        try
        {
            Mount("", "-t", "tmpfs", "-o", "size=1m", "guestmark-test");
            tree.File("opt/x.egg-info", "Name: x\nVersion: 1\n").Folder("tmp/lower").Folder("tmp/upper").Folder("tmp/work");
            // Of a type like the root's, of a disk's, of neither.
            Mount("data", "-t", "tmpfs", "-o", "size=1m", "guestmark-test");
            Mount(
                "home", "-t", "overlay", "-o", $"lowerdir={tree.Path("tmp/lower")},upperdir={tree.Path("tmp/upper")},workdir={tree.Path("tmp/work")}", "guestmark-test");
            Mount("memory", "-t", "ramfs", "guestmark-test");
            foreach (var folder in new[] { "data/one", "home", "memory" }) tree.File($"{folder}/{folder[0]}.egg-info", $"Name: {folder[0]}\nVersion: 1\n");
            var once = CountEntries(tree);
            Mount("srv", "--rbind", tree.Path("data/one"));
            Mount("opt/loop", "--bind", tree.Root);

            var scan = Read(tree);

            Assert.Empty(scan.Problems);
            Assert.Equal(["d", "h", "x"], scan.Packages.Select(package => package.Name).Order(StringComparer.Ordinal));
            // The two folders that were made to mount on; nothing in them counts again.
            Assert.Equal(once + 2, CountEntries(tree));
        }
        finally
        {
            while (mounted.TryPop(out var path)) Tool.Run("umount", [path]);
        }

        void Mount(string path, params string[] arguments)
        {
            tree.Folder(path);
            Tool.Run("mount", [.. arguments, tree.Path(path)]);
            mounted.Push(tree.Path(path));
        }

        // The fewest that the search is content with.
        static int CountEntries(GuestTree tree)
        {
            var entries = 1;
            while (Read(tree, new LanguageSearchLimits { EntriesMax = entries }).Problems.Count > 0) entries++;
            return entries;
        }
    }

    [Theory]
    [InlineData(0xef53, 0xef53, true)] // ext4 in ext4
    [InlineData(0x58465342, 0x9123683e, true)] // btrfs in xfs
    [InlineData(0xe0f5e1e2, 0x794c7630, true)] // overlay in erofs
    [InlineData(0xef53, 0x01021994, false)] // tmpfs in ext4
    [InlineData(0x01021994, 0x01021994, true)] // tmpfs in tmpfs
    [InlineData(0x6969, 0x6969, false)] // NFS in NFS
    [InlineData(0xef53, 0xff534d42, false)] // CIFS
    [InlineData(0xef53, 0xfe534d42, false)] // SMB 2
    [InlineData(0xef53, 0x65735546, false)] // FUSE
    [InlineData(0xef53, 0x01021997, false)] // 9P
    [InlineData(0xef53, 0x00c36400, false)] // Ceph
    [InlineData(0xef53, 0x9fa0, false)] // proc
    [InlineData(0xef53, 0x0187, false)] // autofs
    [InlineData(0xef53, 0x9660, false)] // a CD
    public void Only_file_systems_on_disks_of_the_machine_are_a_part_of_it(uint root, uint mounted, bool expected) =>
        Assert.Equal(expected, LocalFileSystem.IsPartOf(root, mounted));

    [Fact]
    public void A_damaged_file_is_a_problem_and_the_rest_is_found()
    {
        using var tree = new GuestTree()
            .File("a/x.egg-info", "Version: 1\n")
            .File("b/node_modules/x/package.json", "{\"name\": ")
            .File("c/x.deps.json", "{\"libraries\": ")
            .File("d/x.jar", "no archive")
            .File("e/y.egg-info", "Name: y\nVersion: 1\n");

        var scan = Read(tree);

        Assert.Equal(["y"], scan.Packages.Select(package => package.Name));
        Assert.Equal(["/a/x.egg-info", "/b/node_modules/x/package.json", "/c/x.deps.json", "/d/x.jar"], scan.Problems.Select(problem => problem.Path));
    }

    [Theory]
    [InlineData("/usr/lib/python3/dist-packages/x.dist-info/", "METADATA", true)]
    [InlineData("/usr/share/python3/x/", "METADATA", false)]
    [InlineData("/usr/lib/node_modules/npm/", "package.json", true)]
    [InlineData("/usr/lib/node_modules/@a/npm/", "package.json", true)]
    [InlineData("/usr/lib/node_modules/npm/lib/", "package.json", false)]
    [InlineData("/usr/lib/node_modules/", "package.json", false)]
    [InlineData("/", "package.json", false)]
    [InlineData("/usr/share/java/", "x.jar", true)]
    [InlineData("/usr/bin/", "kubectl", true)]
    [InlineData("/usr/bin/", "node_exporter-1.5.0", true)]
    [InlineData("/usr/bin/", "tool.linux-amd64", true)]
    [InlineData("/usr/lib/", "libc.so.6", false)]
    [InlineData("/usr/lib/", "script.py", false)]
    [InlineData("/usr/share/doc/x/", "README", false)]
    public void Names_and_places_tell_whose_owner_matters(string folder, string name, bool expected) =>
        Assert.Equal(expected, LanguagePackages.IsCandidate(Encoding.UTF8.GetBytes(folder), Encoding.UTF8.GetBytes(name)));

    [ToolFact("python3", "dpkg-query")]
    public void Of_this_machine_what_packages_own_is_not_reported_and_what_python_lists_is()
    {
        Assert.Null(GuestRoot.TryOpen("/", out var opened));
        using var root = opened!;
        var scan = new InventoryScan(root, CancellationToken.None) { Files = LanguagePackages.IsCandidate };
        DpkgPackages.Read(scan);
        LanguagePackages.Read(scan, new LanguageSearchLimits { TimeMax = TimeSpan.FromSeconds(30) }, TimeProvider.System);
        if (scan.Problems.Any(problem => problem.Message.StartsWith("was not searched to its end", StringComparison.Ordinal))) return;

        var found = scan.Packages.Where(package => package.Manager == PackageManager.PyPI).Select(package => $"{package.Name} {package.Version}").ToHashSet();
        // Every distribution that this Python sees and no Debian package owns: importlib.metadata is Python's own reader.
        var listed = Tool.Run(
            "python3",
            [
                "-c",
                "import importlib.metadata as m, os\n"
                + "for d in m.distributions():\n"
                + "  p = os.path.realpath(str(d._path))\n"
                + "  if not p.startswith(('/tmp', '/proc')) and p.find('/dist-packages/') < 0: print(d.metadata['Name'], d.version)\n",
            ]).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.All(listed, line => Assert.Contains(line, found));

        foreach (var package in scan.Packages.Where(package => package.Manager is PackageManager.Npm or PackageManager.Maven or PackageManager.Go or PackageManager.NuGet))
        {
            var path = "/" + package.Database[(package.Database.IndexOf(':') + 1)..].Split('!')[0];
            Assert.True(File.Exists(path), path);
        }

        // A sample, for one call of dpkg-query has its price: nobody owns what was reported.
        foreach (var path in scan.Packages.Where(package => package.Manager == PackageManager.Go).Select(package => "/" + package.Database[3..]).Distinct().Take(3))
            Assert.DoesNotContain(scan.Packages.Where(package => package.Manager == PackageManager.Dpkg), package => package.Files!.Any(file => file.Path == path));
    }

    internal static byte[] Jar(params (string Name, byte[] Content)[] files) => Jar(CompressionLevel.Optimal, files);

    internal static byte[] Jar(CompressionLevel level, params (string Name, byte[] Content)[] files)
    {
        using var stream = new MemoryStream();
        using (var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, content) in files)
            {
                using var entry = archive.CreateEntry(name, level).Open();
                entry.Write(content);
            }
        }

        return stream.ToArray();
    }
}
