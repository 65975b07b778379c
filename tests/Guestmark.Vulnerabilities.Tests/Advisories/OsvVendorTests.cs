using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>The documents of vendors. Expected values are counted from the documents by other means.</summary>
public sealed class OsvVendorTests
{
    [TestDataTheory]
    [InlineData("alma/fixtures/ALSA/2023/ALSA-2023%3A7465.json", 1, 1, "AlmaLinux:9", "squid", "7:5.5-6.el9_3.2", PackageNaming.Binary)]
    [InlineData("alma/fixtures/ALSA/2023/ALSA-2023%3A7549.json", 7, 24, "AlmaLinux:8", "bpftool", "4.18.0-513.9.1.el8_9", PackageNaming.Binary)]
    [InlineData("alpine/fixtures/2023/CVE-2023-46850.json", 1, 1, "Alpine:v3.18", "openvpn", "2.6.7-r0", PackageNaming.Source)]
    [InlineData("debian/fixtures/DLA/2014/DLA-0001-1.json", 1, 1, "Debian:6.0", "gnutls26", "2.8.6-1+squeeze4", PackageNaming.Source)]
    [InlineData("debian/fixtures/DSA/2002/DSA-135.json", 1, 1, "Debian:3.0", "libapache-mod-ssl", "2.8.9-2", PackageNaming.Source)]
    [InlineData("debian/fixtures/DTSA/2005/DTSA-1-1.json", 2, 1, "Debian:4.0", "kismet", "2005.08.R1-0.1etch1", PackageNaming.Source)]
    [InlineData("redhat/fixtures/RHBA/2024/RHBA-2024%3A6202.json", 1, 21, "Red Hat:rhel_eus:8.8", "iwl100-firmware", "0:39.31.5.1-118.2.el8_8.1", PackageNaming.Binary)]
    [InlineData("redhat/fixtures/RHEA/2024/RHEA-2024%3A1870.json", 2, 1, "Red Hat:ocp_tools:4.15", "helm", "0:3.13.2-35.el9", PackageNaming.Binary)]
    [InlineData("redhat/fixtures/RHSA/2024/RHSA-2024%3A8709.json", 1, 11, "Red Hat:rhel_eus:9.2", "podman", "2:4.4.1-21.el9_2", PackageNaming.Binary)]
    [InlineData("rocky/fixtures/RLSA/2024/RLSA-2024%3A8121.json", 5, 2, "Rocky Linux:9", "java-11-openjdk", "1:11.0.25.0.9-2.el9", PackageNaming.Source)]
    [InlineData("rocky/fixtures/RLSA/2025/RLSA-2025%3A9318.json", 2, 182, "Rocky Linux:8", "ant", "0:1.10.5-1.module+el8.3.0+74+855e3f5d", PackageNaming.Source)]
    [InlineData("suse/fixtures/SUSE/SU/others/SUSE-SU-403.json", 54, 26, "SUSE:Linux Enterprise Desktop 12", "libqt4", "4.8.6-7.1", PackageNaming.Source)]
    [InlineData("suse/fixtures/openSUSE/SU/2016/openSUSE-SU-2016%3A1623-1.json", 1, 6, "SUSE:Package Hub 12", "chromium", "51.0.2704.103-85.3", PackageNaming.Source)]
    [InlineData("ubuntu/fixtures/CVE/2024/UBUNTU-CVE-2024-51988.json", 1, 4, "Ubuntu:20.04:LTS", "rabbitmq-server", "3.8.3-0ubuntu0.1", PackageNaming.Source)]
    [InlineData("ubuntu/fixtures/USN/2024/USN-7095-1.json", 197, 3, "Ubuntu:22.04:LTS", "linux-nvidia-6.8", "6.8.0-1017.19~22.04.1", PackageNaming.Source)]
    public void A_sample_says_of_its_first_package(string path, int cves, int statements, string product, string name, string version, PackageNaming naming)
    {
        var record = Read($"osv/{path}");
        var advisory = Assert.Single(record.Advisories);
        Assert.Equal((cves, statements), (advisory.Cves.Count, advisory.Statements.Count));
        var first = advisory.Statements[0];
        Assert.Equal((product, name, naming, ProductStatus.Fixed), (first.Product, first.Name, first.Naming, first.Status));
        Assert.Equal([VersionInterval.FixedIn(version)], first.Intervals);
        Assert.Empty(record.LeftOut);
        Assert.Empty(record.Skipped);
    }

