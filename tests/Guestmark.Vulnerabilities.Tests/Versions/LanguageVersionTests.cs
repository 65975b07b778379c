using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>The orders of the language ecosystems against the examples of their specifications.</summary>
public class LanguageVersionTests
{
    [Theory]
    // semver.org, item 11
    [InlineData("semver", "1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-alpha.beta < 1.0.0-beta < 1.0.0-beta.2 < 1.0.0-beta.11 < 1.0.0-rc.1 < 1.0.0 < 2.0.0 < 2.1.0 < 2.1.1")]
    [InlineData("npm", "v1.2.3 = 1.2.3+build = 1.2.3+other < 1.2.4-0 < 1.2.4-1 < 1.2.4-a < 1.2.4")]
    [InlineData("crates", "0.9.99999999999999999999 < 0.10.0-rc1 < 0.10.0-rc10 < 0.10.0-rc2 < 0.10.0")]
    [InlineData("semver", "1.0.0-01 = 1.0.0-1 < 1.0.0-A < 1.0.0-a < 1.0.0-a- < 1 = 1.0 = 1.0.0 = 1.0.0.0 < 1.0.0.1")]
    // go.dev/ref/mod: pseudo-versions come before the release that follows their base
    [InlineData("go", "v0.0.0-20191109021931-daa7c04131f5 < v0.0.0-20210101000000-aaaaaaaaaaaa < v0.0.1 < v1.2.3-pre < v1.2.3 < v1.2.4-0.20191109021931-daa7c04131f5 < v1.2.4")]
    [InlineData("go", "v2.0.0+incompatible = 2.0.0 < 2.0.1")]
    [InlineData("go", "1.20.14 < go1.21rc2 = 1.21.0-rc.2 < go1.21rc10 < go1.21 = 1.21.0 < go1.21.5")]
    // packaging.python.org, "Summary of permitted suffixes and relative ordering" and "Local version identifiers"
    [InlineData("pypi", "1.dev0 < 1.0.dev456 < 1.0a1 < 1.0a2.dev456 < 1.0a12.dev456 < 1.0a12 < 1.0b1.dev456 < 1.0b2 < 1.0b2.post345.dev456 < 1.0b2.post345 < 1.0rc1.dev456 < 1.0rc1 < 1.0 < 1.0+abc.5 < 1.0+abc.7 < 1.0+5 < 1.0.post456.dev34 < 1.0.post456 < 1.0.15 < 1.1.dev1 < 1!0.1")]
    [InlineData("pypi", "1.0alpha1 = 1.0a1 = 1.0-A.1 = v1.0_alpha_01 = 1a1 < 1.0c1 = 1.0rc1 = 1.0pre1 = 1.0-preview-1 < 1.0 = 1 = 1.0.0 < 1.0-1 = 1.0.post1 = 1.0-r1 = 1.0rev1")]
    [InlineData("pypi", "not-a-version < 1.0.dev0 = 1.0dev < 1.0a = 1.0a0 < 1.0+ubuntu.1 = 1.0+Ubuntu-1 < 1.0+ubuntu.1.2")]
    // maven.apache.org/pom.html, "Version Order Specification", with the changes of 3.9 (MNG-7644, MNG-7714)
    [InlineData("maven", "1-alpha < 1-beta < 1-milestone < 1-rc = 1-cr < 1-snapshot < 1 = 1.0 = 1-0 = 1.ga = 1-ga = 1-final = 1-release < 1-sp < 1.foo = 1-foo < 1-1 < 1.1")]
    [InlineData("maven", "1-a1 = 1-alpha-1 = 1-ALPHA1 = 1-alpha1 < 1-b1 = 1-beta-1 < 1-m1 = 1-milestone-1 < 1")]
    [InlineData("maven", "1.0.RC2 < 1.0-RC3 < 1.0-SNAPSHOT < 1.0 < 1-foo2 < 1-foo10 < 1.0.1")]
    [InlineData("maven", "31.0-android < 31.0-jre < 31.0.1-jre < 31.1-android < 32.0.0")]
    [InlineData("maven", "2.9.10.7 < 2.9.10.8 < 2.10.0 < 2.10.0.pr1 < 2.12.6 < 2.12.6.1 < 2.13.0")]
    // learn.microsoft.com/nuget/concepts/package-versioning
    [InlineData("nuget", "1.0.1-alpha < 1.0.1-alpha10 < 1.0.1-alpha2 < 1.0.1-beta < 1.0.1-BETA.2 < 1.0.1-beta.10 < 1.0.1-open < 1.0.1-rc < 1.0.1-zzz < 1.0.1 < 1.0.1.1")]
    [InlineData("nuget", "1 = 1.0 = 1.0.0 = 1.0.0.0 = 1.00 = 1.0.0+sha < 1.0.0.1 < 1.0.1-Alpha = 1.0.1-alpha")]
    // docs.ruby-lang.org, Gem::Version
    [InlineData("rubygems", "0.9 < 1.0.a.2 < 1.0.b1 < 1.0.b2 < 1.0.b10 < 1.0 = 1 = 1.0.0 < 1.0.1")]
    [InlineData("rubygems", "1.0-1 = 1.0.pre.1 < 1.0 < 1.0.0.1")]
    [InlineData("rubygems", "1.0.0.0.0.0.rc1 = 1.rc1 = 1.rc.1 < 1.0.0.0.0.0 < 1.0.0.0.0.0.1")]
    // php.net/version_compare over Composer's normal form
    [InlineData("packagist", "dev-main < 1.0-dev < 1.0.0-alpha1 = 1.0a1 = v1.0.0.0_ALPHA1 < 1.0.0-beta < 1.0.0-beta1-dev < 1.0-b1 < 1.0-b2 < 1.0-RC1 < 1.0.0 = 1 = 1.0.0-stable = 1.0+build < 1.0.0-p1 = 1.0-patch1 = 1.0.0pl1 < 1.0.1 < 1.x-dev < 2.0.0-dev")]
    [InlineData("packagist", "2010-01-02 < 2010.01.02 < 20100102")]
    // R-exts, PVP
    [InlineData("cran", "1.0 < 1.0.0 < 1.0-1 < 1.0.10")]
    [InlineData("hackage", "0.9 < 1 < 1.0 < 1.0.0 < 1.0.1 < 1.10")]
    [InlineData("opam", "0.1.0~beta < 0.1.0 < 0.1.0+1 < 0.1.0-1 < 0.10.0 < v0.1.0")]
    public void Versions_are_in_the_order_of_the_specification(string scheme, string chain)
    {
        // Each is compared with each, not only with its neighbour.
        var words = chain.Split(' ');
        var ranks = new List<(string Version, int Rank)> { (words[0], 0) };
        for (var i = 1; i < words.Length; i += 2) ranks.Add((words[i + 1], ranks[^1].Rank + (words[i] == "<" ? 1 : 0)));
        foreach (var (a, rankA) in ranks)
        {
            foreach (var (b, rankB) in ranks) PackageVersionTests.AssertOrder(VersionScheme.Find(scheme)!, a, b, Math.Sign(rankA - rankB));
        }
    }

