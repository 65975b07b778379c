using System.Text;
using System.Text.Json;
using Guestmark.Inventory.Sbom;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.TestKit;
using static Guestmark.Inventory.Tests.Sbom.SampleInventories;

namespace Guestmark.Inventory.Tests.Sbom;

/// <summary>Establishes that both kinds of documents are valid, and what they say.</summary>
[Collection(nameof(RealDatabases))]
public sealed class SbomTests(RealDatabases databases)
{
    static byte[] CycloneDxOf(GuestInventory inventory) => Schemas.Bytes(stream => CycloneDx.Write(inventory, Options, stream));

    static byte[] SpdxOf(GuestInventory inventory) => Schemas.Bytes(stream => Spdx.Write(inventory, Options, stream));

    static JsonElement Json(byte[] document) => JsonDocument.Parse(document).RootElement;

    [ToolFact("node")]
    public void CycloneDX_is_valid_by_its_official_schema() =>
        Assert.Equal("", Schemas.Validate(Schemas.CycloneDx, CycloneDxOf(Full), CycloneDxOf(Empty), CycloneDxOf(new GuestInventory(OsRelease.Unknown, [], []))));

    [ToolFact("node")]
    public void SPDX_is_valid_by_the_rules_of_its_specification() =>
        Assert.Equal("", Schemas.Validate(Schemas.Spdx, SpdxOf(Full), SpdxOf(Empty), SpdxOf(new GuestInventory(OsRelease.Unknown, [], []))));

    [TestDataFact]
    public void Real_inventories_give_valid_documents()
    {
        List<GuestInventory> inventories = [.. Real(databases), .. Tables.Select(OfTable)];

        Assert.Equal("", Schemas.Validate(Schemas.CycloneDx, inventories.Select(CycloneDxOf)));
        Assert.Equal("", Schemas.Validate(Schemas.Spdx, inventories.Select(SpdxOf)));
        Assert.All(inventories, inventory => Assert.Equal(inventory.Packages.Count, Json(CycloneDxOf(inventory)).GetProperty("components").GetArrayLength()));
    }

    [TestDataFact]
    public void The_validator_takes_real_documents_and_refuses_damaged_ones()
    {
        Assert.Equal("", Schemas.Validate(Schemas.CycloneDx, Directory.GetFiles(Repository.TestDataPath("sbom"), "*.cdx.json").Select(File.ReadAllBytes)));
        Assert.Contains("/components/0", Schemas.Validate(Schemas.CycloneDx, Replace(CycloneDxOf(Full), "\"library\"", "\"shelf\"")));
        Assert.Contains("bom-ref", Schemas.Validate(Schemas.CycloneDx, Replace(CycloneDxOf(Full), "#9\"", "\"")));
        Assert.Contains("/packages/1", Schemas.Validate(Schemas.Spdx, Replace(SpdxOf(Full), "\"purl\"", "\"pearl\"")));
        Assert.Contains("GPLv2+", Schemas.Validate(Schemas.Spdx, Replace(SpdxOf(Full), "\"MIT\"", "\"GPLv2+\"")));

        static byte[] Replace(byte[] document, string old, string by)
        {
            var text = Encoding.UTF8.GetString(document);
            Assert.Contains(old, text);
            return Encoding.UTF8.GetBytes(text.Replace(old, by));
        }
    }

