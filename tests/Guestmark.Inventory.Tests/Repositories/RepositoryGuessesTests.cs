using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Guestmark.Inventory.Repositories;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Repositories;

/// <summary>CPEs where the record of a package's repository does not lead to any.</summary>
public sealed class RepositoryGuessesTests : IDisposable
{
    const string BaseOs9 = "cpe:/o:redhat:enterprise_linux:9::baseos";
    const string AppStream9 = "cpe:/a:redhat:enterprise_linux:9::appstream";
    const string RedHatRepo = "etc/yum.repos.d/redhat.repo";

    const string List = """
        {"data":{
        "rhel-9-for-x86_64-baseos-rpms":{"cpes":["cpe:/o:redhat:enterprise_linux:9::baseos"],"repo_relative_urls":["content/dist/rhel9/9/x86_64/baseos/os","content/dist/rhel9/9.4/x86_64/baseos/os"]},
        "rhel-9-for-x86_64-appstream-rpms":{"cpes":["cpe:/a:redhat:enterprise_linux:9::appstream"],"repo_relative_urls":["content/dist/rhel9/9/x86_64/appstream/os"]},
        "rhel-9-for-x86_64-baseos-eus-rpms":{"cpes":["cpe:/o:redhat:rhel_eus:9.2::baseos","cpe:/o:redhat:rhel_eus:9.4::baseos"],"repo_relative_urls":["content/eus/rhel9/9.2/x86_64/baseos/os","content/eus/rhel9/9.4/x86_64/baseos/os"]},
        "rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_4":{"cpes":["cpe:/o:redhat:rhel_eus:9.4::baseos"],"repo_relative_urls":["content/eus/rhel9/9.4/x86_64/baseos/os"]},
        "ceph-rpms":{"cpes":["cpe:/a:redhat:ceph_storage:7::el9"],"repo_relative_urls":["content/dist/layered/rhel9/x86_64/ceph/7/os"]},
        "same-1":{"cpes":["cpe:/o:redhat:enterprise_linux:9::same"],"repo_relative_urls":["content/dist/same/os"]},
        "same-2":{"cpes":["cpe:/o:redhat:enterprise_linux:9::same"],"repo_relative_urls":["content/dist/same/os"]},
        "split-1":{"cpes":["cpe:/o:redhat:enterprise_linux:9::one"],"repo_relative_urls":["content/dist/split/os"]},
        "split-2":{"cpes":["cpe:/o:redhat:enterprise_linux:9::two"],"repo_relative_urls":["content/dist/split/os"]},
        "rhel-10-for-x86_64-baseos-rpms":{"cpes":["cpe:/o:redhat:enterprise_linux:10.0::baseos","cpe:/o:redhat:enterprise_linux:10.1::baseos"]},
        "rhel-10-for-x86_64-appstream-rpms":{"cpes":["cpe:/o:redhat:enterprise_linux:10.0::appstream","cpe:/o:redhat:enterprise_linux:10.1::appstream"]}
        }}
        """;

    readonly GuestTree _tree = new();
    readonly RepositoryToCpe _mapping;

    public RepositoryGuessesTests()
    {
        File.WriteAllText(_tree.Outside("mapping.json"), List);
        _mapping = RepositoryToCpe.TryRead(_tree.Outside("mapping.json"), out _)!;
    }

    public void Dispose() => _tree.Dispose();

    GuestTree From(string id, string nevra = "p-1-1.el9_4.x86_64") => _tree.File(DnfState.Path, $"[nevras]\n\"{nevra}\" = {{from_repo = \"{id}\"}}\n");

    PackageRepository Of(Package package, OsRelease? os = null) => Assigned.RepositoryOf(_tree.Root, package, os ?? Assigned.Rhel9, _mapping);

    void AssertGuess(string id, RepositoryEvidence evidence, string[] cpes, PackageRepository repository)
    {
        Assert.Equal((id, evidence, null), (repository.Id, repository.Evidence, repository.WhyNoCpe));
        Assert.Equal(cpes, repository.Cpes);
        Assert.True(repository.IsGuess);
    }

    [Fact]
    public void A_repository_of_the_list_has_its_cpes_and_is_no_guess()
    {
        From("rhel-9-for-x86_64-baseos-rpms");
        foreach (var key in new[] { Assigned.RedHatKey, null })
        {
            var repository = Of(Assigned.Rpm("p", key: key));
            Assert.Equal(("rhel-9-for-x86_64-baseos-rpms", RepositoryEvidence.DnfHistory, null, false), (repository.Id, repository.Evidence, repository.WhyNoCpe, repository.IsGuess));
            Assert.Equal([BaseOs9], repository.Cpes);
        }
    }

