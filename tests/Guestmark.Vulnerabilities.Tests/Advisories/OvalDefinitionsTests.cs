using System.Diagnostics;
using System.Text;
using System.Xml.Linq;
using Guestmark.TestKit;
using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

[Collection(nameof(MeasuredAlone))]
public sealed class OvalDefinitionsTests
{
    [Fact]
    public void A_patch_of_Red_Hat_is_for_the_products_of_its_CPEs_with_the_worst_score_of_its_CVEs()
    {
        var feed = ReadFeed.Oval(Oval(
            """
            <definition class="patch" id="oval:com.redhat.rhsa:def:20240001" version="1">
             <metadata>
              <title>RHSA-2024:0001: curl security update (Important)</title>
              <affected family="unix"><platform>Red Hat Enterprise Linux 8</platform></affected>
              <reference ref_id="RHSA-2024:0001" ref_url="https://access.redhat.com/errata/RHSA-2024:0001" source="RHSA"/>
              <reference ref_id="CVE-2024-1111" ref_url="https://access.redhat.com/security/cve/CVE-2024-1111" source="CVE"/>
              <description>Long text.</description>
              <advisory from="secalert@redhat.com">
               <severity>Important</severity>
               <issued date="2024-01-02"/><updated date="2024-01-03"/>
               <cve cvss3="5.3/CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:L/A:N" href="x">CVE-2024-1111</cve>
               <cve cvss3="7.5/CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" href="x">CVE-2024-1112</cve>
               <affected_cpe_list>
                <cpe>cpe:/o:redhat:enterprise_linux:8::baseos</cpe><cpe>cpe:/a:redhat:enterprise_linux:8</cpe><cpe>cpe:/a:redhat:rhel_eus:8.6::appstream</cpe>
               </affected_cpe_list>
              </advisory>
             </metadata>
             <criteria operator="OR">
              <criterion comment="Red Hat Enterprise Linux must be installed" test_ref="t:none"/>
              <criteria operator="AND">
               <criterion comment="Red Hat Enterprise Linux 8 is installed" test_ref="t:rhel8"/>
               <criteria operator="AND">
                <criterion comment="curl is earlier than 0:7.61.1-33.el8_9.5" test_ref="t:curl"/>
                <criterion comment="curl is signed with Red Hat redhatrelease2 key" test_ref="t:key"/>
               </criteria>
              </criteria>
             </criteria>
            </definition>
            """,
            Test("t:curl", "o:curl", "s:curl") + Test("t:key", "o:curl", "s:key")
            + """<r:rpmverifyfile_test check="none satisfy" comment="Red Hat Enterprise Linux must be installed" id="t:none"/>"""
            + """<r:rpmverifyfile_test check="at least one" comment="Red Hat Enterprise Linux 8 is installed" id="t:rhel8"/>""",
            Name("o:curl", "curl"),
            Evr("s:curl", "less than", "0:7.61.1-33.el8_9.5", "aarch64|x86_64") + """<r:rpminfo_state id="s:key"><r:signature_keyid operation="equals">1</r:signature_keyid></r:rpminfo_state>"""));

        feed.AssertNothingSkipped();
        var advisory = Assert.Single(feed.Advisories);
        Assert.Equal(("oval", "RHSA-2024:0001", Severity.Important, 7.5), (advisory.Feed, advisory.Id, advisory.Severity, advisory.CvssScore));
        Assert.Equal("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", advisory.CvssVector);
        Assert.Equal(["CVE-2024-1111", "CVE-2024-1112"], advisory.Cves);
        Assert.Equal("https://access.redhat.com/errata/RHSA-2024:0001", advisory.Url);
        Assert.Equal((Day(2024, 1, 2), Day(2024, 1, 3)), (advisory.Published, advisory.Modified));
        Assert.Equal(
            ["Red_Hat:enterprise_linux:8 curl Fixed <7.61.1-33.el8_9.5 (aarch64|x86_64)", "Red_Hat:rhel_eus:8.6 curl Fixed <7.61.1-33.el8_9.5 (aarch64|x86_64)"],
            feed.Statements("RHSA-2024:0001"));
        Assert.Equal("cpe:/o:redhat:enterprise_linux:8::baseos", advisory.Statements[0].Cpe);
    }

