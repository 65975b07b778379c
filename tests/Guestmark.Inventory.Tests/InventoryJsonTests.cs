using System.Text;
using System.Text.Json;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.Inventory.Tests.Sbom;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests;

[Collection(nameof(RealDatabases))]
public sealed class InventoryJsonTests(RealDatabases databases)
{
    static byte[] Document(GuestInventory inventory) => Schemas.Bytes(stream => InventoryJson.Write(inventory, stream));

    [ToolFact("node")]
    public void Documents_are_valid_by_the_schema() =>
        Assert.Equal("", Schemas.Validate(Schemas.Inventory, Document(SampleInventories.Full), Document(SampleInventories.Empty)));

    [TestDataFact]
    public void Real_documents_are_valid_by_the_schema()
    {
        using var tree = new GuestTree().File("var/lib/dpkg/status", File.ReadAllBytes(Repository.TestDataPath("dpkg/texlive.status")));
        var everything = InventoryScanner.Scan(new InventoryScanOptions { HostPath = databases.Root("centos8-modularitylabel"), Files = true, Dependencies = true }, CancellationToken.None);

        Assert.Equal("", Schemas.Validate(Schemas.Inventory, SampleInventories.Real(databases).Append(everything).Append(tree.Scan()).Select(Document)));
    }

    [ToolFact("node")]
    public void What_the_schema_does_not_name_is_refused()
    {
        var text = Encoding.UTF8.GetString(Document(SampleInventories.Full));
        Assert.Contains("must NOT have additional properties", Schemas.Validate(Schemas.Inventory, Encoding.UTF8.GetBytes(text.Replace("\"keyId\"", "\"extra\":1,\"keyId\""))));
    }

    [Fact]
    public void The_schema_names_exactly_what_the_document_has()
    {
        using var document = JsonDocument.Parse(Document(SampleInventories.Full));
        using var schema = JsonDocument.Parse(File.ReadAllText(Schemas.Inventory));
        var definitions = schema.RootElement.GetProperty("$defs");

        AssertMatches(document.RootElement, schema.RootElement);

        void AssertMatches(JsonElement value, JsonElement schema)
        {
            if (schema.TryGetProperty("$ref", out var reference)) schema = definitions.GetProperty(reference.GetString()!.Split('/')[^1]);
            if (value.ValueKind == JsonValueKind.Array)
            {
                Assert.NotEqual(0, value.GetArrayLength());
                foreach (var item in value.EnumerateArray()) AssertMatches(item, schema.GetProperty("items"));
                return;
            }

            if (value.ValueKind != JsonValueKind.Object) return;
            var names = value.EnumerateObject().Select(property => property.Name).ToList();
            Assert.Equal(names, schema.GetProperty("properties").EnumerateObject().Select(property => property.Name));
            Assert.Equal(names, schema.GetProperty("required").EnumerateArray().Select(name => name.GetString()!));
            Assert.False(schema.GetProperty("additionalProperties").GetBoolean());
            foreach (var property in value.EnumerateObject()) AssertMatches(property.Value, schema.GetProperty("properties").GetProperty(property.Name));
        }
    }

    [Fact]
    public void A_document_has_the_values_of_the_inventory()
    {
        var inventory = SampleInventories.Full with { Packages = [SampleInventories.Full.Packages[0], SampleInventories.Full.Packages[3]] };

        Assert.Equal(
            """
            {"os":{"id":"rhel","versionId":"9.4","prettyName":"Red Hat Enterprise Linux 9.4 (Plow)"},"host":{"runningKernel":"5.14.0-427.el9.x86_64","installedKernels":["5.14.0-427.el9.x86_64"],"bootId":"0f0b2a52-8b5c-4d43-9d0c-1d8f6e8b2a11","arch":"x86_64","activation":"active","dnfMetadata":"available"},"packages":[
            {"name":"bash","epoch":1,"version":"5.1.8","release":"9.el9","arch":"x86_64","sourceRpm":"bash-5.1.8-9.el9.src.rpm","modularityLabel":"shells:rhel9:9040020:abc","manager":"rpm","sourceName":"bash","sourceVersion":"5.1.8-9.el9","database":"sqlite:var/lib/rpm","license":"GPL-3.0-or-later AND MIT","vendor":"Red Hat, Inc.",
            "repository":{"id":"rhel-9-for-x86_64-baseos-rpms","evidence":"dnf-history","isGuess":false,"cpes":["cpe:/o:redhat:enterprise_linux:9::baseos"],"whyNoCpe":null},
            "rpm":{"number":4294967295,"summary":"The \u0022GNU\u0022 shell \u003C\u0001\u003E\n\uFFFD","group":"System","installTime":4294967295,"buildTime":0,"size":18446744073709551615,"sigMd5":"f7bd337ae2962162ac73a509ed7129f0","sha1Header":"de4d03382b004ca56c50efcd6ba4950c96fb9493","sha256Header":"4f70812524fc06338b75b9868530ccac4b47f0901a673881a0fa378a1e512cb5","payloadDigestAlgorithm":8,"payloadDigest":"440a643f8fc5b09c04e1a86eedf45e7c449cdca57e61bf78c95a8f8748679679",
            "rsaHeader":{"publicKeyAlgorithm":1,"hashAlgorithm":8,"created":1643274076,"keyId":"199e2f91fd431d51"},"dsaHeader":{"publicKeyAlgorithm":22,"hashAlgorithm":8,"created":null,"keyId":""},"packageSignature":{"publicKeyAlgorithm":1,"hashAlgorithm":8,"created":1643274076,"keyId":"199e2f91fd431d51"},"openPgp":[{"publicKeyAlgorithm":1,"hashAlgorithm":8,"created":1643274076,"keyId":"199e2f91fd431d51"}],
            "sourceNevr":"bash-5.1.8-9.el9","upstreamReleases":"https://example.com","installTransaction":7,"fileDigestAlgorithm":8,"provides":[{"name":"bash","version":"5.1.8-9.el9"},{"name":"/bin/sh","version":null}],"requires":["glibc"]},"files":[{"path":"/usr/bin/bash","digest":"ab","flags":0},{"path":"/etc/skel","digest":null,"flags":1}]},
            {"name":"Zope_Interface","epoch":null,"version":"5.4.0","release":"","arch":"","sourceRpm":null,"modularityLabel":null,"manager":"pypi","sourceName":null,"sourceVersion":null,"database":"python:usr/lib/python3","license":null,"vendor":null,"repository":null,"rpm":null,"files":null}
            ],"problems":[{"path":"/var/lib/rpm/Packages.db","message":"is cut off"}]}
            """.ReplaceLineEndings(""),
            Encoding.UTF8.GetString(Document(inventory)));
    }
}
