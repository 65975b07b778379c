using System.Text.Encodings.Web;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>--explain CVE</c>: every statement that was looked at, and what decided.</summary>
/// <param name="database">What the matcher asks.</param>
/// <param name="asked">A CVE, or the id of an advisory.</param>
/// <param name="decisionOf">The operator's decision about a finding.</param>
sealed class MatchExplanation(AdvisoryDatabase database, Matcher matcher, MatchInput input, string asked, Func<Finding, Package, VexDecision?> decisionOf)
{
    static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="output">For people; JSON goes to the stream of standard output.</param>
    /// <exception cref="UsageException">Nothing is called so.</exception>
    public void Print(string format, TextWriter output)
    {
        var cve = IsCve(asked) ? asked.ToUpperInvariant() : asked;
        if (!IsCve(cve) && !database.Mentions(cve))
            throw new UsageException($"--explain {asked}: neither a CVE, as CVE-2023-38545, nor the id of an advisory that the database has");
        var explanations = matcher.Explain(input.Inventory.Os, input.Inventory.Packages, cve);
        // Of a package that was not compared at all nothing is known about this CVE in particular.
        var looked = explanations.Where(row => row.Decision != StatementDecision.NotMatched).ToList();
        if (format == "json")
        {
            PrintJson(looked, cve, Decided(looked, cve));
            return;
        }

        var decided = Decided(looked, cve);
        foreach (var packageRows in looked.GroupBy(row => row.Package).OrderBy(group => group.Key.Name, StringComparer.Ordinal))
        {
            var package = packageRows.Key;
            output.WriteLine(TerminalText.Printable($"{package.Name} {package.FullVersion} {package.Architecture}{(package.Repository is { Id.Length: > 0 } repository ? $" from {repository.Id}" : "")}"));
            foreach (var row in packageRows.OrderBy(row => row.Decision))
            {
                var facts = new List<string> { $"{row.Feed} {row.AdvisoryId}", row.Cpe ?? row.Product, row.Naming == PackageNaming.Binary ? row.Name : $"{row.Name} ({MatchNaming(row.Naming)})" };
                if (row.Status is { } status) facts.Add(MatchWords.Say(status));
                if (row.Range.Length > 0) facts.Add(row.Range);
                if (row.Version is { } version) facts.Add($"compared {version}");
                if (row.Erratum is { } erratum) facts.Add(erratum);
                if (row.Justification is { } justification) facts.Add(justification);
                output.WriteLine(TerminalText.Printable($"  {WordsOf(row.Decision)}: {string.Join("; ", facts)}"));
            }

            foreach (var (_, advisory, decision) in decided.Where(row => row.Package == package))
                output.WriteLine(TerminalText.Printable($"  your decision about {advisory}: {MatchWords.Of(decision.Status).Replace('-', ' ')}; {MatchWords.Why(decision)}"));
        }

        var applies = looked.Count(row => row.Decision == StatementDecision.Applies);
        if (looked.Count > 0) output.WriteLine();
        output.WriteLine(TerminalText.Printable(
            looked.Count == 0
                ? $"{cve}: no statement about any of the {Words.Count(input.Inventory.Packages.Count, "package")} of {input.Inventory.Os}: no vendor in the database names them"
                : $"{cve}: {Words.Count(looked.Count, "statement")} looked at, {Words.Number(applies)} {(applies == 1 ? "applies" : "apply")}"));
        foreach (var group in explanations.Where(row => row.Decision == StatementDecision.NotMatched).GroupBy(row => row.Outcome))
            output.WriteLine(TerminalText.Printable($"not compared: {Words.Count(group.Count(), "package")}, {MatchWords.Explain(group.Key)}"));
    }

    static bool IsCve(string text) =>
        text.StartsWith("CVE-", StringComparison.OrdinalIgnoreCase) && text.Split('-') is [_, { Length: 4 } year, { Length: >= 4 and <= 19 } number]
        && year.All(char.IsAsciiDigit) && number.All(char.IsAsciiDigit);

    /// <summary>The operator's decisions about findings of it.</summary>
    List<(Package Package, string Advisory, VexDecision Decision)> Decided(List<StatementExplanation> looked, string cve)
    {
        var decided = new List<(Package, string, VexDecision)>();
        var machine = matcher.For(input.Inventory.Os, input.Inventory.Host);
        var findings = new List<Finding>();
        foreach (var package in looked.Where(row => row.Decision == StatementDecision.Applies).Select(row => row.Package).Distinct())
        {
            findings.Clear();
            machine.Match(package, findings);
            foreach (var finding in findings.Where(finding => finding.AdvisoryId.Equals(cve, StringComparison.OrdinalIgnoreCase) || finding.Cves.Contains(cve, StringComparer.OrdinalIgnoreCase)))
            {
                if (decisionOf(finding, package) is { } decision) decided.Add((package, finding.AdvisoryId, decision));
            }
        }

        return decided;
    }

    static void PrintJson(List<StatementExplanation> rows, string cve, List<(Package Package, string Advisory, VexDecision Decision)> decided)
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
            json.WriteStartArray("decisions");
            foreach (var (package, advisory, decision) in decided)
            {
                json.WriteStartObject();
                json.WriteString("package", package.Name);
                json.WriteString("installedVersion", package.FullVersion);
                json.WriteString("arch", package.Architecture);
                json.WriteString("advisory", advisory);
                MatchJson.WriteDecision(json, decision);
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