    [Theory]
    [InlineData("Affected", ProductStatus.Affected)]
    [InlineData("Fix deferred", ProductStatus.FixDeferred)]
    [InlineData("Will not fix", ProductStatus.WillNotFix)]
    [InlineData("Out of support scope", ProductStatus.OutOfSupport)]
    [InlineData("Under investigation", ProductStatus.UnderInvestigation)]
    public void An_unfixed_CVE_has_the_state_that_Red_Hat_gives_the_component(string state, ProductStatus expected)
    {
        var feed = ReadFeed.Oval(Oval(
            $"""
            <definition class="vulnerability" id="oval:com.redhat.cve:def:20241" version="1">
             <metadata>
              <title>CVE-2024-2222 nodejs: a flaw (moderate)</title>
              <reference ref_id="CVE-2024-2222" ref_url="https://access.redhat.com/security/cve/CVE-2024-2222" source="CVE"/>
              <advisory><severity>Moderate</severity>
               <affected>
                <resolution state="Not affected"><component>zlib</component></resolution>
                <resolution state="{state}"><component>nodejs:18/nodejs</component><component>npm</component></resolution>
               </affected>
               <affected_cpe_list><cpe>cpe:/a:redhat:enterprise_linux:8</cpe></affected_cpe_list>
              </advisory>
             </metadata>
             <criteria operator="AND">
              <criterion comment="Red Hat Enterprise Linux 8 is installed" test_ref="t:rhel8"/>
              <criteria operator="OR">
               <criteria operator="AND">
                <criterion comment="Module nodejs:18 is enabled" test_ref="t:module"/>
                <criterion comment="nodejs is installed" test_ref="t:nodejs"/>
               </criteria>
               <criterion comment="npm is installed" test_ref="t:npm"/>
               <criterion comment="other is installed" test_ref="t:other"/>
               <criterion comment="zlib is not installed" test_ref="t:gone"/>
              </criteria>
             </criteria>
            </definition>
            """,
            Test("t:nodejs", "o:nodejs") + Test("t:npm", "o:npm") + Test("t:other", "o:other")
            + """<i:textfilecontent54_test comment="Module nodejs:18 is enabled" id="t:module"/>"""
            + """<r:rpminfo_test check_existence="none_exist" comment="zlib is not installed" id="t:gone"><r:object object_ref="o:npm"/></r:rpminfo_test>"""
            + """<r:rpmverifyfile_test comment="Red Hat Enterprise Linux 8 is installed" id="t:rhel8"/>""",
            Name("o:nodejs", "nodejs") + Name("o:npm", "npm") + Name("o:other", "other"),
            ""));

        feed.AssertNothingSkipped();
        Assert.Equal(
            [$"Red_Hat:enterprise_linux:8 nodejs {expected} [nodejs:18]", $"Red_Hat:enterprise_linux:8 npm {expected}", "Red_Hat:enterprise_linux:8 other Affected"],
            feed.Statements("CVE-2024-2222"));
        // It has no date of its own: that of the file.
        Assert.Equal(new DateTimeOffset(2024, 5, 6, 7, 8, 9, TimeSpan.Zero), feed.Advisories[0].Modified);
    }

