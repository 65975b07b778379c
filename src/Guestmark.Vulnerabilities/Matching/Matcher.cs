using System.Globalization;
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
    /// <remarks>Costs two dictionary lookups and one comparison for each advisory of the package, and allocates for findings only.</remarks>
    public void Match(OsRelease os, Package package, ICollection<Finding> findings)
    {
        ArgumentNullException.ThrowIfNull(os);
        ArgumentNullException.ThrowIfNull(package);
        ArgumentNullException.ThrowIfNull(findings);

        if (database.FindEcosystem(os) is not { } ecosystem || ecosystem.Family.Manager != package.Manager) return;
        var bySource = ecosystem.Family.NamesSource && package.SourceName is { Length: > 0 };
        var name = bySource ? package.SourceName! : package.Name;
        var candidates = database.Candidates(ecosystem, name);
        if (candidates.IsEmpty) return;

        // Longer versions than this exist only where someone makes them up, and then cost one string.
        Span<char> buffer = stackalloc char[256];
        var hasSourceVersion = bySource && package.SourceVersion is { Length: > 0 };
        var version = hasSourceVersion ? package.SourceVersion : FullVersion(package, buffer);
        // The file name of a source rpm has no epoch and the binary's may be another (perl-Carp 0, perl 4).
        var ignoreEpoch = hasSourceVersion && package.Manager == PackageManager.Rpm && !RpmVersion.HasEpoch(version);
        var modular = package.ModularityLabel is { Length: > 0 } || ModularBuild.Is(package.Release);

        foreach (ref readonly var candidate in candidates)
        {
            if (candidate.Modular != modular) continue;
            foreach (ref readonly var interval in database.Intervals(candidate))
            {
                if (!Contains(interval, version, ecosystem.Family, ignoreEpoch)) continue;
                if (modular && !IsOfStream(package, version, candidate, interval)) continue;
                findings.Add(Finding(package, version, ecosystem, name, bySource, ignoreEpoch, candidate, interval));
                break;
            }
        }
    }

    // Package.FullVersion without its string.
    static ReadOnlySpan<char> FullVersion(Package package, Span<char> buffer)
    {
        var (version, release) = (package.Version, package.Release);
        var length = 0;
        if (package.Epoch is > 0 and var epoch)
        {
            epoch.TryFormat(buffer, out length, default, CultureInfo.InvariantCulture);
            buffer[length++] = ':';
        }

        if (length + version.Length + 1 + release.Length > buffer.Length) return package.FullVersion;
        version.CopyTo(buffer[length..]);
        length += version.Length;
        if (release.Length == 0) return buffer[..length];
        buffer[length++] = '-';
        release.CopyTo(buffer[length..]);
        return buffer[..(length + release.Length)];
    }

    bool Contains(in IntervalRow interval, ReadOnlySpan<char> version, Ecosystem ecosystem, bool ignoreEpoch)
    {
        if (interval.Introduced != 0 && Compare(version, database.Text(interval.Introduced)) < 0) return false;
        return interval.Kind switch
        {
            IntervalEnd.Fixed => Compare(version, database.Text(interval.End)) < 0,
            IntervalEnd.LastAffected => Compare(version, database.Text(interval.End)) <= 0,
            _ => true,
        };

        int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b) =>
            ignoreEpoch ? RpmVersion.CompareWithoutEpoch(a, b) : ecosystem.Compare(a, b);
    }

    // nodejs of nodejs:18 is older than the fix of nodejs:20 and not affected by it, or is, and then nodejs:18 has its own fix.
    bool IsOfStream(Package package, ReadOnlySpan<char> version, in CandidateRow candidate, in IntervalRow interval)
    {
        var streams = database.Streams(database.Advisory(candidate));
        if (package.ModularityLabel is not { Length: > 0 } label || streams.IsEmpty)
            return ModularBuild.MayShareStream(version, database.Text(interval.End != 0 ? interval.End : interval.Introduced));

        var installed = ModularBuild.StreamOf(label);
        foreach (var stream in streams)
        {
            if (installed.SequenceEqual(database.Text(stream))) return true;
        }

        return false;
    }

    Finding Finding(
        Package package, ReadOnlySpan<char> version, EcosystemIndex ecosystem, string name, bool bySource, bool ignoreEpoch,
        in CandidateRow candidate, in IntervalRow interval)
    {
        ref readonly var advisory = ref database.Advisory(candidate);
        var id = database.Text(advisory.Id).ToString();
        var end = interval.End == 0 ? null : database.Text(interval.End).ToString();
        var cves = new string[advisory.CveCount];
        for (var i = 0; i < cves.Length; i++) cves[i] = database.Text(database.Cves(advisory)[i]).ToString();

        var introduced = interval.Introduced == 0 ? "0" : database.Text(interval.Introduced).ToString();
        var (range, comparison) = interval.Kind switch
        {
            IntervalEnd.Fixed => ($"introduced {introduced}, fixed {end}", $"{version} < {end}"),
            IntervalEnd.LastAffected when interval.Introduced == interval.End => ($"exactly {end}", $"{version} = {end}"),
            IntervalEnd.LastAffected => ($"introduced {introduced}, last affected {end}", $"{version} <= {end}"),
            _ => ($"introduced {introduced}, no fix", $"{version} >= {introduced}"),
        };
        return new Finding(
            id,
            cves,
            database.Text(advisory.Summary).ToString(),
            advisory.Severity,
            advisory.ScoreTenths == byte.MaxValue ? null : advisory.ScoreTenths / 10.0,
            TextOrNull(advisory.Vector),
            package.FullVersion,
            interval.Kind == IntervalEnd.Fixed ? end : null,
            new FindingEvidence(
                $"{database.Text(advisory.Feed)} {id}",
                ecosystem.Name,
                name,
                bySource,
                range,
                $"{comparison} by {ecosystem.Family.Rules}{(ignoreEpoch ? " without epoch" : "")}",
                advisory.Published,
                advisory.Modified,
                TextOrNull(advisory.Url)));
    }

    string? TextOrNull(int index) => index == 0 ? null : database.Text(index).ToString();
}