    [Theory]
    [InlineData("semver", "1.0.0-x.7.z.92+exp.sha-5114f85", true)]
    [InlineData("semver", "1.0", false)]
    [InlineData("semver", "1.0.0-01", false)]
    [InlineData("semver", "1.02.0", false)]
    [InlineData("semver", "1.0.0-", false)]
    [InlineData("semver", "1.0.0-a..b", false)]
    [InlineData("semver", "latest", false)]
    [InlineData("go", "v1.2.4-0.20191109021931-daa7c04131f5", true)]
    [InlineData("go", "go1.21rc2", true)]
    [InlineData("go", "(devel)", false)]
    [InlineData("pypi", "1!2.0-ALPHA_1.post.dev3+x.1", true)]
    [InlineData("pypi", "1.0-x", false)]
    [InlineData("pypi", "1.0+x..1", false)]
    [InlineData("pypi", "1..0", false)]
    [InlineData("pypi", "", false)]
    [InlineData("maven", "anything", true)]
    [InlineData("nuget", "1.0.0.0-rc.1", true)]
    [InlineData("nuget", "1.0.0.0.0", false)]
    [InlineData("rubygems", "1.0.rc1-java", true)]
    [InlineData("rubygems", "1..0", false)]
    [InlineData("rubygems", "a.1", false)]
    [InlineData("packagist", "v1.2-beta.3", true)]
    [InlineData("packagist", "dev-feature/x", true)]
    [InlineData("packagist", "1.2-foo", false)]
    [InlineData("cran", "1.0-3", true)]
    [InlineData("cran", "1.0a", false)]
    [InlineData("hackage", "1.", false)]
    public void A_text_is_a_version_when_the_specification_says_so(string scheme, string text, bool expected) =>
        Assert.Equal(expected, VersionScheme.Find(scheme)!.IsValid(Encoding.UTF8.GetBytes(text)));
}