    [Fact]
    public void Unaffected_components_are_not_affected_whatever_their_criteria_ask_for()
    {
        var feed = ReadFeed.Oval(Oval(
            """
            <definition class="vulnerability" id="oval:com.redhat.unaffected:def:20243" version="1">
             <metadata>
              <title>Unaffected components for: CVE-2024-3333 x: a flaw (low)</title>
              <reference ref_id="CVE-2024-3333" ref_url="https://access.redhat.com/security/cve/CVE-2024-3333" source="CVE"/>
              <advisory><severity>Low</severity><affected><resolution state="Will not fix"><component>x</component></resolution></affected></advisory>
             </metadata>
             <criteria operator="AND">
              <criterion comment="Red Hat Enterprise Linux 7 is installed" test_ref="t:rhel7"/>
              <criteria operator="AND">
               <criterion comment="x is installed" test_ref="t:x"/>
               <criterion comment="x is not installed" test_ref="t:gone"/>
              </criteria>
             </criteria>
            </definition>
            """,
            Test("t:x", "o:x")
            + """<r:rpminfo_test check_existence="none_exist" comment="x is not installed" id="t:gone"><r:object object_ref="o:x"/></r:rpminfo_test>"""
            + """<r:rpmverifyfile_test comment="Red Hat Enterprise Linux 7 is installed" id="t:rhel7"/>""",
            Name("o:x", "x"),
            ""));

        Assert.Equal(["Red_Hat:enterprise_linux:7 x NotAffected"], feed.Statements("CVE-2024-3333"));
        // No CPE list: the file tells which of Red Hat's streams it is.
        Assert.Equal("oval:com.redhat.unaffected:def:20243 feed", feed.Advisories[0].Part);
    }

    [Fact]
    public void Oracle_repeats_packages_for_each_architecture_and_marks_ksplice_and_fips_builds_by_their_epoch()
    {
        static string Of(string arch) =>
            $"""
            <criteria operator="AND"><criterion comment="Oracle Linux arch is {arch}" test_ref="t:{arch}"/>
             <criteria operator="OR">
              <criteria operator="AND"><criterion comment="a" test_ref="t:ssl"/><criterion comment="b" test_ref="t:key"/></criteria>
              <criteria operator="AND"><criterion comment="a" test_ref="t:ksplice"/><criterion comment="b" test_ref="t:key"/></criteria>
              <criterion comment="a" test_ref="t:fips"/>
             </criteria>
            </criteria>
            """;
        var feed = ReadFeed.Oval(Oval(
            $"""
            <definition class="patch" id="oval:com.oracle.elsa:def:20229272" version="1">
             <metadata>
              <title>ELSA-2022-9272:  openssl security update (IMPORTANT)</title>
              <affected family="unix"><platform>Oracle Linux 8</platform></affected>
              <reference source="elsa" ref_id="ELSA-2022-9272" ref_url="https://linux.oracle.com/errata/ELSA-2022-9272.html"/>
              <reference source="CVE" ref_id="CVE-2022-0778" ref_url="https://linux.oracle.com/cve/CVE-2022-0778.html"/>
              <advisory><severity>IMPORTANT</severity><issued date="2022-04-01"/></advisory>
             </metadata>
             <criteria operator="AND"><criterion comment="Oracle Linux 8 is installed" test_ref="t:ol8"/>
              <criteria operator="OR">{Of("aarch64")}{Of("x86_64")}</criteria>
             </criteria>
            </definition>
            """,
            Test("t:ssl", "o:ssl", "s:ssl") + Test("t:ksplice", "o:ssl", "s:ksplice") + Test("t:fips", "o:ssl", "s:fips") + Test("t:key", "o:ssl", "s:key")
            + """<rpminfo_test comment="Oracle Linux 8 is installed" id="t:ol8"><object object_ref="o:release"/><state state_ref="s:ol8"/></rpminfo_test>"""
            + """<rpminfo_test comment="Oracle Linux arch is aarch64" id="t:aarch64"/><rpminfo_test comment="Oracle Linux arch is x86_64" id="t:x86_64"/>""",
            Name("o:ssl", "openssl") + Name("o:release", "oraclelinux-release"),
            Evr("s:ssl", "less than", "1:1.1.1k-6.el8_5") + Evr("s:ksplice", "less than", "2:1.1.1k-6.ksplice1.el8_5")
            + Evr("s:fips", "less than", "10:1.1.1k-6.el8_5_fips") + """<rpminfo_state id="s:key"><signature_keyid>1</signature_keyid></rpminfo_state>"""
            + """<rpminfo_state id="s:ol8"><version operation="pattern match">^8</version></rpminfo_state>"""));

        feed.AssertNothingSkipped();
        Assert.Equal(
            [
                "Oracle_Linux:8 openssl Fixed <1:1.1.1k-6.el8_5 (aarch64|x86_64)",
                "Oracle_Linux:8 openssl Fixed 2:0<2:1.1.1k-6.ksplice1.el8_5 (aarch64|x86_64)",
                "Oracle_Linux:8 openssl Fixed 10:0<10:1.1.1k-6.el8_5_fips (aarch64|x86_64)",
            ],
            feed.Statements("ELSA-2022-9272"));
        Assert.Equal(Severity.Important, feed.Advisories[0].Severity);
    }

