using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

public class CsafDocumentTests
{
    const string Fixed = """ "product_status":{"fixed":["R9:p"]} """;
    const string Affected = """ "product_status":{"known_affected":["R9:p"]} """;
    const string NotAffected = """ "product_status":{"known_not_affected":["R9:p"]} """;

    [Fact]
    public void The_header_is_read()
    {
        var advisory = CsafSamples.One("pkg:rpm/redhat/curl", Affected).Advisory;

        Assert.Equal(FeedName.RedHatVex, advisory.Feed);
        Assert.Equal("CVE-2024-1", advisory.Id);
        Assert.Equal("", advisory.Part);
        Assert.Equal(["CVE-2024-1"], advisory.Cves);
        Assert.Equal("a title", advisory.Summary);
        Assert.Equal(new DateTimeOffset(2024, 1, 1, 0, 0, 0, TimeSpan.Zero), advisory.Published);
        Assert.Equal(new DateTimeOffset(2024, 2, 3, 4, 5, 6, TimeSpan.Zero), advisory.Modified);
        Assert.Equal("https://access.redhat.com/security/cve/CVE-2024-1", advisory.Url);
    }

    [Theory]
    // Fixed: older ones are affected. rpm's epoch 0 is not written.
    [InlineData("pkg:rpm/redhat/curl@7.76.1-26.el9_3.2?arch=x86_64", Fixed, "curl Binary Fixed ..7.76.1-26.el9_3.2 Fixed x86_64 -")]
    [InlineData("pkg:rpm/redhat/curl@7.76.1-26.el9_3.2?arch=src&epoch=0", Fixed, "curl Source Fixed ..7.76.1-26.el9_3.2 Fixed - -")]
    [InlineData("pkg:rpm/redhat/openssl@1.1.1k-16?epoch=1&arch=x86_64", Fixed, "openssl Binary Fixed ..1:1.1.1k-16 Fixed x86_64 -")]
    [InlineData("pkg:rpm/redhat/dotnet6.0@6.0.126-1.el9_3?epoch=0", Fixed, "dotnet6.0 Either Fixed ..6.0.126-1.el9_3 Fixed - -")]
    [InlineData("pkg:rpm/redhat/gcc-c%2B%2B@1%2B2-3", Fixed, "gcc-c++ Either Fixed ..1+2-3 Fixed - -")]
    // Modules: the rpmmod of a package, and builds of a module by themselves.
    [InlineData(
        "pkg:rpm/redhat/hivex@1-2?arch=x86_64&rpmmod=virt:rhel:8100020240704072441:489197e6",
        Fixed,
        "hivex Binary Fixed ..1-2 Fixed x86_64 virt:rhel")]
    [InlineData("pkg:rpm/redhat/hivex@1-2?arch=x86_64&rpmmod=virt%3Arhel", Fixed, "hivex Binary Fixed ..1-2 Fixed x86_64 virt:rhel")]
    [InlineData(
        "pkg:rpm/redhat/python39@3.9-8100020240826142629.d47b87a4?epoch=0",
        Fixed,
        "python39:3.9 Module Fixed ..3.9-8100020240826142629.d47b87a4 Fixed - -")]
    [InlineData(
        "pkg:rpm/redhat/python39@3.9-8040020240902080505.63cd9eba?arch=src&epoch=0&rpmmod=python39:3.9", Fixed, "python39:3.9 Module Fixed ..3.9-8040020240902080505.63cd9eba Fixed - -")]
    [InlineData(
        "pkg:rpmmod/redhat/python39@3.9:8060020240801142753:6a631399",
        Fixed,
        "python39:3.9 Module Fixed ..3.9-8060020240801142753.6a631399 Fixed - -")]
    // RHEL 10 builds for Flatpak are marked with a word that is no module; a stream in the place of a version is none.
    [InlineData("pkg:rpm/redhat/firefox-flatpak?arch=src&rpmmod=rhel10", Affected, "firefox-flatpak Source Affected all - -")]
    [InlineData("pkg:rpm/redhat/go-toolset@rhel8?arch=src&rpmmod=go-toolset:rhel8", Affected, "go-toolset Source Affected all - go-toolset:rhel8")]
    // Without a version all are affected; an affected build stands for itself and all before it.
    [InlineData("pkg:rpm/redhat/curl", Affected, "curl Either Affected all - -")]
    [InlineData("pkg:rpm/redhat/firefox@128.0-1.el10?epoch=0", Affected, "firefox Either Affected ..128.0-1.el10 LastAffected - -")]
    [InlineData("pkg:rpm/redhat/curl@1-2?arch=x86_64", NotAffected, "curl Binary NotAffected all x86_64 -")]
    [InlineData("pkg:rpm/redhat/curl", """ "product_status":{"under_investigation":["R9:p"]} """, "curl Either UnderInvestigation all - -")]
    public void Packages_of_Red_Hat_are_read(string purl, string vulnerability, string expected)
    {
        var result = CsafSamples.One(purl, vulnerability);

        var statement = Assert.Single(result.Statements);
        Assert.Empty(result.Skipped);
        Assert.Equal("Red Hat:enterprise_linux:9", statement.Product);
        Assert.Equal("cpe:/o:redhat:enterprise_linux:9::baseos", statement.Cpe);
        Assert.Equal(expected, Describe(statement));
    }

