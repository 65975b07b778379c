using System.Text;
using System.Text.Json;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests;

public sealed class InventoryJsonTests
{
    static readonly GuestInventory Inventory = new(
        new OsRelease("rhel", "9", ""),
        [
            new Package
            {
                Manager = PackageManager.Rpm,
                Name = "bash",
                Epoch = 1,
                Version = "1",
                Release = "2",
                Architecture = "x86_64",
                SourceRpm = "bash-1-2.src.rpm",
                SourceName = "bash",
                SourceVersion = "1-2",
                Database = "sqlite:var/lib/rpm",
            },
        ],
        [new InventoryProblem("/", "problem")]);

    [Fact]
    public void The_schema_names_exactly_what_the_document_has()
    {
        using var output = new MemoryStream();
        InventoryJson.Write(Inventory, output);
        using var document = JsonDocument.Parse(output.ToArray());
        using var schema = JsonDocument.Parse(File.ReadAllText(Path.Combine(Repository.Root, "docs/reference/inventory.schema.json")));

        AssertMatches(document.RootElement, schema.RootElement);

        static void AssertMatches(JsonElement value, JsonElement schema)
        {
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
        using var output = new MemoryStream();
        InventoryJson.Write(Inventory, output);

        Assert.Equal(
            """{"os":{"id":"rhel","versionId":"9","prettyName":""},"packages":[{"name":"bash","epoch":1,"version":"1","release":"2","arch":"x86_64","sourceRpm":"bash-1-2.src.rpm","modularityLabel":null,"manager":"rpm","sourceName":"bash","sourceVersion":"1-2","database":"sqlite:var/lib/rpm"}],"problems":[{"path":"/","message":"problem"}]}""",
            Encoding.UTF8.GetString(output.ToArray()));
    }
}