    [Fact]
    public void Each_product_of_SUSE_has_the_packages_that_stand_with_it()
    {
        var feed = ReadFeed.Oval(Oval(
            """
            <definition class="vulnerability" id="oval:org.opensuse.security:def:20214444" version="1">
             <metadata><title>CVE-2021-4444</title><affected family="unix"><platform>SUSE Linux Enterprise Server 15 SP3</platform></affected>
              <reference ref_id="CVE-2021-4444" ref_url="https://www.suse.com/security/cve/CVE-2021-4444/" source="SUSE CVE"/>
              <advisory><severity>Moderate</severity></advisory></metadata>
             <criteria operator="OR">
              <criteria operator="AND"><criterion test_ref="t:sles" comment="SUSE Linux Enterprise Server 15 SP3 is installed"/>
               <criteria operator="OR"><criterion test_ref="t:fix" comment="x"/><criterion test_ref="t:never" comment="x"/></criteria></criteria>
              <criteria operator="AND"><criterion test_ref="t:leap" comment="openSUSE Leap 15.3 is installed"/><criterion test_ref="t:open" comment="x"/></criteria>
             </criteria>
            </definition>
            """,
            Test("t:fix", "o:a", "s:fix") + Test("t:never", "o:b", "s:never") + Test("t:open", "o:c", "s:any")
            + """<rpminfo_test comment="SUSE Linux Enterprise Server 15 SP3 is installed" id="t:sles"/><rpminfo_test comment="openSUSE Leap 15.3 is installed" id="t:leap"/>""",
            Name("o:a", "a") + Name("o:b", "b") + Name("o:c", "c"),
            Evr("s:fix", "less than", "0:1.2-3.1") + Evr("s:never", "less than", "0:0-0") + Evr("s:any", "greater than", "0:0-0")));

        feed.AssertNothingSkipped();
        Assert.Equal(["SUSE:Linux_Enterprise_Server_15_SP3 a Fixed <1.2-3.1", "openSUSE:Leap_15.3 c Affected"], feed.Statements("CVE-2021-4444"));
    }

    [Fact]
    public void Ubuntu_names_its_packages_in_a_variable_and_its_release_in_another_definition()
    {
        var feed = ReadFeed.Oval(Oval(
            """
            <definition class="inventory" id="oval:com.ubuntu.jammy:def:100" version="1"><metadata><title>Check that Ubuntu 22.04 LTS (jammy) is installed.</title></metadata></definition>
            <definition class="vulnerability" id="oval:com.ubuntu.jammy:def:1" version="1">
             <metadata><title>CVE-2022-5555 on Ubuntu 22.04 LTS (jammy) - medium</title>
              <affected family="unix"><platform>Ubuntu 22.04 LTS</platform></affected>
              <reference source="CVE" ref_id="CVE-2022-5555" ref_url="https://ubuntu.com/security/CVE-2022-5555"/>
              <advisory><severity>Medium</severity></advisory></metadata>
             <criteria>
              <extend_definition definition_ref="oval:com.ubuntu.jammy:def:100" comment="Ubuntu 22.04 LTS (jammy) is installed." applicability_check="true"/>
              <criteria operator="OR">
               <criterion test_ref="t:fix" comment="x"/><criterion test_ref="t:open" comment="x"/><criterion test_ref="t:defer" comment="x"/>
              </criteria>
             </criteria>
            </definition>
            """,
            """
            <l:dpkginfo_test id="t:fix" comment="fixed"><l:object object_ref="o:many"/><l:state state_ref="s:fix"/></l:dpkginfo_test>
            <l:dpkginfo_test id="t:open" comment="b package in jammy is affected and needs fixing."><l:object object_ref="o:b"/></l:dpkginfo_test>
            <l:dpkginfo_test id="t:defer" comment="c package in jammy is affected, but a decision has been made to defer addressing it."><l:object object_ref="o:c"/></l:dpkginfo_test>
            """,
            """
            <l:dpkginfo_object id="o:many"><l:name var_ref="v:many" var_check="at least one"/></l:dpkginfo_object>
            <l:dpkginfo_object id="o:b"><l:name>b</l:name></l:dpkginfo_object><l:dpkginfo_object id="o:c"><l:name>c</l:name></l:dpkginfo_object>
            """,
            """<l:dpkginfo_state id="s:fix"><l:evr datatype="debian_evr_string" operation="less than">0:2.4.52-1ubuntu4.3</l:evr></l:dpkginfo_state>""",
            """<constant_variable id="v:many"><value>apache2</value><value>apache2-bin</value></constant_variable>"""));

        feed.AssertNothingSkipped();
        Assert.Equal(["OVAL class inventory"], feed.LeftOut);
        Assert.Equal(
            [
                "Ubuntu:22.04:LTS apache2 Fixed <2.4.52-1ubuntu4.3", "Ubuntu:22.04:LTS apache2-bin Fixed <2.4.52-1ubuntu4.3",
                "Ubuntu:22.04:LTS b Affected", "Ubuntu:22.04:LTS c FixDeferred",
            ],
            feed.Statements("CVE-2022-5555"));
    }

