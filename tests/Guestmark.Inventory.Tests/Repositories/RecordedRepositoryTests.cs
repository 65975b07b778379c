using System.Text;
using Guestmark.Inventory.Repositories;

namespace Guestmark.Inventory.Tests.Repositories;

/// <summary>Records of a package's repository besides dnf's history: dnf 5's state, yum's database, content manifests.</summary>
public sealed class RecordedRepositoryTests : IDisposable
{
    const string YumFolder = "var/lib/yum/yumdb/";
    const string Sha1 = "0123456789abcdef0123456789abcdef01234567";

    readonly GuestTree _tree = new();

    public void Dispose() => _tree.Dispose();

    PackageRepository Of(Package package) => Assigned.RepositoryOf(_tree.Root, package, OsRelease.Unknown, mapping: null);

    [Fact]
    public void The_state_of_dnf_5_is_read_in_every_notation()
    {
        const string Header = "version = \"1.0\"\n\n";
        foreach (var (toml, expected) in new[]
        {
            ("[nevras]\n\"p-q-2:1.2-3.fc40.x86_64\" = {from_repo = \"fedora\"}\n", "fedora"),
            ("[nevras]\n\"other-1-1.x86_64\" = {from_repo = \"updates\"}\n\"p-q-2:1.2-3.fc40.x86_64\" = { from_repo=\"fedora\" }\n", "fedora"),
            ("[nevras]\n[nevras.\"p-q-2:1.2-3.fc40.x86_64\"]\nfrom_repo = \"fedora\"\n", "fedora"),
            ("[nevras.\"p-q-2:1.2-3.fc40.x86_64\"]\r\nfrom_repo = 'fedora'\r\n[nevras.\"other-1-1.x86_64\"]\r\nfrom_repo = \"updates\"\r\n", "fedora"),
            ("[nevras]\n\"p-q-2:1.2-3.fc40.x86_64\".from_repo = \"fedora\"\n", "fedora"),
            ("[nevras]\n\"p-q-2:1.2-3.fc40.x86_64\" = {\n  from_repo = \"fedora\",\n}\n", "fedora"),
            ("[nevras]\n\"p-q-1.2-3.fc40.x86_64\" = {from_repo = \"without the epoch\"}\n", ""),
            ("[nevras]\n\"p-q-2:1.2-3.fc40.x86_64\" = {from_repo = \"\"}\n", ""),
            ("[packages]\n\"p-q-2:1.2-3.fc40.x86_64\" = {from_repo = \"another table\"}\n", ""),
            ("[nevras]\n# \"p-q-2:1.2-3.fc40.x86_64\" = {from_repo = \"a comment\"}\n", ""),
        })
        {
            _tree.File(DnfState.Path, Header + toml);
            var repository = Of(Assigned.Rpm("p-q", "1.2", "3.fc40", epoch: 2));
            Assert.Equal((toml, expected, expected.Length > 0 ? (RepositoryEvidence?)RepositoryEvidence.DnfHistory : null), (toml, repository.Id, repository.Evidence));
        }
    }

    [Fact]
    public void Yum_is_asked_by_the_hash_of_the_header()
    {
        _tree.File($"{YumFolder}b/{Sha1}-bash-4.2.46-34.el7-x86_64/from_repo", "rhel-7-server-rpms")
            .File($"{YumFolder}b/ffffffffffffffffffffffffffffffffffffffff-bash-4.2.46-34.el7-x86_64/from_repo", "another\n");

        var repository = Of(Assigned.Rpm("bash", "4.2.46", "34.el7", sha1: Sha1, epoch: 1));

        Assert.Equal(("rhel-7-server-rpms", RepositoryEvidence.YumDatabase), (repository.Id, repository.Evidence));
        // Nothing tells which one it is.
        Assert.Equal("", Of(Assigned.Rpm("bash", "4.2.46", "34.el7")).Id);
        Assert.Equal("", Of(Assigned.Rpm("bash", "4.2.46", "35.el7", sha1: Sha1)).Id);
    }

    [Fact]
    public void Yum_is_asked_by_the_name_where_there_is_no_hash()
    {
        _tree.File($"{YumFolder}p/{Sha1}-python-libs-2.7.5-94.el7-x86_64/from_repo", "rhel-7-server-rpms\n")
            .Folder($"{YumFolder}p/{Sha1}-perl-4-1-noarch").Folder(YumFolder + "p/odd");

        Assert.Equal("rhel-7-server-rpms", Of(Assigned.Rpm("python-libs", "2.7.5", "94.el7")).Id);
        Assert.Equal("", Of(Assigned.Rpm("libs", "2.7.5", "94.el7")).Id);
        Assert.Equal("", Of(Assigned.Rpm("perl", "4", "1", "noarch")).Id);
    }

