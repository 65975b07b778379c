namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Documents and entries of few different kinds, so that they meet each other often.</summary>
sealed class RandomContent(int seed)
{
    readonly Random _random = new(seed);

    public int Next(int below) => _random.Next(below);

    public T Pick<T>(params ReadOnlySpan<T> values) => values[_random.Next(values.Length)];

    public void Shuffle<T>(Span<T> values) => _random.Shuffle(values);

    public DateTimeOffset? Time() => _random.Next(5) is > 0 and var days ? DateTimeOffset.UnixEpoch.AddDays(days) : null;

    public string Feed() => Pick(FeedName.Osv, FeedName.RedHatVex);

    public string Id() => Pick("A-1", "A-2", "A-10", "Ä-3");

    public Advisory Advisory() => new()
    {
        Feed = Feed(),
        Id = Id(),
        Part = Pick("", "", "8", "9"),
        Cves = Texts("CVE-2024-1", "CVE-2024-2", "CVE-2024-1"),
        Summary = Pick("", "one", "two"),
        Severity = Pick(Severity.Unknown, Severity.Low, Severity.Critical),
        CvssScore = Pick<double?>(null, 5.5, 10),
        CvssVector = Pick<string?>(null, "CVSS:3.1/AV:N"),
        Published = Time(),
        Modified = Time(),
        Url = Pick<string?>(null, "https://example.com/1"),
        Statements = [.. Enumerable.Range(0, Next(5)).Select(_ => Statement())],
    };

    public ExploitPrediction Prediction() => new($"CVE-2024-{Next(4)}", Next(100) / 100f, 0.5f);

    public KnownExploited KnownExploited() =>
        new($"CVE-2024-{Next(4)}", new DateOnly(2024, 1, 1 + Next(9)), Pick<DateOnly?>(null, new DateOnly(2024, 2, 2)), Next(2) == 0, Pick("", "Patch."));

    public VexDecision Decision() => new()
    {
        Id = $"https://example.com/vex#{Next(3)}",
        Vulnerability = $"CVE-2024-{Next(3)}",
        Products = Texts("pkg:rpm/redhat/p", "pkg:deb/debian/q@1"),
        Status = Pick(DecisionStatus.NotAffected, DecisionStatus.Fixed),
        Justification = Pick<string?>(null, "vulnerable_code_not_present"),
        Reason = Pick("", "not reachable"),
        Author = "someone",
        Decided = DateTimeOffset.UnixEpoch.AddDays(Next(4)),
        Expires = Pick<DateTimeOffset?>(null, DateTimeOffset.UnixEpoch.AddDays(900)),
        Scope = Texts("prod/web-*", "test/*"),
    };

    PackageStatement Statement() => new()
    {
        Product = Pick("Debian:12", "Red Hat:enterprise_linux:9"),
        Name = Pick("p", "q", "python39:3.9"),
        Naming = Pick(PackageNaming.Binary, PackageNaming.Source, PackageNaming.Module),
        Status = Pick(ProductStatus.Fixed, ProductStatus.NotAffected, ProductStatus.WillNotFix),
        Intervals = [.. Enumerable.Range(0, Next(3)).Select(_ => Pick(VersionInterval.FixedIn("1-1"), VersionInterval.Exactly("2-1"), new("1", null, IntervalEnd.None)))],
        Cpe = Pick<string?>(null, "cpe:/o:redhat:enterprise_linux:9::baseos"),
        Architectures = Texts("x86_64", "aarch64"),
        Modules = Texts("nodejs:18"),
        Cve = Pick<string?>(null, null, "CVE-2024-1"),
        Severity = Pick(Severity.Unknown, Severity.Moderate),
        CvssScore = Pick<double?>(null, 0),
        Erratum = Pick<string?>(null, null, "RHSA-2024:1"),
        Remark = Pick<string?>(null, null, "Will not fix"),
    };

    string[] Texts(params string[] all) => [.. all.Where(_ => Next(2) == 0)];
}
