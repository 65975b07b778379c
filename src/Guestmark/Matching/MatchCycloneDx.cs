using System.Globalization;
using System.Text.Json;
using Guestmark.Inventory.Sbom;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>The packages as a CycloneDX 1.6 document, with what they are affected by as <c>vulnerabilities</c>.</summary>
/// <remarks>
/// One for each CVE of an advisory with the same status and decision, or for the advisory when it names no CVE; <c>affects</c> lists the
/// packages. What is the operator's decision is <c>analysis</c>, in CycloneDX' words.
/// </remarks>
static class MatchCycloneDx
{
    const int FlushBytes = 64 * 1024;

    public static void Write(MatchShown shown, Stream output)
    {
        var report = shown.Report;
        var options = new SbomOptions
        {
            SerialNumber = Guid.NewGuid(),
            Created = report.Now,
            HostName = report.Input.IsThisMachine ? Environment.MachineName : null,
            ToolVersion = MatchSarif.Version,
        };
        CycloneDx.Write(report.Input.Inventory, options, output, (json, references) => WriteVulnerabilities(json, shown, references));
        output.Write("\n"u8);
    }

    static void WriteVulnerabilities(Utf8JsonWriter json, MatchShown shown, IReadOnlyList<string> references)
    {
        var groups = new Dictionary<(string Id, string Feed, string Advisory, ProductStatus Status, string? Decision), List<MatchedFinding>>();
        foreach (var row in shown.Findings)
        {
            foreach (var id in row.Finding.Cves.Count > 0 ? row.Finding.Cves : [row.Finding.AdvisoryId])
            {
                var key = (id, row.Finding.Feed, row.Finding.AdvisoryId, row.Status, row.Decision?.Id);
                if (!groups.TryGetValue(key, out var rows)) groups[key] = rows = [];
                rows.Add(row);
            }
        }

        json.WriteStartArray("vulnerabilities");
        foreach (var (key, rows) in groups)
        {
            WriteVulnerability(json, key.Id, rows, shown.Report, references);
            if (json.BytesPending > FlushBytes) json.Flush();
        }

        json.WriteEndArray();
    }

