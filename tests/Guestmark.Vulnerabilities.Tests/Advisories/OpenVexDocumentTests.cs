using System.Text;
using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class OpenVexDocumentTests
{
    [Fact]
    public void A_statement_of_0_2_0_becomes_a_decision()
    {
        var feed = Read(Document(
            """
            {
              "vulnerability": { "@id": "https://nvd.nist.gov/vuln/detail/CVE-2023-38545", "name": "CVE-2023-38545", "aliases": ["GHSA-0000"] },
              "products": [ { "@id": "pkg:rpm/redhat/curl?distro=rhel-9" }, { "@id": "x:1", "identifiers": { "purl": "pkg:rpm/redhat/libcurl" } } ],
              "status": "not_affected",
              "justification": "vulnerable_code_not_in_execute_path",
              "impact_statement": "No SOCKS proxy is configured.",
              "status_notes": "Seen by the network team.\nguestmark:scope prod/web-*\nguestmark:scope prod/api-?\nguestmark:expires 2027-01-01",
              "timestamp": "2026-05-01T12:00:00+02:00"
            }
            """));
        feed.AssertNothingSkipped();
        Assert.Equal(["CVE-2023-38545", "GHSA-0000"], feed.Decisions.Select(decision => decision.Vulnerability));
        Assert.Equal(["https://example.com/vex/1#0", "https://example.com/vex/1#0/GHSA-0000"], feed.Decisions.Select(decision => decision.Id));
        var decision = feed.Decisions[0];
        Assert.Equal((DecisionStatus.NotAffected, "vulnerable_code_not_in_execute_path", "ops@example.com"), (decision.Status, decision.Justification, decision.Author));
        Assert.Equal(["pkg:rpm/redhat/curl?distro=rhel-9", "pkg:rpm/redhat/libcurl"], decision.Products);
        Assert.Equal("No SOCKS proxy is configured.\n\nSeen by the network team.", decision.Reason);
        Assert.Equal(["prod/web-*", "prod/api-?"], decision.Scope);
        Assert.Equal(new DateTimeOffset(2027, 1, 1, 0, 0, 0, TimeSpan.Zero), decision.Expires);
        Assert.Equal(new DateTimeOffset(2026, 5, 1, 10, 0, 0, TimeSpan.Zero), decision.Decided);
    }

    [Fact]
    public void A_statement_of_0_0_1_names_things_by_texts_and_takes_the_time_of_the_document()
    {
        var feed = Read(Document(
            """{ "vulnerability": "CVE-2023-1", "products": ["pkg:deb/debian/curl@7.88.1-10"], "status": "affected", "action_statement": "Update." }""",
            "https://openvex.dev/ns"));
        var decision = Assert.Single(feed.Decisions);
        Assert.Equal((DecisionStatus.Affected, "Update."), (decision.Status, decision.Reason));
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), decision.Decided);
        Assert.Null(decision.Expires);
        Assert.Empty(decision.Scope);
    }

    [Fact]
    public void What_the_importing_command_says_overrides_the_document()
    {
        var feed = new ReadFeed();
        var defaults = new DecisionDefaults { Scope = ["lab/*"], Expires = new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero), Author = "me" };
        OpenVexDocument.Read("vex.json", Encoding.UTF8.GetBytes(Document(NotAffected("""
            "status_notes": "guestmark:scope prod/*\nguestmark:expires 2027-01-01", "justification": "component_not_present"
            """))), feed, defaults);
        var decision = Assert.Single(feed.Decisions);
        Assert.Equal(["lab/*"], decision.Scope);
        Assert.Equal((defaults.Expires, "me"), (decision.Expires, decision.Author));
    }

    [Theory]
    [InlineData("""  "status_notes": "we think so" """, "without a justification or impact statement")]
    [InlineData("""  "justification": "because" """, "unknown justification 'because'")]
    [InlineData("""  "justification": "component_not_present", "status_notes": "guestmark:expire 2027-01-01" """, "unknown line in status_notes: 'guestmark:expire 2027-01-01'")]
    [InlineData("""  "justification": "component_not_present", "status_notes": "guestmark:expires soon" """, "guestmark:expires is no time: 'soon'")]
    [InlineData("""  "justification": "component_not_present", "status_notes": "guestmark:scope " """, "unknown line")]
    [InlineData("""  "justification": "component_not_present", "status_notes": "guestmark:scope:" """, "write 'guestmark:scope PATTERN', as in 'guestmark:scope prod/web-*', or 'guestmark:expires 2027-01-31'")]
    [InlineData("""  "justification": "component_not_present", "status_notes": "guestmark:scopes: prod/*" """, "unknown line in status_notes: 'guestmark:scopes: prod/*': write 'guestmark:scope PATTERN'")]
    [InlineData("""  "justification": "component_not_present", "status_notes": "guestmark:expires: soon" """, "guestmark:expires is no time: 'soon': write guestmark:expires 2027-01-31")]
    public void A_statement_that_would_hide_more_than_it_says_is_refused(string members, string reason)
    {
        var feed = Read(Document(NotAffected(members)));
        Assert.Empty(feed.Decisions);
        var (path, why) = Assert.Single(feed.Skipped);
        Assert.Equal("$.statements[0]", path);
        Assert.Contains(reason, why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("guestmark:scope: prod/web-*", "guestmark:expires: 2027-05-01T12:00:00Z")]
    [InlineData("guestmark:scope : prod/web-*", "guestmark:expires : 2027-05-01T12:00:00Z")]
    [InlineData("guestmark:scope:prod/web-*", "guestmark:expires:2027-05-01T12:00:00Z")]
    [InlineData("Guestmark:Scope\tprod/web-*", "GUESTMARK:EXPIRES 2027-05-01T12:00:00Z")]
    public void The_words_of_status_notes_may_have_a_colon_and_any_case(string scope, string expires)
    {
        var notes = $"{scope}\nSeen by ops.\n{expires}".Replace("\n", "\\n", StringComparison.Ordinal).Replace("\t", "\\t", StringComparison.Ordinal);
        var feed = Read(Document(NotAffected($""" "justification": "component_not_present", "status_notes": "{notes}" """)));
        feed.AssertNothingSkipped();
        var decision = Assert.Single(feed.Decisions);
        Assert.Equal(["prod/web-*"], decision.Scope);
        Assert.Equal(new DateTimeOffset(2027, 5, 1, 12, 0, 0, TimeSpan.Zero), decision.Expires);
        Assert.Equal("Seen by ops.", decision.Reason);
    }

    [Fact]
    public void A_component_of_a_product_needs_a_scope_that_says_where_the_product_is()
    {
        const string statement =
            """
            { "vulnerability": { "name": "CVE-2023-1" }, "status": "not_affected", "justification": "component_not_present",
              "products": [ { "@id": "pkg:oci/web@sha256:00", "subcomponents": [ { "@id": "pkg:rpm/redhat/curl" } ] } ] NOTES }
            """;
        var refused = Read(Document(statement.Replace("NOTES", "", StringComparison.Ordinal)));
        Assert.Empty(refused.Decisions);
        Assert.Contains("give a scope", Assert.Single(refused.Skipped).Reason, StringComparison.Ordinal);
        var taken = Read(Document(statement.Replace("NOTES", ", \"status_notes\": \"guestmark:scope web-*\"", StringComparison.Ordinal)));
        Assert.Equal(["pkg:rpm/redhat/curl"], Assert.Single(taken.Decisions).Products);
    }

    [Fact]
    public void A_product_that_cannot_be_compared_is_named_and_the_others_count()
    {
        var feed = Read(Document(
            """
            { "vulnerability": { "name": "CVE-2023-1" }, "status": "fixed",
              "products": [ { "@id": "pkg:oci/ubi9" }, { "@id": "pkg:rpm/redhat/curl" }, { "hashes": { "sha-256": "00" } } ] }
            """));
        Assert.Equal(["pkg:rpm/redhat/curl"], Assert.Single(feed.Decisions).Products);
        Assert.Equal(2, feed.Skipped.Count);
        Assert.Contains("packages of type oci", feed.Skipped[0].Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "@context": "https://openvex.dev/ns/v9.0.0" }""", "known version (0.2.0, 0.0.1): 'https://openvex.dev/ns/v9.0.0'")]
    [InlineData("""{ "@context": "https://openvex.dev/ns/v0.2.0", "@id": "a" }""", "there are none")]
    [InlineData("""[]""", "no JSON object")]
    [InlineData("""{ "@context": """, "not valid JSON")]
    [InlineData("""{ "@context": "\ud800" }""", "unpaired surrogate")]
    public void Another_document_is_refused_with_the_reason(string json, string reason)
    {
        var feed = Read(json);
        Assert.Empty(feed.Decisions);
        Assert.Contains(reason, Assert.Single(feed.Skipped).Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("openvex")]
    [InlineData("cyclonedx")]
    [InlineData("csaf")]
    [Trait("Category", "Fuzz")]
    public void A_damaged_document_never_throws_and_never_widens_to_all_packages(string format)
    {
        var whole = Encoding.UTF8.GetBytes(format switch
        {
            "openvex" => Document(NotAffected("""
                "justification": "component_not_present", "status_notes": "x\nguestmark:scope a*\nguestmark:expires 2030-01-01"
                """)),
            "cyclonedx" => CycloneDxVexTests.Example,
            _ => CsafDecisionsTests.Example,
        });
        var read = 0;
        for (var seed = 0; seed < FuzzInputs.Count(2000); seed++)
        {
            var feed = new ReadFeed();
            var json = FuzzInputs.Mutate(whole, new Random(seed));
            if (format == "openvex") OpenVexDocument.Read("vex.json", json, feed);
            else if (format == "cyclonedx") CycloneDxVex.Read("vex.json", json, feed);
            else CsafDecisions.Read("vex.json", json, feed);
            read += feed.Decisions.Count;
            Assert.All(feed.Decisions, decision => Assert.NotEmpty(decision.Products));
        }

        Assert.NotEqual(0, read);
    }

    static ReadFeed Read(string json) => ReadFeed.Of((document, bytes, sink) => OpenVexDocument.Read(document, bytes, sink), json);

    static string NotAffected(string members) =>
        $$"""{ "vulnerability": { "name": "CVE-2023-1" }, "products": [ { "@id": "pkg:rpm/redhat/curl" } ], "status": "not_affected", {{members}} }""";

    static string Document(string statement, string context = "https://openvex.dev/ns/v0.2.0") =>
        $$"""
        { "@context": "{{context}}", "@id": "https://example.com/vex/1", "author": "ops@example.com", "timestamp": "2026-01-02T03:04:05Z",
          "version": 1, "statements": [ {{statement}} ] }
        """;
}
