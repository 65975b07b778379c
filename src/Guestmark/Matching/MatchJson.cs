using System.Text.Encodings.Web;
using System.Text.Json;
using Guestmark.Inventory;
using Guestmark.Inventory.Sbom;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>A match as one JSON document. Its schema is docs/reference/match.schema.json: keep the two in step.</summary>
/// <remarks>Every property is always there: what is unknown is null.</remarks>
static class MatchJson
{
    const int FlushBytes = 64 * 1024;

    static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Write(MatchShown shown, Stream output)
    {
        var report = shown.Report;
        var (input, inventory) = (report.Input, report.Input.Inventory);
        using (var json = new Utf8JsonWriter(output, Indented))
        {
            json.WriteStartObject();
            json.WriteNumber("schemaVersion", 1);
            json.WriteStartObject("input");
            json.WriteString("kind", input.Kind);
            json.WriteString("name", input.Name);
            json.WriteString("format", input.Format);
            json.WriteEndObject();
            InventoryJson.WriteOs(json, inventory.Os);
            WritePackages(json, report);
            WriteDatabase(json, report);
            WriteCounts(json, report);
            json.WriteStartArray("findings");
            foreach (var row in shown.Findings)
            {
                WriteFinding(json, row, inventory.Os);
                if (json.BytesPending > FlushBytes) json.Flush();
            }

            json.WriteEndArray();
            WriteTexts(json, "hints", report.Hints);
            InventoryJson.WriteProblems(json, inventory.Problems);
            json.WriteEndObject();
        }

        output.Write("\n"u8);
    }

