using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>A finding with what its CVEs and the operator's decisions say of it.</summary>
/// <param name="PackageIndex">Of the package in the inventory.</param>
/// <param name="Severity">The finding's, which is asked for often.</param>
/// <param name="Prediction">EPSS, of the CVE that is most likely exploited.</param>
/// <param name="Exploited">The entry in CISA's catalogue.</param>
sealed record MatchedFinding(
    Finding Finding, int PackageIndex, Severity Severity, ProductStatus Status, ExploitPrediction? Prediction, KnownExploited? Exploited, VexDecision? Decision)
{
    public bool IsDecided => Decision?.Status is DecisionStatus.NotAffected or DecisionStatus.Fixed;

    /// <summary>Neither the vendor nor the operator says that it is none.</summary>
    public bool Counts => Status != ProductStatus.NotAffected && !IsDecided;

    public bool IsFixable => Status == ProductStatus.Fixed;
}

/// <summary>What the match of one machine gave.</summary>
sealed class MatchReport
{
    /// <summary>Older than that, a source lacks what everybody patches now.</summary>
    const int OldDays = 30;

    const int LeftOutNamedMax = 3;

    public required MatchInput Input { get; init; }

    public required AdvisoryDatabase Database { get; init; }

    public required string DatabaseFile { get; init; }

    public required DateTimeOffset Now { get; init; }

    /// <summary>Worst first.</summary>
    public required IReadOnlyList<MatchedFinding> Findings { get; init; }

    public required MatchSummary Summary { get; init; }

    public required FailOn? FailOn { get; init; }

    /// <summary>Findings that <see cref="FailOn"/> names.</summary>
    public int FailOnMet => FailOn is null ? 0 : Findings.Count(FailOn.IsMetBy);

    /// <summary>What to do so that more can be said.</summary>
    public required IReadOnlyList<string> Hints { get; init; }

    /// <summary>Findings that a restart with an installed kernel ends.</summary>
    public required int EndedByRestart { get; init; }

    /// <summary>
    /// Why a check of this machine must not pass: packages of its system, or all that it has, were compared with nothing. Null when nothing
    /// keeps it from passing.
    /// </summary>
    public required string? Uncheckable { get; init; }

    /// <summary>The sources that are about this machine, and those about all CVEs.</summary>
    public required IReadOnlyList<AdvisorySource> Sources { get; init; }

    /// <summary>What was not compared and why, a line each.</summary>
    public IEnumerable<string> NotCompared
    {
        get
        {
            foreach (var reason in MatchWords.Reasons)
            {
                if (Summary.Count(reason) > 0) yield return $"not compared: {Words.Count(Summary.Count(reason), "package")}, {MatchWords.Explain(reason)}";
            }

            foreach (var row in Input.LeftOut)
            {
                // The reasons of SBOMs are of many: "packages of type generic".
                var reason = row.Count == 1 && row.Reason.StartsWith("packages of ", StringComparison.Ordinal) ? "package" + row.Reason["packages".Length..] : row.Reason;
                var names = string.Join(", ", row.Names.Take(LeftOutNamedMax)) + (row.Count > LeftOutNamedMax ? " …" : "");
                yield return $"not compared: {Words.Number(row.Count)} {reason}, {names}";
            }
        }
    }

