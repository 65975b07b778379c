using System.Text.Encodings.Web;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>--explain CVE</c>: every statement that was looked at, and what decided.</summary>
static class MatchExplanation
{
    static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="output">For people; JSON goes to the stream of standard output.</param>
    /// <exception cref="UsageException">The format is one of findings.</exception>
    public static void Print(Matcher matcher, MatchInput input, string cve, string format, TextWriter output)
    {
        if (format is not ("table" or "json")) throw new UsageException($"--explain prints as table or json, not as {format}");
        if (cve.StartsWith("CVE-", StringComparison.OrdinalIgnoreCase)) cve = cve.ToUpperInvariant();
        var explanations = matcher.Explain(input.Inventory.Os, input.Inventory.Packages, cve);
        // Of a package that was not compared at all nothing is known about this CVE in particular.
        var looked = explanations.Where(row => row.Decision != StatementDecision.NotMatched).ToList();
        if (format == "json")
        {
            PrintJson(looked, cve);
            return;
        }

        foreach (var packageRows in looked.GroupBy(row => row.Package).OrderBy(group => group.Key.Name, StringComparer.Ordinal))
        {
            var package = packageRows.Key;
            output.WriteLine(TerminalText.Printable($"{package.Name} {package.FullVersion} {package.Architecture}{(package.Repository is { Id.Length: > 0 } repository ? $" from {repository.Id}" : "")}"));
            foreach (var row in packageRows.OrderBy(row => row.Decision))
            {
                var facts = new List<string> { $"{row.Feed} {row.AdvisoryId}", row.Cpe ?? row.Product, row.Naming == PackageNaming.Binary ? row.Name : $"{row.Name} ({MatchNaming(row.Naming)})" };
                if (row.Status is { } status) facts.Add(MatchWords.Of(status).Replace('-', ' '));
                if (row.Range.Length > 0) facts.Add(row.Range);
                if (row.Version is { } version) facts.Add($"compared {version}");
                if (row.Erratum is { } erratum) facts.Add(erratum);
                if (row.Justification is { } justification) facts.Add(justification);
                output.WriteLine(TerminalText.Printable($"  {WordsOf(row.Decision)}: {string.Join("; ", facts)}"));
            }
        }

        var applies = looked.Count(row => row.Decision == StatementDecision.Applies);
        if (looked.Count > 0) output.WriteLine();
        output.WriteLine(TerminalText.Printable(
            looked.Count == 0
                ? $"{cve}: no statement about any of the {Words.Count(input.Inventory.Packages.Count, "package")} of {input.Inventory.Os}: no vendor in the database names them"
                : $"{cve}: {Words.Count(looked.Count, "statement")} looked at, {Words.Number(applies)} apply"));
        foreach (var group in explanations.Where(row => row.Decision == StatementDecision.NotMatched).GroupBy(row => row.Outcome))
            output.WriteLine(TerminalText.Printable($"not compared: {Words.Count(group.Count(), "package")}, {MatchWords.Explain(group.Key)}"));
    }

    static void PrintJson(List<StatementExplanation> rows, string cve)
    {
        using var stream = Console.OpenStandardOutput();
        using (var json = new Utf8JsonWriter(stream, Indented))
        {
            json.WriteStartObject();
            json.WriteString("cve", cve);
            json.WriteStartArray("statements");
            foreach (var row in rows)
            {
                json.WriteStartObject();
                json.WriteString("package", row.Package.Name);
                json.WriteString("installedVersion", row.Package.FullVersion);
                json.WriteString("arch", row.Package.Architecture);
                json.WriteString("decision", IdOf(row.Decision));
                json.WriteString("feed", row.Feed);
                json.WriteString("advisory", row.AdvisoryId);
                json.WriteString("product", row.Product);
                json.WriteString("cpe", row.Cpe);
                json.WriteString("name", row.Name);
                json.WriteString("naming", MatchNaming(row.Naming));
                json.WriteString("status", row.Status is { } status ? MatchWords.Of(status) : null);
                json.WriteString("range", row.Range);
                json.WriteString("comparedVersion", row.Version);
                json.WriteString("erratum", row.Erratum);
                json.WriteString("justification", row.Justification);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        stream.Write("\n"u8);
    }

    static string MatchNaming(PackageNaming naming) => naming switch
    {
        PackageNaming.Source => "source",
        PackageNaming.Either => "either",
        PackageNaming.Module => "module",
        _ => "binary",
    };

    static string IdOf(StatementDecision decision) => decision switch
    {
        StatementDecision.Applies => "applies",
        StatementDecision.OtherProduct => "other-product",
        StatementDecision.OtherNaming => "other-naming",
        StatementDecision.OtherModule => "other-module",
        StatementDecision.OtherArchitecture => "other-architecture",
        StatementDecision.NotAffected => "not-affected",
        StatementDecision.OutOfRange => "out-of-range",
        StatementDecision.Overruled => "overruled",
        _ => "not-compared",
    };

    static string WordsOf(StatementDecision decision) => decision switch
    {
        StatementDecision.Applies => "APPLIES",
        StatementDecision.OtherProduct => "other product",
        StatementDecision.OtherNaming => "other kind of package",
        StatementDecision.OtherModule => "other module stream",
        StatementDecision.OtherArchitecture => "other architecture",
        StatementDecision.NotAffected => "not affected, the vendor says",
        StatementDecision.OutOfRange => "not in the range of versions",
        StatementDecision.Overruled => "another statement counts more",
        _ => "not compared",
    };
}
