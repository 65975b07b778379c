using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class CsafDecisionsTests
{
    public const string Example =
        """
        { "document": { "category": "csaf_vex", "csaf_version": "2.0", "publisher": { "category": "user", "name": "Ops", "namespace": "https://example.com" },
            "title": "t", "tracking": { "id": "OPS-1", "status": "final", "version": "1", "current_release_date": "2026-01-02T03:04:05Z" },
            "notes": [ { "category": "other", "title": "guestmark:expires", "text": "2027-01-01" } ] },
          "product_tree": {
            "full_product_names": [
              { "product_id": "curl", "name": "curl", "product_identification_helper": { "purl": "pkg:rpm/redhat/curl" } },
              { "product_id": "web", "name": "our web server" } ],
            "branches": [ { "category": "vendor", "name": "v", "branches": [ { "category": "product_version", "name": "w",
              "product": { "product_id": "wget", "name": "wget", "product_identification_helper": { "purl": "pkg:rpm/redhat/wget@1.21.1-7.el9" } } } ] } ],
            "relationships": [ { "category": "default_component_of", "product_reference": "curl", "relates_to_product_reference": "web",
              "full_product_name": { "product_id": "web:curl", "name": "curl in web" } } ],
            "product_groups": [ { "group_id": "g", "product_ids": ["curl", "wget"] } ] },
          "vulnerabilities": [
            { "cve": "CVE-2023-1",
              "product_status": { "known_not_affected": ["curl", "wget"], "known_affected": ["web"] },
              "flags": [ { "label": "component_not_present", "date": "2026-02-01T00:00:00Z", "group_ids": ["g"] } ],
              "threats": [ { "category": "impact", "details": "It is not there.", "product_ids": ["curl"] } ] },
            { "cve": "CVE-2023-2", "ids": [ { "system_name": "x", "text": "X-2" } ],
              "product_status": { "fixed": ["web:curl"], "under_investigation": ["wget"] },
              "notes": [ { "category": "other", "title": "guestmark:scope", "text": "prod/*\nweb-?" } ] }
          ] }
        """;

    [Fact]
    public void Products_with_the_same_reasons_make_one_decision()
    {
        var feed = Read(Example);
        Assert.Equal(
            [
                "OPS-1#0.0 CVE-2023-1 NotAffected pkg:rpm/redhat/curl component_not_present 'It is not there.' 2026-02-01 - 2027-01-01",
                "OPS-1#0.1 CVE-2023-1 NotAffected pkg:rpm/redhat/wget@1.21.1-7.el9 component_not_present '' 2026-02-01 - 2027-01-01",
                "OPS-1#1.0 CVE-2023-2 Fixed pkg:rpm/redhat/curl  '' 2026-01-02 prod/*|web-? 2027-01-01",
                "OPS-1#1.0/X-2 X-2 Fixed pkg:rpm/redhat/curl  '' 2026-01-02 prod/*|web-? 2027-01-01",
                "OPS-1#1.1 CVE-2023-2 UnderInvestigation pkg:rpm/redhat/wget@1.21.1-7.el9  '' 2026-01-02 prod/*|web-? 2027-01-01",
                "OPS-1#1.1/X-2 X-2 UnderInvestigation pkg:rpm/redhat/wget@1.21.1-7.el9  '' 2026-01-02 prod/*|web-? 2027-01-01",
            ],
            feed.Decisions.Select(decision =>
                $"{decision.Id} {decision.Vulnerability} {decision.Status} {string.Join('|', decision.Products)} {decision.Justification} '{decision.Reason}' "
                + $"{decision.Decided:yyyy-MM-dd} {(decision.Scope.Count > 0 ? string.Join('|', decision.Scope) : "-")} {decision.Expires?.ToString("yyyy-MM-dd") ?? "-"}"));
        Assert.All(feed.Decisions, decision => Assert.Equal("Ops", decision.Author));
        var (path, reason) = Assert.Single(feed.Skipped);
        Assert.Equal("$.vulnerabilities[0].product_status.known_affected", path);
        Assert.Equal("product 'web' has no package URL in the product tree", reason);
    }

    [Fact]
    public void A_component_of_a_product_needs_a_scope()
    {
        var feed = Read(Example.Replace("guestmark:scope", "another note", StringComparison.Ordinal));
        Assert.DoesNotContain(feed.Decisions, decision => decision.Status == DecisionStatus.Fixed);
        Assert.Contains(feed.Skipped, skip => skip.Path == "$.vulnerabilities[1].product_status.fixed" && skip.Reason.Contains("give a scope", StringComparison.Ordinal));
    }

    [Fact]
    public void Not_affected_needs_a_flag_or_an_impact()
    {
        var feed = Read(Example.Replace("\"flags\"", "\"banners\"", StringComparison.Ordinal));
        Assert.Equal(["pkg:rpm/redhat/curl"], feed.Decisions.Where(decision => decision.Status == DecisionStatus.NotAffected).SelectMany(decision => decision.Products));
        Assert.Contains(feed.Skipped, skip => skip.Reason.Contains("without a justification", StringComparison.Ordinal));
    }

    [Fact]
    public void Another_version_is_refused()
    {
        var feed = Read(Example.Replace("\"2.0\"", "\"2.1\"", StringComparison.Ordinal));
        Assert.Empty(feed.Decisions);
        Assert.Contains("known version (2.0): '2.1'", Assert.Single(feed.Skipped).Reason, StringComparison.Ordinal);
    }

    static ReadFeed Read(string json) => ReadFeed.Of((document, bytes, sink) => CsafDecisions.Read(document, bytes, sink), json);
}
