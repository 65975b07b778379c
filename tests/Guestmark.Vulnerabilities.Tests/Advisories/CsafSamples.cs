using System.Text;
using System.Text.Json.Nodes;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>What a CSAF document gave.</summary>
sealed class CsafResult : IFeedSink
{
    public List<Advisory> Advisories { get; } = [];

    public List<(string Feed, string Id, DateTimeOffset? Modified)> Withdrawn { get; } = [];

    public List<(string Path, string Reason)> Skipped { get; } = [];

    public SortedDictionary<string, int> LeftOut { get; } = new(StringComparer.Ordinal);

    public Advisory Advisory => Assert.Single(Advisories);

    public IReadOnlyList<PackageStatement> Statements => Advisory.Statements;

    public static CsafResult Of(string json) => Of(Encoding.UTF8.GetBytes(json));

    public static CsafResult Of(ReadOnlyMemory<byte> json)
    {
        var result = new CsafResult();
        CsafDocument.Read("test.json", json, result);
        return result;
    }

    public static CsafResult OfFile(string path) => Of(File.ReadAllBytes(path));

    public void Add(Advisory advisory) => Advisories.Add(advisory);

    public void Withdraw(string feed, string id, DateTimeOffset? modified) => Withdrawn.Add((feed, id, modified));

    public void Add(ExploitPrediction prediction) => throw new NotSupportedException();

    public void Add(KnownExploited entry) => throw new NotSupportedException();

    public void Add(VexDecision decision) => throw new NotSupportedException();

    public void Skip(string document, string path, string reason)
    {
        Assert.Equal("test.json", document);
        Skipped.Add((path, reason));
    }

    public void LeaveOut(string what) => LeftOut[what] = LeftOut.GetValueOrDefault(what) + 1;
}

/// <summary>Small CSAF documents in the shape of Red Hat's and SUSE's.</summary>
static class CsafSamples
{
    public static readonly string Rhel9 = Product("R9", "cpe:/o:redhat:enterprise_linux:9::baseos");

    /// <summary>A branch with a product.</summary>
    public static string Product(string id, string cpe, string? name = null) =>
        $$$$"""
        {"category":"product_name","name":"{{{{id}}}}",
         "product":{"name":"{{{{name ?? id}}}}","product_id":"{{{{id}}}}","product_identification_helper":{"cpe":"{{{{cpe}}}}"}}}
        """;

    /// <summary>A branch with a package.</summary>
    public static string Package(string id, string purl, string category = "product_version", string? name = null) =>
        $$$$"""
        {"category":"{{{{category}}}}","name":"{{{{name ?? id}}}}",
         "product":{"name":"{{{{id}}}}","product_id":"{{{{id}}}}","product_identification_helper":{"purl":"{{{{purl}}}}"}}}
        """;

    /// <summary>A header, a product tree and vulnerabilities. Each is JSON.</summary>
    public static string Document(string tree, string vulnerabilities, string? header = null) =>
        $$"""{"document":{{header ?? Header()}},"product_tree":{{tree}},"vulnerabilities":{{vulnerabilities}}}""";

    public static string Header(
        string id = "CVE-2024-1",
        string category = "csaf_vex",
        string publisher = "https://www.redhat.com",
        string version = "2.0",
        string status = "final",
        string more = "") =>
        $$"""
        {"category":"{{category}}","csaf_version":"{{version}}","title":"a title","publisher":{"namespace":"{{publisher}}"},{{more}}
        "tracking":{"id":"{{id}}","status":"{{status}}",
         "initial_release_date":"2024-01-01T00:00:00+00:00","current_release_date":"2024-02-03T04:05:06+00:00"} }
        """;

    /// <summary>RHEL 9 and packages in it, whose product ids are <c>R9:</c> and their names in the tree.</summary>
    public static string Tree(params ReadOnlySpan<(string Id, string Purl)> packages)
    {
        var branches = new StringBuilder(Rhel9);
        var relationships = new StringBuilder();
        foreach (var (id, purl) in packages)
        {
            branches.Append(',').Append(Package(id, purl));
            if (relationships.Length > 0) relationships.Append(',');
            relationships.Append(Relationship($"R9:{id}", id, "R9"));
        }

        return $$"""{"branches":[{"category":"vendor","name":"Red Hat","branches":[{{branches}}]}],"relationships":[{{relationships}}]}""";
    }

    /// <summary>Gives every branch and relationship a number of its own, so that none is like another.</summary>
    public static void SetApart(JsonNode document)
    {
        var number = 0;
        if (document is JsonObject { } root && root["product_tree"] is JsonObject tree) Walk(tree);

        void Walk(JsonObject parent)
        {
            foreach (var list in new[] { parent["branches"], parent["relationships"] })
            {
                foreach (var entry in (list as JsonArray ?? []).OfType<JsonObject>())
                {
                    entry["number"] = number++;
                    Walk(entry);
                }
            }
        }
    }

    public static string Relationship(string id, string component, string platform) =>
        $$$"""
        {"category":"default_component_of","full_product_name":{"name":"x","product_id":"{{{id}}}"},
         "product_reference":"{{{component}}}","relates_to_product_reference":"{{{platform}}}"}
        """;

    /// <summary>One package in RHEL 9 and what a vulnerability says of it, whose product id is <c>R9:p</c>.</summary>
    public static CsafResult One(string purl, string vulnerability) =>
        CsafResult.Of(Document(Tree(("p", purl)), $$"""[{"cve":"CVE-2024-1",{{vulnerability}}}]"""));
}
