using System.Text.Json;
using Guestmark.Inventory;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public class EcosystemTests
{
    [TestDataFact]
    public void Every_ecosystem_of_the_osv_samples_can_be_compared()
    {
        var names = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var file in Directory.EnumerateFiles(Repository.TestDataPath("osv"), "*.json", SearchOption.AllDirectories))
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            if (document.RootElement.ValueKind != JsonValueKind.Object) continue;
            if (!document.RootElement.TryGetProperty("affected", out var affected)) continue;
            foreach (var package in affected.EnumerateArray()) names.Add(package.GetProperty("package").GetProperty("ecosystem").GetString()!);
        }

        Assert.True(names.Count > 20);
        Assert.DoesNotContain(names, name => Ecosystem.Find(name) is null);
    }

    [TestDataFact]
    public void Of_the_schema_only_ecosystems_without_a_known_order_are_left_out()
    {
        using var schema = JsonDocument.Parse(File.ReadAllBytes(Repository.TestDataPath("osv/osv-schema.json")));
        var names = schema.RootElement.GetProperty("$defs").GetProperty("ecosystemName").GetProperty("enum").EnumerateArray();
        Assert.Equal(
            ["Android", "CleanStart", "Docker Hardened Images", "FreeBSD", "Linux", "OSS-Fuzz", "Root", "TuxCare"],
            names.Select(name => name.GetString()).Where(name => Ecosystem.Find(name) is null));
    }

    [Theory]
    [InlineData("AlmaLinux:8", "rpm", PackageManager.Rpm, false)]
    [InlineData("Rocky Linux:9", "rpm", PackageManager.Rpm, true)]
    [InlineData("Red Hat:rhel_eus:9.2::appstream", "rpm", PackageManager.Rpm, false)]
    [InlineData("SUSE:Linux Enterprise Server 15 SP5", "rpm", PackageManager.Rpm, true)]
    [InlineData("Ubuntu:Pro:18.04:LTS", "dpkg", PackageManager.Dpkg, true)]
    [InlineData("Alpine:v3.18", "apk", PackageManager.Apk, true)]
    [InlineData("Wolfi", "apk", PackageManager.Apk, false)]
    [InlineData("PyPI", "pypi", PackageManager.PyPI, false)]
    [InlineData("Maven:https://maven.google.com", "maven", PackageManager.Maven, false)]
    [InlineData("crates.io", "crates", null, false)]
    public void A_product_has_the_rules_of_its_family(string product, string scheme, PackageManager? manager, bool namesSource)
    {
        var ecosystem = Ecosystem.Find(product)!;
        Assert.Equal((scheme, manager, namesSource), (ecosystem.Rules, ecosystem.Manager, ecosystem.NamesSource));
    }

    [Theory]
    [InlineData("almalinux", "8.10", "AlmaLinux 8.10 (Cerulean Leopard)", "AlmaLinux:8")]
    [InlineData("rocky", "9.4", "", "Rocky Linux:9")]
    [InlineData("rhel", "9.4", "", "Red Hat:enterprise_linux:9")]
    [InlineData("hummingbird", "20251124", "Hummingbird OS 20251124", "Red Hat:hummingbird:1")]
    [InlineData("ol", "8.9", "", "Oracle Linux:8")]
    [InlineData("amzn", "2023", "", "Amazon Linux:2023")]
    [InlineData("amzn", "2018.03", "", "Amazon Linux:1")]
    [InlineData("fedora", "40", "", "Fedora:40")]
    [InlineData("debian", "12", "", "Debian:12")]
    [InlineData("debian", "6.0", "", "Debian:6.0")]
    [InlineData("debian", "", "Debian GNU/Linux trixie/sid", "Debian:sid Debian:13")]
    [InlineData("debian", "", "Distroless", "")]
    [InlineData("ubuntu", "22.04", "", "Ubuntu:22.04:LTS Ubuntu:Pro:22.04:LTS")]
    [InlineData("ubuntu", "23.04", "", "Ubuntu:23.04")]
    [InlineData("ubuntu", "24.10", "", "Ubuntu:24.10")]
    [InlineData("alpine", "3.10.2", "", "Alpine:v3.10")]
    [InlineData("alpine", "3.21.0_alpha20240923", "", "Alpine:edge")]
    [InlineData("wolfi", "20230201", "", "Wolfi")]
    [InlineData("chainguard", "20230214", "", "Chainguard")]
    [InlineData("photon", "3.0", "", "Photon OS:3.0")]
    [InlineData("mageia", "9", "", "Mageia:9")]
    [InlineData("openEuler", "22.03", "openEuler 22.03 (LTS-SP3)", "openEuler:22.03-LTS-SP3")]
    [InlineData("azurelinux", "3.0", "", "Azure Linux:3")]
    [InlineData("mariner", "2.0", "", "Azure Linux:2")]
    [InlineData("centos", "8", "", "")]
    [InlineData("", "", "", "")]
    [InlineData("debian", "12:x", "", "")]
    public void A_machine_is_in_the_products_of_its_release(string id, string version, string name, string expected) =>
        Assert.Equal(
            expected.Replace(" Debian:", "|Debian:").Replace(" Ubuntu:", "|Ubuntu:").Split('|', StringSplitOptions.RemoveEmptyEntries),
            Ecosystem.ProductsOf(new OsRelease(id, version, name)));

    [Theory]
    [InlineData("opensuse-leap", "15.5", "openSUSE Leap 15.5", "openSUSE:Leap 15.5")]
    [InlineData("opensuse-tumbleweed", "20240101", "openSUSE Tumbleweed", "openSUSE:Tumbleweed")]
    [InlineData("sles", "15.5", "SUSE Linux Enterprise Server 15 SP5", "SUSE:Linux Enterprise Server 15 SP5")]
    [InlineData("sles", "15.5", "SUSE Linux Enterprise Server 15 SP5", "SUSE:Linux Enterprise Module for Basesystem 15 SP5")]
    [InlineData("sles", "15.5", "SUSE Linux Enterprise Server 15 SP5", "SUSE:Package Hub 15 SP5")]
    [InlineData("sles_sap", "12.1", "SUSE Linux Enterprise Server for SAP Applications 12 SP1", "SUSE:Linux Enterprise Server 12 SP1")]
    [InlineData("sles", "12.1", "SUSE Linux Enterprise Server 12 SP1", "SUSE:Linux Enterprise Software Development Kit 12 SP1")]
    [InlineData("sles", "12", "SUSE Linux Enterprise Server 12", "SUSE:Linux Enterprise Server 12")]
    [InlineData("sles", "12.1", "SUSE Linux Enterprise Server 12 SP1", "SUSE:Package Hub 12")]
    [InlineData("sles", "16.0", "SUSE Linux Enterprise Server 16.0", "SUSE:Linux Enterprise Server 16.0")]
    [InlineData("sl-micro", "6.0", "SUSE Linux Micro 6.0", "SUSE:Linux Micro 6.0")]
    public void A_machine_of_suse_is_in_the_products_of_its_modules_too(string id, string version, string name, string expected)
    {
        var products = Ecosystem.ProductsOf(new OsRelease(id, version, name));
        Assert.Contains(expected, products);
        Assert.Distinct(products);
        Assert.StartsWith(name.Replace("SUSE ", "SUSE:").Replace("openSUSE:", "openSUSE "), products[0].Replace("openSUSE:", "openSUSE "));
    }

    [Fact]
    public void A_product_of_a_hostile_release_is_no_longer_than_a_name_may_be()
    {
        foreach (var id in (string[])["almalinux", "alpine", "photon", "openeuler", "sles", "opensuse-leap", "ubuntu"])
        {
            var os = new OsRelease(id, new string('1', 250), $"SUSE {new string('x', 250)}");
            Assert.DoesNotContain(Ecosystem.ProductsOf(os), product => product.Length > Ecosystem.NameMax);
        }
    }

    [Theory]
    [InlineData("PyPI", "Flask_SQLAlchemy", "flask-sqlalchemy")]
    [InlineData("PyPI", "zope.interface", "zope-interface")]
    [InlineData("PyPI", "a-._b", "a-b")]
    [InlineData("PyPI", "requests", "requests")]
    [InlineData("NuGet", "Newtonsoft.Json", "newtonsoft.json")]
    [InlineData("Packagist", "Symfony/HTTP-Kernel", "symfony/http-kernel")]
    [InlineData("npm", "JSONStream", "JSONStream")]
    [InlineData("Maven", "org.Example:X", "org.Example:X")]
    public void Names_meet_in_one_spelling(string family, string name, string expected) =>
        Assert.Equal(expected, Ecosystem.Find(family)!.NormalizeName(name));

    [Fact]
    public void Packages_of_languages_are_in_one_product_wherever_they_are()
    {
        foreach (var manager in Enum.GetValues<PackageManager>())
        {
            var product = Ecosystem.ProductOf(manager);
            if (manager is PackageManager.Rpm or PackageManager.Dpkg or PackageManager.Apk) Assert.Null(product);
            else Assert.Equal(manager, Ecosystem.Find(product)!.Manager);
        }
    }
}
