using Guestmark.Inventory;
using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class PackagePatternTests
{
    static readonly OsRelease Rhel = new("rhel", "9.2", "Red Hat Enterprise Linux 9.2");
    static readonly OsRelease Debian = new("debian", "12", "Debian GNU/Linux 12");

    static readonly Package Openssl = new()
    {
        Manager = PackageManager.Rpm,
        Name = "openssl-libs",
        Epoch = 1,
        Version = "3.0.7",
        Release = "18.el9_2",
        Architecture = "x86_64",
        SourceName = "openssl",
        SourceVersion = "3.0.7-18.el9_2",
        SourceRpm = "openssl-3.0.7-18.el9_2.src.rpm",
    };

    static readonly Package Node = new()
    {
        Manager = PackageManager.Rpm,
        Name = "nodejs",
        Epoch = 1,
        Version = "18.19.0",
        Release = "1.module_el8",
        Architecture = "x86_64",
        ModularityLabel = "nodejs:18:8090020240101:a75119d5",
    };

    static readonly Package Libc = new()
    {
        Manager = PackageManager.Dpkg,
        Name = "libc6",
        Epoch = 1,
        Version = "2.36",
        Release = "9+deb12u4",
        Architecture = "amd64",
        SourceName = "glibc",
        SourceVersion = "1:2.36-9+deb12u4",
    };

    [Theory]
    [InlineData("pkg:rpm/redhat/openssl-libs@3.0.7-18.el9_2?arch=x86_64&distro=rhel-9.2&epoch=1&upstream=openssl-3.0.7-18.el9_2.src.rpm", true)]
    [InlineData("pkg:rpm/redhat/openssl-libs", true)]
    [InlineData("pkg:rpm/rhel/openssl-libs", true)]
    [InlineData("pkg:rpm/openssl-libs", true)]
    [InlineData("pkg:RPM/RedHat/openssl-libs@1%3A3.0.7-18.el9_2", true)]
    [InlineData("pkg:rpm/redhat/openssl-libs?distro=rhel-9", true)]
    [InlineData("pkg:rpm/redhat/openssl?arch=src", true)]
    [InlineData("pkg:rpm/redhat/openssl@3.0.7-18.el9_2?arch=src", true)]
    [InlineData("pkg:rpm/redhat/openssl", false)]
    [InlineData("pkg:rpm/redhat/openssl-libs@3.0.7", false)]
    [InlineData("pkg:rpm/redhat/openssl-libs@3.0.7-18.el9_3", false)]
    [InlineData("pkg:rpm/redhat/openssl-libs?epoch=0", false)]
    [InlineData("pkg:rpm/redhat/openssl-libs?arch=aarch64", false)]
    [InlineData("pkg:rpm/redhat/openssl-libs?distro=rhel-9.4", false)]
    [InlineData("pkg:rpm/redhat/openssl-libs?distro=rhel-9.20", false)]
    [InlineData("pkg:rpm/almalinux/openssl-libs", false)]
    [InlineData("pkg:deb/debian/openssl-libs", false)]
    [InlineData("pkg:rpm/redhat/OpenSSL-libs", false)]
    [InlineData("pkg:rpm/redhat/openssl-libs?rpmmod=nodejs:18", false)]
    public void An_rpm_matches_what_the_URL_says(string url, bool expected) => Assert.Equal(expected, Parse(url).Matches(Openssl, Rhel));

    [Theory]
    [InlineData("pkg:rpm/redhat/nodejs?rpmmod=nodejs:18", true)]
    [InlineData("pkg:rpm/redhat/nodejs?modularitylabel=nodejs%3A18%3A8090020240101%3Aa75119d5", true)]
    [InlineData("pkg:rpm/redhat/nodejs?rpmmod=nodejs:1", false)]
    [InlineData("pkg:rpm/redhat/nodejs?rpmmod=nodejs:20", false)]
    public void A_module_stream_is_compared_as_a_whole(string url, bool expected) => Assert.Equal(expected, Parse(url).Matches(Node, Rhel));

    [Theory]
    [InlineData("pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12", true)]
    [InlineData("pkg:deb/debian/libc6@1:2.36-9+deb12u4", true)]
    [InlineData("pkg:deb/debian/glibc@1:2.36-9+deb12u4?arch=source", true)]
    [InlineData("pkg:deb/debian/libc6@2.36-9+deb12u4", false)]
    [InlineData("pkg:deb/ubuntu/libc6", false)]
    public void The_epoch_of_dpkg_is_part_of_the_version(string url, bool expected) => Assert.Equal(expected, Parse(url).Matches(Libc, Debian));

    [Theory]
    [InlineData(PackageManager.PyPI, "Flask_Login", "pkg:pypi/flask-login@1.0", true)]
    [InlineData(PackageManager.PyPI, "zope.interface", "pkg:pypi/Zope_Interface", true)]
    [InlineData(PackageManager.PyPI, "flasklogin", "pkg:pypi/flask-login", false)]
    [InlineData(PackageManager.Npm, "@angular/core", "pkg:npm/%40angular/core@1.0", true)]
    [InlineData(PackageManager.Npm, "@angular/core", "pkg:npm/@angular/core", true)]
    [InlineData(PackageManager.Npm, "core", "pkg:npm/%40angular/core", false)]
    [InlineData(PackageManager.Maven, "org.apache.logging.log4j:log4j-core", "pkg:maven/org.apache.logging.log4j/log4j-core@1.0?type=jar", true)]
    [InlineData(PackageManager.Maven, "log4j-core", "pkg:maven/org.apache.logging.log4j/log4j-core", false)]
    [InlineData(PackageManager.Go, "github.com/gorilla/mux", "pkg:golang/github.com/gorilla/mux@1.0", true)]
    [InlineData(PackageManager.NuGet, "Newtonsoft.Json", "pkg:nuget/newtonsoft.json@1.0", true)]
    [InlineData(PackageManager.NuGet, "Newtonsoft.Json", "pkg:nuget/newtonsoft.json@1.0.1", false)]
    public void Names_of_language_packages_are_equal_as_their_registry_has_it(PackageManager manager, string name, string url, bool expected)
    {
        var package = new Package { Manager = manager, Name = name, Version = "1.0", Release = "", Architecture = "" };
        Assert.Equal(expected, Parse(url).Matches(package, Debian));
    }

    [Theory]
    [InlineData("openssl", "it does not begin with pkg:")]
    [InlineData("pkg:rpm", "it has no name")]
    [InlineData("pkg:rpm//", "it has no name")]
    [InlineData("pkg:oci/ubi9@sha256:00", "packages of type oci are not in any inventory")]
    [InlineData("pkg:rpm/redhat/openssl?repository_id=rhel-9-baseos", "the qualifier repository_id cannot be checked")]
    [InlineData("pkg:rpm/redhat/openssl?epoch=one", "the epoch 'one' is no number")]
    [InlineData("pkg:golang/google.golang.org/genproto#googleapis/api", "a file in a package (#) is not known")]
    public void What_cannot_be_compared_is_no_pattern(string url, string problem)
    {
        Assert.Null(PackagePattern.Parse(url, out var why));
        Assert.Equal(problem, why);
    }

    /// <summary>What our own SBOM calls a package must name it.</summary>
    [Fact]
    public void The_name_that_an_SBOM_gives_a_package_matches_it()
    {
        foreach (var (package, os) in new[] { (Openssl, Rhel), (Node, Rhel), (Libc, Debian) })
        {
            var system = os.IsRhel ? "redhat" : os.Id;
            var type = package.Manager == PackageManager.Rpm ? "rpm" : "deb";
            var version = type == "rpm" ? $"{package.Version}-{package.Release}" : package.FullVersion;
            var url = $"pkg:{type}/{system}/{package.Name}@{Uri.EscapeDataString(version)}?arch={package.Architecture}&distro={os.Id}-{os.VersionId}"
                + (type == "rpm" ? $"&epoch={package.Epoch}" : "") + (package.ModularityLabel is { } label ? $"&modularitylabel={label}" : "");
            Assert.True(Parse(url).Matches(package, os), url);
        }
    }

    static PackagePattern Parse(string url) => PackagePattern.Parse(url, out var problem) ?? throw new InvalidOperationException($"{url}: {problem}");
}