    [Fact]
    public void Two_tests_of_one_package_bound_its_versions_from_both_sides()
    {
        var feed = ReadFeed.Oval(Oval(
            Patch("""<criterion test_ref="t:from" comment="x"/><criterion test_ref="t:to" comment="x"/>"""),
            Test("t:from", "o:a", "s:from") + Test("t:to", "o:a", "s:to"),
            Name("o:a", "a"),
            Evr("s:from", "greater than or equal", "0:2.0-1") + Evr("s:to", "less than or equal", "0:2.4-7")));
        Assert.Equal(["Photon_OS:3.0 a Fixed 2.0-1<=2.4-7"], feed.Statements("PHSA-2020:00001"));
    }

    [Fact]
    public void A_test_that_is_not_in_the_document_is_named_and_the_others_count()
    {
        var feed = ReadFeed.Oval(Oval(
            Patch("""<criteria operator="OR"><criterion test_ref="t:a" comment="x"/><criterion test_ref="t:lost" comment="x"/></criteria>"""),
            Test("t:a", "o:a", "s:a"),
            Name("o:a", "a"),
            Evr("s:a", "less than", "0:2.0-1")));
        Assert.Equal(["Photon_OS:3.0 a Fixed <2.0-1"], feed.Statements("PHSA-2020:00001"));
        var (path, reason) = Assert.Single(feed.Skipped);
        Assert.Equal("/oval_definitions/definitions/definition[@id='d:1']", path);
        Assert.StartsWith("1 of its criteria", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Negated_criteria_make_no_statement()
    {
        var feed = ReadFeed.Oval(Oval(
            Patch("""<criteria operator="OR"><criterion test_ref="t:a" negate="true" comment="x"/></criteria>"""),
            Test("t:a", "o:a", "s:a"),
            Name("o:a", "a"),
            Evr("s:a", "less than", "0:2.0-1")));
        Assert.Empty(feed.Advisories);
        Assert.Contains("negated OVAL criteria", feed.LeftOut);
    }

    [Theory]
    [InlineData("cut", "cannot be read to its end")]
    [InlineData("doctype", "cannot be read to its end")]
    [InlineData("deep", "deeper than 64")]
    [InlineData("names", "names of elements and attributes")]
    [InlineData("other", "the root element is not oval_definitions")]
    [InlineData("long", "longer than")]
    public void Of_a_file_that_is_damaged_or_hostile_nothing_is_taken(string damage, string reason)
    {
        var whole = Oval(
            Patch("""<criterion test_ref="t:a" comment="x"/>"""),
            Test("t:a", "o:a", "s:a"),
            Name("o:a", "a"),
            Evr("s:a", "less than", "0:2.0-1"));
        Assert.Single(ReadFeed.Oval(whole).Advisories);
        var feed = ReadFeed.Oval(damage switch
        {
            "cut" => whole[..^10],
            "doctype" => $"<!DOCTYPE a [<!ENTITY b \"cccc\">]>{whole}",
            "deep" => whole.Replace("<tests>", string.Concat(Enumerable.Repeat("<a>", 70)) + string.Concat(Enumerable.Repeat("</a>", 70)) + "<tests>", StringComparison.Ordinal),
            "names" => whole.Replace("<tests>", $"<tests>{string.Concat(Enumerable.Range(0, 5000).Select(number => $"<n{number}/>"))}", StringComparison.Ordinal),
            "long" => whole.Replace("<tests>", $"<tests long='{new string('x', 5_000_000)}'>", StringComparison.Ordinal),
            _ => "<html/>",
        });
        Assert.Empty(feed.Advisories);
        Assert.Contains(reason, Assert.Single(feed.Skipped).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_kept_of_a_file_is_less_than_two_thirds_of_it()
    {
        // 20,000 definitions of three packages each, with Red Hat's texts around them.
        var filler = new string('d', 300);
        long before = 0, kept = 0;
        var feed = new ReadFeed { OnFirst = () => kept = GC.GetTotalMemory(forceFullCollection: true) - before };
        using var stream = new MemoryStream();
        using (var writer = new StreamWriter(stream, leaveOpen: true))
        {
            writer.Write("<oval_definitions><definitions>");
            for (var i = 0; i < 20_000; i++)
            {
                writer.Write($"<definition class='patch' id='oval:com.redhat.rhsa:def:{i}'><metadata><title>RHSA-2024:{i}: package{i} security update</title>");
                writer.Write($"<affected><platform>Red Hat Enterprise Linux 8</platform></affected><description>{filler}</description></metadata><criteria operator='OR'>");
                for (var p = 0; p < 3; p++) writer.Write($"<criterion comment='package{i}-{p} is earlier than 0:1.2.{i}-1.el8' test_ref='oval:com.redhat.rhsa:tst:{i}{p}'/>");
                writer.Write("</criteria></definition>");
            }

            writer.Write("</definitions><tests>");
            for (var i = 0; i < 60_000; i++)
            {
                writer.Write($"<rpminfo_test check='at least one' comment='package{i / 3}-{i % 3} is earlier than 0:1.2.{i / 3}-1.el8' id='oval:com.redhat.rhsa:tst:{i / 3}{i % 3}' version='637'>");
                writer.Write($"<object object_ref='oval:com.redhat.rhsa:obj:{i}'/><state state_ref='oval:com.redhat.rhsa:ste:{i / 3}'/></rpminfo_test>");
            }

            writer.Write("</tests><objects>");
            for (var i = 0; i < 60_000; i++) writer.Write($"<rpminfo_object id='oval:com.redhat.rhsa:obj:{i}' version='637'><name>package{i / 3}-{i % 3}</name></rpminfo_object>");
            writer.Write("</objects><states>");
            for (var i = 0; i < 20_000; i++)
                writer.Write($"<rpminfo_state id='oval:com.redhat.rhsa:ste:{i}' version='637'><arch>x86_64</arch><evr datatype='evr_string' operation='less than'>0:1.2.{i}-1.el8</evr></rpminfo_state>");
            writer.Write("</states></oval_definitions>");
        }

        stream.Position = 0;
        before = GC.GetTotalMemory(forceFullCollection: true);
        OvalDefinitions.Read("feed.xml", stream, feed, CancellationToken.None);
        feed.AssertNothingSkipped();
        Assert.Equal(20_000, feed.Advisories.Count);
        Assert.Equal(60_000, feed.Advisories.Sum(advisory => advisory.Statements.Count));
        // 44 MB of XML, with short descriptions: a file of Red Hat has more text of which nothing is kept.
        Assert.True(kept < stream.Length * 6 / 10, $"{kept} bytes are kept of {stream.Length}");
    }

    /// <summary>
    /// The comments of the criteria say in words what the tests, objects and states say: read by other means from the same file, they must agree.
    /// </summary>
    [TestDataFact]
    public void Photon_says_the_same_in_its_comments()
    {
        var path = Repository.TestDataPath("oval/com.vmware.phsa-photon3.xml");
        var expected = new SortedDictionary<string, string[]>(StringComparer.Ordinal);
        XNamespace oval = "http://oval.mitre.org/XMLSchema/oval-definitions-5";
        foreach (var definition in XDocument.Load(path).Descendants(oval + "definition"))
        {
            var title = definition.Descendants(oval + "title").Single().Value;
            expected[title[..title.IndexOf(' ', StringComparison.Ordinal)]] =
            [
                .. definition.Descendants(oval + "cve").Select(cve => cve.Value).Order(StringComparer.Ordinal),
                .. definition.Descendants(oval + "criterion").Select(criterion => criterion.Attribute("comment")!.Value.Split(" is earlier than 0:"))
                    .Where(words => words.Length == 2).Select(words => $"{words[0]} <{words[1]}"),
            ];
        }

        var feed = new ReadFeed();
        using (var stream = File.OpenRead(path)) OvalDefinitions.Read(path, stream, feed, CancellationToken.None);
        feed.AssertNothingSkipped();
        Assert.Equal(222, feed.Advisories.Count);
        Assert.Equal(778, feed.Advisories.Sum(advisory => advisory.Statements.Count));
        Assert.All(feed.Advisories.SelectMany(advisory => advisory.Statements), statement => Assert.Equal("Photon OS:3.0", statement.Product));
        Assert.Equal(
            expected.Select(entry => $"{entry.Key}: {string.Join(", ", entry.Value)}"),
            feed.Advisories.OrderBy(advisory => advisory.Id, StringComparer.Ordinal).Select(advisory =>
                $"{advisory.Id}: {string.Join(", ", advisory.Cves.Concat(advisory.Statements.Select(statement => $"{statement.Name} <{statement.Intervals[0].End}")))}"));
    }

    [TestDataTheory]
    [InlineData("RHEL6/rhel-6-extras-including-unpatched", 6, 12, "Red Hat:enterprise_linux:6 Red Hat:rhel_extras_other:6")]
    [InlineData("RHEL7/dotnet-3.1-including-unpatched", 4, 26, "Red Hat:enterprise_linux:7 Red Hat:rhel_dotnet:3.1")]
    [InlineData("RHEL8/ansible-2-including-unpatched", 5, 10, "Red Hat:ansible_engine:2.9 Red Hat:enterprise_linux:8")]
    public void Red_Hat_says_the_same_in_its_comments(string file, int advisories, int statements, string products)
    {
        using var xml = Bunzip(Repository.TestDataPath($"oval/redhat/{file}.oval.xml.bz2"));
        var expected = new List<string>();
        XNamespace oval = "http://oval.mitre.org/XMLSchema/oval-definitions-5";
        foreach (var definition in XDocument.Load(xml).Descendants(oval + "definition"))
        {
            var open = definition.Attribute("id")!.Value.Contains("unaffected", StringComparison.Ordinal) ? ProductStatus.NotAffected : ProductStatus.Affected;
            foreach (var comment in definition.Descendants(oval + "criterion").Select(criterion => criterion.Attribute("comment")!.Value))
            {
                if (comment.Split(" is earlier than ") is [var name, var evr]) expected.Add($"{name} Fixed {(evr.StartsWith("0:", StringComparison.Ordinal) ? evr[2..] : evr)}");
                else if (comment.EndsWith(" is installed", StringComparison.Ordinal) && !comment.StartsWith("Red Hat", StringComparison.Ordinal)) expected.Add($"{comment[..^13]} {open} ");
            }
        }

        xml.Position = 0;
        var feed = new ReadFeed();
        OvalDefinitions.Read(file, xml, feed, CancellationToken.None);
        feed.AssertNothingSkipped();
        Assert.Equal((advisories, statements), (feed.Advisories.Count, expected.Count));
        var read = feed.Advisories.SelectMany(advisory => advisory.Statements).ToList();
        Assert.Equal(expected, read.Select(statement => $"{statement.Name} {statement.Status} {(statement.Intervals.Count > 0 ? statement.Intervals[0].End : "")}"));
        Assert.Equal(products.Split(" Red ").Select(name => name.StartsWith("Red", StringComparison.Ordinal) ? name : $"Red {name}"), read.Select(statement => statement.Product).Distinct().Order(StringComparer.Ordinal));

        static MemoryStream Bunzip(string path)
        {
            using var process = Process.Start(new ProcessStartInfo("bzcat", [path]) { RedirectStandardOutput = true, UseShellExecute = false })!;
            var plain = new MemoryStream();
            process.StandardOutput.BaseStream.CopyTo(plain);
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
            plain.Position = 0;
            return plain;
        }
    }

    [Trait("Category", "Fuzz")]
    [Fact]
    public void A_damaged_file_never_throws_and_never_hangs()
    {
        var whole = Encoding.UTF8.GetBytes(Oval(
            Patch("""<criteria operator="OR"><criterion test_ref="t:a" comment="x"/><criterion test_ref="t:b" negate="false" comment="Module a:1 is enabled"/></criteria>"""),
            Test("t:a", "o:a", "s:a") + Test("t:b", "o:v", "s:b"),
            Name("o:a", "a") + """<l:dpkginfo_object id="o:v"><l:name var_ref="v:1" operation="pattern match">^a$</l:name></l:dpkginfo_object>""",
            Evr("s:a", "less than", "0:2.0-1", "x86_64|aarch64") + Evr("s:b", "greater than", "1:0-0"),
            """<constant_variable id="v:1"><value>one</value></constant_variable>"""));
        var read = 0;
        for (var seed = 0; seed < FuzzInputs.Count(2000); seed++)
        {
            var feed = new ReadFeed();
            using var stream = new MemoryStream(FuzzInputs.Mutate(whole, new Random(seed)));
            OvalDefinitions.Read("feed.xml", stream, feed, CancellationToken.None);
            read += feed.Advisories.Count;
            Assert.True(feed.Advisories.Count + feed.Skipped.Count + feed.LeftOut.Count > 0, $"seed {seed}: nothing was given and nothing said");
        }

        Assert.NotEqual(0, read);
    }

    static DateTimeOffset Day(int year, int month, int day) => new(year, month, day, 0, 0, 0, TimeSpan.Zero);

    static string Oval(string definitions, string tests, string objects, string states, string variables = "") =>
        $"""
        <oval_definitions xmlns:oval="o" xmlns:r="r" xmlns:l="l" xmlns:i="i">
         <generator><oval:timestamp>2024-05-06T07:08:09</oval:timestamp></generator>
         <definitions>{definitions}</definitions>
         <tests>{tests}</tests>
         <objects>{objects}</objects>
         <states>{states}</states>
         <variables>{variables}</variables>
        </oval_definitions>
        """;

    static string Patch(string criteria) =>
        $"""
        <definition class="patch" id="d:1" version="1">
         <metadata><title>PHSA-2020:00001 a Security Update. (Important)</title><affected family="unix"><platform>Photon 3</platform></affected></metadata>
         <criteria operator="AND">{criteria}</criteria>
        </definition>
        """;

    static string Test(string id, string reference, string? state = null) =>
        $"""<r:rpminfo_test check="at least one" comment="x" id="{id}"><r:object object_ref="{reference}"/>{(state is null ? "" : $"<r:state state_ref='{state}'/>")}</r:rpminfo_test>""";

    static string Name(string id, string name) => $"""<r:rpminfo_object id="{id}"><r:name>{name}</r:name></r:rpminfo_object>""";

    static string Evr(string id, string operation, string evr, string? architectures = null) =>
        $"""
        <r:rpminfo_state id="{id}">{(architectures is null ? "" : $"<r:arch operation='pattern match'>{architectures}</r:arch>")}
         <r:evr datatype="evr_string" operation="{operation}">{evr}</r:evr></r:rpminfo_state>
        """;
}
