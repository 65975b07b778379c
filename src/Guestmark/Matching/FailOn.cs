using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>--fail-on</c>: which findings make the command end with another exit code. A finding must have all that is named.</summary>
/// <param name="Severity">At least; <see cref="Severity.Unknown"/>: any.</param>
sealed record FailOn(Severity Severity, bool Fixable, bool Exploited, string Text)
{
    public static IReadOnlyList<string> Words { get; } = ["any", "low", "moderate", "important", "critical", "fixable", "exploited"];

    /// <returns>Null when nothing is named.</returns>
    /// <exception cref="UsageException">A word is not known, or two severities are named.</exception>
    public static FailOn? Parse(IReadOnlyList<string> values)
    {
        Severity? severity = null;
        var (fixable, exploited) = (false, false);
        var words = values.SelectMany(value => value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)).ToList();
        if (values.Count == 0) return null;
        // An empty value is a variable that is not set: a check that is asked for and does not happen must not pass.
        if (words.Count == 0) throw new UsageException($"--fail-on is empty: use {string.Join(", ", Words)}");
        foreach (var word in words)
        {
            switch (word.ToLowerInvariant())
            {
                case "fixable": fixable = true; break;
                case "exploited": exploited = true; break;
                case "any": Set(Severity.Unknown); break;
                case "low": Set(Severity.Low); break;
                case "moderate" or "medium": Set(Severity.Moderate); break;
                case "important" or "high": Set(Severity.Important); break;
                case "critical": Set(Severity.Critical); break;
                default: throw new UsageException($"--fail-on {word}: use {string.Join(", ", Words)}");
            }

            void Set(Severity named)
            {
                if (severity is not null && severity != named) throw new UsageException($"--fail-on {string.Join(',', words)}: name one severity, the least that counts");
                severity = named;
            }
        }

        return new FailOn(severity ?? Severity.Unknown, fixable, exploited, string.Join(',', words));
    }

    public bool IsMetBy(MatchedFinding finding) => finding.Severity >= Severity && IsMetButForSeverity(finding);

    /// <summary>A finding that may be as severe as what is named, for all that its vendor says.</summary>
    public bool IsUndecidedBy(MatchedFinding finding) =>
        Severity > Severity.Unknown && finding.Severity == Severity.Unknown && IsMetButForSeverity(finding);

    bool IsMetButForSeverity(MatchedFinding finding) =>
        finding.Counts && (!Fixable || finding.IsFixable) && (!Exploited || finding.Exploited is not null);
}
