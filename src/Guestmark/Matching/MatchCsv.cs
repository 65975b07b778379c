using System.Globalization;
using System.Text;

namespace Guestmark;

/// <summary>Findings as CSV by RFC 4180, safe to open in a spreadsheet.</summary>
static class MatchCsv
{
    static readonly string[] Columns =
    [
        "severity", "status", "cves", "package", "installed", "fixed", "arch", "advisory", "feed", "erratum", "cvss", "epss", "epss_percentile", "exploited",
        "kernel", "decision", "decision_reason", "repository", "product", "comparison", "url", "summary",
        "decision_author", "decision_expires",
    ];

    public static void Write(MatchShown shown, Stream output)
    {
        using var writer = new StreamWriter(output, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), leaveOpen: true) { NewLine = "\r\n" };
        writer.WriteLine(string.Join(',', Columns));
        foreach (var row in shown.Findings)
        {
            var finding = row.Finding;
            var evidence = finding.Evidence;
            string?[] cells =
            [
                MatchWords.Of(row.Severity), MatchWords.Of(row.Status), string.Join(' ', finding.Cves), finding.Package.Name, finding.InstalledVersion, finding.FixedVersion,
                finding.Package.Architecture, finding.AdvisoryId, finding.Feed, finding.Erratum, Number(finding.CvssScore), Number(row.Prediction?.Score),
                Number(row.Prediction?.Percentile), row.Exploited?.Added.ToString("O", CultureInfo.InvariantCulture), MatchWords.Of(finding.Kernel),
                row.Decision is { } decision ? MatchWords.Of(decision.Status) : null, row.Decision?.Reason, evidence.Repository, evidence.Ecosystem, evidence.Comparison,
                evidence.Url, finding.Summary, row.Decision?.Author, row.Decision?.Expires is { } expires ? ImportText.Time(expires) : null,
            ];
            writer.WriteLine(string.Join(',', cells.Select(cell => Cell(cell ?? ""))));
        }
    }

    /// <summary>
    /// A cell that a spreadsheet would take for a formula begins with an apostrophe, as OWASP advises
    /// (https://owasp.org/www-community/attacks/CSV_Injection): names and reasons are others' text.
    /// </summary>
    static string Cell(string text)
    {
        if (text.Length > 0 && text[0] is '=' or '+' or '-' or '@' or '\t' or '\r' or '\n') text = "'" + text;
        return text.AsSpan().IndexOfAny("\",\r\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }

    static string Number(double? number) => number?.ToString("0.#####", CultureInfo.InvariantCulture) ?? "";
}