    public static MatchReport Of(
        MatchInput input, Matcher matcher, AdvisoryDatabase database, string databaseFile, DecisionSet decisions, string? machine, DateTimeOffset now, FailOn? failOn,
        CancellationToken cancellationToken)
    {
        var (os, packages) = (input.Inventory.Os, input.Inventory.Packages);
        var match = matcher.For(os, input.Inventory.Host);
        var all = new List<MatchedFinding>();
        var findings = new List<Finding>();
        var systemCompared = 0;
        for (var i = 0; i < packages.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            findings.Clear();
            if (match.Match(packages[i], findings) == MatchOutcome.Matched && Ecosystem.ProductOf(packages[i].Manager) is null) systemCompared++;
            foreach (var finding in findings)
            {
                all.Add(new MatchedFinding(
                    finding, i, finding.Severity, finding.Status, finding.HighestPrediction(), finding.KnownExploited(),
                    decisions.Find(finding.AdvisoryId, finding.Cves, packages[i], os, machine, now)));
            }
        }

        var kernels = RunningKernel.EndedByRestart(all.Where(row => row.Counts).Select(row => row.Finding), packages);
        // Stable: packages and advisories stay in their order where nothing else differs.
        var sorted = all
            .OrderByDescending(row => row.Severity)
            .ThenByDescending(row => row.Exploited is not null)
            .ThenByDescending(row => row.Prediction?.Score ?? -1)
            .ThenByDescending(row => row.Finding.CvssScore ?? -1)
            .ThenBy(row => row.Finding.Package.Name, StringComparer.Ordinal)
            .ToList();
        var sources = SourcesOf(input, database);
        return new MatchReport
        {
            Input = input,
            Database = database,
            DatabaseFile = databaseFile,
            Now = now,
            Findings = sorted,
            Summary = match.Summary,
            FailOn = failOn,
            Hints = [.. HintsOf(input, match.Summary, database, databaseFile), .. HintsOf(failOn, sorted), .. GuessHints(input, sorted), .. AgeHints(sources, now)],
            EndedByRestart = kernels.Count,
            Uncheckable = UncheckableOf(match.Summary, systemCompared),
            Sources = sources,
        };
    }

    static string? UncheckableOf(MatchSummary summary, int systemCompared)
    {
        if (summary.Matched == 0) return "no package could be compared with any advisory";
        if (summary.Count(MatchOutcome.SystemNotCovered) is > 0 and var system)
            return $"{Words.Count(system, "package")} of the operating system could not be compared with any advisory";
        // Some repositories without advisories are normal, a system of which nothing was compared is not.
        foreach (var reason in (MatchOutcome[])[MatchOutcome.ProductNotCovered, MatchOutcome.OtherManager])
        {
            if (systemCompared == 0 && summary.Count(reason) is > 0 and var packages)
                return $"no package of the operating system could be compared: {Words.Count(packages, "package")}, {MatchWords.Explain(reason)}";
        }

        return null;
    }

    static IReadOnlyList<AdvisorySource> SourcesOf(MatchInput input, AdvisoryDatabase database)
    {
        var os = input.Inventory.Os;
        var products = Ecosystem.ProductsOf(os).ToHashSet(StringComparer.Ordinal);
        foreach (var manager in input.Inventory.Packages.Select(package => package.Manager).Distinct())
        {
            if (Ecosystem.ProductOf(manager) is { } product) products.Add(product);
        }

        // The repositories of Red Hat have products of their own.
        var hasCpes = os.IsRhel || input.Inventory.Packages.Any(package => package.Repository is { Cpes.Count: > 0 });
        var names = database.SourcesAbout(product => products.Contains(product) || (hasCpes && product.StartsWith("Red Hat:", StringComparison.Ordinal)));
        return [.. database.Sources.Where(source => source.Format is FeedName.Epss or FeedName.Kev || names.Contains(source.Name))];
    }

    static IEnumerable<string> GuessHints(MatchInput input, IEnumerable<MatchedFinding> findings)
    {
        var guessed = findings.Count(row => row.Counts && row.Finding.Bytes().IsGuess);
        if (guessed == 0) yield break;
        var how = input.Kind == "inventory" ? "give `guestmark-agent scan` the mapping with --repo-cpe-path" : "name Red Hat's repository-to-cpe.json with --repo-cpe-path";
        yield return $"{Words.Count(guessed, "finding")} {(guessed == 1 ? "rests" : "rest")} on a guess of the CPE of the package's repository: {how}";
    }

    static IEnumerable<string> AgeHints(IEnumerable<AdvisorySource> sources, DateTimeOffset now)
    {
        var old = sources.Where(source => now - (source.Newest ?? source.Imported) > TimeSpan.FromDays(OldDays)).ToList();
        if (old.Count == 0) yield break;
        var ages = old.Select(source => $"{source.Name} ({Words.Span(now - (source.Newest ?? source.Imported))})").ToList();
        yield return $"older than {OldDays} days: {Words.List(ages)}: `guestmark vulndb update` fetches what is new, or import newer files";
    }

