using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>Says which advisories apply to an installed package. Safe for any number of threads.</summary>
/// <remarks>docs/reference/matching.md has the rules with their reasons and limits.</remarks>
public sealed class Matcher(AdvisoryDatabase database)
{
    /// <summary>
    /// Version of the rules. Raise it with every change after which the same advisories can give the same package other findings or other
    /// evidence: of this class, the comparison of versions, modules, ecosystems, or what of a <see cref="Finding"/> is text. Stored
    /// findings are matched again after an upgrade only then. A test fails when the rules change and this does not.
    /// </summary>
    public const int RulesVersion = 1;

    /// <summary>Changes when findings may: with the rules or with the content of the database. <c>RULES:CONTENT</c>.</summary>
    public static string RevisionOf(AdvisoryDatabase database) => $"{RulesVersion}:{database.Revision}";

    /// <summary>Adds one finding for each advisory that applies, in ascending order of advisory ids.</summary>
    public void Match(OsRelease os, Package package, ICollection<Finding> findings)
    {
        ArgumentNullException.ThrowIfNull(os);
        ArgumentNullException.ThrowIfNull(package);
        ArgumentNullException.ThrowIfNull(findings);

        Span<char> productName = stackalloc char[Ecosystem.NameMax];
        productName = productName[..Ecosystem.NameOf(os, productName)];
        if (Ecosystem.Find(productName) is not { } ecosystem || ecosystem.Manager != package.Manager) return;
        var product = database.FindProduct(productName);
        if (product < 0) return;
        var bySource = ecosystem.NamesSource && package.SourceName is { Length: > 0 };
        // Longer names than this exist only where someone makes them up: no advisory has one.
        Span<byte> nameBytes = stackalloc byte[512];
        if (!Encoding.UTF8.TryGetBytes(bySource ? package.SourceName! : package.Name, nameBytes, out var length)) return;
        var name = database.FindName(product, nameBytes[..length]);
        if (name < 0) return;

        var hasSourceVersion = bySource && package.SourceVersion is { Length: > 0 };
        var version = hasSourceVersion ? package.SourceVersion! : package.FullVersion;
        // The file name of a source rpm has no epoch and the binary's may be another (perl-Carp 0, perl 4).
        var ignoreEpoch = hasSourceVersion && package.Manager == PackageManager.Rpm && !RpmVersion.HasEpoch(version);
        var modular = package.ModularityLabel is { Length: > 0 } || ModularBuild.Is(package.Release);

        foreach (ref readonly var statement in database.StatementsOf(name))
        {
            foreach (ref readonly var interval in database.Intervals(statement))
            {
                if ((statement.Modules != 0 || IsModular(interval)) != modular) continue;
                if (!Contains(interval, version, ecosystem, ignoreEpoch)) continue;
                if (modular && !IsOfStream(package, version, statement, interval)) continue;
                findings.Add(Finding(package, version, ecosystem, bySource, ignoreEpoch, statement, interval));
                break;
            }
        }
    }

    bool IsModular(in IntervalRow interval) => IsModular(interval.End) || IsModular(interval.Introduced);

    bool IsModular(int version) => database.Text(version).IndexOf(".module_el"u8) >= 0 || database.Text(version).IndexOf(".module+el"u8) >= 0;

    bool Contains(in IntervalRow interval, string version, Ecosystem ecosystem, bool ignoreEpoch)
    {
        if (interval.Introduced != 0 && CompareTo(interval.Introduced) < 0) return false;
        return (IntervalEnd)interval.Kind switch
        {
            IntervalEnd.Fixed => CompareTo(interval.End) < 0,
            IntervalEnd.LastAffected => CompareTo(interval.End) <= 0,
            _ => true,
        };

        int CompareTo(int text)
        {
            // Longer versions than this exist only where someone makes them up, and then cost one string.
            Span<char> buffer = stackalloc char[256];
            var other = Encoding.UTF8.TryGetChars(database.Text(text), buffer, out var length) ? buffer[..length] : database.TextOf(text).AsSpan();
            return ignoreEpoch ? RpmVersion.CompareWithoutEpoch(version, other) : ecosystem.Compare(version, other);
        }
    }

    // nodejs of nodejs:18 is older than the fix of nodejs:20 and not affected by it, or is, and then nodejs:18 has its own fix.
    bool IsOfStream(Package package, string version, in StatementRow statement, in IntervalRow interval)
    {
        var streams = database.TextsOf(statement.Modules);
        if (package.ModularityLabel is not { Length: > 0 } label || streams.Length == 0)
            return ModularBuild.MayShareStream(version, database.TextOf(interval.End != 0 ? interval.End : interval.Introduced));

        var installed = ModularBuild.StreamOf(label).ToString();
        return streams.Contains(installed, StringComparer.Ordinal);
    }

    Finding Finding(
        Package package, string version, Ecosystem ecosystem, bool bySource, bool ignoreEpoch, in StatementRow statement, in IntervalRow interval)
    {
        ref readonly var advisory = ref database.Documents[statement.Document];
        var id = database.TextOf(advisory.Id);
        var end = database.TextOrNull(interval.End);
        var introduced = interval.Introduced == 0 ? "0" : database.TextOf(interval.Introduced);
        var kind = (IntervalEnd)interval.Kind;
        var (range, comparison) = kind switch
        {
            IntervalEnd.Fixed => ($"introduced {introduced}, fixed {end}", $"{version} < {end}"),
            IntervalEnd.LastAffected when interval.Introduced == interval.End => ($"exactly {end}", $"{version} = {end}"),
            IntervalEnd.LastAffected => ($"introduced {introduced}, last affected {end}", $"{version} <= {end}"),
            _ => ($"introduced {introduced}, no fix", $"{version} >= {introduced}"),
        };
        return new Finding(
            id,
            database.TextsOf(advisory.Cves),
            database.TextOf(advisory.Summary),
            (Severity)advisory.Severity,
            AdvisoryDatabase.Score(advisory.ScoreTenths),
            database.TextOrNull(advisory.Vector),
            package.FullVersion,
            kind == IntervalEnd.Fixed ? end : null,
            new FindingEvidence(
                $"{database.TextOf(advisory.Feed)} {id}",
                database.TextOf(statement.Product),
                database.TextOf(statement.Name),
                bySource,
                range,
                $"{comparison} by {ecosystem.Rules}{(ignoreEpoch ? " without epoch" : "")}",
                AdvisoryDatabase.Time(advisory.Published),
                AdvisoryDatabase.Time(advisory.Modified),
                database.TextOrNull(advisory.Url)));
    }
}
