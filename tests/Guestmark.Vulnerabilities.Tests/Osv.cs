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

    /// <summary>A database of the documents, which went through files and the importer.</summary>
    public static AdvisoryDatabase Database(params ReadOnlySpan<JsonObject> documents) => Builder(documents).Build();

    public static AdvisoryDatabaseBuilder Builder(params ReadOnlySpan<JsonObject> documents)
    {
        using var folder = new TestKit.TemporaryFolder();
        for (var i = 0; i < documents.Length; i++) File.WriteAllText(folder.File($"{i}.json"), documents[i].ToJsonString());
        var builder = new AdvisoryDatabaseBuilder();
        OsvFeed.Import(folder.Path, builder, progress: null, CancellationToken.None);
        return builder;
    }
}