    static IEnumerable<string> HintsOf(FailOn? failOn, IEnumerable<MatchedFinding> findings)
    {
        if (findings.Count(row => failOn?.IsUndecidedBy(row) == true) is > 0 and var count)
        {
            var others = string.Join(',', new[] { "any", failOn!.Fixable ? "fixable" : "", failOn.Exploited ? "exploited" : "" }.Where(word => word.Length > 0));
            yield return $"--fail-on {failOn.Text} leaves out {Words.Count(count, "finding")} of unknown severity: --fail-on {others} counts them too";
        }
    }

    static IEnumerable<string> HintsOf(MatchInput input, MatchSummary summary, AdvisoryDatabase database, string databaseFile)
    {
        if (database.Sources.Count == 0)
        {
            yield return $"{databaseFile} {(File.Exists(databaseFile) ? "is empty" : "is not there")}: fetch feeds with `guestmark vulndb update`, or import files with `guestmark vulndb import`";
            yield break;
        }

        var os = input.Inventory.Os;
        if (summary.Count(MatchOutcome.SystemNotCovered) > 0)
        {
            yield return os.IsUnknown ? $"nothing says which operating system {input.Name} is of: name it with --distro ID:VERSION"
                : os.VersionId.Length == 0 ? $"nothing says which version of {os.Id} {input.Name} is of: name it with --distro {os.Id}:VERSION, or {FeedFor(os)}"
                : $"the database has nothing about {os} ({os.Id}:{os.VersionId}){OtherReleases(os, database)}: {FeedFor(os)}; or name another system with --distro ID:VERSION";
        }

        if (summary.Count(MatchOutcome.ProductNotCovered) is > 0 and var products)
            yield return $"the database has nothing about the products of {Words.Count(products, "package")}: {FeedFor(os)}";
        if (summary.Count(MatchOutcome.LanguageNotCovered) is > 0 and var languages)
            yield return $"the database has nothing about the languages of {Words.Count(languages, "package")}: import their ecosystems from OSV, as `guestmark vulndb update osv/pypi`";
    }

    /// <summary>Which other releases of the system the database has: an update of the feed that has them does not help then.</summary>
    static string OtherReleases(OsRelease os, AdvisoryDatabase database)
    {
        if (Ecosystem.ProductsOf(os) is not [var product, ..] || product.LastIndexOf(':') is not (> 0 and var colon)) return "";
        var family = product[..(colon + 1)];
        var releases = database.Products.Where(known => known.StartsWith(family, StringComparison.Ordinal)).OrderBy(known => known.Length).ToList();
        return releases.Count == 0 ? "" : $", but about {Words.List(releases)}";
    }

    /// <summary>The feed that is about a system, as <c>guestmark vulndb update --list</c> names it.</summary>
    static string FeedFor(OsRelease os)
    {
        var feed = os.Id switch
        {
            "rhel" => "redhat-vex-feed",
            "almalinux" => "osv/almalinux",
            "rocky" => "osv/rocky-linux",
            "debian" => "debian-tracker",
            "ubuntu" => "osv/ubuntu",
            "alpine" => "osv/alpine",
            "sles" or "sled" or "sles_sap" => "osv/suse",
            "opensuse-leap" or "opensuse-tumbleweed" => "osv/opensuse",
            "wolfi" => "osv/wolfi",
            "chainguard" => "osv/chainguard",
            "mageia" => "osv/mageia",
            "openEuler" => "osv/openeuler",
            "azurelinux" or "mariner" => "osv/azure-linux",
            _ => null,
        };
        return os.Id switch
        {
            "centos" => "CentOS publishes no advisories: --distro almalinux:VERSION or rhel:VERSION matches it as a rebuild of the same packages",
            "ol" or "fedora" or "amzn" or "photon" => "import its vendor's OVAL or updateinfo.xml with `guestmark vulndb import`",
            _ => feed is null ? "import a feed of its vendor with `guestmark vulndb import`" : $"fetch its feed with `guestmark vulndb update {feed}`",
        };
    }
}

/// <summary>A report, and what of it is printed.</summary>
sealed record MatchShown(MatchReport Report, bool ShowsDecided)
{
    public IEnumerable<MatchedFinding> Findings => ShowsDecided ? Report.Findings : Report.Findings.Where(finding => !finding.IsDecided);
}