    [Fact]
    public void Content_sets_have_the_cpes_of_all()
    {
        _tree.File("root/buildinfo/content_manifests/a.json", """{"content_sets":["rhel-9-for-x86_64-baseos-rpms","rhel-9-for-x86_64-appstream-rpms","absent"]}""");
        var repository = Of(Assigned.Rpm("p"));
        Assert.Equal([AppStream9, BaseOs9], repository.Cpes);
        Assert.Equal(RepositoryEvidence.ContentManifest, repository.Evidence);
    }

    [Fact]
    public void A_repository_of_satellite_is_known_by_its_base_url()
    {
        From("Org_RHEL9_BaseOS").File(
            "etc/yum.repos.d/satellite.repo",
            "# by hand\n[other]\nbaseurl=https://s/content/dist/rhel9/9/x86_64/appstream/os\n\n[Org_RHEL9_BaseOS]\nname=x\nenabled = 0\n"
            + "baseurl =\n https://mirror/none,https://satellite.example/pulp/content/Org/Library/content/dist/rhel9/$releasever/${basearch}/baseos/os/?x=1\n");

        AssertGuess("Org_RHEL9_BaseOS", RepositoryEvidence.BaseUrl, [BaseOs9], Of(Assigned.Rpm("p")));
    }

    [Fact]
    public void A_recorded_repository_of_a_layered_product_is_known_by_its_base_url()
    {
        From("local-ceph", "p-1-1.el9cp.x86_64").File(RedHatRepo, "[local-ceph]\nbaseurl=http://mirror/content/dist/layered/rhel9/x86_64/ceph/7/os\n");
        AssertGuess("local-ceph", RepositoryEvidence.BaseUrl, ["cpe:/a:redhat:ceph_storage:7::el9"], Of(Assigned.Rpm("p", release: "1.el9cp")));
    }

    [Fact]
    public void A_package_from_the_installation_medium_has_the_cpes_of_the_enabled_repositories_of_rhel()
    {
        From("anaconda").File(
            RedHatRepo,
            "[a]\nbaseurl=https://cdn.redhat.com/content/dist/rhel9/$releasever/$basearch/baseos/os\nenabled=1\n"
            + "[b]\nbaseurl=https://cdn.redhat.com/content/dist/rhel9/$releasever/$basearch/appstream/os\n"
            + "[c]\nbaseurl=https://cdn.redhat.com/content/dist/same/os\nenabled=0\n"
            + "[d]\nbaseurl=https://cdn.redhat.com/content/dist/layered/rhel9/x86_64/ceph/7/os\nenabled=1\n");

        AssertGuess("anaconda", RepositoryEvidence.BaseUrl, [AppStream9, BaseOs9], Of(Assigned.Rpm("p")));
        AssertGuess("", RepositoryEvidence.BaseUrl, [AppStream9, BaseOs9], Of(Assigned.Rpm("unrecorded")));
    }

    [Fact]
    public void A_mirror_of_another_layout_is_not_taken_for_one_of_the_other_repositories()
    {
        From("mirror").File(RedHatRepo, "[mirror]\nbaseurl=http://mirror/rhel9/os\n[same]\nbaseurl=https://cdn.redhat.com/content/dist/same/os\nenabled=yes\n");
        AssertGuess("mirror", RepositoryEvidence.ReleaseAndSignature, [BaseOs9, AppStream9], Of(Assigned.Rpm("p")));

        From("blueprint-label");
        AssertGuess("blueprint-label", RepositoryEvidence.BaseUrl, ["cpe:/o:redhat:enterprise_linux:9::same"], Of(Assigned.Rpm("p")));
    }

