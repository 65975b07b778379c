using System.Text;
using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class UpdateInfoTests
{
    const string Security =
        """
        <update from="packager@almalinux.org" status="final" type="security" version="4">
         <id>ALSA-2024:0001</id><title>Important: nodejs:18 security update</title>
         <issued date="2024-01-02 00:00:00"/><updated date="2024-01-05 10:11:12"/>
         <severity>Important</severity><rights>x</rights><description>Long.</description>
         <references>
          <reference href="https://access.redhat.com/security/cve/CVE-2024-1111" id="CVE-2024-1111" type="cve" title="CVE-2024-1111"/>
          <reference href="https://errata.almalinux.org/8/ALSA-2024-0001.html" id="ALSA-2024:0001" type="self" title="ALSA-2024:0001"/>
         </references>
         <pkglist>
          <collection short="almalinux-8-appstream"><name>AlmaLinux 8 AppStream</name>
           <module name="nodejs" stream="18" version="8090020240101" context="a75119d5" arch="x86_64"/>
           <package name="nodejs" version="18.19.0" release="1.module_el8.9.0+1" epoch="1" arch="x86_64" src="nodejs-18.src.rpm"><filename>f</filename></package>
           <package name="nodejs" version="18.19.0" release="1.module_el8.9.0+1" epoch="1" arch="aarch64"><filename>f</filename></package>
           <package name="nodejs" version="18.19.0" release="1.module_el8.9.0+1" epoch="1" arch="src"><filename>f</filename></package>
           <package name="nodejs-docs" version="18.19.0" release="1.module_el8.9.0+1" epoch="1" arch="noarch"><filename>f</filename></package>
          </collection>
          <collection short="second">
           <package name="python3" version="3.6.8" release="41.el8.alma" epoch="0" arch="x86_64"/>
           <package name="python3" version="3.6.8" release="41.el8" epoch="0" arch="x86_64"/>
          </collection>
         </pkglist>
        </update>
        """;

    [Fact]
    public void A_security_update_says_which_builds_of_which_streams_fix_it()
    {
        var feed = ReadFeed.UpdateInfo($"<updates>{Security}</updates>");
        feed.AssertNothingSkipped();
        var advisory = Assert.Single(feed.Advisories);
        Assert.Equal(("updateinfo", "ALSA-2024:0001", Severity.Important), (advisory.Feed, advisory.Id, advisory.Severity));
        Assert.Equal("AlmaLinux:8 almalinux-8-appstream", advisory.Part);
        Assert.Equal(["CVE-2024-1111"], advisory.Cves);
        Assert.Equal("https://errata.almalinux.org/8/ALSA-2024-0001.html", advisory.Url);
        Assert.Equal(new DateTimeOffset(2024, 1, 5, 10, 11, 12, TimeSpan.Zero), advisory.Modified);
        Assert.Equal(
            [
                "AlmaLinux:8 nodejs Fixed <1:18.19.0-1.module_el8.9.0+1 (x86_64|aarch64) [nodejs:18]",
                "AlmaLinux:8 nodejs-docs Fixed <1:18.19.0-1.module_el8.9.0+1 [nodejs:18]",
                "AlmaLinux:8 python3 Fixed <3.6.8-41.el8 (x86_64)",
            ],
            feed.Statements("ALSA-2024:0001"));
    }

    [Fact]
    public void Bug_fixes_count_only_when_they_name_a_CVE()
    {
        static string Update(string id, string reference) =>
            $"""
            <update type="bugfix" status="final"><id>{id}</id><title>t</title><issued date="1623283200"/><references>{reference}</references>
             <pkglist><collection><package name="a" version="1" release="1" epoch="0" arch="x86_64"/></collection></pkglist></update>
            """;
        var feed = ReadFeed.UpdateInfo($"<updates>{Update("A-1", "")}{Update("A-2", "<reference id='CVE-2024-2222' type='cve'/>")}</updates>");
        Assert.Equal(["A-2"], feed.Advisories.Select(advisory => advisory.Id));
        // SUSE's notation.
        Assert.Equal(new DateTimeOffset(2021, 6, 10, 0, 0, 0, TimeSpan.Zero), feed.Advisories[0].Published);
        Assert.Equal(["updateinfo type bugfix"], feed.LeftOut);
    }

    [Fact]
    public void A_retracted_update_is_withdrawn()
    {
        var feed = ReadFeed.UpdateInfo($"<updates>{Security.Replace("final", "retracted", StringComparison.Ordinal)}</updates>");
        Assert.Empty(feed.Advisories);
        Assert.Equal(["ALSA-2024:0001"], feed.Withdrawn);
    }

    [Fact]
    public void A_file_that_is_cut_gives_what_came_before_and_says_so()
    {
        var feed = ReadFeed.UpdateInfo($"<updates>{Security}<update type='security'><id>B-1</id>");
        Assert.Equal(["ALSA-2024:0001"], feed.Advisories.Select(advisory => advisory.Id));
        Assert.Contains("cannot be read to its end", Assert.Single(feed.Skipped).Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Packages_and_updates_without_a_name_are_skipped_by_name()
    {
        var feed = ReadFeed.UpdateInfo(
            """
            <updates><update type="security"><title>no id</title></update>
            <update type="security"><id>A-1</id><pkglist><collection>
             <package version="1" release="1" arch="x86_64"/><package name="a" version="2" release="1" epoch="x" arch="x86_64"/>
            </collection></pkglist></update></updates>
            """);
        Assert.Equal(["AlmaLinux:8 a Fixed <2-1 (x86_64)"], feed.Statements("A-1"));
        Assert.Equal(["/updates/update", "/updates/update/pkglist/collection/package"], feed.Skipped.Select(skip => skip.Path));
    }

    [Trait("Category", "Fuzz")]
    [Fact]
    public void A_damaged_file_never_throws_and_never_hangs()
    {
        var whole = Encoding.UTF8.GetBytes($"<updates>{Security}</updates>");
        var read = 0;
        for (var seed = 0; seed < FuzzInputs.Count(2000); seed++)
        {
            var feed = new ReadFeed();
            using var stream = new MemoryStream(FuzzInputs.Mutate(whole, new Random(seed)));
            UpdateInfo.Read("updateinfo.xml", stream, "AlmaLinux:8", feed, CancellationToken.None);
            read += feed.Advisories.Count;
            Assert.True(feed.Advisories.Count + feed.Skipped.Count + feed.LeftOut.Count > 0 || !Encoding.UTF8.GetString(stream.ToArray()).Contains("<update ", StringComparison.Ordinal), $"seed {seed}");
        }

        Assert.NotEqual(0, read);
    }
}
