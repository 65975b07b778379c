using System.Text;
using Guestmark.Inventory.Repositories;
using Guestmark.Inventory.Sbom;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.TestKit;
using static Guestmark.Inventory.Tests.Sbom.SampleInventories;

namespace Guestmark.Inventory.Tests.Sbom;

/// <summary>Establishes that documents of others and of ours give the packages that advisories are about.</summary>
[Collection(nameof(RealDatabases))]
public sealed class SbomReaderTests(RealDatabases databases)
{
    static SbomDocument Read(byte[] document, RepositoryToCpe? mapping = null)
    {
        var result = SbomReader.TryRead(document, mapping, out var error);
        Assert.Null(error);
        return result!;
    }

    static SbomDocument Read(string document) => Read(Encoding.UTF8.GetBytes(document));

    static SbomDocument ReadComponents(string components) => Read($$"""{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{{components}}]}""");

    static byte[] CycloneDxOf(GuestInventory inventory) => Schemas.Bytes(stream => CycloneDx.Write(inventory, Options, stream));

    static byte[] SpdxOf(GuestInventory inventory) => Schemas.Bytes(stream => Spdx.Write(inventory, Options, stream));

    /// <summary>What matching looks at, a line for each package.</summary>
    static IEnumerable<string> Facts(GuestInventory inventory, bool cpes = true)
    {
        yield return $"{inventory.Os.Id} {inventory.Os.VersionId} {inventory.Os.PrettyName}";
        foreach (var p in inventory.Packages)
        {
            var source = p.SourceName is null ? "" : $"{p.SourceName} {p.SourceVersion}";
            var repository = p.Repository is not { Id: var id } || (!cpes && id.Length == 0) ? "" : $"{id} {p.Repository.Evidence} {(cpes ? string.Join(' ', p.Repository.Cpes) : "")}";
            yield return $"{p.Manager} {p.Name} {p.Epoch ?? 0} {p.Version} {p.Release} {p.Architecture} {p.ModularityLabel} {p.SourceRpm} {source} {p.Vendor} {p.Database} {repository}";
        }
    }

    [Fact]
    public void The_CPE_of_the_operating_system_holds_for_its_packages()
    {
        var document = SbomReader.TryRead(
            """
            {"bomFormat":"CycloneDX","specVersion":"1.6","components":[
              {"type":"operating-system","name":"rhel","version":"9.2","cpe":"cpe:/o:redhat:rhel_eus:9.2::baseos"},
              {"type":"library","name":"curl","version":"7.76.1-23.el9_2.4","purl":"pkg:rpm/redhat/curl@7.76.1-23.el9_2.4?arch=x86_64"}]}
            """u8,
            null,
            out _);

        Assert.Equal(["cpe:/o:redhat:rhel_eus:9.2::baseos"], Assert.Single(document!.Inventory.Packages).Repository!.Cpes);
    }