    [Fact]
    public void Names_of_packages_do_not_lead_out_of_the_folder_of_yum()
    {
        _tree.File("secret/from_repo", "secret").Folder(YumFolder + "x").File($"{YumFolder}x/x-y/from_repo", "inside");

        foreach (var package in new[]
        {
            Assigned.Rpm("x", "1", "1", "/../../../../../../secret", sha1: "."), Assigned.Rpm("x", "1", "1/../../../../../../secret/.", "", sha1: "x"),
            Assigned.Rpm("../x"), Assigned.Rpm("/x"), Assigned.Rpm(".."), Assigned.Rpm("", "y"), Assigned.Rpm("x", sha1: "../../../../../secret/x"),
        })
            Assert.Equal("", Of(package).Id);
    }

    [Fact]
    public void Unreadable_files_of_yum_are_named_a_few_times()
    {
        var packages = Enumerable.Range(0, 100).Select(i => Assigned.Rpm($"p{i}")).ToList();
        foreach (var package in packages) _tree.File($"{YumFolder}p/{Sha1}-{package.Name}-1-1.el9_4-x86_64/from_repo", new string('x', 1000));

        var problems = Assigned.Assign(_tree.Root, packages);

        Assert.Equal(21, problems.Count);
        Assert.Equal(("/var/lib/yum/yumdb", "had 20 problems; the rest is not read"), (problems[^1].Path, problems[^1].Message));
    }

    [Fact]
    public void Content_sets_hold_for_all_packages()
    {
        _tree.File("root/buildinfo/content_manifests/ubi9.json", """{"metadata":{"icm_version":1,"image_layer_index":0},"content_sets":["rhel-9-for-x86_64-baseos-rpms","rhel-9-for-x86_64-appstream-rpms"],"image_contents":[{"purl":"pkg:x"}]}""")
            .File("usr/share/buildinfo/content_manifests/app.json", """{"content_sets":["rhel-9-for-x86_64-baseos-rpms","extra"],"from_dnf_hint":false}""")
            .File("usr/share/buildinfo/labels.json", """{"name":"no manifest"}""")
            .File("usr/share/buildinfo/README", "not JSON")
            .File(DnfState.Path, "[nevras]\n\"p-1-1.el9_4.x86_64\" = {from_repo = \"dnf\"}\n");
        var packages = new[] { Assigned.Rpm("p"), Assigned.Rpm("q") };

        Assert.Empty(Assigned.Assign(_tree.Root, packages));

        Assert.All(packages, package => Assert.Equal(
            ("extra,rhel-9-for-x86_64-appstream-rpms,rhel-9-for-x86_64-baseos-rpms", RepositoryEvidence.ContentManifest),
            (package.Repository!.Id, package.Repository.Evidence)));
    }

    [Fact]
    public void A_manifest_that_was_made_from_the_history_of_dnf_does_not_count()
    {
        _tree.File("usr/share/buildinfo/content_manifests/app.json", """{"from_dnf_hint":true,"content_sets":["a"]}""")
            .File(DnfState.Path, "[nevras]\n\"p-1-1.el9_4.x86_64\" = {from_repo = \"dnf\"}\n");
        Assert.Equal("dnf", Of(Assigned.Rpm("p")).Id);
    }

    [Fact]
    public void A_broken_manifest_is_named()
    {
        _tree.File("root/buildinfo/content_manifests/a.json", """{"content_sets":["a",""");
        var problem = Assert.Single(Assigned.Assign(_tree.Root, [Assigned.Rpm("p")]));
        Assert.Equal("/root/buildinfo/content_manifests/a.json", problem.Path);
        Assert.StartsWith("is not a content manifest: ", problem.Message);
    }

    [Fact]
    public void Packages_of_other_managers_are_left_alone()
    {
        var package = Assigned.Rpm("p") with { Manager = PackageManager.Dpkg };
        Assert.Empty(Assigned.Assign(_tree.Root, [package]));
        Assert.Null(package.Repository);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_state_and_manifest_give_repositories_or_problems()
    {
        var state = Encoding.UTF8.GetBytes("version = \"1.0\"\n[nevras]\n\"p-1-1.el9_4.x86_64\" = {from_repo = \"fedora\"}\n[nevras.\"q-2:1-1.x86_64\"]\nfrom_repo = \"updates\"\n");
        var manifest = Encoding.UTF8.GetBytes("""{"metadata":{"icm_version":1,"image_layer_index":0},"content_sets":["a","b\u00e4"],"from_dnf_hint":false}""");
        var random = new Random(20260404);
        var packages = new InstalledPackages([Assigned.Rpm("p"), Assigned.Rpm("q")]);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var damagedState = Damage.Mutate(state, random, focus: 100);
            var damagedManifest = Damage.Mutate(manifest, random, focus: 100);
            Damage.AssertBounded(
                () =>
                {
                    DnfState.Read(damagedState, packages);
                    ContentManifests.Read(damagedManifest, []);
                },
                state.Length,
                $"case {i}");
        }
    }
}