/// <summary>The words for values in documents, which programs rely on.</summary>
static class MatchWords
{
    public static string Of(Severity severity) => severity switch
    {
        Severity.Low => "low",
        Severity.Moderate => "moderate",
        Severity.Important => "important",
        Severity.Critical => "critical",
        _ => "unknown",
    };

    public static string Of(ProductStatus status) => status switch
    {
        ProductStatus.Fixed => "fixed",
        ProductStatus.Affected => "affected",
        ProductStatus.FixDeferred => "fix-deferred",
        ProductStatus.WillNotFix => "will-not-fix",
        ProductStatus.OutOfSupport => "out-of-support",
        ProductStatus.UnderInvestigation => "under-investigation",
        ProductStatus.NotAffected => "not-affected",
        _ => "unknown",
    };

    /// <summary>For people: <see cref="ProductStatus.Fixed"/> is a package that is not fixed, of which there is a fix.</summary>
    public static string Say(ProductStatus status) => status == ProductStatus.Fixed ? "fix available" : Of(status).Replace('-', ' ');

    /// <summary>Why the operator decided so, who, and until when, as far as it is known: <c>we never call it; by Ada; until 2027-01-31</c>.</summary>
    public static string Why(VexDecision decision)
    {
        var facts = new List<string>();
        if (decision.Reason.Length > 0) facts.Add(decision.Reason);
        else if (decision.Justification is { } justification) facts.Add(justification);
        if (decision.Author.Length > 0) facts.Add($"by {decision.Author}");
        if (decision.Expires is { } expires) facts.Add($"until {Words.Date(expires)}");
        return facts.Count == 0 ? decision.Id : string.Join("; ", facts);
    }

    public static string Of(DecisionStatus status) => status switch
    {
        DecisionStatus.NotAffected => "not-affected",
        DecisionStatus.Affected => "affected",
        DecisionStatus.Fixed => "fixed",
        DecisionStatus.UnderInvestigation => "under-investigation",
        _ => "unknown",
    };

    public static string Of(MatchOutcome outcome) => outcome switch
    {
        MatchOutcome.Matched => "matched",
        MatchOutcome.NotSoftware => "not-software",
        MatchOutcome.SystemNotCovered => "system-not-covered",
        MatchOutcome.LanguageNotCovered => "language-not-covered",
        MatchOutcome.OtherManager => "other-manager",
        MatchOutcome.ThirdParty => "third-party",
        MatchOutcome.ProductNotCovered => "product-not-covered",
        _ => "unknown",
    };

    /// <returns>Null when the package is no kernel.</returns>
    public static string? Of(KernelState kernel) => kernel switch
    {
        KernelState.Running => "running",
        KernelState.NotRunning => "not-running",
        KernelState.Unknown => "unknown",
        _ => null,
    };

    /// <summary>Why packages were not compared, for people.</summary>
    public static string Explain(MatchOutcome outcome) => outcome switch
    {
        MatchOutcome.NotSoftware => "a key or a source package",
        MatchOutcome.SystemNotCovered => "no advisories for the system in the database",
        MatchOutcome.LanguageNotCovered => "no advisories for the language in the database",
        MatchOutcome.OtherManager => "not of the system's package manager",
        MatchOutcome.ThirdParty => "not from the distribution",
        MatchOutcome.ProductNotCovered => "no advisories for the product in the database",
        _ => Of(outcome),
    };

    public static IReadOnlyList<Severity> Severities { get; } = [Severity.Critical, Severity.Important, Severity.Moderate, Severity.Low, Severity.Unknown];

    public static IReadOnlyList<ProductStatus> Statuses { get; } =
    [
        ProductStatus.Fixed, ProductStatus.Affected, ProductStatus.FixDeferred, ProductStatus.WillNotFix, ProductStatus.OutOfSupport,
        ProductStatus.UnderInvestigation, ProductStatus.NotAffected,
    ];

    public static IEnumerable<MatchOutcome> Reasons => Enum.GetValues<MatchOutcome>().Where(outcome => outcome != MatchOutcome.Matched);
}
