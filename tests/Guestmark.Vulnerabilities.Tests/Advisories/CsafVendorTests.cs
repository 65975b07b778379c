using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Documents of Red Hat, compared with what others make of them: claircore, OSV and Red Hat's own data per CVE.</summary>
public class CsafVendorTests
{
    /// <summary>
    /// claircore's counts, by the rule that gives them: fixed for each CPE, module, name and version; known_affected for each product; known_not_affected for
    /// each CPE, module and name, without sources. Each of its rows is among our statements, and each of ours among its rows, but those that docs/reference/csaf.md names.
    /// </summary>
    [TestDataTheory]
    [InlineData("vex/legacy/cve-2023-38545.json", 265, 0)]
    [InlineData("vex/legacy/cve-2022-38752.json", 1494, 8)]
    [InlineData("vex/legacy/cve-2024-24786-bad-rpmmod.json", 2, 0)]
    public void Statements_are_the_rows_of_claircore(string path, int expectedRows, int expectedImages)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(Repository.TestDataPath(path)));
        var rows = ClaircoreRows(document.RootElement);
        Assert.Equal(expectedRows, rows.Count);
        // Container images have no packages of a machine's.
        Assert.Equal(expectedImages, rows.Count(row => row.Type == "oci"));

        var statements = CsafResult.OfFile(Repository.TestDataPath(path)).Statements;
        var ours = statements
            .Select(s => (s.Product, s.Name, Module: s.Modules.Count == 0 ? "" : s.Modules[0], Kind: KindOf(s.Status), Version: s.Status == ProductStatus.Fixed ? s.Intervals[0].End! : ""))
            .ToHashSet();
        var theirs = rows.Where(row => row.Type == "rpm").Select(row => (Cpe.ProductOf(row.Cpe)!, row.Name, row.Module, row.Kind, row.Version)).ToHashSet();

        Assert.Empty(theirs.Except(ours));
        var sources = statements.Where(s => s.Naming == PackageNaming.Source && s.Status == ProductStatus.NotAffected).Select(s => s.Name).ToHashSet();
        // claircore reads no component without a package URL, such as snakeyaml in RHEL 7.
        var bare = statements.Where(s => s.Naming == PackageNaming.Either && s.Status != ProductStatus.Fixed).Select(s => s.Name).ToHashSet();
        Assert.All(
            ours.Except(theirs),
            row => Assert.True(
                (row.Kind == "known_not_affected" && sources.Contains(row.Name)) || row.Name == "firefox-flatpak" || bare.Contains(row.Name),
                $"{row} is no row of claircore"));
    }

    [TestDataTheory]
    [InlineData("RHSA-2024_4546", 9)]
    [InlineData("RHSA-2024_6220", 228)]
    public void Fixes_are_those_of_OSV(string id, int expectedPackages)
    {
        using var osv = JsonDocument.Parse(File.ReadAllBytes(Repository.TestDataPath($"csaf/osv-schema/OSV/{id}.json")));
        var expected = osv.RootElement.GetProperty("affected").EnumerateArray()
            .Select(affected => (
                Ecosystem: affected.GetProperty("package").GetProperty("ecosystem").GetString()!,
                Name: affected.GetProperty("package").GetProperty("name").GetString()!,
                Fixed: WithoutEpoch0(affected.GetProperty("ranges")[0].GetProperty("events")[1].GetProperty("fixed").GetString()!)))
            .ToHashSet();
        Assert.Equal(expectedPackages, expected.Count);

        var advisory = CsafResult.OfFile(Repository.TestDataPath($"csaf/osv-schema/CSAF/{id.ToLowerInvariant()}.json")).Advisory;

        // The ecosystem of OSV is the CPE without its first part.
        Assert.Equal(expected, advisory.Statements.Select(s => ($"Red Hat:{s.Cpe!["cpe:/a:redhat:".Length..]}", s.Name, s.Intervals[0].End!)).ToHashSet());
        Assert.All(advisory.Statements, s => Assert.Equal(s.Product, Cpe.ProductOf(s.Cpe)));
        Assert.Equal(osv.RootElement.GetProperty("id").GetString(), advisory.Id);
        Assert.Equal(osv.RootElement.GetProperty("upstream").EnumerateArray().Select(cve => cve.GetString()!), advisory.Cves);
        Assert.Equal(osv.RootElement.GetProperty("summary").GetString(), advisory.Summary);
        Assert.Equal(osv.RootElement.GetProperty("severity")[0].GetProperty("score").GetString(), advisory.CvssVector);
    }

    /// <summary>Red Hat's own record of a CVE names the build that each advisory fixed it with.</summary>
    [TestDataTheory]
    [InlineData("cve-2024-8088", 4)]
    [InlineData("cve-2021-25220", 1)]
    public void Fixes_are_those_of_Red_Hats_record_of_the_CVE(string cve, int expectedCompared)
    {
        using var record = JsonDocument.Parse(File.ReadAllBytes(Repository.TestDataPath($"csaf/vunnel/csaf/hydra/{cve}.json")));
        var compared = 0;
        foreach (var release in record.RootElement.GetProperty("affected_release").EnumerateArray())
        {
            if (DocumentOf(release.GetProperty("advisory").GetString()!) is not { } path) continue;
            // python3.9-0:3.9.18-3.el9_4.5
            var build = release.GetProperty("package").GetString()!;
            var colon = build.IndexOf(':', StringComparison.Ordinal);
            var dash = build.LastIndexOf('-', colon);
            var statements = CsafResult.OfFile(path).Statements.Where(s => s.Product == Cpe.ProductOf(release.GetProperty("cpe").GetString()) && s.Name == build[..dash]);

            Assert.Equal(WithoutEpoch0(build[(dash + 1)..]), Assert.Single(statements.Where(s => s.Status == ProductStatus.Fixed).Select(s => s.Intervals[0].End).Distinct()));
            compared++;
        }

        Assert.Equal(expectedCompared, compared);
    }

    [TestDataTheory]
    [InlineData("enterprise_linux:8", "python3 Either Fixed ..3.6.8-67.el8_10 RHSA-2024:6975")]
    [InlineData("enterprise_linux:8", "python39:3.9 Module Fixed ..3.9-8100020240826142629.d47b87a4 RHSA-2024:5962")]
    [InlineData("enterprise_linux:8", "python2 Source WillNotFix all ")]
    [InlineData("rhel_eus:9.2", "python3.9 Source Fixed ..3.9.16-1.el9_2.8 RHSA-2024:6909")]
    // The build is a fix in RHEL 9.4, so that only those before it are affected in its EUS; in RHEL 9 itself the fix counts.
    [InlineData("rhel_eus:9.4", "python3.9 Source Affected ..3.9.18-3.el9_4.5 ")]
    [InlineData("rhel_eus:9.0", "python3.9 Source WillNotFix ..3.9.18-3.el9_4.5 ")]
    [InlineData("enterprise_linux:9", "python3.9 Source Fixed ..3.9.18-3.el9_4.5 RHSA-2024:6163")]
    [InlineData("enterprise_linux:10.0", "python3.12 Source Affected all ")]
    [InlineData("rhel_els:7", "python3 Source WillNotFix all ")]
    [InlineData("rhel_aus:8.2", "python3.12 Source NotAffected all ")]
    public void The_new_feed_is_read(string product, string expected)
    {
        var result = CsafResult.OfFile(Repository.TestDataPath("vex/new-feed/2024/CVE-2024-6923.json"));

        Assert.Contains(
            expected,
            result.Statements.Where(s => s.Product == $"Red Hat:{product}")
                .Select(s => $"{s.Name} {s.Naming} {s.Status} {(s.Intervals.Count == 0 ? "all" : $"..{s.Intervals[0].End}")} {s.Erratum}"));
        Assert.Empty(result.Skipped);
        Assert.DoesNotContain(result.Statements, s => s.Product == "Red Hat:enterprise_linux:9" && s.Status == ProductStatus.Affected);
    }

    [TestDataFact]
    public void No_document_of_Red_Hat_has_a_fault()
    {
        var files = new[] { "vex", "csaf" }.SelectMany(folder => Directory.EnumerateFiles(Repository.TestDataPath(folder), "*.json", SearchOption.AllDirectories))
            .Where(path => Path.GetFileName(path).StartsWith("cve-2", StringComparison.OrdinalIgnoreCase) || Path.GetFileName(path).StartsWith("rhsa-", StringComparison.Ordinal))
            .Where(path => !path.Contains("hydra", StringComparison.Ordinal) && !path.Contains("snapshots", StringComparison.Ordinal))
            .ToList();
        Assert.Equal(23, files.Count);
        Assert.All(files, path =>
        {
            var result = CsafResult.OfFile(path);
            Assert.Empty(result.Skipped);
            Assert.NotEmpty(result.Statements);
        });
    }

    [TestDataFact]
    public void Products_that_are_alike_say_the_same_as_each_read_on_its_own()
    {
        var documents = 0;
        foreach (var path in new[] { "vex", "csaf" }
            .SelectMany(folder => Directory.EnumerateFiles(Repository.TestDataPath(folder), "*.json", SearchOption.AllDirectories)))
        {
            var alike = CsafResult.OfFile(path);
            if (alike.Advisories.Count == 0) continue;
            var changed = JsonNode.Parse(File.ReadAllBytes(path))!;
            CsafSamples.SetApart(changed);

            var apart = CsafResult.Of(Encoding.UTF8.GetBytes(changed.ToJsonString()));

            Assert.Equal(apart.Advisories.Select(FeedRecord.Text), alike.Advisories.Select(FeedRecord.Text));
            Assert.Equal(apart.Skipped, alike.Skipped);
            Assert.Equal(apart.LeftOut, alike.LeftOut);
            documents++;
        }

        Assert.True(documents > 20, $"{documents} documents");
    }

    static string WithoutEpoch0(string version) => version.StartsWith("0:", StringComparison.Ordinal) ? version[2..] : version;

    static string? DocumentOf(string advisory) => Directory.EnumerateFiles(
        Repository.TestDataPath("csaf/vunnel/csaf"), $"{advisory.Replace(':', '_').ToLowerInvariant()}.json", SearchOption.AllDirectories).SingleOrDefault();

    static string KindOf(ProductStatus status) => status switch
    {
        ProductStatus.Fixed => "fixed",
        ProductStatus.NotAffected => "known_not_affected",
        _ => "known_affected",
    };

    sealed record ClaircoreRow(string Kind, string Type, string Cpe, string Module, string Name, string Version, string Product);

    // A second reader of CSAF, as simple as can be, and only for what these documents have: relationships one deep.
    static HashSet<ClaircoreRow> ClaircoreRows(JsonElement root)
    {
        var helpers = new Dictionary<string, JsonElement>();
        foreach (var branch in root.GetProperty("product_tree").GetProperty("branches").EnumerateArray()) Collect(branch);
        var relationships = root.GetProperty("product_tree").GetProperty("relationships").EnumerateArray().ToDictionary(
            relationship => relationship.GetProperty("full_product_name").GetProperty("product_id").GetString()!,
            relationship => (Package: relationship.GetProperty("product_reference").GetString()!, Product: relationship.GetProperty("relates_to_product_reference").GetString()!));

        var rows = new HashSet<ClaircoreRow>();
        foreach (var status in root.GetProperty("vulnerabilities")[0].GetProperty("product_status").EnumerateObject())
        {
            foreach (var id in status.Value.EnumerateArray().Select(id => id.GetString()!))
            {
                if (!relationships.TryGetValue(id, out var ends) || !helpers[ends.Package].TryGetProperty("purl", out var purl)) continue;
                var url = new Uri(purl.GetString()!);
                var qualifiers = url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
                var parts = url.AbsolutePath.Split('/', 2);
                var path = parts[1].Split('@');
                var module = qualifiers.GetValueOrDefault("rpmmod", "");
                // It drops what names a module that is none.
                if (module.Length > 0 && !module.Contains(':', StringComparison.Ordinal)) continue;
                module = string.Join(':', module.Split(':').Take(2));
                var version = status.Name != "fixed" ? ""
                    : parts[0] == "oci" ? qualifiers["tag"]
                    : (qualifiers.TryGetValue("epoch", out var epoch) ? $"{epoch}:" : "") + path[1];
                if (status.Name == "known_not_affected" && qualifiers.GetValueOrDefault("arch") == "src") continue;
                rows.Add(new ClaircoreRow(
                    status.Name,
                    parts[0],
                    helpers[ends.Product].GetProperty("cpe").GetString()!,
                    module,
                    Uri.UnescapeDataString(parts[0] == "rpm" ? path[0]["redhat/".Length..] : path[0]),
                    Uri.UnescapeDataString(version),
                    status.Name == "known_affected" ? id : ""));
            }
        }

        return rows;

        void Collect(JsonElement branch)
        {
            if (branch.TryGetProperty("product", out var product))
                helpers[product.GetProperty("product_id").GetString()!] = product.TryGetProperty("product_identification_helper", out var helper) ? helper : product;
            if (!branch.TryGetProperty("branches", out var branches)) return;
            foreach (var child in branches.EnumerateArray()) Collect(child);
        }
    }
}