    [Fact]
    public void The_release_decides_between_repositories_that_share_a_url()
    {
        const string Eus = "[eus]\nbaseurl=https://cdn.redhat.com/content/eus/rhel9/$releasever/x86_64/baseos/os\n";
        From("eus").File(RedHatRepo, Eus).File("var/lib/rhsm/cache/releasever.json", """{"releaseVer": "9.4"}""");
        AssertGuess("eus", RepositoryEvidence.BaseUrl, ["cpe:/o:redhat:rhel_eus:9.4::baseos"], Of(Assigned.Rpm("p")));

        // What an administrator sets goes before what subscription-manager keeps; 9.2 has only the repository of all releases.
        _tree.File("etc/dnf/vars/releasever", "9.2\n");
        AssertGuess("eus", RepositoryEvidence.BaseUrl, ["cpe:/o:redhat:rhel_eus:9.2::baseos"], Of(Assigned.Rpm("p")));

        // The stream cannot be told from the release 9: what is left is the main stream.
        File.Delete(_tree.Path("etc/dnf/vars/releasever"));
        _tree.File("var/lib/rhsm/cache/releasever.json", """{"releaseVer": ""}""");
        AssertGuess("eus", RepositoryEvidence.ReleaseAndSignature, [BaseOs9, AppStream9], Of(Assigned.Rpm("p")));
    }

    [Fact]
    public void A_url_of_repositories_with_different_cpes_says_nothing()
    {
        From("x").File(RedHatRepo, "[x]\nbaseurl=https://m/content/dist/same/os\n");
        AssertGuess("x", RepositoryEvidence.BaseUrl, ["cpe:/o:redhat:enterprise_linux:9::same"], Of(Assigned.Rpm("p")));

        _tree.File(RedHatRepo, "[x]\nbaseurl=https://m/content/dist/split/os\n");
        AssertGuess("x", RepositoryEvidence.ReleaseAndSignature, [BaseOs9, AppStream9], Of(Assigned.Rpm("p")));
    }

