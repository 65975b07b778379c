using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Guestmark.Inventory;
using Guestmark.Inventory.Sbom;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>Findings as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html): a rule for each advisory, a result for each finding.</summary>
static class MatchSarif
{
    const int FlushBytes = 64 * 1024;

    public static void Write(MatchShown shown, Stream output)
    {
        var report = shown.Report;
        // Decided ones are always in it, as suppressed: what a run does not have, code scanning takes for fixed.
        var findings = report.Findings;
        var rules = new Dictionary<string, int>(StringComparer.Ordinal);
        var first = new List<MatchedFinding>();
        foreach (var row in findings)
        {
            if (rules.TryAdd(RuleOf(row), first.Count)) first.Add(row);
        }

        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteString("$schema", "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json");
            json.WriteString("version", "2.1.0");
            json.WriteStartArray("runs");
            json.WriteStartObject();
            json.WriteStartObject("tool");
            json.WriteStartObject("driver");
            json.WriteString("name", "guestmark");
            json.WriteString("version", Version);
            json.WriteStartArray("rules");
            foreach (var row in first)
            {
                WriteRule(json, row);
                if (json.BytesPending > FlushBytes) json.Flush();
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteStartArray("invocations");
            json.WriteStartObject();
            json.WriteBoolean("executionSuccessful", report.Input.Inventory.Problems.Count == 0);
            json.WriteString("endTimeUtc", ImportText.Time(report.Now));
            json.WriteStartArray("toolExecutionNotifications");
            foreach (var problem in report.Input.Inventory.Problems) WriteNotification(json, "error", $"{problem.Path}: {problem.Message}");
            foreach (var hint in report.Hints) WriteNotification(json, "warning", hint);
            foreach (var line in report.NotCompared) WriteNotification(json, "note", line);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteStartArray("results");
            foreach (var row in findings)
            {
                WriteResult(json, row, rules[RuleOf(row)], report.Input);
                if (json.BytesPending > FlushBytes) json.Flush();
            }

            json.WriteEndArray();
            json.WriteString("columnKind", "utf16CodeUnits");
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        }

        output.Write("\n"u8);
    }

    public static string Version { get; } =
        typeof(MatchSarif).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    static string RuleOf(MatchedFinding row) => row.Finding.AdvisoryId;

    static void WriteRule(Utf8JsonWriter json, MatchedFinding row)
    {
        var finding = row.Finding;
        var evidence = finding.Evidence;
        var summary = finding.Summary.Length > 0 ? finding.Summary : finding.AdvisoryId;
        json.WriteStartObject();
        json.WriteString("id", RuleOf(row));
        WriteText(json, "shortDescription", summary);
        WriteText(json, "fullDescription", finding.Cves.Count > 0 ? $"{summary} ({string.Join(", ", finding.Cves)})" : summary);
        if (Uri.TryCreate(evidence.Url, UriKind.Absolute, out var url)) json.WriteString("helpUri", url.AbsoluteUri);
        json.WriteStartObject("defaultConfiguration");
        json.WriteString("level", LevelOf(row.Severity));
        json.WriteEndObject();
        json.WriteStartObject("properties");
        // Known to the pages that show SARIF: the score as a text, by which they sort.
        json.WriteString("security-severity", (finding.CvssScore ?? ScoreOf(row.Severity)).ToString("0.0", CultureInfo.InvariantCulture));
        json.WriteStartArray("tags");
        json.WriteStringValue("security");
        json.WriteStringValue("vulnerability");
        foreach (var cve in finding.Cves.Distinct(StringComparer.Ordinal)) json.WriteStringValue(cve);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    static void WriteResult(Utf8JsonWriter json, MatchedFinding row, int rule, MatchInput input)
    {
        var finding = row.Finding;
        var evidence = finding.Evidence;
        var purl = PackageUrl.Of(finding.Package, input.Inventory.Os);
        json.WriteStartObject();
        json.WriteString("ruleId", RuleOf(row));
        json.WriteNumber("ruleIndex", rule);
        json.WriteString("level", LevelOf(row.Severity));
        var fix = finding.FixedVersion is { } version ? $"fixed in {version}" : MatchWords.Say(row.Status);
        WriteText(json, "message", $"{finding.Package.Name} {finding.InstalledVersion}: {(finding.Cves.Count > 0 ? string.Join(", ", finding.Cves) : finding.AdvisoryId)}, {fix}. {evidence.Comparison}");
        json.WriteStartArray("locations");
        json.WriteStartObject();
        json.WriteStartObject("physicalLocation");
        json.WriteStartObject("artifactLocation");
        json.WriteString("uri", UriOf(finding.Package, input));
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartArray("logicalLocations");
        json.WriteStartObject();
        json.WriteString("name", finding.Package.Name);
        json.WriteString("fullyQualifiedName", purl);
        json.WriteString("kind", "package");
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
        // The same finding of the next run: without the version, which an update that does not fix it changes.
        json.WriteStartObject("partialFingerprints");
        json.WriteString(
            "guestmark/v1",
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{finding.Feed}\n{finding.AdvisoryId}\n{string.Join(' ', finding.Cves)}\n{finding.Package.Name}\n{finding.Package.Architecture}\n{finding.Package.Database}")))[..32]);
        json.WriteEndObject();
        if (row.Decision is { } decision && !row.Counts)
        {
            json.WriteStartArray("suppressions");
            json.WriteStartObject();
            json.WriteString("kind", "external");
            json.WriteString("status", "accepted");
            json.WriteString("justification", $"{MatchWords.Of(decision.Status).Replace('-', ' ')}: {MatchWords.Why(decision)}");
            json.WriteEndObject();
            json.WriteEndArray();
        }

        json.WriteStartObject("properties");
        json.WriteString("severity", MatchWords.Of(row.Severity));
        json.WriteString("status", MatchWords.Of(row.Status));
        json.WriteString("installedVersion", finding.InstalledVersion);
        if (finding.FixedVersion is { } fixedVersion) json.WriteString("fixedVersion", fixedVersion);
        if (row.Prediction is { } prediction) json.WriteNumber("epss", prediction.Score);
        json.WriteBoolean("exploited", row.Exploited is not null);
        json.WriteString("range", evidence.Range);
        json.WriteString("product", evidence.Ecosystem);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>The package database within the machine, or the document: a relative reference, because nobody knows where it is looked at.</summary>
    static string UriOf(Package package, MatchInput input)
    {
        var database = package.Database;
        var path = input.Kind == "root" && database.Length > 0 ? database[(database.IndexOf(':') + 1)..] : Path.GetFileName(input.Name);
        return path.Length == 0 ? "." : string.Join('/', path.TrimStart('/').Split('/').Select(Uri.EscapeDataString));
    }

    static string LevelOf(Severity severity) => severity switch
    {
        Severity.Critical or Severity.Important => "error",
        Severity.Moderate => "warning",
        _ => "note",
    };

    /// <summary>The middle of CVSS' range for the word, where there is no score.</summary>
    static double ScoreOf(Severity severity) => severity switch
    {
        Severity.Critical => 9.5,
        Severity.Important => 8.0,
        Severity.Moderate => 5.5,
        Severity.Low => 2.0,
        _ => 0.0,
    };

    static void WriteNotification(Utf8JsonWriter json, string level, string text)
    {
        json.WriteStartObject();
        json.WriteString("level", level);
        WriteText(json, "message", text);
        json.WriteEndObject();
    }

    static void WriteText(Utf8JsonWriter json, string name, string text)
    {
        json.WriteStartObject(name);
        json.WriteString("text", text);
        json.WriteEndObject();
    }
}
