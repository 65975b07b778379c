using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class CycloneDxVexTests
{
    public const string Example =
        """
        { "bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", "version": 1,
          "metadata": { "timestamp": "2026-01-02T03:04:05Z", "authors": [ { "name": "Ops" } ],
            "component": { "type": "operating-system", "bom-ref": "os", "name": "rhel" } },
          "components": [
            { "type": "library", "bom-ref": "c1", "name": "curl", "purl": "pkg:rpm/redhat/curl@7.76.1-29.el9?arch=x86_64",
              "components": [ { "type": "library", "bom-ref": "c2", "name": "log4j", "purl": "pkg:maven/org.apache/log4j?type=jar" } ] } ],
          "vulnerabilities": [
            { "id": "CVE-2023-1", "references": [ { "id": "GHSA-1" } ],
              "analysis": { "state": "not_affected", "justification": "protected_at_runtime", "response": ["will_not_fix"], "detail": "SELinux stops it.",
                            "firstIssued": "2026-02-01T00:00:00Z", "lastUpdated": "2026-03-01T00:00:00Z" },
              "affects": [ { "ref": "c1" }, { "ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#c2",
                "versions": [ { "version": "2.17.1", "status": "unaffected" }, { "version": "2.14.0", "status": "affected" } ] } ],
              "properties": [ { "name": "guestmark:scope", "value": "prod/*" }, { "name": "guestmark:expires", "value": "2027-01-01" } ] },
            { "id": "CVE-2023-2", "analysis": { "state": "in_triage" }, "affects": [ { "ref": "urn:cdx:0e671687-395b-41f5-a30f-a58921a69b79/1#pkg%3Anpm%2Fleft-pad%401.0" } ] },
            { "id": "CVE-2023-3", "affects": [ { "ref": "c1" } ] }
          ] }
        """;

    [Fact]
    public void An_analysis_becomes_a_decision_about_the_components_that_it_refers_to()
    {
        var feed = Read(Example);
        feed.AssertNothingSkipped();
        Assert.Equal(["CVE-2023-1", "GHSA-1", "CVE-2023-2"], feed.Decisions.Select(decision => decision.Vulnerability));
        var decision = feed.Decisions[0];
        Assert.Equal("urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79#0", decision.Id);
        Assert.Equal((DecisionStatus.NotAffected, "inline_mitigations_already_exist", "Ops"), (decision.Status, decision.Justification, decision.Author));
        // The version that is affected stays so.
        Assert.Equal(["pkg:rpm/redhat/curl@7.76.1-29.el9?arch=x86_64", "pkg:maven/org.apache/log4j@2.17.1?type=jar"], decision.Products);
        Assert.Equal("SELinux stops it.\n\njustification: protected_at_runtime\n\nresponse: will_not_fix", decision.Reason);
        Assert.Equal(["prod/*"], decision.Scope);
        Assert.Equal(new DateTimeOffset(2027, 1, 1, 0, 0, 0, TimeSpan.Zero), decision.Expires);
        Assert.Equal(new DateTimeOffset(2026, 3, 1, 0, 0, 0, TimeSpan.Zero), decision.Decided);
        Assert.Equal(["pkg:npm/left-pad@1.0"], feed.Decisions[2].Products);
        Assert.Equal(DecisionStatus.UnderInvestigation, feed.Decisions[2].Status);
    }

    [Theory]
    [InlineData("resolved", DecisionStatus.Fixed)]
    [InlineData("resolved_with_pedigree", DecisionStatus.Fixed)]
    [InlineData("exploitable", DecisionStatus.Affected)]
    [InlineData("in_triage", DecisionStatus.UnderInvestigation)]
    [InlineData("false_positive", DecisionStatus.NotAffected)]
    public void States_are_those_of_VEX(string state, DecisionStatus expected) =>
        Assert.Equal(expected, Assert.Single(Read(Document($$"""{ "state": "{{state}}" }""", """{ "ref": "pkg:rpm/redhat/curl" }""")).Decisions).Status);

    [Theory]
    [InlineData("code_not_present", "vulnerable_code_not_present")]
    [InlineData("code_not_reachable", "vulnerable_code_not_in_execute_path")]
    [InlineData("requires_configuration", "vulnerable_code_cannot_be_controlled_by_adversary")]
    [InlineData("protected_by_mitigating_control", "inline_mitigations_already_exist")]
    public void Justifications_are_those_of_VEX(string word, string expected) => Assert.Equal(
        expected, Assert.Single(Read(Document($$"""{ "state": "not_affected", "justification": "{{word}}" }""", """{ "ref": "pkg:rpm/redhat/curl" }""")).Decisions).Justification);

    [Theory]
    [InlineData("""{ "state": "not_affected" }""", "pkg:rpm/redhat/curl", "without a justification")]
    [InlineData("""{ "state": "not_affected", "justification": "luck" }""", "pkg:rpm/redhat/curl", "unknown justification 'luck'")]
    [InlineData("""{ "state": "fine" }""", "pkg:rpm/redhat/curl", "unknown status 'fine'")]
    [InlineData("""{ "state": "resolved" }""", "nowhere", "ref 'nowhere' names no component with a package URL")]
    [InlineData("""{ "state": "resolved" }""", "whole", "give a scope")]
    public void What_cannot_be_taken_as_it_is_meant_is_refused(string analysis, string reference, string reason)
    {
        var feed = Read(Document(analysis, $$"""{ "ref": "{{reference}}" }"""));
        Assert.Empty(feed.Decisions);
        Assert.Contains(feed.Skipped, skip => skip.Reason.Contains(reason, StringComparison.Ordinal));
    }

    [Fact]
    public void The_subject_of_the_document_is_all_packages_of_the_machines_in_scope()
    {
        var feed = Read(Document("""{ "state": "resolved" }""", """{ "ref": "whole" }""", """, "properties": [ { "name": "guestmark:scope", "value": "db-1" } ]"""));
        var decision = Assert.Single(feed.Decisions);
        Assert.Empty(decision.Products);
        Assert.Equal(["db-1"], decision.Scope);
    }

    [Fact]
    public void Another_version_is_refused()
    {
        var feed = Read(Example.Replace("1.6", "1.3", StringComparison.Ordinal));
        Assert.Empty(feed.Decisions);
        Assert.Contains("(1.4, 1.5, 1.6): '1.3'", Assert.Single(feed.Skipped).Reason, StringComparison.Ordinal);
    }

    static ReadFeed Read(string json) => ReadFeed.Of((document, bytes, sink) => CycloneDxVex.Read(document, bytes, sink), json);

    static string Document(string analysis, string affects, string more = "") =>
        $$"""
        { "bomFormat": "CycloneDX", "specVersion": "1.5",
          "metadata": { "timestamp": "2026-01-02T03:04:05Z", "component": { "type": "device", "bom-ref": "whole", "name": "m" } },
          "vulnerabilities": [ { "id": "CVE-2023-1", "analysis": {{analysis}}, "affects": [ {{affects}} ] {{more}} } ] }
        """;
}