    static void WritePackages(Utf8JsonWriter json, MatchReport report)
    {
        json.WriteStartObject("packages");
        json.WriteNumber("total", report.Input.Inventory.Packages.Count);
        json.WriteNumber("compared", report.Summary.Matched);
        json.WriteStartObject("notCompared");
        foreach (var reason in MatchWords.Reasons) json.WriteNumber(MatchWords.Of(reason), report.Summary.Count(reason));
        json.WriteEndObject();
        json.WriteStartArray("leftOut");
        foreach (var row in report.Input.LeftOut)
        {
            json.WriteStartObject();
            json.WriteString("reason", row.Reason);
            json.WriteNumber("count", row.Count);
            WriteTexts(json, "names", row.Names);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    static void WriteDatabase(Utf8JsonWriter json, MatchReport report)
    {
        json.WriteStartObject("database");
        json.WriteString("path", report.DatabaseFile);
        json.WriteString("revision", report.Database.Revision);
        json.WriteNumber("documents", report.Database.AdvisoryCount);
        json.WriteStartArray("sources");
        foreach (var source in report.Database.Sources)
        {
            json.WriteStartObject();
            ImportText.WriteSource(json, source);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    static void WriteCounts(Utf8JsonWriter json, MatchReport report)
    {
        var counted = report.Findings.Where(row => row.Counts).ToList();
        json.WriteStartObject("counts");
        json.WriteNumber("findings", counted.Count);
        json.WriteNumber("packages", counted.Select(row => row.PackageIndex).Distinct().Count());
        json.WriteStartObject("severity");
        foreach (var severity in MatchWords.Severities) json.WriteNumber(MatchWords.Of(severity), counted.Count(row => row.Severity == severity));
        json.WriteEndObject();
        json.WriteStartObject("status");
        foreach (var status in MatchWords.Statuses.Where(status => status != ProductStatus.NotAffected))
            json.WriteNumber(MatchWords.Of(status), counted.Count(row => row.Status == status));
        json.WriteEndObject();
        json.WriteNumber("exploited", counted.Count(row => row.Exploited is not null));
        json.WriteNumber("decided", report.Findings.Count(row => row.IsDecided));
        json.WriteNumber("notAffected", report.Findings.Count(row => row.Status == ProductStatus.NotAffected));
        json.WriteNumber("endedByRestart", report.EndedByRestart);
        if (report.FailOn is null) json.WriteNull("failOn");
        else json.WriteNumber("failOn", report.FailOnMet);
        json.WriteEndObject();
    }

    static void WriteFinding(Utf8JsonWriter json, MatchedFinding row, OsRelease os)
    {
        var finding = row.Finding;
        json.WriteStartObject();
        json.WriteString("severity", MatchWords.Of(row.Severity));
        json.WriteString("status", MatchWords.Of(row.Status));
        json.WriteString("feed", finding.Feed);
        json.WriteString("advisory", finding.AdvisoryId);
        WriteTexts(json, "cves", finding.Cves);
        json.WriteString("summary", finding.Summary);
        json.WriteStartObject("package");
        json.WriteString("name", finding.Package.Name);
        json.WriteString("version", finding.InstalledVersion);
        json.WriteString("arch", finding.Package.Architecture);
        json.WriteString("purl", PackageUrl.Of(finding.Package, os));
        json.WriteString("database", finding.Package.Database);
        json.WriteEndObject();
        json.WriteString("fixedVersion", finding.FixedVersion);
        json.WriteString("erratum", finding.Erratum);
        json.WriteString("erratumUrl", finding.ErratumUrl);
        json.WriteString("remark", finding.Remark);
        json.WriteString("justification", finding.Justification);
        WriteScores(json, row);
        json.WriteString("kernel", MatchWords.Of(finding.Kernel));
        WriteDecision(json, row.Decision);
        WriteEvidence(json, finding.Evidence);
        json.WriteEndObject();
    }

    static void WriteScores(Utf8JsonWriter json, MatchedFinding row)
    {
        if (row.Finding.CvssScore is { } score)
        {
            json.WriteStartObject("cvss");
            json.WriteNumber("score", score);
            json.WriteString("vector", row.Finding.CvssVector);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("cvss");
        }

        if (row.Prediction is { } prediction)
        {
            json.WriteStartObject("epss");
            json.WriteString("cve", prediction.Cve);
            json.WriteNumber("score", prediction.Score);
            json.WriteNumber("percentile", prediction.Percentile);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("epss");
        }

        if (row.Exploited is { } exploited)
        {
            json.WriteStartObject("exploited");
            json.WriteString("cve", exploited.Cve);
            json.WriteString("added", exploited.Added.ToString("O"));
            json.WriteString("due", exploited.Due?.ToString("O"));
            json.WriteBoolean("ransomware", exploited.Ransomware);
            json.WriteString("requiredAction", exploited.RequiredAction);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("exploited");
        }
    }

    /// <summary>The property <c>decision</c>.</summary>
    public static void WriteDecision(Utf8JsonWriter json, VexDecision? decision)
    {
        if (decision is null)
        {
            json.WriteNull("decision");
            return;
        }

        json.WriteStartObject("decision");
        json.WriteString("id", decision.Id);
        json.WriteString("status", MatchWords.Of(decision.Status));
        json.WriteString("justification", decision.Justification);
        json.WriteString("reason", decision.Reason);
        json.WriteString("author", decision.Author);
        json.WriteString("decided", ImportText.Time(decision.Decided));
        json.WriteString("expires", decision.Expires is { } expires ? ImportText.Time(expires) : null);
        WriteTexts(json, "scope", decision.Scope);
        json.WriteEndObject();
    }

    static void WriteEvidence(Utf8JsonWriter json, FindingEvidence evidence)
    {
        json.WriteStartObject("evidence");
        json.WriteString("source", evidence.Source);
        json.WriteString("product", evidence.Ecosystem);
        json.WriteString("cpe", evidence.Cpe);
        json.WriteString("name", evidence.MatchedPackage);
        json.WriteString("naming", evidence.Naming);
        json.WriteBoolean("bySourcePackage", evidence.MatchedBySourcePackage);
        json.WriteString("module", evidence.Module);
        json.WriteString("range", evidence.Range);
        json.WriteString("comparison", evidence.Comparison);
        json.WriteString("repository", evidence.Repository);
        json.WriteString("repositoryCpe", evidence.RepositoryCpe);
        json.WriteString("repositoryEvidence", evidence.RepositoryEvidence);
        json.WriteBoolean("isGuess", evidence.IsGuess);
        json.WriteString("published", evidence.Published is { } published ? ImportText.Time(published) : null);
        json.WriteString("modified", evidence.Modified is { } modified ? ImportText.Time(modified) : null);
        json.WriteString("url", evidence.Url);
        json.WriteEndObject();
    }

    static void WriteTexts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
