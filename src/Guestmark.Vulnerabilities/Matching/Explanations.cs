using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>What decided about a statement. The first that is true is said.</summary>
public enum StatementDecision
{
    /// <summary>It is about the package, and is a finding.</summary>
    Applies = 0,

    /// <summary>Its product is none of the package's.</summary>
    OtherProduct = 1,

    /// <summary>It is about a source package, or about an installable one, and only the other name of the package is the same.</summary>
    OtherNaming = 2,

    /// <summary>It is about a module stream that the package is not a build of, or the package is in a module and it is not.</summary>
    OtherModule = 3,

    OtherArchitecture = 4,

    /// <summary>The vendor says that the package is not affected.</summary>
    NotAffected = 5,

    /// <summary>The package's version is not in the range: it is fixed, or is of before the flaw.</summary>
    OutOfRange = 6,

    /// <summary>
    /// By itself it would be a finding; another statement counts more: the build of the package's own minor release, its own stream, the
    /// vendor's statement about the CVE beside an erratum.
    /// </summary>
    Overruled = 7,

    /// <summary>The package was not compared at all; <see cref="StatementExplanation.Outcome"/> says why.</summary>
    NotMatched = 8,
}

/// <summary>A statement that was looked at for a package, and what decided.</summary>
/// <param name="Outcome">What became of the package.</param>
/// <param name="Feed">The rest is empty or null when the package was not compared.</param>
/// <param name="Range">As in <see cref="FindingEvidence.Range"/>; of several intervals the first that has the version.</param>
/// <param name="Version">The package's version that was compared.</param>
public sealed record StatementExplanation(
    Package Package,
    MatchOutcome Outcome,
    StatementDecision Decision,
    string Feed,
    string AdvisoryId,
    string Product,
    string? Cpe,
    string Name,
    PackageNaming Naming,
    ProductStatus? Status,
    string Range,
    string? Version,
    string? Erratum,
    string? Justification);

static class Explanations
{
    public static IReadOnlyList<StatementExplanation> Of(Matcher matcher, MachineMatch machine, IEnumerable<Package> packages, string cve)
    {
        var database = matcher.Database;
        var statements = StatementsAbout(database, cve);
        var explanations = new List<StatementExplanation>();
        var findings = new List<Finding>();
        foreach (var package in packages)
        {
            findings.Clear();
            var outcome = machine.Match(package, findings);
            if (outcome != MatchOutcome.Matched)
            {
                explanations.Add(new StatementExplanation(
                    package, outcome, StatementDecision.NotMatched, "", "", "", null, "", PackageNaming.Binary, null, "", null, null, null));
                continue;
            }

            var decided = findings.SelectMany(finding => finding.Statements).ToHashSet();
            foreach (var index in statements)
            {
                ref readonly var statement = ref database.AllStatements[index];
                if (machine.IsNamed(statement)) explanations.Add(Explain(database, machine, package, index, decided));
            }
        }

        return explanations;
    }

    static List<int> StatementsAbout(AdvisoryDatabase database, string cve)
    {
        var bytes = Encoding.UTF8.GetBytes(cve);
        var statements = new List<int>();
        foreach (ref readonly var document in database.Documents)
        {
            if (document.State != DocumentState.Live) continue;
            var names = Ascii.EqualsIgnoreCase(database.Text(document.Id), bytes);
            foreach (var text in database.List(document.Cves)) names |= Ascii.EqualsIgnoreCase(database.Text(text), bytes);
            if (!names) continue;
            foreach (var index in database.DocumentStatements.Slice(document.StatementStart, document.StatementCount))
            {
                var own = database.Details[database.AllStatements[index].Detail].Cve;
                if (own == 0 || Ascii.EqualsIgnoreCase(database.Text(own), bytes)) statements.Add(index);
            }
        }

        return statements;
    }

    static StatementExplanation Explain(AdvisoryDatabase database, MachineMatch machine, Package package, int index, HashSet<int> decided)
    {
        ref readonly var statement = ref database.AllStatements[index];
        ref readonly var document = ref database.Documents[statement.Document];
        ref readonly var detail = ref database.Details[statement.Detail];
        var (isAsked, lookup) = machine.AskedBy(statement);
        var decision = !isAsked ? StatementDecision.OtherProduct : lookup < 0 ? StatementDecision.OtherNaming : StatementDecision.OutOfRange;
        var interval = statement.IntervalCount > 0 ? statement.IntervalStart : -1;
        string? version = null;
        if (lookup >= 0 && machine.UseOf(statement, lookup) is { } use)
        {
            version = machine.Matching(use).ComparedVersion;
            var isOfPackage = false;
            for (var i = 0; i < use.Plan.Rules.Length; i++)
            {
                var rule = use.Plan.Rules[i];
                if (rule.Statement != index) continue;
                var applies = machine.Applies(rule, lookup);
                if (applies != StatementDecision.Applies)
                {
                    if (!isOfPackage) decision = applies;
                    continue;
                }

                if (!isOfPackage) decision = StatementDecision.OutOfRange;
                isOfPackage = true;
                if (!use.Ranks.Contains(i, use.Place)) continue;
                interval = rule.Interval;
                decision = rule.Status == ProductStatus.NotAffected ? StatementDecision.NotAffected : StatementDecision.Overruled;
                break;
            }

            if (decided.Contains(index)) decision = StatementDecision.Applies;
        }

        return new StatementExplanation(
            package,
            MatchOutcome.Matched,
            decision,
            database.TextOf(document.Feed),
            database.TextOf(document.Id),
            database.TextOf(statement.Product),
            database.TextOrNull(statement.Cpe),
            database.TextOf(statement.Name),
            (PackageNaming)statement.Naming,
            (ProductStatus)statement.Status,
            Finding.RangeOf(database, interval),
            version,
            database.TextOrNull(detail.Erratum),
            database.TextOrNull(detail.Justification));
    }
}
