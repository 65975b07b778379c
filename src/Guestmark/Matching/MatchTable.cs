using System.Globalization;
using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;
using Spectre.Console;

namespace Guestmark;

/// <summary>A match for people: the findings, worst first, and what was looked at.</summary>
static class MatchTable
{
    /// <summary>From this width on all columns fit beside each other.</summary>
    const int WideColumns = 130;

    /// <summary>Two CVEs have 30 characters; an advisory of 20 would be as high as a page.</summary>
    const int CvesMax = 2;

    public static void Print(MatchShown shown)
    {
        var console = Terminal.Output();
        var findings = shown.Findings.ToList();
        if (findings.Count > 0 && console.Profile.Width >= WideColumns) console.Write(Wide(findings, shown.Report.Database));
        else PrintNarrow(findings, shown.Report.Database, Console.Out);
        PrintSummary(shown, Console.Out);
    }

    static Table Wide(List<MatchedFinding> findings, AdvisoryDatabase database)
    {
        var table = new Table { Border = TableBorder.Simple };
        foreach (var column in (string[])["Severity", "CVEs", "Package", "Installed", "Fixed in", "Advisory", "EPSS", ""]) table.AddColumn(new TableColumn(column) { NoWrap = column is "Severity" });
        foreach (var row in findings)
        {
            var finding = row.Finding;
            string[] cells =
            [
                MatchWords.Of(row.Severity), Cves(row, database), finding.Package.Name, finding.InstalledVersion, Fix(row), finding.Erratum ?? finding.AdvisoryId, Epss(row),
                string.Join(", ", Marks(row)),
            ];
            table.AddRow(cells.Select(cell => new Text(TerminalText.Printable(cell))));
        }

        return table;
    }

    /// <summary>Two lines each: broken in the middle, versions and names are hard to read.</summary>
    static void PrintNarrow(List<MatchedFinding> findings, AdvisoryDatabase database, TextWriter output)
    {
        foreach (var row in findings)
        {
            var finding = row.Finding;
            string[] marks = [.. Marks(row), .. Epss(row) is { Length: > 0 } epss ? [$"EPSS {epss}"] : Array.Empty<string>()];
            output.WriteLine(TerminalText.Printable($"{MatchWords.Of(row.Severity),-9} {finding.Package.Name} {finding.InstalledVersion}, fixed in: {Fix(row)}"));
            output.WriteLine(TerminalText.Printable(
                $"{"",-9} {string.Join("  ", [.. finding.Cves.Count > 0 ? [Cves(row, database)] : Array.Empty<string>(), finding.Erratum ?? finding.AdvisoryId, .. marks])}"));
        }
    }

    static void PrintSummary(MatchShown shown, TextWriter output)
    {
        var report = shown.Report;
        var inventory = report.Input.Inventory;
        var counted = report.Findings.Where(row => row.Counts).ToList();
        if (shown.Findings.Any()) output.WriteLine();
        Line($"{Words.Count(counted.Count, "finding")} in {Words.Number(counted.Select(row => row.PackageIndex).Distinct().Count())} of {Words.Count(inventory.Packages.Count, "package")}, {inventory.Os}");
        if (counted.Count > 0)
        {
            Line($"severity: {Counts(MatchWords.Severities, severity => counted.Count(row => row.Severity == severity), MatchWords.Of)}");
            Line($"status: {Counts(MatchWords.Statuses, status => counted.Count(row => row.Status == status), MatchWords.Say)}");
            if (counted.Count(row => row.Exploited is not null) is > 0 and var exploited) Line($"known to be exploited: {Words.Number(exploited)}");
        }

        if (report.Findings.Count(row => row.IsDecided) is > 0 and var decided)
            Line($"decided as not affected or fixed: {Words.Number(decided)}{(shown.ShowsDecided ? "" : "; --show-decided prints them")}");
        if (report.Findings.Count(row => row.Status == ProductStatus.NotAffected) is > 0 and var notAffected) Line($"not affected, as vendors say: {Words.Number(notAffected)}");
        if (report.EndedByRestart > 0) Line($"restart: {Words.Count(report.EndedByRestart, "finding")} of the running kernel would end with one that is installed");
        foreach (var line in report.NotCompared) Line(line);
        if (report.Sources.Count > 0) Line($"data: {string.Join("; ", report.Sources.Select(source => Age(source, report.Now)))}");
        if (report.FailOn is { } failOn)
            Line($"--fail-on {failOn.Text}: {(report.FailOnMet > 0 ? Words.Count(report.FailOnMet, "finding") : report.Uncheckable is { } why ? $"cannot pass, {why}" : "nothing found")}");
        foreach (var hint in report.Hints) Line($"note: {hint}");

        void Line(string text) => output.WriteLine(TerminalText.Printable(text));
    }

    static string Counts<T>(IReadOnlyList<T> values, Func<T, int> count, Func<T, string> name) =>
        string.Join(", ", values.Select(value => (value, Count: count(value))).Where(pair => pair.Count > 0).Select(pair => $"{Words.Number(pair.Count)} {name(pair.value)}"));

    static string Age(AdvisorySource source, DateTimeOffset now) =>
        $"{source.Name} {(source.Newest is { } newest ? $"of {Words.Date(newest)} ({Words.Span(now - newest)} old)" : $"imported {Words.Span(now - source.Imported)} ago")}";

    /// <summary>The version that fixes it, else what the vendor says.</summary>
    static string Fix(MatchedFinding row) =>
        row.Finding.FixedVersion is { } version ? version
        : row.Status == ProductStatus.Fixed ? "a later version"
        : $"- ({MatchWords.Say(row.Status)})";

    static string Epss(MatchedFinding row) =>
        row.Prediction is { } prediction ? (prediction.Score * 100).ToString(prediction.Score < 0.1 ? "0.0" : "0", CultureInfo.InvariantCulture) + "%" : "";

    static IEnumerable<string> Marks(MatchedFinding row)
    {
        if (row.Exploited is { } exploited)
            yield return $"exploited{(row.Finding.Cves.Count > 1 ? $": {exploited.Cve}" : "")}{(exploited.Ransomware ? " (ransomware)" : "")}";
        if (row.Finding.Kernel == KernelState.NotRunning) yield return "not the running kernel";
        if (row.Decision is { } decision) yield return $"decided: {MatchWords.Of(decision.Status).Replace('-', ' ')} ({MatchWords.Why(decision)})";
    }

    /// <summary>Those that are known to be exploited come first: they are why the finding is where it is.</summary>
    static string Cves(MatchedFinding row, AdvisoryDatabase database)
    {
        var cves = row.Finding.Cves;
        if (row.Exploited is not null && cves.Count > 1) cves = [.. cves.OrderBy(cve => database.KnownExploitedOf(cve) is null)];
        return cves.Count <= CvesMax ? string.Join(" ", cves) : $"{string.Join(" ", cves.Take(CvesMax))} +{cves.Count - CvesMax}";
    }
}
