using System.Text;
using System.Text.Json.Nodes;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>OSV documents made by tests, and their import.</summary>
static class Osv
{
    public static JsonObject Document(string id, string ecosystem, string package, params ReadOnlySpan<(string Event, string Version)> events)
    {
        var list = new JsonArray();
        foreach (var (name, version) in events) list.Add(new JsonObject { [name] = version });
        return new JsonObject
        {
            ["schema_version"] = "1.6.0",
            ["id"] = id,
            ["modified"] = "2024-01-02T03:04:05Z",
            ["published"] = "2024-01-01T00:00:00Z",
            ["related"] = new JsonArray("CVE-2024-0001"),
            ["summary"] = "Important: test security update",
            ["affected"] = new JsonArray(new JsonObject
            {
                ["package"] = new JsonObject { ["ecosystem"] = ecosystem, ["name"] = package },
                ["ranges"] = new JsonArray(new JsonObject { ["type"] = "ECOSYSTEM", ["events"] = list }),
            }),
        };
    }

    public static JsonObject With(this JsonObject document, string name, JsonNode? value)
    {
        document[name] = value;
        return document;
    }

    /// <summary>A database of the documents, which went through the importer.</summary>
    public static AdvisoryDatabase Database(params ReadOnlySpan<JsonObject> documents) => Builder(documents).Build();

    public static AdvisoryDatabaseBuilder Builder(params ReadOnlySpan<JsonObject> documents)
    {
        var builder = new AdvisoryDatabaseBuilder();
        var import = builder.Import("osv/test", FeedName.Osv, "test", ImportMode.Replace);
        for (var i = 0; i < documents.Length; i++) OsvDocument.Read($"{i}.json", Bytes(documents[i]), import);
        Assert.Empty(import.SkippedParts);
        import.Complete("", DateTimeOffset.UnixEpoch);
        return builder;
    }

    /// <summary>What is read of one document.</summary>
    public static FeedRecord Read(JsonNode document) => Read(Bytes(document));

    public static FeedRecord Read(ReadOnlyMemory<byte> document)
    {
        var record = new FeedRecord();
        OsvDocument.Read("x.json", document, record);
        return record;
    }

    static byte[] Bytes(JsonNode document) => Encoding.UTF8.GetBytes(document.ToJsonString());
}
