using Guestmark.Inventory.Sbom;
using static Guestmark.Inventory.Tests.Sbom.SampleInventories;

namespace Guestmark.Inventory.Tests.Sbom;

public sealed class PackageUrlTests
{
    static string Of(int index, string os, string version) => PackageUrl.Of(Full.Packages[index], new OsRelease(os, version, ""));

    [Theory]
    [InlineData(0, "rhel", "9.4", "pkg:rpm/redhat/bash@5.1.8-9.el9?arch=x86_64&distro=rhel-9.4&epoch=1&modularitylabel=shells:rhel9:9040020:abc&upstream=bash-5.1.8-9.el9.src.rpm")]
    [InlineData(0, "opensuse-leap", "", "pkg:rpm/opensuse-leap/bash@5.1.8-9.el9?arch=x86_64&distro=opensuse-leap&epoch=1&modularitylabel=shells:rhel9:9040020:abc&upstream=bash-5.1.8-9.el9.src.rpm")]
    [InlineData(0, "", "", "pkg:rpm/bash@5.1.8-9.el9?arch=x86_64&epoch=1&modularitylabel=shells:rhel9:9040020:abc&upstream=bash-5.1.8-9.el9.src.rpm")]
    [InlineData(1, "debian", "12", "pkg:deb/debian/libc6@2:2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=glibc%402.36-9")]
    [InlineData(2, "alpine", "3.20.1", "pkg:apk/alpine/musl-utils@1.2.5-r0?distro=alpine-3.20.1&upstream=musl")]
    [InlineData(3, "debian", "12", "pkg:pypi/zope-interface@5.4.0")]
    [InlineData(4, "debian", "12", "pkg:npm/%40angular/core@1.0.0-beta.1")]
    [InlineData(5, "debian", "12", "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1")]
    [InlineData(6, "debian", "12", "pkg:golang/github.com/azure/go-autorest@v0.6.0%2Bincompatible")]
    [InlineData(7, "debian", "12", "pkg:nuget/Newtonsoft.Json@13.0.1")]
    public void Each_manager_has_its_form(int index, string os, string version, string expected) => Assert.Equal(expected, Of(index, os, version));

    [Theory]
    [InlineData("a b/c?d#e@f&g=h%", "pkg:pypi/a%20b%2Fc%3Fd%23e%40f%26g%3Dh%25@1")]
    [InlineData("größe-😀", "pkg:pypi/gr%C3%B6%C3%9Fe-%F0%9F%98%80@1")]
    [InlineData("libstdc++", "pkg:pypi/libstdc%2B%2B@1")]
    public void What_has_a_meaning_in_a_URL_is_escaped(string name, string expected) =>
        Assert.Equal(expected, PackageUrl.Of(Full.Packages[3] with { Name = name, Version = "1" }, OsRelease.Unknown));

    [Fact]
    public void A_long_text_is_escaped_without_splitting_characters() => Assert.Equal(
        "pkg:pypi/x" + string.Concat(Enumerable.Repeat("%F0%9F%98%80", 1000)),
        PackageUrl.Of(Full.Packages[3] with { Name = "x" + string.Concat(Enumerable.Repeat("😀", 1000)), Version = "" }, OsRelease.Unknown));

    [Fact]
    public void Empty_segments_are_left_out() => Assert.Equal(
        "pkg:golang/a/b@1", PackageUrl.Of(Full.Packages[6] with { Name = "/a//b", Version = "1" }, OsRelease.Unknown));

    [Theory]
    [InlineData("pkg:rpm/redhat/bash@5.1.8-9.el9?arch=x86_64&epoch=1", "rpm", "redhat", "bash", "5.1.8-9.el9", "arch=x86_64 epoch=1")]
    [InlineData("pkg:deb/debian/libstdc%2B%2B6@2:2.36-9%2Bdeb12u1", "deb", "debian", "libstdc++6", "2:2.36-9+deb12u1", "")]
    [InlineData("pkg:rpm/redhat/libstdc++@1+2", "rpm", "redhat", "libstdc++", "1+2", "")]
    [InlineData("PKG://NPM/%40angular/core@1.0.0#a/b", "npm", "@angular", "core", "1.0.0", "")]
    [InlineData("pkg:npm/@angular/core", "npm", "@angular", "core", "", "")]
    [InlineData("pkg:golang/github.com//org/module/@v1?a=&=b&c&d=%20e%26", "golang", "github.com/org", "module", "v1", "a= d= e&")]
    public void A_URL_is_taken_apart(string url, string type, string nameSpace, string name, string version, string qualifiers)
    {
        var parts = PackageUrl.TryParse(url)!;

        Assert.Equal((type, nameSpace, name, version), (parts.Type, parts.Namespace, parts.Name, parts.Version));
        Assert.Equal(qualifiers, string.Join(' ', parts.Qualifiers.Select(pair => $"{pair.Name}={pair.Value}")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("pkg:")]
    [InlineData("pkg:rpm")]
    [InlineData("pkg:rpm/")]
    [InlineData("pkg:rpm/@1")]
    [InlineData("https://example.com/bash@1")]
    public void What_is_no_URL_of_a_package_gives_nothing(string url) => Assert.Null(PackageUrl.TryParse(url));

    [Fact]
    public void A_URL_that_is_too_long_gives_nothing() => Assert.Null(PackageUrl.TryParse($"pkg:rpm/{new string('a', PackageUrl.CharsMax)}"));
}