    [Fact]
    public void CycloneDX_says_what_the_inventory_knows()
    {
        var document = Json(CycloneDxOf(Full));

        Assert.Equal("urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", document.GetProperty("serialNumber").GetString());
        var metadata = document.GetProperty("metadata");
        Assert.Equal("2026-01-02T01:04:05Z", metadata.GetProperty("timestamp").GetString());
        Assert.Equal("""{"type":"operating-system","bom-ref":"os","name":"rhel","version":"9.4","description":"Red Hat Enterprise Linux 9.4 (Plow)","evidence":{"identity":[{"field":"cpe","concludedValue":"cpe:/o:redhat:enterprise_linux:9::baseos"}]}}""", metadata.GetProperty("component").GetRawText());
        Assert.Contains("\"guestmark:problem\"", metadata.GetProperty("properties").GetRawText());
        Assert.Equal("incomplete", document.GetProperty("compositions")[0].GetProperty("aggregate").GetString());

        var bash = document.GetProperty("components")[0];
        Assert.Equal("1:5.1.8-9.el9", bash.GetProperty("version").GetString());
        Assert.Equal("Red Hat, Inc.", bash.GetProperty("supplier").GetProperty("name").GetString());
        Assert.Equal("""[{"expression":"GPL-3.0-or-later AND MIT"}]""", bash.GetProperty("licenses").GetRawText());
        Assert.Equal("""[{"alg":"MD5","content":"f7bd337ae2962162ac73a509ed7129f0"},{"alg":"SHA-256","content":"440a643f8fc5b09c04e1a86eedf45e7c449cdca57e61bf78c95a8f8748679679"}]""", bash.GetProperty("hashes").GetRawText());
        Assert.Equal(
            [
                "guestmark:database=sqlite:var/lib/rpm", "guestmark:source:name=bash", "guestmark:source:version=5.1.8-9.el9",
                "guestmark:repository:id=rhel-9-for-x86_64-baseos-rpms", "guestmark:repository:evidence=dnf-history",
                "guestmark:repository:cpe=cpe:/o:redhat:enterprise_linux:9::baseos", "guestmark:rpm:sha1Header=de4d03382b004ca56c50efcd6ba4950c96fb9493",
                "guestmark:rpm:sha256Header=4f70812524fc06338b75b9868530ccac4b47f0901a673881a0fa378a1e512cb5", "guestmark:rpm:keyId=199e2f91fd431d51",
                "guestmark:rpm:installTime=2106-02-07T06:28:15Z",
            ],
            bash.GetProperty("properties").EnumerateArray().Select(property => $"{property.GetProperty("name")}={property.GetProperty("value")}"));
        Assert.Equal("""[{"license":{"name":"GPLv2\u002B"}}]""", document.GetProperty("components")[1].GetProperty("licenses").GetRawText());
        Assert.Equal("""[{"license":{"id":"MIT"}}]""", document.GetProperty("components")[2].GetProperty("licenses").GetRawText());
    }

    [Fact]
    public void SPDX_says_what_the_inventory_knows()
    {
        var document = Json(SpdxOf(Full));

        Assert.Equal("https://spdx.org/spdxdocs/guestmark-3e671687-395b-41f5-a30f-a58921a69b79", document.GetProperty("documentNamespace").GetString());
        Assert.Equal("vm1", document.GetProperty("name").GetString());
        Assert.Equal("Incomplete: /var/lib/rpm/Packages.db: is cut off", document.GetProperty("comment").GetString());
        var os = document.GetProperty("packages")[0];
        Assert.Equal(["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*"], os.GetProperty("externalRefs").EnumerateArray().Select(reference => reference.GetProperty("referenceLocator").GetString()));
        var bash = document.GetProperty("packages")[1];
        Assert.Equal("GPL-3.0-or-later AND MIT", bash.GetProperty("licenseDeclared").GetString());
        Assert.Equal("found in sqlite:var/lib/rpm; built from bash-5.1.8-9.el9.src.rpm; from repository rhel-9-for-x86_64-baseos-rpms by dnf-history", bash.GetProperty("sourceInfo").GetString());
        Assert.Equal(PackageUrl.Of(Full.Packages[0], Full.Os), bash.GetProperty("externalRefs")[0].GetProperty("referenceLocator").GetString());
        var libc = document.GetProperty("packages")[2];
        Assert.Equal(("NOASSERTION", "The package says: GPLv2+"), (libc.GetProperty("licenseDeclared").GetString(), libc.GetProperty("licenseComments").GetString()));
        Assert.Equal(1 + Full.Packages.Count, document.GetProperty("relationships").GetArrayLength());
    }

    [Fact]
    public void A_guessed_repository_does_not_name_a_product()
    {
        var repository = Full.Packages[0].Repository! with { Evidence = RepositoryEvidence.BaseUrl };
        var inventory = Full with { Packages = [Full.Packages[0] with { Repository = repository }] };

        Assert.False(Json(CycloneDxOf(inventory)).GetProperty("metadata").GetProperty("component").TryGetProperty("evidence", out _));
    }

    [Fact]
    public void A_document_is_written_in_pieces()
    {
        var packages = Enumerable.Repeat(Full.Packages[0], 20_000).ToList();
        var inventory = new GuestInventory(Full.Os, packages, []);
        foreach (var write in new Action<Stream>[] { stream => CycloneDx.Write(inventory, Options, stream), stream => Spdx.Write(inventory, Options, stream), stream => InventoryJson.Write(inventory, stream) })
        {
            using var counting = new LargestWrite();
            write(counting);
            Assert.True(counting.Total > 5_000_000);
            Assert.InRange(counting.Largest, 1, 256 * 1024);
        }
    }

    sealed class LargestWrite : MemoryStream
    {
        public int Largest { get; private set; }

        public long Total { get; private set; }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Largest = Math.Max(Largest, buffer.Length);
            Total += buffer.Length;
        }
    }
}