    [TestDataFact]
    public void Wolfi_and_Chainguard_share_a_document_which_names_each_package_of_both()
    {
        var advisory = Assert.Single(Read("osv/wolfi/fixtures/2024/CGA-2c2h-8fj5-55vx.json").Advisories);
        Assert.Equal(["CVE-2024-34156"], advisory.Cves);
        Assert.Equal(
            ["Chainguard nri-memcached", "Wolfi nri-memcached", "Chainguard nri-memcached-compat", "Wolfi nri-memcached-compat"],
            advisory.Statements.Select(statement => $"{statement.Product} {statement.Name}"));
    }

    [TestDataFact]
    public void Samples_without_a_vulnerability_or_package_are_left_out()
    {
        Assert.Equal(["no vulnerability"], Read("osv/alma/fixtures/ALBA/2022/ALBA-2022%3A8256.json").LeftOut.Keys);
        Assert.Equal(["no vulnerability"], Read("osv/alma/fixtures/ALEA/2022/ALEA-2022%3A2093.json").LeftOut.Keys);
        Assert.Equal(["no affected package"], Read("osv/suse/fixtures/SUSE/SU/2015/SUSE-SU-2015%3A0011-2.json").LeftOut.Keys);
    }

    [TestDataFact]
    public void Of_the_complete_AlmaLinux_feed_every_vulnerability_and_package_is_there()
    {
        var record = new FeedRecord();
        foreach (var (name, json) in AlmaLinux()) OsvDocument.Read(name, json, record);
        Assert.Empty(record.Skipped);
        Assert.Equal(4483, record.Advisories.Count);
        Assert.Equal(4440, record.Advisories.Select(advisory => advisory.Id).Distinct().Count());
        Assert.Equal(58842, record.Advisories.Sum(advisory => advisory.Statements.Count));
        Assert.Equal(13564, record.Advisories.Sum(advisory => advisory.Statements.Count(statement => ModularBuild.Is(statement.Intervals[0].End))));
        Assert.Equal([("no vulnerability", 1197)], record.LeftOut.Select(entry => (entry.Key, entry.Value)));
        Assert.Equal(
            [(Severity.Low, 154), (Severity.Moderate, 1907), (Severity.Important, 2384), (Severity.Critical, 34)],
            record.Advisories.Where(advisory => advisory.Severity != Severity.Unknown)
                .GroupBy(advisory => advisory.Severity).Select(group => (group.Key, group.Count())).Order());

        var gupnp = Assert.Single(record.Advisories, advisory => advisory.Id == "ALSA-2021:2363");
        Assert.Equal(["CVE-2021-33516"], gupnp.Cves);
        Assert.Equal(["gupnp 1.0.6-2.el8_4", "gupnp-devel 1.0.6-2.el8_4"], gupnp.Statements.Select(statement => $"{statement.Name} {statement.Intervals[0].End}"));
        Assert.Equal("https://errata.almalinux.org/8/ALSA-2021-2363.html", gupnp.Url);
    }