    static string Certificate(params (string Oid, string Value)[] extensions)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Red Hat Product ID", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        foreach (var (oid, value) in extensions)
            request.CertificateExtensions.Add(new X509Extension("1.3.6.1.4.1.2312.9.1." + oid, [0x0c, (byte)value.Length, .. Encoding.UTF8.GetBytes(value)], critical: false));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(90));
        return "Certificate: text before it\n" + certificate.ExportCertificatePem() + "\n";
    }

    [Fact]
    public void A_product_certificate_tells_the_variant()
    {
        foreach (var (id, version, os, release, cpes) in new[]
        {
            (69, "7.9", "7.9", "1.el7_9", new[] { "cpe:/o:redhat:enterprise_linux:7::server" }),
            (71, "7.9", "7.9", "1.el7", ["cpe:/o:redhat:enterprise_linux:7::workstation"]),
            (479, "9.4", "9.4", "1.el9_4", [BaseOs9, AppStream9]),
        })
        {
            _tree.File("etc/pki/product-default/1.pem", Certificate(($"{id}.1", "Red Hat Enterprise Linux"), ($"{id}.2", version), ($"{id}.3", "x86_64")));
            AssertGuess("", RepositoryEvidence.ProductCertificate, cpes, Of(Assigned.Rpm("p", release: release), new OsRelease("rhel", os, "")));
        }
    }

    [Fact]
    public void A_certificate_of_another_product_or_release_says_nothing()
    {
        _tree.File("etc/pki/product/408.pem", Certificate(("408.1", "Red Hat OpenShift"), ("408.2", "4.14"))).File("etc/pki/product/69.pem", Certificate(("69.2", "7.9")))
            .File("etc/pki/product/x.pem", "-----BEGIN CERTIFICATE-----\nnot base 64\n-----END CERTIFICATE-----\n");
        AssertGuess("", RepositoryEvidence.ReleaseAndSignature, [BaseOs9, AppStream9], Of(Assigned.Rpm("p")));
    }

    [Fact]
    public void The_products_of_a_certificate_are_read()
    {
        var products = new List<Product>();
        ProductCertificates.Read(Encoding.UTF8.GetBytes(Certificate(("479.1", "RHEL"), ("479.2", "9.4"), ("479.4", "rhel-9")) + Certificate(("90001.3", "x86_64"), ("90001.2.1", "no version"))), products);
        Assert.Equal([new Product(479, "9.4"), new Product(90001, "")], products);
    }

    [Fact]
    public void The_release_and_the_signature_give_the_main_stream()
    {
        foreach (var (version, release, cpes) in new[]
        {
            ("6.10", "1.el6", new[] { "cpe:/o:redhat:enterprise_linux:6" }),
            ("7.9", "1.el7_9.2", ["cpe:/o:redhat:enterprise_linux:7"]),
            ("8.10", "4.module+el8.9.0+1234+abcd", ["cpe:/o:redhat:enterprise_linux:8::baseos", "cpe:/a:redhat:enterprise_linux:8::appstream"]),
            ("9.4", "1.el9_4.1", [BaseOs9, AppStream9]),
            ("10.1", "1.el10_1", ["cpe:/o:redhat:enterprise_linux:10.0::baseos", "cpe:/o:redhat:enterprise_linux:10.1::baseos", "cpe:/o:redhat:enterprise_linux:10.0::appstream", "cpe:/o:redhat:enterprise_linux:10.1::appstream"]),
        })
        {
            var os = new OsRelease("rhel", version, "");
            AssertGuess("", RepositoryEvidence.ReleaseAndSignature, cpes, Of(Assigned.Rpm("p", release: release), os));
            // A package without any useful record is guessed without a mapping as well.
            AssertGuess("", RepositoryEvidence.ReleaseAndSignature, cpes, Assigned.RepositoryOf(_tree.Root, Assigned.Rpm("p", release: release), os, mapping: null));
        }
    }

    [TestDataFact]
    public void The_cpes_of_the_main_stream_are_those_of_the_real_list()
    {
        var mapping = RepositoryToCpe.TryRead(Repository.TestDataPath("repo2cpe/repository-to-cpe.full-2025.json"), out _)!;
        foreach (var architecture in new[] { "x86_64", "aarch64", "ppc64le", "s390x" })
        {
            foreach (var major in new uint[] { 8, 9, 10 })
            {
                var ids = RedHat.RepositoryIds(major, architecture);
                Assert.Null(mapping.Find(ids, [], out var found, CancellationToken.None));
                var listed = ids.SelectMany(id => found.ById[id]);
                Assert.Equal(listed, RedHat.Cpes(major, 1, variant: null, architecture, mapping: null));
                Assert.Equal(listed, RedHat.Cpes(major, 0, variant: null, architecture, found));
            }
        }
    }

    [TestDataFact]
    public void Base_urls_of_the_real_list_give_the_cpes_of_their_stream()
    {
        var mapping = RepositoryToCpe.TryRead(Repository.TestDataPath("repo2cpe/repository-to-cpe.full-2025.json"), out _)!;
        foreach (var (url, cpes) in new[]
        {
            ("content/dist/rhel9/9/x86_64/baseos/os", new[] { BaseOs9 }),
            ("content/dist/rhel9/9.4/x86_64/appstream/os", [AppStream9]),
            ("content/eus/rhel9/9.4/x86_64/baseos/os", ["cpe:/o:redhat:rhel_eus:9.4::baseos"]),
            ("content/eus/rhel8/8.6/s390x/appstream/os", ["cpe:/a:redhat:rhel_eus:8.6::appstream"]),
            ("content/e4s/rhel8/8.4/x86_64/baseos/os", ["cpe:/o:redhat:rhel_e4s:8.4::baseos"]),
            ("content/dist/rhel/server/7/7Server/x86_64/os", ["cpe:/o:redhat:enterprise_linux:7::server"]),
            ("content/dist/rhel9/9.99/x86_64/baseos/os", []),
        })
        {
            Assert.Null(mapping.Find([], [url], out var found, CancellationToken.None));
            Assert.Equal(cpes, RepositoryGuesses.CpesOf(new ConfiguredRepository("r", true, [url]), found));
        }
    }

    [Fact]
    public void Nothing_is_guessed_for_what_red_hat_did_not_sign()
    {
        From("anaconda");
        foreach (var package in new[]
        {
            Assigned.Rpm("p", key: null), Assigned.Rpm("p", key: "8a3872bf3228467c"), Assigned.Rpm("p", key: "938a80caf21541eb"),
            Assigned.Rpm("p") with { Vendor = "Fedora Project" }, Assigned.Rpm("p") with { Rpm = null },
        })
        {
            var repository = Of(package);
            Assert.Empty(repository.Cpes);
            Assert.False(repository.IsGuess);
            Assert.Equal("the repository-to-CPE mapping does not list anaconda, and the package is not signed by Red Hat", repository.WhyNoCpe);
        }

        AssertGuess("anaconda", RepositoryEvidence.ReleaseAndSignature, [BaseOs9, AppStream9], Of(Assigned.Rpm("p", key: null) with
        {
            Rpm = new RpmDetails { Number = 1, OpenPgp = [new OpenPgpSignature(1, 8, null, "0000000000000000"), new OpenPgpSignature(1, 8, null, Assigned.RedHatKey)] },
        }));
    }

    [Fact]
    public void Nothing_is_guessed_for_packages_of_layered_products()
    {
        foreach (var release in new[] { "1.el9cp", "1.el9sat", "2.el9ost", "1.rhaos4.14.el9", "1.el8", "1.el90", "1", "1.hum1", "1.xel9" })
        {
            var repository = Of(Assigned.Rpm("p", release: release));
            Assert.Empty(repository.Cpes);
            Assert.Equal((release, "nothing on the machine names the repository, and the package is not of RHEL 9 itself"), (release, repository.WhyNoCpe));
        }
    }

    [Fact]
    public void Other_distributions_keep_the_id_and_need_no_cpes()
    {
        From("baseos");
        var repository = Of(Assigned.Rpm("p"), new OsRelease("almalinux", "9.4", ""));
        Assert.Equal(("baseos", RepositoryEvidence.DnfHistory, "packages of almalinux are matched without CPEs"), (repository.Id, repository.Evidence, repository.WhyNoCpe));
        Assert.Empty(repository.Cpes);
    }

    [Fact]
    public void A_system_that_is_not_known_is_not_guessed()
    {
        Assert.Equal("nothing on the machine names the repository", Of(Assigned.Rpm("p"), OsRelease.Unknown).WhyNoCpe);
        From("odd");
        Assert.Equal("the repository-to-CPE mapping does not list odd", Of(Assigned.Rpm("p"), OsRelease.Unknown).WhyNoCpe);
    }

    [Fact]
    public void Without_a_mapping_a_recorded_repository_stays_for_others_to_look_up()
    {
        From("rhel-9-for-x86_64-baseos-eus-rpms");
        var repository = Assigned.RepositoryOf(_tree.Root, Assigned.Rpm("p"), Assigned.Rhel9, mapping: null);
        Assert.Equal(
            ("rhel-9-for-x86_64-baseos-eus-rpms", RepositoryEvidence.DnfHistory, "no repository-to-CPE mapping was given"),
            (repository.Id, repository.Evidence, repository.WhyNoCpe));
        Assert.Empty(repository.Cpes);
    }

    [Fact]
    public void Variables_are_expanded_as_dnf_does()
    {
        var variables = new DnfVariables("9.4", "i686");
        variables.Set("custom", "c");
        Assert.Equal("a/9.4/9/4/i386/i686/cb", variables.Expand("a/$releasever/${releasever_major}/$releasever_minor/$basearch/$arch/${custom}b"));
        Assert.Equal("c-c", variables.Expand("$custom-${custom}"));
        foreach (var unknown in new[] { "$absent", "${releasever", "$", "${}", "$$releasever" }) Assert.Null(variables.Expand(unknown));
        Assert.Null(variables.Expand(string.Concat(Enumerable.Repeat("$releasever", 100))));
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_repository_file_and_certificate_is_read_within_bounds()
    {
        var repo = Encoding.UTF8.GetBytes("[a]\nname=x\nbaseurl=https://m/content/content/dist/$releasever/os,http://n/content/${basearch}/os\n  http://third/content/x\nenabled=0\n[b]\nbaseurl=file:///x\n");
        var certificate = Encoding.UTF8.GetBytes(Certificate(("479.1", "RHEL"), ("479.2", "9.4")));
        var variables = new DnfVariables("9", "x86_64");
        var random = new Random(20260406);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var damagedRepo = Damage.Mutate(repo, random, focus: 100);
            var damagedCertificate = Damage.Mutate(certificate, random, focus: 100);
            Damage.AssertBounded(() => RepositoryFiles.Read(damagedRepo, variables, []), damagedRepo.Length, $"repo {i}");
            Damage.AssertBounded(() => ProductCertificates.Read(damagedCertificate, []), damagedCertificate.Length, $"certificate {i}");
        }
    }

    [Fact]
    public void All_files_that_decide_are_named_for_watching()
    {
        Assert.Contains("var/lib/dnf/history.sqlite-wal", PackageRepositories.Paths);
        Assert.Contains("etc/yum.repos.d", PackageRepositories.Paths);
        Assert.Equal(PackageRepositories.Paths.Count, PackageRepositories.Paths.Distinct().Count());
        Assert.DoesNotContain(PackageRepositories.Paths, path => path.StartsWith('/'));
    }
}
