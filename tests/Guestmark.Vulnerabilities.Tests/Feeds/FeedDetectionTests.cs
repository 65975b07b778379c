using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class FeedDetectionTests
{
    [Theory]
    [InlineData("""{"document": {"tracking": {"id": "X"}}}""", FeedFormat.Csaf)]
    [InlineData("""{"vulnerabilities": [], "product_tree": {}, "document": {}}""", FeedFormat.Csaf)]
    [InlineData("""{"id": "X", "details": "y", "modified": "2024-01-01T00:00:00Z"}""", FeedFormat.Osv)]
    [InlineData("""{"affected": []""", FeedFormat.Osv)]
    [InlineData("""{"@context": "https://openvex.dev/ns/v0.2.0", "statements": []}""", FeedFormat.OpenVex)]
    [InlineData("""{"$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "bomFormat": "CycloneDX", "vulnerabilities": []}""", FeedFormat.CycloneDx)]
    [InlineData("""{"title": "CISA", "catalogVersion": "2025.08.25"}""", FeedFormat.Kev)]
    [InlineData("#model_version:v2023.03.01,score_date:2024-10-25T00:00:00+0000\ncve,epss,percentile\n", FeedFormat.Epss)]
    [InlineData("cve,epss,percentile\n", FeedFormat.Epss)]
    [InlineData("CVE-2020-5902,0.65117,0.99\n", FeedFormat.Epss)]
    [InlineData("""{"0ad": {}, "openssl": {"CVE-2014-0160": {"releases": {}}}}""", FeedFormat.DebianTracker)]
    [InlineData("""{"tar": {"TEMP-0290435-0B57B5": {}}}""", FeedFormat.DebianTracker)]
    [InlineData("""{"apkurl": "", "archs": [], "reponame": "main", "distroversion": "v3.19", "packages": []}""", FeedFormat.AlpineSecdb)]
    [InlineData("<?xml version=\"1.0\"?>\n<!-- a > b -->\n<oval_definitions xmlns=\"x\">", FeedFormat.Oval)]
    [InlineData("<oval:oval_definitions>", FeedFormat.Oval)]
    [InlineData("\uFEFF<updates><update/></updates>", FeedFormat.UpdateInfo)]
    [InlineData("""{"data": {"rhel-9-baseos-rpms": {"cpes": []}}}""", FeedFormat.RepositoryToCpe)]
    [InlineData("""{"canonical_url": "https://x", "distributions": []}""", FeedFormat.ProviderMetadata)]
    [InlineData("""{"feed": {"id": "x", "entry": []}}""", FeedFormat.Rolie)]
    [InlineData("\"2024/a.json\",\"2024-01-01T00:00:00Z\"\n", FeedFormat.Listing)]
    public void A_format_is_known_by_its_content(string content, FeedFormat format) => Assert.Equal(format, Of(content).Format);

    [Theory]
    [InlineData("", "it is empty")]
    [InlineData("[1]", "a JSON array, no document of a known format")]
    [InlineData("{}", "an empty JSON object")]
    [InlineData("""{"a": 1, "b": [2]}""", "JSON with \"a\", \"b\", no document of a known format")]
    [InlineData("""{"a": tru}""", "not valid JSON: 'tru}'")]
    [InlineData("<html><body>Sign in</body></html>", "an HTML page, perhaps of a proxy or a login")]
    [InlineData("<repomd/>", "repomd.xml of a package repository")]
    [InlineData("<svg></svg>", "XML whose first element is 'svg'")]
    [InlineData("hello\nworld", "it begins with 'hello'")]
    [InlineData("\u0001\u0002", "it begins with the bytes 0102")]
    [InlineData("""{"spdxVersion": "SPDX-2.3"}""", "an SPDX document")]
    public void What_is_unknown_is_told_with_what_was_seen(string content, string seen)
    {
        var kind = Of(content);
        Assert.Equal(FeedFormat.Unknown, kind.Format);
        Assert.StartsWith(seen, kind.Detail);
    }

    [Theory]
    [InlineData("""{"apkurl": "", "archs": ["x86_64"], "reponame": "main", "urlprefix": "https://dl-cdn.alpinelinux.org/alpine", "distroversion": "v3.19", "packages": []}""", "v3.19/main")]
    [InlineData("""{"apkurl": "", "reponame": "os", "urlprefix": "https://packages.wolfi.dev", "packages": []}""", "packages.wolfi.dev/os")]
    public void A_secdb_says_which_it_is(string content, string name) => Assert.Equal(name, Of(content).Detail);

    [Fact]
    public void A_document_whose_beginning_says_nothing_is_looked_at_as_a_whole()
    {
        var json = Packed.Utf8($$"""{"id": "X", "details": "{{new string('x', FeedDetection.PrefixBytes)}}", "modified": "2024-01-01T00:00:00Z"}""");
        FeedDetection.Of(json.AsSpan(0, FeedDetection.PrefixBytes), isWhole: false, out var needsMore);
        Assert.True(needsMore);
        Assert.Equal(FeedFormat.Osv, FeedDetection.Of(json, isWhole: true, out _).Format);
    }

    [TestDataTheory]
    [InlineData("vex/legacy/cve-2023-38545.json", FeedFormat.Csaf)]
    [InlineData("vex/new-feed/2024/CVE-2024-6923.json", FeedFormat.Csaf)]
    [InlineData("vex/legacy/delete_CVE-2023-0030.json", FeedFormat.Csaf)]
    [InlineData("osv/alpine/fixtures/2023", FeedFormat.Osv)]
    [InlineData("osv/ubuntu/fixtures/USN", FeedFormat.Osv)]
    [InlineData("osv/wolfi/fixtures/2024", FeedFormat.Osv)]
    [InlineData("kev/known_exploited_vulnerabilities.json", FeedFormat.Kev)]
    [InlineData("epss/sample.csv", FeedFormat.Epss)]
    [InlineData("oval/com.vmware.phsa-photon3.xml", FeedFormat.Oval)]
    [InlineData("oval/redhat/repository-to-cpe.json", FeedFormat.RepositoryToCpe)]
    [InlineData("repo2cpe/repository-to-cpe.full-2025.json", FeedFormat.RepositoryToCpe)]
    [InlineData("csaf/vunnel/csaf/server/changes.csv", FeedFormat.Listing)]
    public void Vendors_documents_are_told_apart_by_their_first_bytes(string path, FeedFormat format)
    {
        path = Repository.TestDataPath(path);
        foreach (var file in Directory.Exists(path) ? Directory.GetFiles(path, "*.json", SearchOption.AllDirectories) : [path])
        {
            var bytes = File.ReadAllBytes(file);
            var prefix = bytes.AsSpan(0, Math.Min(bytes.Length, FeedDetection.PrefixBytes));
            var kind = FeedDetection.Of(prefix, prefix.Length == bytes.Length, out var needsMore);
            Assert.Equal((file, format, false), (file, kind.Format, needsMore));
        }
    }

    [TestDataTheory]
    [InlineData("vex/legacy/cve-2023-38545.json", "www.redhat.com", "csaf_vex", "Red Hat SDEngine")]
    [InlineData("vex/new-feed/2024/CVE-2024-6923.json", "www.redhat.com", "csaf_vex", "CSAF Generator")]
    [InlineData("csaf/osv-schema/CSAF/rhsa-2024_4420.json", "www.redhat.com", "csaf_security_advisory", "Red Hat SDEngine")]
    [InlineData("vex/legacy/delete_CVE-2023-0030.json", "", "", "")]
    public void Whose_a_csaf_document_is_stands_in_it(string path, string host, string category, string engine)
    {
        var origin = new CsafOrigin();
        origin.Read(File.ReadAllBytes(Repository.TestDataPath(path)));
        Assert.Equal((host, category, engine), (origin.Host, origin.Category, origin.Engine));
    }

    [Fact]
    public void Whose_a_csaf_document_is_does_not_come_from_the_one_before()
    {
        var origin = new CsafOrigin();
        origin.Read("""{"document": {"category": "csaf_vex", "publisher": {"category": "user", "namespace": "https://ops.example"}}}"""u8);
        Assert.Equal(("ops.example", "user", "csaf_vex"), (origin.Host, origin.PublisherCategory, origin.Category));
        origin.Read("""{"document": {"publisher": {"namespace": 5}, "tracking": [}"""u8);
        Assert.Equal(("", "", ""), (origin.Host, origin.PublisherCategory, origin.Category));
    }

    [Theory]
    [InlineData("/feeds/almalinux-osv-database.zip", "almalinux-osv-database")]
    [InlineData("/feeds/csaf_vex_2023-10-31.tar.zst", "csaf_vex")]
    [InlineData("rhel-9-20240131.oval.xml.bz2", "rhel-9")]
    [InlineData("https://bucket.example/AlmaLinux/all.zip", "almalinux")]
    [InlineData("https://bucket.example/Rocky%20Linux/all.zip?x=y", "rocky%20linux")]
    [InlineData("/data/mirror/alma/", "alma")]
    [InlineData("CVE-2024-1234.openvex.json", "cve-2024-1234")]
    [InlineData("2024-01-31.json", "2024-01-31")]
    [InlineData("/all.json", "all")]
    public void A_source_is_named_after_its_file_without_date_and_extensions(string path, string name) => Assert.Equal(name, FeedSourceName.Of(path));

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Damaged_documents_are_told_apart_without_an_exception()
    {
        string[] seeds =
        [
            """{"document": {"category": "csaf_vex", "publisher": {"namespace": "https://x.example"}, "tracking": {"generator": {"engine": {"name": "e"}}}}}""",
            """{"apkurl": "", "archs": [], "reponame": "main", "distroversion": "v3.19", "packages": []}""",
            """{"openssl": {"CVE-2014-0160": {"releases": {}}}}""",
            """{"a": {"b": {}}, "data": {"rhel": {"cpes": []}}, "x": [{}], "modified": "y"}""",
            "<?xml version=\"1.0\"?><!-- x --><!DOCTYPE a><oval:oval_definitions xmlns=\"x\">",
            "\"2024/a.json\",\"2024-01-01T00:00:00Z\"\n\"b.json\",\"x\"\n",
            "CVE-2020-5902,0.65117",
        ];
        var random = new Random(3);
        var origin = new CsafOrigin();
        for (var i = FeedDamage.Inputs(2000); i > 0; i--)
        {
            var bytes = FeedDamage.Mutate(Packed.Utf8(seeds[random.Next(seeds.Length)]), random);
            FeedDetection.Of(bytes, isWhole: random.Next(2) == 0, out _);
            origin.Read(bytes);
            foreach (var path in CsafListing.Read(new MemoryStream(bytes), 10, (_, _) => { }).Keys) Assert.True(CsafListing.IsSafe(path), path);
        }
    }

    static FeedKind Of(string content) => FeedDetection.Of(Packed.Utf8(content), isWhole: true, out _);
}