    [TestDataFact]
    public void Entries_that_are_alike_say_the_same_as_each_read_on_its_own()
    {
        var documents = 0;
        foreach (var (name, json) in AlmaLinux())
        {
            // A third, for the time it takes.
            if (documents++ % 3 != 0) continue;
            var changed = JsonNode.Parse(json)!.AsObject();
            var number = 0;
            // With a number of its own no entry is like another.
            foreach (var entry in changed["affected"]!.AsArray()) entry!["number"] = number++;
            var alike = new FeedRecord();
            var apart = new FeedRecord();
            OsvDocument.Read(name, json, alike);
            OsvDocument.Read(name, Encoding.UTF8.GetBytes(changed.ToJsonString()), apart);
            Assert.Equal(apart.Advisories.Select(FeedRecord.Text), alike.Advisories.Select(FeedRecord.Text));
            Assert.Equal(apart.LeftOut, alike.LeftOut);
        }

        Assert.Equal(5680, documents);
    }

    // golden/ is what vuls-data-update makes of the same documents. docs/reference/osv.md explains the one difference: of several builds
    // of a package vuls keeps each, here the oldest decides.
    [TestDataTheory]
    [InlineData("RLSA/2023/RLSA-2023%3A0005.json")]
    [InlineData("RLSA/2024/RLSA-2024%3A8121.json")]
    [InlineData("RLSA/2025/RLSA-2025%3A8056.json")]
    [InlineData("RLSA/2025/RLSA-2025%3A9318.json")]
    [InlineData("RXSA/2023/RXSA-2023%3A0101.json")]
    public void Rocky_documents_say_what_vuls_says(string path)
    {
        var golden = JsonNode.Parse(File.ReadAllBytes(Repository.TestDataPath($"osv/rocky/golden/data/{path}")))!;
        var expected = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var detection in golden["detections"]!.AsArray())
        {
            var product = ((string)detection!["ecosystem"]!).Replace("rocky:", "Rocky Linux:", StringComparison.Ordinal);
            foreach (var criterion in detection["conditions"]![0]!["criteria"]!["criterions"]!.AsArray())
            {
                var version = criterion!["version"]!;
                var package = $"{product} {(string)version["package"]!["source"]!["name"]!}";
                var build = (string)Assert.Single(version["affected"]!["range"]!.AsArray())!["lt"]!;
                if (!expected.TryGetValue(package, out var oldest) || RpmVersion.Compare(build, oldest) < 0) expected[package] = build;
            }
        }

        var advisory = Assert.Single(Read($"osv/rocky/fixtures/{path}").Advisories);
        var actual = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var statement in advisory.Statements)
        {
            Assert.Equal(PackageNaming.Source, statement.Naming);
            actual.Add($"{statement.Product} {statement.Name}", Assert.Single(statement.Intervals).End!);
        }

        Assert.Equal(expected, actual);
        Assert.Equal(
            golden["vulnerabilities"]!.AsArray().Select(vulnerability => (string)vulnerability!["content"]!["id"]!).Order(StringComparer.Ordinal),
            advisory.Cves.Order(StringComparer.Ordinal));
        Assert.Equal((string)golden["id"]!, advisory.Id);
        Assert.Equal((string)golden["advisories"]![0]!["content"]!["title"]!, advisory.Summary);
        var severity = golden["advisories"]![0]!["content"]!["severity"]?[0]?["cvss_v31"];
        Assert.Equal(((double?)severity?["base_score"], (string?)severity?["vector"]), (advisory.CvssScore, advisory.CvssVector));
        if (path.Contains("9318", StringComparison.Ordinal)) Assert.All(advisory.Statements, statement => Assert.Equal(["javapackages-tools:201801"], statement.Modules));
    }

    static FeedRecord Read(string path) => Osv.Read(File.ReadAllBytes(Repository.TestDataPath(path)));

    static IEnumerable<(string Name, byte[] Json)> AlmaLinux()
    {
        using var archive = ZipFile.OpenRead(Repository.TestDataPath("osv/almalinux-osv-database.zip"));
        foreach (var entry in archive.Entries.Where(entry => entry.FullName.EndsWith(".json", StringComparison.Ordinal)))
        {
            var json = new byte[entry.Length];
            using var stream = entry.Open();
            stream.ReadExactly(json);
            yield return (entry.FullName, json);
        }
    }
}
