using System.Text;
using System.Text.Json.Nodes;
using Guestmark.TestKit;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class OsvDocumentTests
{
    static readonly DateTimeOffset Modified = new(2024, 1, 2, 3, 4, 5, TimeSpan.Zero);

    static PackageStatement Statement(JsonNode document) => Assert.Single(Assert.Single(Osv.Read(document).Advisories).Statements);

    static JsonObject Affected(string ecosystem, string name, string ranges) => new()
    {
        ["package"] = new JsonObject { ["ecosystem"] = ecosystem, ["name"] = name },
        ["ranges"] = JsonNode.Parse(ranges),
    };

    [Theory]
    [InlineData("1.7.3", true)]
    [InlineData("2.0.0", false)]
    public void A_version_of_the_schema_that_is_not_known_is_named(string version, bool isRead)
    {
        var record = Osv.Read(Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "2-1")).With("schema_version", version));
        Assert.Equal(isRead ? 1 : 0, record.Advisories.Count);
        if (!isRead) Assert.Equal(["$.schema_version is 2.0.0, read are 0.x and 1.x"], record.Skipped);
    }

    [Fact]
    public void A_document_becomes_an_advisory_with_a_statement_for_the_package()
    {
        var document = Osv.Document("ALSA-2024:1", "AlmaLinux:8", "curl", ("introduced", "0"), ("fixed", "7.61.1-34.el8"))
            .With("references", JsonNode.Parse("""[{"type": "WEB", "url": "https://a.example"}, {"url": "https://b.example", "type": "ADVISORY"}]"""));
        var advisory = Assert.Single(Osv.Read(document).Advisories);
        Assert.Equal(
            new Advisory
            {
                Feed = "osv",
                Id = "ALSA-2024:1",
                Part = "AlmaLinux:8",
                Summary = "Important: test security update",
                Severity = Severity.Important,
                Published = new DateTimeOffset(2024, 1, 1, 0, 0, 0, TimeSpan.Zero),
                Modified = Modified,
                Url = "https://b.example",
                Cves = advisory.Cves,
                Statements = advisory.Statements,
            },
            advisory);
        Assert.Equal(["CVE-2024-0001"], advisory.Cves);
        var statement = Assert.Single(advisory.Statements);
        Assert.Equal(("AlmaLinux:8", "curl", PackageNaming.Binary, ProductStatus.Fixed), (statement.Product, statement.Name, statement.Naming, statement.Status));
        Assert.Equal([VersionInterval.FixedIn("7.61.1-34.el8")], statement.Intervals);
        Assert.Empty(statement.Modules);
    }

    [Fact]
    public void Members_may_come_in_any_order_and_escaped()
    {
        const string json = """
            {"affected": [{"ranges": [{"events": [{"fixed": "2-1"}, {"introduced": "0"}], "type": "ECOSYSTEM"}],
              "package": {"name": "p\u0061ckage", "ecosystem": "AlmaLinux:8"}}],
             "summ\u0061ry": "Low: a\ttext", "modified": "2024-01-02T03:04:05Z", "unknown": {"affected": [1, {}]}, "i\u0064": "TEST-1"}
            """;
        var advisory = Assert.Single(Osv.Read(Encoding.UTF8.GetBytes(json)).Advisories);
        Assert.Equal(("TEST-1", "Low: a\ttext", Severity.Low), (advisory.Id, advisory.Summary, advisory.Severity));
        var statement = Assert.Single(advisory.Statements);
        Assert.Equal("package", statement.Name);
        Assert.Equal([VersionInterval.FixedIn("2-1")], statement.Intervals);
        Assert.Single(Osv.Read((byte[])[0xEF, 0xBB, 0xBF, .. Encoding.UTF8.GetBytes(json)]).Advisories);
    }

    [Theory]
    [InlineData("""[{"introduced": "0"}]""", "[,)")]
    [InlineData("""[{"introduced": "1-1"}]""", "[1-1,)")]
    [InlineData("""[{"introduced": "0"}, {"fixed": "2-1"}]""", "[,2-1)")]
    [InlineData("""[{"introduced": "0"}, {"last_affected": "2-1"}]""", "[,2-1]")]
    [InlineData("""[{"introduced": "1-1"}, {"fixed": "2-1"}]""", "[1-1,2-1)")]
    [InlineData("""[{"fixed": "2-1"}, {"introduced": "1-1"}]""", "[1-1,2-1)")]
    [InlineData("""[{"introduced": "10-1"}, {"fixed": "9-1"}]""", "[10-1,)")]
    [InlineData("""[{"introduced": "1-1"}, {"last_affected": "1-1"}]""", "[1-1,1-1]")]
    [InlineData("""[{"introduced": "1-1"}, {"fixed": "1-1"}]""", "[1-1,)")]
    [InlineData("""[{"introduced": "3-1"}, {"fixed": "4-1"}, {"introduced": "0"}, {"fixed": "2-1"}]""", "[,2-1) [3-1,4-1)")]
    [InlineData("""[{"introduced": "0", "fixed": "2-1"}]""", "[,2-1)")]
    [InlineData("""[{"introduced": "0"}, {"fixed": "2-1"}, {"fixed": "3-1"}]""", "[,2-1)")]
    [InlineData("""[{"fixed": "3-1"}]""", "")]
    public void Events_are_taken_in_the_order_of_versions(string events, string expected)
    {
        var document = Osv.Document("TEST-1", "Debian:12", "p").With(
            "affected", new JsonArray(Affected("Debian:12", "p", $$"""[{"type": "ECOSYSTEM", "events": {{events}}}]""")));
        var statements = Osv.Read(document).Advisories.SelectMany(advisory => advisory.Statements);
        Assert.Equal(expected, string.Join(' ', statements.SelectMany(statement => statement.Intervals).Select(interval =>
            $"[{interval.Introduced},{interval.End}{(interval.Kind == IntervalEnd.LastAffected ? ']' : ')')}")));
    }

    [Fact]
    public void What_has_no_fix_is_affected_apart_from_what_has_one()
    {
        var document = Osv.Document("TEST-1", "Debian:12", "p").With("affected", new JsonArray(Affected(
            "Debian:12", "p", """[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2-1"}, {"introduced": "3-1"}]}]""")));
        var statements = Assert.Single(Osv.Read(document).Advisories).Statements;
        Assert.Equal([ProductStatus.Fixed, ProductStatus.Affected], statements.Select(statement => statement.Status));
        Assert.Equal([VersionInterval.FixedIn("2-1")], statements[0].Intervals);
        Assert.Equal([new VersionInterval("3-1", null, IntervalEnd.None)], statements[1].Intervals);
        Assert.All(statements, statement => Assert.Equal(PackageNaming.Source, statement.Naming));
    }

    [Fact]
    public void Versions_count_only_where_no_range_is()
    {
        var document = Osv.Document("TEST-1", "Debian:12", "p", ("introduced", "0"), ("fixed", "3-1"));
        document["affected"]![0]!["versions"] = new JsonArray("1-1", "2-1");
        Assert.Equal([VersionInterval.FixedIn("3-1")], Statement(document).Intervals);
        document["affected"]![0]!["ranges"]![0]!["type"] = "GIT";
        var record = Osv.Read(document);
        Assert.Equal(
            [VersionInterval.Exactly("1-1"), VersionInterval.Exactly("2-1")],
            Assert.Single(Assert.Single(record.Advisories).Statements).Intervals);
        Assert.Equal(1, record.LeftOut["range GIT"]);
    }

    [Fact]
    public void Of_rebuilds_of_an_rpm_the_oldest_decides_and_modular_ones_are_apart()
    {
        string[] builds = ["3.6.8-41.el8.alma", "3.6.8-41.el8", "3.6.8-40.module_el8.5.0+2613+1b78b731", "3.6.8-39.module_el8.6.0+2877+8e437bf5"];
        var affected = new JsonArray();
        foreach (var build in builds)
            affected.Add(Affected("AlmaLinux:8", "p", $$"""[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "{{build}}"}]}]"""));
        var document = Osv.Document("TEST-1", "AlmaLinux:8", "p").With("affected", affected).With("summary", "Important: python3:3.6 security update");
        var statements = Assert.Single(Osv.Read(document).Advisories).Statements;
        Assert.Equal(2, statements.Count);
        Assert.Equal([VersionInterval.FixedIn("3.6.8-41.el8")], statements[0].Intervals);
        Assert.Empty(statements[0].Modules);
        Assert.Equal([VersionInterval.FixedIn("3.6.8-39.module_el8.6.0+2877+8e437bf5")], statements[1].Intervals);
        Assert.Equal(["python3:3.6"], statements[1].Modules);

        // Of Debian each range counts.
        document = Osv.Document("TEST-1", "Debian:12", "p").With("affected", new JsonArray(
            Affected("Debian:12", "p", """[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2-1"}]}]"""),
            Affected("Debian:12", "p", """[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1-1"}]}]""")));
        Assert.Equal([VersionInterval.FixedIn("2-1"), VersionInterval.FixedIn("1-1")], Statement(document).Intervals);
    }

    [Fact]
    public void A_module_is_taken_from_the_package_url_or_the_vendors_member()
    {
        var document = Osv.Document("TEST-1", "Red Hat:enterprise_linux:8::appstream", "python39", ("introduced", "0"), ("fixed", "0:3.9.19-7.module+el8.10.0+1+a"));
        document["affected"]![0]!["package"]!["purl"] = "pkg:rpm/redhat/python39?arch=x86_64&rpmmod=python39%3A3.9%3A8100020240826142629%3Ad47b87a4";
        Assert.Equal(["python39:3.9"], Statement(document).Modules);
        document["affected"]![0]!["package"]!["purl"] = "pkg:rpm/redhat/python39";
        Assert.Empty(Statement(document).Modules);
        document["affected"]![0]!["ecosystem_specific"] = new JsonObject { ["module"] = "python39:3.9" };
        Assert.Equal(["python39:3.9"], Statement(document).Modules);
    }

    [Theory]
    [InlineData("Red Hat:rhel_eus:9.2::appstream", "Red Hat:rhel_eus:9.2", "cpe:/a:redhat:rhel_eus:9.2::appstream")]
    [InlineData("Red Hat:enterprise_linux:9::baseos", "Red Hat:enterprise_linux:9", "cpe:/o:redhat:enterprise_linux:9::baseos")]
    [InlineData("Red Hat:enterprise_linux:7::server", "Red Hat:enterprise_linux:7", "cpe:/o:redhat:enterprise_linux:7::server")]
    [InlineData("Red Hat:ocp_tools:4.15::el9", "Red Hat:ocp_tools:4.15", "cpe:/a:redhat:ocp_tools:4.15::el9")]
    public void Red_Hats_ecosystems_are_cpes(string ecosystem, string product, string cpe)
    {
        var statement = Statement(Osv.Document("RHSA-2024:1", ecosystem, "p", ("introduced", "0"), ("fixed", "1-1")));
        Assert.Equal((product, cpe), (statement.Product, statement.Cpe));
    }

    [Fact]
    public void Statements_of_two_channels_keep_their_cpes()
    {
        var document = Osv.Document("RHSA-2024:1", "Red Hat:enterprise_linux:9::baseos", "p", ("introduced", "0"), ("fixed", "1-1"));
        document["affected"]!.AsArray().Add(
            Affected("Red Hat:enterprise_linux:9::appstream", "p", """[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1-1"}]}]"""));
        Assert.Equal(
            ["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/a:redhat:enterprise_linux:9::appstream"],
            Assert.Single(Osv.Read(document).Advisories).Statements.Select(statement => statement.Cpe));
    }

    [Fact]
    public void An_unknown_ecosystem_or_a_product_without_name_is_left_out()
    {
        foreach (var ecosystem in (string[])["Hackagex:1", "Red Hat", "Red Hat:"])
        {
            var record = Osv.Read(Osv.Document("TEST-1", ecosystem, "p", ("introduced", "0")));
            Assert.Empty(record.Advisories);
            Assert.Empty(record.Skipped);
            Assert.Equal(1, record.LeftOut[$"ecosystem {ecosystem}"]);
            // A former version of the document may be stored.
            Assert.Equal([("TEST-1", Modified)], record.Withdrawn);
        }
    }

    [Fact]
    public void Only_AlmaLinux_has_parts_and_only_where_the_document_is_for_one_release()
    {
        Assert.Equal("AlmaLinux:9", Assert.Single(Osv.Read(Osv.Document("ALSA-1", "AlmaLinux:9", "p", ("introduced", "0"))).Advisories).Part);
        Assert.Equal("", Assert.Single(Osv.Read(Osv.Document("RLSA-1", "Rocky Linux:9", "p", ("introduced", "0"))).Advisories).Part);
        var both = Osv.Document("ALSA-1", "AlmaLinux:9", "p", ("introduced", "0"));
        both["affected"]!.AsArray().Add(Affected("AlmaLinux:8", "p", """[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]"""));
        Assert.Equal("", Assert.Single(Osv.Read(both).Advisories).Part);
    }

    [Fact]
    public void Cves_are_taken_from_id_aliases_related_and_upstream()
    {
        var document = Osv.Document("DEBIAN-CVE-2024-0004", "Debian:12", "p", ("introduced", "0"))
            .With("aliases", new JsonArray("CVE-2024-0003", "GHSA-crqm-pwhx-j97f"))
            .With("upstream", new JsonArray("CVE-2024-0002", "CVE-2024-0001", "CVE-24-1", "UBUNTU-CVE-2024-0009"));
        Assert.Equal(
            ["CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003", "CVE-2024-0004"],
            Assert.Single(Osv.Read(document).Advisories).Cves.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("Critical: x", null, null, Severity.Critical)]
    [InlineData("x: y", "HIGH", null, Severity.Important)]
    [InlineData("x", "medium", null, Severity.Moderate)]
    [InlineData("x", "not yet assigned", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity.Critical)]
    [InlineData("Low: x", null, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity.Low)]
    [InlineData("x", null, "CVSS:3.1/AV:N", Severity.Unknown)]
    [InlineData("", null, null, Severity.Unknown)]
    public void Severity_is_the_vendors_word_before_the_score(string summary, string? word, string? vector, Severity expected)
    {
        var document = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).With("summary", summary);
        if (word is not null) document["affected"]![0]!["database_specific"] = new JsonObject { ["severity"] = word };
        if (vector is not null) document["severity"] = new JsonArray(new JsonObject { ["type"] = "CVSS_V3", ["score"] = vector });
        var advisory = Assert.Single(Osv.Read(document).Advisories);
        Assert.Equal(expected, advisory.Severity);
        Assert.Equal(vector, advisory.CvssVector);
    }

    [Theory]
    [InlineData("severity", "critical")]
    [InlineData("urgency", "critical")]
    [InlineData("priority", "critical")]
    [InlineData("ubuntu_priority", "critical")]
    public void A_word_of_one_package_is_that_packages_severity_and_the_worst_is_the_documents(string member, string word)
    {
        var document = Osv.Document("TEST-1", "Ubuntu:22.04:LTS", "a", ("introduced", "0")).With("summary", "x");
        document["affected"]!.AsArray().Add(Affected("Ubuntu:20.04:LTS", "a", """[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]"""));
        document["affected"]![0]!["severity"] = JsonNode.Parse("""[{"type": "Ubuntu", "score": "negligible"}]""");
        document["affected"]![1]!["ecosystem_specific"] = new JsonObject { [member] = word, ["binaries"] = new JsonArray() };
        var advisory = Assert.Single(Osv.Read(document).Advisories);
        Assert.Equal([Severity.Low, Severity.Critical], advisory.Statements.Select(statement => statement.Severity));
        Assert.Equal(Severity.Critical, advisory.Severity);
    }

    [Fact]
    public void Of_several_vectors_version_3_is_taken_and_one_that_is_no_vector_last()
    {
        var document = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).With("summary", "x").With("severity", JsonNode.Parse(
            """
            [{"type": "CVSS_V4", "score": "CVSS:4.0/nonsense"},
             {"type": "CVSS_V3", "score": "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:N"}, {"type": "CVSS_V2", "score": "nonsense"}]
            """));
        var advisory = Assert.Single(Osv.Read(document).Advisories);
        Assert.Equal(("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:N", 4.4, Severity.Moderate), (advisory.CvssVector, advisory.CvssScore, advisory.Severity));
    }

    [Theory]
    [InlineData("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3, Severity.Critical)]
    [InlineData("CVSS_V2", "AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5, Severity.Important)]
    [InlineData("CVSS_V3", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O", 9.8, Severity.Critical)]
    [InlineData("CVSS_V2", "AV:N/AC:L", null, Severity.Unknown)]
    public void A_vector_of_any_version_has_its_base_score(string type, string vector, double? score, Severity severity)
    {
        var document = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).With("summary", "x")
            .With("severity", new JsonArray(new JsonObject { ["type"] = type, ["score"] = vector }));
        var advisory = Assert.Single(Osv.Read(document).Advisories);
        Assert.Equal((vector, score, severity), (advisory.CvssVector, advisory.CvssScore, advisory.Severity));
        // Of one package it is the package's, and the document's when that has none.
        document["affected"]![0]!["severity"] = document["severity"]!.DeepClone();
        document.Remove("severity");
        advisory = Assert.Single(Osv.Read(document).Advisories);
        Assert.Equal((vector, score), (advisory.CvssVector, advisory.CvssScore));
        Assert.Equal((vector, score), (advisory.Statements[0].CvssVector, advisory.Statements[0].CvssScore));
    }

    [Theory]
    [InlineData("PyPI", "ECOSYSTEM", "Zope.Interface", "zope-interface", "5.0rc1", "5.0")]
    [InlineData("NuGet", "ECOSYSTEM", "Newtonsoft.Json", "newtonsoft.json", "12.0.0-beta1", "12.0.0")]
    [InlineData("npm", "SEMVER", "@scope/JSONStream", "@scope/JSONStream", "1.0.0-rc.1", "1.0.0")]
    [InlineData("Go", "SEMVER", "golang.org/x/net", "golang.org/x/net", "0.9.0", "0.17.0")]
    [InlineData("crates.io", "SEMVER", "serde_yaml", "serde_yaml", "0.8.3", "0.8.23")]
    [InlineData("Maven", "ECOSYSTEM", "org.apache:log4j", "org.apache:log4j", "2.0-beta9", "2.15.0")]
    [InlineData("RubyGems", "ECOSYSTEM", "rails", "rails", "7.0.0.alpha", "7.0.0")]
    public void Packages_of_languages_have_their_registrys_name_and_their_ranges_its_order(
        string ecosystem, string type, string name, string stored, string introduced, string end)
    {
        // The other way round, so that the order of versions decides.
        var document = Osv.Document("GHSA-crqm-pwhx-j97f", ecosystem, name, ("fixed", end), ("introduced", introduced));
        document["affected"]![0]!["ranges"]![0]!["type"] = type;
        var statement = Statement(document);
        Assert.Equal((ecosystem, stored, PackageNaming.Binary), (statement.Product, statement.Name, statement.Naming));
        Assert.Equal([new VersionInterval(introduced, end, IntervalEnd.Fixed)], statement.Intervals);
    }

    [Theory]
    [InlineData(298, "")]
    [InlineData(10, "\\u00e9")]
    [InlineData(100_000, "\\\\")]
    public void A_missing_summary_is_the_first_line_of_the_details_cut(int length, string escape)
    {
        // Before the pair of surrogates in the first case, within a text of megabytes in the last.
        var json = $$"""
            {"id": "TEST-1", "modified": "2024-01-02T03:04:05Z", "details": "\n {{escape}}{{new string('x', length)}}\ud83d\ude00 more\nsecond line",
             "affected": [{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]}
            """;
        var text = escape switch { "" => "", "\\u00e9" => "é", _ => "\\" };
        var whole = $"{text}{new string('x', length)}\U0001F600 more";
        var expected = whole.Length <= 300 ? whole : $"{whole[..(length == 298 ? 298 : 299)]}…";
        Assert.Equal(expected, Assert.Single(Osv.Read(Encoding.UTF8.GetBytes(json)).Advisories).Summary);
    }

    [Fact]
    public void A_withdrawn_document_takes_back_its_id_whatever_else_is_in_it()
    {
        var withdrawn = Osv.Document("TEST-1", "AlmaLinux:8", "p").With("withdrawn", "2024-02-01T00:00:00Z").With("affected", null).With("severity", 5);
        var record = Osv.Read(withdrawn);
        Assert.Equal([("TEST-1", Modified)], record.Withdrawn);
        Assert.Equal(1, record.LeftOut["withdrawn"]);
        Assert.Empty(record.Advisories);
        Assert.Empty(record.Skipped);
        // But its id and time must be readable.
        Assert.Equal(["$.modified is not a time"], Osv.Read(withdrawn.With("modified", "yesterday")).Skipped);

        var valid = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"));
        withdrawn = Osv.Document("TEST-1", "AlmaLinux:8", "p").With("withdrawn", "2024-02-01T00:00:00Z").With("modified", "2024-02-01T00:00:00Z");
        var republished = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).With("modified", "2024-03-01T00:00:00Z");
        Assert.Equal(0, Osv.Database(valid, withdrawn).AdvisoryCount);
        Assert.Equal(0, Osv.Database(withdrawn, valid).AdvisoryCount);
        Assert.Equal(1, Osv.Database(withdrawn, republished, valid).AdvisoryCount);
    }

    [Theory]
    [InlineData("ALBA-2024:1")]
    [InlineData("RHEA-2024:1")]
    [InlineData("RLBA-2024:1")]
    public void A_bug_fix_without_a_cve_is_no_vulnerability_and_replaces_one_that_was(string id)
    {
        var document = Osv.Document(id, "AlmaLinux:8", "p", ("introduced", "0"));
        Assert.Single(Osv.Read(document).Advisories);
        var record = Osv.Read(document.With("related", new JsonArray()));
        Assert.Empty(record.Advisories);
        Assert.Equal(1, record.LeftOut["no vulnerability"]);
        Assert.Equal([(id, Modified)], record.Withdrawn);
    }

    [Fact]
    public void Null_stands_for_an_absent_description()
    {
        var document = Osv.Document("CVE-2024-0009", "AlmaLinux:8", "p", ("introduced", "0"));
        foreach (var field in (string[])["aliases", "related", "severity", "references", "summary", "published", "withdrawn", "database_specific"])
            document[field] = null;
        Assert.Equal(["CVE-2024-0009"], Assert.Single(Osv.Read(document).Advisories).Cves);
    }

    [Theory]
    [InlineData("affected", "{}", "$.affected is an object, not an array")]
    [InlineData("affected", "5", "$.affected is a number (5), not an array")]
    [InlineData("affected", "null", "$.affected is null, not an array")]
    [InlineData("affected", "[null]", "$.affected[0] is null, not an object")]
    [InlineData("affected", """[{"package": null}]""", "$.affected[0].package is null, not an object")]
    [InlineData("affected", """[{"package": "p"}]""", "$.affected[0].package is a string, not an object")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": 5}}]""", "$.affected[0].package.name is a number (5), not a string")]
    [InlineData("affected", """[{"package": {"ecosystem": [], "name": "p"}}]""", "$.affected[0].package.ecosystem is an array, not a string")]
    [InlineData("affected", """[{"package": {"name": "p"}}]""", "$.affected[0].package.ecosystem is absent")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": ""}}]""", "$.affected[0].package.name is empty")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": null}]""", "$.affected[0].ranges is null, not an array")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [[]]}]""", "$.affected[0].ranges[0] is an array, not an object")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{}]}]""", "$.affected[0].ranges[0].type is absent")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM"}]}]""", "$.affected[0].ranges[0].events is absent")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": {}}]}]""", "$.affected[0].ranges[0].events is an object, not an array")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": 1e999}]}]}]""", "$.affected[0].ranges[0].events[0].introduced is a number (1e999), not a string")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": ""}]}]}]""", "$.affected[0].ranges[0].events[1].fixed is empty")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "versions": "1-1"}]""", "$.affected[0].versions is a string, not an array")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "versions": ["1-1", 2]}]""", "$.affected[0].versions[1] is a number (2), not a string")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "database_specific": 7}]""", "$.affected[0].database_specific is a number (7), not an object")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "severity": [3]}]""", "$.affected[0].severity[0] is a number (3), not an object")]
    [InlineData("withdrawn", "false", "$.withdrawn is true or false, not a string")]
    [InlineData("modified", "5", "$.modified is a number (5), not a string")]
    [InlineData("id", "{}", "$.id is an object, not a string")]
    [InlineData("related", "\"CVE-2024-0001\"", "$.related is a string, not an array")]
    [InlineData("aliases", "[null]", "$.aliases[0] is null, not a string")]
    [InlineData("severity", "{}", "$.severity is an object, not an array")]
    [InlineData("references", "[5]", "$.references[0] is a number (5), not an object")]
    [InlineData("summary", "[]", "$.summary is an array, not a string")]
    public void A_document_with_a_field_of_a_wrong_type_is_skipped_and_names_it(string field, string json, string reason)
    {
        var record = Osv.Read(Osv.Document("TEST-2", "AlmaLinux:8", "p", ("introduced", "0")).With(field, JsonNode.Parse(json)));
        Assert.Equal([reason], record.Skipped);
        Assert.Empty(record.Advisories);
        Assert.Empty(record.Withdrawn);
    }

    [Theory]
    [InlineData("[]", "$ is an array, not an object")]
    [InlineData("""{"modified": "2024-01-01T00:00:00Z"}""", "$.id is absent: no OSV document")]
    [InlineData("""{"id": "TEST-2"}""", "$.modified is absent: no OSV document")]
    [InlineData("""{"id": "\ud800", "modified": "2024-01-01T00:00:00Z"}""", "$.id is not valid UTF-8 or has an unpaired surrogate")]
    [InlineData("""{"id": "TEST-3", "modified": "yesterday"}""", "$.modified is not a time")]
    [InlineData("""{"id": "TEST-3", "modified": "2024-01-01T00:00:00Z", "id": "TEST-4"}""", "$.id occurs twice")]
    [InlineData("""{"id": "TEST-3", "modified": "2024-01-01T00:00:00Z", "affected": [], "affected": []}""", "$.affected occurs twice")]
    [InlineData("""{"id": "TEST-3", "modified": "2024-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "PyPI", "name": "a", "name": "b"}}]}""", "$.affected[0].package.name occurs twice")]
    public void A_document_that_says_nothing_or_two_things_is_skipped(string json, string reason) =>
        Assert.Equal([reason], Osv.Read(Encoding.UTF8.GetBytes(json)).Skipped);

    [Theory]
    [InlineData("")]
    [InlineData("""{"id": "TEST-2", "modified": """)]
    [InlineData("""{"id": "TEST-2", "modified": "2024-01-01T00:00:00Z"} {}""")]
    [InlineData("""{"id": "TEST-2", "modified": "2024-01-01T00:00:00Z", "affected": 1.}""")]
    public void What_is_no_JSON_is_skipped_as_a_whole(string json) =>
        Assert.StartsWith(" not valid JSON: ", Assert.Single(Osv.Read(Encoding.UTF8.GetBytes(json)).Skipped));

    [Fact]
    public void A_document_of_a_hundred_thousand_levels_is_skipped()
    {
        Assert.StartsWith("$ is an array", Assert.Single(Osv.Read(Encoding.UTF8.GetBytes(new string('[', 100_000))).Skipped));
        var nested = $$"""{"id": "TEST-1", "x": {{new string('[', 100_000)}}""";
        Assert.StartsWith(" not valid JSON: ", Assert.Single(Osv.Read(Encoding.UTF8.GetBytes(nested)).Skipped));
    }

    [Fact]
    public void A_name_of_more_than_512_characters_is_refused()
    {
        Assert.Single(Osv.Read(Osv.Document("TEST-1", "AlmaLinux:8", new string('p', 512), ("introduced", "0"))).Advisories);
        Assert.Equal(
            ["$.affected[0].package.name has 513 characters, limit 512"],
            Osv.Read(Osv.Document("TEST-1", "AlmaLinux:8", new string('p', 513), ("introduced", "0"))).Skipped);
    }

    // ---- Entries that are like the one before

    static string Entry(string name, string version, string more = "") =>
        $$"""{"package": {"ecosystem": "AlmaLinux:8", "name": "{{name}}"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "{{version}}"}]}]{{more}}}""";

    static FeedRecord ReadEntries(params string[] entries) => Osv.Read(Encoding.UTF8.GetBytes(
        $$"""{"id": "ALSA-1", "affected": [{{string.Join(",\n ", entries)}}], "modified": "2024-01-02T03:04:05Z", "details": "Low: after", "related": ["CVE-2024-0001"]}"""));

    [Fact]
    public void What_follows_entries_that_are_alike_is_read()
    {
        var advisory = Assert.Single(ReadEntries(Entry("a", "1-1"), Entry("b", "2-1"), Entry("c", "2-1.module_el8.1")).Advisories);
        Assert.Equal(["a [,1-1)", "b [,2-1)", "c [,2-1.module_el8.1)"], advisory.Statements.Select(statement => $"{statement.Name} [,{statement.Intervals[0].End})"));
        Assert.Equal((Modified, "Low: after", "CVE-2024-0001"), (advisory.Modified, advisory.Summary, Assert.Single(advisory.Cves)));
    }

    [Fact]
    public void An_entry_that_differs_elsewhere_is_read_as_it_is()
    {
        var advisory = Assert.Single(ReadEntries(
            Entry("a", "1-1"),
            Entry("b", "1-1", """, "database_specific": {"severity": "critical"}"""),
            Entry("c", "1-1"),
            Entry("d\\u0065", "1-1"),
            Entry("f", "1-1").Replace("fixed", "last_affected"),
            Entry("g", "1-1").Replace("AlmaLinux:8", "AlmaLinux:9"),
            Entry("h", "1-1").Replace("ECOSYSTEM", "GIT"),
            Entry("i", "1-1")).Advisories);
        Assert.Equal(
            [
                "AlmaLinux:8 a Unknown Fixed", "AlmaLinux:8 b Critical Fixed", "AlmaLinux:8 c Unknown Fixed", "AlmaLinux:8 de Unknown Fixed",
                "AlmaLinux:8 f Unknown Affected", "AlmaLinux:9 g Unknown Fixed", "AlmaLinux:8 i Unknown Fixed",
            ],
            advisory.Statements.Select(statement => $"{statement.Product} {statement.Name} {statement.Severity} {statement.Status}"));
    }

    [Fact]
    public void Entries_that_are_alike_leave_out_what_each_has()
    {
        static string Twofold(string name) =>
            Entry(name, "1-1").Replace("\"ranges\": [", "\"ranges\": [{\"type\": \"GIT\", \"events\": [{\"introduced\": \"0\"}]}, ");
        Assert.Equal(2, ReadEntries(Twofold("a"), Twofold("b")).LeftOut["range GIT"]);
        Assert.Equal(2, ReadEntries(Twofold("a"), Twofold("b")).LeftOut["range GIT"]);
    }

    [Fact]
    public void A_first_entry_like_those_of_another_document_is_read_with_what_follows()
    {
        Assert.Empty(ReadEntries(Entry("a", "1-1"), Entry("b", "1-1")).Skipped);
        var other = Entry("d", "2-1").Replace("AlmaLinux:8", "AlmaLinux:9");
        var advisory = Assert.Single(ReadEntries(Entry("c", "2-1"), other, Entry("e", "2-1")).Advisories);
        Assert.Equal(
            ["AlmaLinux:8 c 2-1", "AlmaLinux:9 d 2-1", "AlmaLinux:8 e 2-1"],
            advisory.Statements.Select(statement => $"{statement.Product} {statement.Name} {statement.Intervals[0].End}"));
        Assert.Equal((Modified, "Low: after"), (advisory.Modified, advisory.Summary));
        Assert.Equal(["$.affected[1].package.name is empty"], ReadEntries(Entry("a", "1-1"), Entry("", "1-1")).Skipped);
        Assert.Contains("LineNumber: 0 |", Assert.Single(ReadEntries(Entry("a", "1-1") + "x").Skipped));
    }

    [Fact]
    public void The_page_is_found_behind_references_that_are_alike()
    {
        for (var i = 0; i < 2; i++)
        {
            var record = Osv.Read(Encoding.UTF8.GetBytes(
                $$"""
                {"id": "ALSA-1", "modified": "2024-01-02T03:04:05Z", "affected": [{{Entry("a", "1-1")}}],
                 "references": [{"url": "https://a", "type": "REPORT"}, {"url": "https://b", "type": "REPORT"},
                  {"url": "http\u003a//c", "type": "REPORT"},
                  {"url": "https://d", "type": "REPORT"}, {"url": "https://e", "type": "ADVISORY"}, {"url": "https://f", "type": "ADVISORY"}]}
                """));
            Assert.Equal("https://e", Assert.Single(record.Advisories).Url);
        }

        var fault = Osv.Read(Encoding.UTF8.GetBytes(
            """
            {"id": "A", "modified": "2024-01-02T03:04:05Z",
             "references": [{"url": "a", "type": "REPORT"}, {"url": "b", "type": "REPORT"}, {"url": 5}]}
            """));
        Assert.Equal(["$.references[2].url is a number (5), not a string"], fault.Skipped);
    }

    [Fact]
    public void A_fault_behind_entries_that_are_alike_is_named_with_its_index()
    {
        Assert.Equal(
            ["$.affected[2].package.name is a number (5), not a string"],
            ReadEntries(Entry("a", "1-1"), Entry("b", "1-1"), Entry("c", "1-1").Replace("\"c\"", "5"), Entry("d", "1-1")).Skipped);
        Assert.Equal(["$.affected[1].package.name is empty"], ReadEntries(Entry("a", "1-1"), Entry("", "1-1")).Skipped);
        Assert.StartsWith(" not valid JSON", Assert.Single(ReadEntries(Entry("a", "1-1"), Entry("b", "1-1") + ",").Skipped));
        Assert.StartsWith(" not valid JSON", Assert.Single(ReadEntries(Entry("a", "1-1"), Entry("b\n", "1-1")).Skipped));
        Assert.Equal(
            ["$.affected[1].package.name is not valid UTF-8 or has an unpaired surrogate"], ReadEntries(Entry("a", "1-1"), Entry("\\udc00", "1-1")).Skipped);
    }

    [Fact]
    public void Order_and_repetition_do_not_change_the_revision_and_content_does()
    {
        var documents = Enumerable.Range(0, 40)
            .Select(i => Osv.Document($"TEST-{i}", i % 3 == 0 ? "AlmaLinux:8" : "Debian:12", $"p{i % 7}", ("introduced", "0"), ("fixed", $"{i}-1"))).ToArray();
        var revision = Osv.Database(documents).Revision;
        Assert.Equal(revision, Osv.Database([.. documents.Reverse()]).Revision);
        Assert.Equal(revision, Osv.Database([.. documents, .. documents]).Revision);
        Assert.NotEqual(revision, Osv.Database(documents.AsSpan(1)).Revision);
        documents[3].With("summary", "another");
        Assert.NotEqual(revision, Osv.Database(documents).Revision);
    }

    [Fact]
    public void Of_two_versions_of_a_document_the_newer_wins_and_with_one_time_always_the_same()
    {
        var old = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "1-1"));
        var other = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "2-1"));
        Assert.Equal(Osv.Database(old, other).Revision, Osv.Database(other, old).Revision);
        other["modified"] = "2024-06-01T00:00:00Z";
        Assert.Equal("2-1", Assert.Single(Match(Osv.Database(old, other), AlmaLinux8, Rpm("p", "0-1"))).FixedVersion);
        Assert.Equal("2-1", Assert.Single(Match(Osv.Database(other, old), AlmaLinux8, Rpm("p", "0-1"))).FixedVersion);
    }

    [Fact]
    public void A_package_url_with_a_module_is_not_passed_over()
    {
        static string With(string name, string url) => Entry(name, "1-1").Replace($"\"{name}\"", $"\"{name}\", \"purl\": \"{url}\"");
        var statements = Assert.Single(ReadEntries(
            With("a", "pkg:rpm/a"), With("b", "pkg:rpm/b"), With("c", "pkg:rpm/c?rpmmod=m:1"), With("d", "pkg:rpm/d")).Advisories).Statements;
        Assert.Equal(["a ", "b ", "c m:1", "d "], statements.Select(statement => $"{statement.Name} {string.Join(' ', statement.Modules)}"));
    }

    // ---- Damage

    [Trait("Category", "Fuzz")]
    [TestDataFact]
    public void Mutated_documents_are_read_or_refused_with_a_path()
    {
        var seeds = new[]
        {
            "osv/alma/fixtures/ALSA/2023/ALSA-2023%3A7465.json",
            "osv/debian/fixtures/DSA/2002/DSA-135.json",
            "osv/rocky/fixtures/RLSA/2023/RLSA-2023%3A0005.json",
            "osv/redhat/fixtures/RHSA/2024/RHSA-2024%3A8709.json",
            "osv/ubuntu/fixtures/CVE/2024/UBUNTU-CVE-2024-51988.json",
        }.Select(path => File.ReadAllBytes(Repository.TestDataPath(path))).ToList();
        // Replacements that keep much of the JSON valid but change the types and ranges of its values.
        string[] texts =
        [
            "null", "[]", "{}", "0", "-1e999", "true", "\"\"", "\"\\ud800\"", "\"\\ud800\":0,", "\"i\\u0064\":0,", "\"introduced\":\"0\"", ",", "\"", "}",
        ];
        byte[][] pieces = [.. texts.Select(Encoding.UTF8.GetBytes), [0xff, 0xfe]];
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var many) ? many : 2000;
        var random = new Random(11);
        var read = 0;
        var refused = 0;
        for (var i = 0; i < inputs; i++)
        {
            var bytes = seeds[random.Next(seeds.Count)].ToList();
            for (var edits = random.Next(1, 4); edits > 0; edits--)
            {
                var start = random.Next(bytes.Count);
                var tokenEnd = bytes.FindIndex(start, b => b is (byte)',' or (byte)'}' or (byte)']' or (byte)'\n');
                var tokenStart = bytes.FindLastIndex(start, b => b is (byte)':' or (byte)'[' or (byte)'\t') + 1;
                if (random.Next(2) == 0 && tokenEnd > tokenStart) bytes.RemoveRange(tokenStart, tokenEnd - tokenStart);
                else tokenStart = start;
                bytes.InsertRange(tokenStart, pieces[random.Next(pieces.Length)]);
            }

            var record = Osv.Read(bytes.ToArray());
            // Each is one or the other, and what is read can be stored.
            Assert.Equal(1, record.Skipped.Count + Math.Max(record.Advisories.Count, record.Withdrawn.Count));
            if (record.Skipped.Count > 0) refused++;
            else read++;
            Databases.Of([.. record.Advisories]);
        }

        Assert.True(read > inputs / 20 && refused > inputs / 20, $"{read} read, {refused} refused: the mutations do not reach both");
    }

    // Another way to the same end: a number of its own in each entry keeps it from being like another.
    [Trait("Category", "Fuzz")]
    [TestDataFact]
    public void Damage_among_entries_that_are_alike_says_the_same_as_among_entries_that_are_not()
    {
        var seed = Encoding.UTF8.GetString(File.ReadAllBytes(Repository.TestDataPath("osv/alma/fixtures/ALSA/2023/ALSA-2023%3A7549.json")));
        var first = seed.IndexOf("\"affected\"", StringComparison.Ordinal);
        string[] pieces = ["null", "5", "\"\"", "é", "\\u0041", "\\ud800", "fixed", "introduced", "AlmaLinux:9", ".module_el8.1", ", \"fixed\": \"1-1\"", "x"];
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var many) ? many : 2000;
        var random = new Random(7);
        var compared = 0;
        var refused = 0;
        for (var i = 0; i < inputs; i++)
        {
            var text = new StringBuilder(seed);
            for (var edits = random.Next(1, 4); edits > 0; edits--)
            {
                var at = random.Next(first, text.Length);
                if (random.Next(4) == 0) text.Remove(at, random.Next(Math.Min(12, text.Length - at)));
                text.Insert(at, pieces[random.Next(pieces.Length)]);
            }

            var bytes = Encoding.UTF8.GetBytes(text.ToString());
            JsonNode changed;
            try
            {
                changed = JsonNode.Parse(bytes)!;
                if (changed["affected"] is not JsonArray affected) continue;
                for (var k = 0; k < affected.Count; k++)
                {
                    if (affected[k] is JsonObject entry) entry["number"] = k;
                }

                changed = JsonNode.Parse(changed.ToJsonString())!;
            }
            catch (Exception e) when (e is System.Text.Json.JsonException or ArgumentException or InvalidOperationException)
            {
                // No JSON, a member twice, or a text that cannot be written again.
                continue;
            }

            var alike = Osv.Read(bytes);
            var apart = Osv.Read(changed);
            Assert.Equal(apart.Advisories.Select(FeedRecord.Text), alike.Advisories.Select(FeedRecord.Text));
            Assert.Equal(apart.Skipped, alike.Skipped);
            Assert.Equal(apart.LeftOut, alike.LeftOut);
            compared++;
            refused += alike.Skipped.Count;
        }

        Assert.True(compared > inputs / 10 && refused > 0 && refused < compared, $"{compared} compared, {refused} refused: the damage does not reach both");
    }
}
