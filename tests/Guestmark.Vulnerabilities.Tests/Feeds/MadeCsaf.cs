using System.Text.Json.Nodes;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>CSAF documents made by tests.</summary>
static class MadeCsaf
{
    /// <summary>A VEX document in the shape of Red Hat's old feed: one package of RHEL 9 that has a fix.</summary>
    public static string Vex(string cve, string modified, string version = "1-1.el9", string host = "www.redhat.com") => new JsonObject
    {
        ["document"] = new JsonObject
        {
            ["category"] = "csaf_vex",
            ["csaf_version"] = "2.0",
            ["publisher"] = new JsonObject { ["category"] = "vendor", ["name"] = "P", ["namespace"] = $"https://{host}" },
            ["title"] = $"t {cve}",
            ["tracking"] = new JsonObject
            {
                ["current_release_date"] = modified,
                ["generator"] = new JsonObject { ["engine"] = new JsonObject { ["name"] = "Red Hat SDEngine", ["version"] = "4.2.1" } },
                ["id"] = cve,
                ["initial_release_date"] = "2024-01-01T00:00:00Z",
                ["status"] = "final",
                ["version"] = "1",
            },
        },
        ["product_tree"] = new JsonObject
        {
            ["branches"] = new JsonArray(new JsonObject
            {
                ["category"] = "vendor",
                ["name"] = "Red Hat",
                ["branches"] = new JsonArray(
                    new JsonObject
                    {
                        ["category"] = "product_name",
                        ["name"] = "Red Hat Enterprise Linux BaseOS (v. 9)",
                        ["product"] = new JsonObject
                        {
                            ["name"] = "Red Hat Enterprise Linux BaseOS (v. 9)",
                            ["product_id"] = "BaseOS-9",
                            ["product_identification_helper"] = new JsonObject { ["cpe"] = "cpe:/o:redhat:enterprise_linux:9::baseos" },
                        },
                    },
                    new JsonObject
                    {
                        ["category"] = "product_version",
                        ["name"] = $"p-0:{version}.x86_64",
                        ["product"] = new JsonObject
                        {
                            ["name"] = $"p-0:{version}.x86_64",
                            ["product_id"] = $"p-0:{version}.x86_64",
                            ["product_identification_helper"] = new JsonObject { ["purl"] = $"pkg:rpm/redhat/p@{version}?arch=x86_64" },
                        },
                    }),
            }),
            ["relationships"] = new JsonArray(new JsonObject
            {
                ["category"] = "default_component_of",
                ["full_product_name"] = new JsonObject { ["name"] = "p as a component", ["product_id"] = $"BaseOS-9:p-0:{version}.x86_64" },
                ["product_reference"] = $"p-0:{version}.x86_64",
                ["relates_to_product_reference"] = "BaseOS-9",
            }),
        },
        ["vulnerabilities"] = new JsonArray(new JsonObject
        {
            ["cve"] = cve,
            ["product_status"] = new JsonObject { ["fixed"] = new JsonArray($"BaseOS-9:p-0:{version}.x86_64") },
        }),
    }.ToJsonString();
}