    [Theory]
    [InlineData("none_available", "Affected", ProductStatus.Affected)]
    [InlineData("none_available", "Fix deferred", ProductStatus.FixDeferred)]
    [InlineData("none_available", "Deferred", ProductStatus.FixDeferred)]
    [InlineData("no_fix_planned", "Will not fix", ProductStatus.WillNotFix)]
    [InlineData("no_fix_planned", "Out of support scope", ProductStatus.OutOfSupport)]
    public void A_remediation_says_why_there_is_no_fix(string category, string details, ProductStatus expected)
    {
        var statement = Assert.Single(CsafSamples.One(
            "pkg:rpm/redhat/curl",
            $$"""{{Affected}},"remediations":[{"category":"{{category}}","details":"{{details}}","product_ids":["R9:p"]}]""").Statements);

        Assert.Equal(expected, statement.Status);
        Assert.Null(statement.Remark);
    }

    [Fact]
    public void A_remediation_is_for_the_products_that_it_names()
    {
        var statements = CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree(("a", "pkg:rpm/redhat/a?arch=src"), ("b", "pkg:rpm/redhat/b?arch=src")),
            """
            [{"cve":"CVE-2024-1","product_status":{"known_affected":["R9:a","R9:b"]},"remediations":[
              {"category":"no_fix_planned","details":"Will not fix","product_ids":["R9:a"]},
              {"category":"workaround","details":"Do not use it.","product_ids":["R9:b"]},
              {"category":"workaround","product_ids":["R9:a"],
               "details":"Mitigation for this issue is either not available or the currently available options do not meet"}]}]
            """)).Statements;

        Assert.Equal(
            [("a", ProductStatus.WillNotFix, null), ("b", ProductStatus.Affected, "Do not use it.")],
            statements.Select(s => (s.Name, s.Status, s.Remark)));
    }

    [Fact]
    public void A_fix_names_its_erratum_and_no_erratum_names_itself()
    {
        const string Vulnerability = $$"""
            {{Fixed}},"remediations":[{"category":"vendor_fix","product_ids":["R9:p"],"url":"https://access.redhat.com/errata/RHSA-2023:5763"}]
            """;

        var vex = Assert.Single(CsafSamples.One("pkg:rpm/redhat/a@1-1", Vulnerability).Statements);
        Assert.Equal("RHSA-2023:5763", vex.Erratum);
        Assert.Equal("https://access.redhat.com/errata/RHSA-2023:5763", vex.ErratumUrl);

        var advisory = CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree(("p", "pkg:rpm/redhat/a@1-1")),
            $$"""[{"cve":"CVE-2024-1",{{Vulnerability}}}]""",
            CsafSamples.Header("RHSA-2023:5763", "csaf_security_advisory"))).Advisory;
        Assert.Equal(FeedName.Csaf, advisory.Feed);
        Assert.Null(Assert.Single(advisory.Statements).Erratum);
        Assert.Null(Assert.Single(advisory.Statements).ErratumUrl);
    }

    [Fact]
    public void Severity_and_score_of_a_product_count_before_those_of_the_document()
    {
        var result = CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree(("a", "pkg:rpm/redhat/a?arch=src"), ("b", "pkg:rpm/redhat/b?arch=src")),
            """
            [{"cve":"CVE-2024-1","product_status":{"known_affected":["R9:a","R9:b"]},
              "scores":[{"cvss_v3":{"baseScore":7.5,"vectorString":"CVSS:3.1/a"},"products":["R9:a"]},
                        {"cvss_v3":{"baseScore":3.1,"vectorString":"CVSS:3.1/b"},"products":["R9:b"]},
                        {"cvss_v2":{"baseScore":9.9,"vectorString":"AV:N"},"products":["R9:a"]}],
              "threats":[{"category":"impact","details":"Important","product_ids":["R9:a"]},
                         {"category":"impact","details":"low","product_ids":["R9:b"]}]}]
            """,
            CsafSamples.Header(more: """ "aggregate_severity":{"text":"Important"}, """)));

        Assert.Equal(Severity.Important, result.Advisory.Severity);
        Assert.Equal(7.5, result.Advisory.CvssScore);
        Assert.Equal("CVSS:3.1/a", result.Advisory.CvssVector);
        Assert.Equal(
            [("a", Severity.Unknown, null, null), ("b", Severity.Low, 3.1, "CVSS:3.1/b")],
            result.Statements.Select(s => (s.Name, s.Severity, s.CvssScore, s.CvssVector)));
    }

    [Fact]
    public void Metrics_of_CSAF_2_1_are_scores()
    {
        var advisory = CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree(("p", "pkg:rpm/redhat/a")),
            $$"""
            [{"cve":"CVE-2024-1",{{Affected}},
              "metrics":[{"content":{"cvss_v4":{"baseScore":8.7,"vectorString":"CVSS:4.0/x"},"cvss_v3":{"baseScore":5} },"products":["R9:p"]}]}]
            """,
            CsafSamples.Header(version: "2.1"))).Advisory;

        Assert.Equal(8.7, advisory.CvssScore);
        Assert.Equal("CVSS:4.0/x", advisory.CvssVector);
        Assert.Equal(Severity.Important, advisory.Severity);
    }

    [Fact]
    public void A_flag_says_why_a_product_is_not_affected()
    {
        var statement = Assert.Single(CsafSamples.One(
            "pkg:rpm/redhat/a", $$"""{{NotAffected}},"flags":[{"label":"vulnerable_code_not_present","group_ids":["all"]}]""").Statements);
        Assert.Null(statement.Justification);

        var tree = CsafSamples.Tree(("p", "pkg:rpm/redhat/a"))[..^1] + ""","product_groups":[{"group_id":"all","product_ids":["R9:p"]}]}""";
        statement = Assert.Single(CsafResult.Of(CsafSamples.Document(
            tree, $$"""[{"cve":"CVE-2024-1",{{NotAffected}},"flags":[{"label":"vulnerable_code_not_present","group_ids":["all"]}]}]""")).Statements);
        Assert.Equal("vulnerable_code_not_present", statement.Justification);
    }

    [Fact]
    public void Architectures_and_channels_of_one_build_are_one_statement()
    {
        const string Purl = "pkg:rpm/redhat/curl@1-2?arch=";
        var tree = $$"""
            {"branches":[{{CsafSamples.Rhel9}},
             {{CsafSamples.Product("A9", "cpe:/a:redhat:enterprise_linux:9::appstream")}},
             {{Version("x", Purl + "x86_64")}},{{Version("s", Purl + "s390x")}},{{Version("z", Purl + "src")}}],
             "relationships":[{{CsafSamples.Relationship("R9:x", "x", "R9")}},{{CsafSamples.Relationship("R9:s", "s", "R9")}},
             {{CsafSamples.Relationship("R9:z", "z", "R9")}},{{CsafSamples.Relationship("A9:x", "x", "A9")}}]}
            """;

        var statements = CsafResult.Of(CsafSamples.Document(
            tree, """[{"cve":"CVE-2024-1","product_status":{"fixed":["R9:x","R9:s","R9:z","A9:x"]}}]""")).Statements;

        Assert.Equal(["curl Binary Fixed ..1-2 Fixed s390x,x86_64 -", "curl Source Fixed ..1-2 Fixed - -"], statements.Select(Describe));
        Assert.All(statements, s => Assert.Equal("cpe:/o:redhat:enterprise_linux:9::baseos", s.Cpe));
    }

    [Fact]
    public void What_is_built_for_different_releases_of_RHEL_stays_apart()
    {
        static string Product(string id) => CsafSamples.Product(id, $"cpe:/a:redhat:jboss_eap:7.4::{id}");
        var tree = $$"""
            {"branches":[{{Product("el8")}},{{Product("el9")}},{{Version("p", "pkg:rpm/redhat/eap7?arch=noarch")}}],
             "relationships":[{{CsafSamples.Relationship("8", "p", "el8")}},{{CsafSamples.Relationship("9", "p", "el9")}}]}
            """;

        var statements = CsafResult.Of(CsafSamples.Document(
            tree, """[{"cve":"CVE-2024-1","product_status":{"known_affected":["8","9"]}}]""")).Statements;

        Assert.Equal(
            [("Red Hat:jboss_eap:7.4", "cpe:/a:redhat:jboss_eap:7.4::el8"), ("Red Hat:jboss_eap:7.4", "cpe:/a:redhat:jboss_eap:7.4::el9")],
            statements.Select(s => (s.Product, s.Cpe)));
    }

    [Fact]
    public void A_package_in_a_module_in_a_product_is_of_that_module()
    {
        var tree = $$"""
            {"branches":[{{CsafSamples.Rhel9}},{{Version("m", "pkg:rpmmod/redhat/python39@3.9:8060020240801142753:6a631399")}},
             {{Version("p", "pkg:rpm/redhat/python39-libs@3.9.7-2?arch=x86_64")}}],
             "relationships":[{{CsafSamples.Relationship("R9:m:p", "p", "R9:m")}},{{CsafSamples.Relationship("R9:m", "m", "R9")}}]}
            """;

        var result = CsafResult.Of(CsafSamples.Document(tree, """[{"cve":"CVE-2024-1","product_status":{"fixed":["R9:m","R9:m:p"]}}]"""));

        Assert.Equal("python39-libs Binary Fixed ..3.9.7-2 Fixed x86_64 python39:3.9", Describe(Assert.Single(result.Statements)));
        Assert.Equal(1, result.LeftOut["module whose packages are listed"]);
    }

    [Fact]
    public void Of_one_build_that_is_affected_and_the_fix_the_fix_counts()
    {
        const string Purl = "pkg:rpm/redhat/python3.9@3.9.18-3";
        var tree = $$"""
            {"branches":[{{CsafSamples.Rhel9}},
             {{CsafSamples.Product("E9", "cpe:/a:redhat:rhel_eus:9.0")}},
             {{Version("b", Purl)}},{{Version("s", Purl + "?arch=src")}}],
             "relationships":[{{CsafSamples.Relationship("R9:b", "b", "R9")}},{{CsafSamples.Relationship("R9:s", "s", "R9")}},
             {{CsafSamples.Relationship("E9:s", "s", "E9")}}]}
            """;

        var result = CsafResult.Of(CsafSamples.Document(
            tree, """[{"cve":"CVE-2024-1","product_status":{"fixed":["R9:b"],"known_affected":["R9:s","E9:s"]}}]"""));

        // In the same product the affected one is dropped; in another one the versions before the fix are affected.
        Assert.Equal(
            [
                "Red Hat:enterprise_linux:9 python3.9 Either Fixed ..3.9.18-3 Fixed - -",
                "Red Hat:rhel_eus:9.0 python3.9 Source Affected ..3.9.18-3 Fixed - -",
            ],
            result.Statements.Select(s => $"{s.Product} {Describe(s)}"));
        Assert.Equal(1, result.LeftOut["affected build that is the fix itself"]);
    }

    [Fact]
    public void Beside_builds_that_are_affected_only_the_named_build_is_not()
    {
        var result = CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree(
                ("a1", "pkg:rpm/redhat/a@1-1?arch=x86_64"),
                ("a2", "pkg:rpm/redhat/a@2-1?arch=x86_64"),
                ("s", "pkg:rpm/redhat/lib@1-1?arch=src"),
                ("b", "pkg:rpm/redhat/b@9-9?arch=src")),
            """[{"cve":"CVE-2024-1","product_status":{"fixed":["R9:a1"],"known_not_affected":["R9:a2","R9:s","R9:b"]}}]"""));

        Assert.Equal(
            [
                "a Binary Fixed ..1-1 Fixed x86_64 -",
                "a Binary NotAffected 2-1..2-1 LastAffected x86_64 -",
                // The source of the same build: a may be built of it.
                "lib Source NotAffected 1-1..1-1 LastAffected - -",
                "b Source NotAffected all - -",
            ],
            result.Statements.Select(Describe));
    }

    [Fact]
    public void Each_vulnerability_has_its_statements_and_what_all_say_is_said_once()
    {
        var advisory = CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree(("a", "pkg:rpm/redhat/a@1-1"), ("b", "pkg:rpm/redhat/b@1-1")),
            """
            [{"cve":"CVE-2024-1","product_status":{"fixed":["R9:a","R9:b"]}},
             {"cve":"CVE-2024-2","product_status":{"fixed":["R9:a"],"known_not_affected":["R9:b"]}}]
            """,
            CsafSamples.Header("RHSA-2024:1", "csaf_security_advisory"))).Advisory;

        Assert.Equal(["CVE-2024-1", "CVE-2024-2"], advisory.Cves);
        Assert.Equal(
            [("a", ProductStatus.Fixed, null), ("b", ProductStatus.Fixed, "CVE-2024-1"), ("b", ProductStatus.NotAffected, "CVE-2024-2")],
            advisory.Statements.Select(s => (s.Name, s.Status, s.Cve)));
    }

    [Fact]
    public void Members_may_come_in_any_order_and_with_escapes()
    {
        var tree = CsafSamples.Tree(("p", "pkg:rpm\\/redhat\\/a@1-1?epoch=2\\u0026arch=x86_64"));
        var json = $$"""
            {"vulnerabilities"  :  [{"product_status":{"fixed":["\u0052\u0039:p"]},"cve":"CVE-2024-1"}],
             "product_tree":{{tree}},"document":{{CsafSamples.Header()}}}
            """;

        var result = CsafResult.Of(json);

        Assert.Empty(result.Skipped);
        Assert.Equal("a Binary Fixed ..2:1-1 Fixed x86_64 -", Describe(Assert.Single(result.Statements)));
    }

    [Fact]
    public void SUSE_names_packages_and_products_without_package_URLs()
    {
        static string Package(string name) => $$$"""{"category":"product_version","name":"{{{name}}}","product":{"name":"{{{name}}}","product_id":"{{{name}}}"} }""";
        var tree = $$"""
            {"branches":[{"category":"vendor","name":"SUSE","branches":[
              {"branches":[{{Package("bind-libs-9.9.4P2-0.6.1.x86_64")}}],"category":"architecture","name":"x86_64"},
              {{Package("samba-libs-32bit-4.19.2+git.322.7e9201cef5-1.1")}},{{Package("samba-libs-32bit")}},
              {{CsafSamples.Product("S", "cpe:/o:suse:sles:15:sp5", "SUSE Linux Enterprise Server 15 SP5")}},
              {{CsafSamples.Product("T", "cpe:/o:opensuse:tumbleweed", "openSUSE Tumbleweed")}}]}],
             "relationships":[{{CsafSamples.Relationship("1", "bind-libs-9.9.4P2-0.6.1.x86_64", "S")}},
              {{CsafSamples.Relationship("2", "samba-libs-32bit-4.19.2+git.322.7e9201cef5-1.1", "T")}},
              {{CsafSamples.Relationship("3", "samba-libs-32bit", "S")}}]}
            """;

        var result = CsafResult.Of(CsafSamples.Document(
            tree,
            """
            [{"cve":"CVE-2024-1","product_status":{"recommended":["1","2"],"known_affected":["3"]},
              "threats":[{"category":"impact","details":"moderate"}]}]
            """,
            CsafSamples.Header(publisher: "https://www.suse.com/")));

        Assert.Empty(result.Skipped);
        Assert.Equal(FeedName.Csaf, result.Advisory.Feed);
        // Ids of other vendors' VEX are CVEs too, and only with the publisher they are one document's.
        Assert.Equal("https://www.suse.com/", result.Advisory.Part);
        Assert.Equal(Severity.Moderate, result.Advisory.Severity);
        Assert.Equal(
            [
                "SUSE:Linux Enterprise Server 15 SP5 bind-libs Binary Fixed ..9.9.4P2-0.6.1 Fixed x86_64 -",
                "openSUSE:Tumbleweed samba-libs-32bit Binary Fixed ..4.19.2+git.322.7e9201cef5-1.1 Fixed - -",
                "SUSE:Linux Enterprise Server 15 SP5 samba-libs-32bit Binary Affected all - -",
            ],
            result.Statements.Select(s => $"{s.Product} {Describe(s)}"));
    }

    [Theory]
    [InlineData("cpe:/o:almalinux:almalinux:9", "AlmaLinux:9")]
    [InlineData("cpe:2.3:o:rocky:rocky:8.9:*:*:*:*:*:*:*", "Rocky Linux:8")]
    [InlineData("cpe:/o:oracle:linux:8:9:baseos_patch", "Oracle Linux:8")]
    [InlineData("cpe:2.3:o:debian:debian_linux:12.0:*:*:*:*:*:*:*", "Debian:12")]
    [InlineData("cpe:/o:canonical:ubuntu_linux:22.04", "Ubuntu:22.04:LTS")]
    [InlineData("cpe:/o:canonical:ubuntu_linux:23.10", "Ubuntu:23.10")]
    [InlineData("cpe:/a:openEuler:openEuler:22.03-LTS-SP1", "openEuler:22.03-LTS-SP1")]
    [InlineData("cpe:2.3:o:redhat:rhel_eus:9.2:*:baseos:*:*:*:*:*", "Red Hat:rhel_eus:9.2")]
    public void Products_of_other_vendors_are_those_of_OSV(string cpe, string expected)
    {
        var tree = CsafSamples.Tree(("p", "pkg:rpm/x/a")).Replace("cpe:/o:redhat:enterprise_linux:9::baseos", cpe, StringComparison.Ordinal);

        var statement = Assert.Single(CsafResult.Of(CsafSamples.Document(tree, $$"""[{"cve":"CVE-2024-1",{{Affected}}}]""")).Statements);
        Assert.Equal(expected, statement.Product);
    }

    [Theory]
    [InlineData("pkg:npm/%40angular/core@1.2.3", "npm @angular/core Binary Affected 1.2.3..1.2.3 LastAffected - -")]
    [InlineData(
        "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
        "Maven org.apache.logging.log4j:log4j-core Binary Affected 2.14.1..2.14.1 LastAffected - -")]
    [InlineData("pkg:golang/github.com/gin-gonic/gin@v1.9.0", "Go github.com/gin-gonic/gin Binary Affected v1.9.0..v1.9.0 LastAffected - -")]
    [InlineData("pkg:pypi/django@4.2?x=y#sub", "PyPI django Binary Affected 4.2..4.2 LastAffected - -")]
    public void Packages_of_languages_are_products_by_themselves(string purl, string expected)
    {
        var tree = $$"""{"full_product_names":[{"name":"x","product_id":"p","product_identification_helper":{"purl":"{{purl}}"} }]}""";

        var statement = Assert.Single(CsafResult.Of(CsafSamples.Document(
            tree, """[{"cve":"CVE-2024-1","product_status":{"known_affected":["p"]}}]""")).Statements);

        Assert.Equal(expected, $"{statement.Product} {Describe(statement)}");
        Assert.Null(statement.Cpe);
    }

    [Theory]
    [InlineData("vers:pypi/>=1.2|<1.4.1", "known_affected", "1.2..1.4.1 Fixed")]
    [InlineData("vers:pypi/<=1.4|>=2.0|<2.3", "known_affected", "..1.4 LastAffected, 2.0..2.3 Fixed")]
    [InlineData("vers:pypi/1.0|>=3%2B1", "known_affected", "1.0..1.0 LastAffected, 3+1.. None")]
    [InlineData("<4.2", "known_affected", "..4.2 Fixed")]
    [InlineData("vers:pypi/*", "known_affected", "all")]
    [InlineData(">=4.2", "fixed", "..4.2 Fixed")]
    public void Ranges_of_versions_are_read(string range, string status, string expected)
    {
        Assert.Equal(expected, Intervals(Assert.Single(OfRange(range, status).Statements)));
    }

    [Theory]
    [InlineData("all versions before V3.1", "known_affected", "version range 'all versions before V3.1' cannot be read")]
    [InlineData("vers:pypi/!=3", "known_affected", "version range 'vers:pypi/!=3' cannot be read")]
    [InlineData("<3", "fixed", "fixed in '<3', which is not all versions from one on")]
    public void Ranges_that_cannot_be_read_are_skipped(string range, string status, string expected)
    {
        var result = OfRange(range, status);

        Assert.Empty(result.Statements);
        Assert.Equal([($"$.vulnerabilities[0].product_status.{status}[0]", expected)], result.Skipped);
    }

    [Fact]
    public void An_affected_range_with_a_fix_is_fixed_after_it()
    {
        var tree = $$"""
            {"branches":[{{CsafSamples.Package("p", "pkg:pypi/a", "product_version_range", "<2")}},{{Version("f", "pkg:pypi/a@2")}}]}
            """;

        var statement = Assert.Single(CsafResult.Of(CsafSamples.Document(
            tree,
            """
            [{"cve":"CVE-2024-1","product_status":{"known_affected":["p"],"fixed":["f"]},
              "remediations":[{"category":"vendor_fix","url":"https://example.com/2","product_ids":["p"]}]}]
            """)).Statements);

        Assert.Equal(ProductStatus.Fixed, statement.Status);
        Assert.Equal("..2 Fixed", Intervals(statement));
        Assert.Equal("https://example.com/2", statement.ErratumUrl);
    }

    [Theory]
    [InlineData("pkg:oci/openshift3/metrics", "package URL of type oci")]
    [InlineData("pkg:golang/redhat/ose-machine-controllers", "part of a product that is no package of the operating system")]
    public void What_is_no_package_of_the_operating_system_is_left_out(string purl, string expected)
    {
        var result = CsafSamples.One(purl, Affected);

        Assert.Empty(result.Statements);
        Assert.Empty(result.Skipped);
        Assert.Equal([KeyValuePair.Create(expected, 1)], result.LeftOut);
    }

    [Theory]
    [InlineData("kernel", "kernel", "")]
    [InlineData("python27:2.7/python2", "python2", "python27:2.7")]
    public void A_component_of_RHEL_without_a_package_URL_may_be_a_source_or_a_binary_package(string component, string name, string module)
    {
        var statement = Assert.Single(CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree((component, "")), $$"""[{"cve":"CVE-2024-1","product_status":{"known_affected":["R9:{{component}}"] } }]""")).Statements);

        Assert.Equal((name, PackageNaming.Either, ProductStatus.Affected), (statement.Name, statement.Naming, statement.Status));
        Assert.Equal(module, string.Join(' ', statement.Modules));
    }

    [Theory]
    [InlineData("rhel8/postgresql-12", "cpe:/o:redhat:enterprise_linux:9", "component without a package URL that is no rpm package")]
    [InlineData("snakeyaml", "cpe:/a:redhat:amq_online:1", "component without a package URL")]
    public void Another_component_without_a_package_URL_is_left_out(string component, string cpe, string expected)
    {
        var tree = CsafSamples.Tree((component, "")).Replace("cpe:/o:redhat:enterprise_linux:9::baseos", cpe, StringComparison.Ordinal);
        var result = CsafResult.Of(
            CsafSamples.Document(tree, $$"""[{"cve":"CVE-2024-1","product_status":{"known_affected":["R9:{{component}}"] } }]"""));

        Assert.Empty(result.Statements);
        Assert.Equal([KeyValuePair.Create(expected, 1)], result.LeftOut);
    }

    [Fact]
    public void A_deleted_document_takes_back_what_it_said()
    {
        var result = CsafResult.Of($$"""{"document":{{CsafSamples.Header("CVE-2023-30", status: "deleted")}}}""");

        Assert.Empty(result.Advisories);
        Assert.Equal([(FeedName.RedHatVex, "CVE-2023-30", (DateTimeOffset?)new DateTimeOffset(2024, 2, 3, 4, 5, 6, TimeSpan.Zero))], result.Withdrawn);
    }

    [Fact]
    public void A_document_deleted_without_a_time_is_named()
    {
        var result = CsafResult.Of("""{"document":{"tracking":{"id":"CVE-2023-30","status":"deleted"}}}""");

        Assert.Equal([(FeedName.RedHatVex, "CVE-2023-30", (DateTimeOffset?)null)], result.Withdrawn);
        Assert.Contains("current_release_date", Assert.Single(result.Skipped).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_withdrawn_document_of_CSAF_2_1_takes_back_what_it_said() =>
        Assert.Equal(
            [(FeedName.Csaf, "RHSA-2023:1", (DateTimeOffset?)new DateTimeOffset(2024, 2, 3, 4, 5, 6, TimeSpan.Zero))],
            CsafResult.Of($$"""{"document":{{CsafSamples.Header("RHSA-2023:1", "csaf_withdrawn", version: "2.1")}}}""").Withdrawn);

    [Fact]
    public void Drafts_and_documents_without_a_vulnerability_are_left_out()
    {
        Assert.Equal(["CSAF draft"], CsafResult.Of($$"""{"document":{{CsafSamples.Header(status: "draft")}},"vulnerabilities":[{}]}""").LeftOut.Keys);
        Assert.Equal(["CSAF document without a vulnerability"], CsafResult.Of($$"""{"document":{{CsafSamples.Header()}}}""").LeftOut.Keys);
    }

    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("[]", "not a JSON object")]
    [InlineData("{", "not valid JSON")]
    [InlineData("{}", "no CSAF document: it has no document")]
    [InlineData("""{"document":{"csaf_version":"2.0"}}""", "no CSAF document: it has no document.tracking.id")]
    [InlineData("""{"document":{"tracking":{"id":"a"}}}""", "no CSAF document: it has no document.csaf_version")]
    [InlineData("""{"document":{"tracking":{"id":"\ud800"}}}""", "a text in it is not valid UTF-8 or has an unpaired surrogate")]
    [InlineData("""{"document":{"tracking":{"id":"a"},"csaf_version":"2.0"}} x""", "not valid JSON")]
    public void What_is_no_CSAF_document_is_refused(string json, string expected)
    {
        var result = CsafResult.Of(json);

        Assert.Empty(result.Advisories);
        Assert.Contains(result.Skipped, fault => fault.Path.Length == 0 && fault.Reason.StartsWith(expected, StringComparison.Ordinal));
    }

    [Fact]
    public void An_unknown_version_is_refused_with_its_path()
    {
        var result = CsafResult.Of($$"""{"document":{{CsafSamples.Header(version: "3.0")}},"product_tree":{},"vulnerabilities":[{}]}""");

        Assert.Empty(result.Advisories);
        Assert.Equal([("$.document.csaf_version", "CSAF version '3.0' is not known; 2.0 and 2.1 are")], result.Skipped);
    }

    [Fact]
    public void A_cut_document_is_refused_as_a_whole()
    {
        var json = Encoding.UTF8.GetBytes(CsafSamples.Document(CsafSamples.Tree(("p", "pkg:rpm/redhat/a")), $$"""[{"cve":"CVE-2024-1",{{Affected}}}]"""));
        for (var length = 0; length < json.Length; length++)
        {
            var result = CsafResult.Of(json.AsMemory(0, length));
            Assert.Empty(result.Advisories);
            Assert.NotEmpty(result.Skipped);
        }
    }

    [Fact]
    public void Relationships_that_go_round_or_nowhere_are_skipped_and_the_rest_counts()
    {
        var tree = $$"""
            {"branches":[{{CsafSamples.Rhel9}},{{Version("p", "pkg:rpm/redhat/a")}}],"relationships":[
              {{CsafSamples.Relationship("R9:p", "p", "R9")}},{{CsafSamples.Relationship("one", "p", "two")}},{{CsafSamples.Relationship("two", "one", "R9")}},
              {{CsafSamples.Relationship("nowhere", "p", "R10")}},{"category":"default_component_of"}]}
            """;

        var result = CsafResult.Of(CsafSamples.Document(
            tree, """[{"cve":"CVE-2024-1","product_status":{"known_affected":["one","nowhere","unknown","R9:p"]}}]"""));

        Assert.Equal("a", Assert.Single(result.Statements).Name);
        Assert.Equal(
            [
                ("$.product_tree.relationships[4]", "relationship without product_id, product_reference or relates_to_product_reference"),
                ("$.vulnerabilities[0].product_status.known_affected[2]", "product 'unknown' is not in the product tree"),
                ("$.vulnerabilities[0].product_status.known_affected[0]", "relationships are a cycle or more than 5 products deep"),
                ("$.vulnerabilities[0].product_status.known_affected[1]", "refers to product 'R10', which the product tree does not define"),
            ],
            result.Skipped);
    }

    [Theory]
    [InlineData("pkg:rpm/redhat/a?rpmmod=", "module '' is not name:stream: 'pkg:rpm/redhat/a?rpmmod='")]
    [InlineData("pkg:rpm/redhat/a?rpmmod=x:", "module 'x:' is not name:stream: 'pkg:rpm/redhat/a?rpmmod=x:'")]
    [InlineData("pkg:rpm/redhat/a?rpmmod=:8", "module ':8' is not name:stream: 'pkg:rpm/redhat/a?rpmmod=:8'")]
    [InlineData("pkg:rpm/redhat/a@1?epoch=-1", "epoch '-1' is no number: 'pkg:rpm/redhat/a@1?epoch=-1'")]
    [InlineData("pkg:rpm/redhat/%zz", "a '%' without two hexadecimal digits: 'pkg:rpm/redhat/%zz'")]
    [InlineData("pkg:rpm", "package URL without a name: 'pkg:rpm'")]
    [InlineData("curl", "no package URL: 'curl'")]
    public void A_malformed_package_URL_is_skipped(string purl, string expected)
    {
        var result = CsafSamples.One(purl, Affected);

        Assert.Empty(result.Statements);
        Assert.Equal([("$.vulnerabilities[0].product_status.known_affected[0]", expected)], result.Skipped);
    }

    [Theory]
    [InlineData("""[{"cve":7,"product_status":{"known_affected":["R9:p"]}}]""", "$.vulnerabilities[0].cve", "cve is a number, not a string")]
    [InlineData("""[3,{"product_status":{"known_affected":["R9:p"]}}]""", "$.vulnerabilities[0]", "vulnerability is a number, not an object")]
    [InlineData(
        """[{"product_status":{"fixed":{"a":[1]},"known_affected":["R9:p"]}}]""",
        "$.vulnerabilities[0].product_status.fixed",
        "product_status is an object, not an array")]
    [InlineData(
        """[{"product_status":{"known_affected":[["x"],"R9:p"]}}]""",
        "$.vulnerabilities[0].product_status.known_affected[0]",
        "product id is an array, not a string")]
    [InlineData(
        """[{"product_status":{"known_affected":["R9:p"]},"scores":[{"cvss_v3":{"baseScore":77}}]}]""",
        "$.vulnerabilities[0].scores[0].cvss_v3",
        "baseScore 77 is not from 0 to 10")]
    [InlineData(
        """[{"product_status":{"known_affected":["R9:p"],"known_not_affected":["R9:p"]}}]""",
        "$.vulnerabilities[0].product_status.known_not_affected[0]",
        "product 'R9:p' is affected as well, which counts")]
    public void A_fault_is_named_with_its_path_and_the_rest_counts(string vulnerabilities, string path, string reason)
    {
        var result = CsafResult.Of(CsafSamples.Document(CsafSamples.Tree(("p", "pkg:rpm/redhat/a")), vulnerabilities));

        Assert.Equal("a Either Affected all - -", Describe(Assert.Single(result.Statements)));
        Assert.Equal([(path, reason)], result.Skipped);
    }

    [Fact]
    public void A_document_that_is_wrong_throughout_names_a_hundred_faults_and_counts_the_rest()
    {
        var result = CsafResult.Of(CsafSamples.Document(
            CsafSamples.Tree(("p", "pkg:rpm/redhat/a")),
            $$"""[{"product_status":{"fixed":[{{string.Join(',', Enumerable.Repeat("1", 250))}}]} }]"""));

        Assert.Equal(101, result.Skipped.Count);
        Assert.Equal(("", "150 more faults of this document"), result.Skipped[^1]);
    }

    [Fact]
    public void A_product_may_be_defined_twice_but_not_as_two()
    {
        var tree = $$"""
            {"branches":[{{CsafSamples.Rhel9}},{{CsafSamples.Rhel9}},{{Version("p", "pkg:rpm/redhat/a")}},{{Version("p", "pkg:rpm/redhat/b")}}],
             "relationships":[{{CsafSamples.Relationship("R9:p", "p", "R9")}}]}
            """;

        var result = CsafResult.Of(CsafSamples.Document(tree, $$"""[{"cve":"CVE-2024-1",{{Affected}}}]"""));

        Assert.Equal([("$.product_tree.branches[3].product", "product id 'p' is defined before, as another product")], result.Skipped);
        Assert.Equal("a", Assert.Single(result.Statements).Name);
    }

    static CsafResult OfRange(string range, string status) => CsafResult.Of(CsafSamples.Document(
        $$"""{"branches":[{{CsafSamples.Package("p", "pkg:pypi/a", "product_version_range", range)}}]}""",
        $$"""[{"cve":"CVE-2024-1","product_status":{"{{status}}":["p"]} }]"""));

    static string Version(string id, string purl) => CsafSamples.Package(id, purl);

    static string Describe(PackageStatement s) =>
        $"{s.Name} {s.Naming} {s.Status} {Intervals(s)} {Or(s.Architectures)} {Or(s.Modules)}";

    static string Intervals(PackageStatement s) =>
        s.Intervals.Count == 0 ? "all" : string.Join(", ", s.Intervals.Select(i => $"{i.Introduced}..{i.End} {i.Kind}"));

    static string Or(IReadOnlyList<string> list) => list.Count == 0 ? "-" : string.Join(',', list);
}