    static void WriteVulnerability(Utf8JsonWriter json, string id, List<MatchedFinding> rows, MatchReport report, IReadOnlyList<string> references)
    {
        var row = rows[0];
        var finding = row.Finding;
        var evidence = finding.Evidence;
        json.WriteStartObject();
        json.WriteString("id", id);
        WriteSource(json, finding.Feed, evidence.Url);
        if (id != finding.AdvisoryId)
        {
            json.WriteStartArray("references");
            json.WriteStartObject();
            json.WriteString("id", finding.AdvisoryId);
            WriteSource(json, finding.Feed, evidence.Url);
            json.WriteEndObject();
            json.WriteEndArray();
        }

        json.WriteStartArray("ratings");
        json.WriteStartObject();
        if (finding.CvssScore is { } score) json.WriteNumber("score", score);
        json.WriteString("severity", row.Severity switch
        {
            Severity.Critical => "critical",
            Severity.Important => "high",
            Severity.Moderate => "medium",
            Severity.Low => "low",
            _ => "unknown",
        });
        if (finding.CvssVector is { } vector)
        {
            json.WriteString("method", MethodOf(vector));
            json.WriteString("vector", vector);
        }

        json.WriteEndObject();
        if (report.Database.PredictionOf(id) is { } prediction)
        {
            json.WriteStartObject();
            json.WriteStartObject("source");
            json.WriteString("name", "EPSS");
            json.WriteString("url", "https://www.first.org/epss/");
            json.WriteEndObject();
            json.WriteNumber("score", Math.Round((double)prediction.Score, 5));
            json.WriteString("method", "other");
            json.WriteEndObject();
        }

        json.WriteEndArray();
        if (finding.Summary.Length > 0) json.WriteString("description", finding.Summary);
        if (finding.Remark is { } remark) json.WriteString("workaround", remark);
        if (finding.FixedVersion is not null) json.WriteString("recommendation", $"Update: {string.Join(", ", rows.Select(fix => $"{fix.Finding.Package.Name} to {fix.Finding.FixedVersion}").Distinct(StringComparer.Ordinal))}");
        if (finding.ErratumUrl is { } erratum)
        {
            json.WriteStartArray("advisories");
            json.WriteStartObject();
            if (finding.Erratum is { } title) json.WriteString("title", title);
            json.WriteString("url", erratum);
            json.WriteEndObject();
            json.WriteEndArray();
        }

        if (evidence.Published is { } published) json.WriteString("published", ImportText.Time(published));
        if (evidence.Modified is { } modified) json.WriteString("updated", ImportText.Time(modified));
        if (row.Decision is { } decision) WriteAnalysis(json, decision);
        json.WriteStartArray("affects");
        foreach (var package in rows.Select(affected => affected.PackageIndex).Distinct())
        {
            json.WriteStartObject();
            json.WriteString("ref", references[package]);
            json.WriteStartArray("versions");
            json.WriteStartObject();
            json.WriteString("version", report.Input.Inventory.Packages[package].FullVersion);
            json.WriteString("status", row.Status switch
            {
                ProductStatus.NotAffected => "unaffected",
                ProductStatus.UnderInvestigation => "unknown",
                _ => "affected",
            });
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("properties");
        WriteProperty(json, "guestmark:status", MatchWords.Of(row.Status));
        WriteProperty(json, "guestmark:product", evidence.Ecosystem);
        WriteProperty(json, "guestmark:range", evidence.Range);
        if (report.Database.KnownExploitedOf(id) is { } exploited) WriteProperty(json, "guestmark:exploited", exploited.Added.ToString("O", CultureInfo.InvariantCulture));
        if (row.Decision is { } said)
        {
            WriteProperty(json, "guestmark:decision:id", said.Id);
            WriteProperty(json, "guestmark:decision:author", said.Author);
            foreach (var scope in said.Scope) WriteProperty(json, "guestmark:scope", scope);
            WriteProperty(json, "guestmark:expires", said.Expires is { } expires ? ImportText.Time(expires) : "");
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    static void WriteAnalysis(Utf8JsonWriter json, VexDecision decision)
    {
        json.WriteStartObject("analysis");
        json.WriteString("state", decision.Status switch
        {
            DecisionStatus.NotAffected => "not_affected",
            DecisionStatus.Fixed => "resolved",
            DecisionStatus.Affected => "exploitable",
            _ => "in_triage",
        });
        var justification = decision.Justification switch
        {
            "component_not_present" or "vulnerable_code_not_present" => "code_not_present",
            "vulnerable_code_not_in_execute_path" => "code_not_reachable",
            "vulnerable_code_cannot_be_controlled_by_adversary" => "requires_environment",
            "inline_mitigations_already_exist" => "protected_by_mitigating_control",
            _ => null,
        };
        if (justification is not null) json.WriteString("justification", justification);
        if (decision.Reason.Length > 0) json.WriteString("detail", decision.Reason);
        if (decision.Decided != default) json.WriteString("lastUpdated", ImportText.Time(decision.Decided));
        json.WriteEndObject();
    }

    static string MethodOf(string vector) =>
        vector.StartsWith("CVSS:4.", StringComparison.Ordinal) ? "CVSSv4"
        : vector.StartsWith("CVSS:3.1", StringComparison.Ordinal) ? "CVSSv31"
        : vector.StartsWith("CVSS:3.0", StringComparison.Ordinal) ? "CVSSv3"
        : vector.StartsWith("AV:", StringComparison.Ordinal) ? "CVSSv2"
        : "other";

    static void WriteSource(Utf8JsonWriter json, string feed, string? url)
    {
        json.WriteStartObject("source");
        json.WriteString("name", feed);
        if (url is not null && Uri.TryCreate(url, UriKind.Absolute, out var uri)) json.WriteString("url", uri.AbsoluteUri);
        json.WriteEndObject();
    }

    static void WriteProperty(Utf8JsonWriter json, string name, string value)
    {
        if (value.Length == 0) return;
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("value", value);
        json.WriteEndObject();
    }
}