    [Theory]
    [InlineData("almalinux", "8.5", "pkg:rpm/fedora/curl@7.61.1-18.fc39?distro=fedora-39", false)]
    [InlineData("almalinux", "8.5", "pkg:rpm/redhat/curl@7.61.1-18.el8?distro=rhel-8.5", true)]
    [InlineData("almalinux", "8.5", "pkg:rpm/redhat/curl@7.76.1-14.el9?distro=rhel-9.0", false)]
    [InlineData("debian", "12", "pkg:deb/ubuntu/libc6@2.31?distro=ubuntu-20.04", false)]
    [InlineData("debian", "12", "pkg:deb/debian/libc6@2.31?distro=debian-11", false)]
    [InlineData("debian", "12.5", "pkg:deb/debian/libc6@2.36?distro=debian-12", true)]
    [InlineData("debian", "12", "pkg:deb/debian/libc6@2.36?distro=somewhere-1", true)]
    public void A_package_of_another_distribution_than_the_document_s_is_left_out_by_name(string id, string version, string purl, bool isRead)
    {
        var document = SbomReader.TryRead(
            Encoding.UTF8.GetBytes(
                $$"""
                {"bomFormat":"CycloneDX","specVersion":"1.6","components":[
                  {"type":"operating-system","name":"{{id}}","version":"{{version}}"},{"type":"library","name":"x","version":"1","purl":"{{purl}}"}]}
                """),
            null,
            out var error);

        Assert.Null(error);
        Assert.Equal(isRead ? 1 : 0, document!.Inventory.Packages.Count);
        Assert.Equal(isRead, document.LeftOut.Count == 0);
        if (!isRead) Assert.StartsWith("packages of another system than the document's, ", document.LeftOut[0].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void What_we_write_as_CycloneDX_we_read_back()
    {
        var document = Read(CycloneDxOf(Full));

        Assert.Equal("CycloneDX 1.6", document.Format);
        Assert.Empty(document.LeftOut);
        Assert.Equal(Facts(Full), Facts(document.Inventory));
        Assert.Equal(Full.Packages.Select(package => package.License), document.Inventory.Packages.Select(package => package.License));
        Assert.Equal("199e2f91fd431d51", document.Inventory.Packages[0].Rpm!.Signature!.KeyId);
        Assert.Equal(Full.Problems, document.Inventory.Problems);
        Assert.Equal(("5.14.0-427.el9.x86_64", "x86_64"), (document.Inventory.Host.RunningKernel, document.Inventory.Host.Architecture));
        Assert.Equal(Full.Host.InstalledKernels, document.Inventory.Host.InstalledKernels);
    }

    [Fact]
    public void What_we_write_as_SPDX_we_read_back()
    {
        var document = Read(SpdxOf(Full));

        Assert.Equal("SPDX 2.3", document.Format);
        Assert.Empty(document.LeftOut);
        Assert.Equal(Facts(Full), Facts(document.Inventory));
        Assert.Equal(Full.Problems, document.Inventory.Problems);
    }

    [TestDataFact]
    public void Real_inventories_come_back_from_both_formats()
    {
        var packages = 0;
        foreach (var inventory in Real(databases))
        {
            packages += inventory.Packages.Count;
            Assert.Equal(Facts(inventory), Facts(Read(CycloneDxOf(inventory)).Inventory));
            // SPDX has no place for CPEs of packages, and for a guess that names no repository.
            Assert.Equal(Facts(inventory, cpes: false), Facts(Read(SpdxOf(inventory)).Inventory, cpes: false));
        }

        Assert.True(packages > 2000, $"{packages} packages");
    }

    [Fact]
    public void Syft_names_the_source_in_the_package_URL_and_the_system_in_properties()
    {
        var document = ReadComponents(
            """
            {"type":"library","publisher":"AlmaLinux Packaging Team <packager@almalinux.org>","name":"bash","version":"0:4.4.20-4.el8_6","purl":"pkg:rpm/almalinux/bash@4.4.20-4.el8_6?arch=x86_64&distro=almalinux-8.7&upstream=bash-4.4.20-4.el8_6.src.rpm",
             "properties":[{"name":"syft:package:type","value":"rpm"}]},
            {"type":"library","name":"libc6","version":"2.31-13+deb11u5","purl":"pkg:deb/debian/libc6@2.31-13%2Bdeb11u5?arch=amd64&upstream=glibc"},
            {"type":"library","name":"perl-base","version":"5.32.1-4","purl":"pkg:deb/debian/perl-base@5.32.1-4?arch=amd64&upstream=perl%405.32.1-3"},
            {"type":"operating-system","name":"almalinux","version":"8.7","description":"AlmaLinux 8.7 (Stone Smilodon)",
             "properties":[{"name":"syft:distro:id","value":"almalinux"},{"name":"syft:distro:versionID","value":"8.7"},{"name":"syft:distro:prettyName","value":"AlmaLinux 8.7 (Stone Smilodon)"}]},
            {"type":"file","name":"/etc/passwd"}
            """);

        Assert.Equal(
            [
                "almalinux 8.7 AlmaLinux 8.7 (Stone Smilodon)",
                "Rpm bash 0 4.4.20 4.el8_6 x86_64  bash-4.4.20-4.el8_6.src.rpm bash 4.4.20-4.el8_6 AlmaLinux Packaging Team <packager@almalinux.org>  ",
                "Dpkg libc6 0 2.31 13+deb11u5 amd64   glibc 2.31-13+deb11u5   ",
                "Dpkg perl-base 0 5.32.1 4 amd64   perl 5.32.1-3   ",
            ],
            Facts(document.Inventory));
        var file = Assert.Single(document.LeftOut);
        Assert.Equal(("no packages but of type file", 1, "/etc/passwd"), (file.Reason, file.Count, file.Names[0]));
    }

    [Fact]
    public void Trivy_names_the_source_in_properties_and_the_system_by_its_own_names()
    {
        var document = ReadComponents(
            """
            {"type":"operating-system","name":"redhat","version":"9.4"},
            {"type":"library","name":"perl-Carp","version":"1.50-460.el9","purl":"pkg:rpm/redhat/perl-Carp@1.50-460.el9?arch=noarch&distro=redhat-9.4&epoch=1",
             "properties":[{"name":"aquasecurity:trivy:SrcEpoch","value":"1"},{"name":"aquasecurity:trivy:SrcName","value":"perl-Carp"},{"name":"aquasecurity:trivy:SrcRelease","value":"460.el9"},
              {"name":"aquasecurity:trivy:SrcVersion","value":"1.50"},{"name":"aquasecurity:trivy:Modularitylabel","value":"perl:5.26:8000:abc"}]},
            {"type":"library","name":"dash","version":"1:0.5-1","purl":"pkg:deb/debian/dash@0.5-1?arch=amd64&epoch=1",
             "properties":[{"name":"aquasecurity:trivy:SrcEpoch","value":"2"},{"name":"aquasecurity:trivy:SrcName","value":"dash-src"},{"name":"aquasecurity:trivy:SrcRelease","value":"3"},{"name":"aquasecurity:trivy:SrcVersion","value":"0.5"}]}
            """);

        Assert.Equal(
            [
                "rhel 9.4 ",
                "Rpm perl-Carp 1 1.50 460.el9 noarch perl:5.26:8000:abc  perl-Carp 1.50-460.el9   ",
                "Dpkg dash 1 0.5 1 amd64   dash-src 2:0.5-3   ",
            ],
            Facts(document.Inventory));
    }

    [Fact]
    public void Language_packages_have_the_names_of_their_ecosystem()
    {
        var document = ReadComponents(
            """
            {"type":"library","group":"@angular","name":"core","version":"1.0.0","purl":"pkg:npm/%40angular/core@1.0.0"},
            {"type":"library","name":"core","version":"1.0.0","purl":"pkg:npm/@angular/core"},
            {"type":"library","group":"org.apache","name":"log4j","version":"2","purl":"pkg:maven/org.apache/log4j@2?type=jar"},
            {"type":"library","name":"github.com/Azure/go-autorest","version":"v0.6.0","purl":"pkg:golang/github.com/azure/go-autorest@v0.6.0#sub"},
            {"type":"application","name":"Zope_Interface","purl":"pkg:pypi/zope-interface@5.4.0",
             "components":[{"type":"library","name":"inner","purl":"pkg:nuget/Newtonsoft.Json@13.0.1"}]}
            """);

        Assert.Equal(
            ["Npm @angular/core 1.0.0", "Npm @angular/core 1.0.0", "Maven org.apache:log4j 2", "Go github.com/Azure/go-autorest v0.6.0", "NuGet Newtonsoft.Json 13.0.1", "PyPI Zope_Interface 5.4.0"],
            document.Inventory.Packages.Select(package => $"{package.Manager} {package.Name} {package.FullVersion}"));
        Assert.True(document.Inventory.Os.IsUnknown);
    }

    [Fact]
    public void What_is_no_package_is_counted_by_reason_and_named()
    {
        var document = ReadComponents(
            """
            {"type":"library","name":"a"},{"type":"library","name":"b"},{"type":"library","name":"c","version":"1","purl":"pkg:cargo/c@1"},
            {"type":"library","name":"d","purl":"pkg:rpm/redhat/d"},{"type":"library","name":"e","purl":"not a purl"},{"type":"library","name":"f","purl":7},17,{}
            """);

        Assert.Empty(document.Inventory.Packages);
        Assert.Equal(
            ["packages of type cargo 1 c", "with a package URL that is none 1 e", "without a package URL 4 a,b,f,", "without a version 1 d"],
            document.LeftOut.Select(row => $"{row.Reason} {row.Count} {string.Join(',', row.Names)}"));
    }

    [Theory]
    [InlineData("rhel-9.4", "rhel", "9.4")]
    [InlineData("redhat-9.4", "rhel", "9.4")]
    [InlineData("alma-8.10", "almalinux", "8.10")]
    [InlineData("opensuse-leap-15.5", "opensuse-leap", "15.5")]
    [InlineData("opensuse-tumbleweed", "opensuse-tumbleweed", "")]
    [InlineData("bookworm", "debian", "12")]
    [InlineData("noble", "ubuntu", "24.04")]
    [InlineData("alpine-v3.19.1", "alpine", "3.19.1")]
    public void A_distribution_is_known_by_the_qualifier_of_package_URLs(string qualifier, string id, string version)
    {
        var os = ReadComponents($$"""{"name":"x","purl":"pkg:deb/other/x@1?distro={{qualifier}}"}""").Inventory.Os;

        Assert.Equal((id, version), (os.Id, os.VersionId));
    }

    [Fact]
    public void Most_package_URLs_decide_which_distribution_it_is()
    {
        const string alma = """{"name":"x","purl":"pkg:rpm/almalinux/x@1-1?distro=almalinux-8.7"}""";
        const string rocky = """{"name":"x","purl":"pkg:rpm/rocky/x@1-1?distro=rocky-9.1"}""";
        const string bare = """{"name":"x","purl":"pkg:rpm/centos/x@1-1"}""";

        Assert.Equal("rocky 9.1", ReadComponents($"{alma},{rocky},{rocky},{bare},{bare},{bare}").Inventory.Os.ToString());
        Assert.Equal("centos", ReadComponents(bare).Inventory.Os.ToString());
    }

    [Fact]
    public void The_subject_of_a_document_is_a_package_once()
    {
        const string subject = """{"type":"library","name":"core","purl":"pkg:npm/core@1"}""";

        Assert.Single(Read($$"""{"components":[{{subject}}],"metadata":{"component":{{subject}} },"specVersion":"1.4","bomFormat":"CycloneDX"}""").Inventory.Packages);
        Assert.Single(Read($$"""{"bomFormat":"CycloneDX","specVersion":"1.4","metadata":{"component":{{subject}} } }""").Inventory.Packages);
    }

    [TestDataFact]
    public void Red_Hats_example_has_the_products_of_its_operating_system()
    {
        var document = Read(File.ReadAllBytes(Repository.TestDataPath("sbom/rhel-9.2-main+eus.cdx.json")));

        Assert.Equal(("rhel", "9.2"), (document.Inventory.Os.Id, document.Inventory.Os.VersionId));
        Assert.Equal(["gcc 11.3.1-4.3.el9 src", "openssl 3.0.7-17.el9_2 src"], document.Inventory.Packages.Select(p => $"{p.Name} {p.FullVersion} {p.Architecture}"));
        Assert.All(document.Inventory.Packages, package =>
        {
            Assert.Equal("rhel-9-for-aarch64-baseos-eus-source-rpms", package.Repository!.Id);
            Assert.Equal(
                [
                    "cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/a:redhat:enterprise_linux:9::appstream", "cpe:/a:redhat:rhel_eus:9.2::appstream",
                    "cpe:/a:redhat:rhel_eus:9.2::baseos",
                ],
                package.Repository.Cpes);
        });
    }

    [TestDataFact]
    public void A_mapping_gives_the_products_of_the_repositories_that_package_URLs_name()
    {
        var mapping = RepositoryToCpe.TryRead(Repository.TestDataPath("repo2cpe/repository-to-cpe.full-2025.json"), out _);
        var document = Read(
            """{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"bash","purl":"pkg:rpm/redhat/bash@5-1?arch=x86_64&distro=rhel-9.2&repository_id=rhel-9-for-x86_64-baseos-rpms","evidence":{"identity":{"field":"purl","concludedValue":"pkg:rpm/redhat/bash@5-1?repository_id=rhel-9-for-x86_64-baseos-rpms"}}}]}"""u8.ToArray(),
            mapping);

        var repository = Assert.Single(document.Inventory.Packages).Repository!;
        Assert.Equal("rhel-9-for-x86_64-baseos-rpms", repository.Id);
        Assert.Contains("cpe:/o:redhat:enterprise_linux:9::baseos", repository.Cpes);
    }

    [TestDataTheory]
    [InlineData("sbom/openssl-3.0.7-18.el9_2.cdx.json", 36, 0)]
    [InlineData("sbom/vim-9.1.083-5.el10.cdx.json", 47, 0)]
    [InlineData("sbom/openssl-3.0.7-18.el9_2.spdx.json", 36, 2)]
    public void Red_Hats_examples_of_packages_are_read_to_the_last(string file, int packages, int others)
    {
        var document = Read(File.ReadAllBytes(Repository.TestDataPath(file)));

        Assert.Equal(packages, document.Inventory.Packages.Count);
        Assert.Equal(others, document.LeftOut.Sum(row => row.Count));
        Assert.All(document.Inventory.Packages, package => Assert.True(package.Epoch is 1 or 2));
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("<bom/>", "is XML")]
    [InlineData("SPDXVersion: SPDX-2.3", "tags and values")]
    [InlineData("[]", "no JSON object")]
    [InlineData("{", "is no JSON: ")]
    [InlineData("{}", "neither bomFormat nor spdxVersion")]
    [InlineData("""{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}""", "SPDX 3")]
    [InlineData("""{"bomFormat":"CycloneDX","specVersion":"2.0"}""", "$.specVersion is '2.0'")]
    [InlineData("""{"bomFormat":"CycloneDX","specVersion":6}""", "$.specVersion is ''")]
    [InlineData("""{"bomFormat":"CycloneFX","specVersion":"1.6"}""", "$.bomFormat is 'CycloneFX'")]
    [InlineData("""{"spdxVersion":"SPDX-1.2"}""", "$.spdxVersion is 'SPDX-1.2'")]
    [InlineData("""{"bomFormat":"CycloneDX","specVersion":"1.6","components":{}}""", "$.components is no array")]
    [InlineData("""{"spdxVersion":"SPDX-2.3","packages":7}""", "$.packages is no array")]
    [InlineData("""{"bomFormat":"CycloneDX","specVersion":"1.6"}}""", "is no JSON: ")]
    [InlineData("""{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"\ud800"}]}""", "no Unicode")]
    public void What_is_no_document_is_refused_with_the_reason(string text, string reason)
    {
        Assert.Null(SbomReader.TryRead(Encoding.UTF8.GetBytes(text), null, out var error));
        Assert.Contains(reason, error, StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        var text = $$"""{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{string.Concat(Enumerable.Repeat("""{"components":[""", 10_000))}}""";

        Assert.Null(SbomReader.TryRead(Encoding.UTF8.GetBytes(text), null, out var error));
        Assert.Contains("depth", error, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_a_document_or_an_error()
    {
        byte[][] seeds = [CycloneDxOf(Full), SpdxOf(Full)];
        var random = new Random(1);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var damaged = Damage.Mutate(seeds[i % 2], random, 400);
            SbomDocument? document = null;
            string? error = null;
            Damage.AssertBounded(() => document = SbomReader.TryRead(damaged, null, out error), damaged.Length, $"case {i}");
            Assert.True(document is null == error is not null, $"case {i}");
        }
    }
}
