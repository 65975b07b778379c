using Guestmark.Inventory;
using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class DecisionSetTests
{
    static readonly DateTimeOffset Now = new(2026, 6, 1, 0, 0, 0, TimeSpan.Zero);
    static readonly OsRelease Alma = new("almalinux", "9.4", "AlmaLinux 9.4");
    static readonly Package Curl = new() { Manager = PackageManager.Rpm, Name = "curl", Version = "7.76.1", Release = "29.el9", Architecture = "x86_64" };

    [Fact]
    public void The_latest_decision_counts_and_lifts_the_former()
    {
        var quiet = Decision("a", DecisionStatus.NotAffected) with { Decided = Now.AddDays(-3) };
        var investigation = Decision("b", DecisionStatus.UnderInvestigation) with { Decided = Now.AddDays(-2) };
        Assert.Same(quiet, Find(quiet));
        Assert.Same(investigation, Find(quiet, investigation));
        Assert.Same(investigation, Find(investigation, quiet));
    }

    [Fact]
    public void Of_two_decisions_at_one_time_the_later_statement_counts()
    {
        var ninth = Decision("https://example.com/vex/1#9", DecisionStatus.NotAffected);
        var tenth = Decision("https://example.com/vex/1#10", DecisionStatus.Affected);
        Assert.Same(tenth, Find(ninth, tenth));
        Assert.Same(tenth, Find(tenth, ninth));
    }

    [Fact]
    public void Of_two_decisions_with_one_id_the_later_replaces_the_other()
    {
        var former = Decision("a", DecisionStatus.NotAffected);
        var later = former with { Decided = Now, Vulnerability = "CVE-2024-9999" };
        Assert.Null(Find(former, later));
        Assert.Equal(1, new DecisionSet([later, former]).Count);
    }

    [Fact]
    public void An_expired_decision_gives_way_to_the_one_before()
    {
        var standing = Decision("a", DecisionStatus.Affected) with { Decided = Now.AddDays(-9) };
        var limited = Decision("b", DecisionStatus.NotAffected) with { Expires = Now };
        Assert.Same(standing, Find(standing, limited));
        Assert.Same(limited, new DecisionSet([standing, limited]).Find("CVE-2024-1111", [], Curl, Alma, "web-1", Now.AddTicks(-1)));
    }

    [Theory]
    [InlineData("prod/web-*", "prod/web-17", true)]
    [InlineData("prod/web-?", "prod/web-1", true)]
    [InlineData("prod/web-?", "prod/web-17", false)]
    [InlineData("*", "anything", true)]
    [InlineData("prod/*", "test/web-1", false)]
    [InlineData("prod/web-*", null, false)]
    [InlineData("[a-z]*", "web-1", false)]
    public void A_scope_is_for_the_machines_of_its_pattern(string pattern, string? machine, bool expected)
    {
        var decision = Decision("a", DecisionStatus.NotAffected) with { Scope = ["none", pattern] };
        Assert.Equal(expected, new DecisionSet([decision]).Find("CVE-2024-1111", [], Curl, Alma, machine, Now) is not null);
    }

    [Fact]
    public void A_product_that_cannot_be_read_is_not_all_packages()
    {
        Assert.Null(Find(Decision("a", DecisionStatus.NotAffected) with { Products = ["pkg:oci/ubi9"] }));
        Assert.Null(Find(Decision("a", DecisionStatus.NotAffected) with { Products = ["pkg:rpm/almalinux/wget"] }));
        Assert.NotNull(Find(Decision("a", DecisionStatus.NotAffected) with { Products = ["pkg:rpm/almalinux/wget", "pkg:rpm/almalinux/curl"] }));
        Assert.NotNull(Find(Decision("a", DecisionStatus.NotAffected) with { Products = [] }));
    }

    [Fact]
    public void A_finding_of_several_CVEs_is_decided_when_each_of_them_is()
    {
        var first = Decision("a", DecisionStatus.NotAffected) with { Vulnerability = "CVE-2024-1" };
        var second = Decision("b", DecisionStatus.UnderInvestigation) with { Vulnerability = "CVE-2024-2" };
        var advisory = Decision("c", DecisionStatus.Fixed) with { Vulnerability = "ALSA-2024:1", Decided = Now.AddDays(-9) };
        Assert.Null(Find(["CVE-2024-1", "CVE-2024-2"], first));
        // The doubt about one of them is a doubt about the finding.
        Assert.Same(second, Find(["CVE-2024-1", "CVE-2024-2"], first, second));
        Assert.Same(advisory, Find(["CVE-2024-2", "CVE-2024-3"], advisory));
        // The CVE was looked at after the advisory.
        Assert.Same(second, Find(["CVE-2024-2", "CVE-2024-3"], advisory, second));
        Assert.Same(first, Find(["cve-2024-1"], first));
        Assert.Null(Find([], first, second));

        static VexDecision? Find(string[] cves, params VexDecision[] decisions) =>
            new DecisionSet(decisions).Find("ALSA-2024:1", cves, Curl, Alma, "web-1", Now);
    }

    static VexDecision? Find(params VexDecision[] decisions) => new DecisionSet(decisions).Find("CVE-2024-1111", ["CVE-2024-1111"], Curl, Alma, "web-1", Now);

    static VexDecision Decision(string id, DecisionStatus status) => new()
    {
        Id = id,
        Vulnerability = "CVE-2024-1111",
        Products = ["pkg:rpm/almalinux/curl"],
        Status = status,
        Decided = Now.AddDays(-1),
    };
}
