using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>The orders of the package managers against what those managers themselves said.</summary>
public class PackageVersionTests
{
    [TestDataFact]
    public void Rpm_agrees_with_rpm_4_18_on_its_real_pairs()
    {
        var lines = File.ReadAllLines(Repository.TestDataPath("versions/rpm-evr-pairs.tsv"));
        Assert.Equal(5667, lines.Length);
        foreach (var line in lines)
        {
            var fields = line.Split('\t');
            AssertOrder(VersionScheme.Rpm, fields[0], fields[1], int.Parse(fields[2]));
        }
    }

    [TestDataFact]
    public void Rpm_agrees_with_the_test_vectors_of_rpm()
    {
        var lines = File.ReadAllLines(Repository.TestDataPath("versions/rpmvercmp.tsv"));
        Assert.Equal(91, lines.Length);
        foreach (var line in lines)
        {
            var fields = line.Split('\t');
            AssertOrder(VersionScheme.Rpm, fields[0], fields[1], int.Parse(fields[2]));
        }
    }

    [TestDataFact]
    public void Rpm_agrees_with_the_test_vectors_of_claircore()
    {
        var lines = File.ReadAllLines(Repository.TestDataPath("versions/rpmvercmp-2.txt"))
            .Select(line => line.Split('#')[0].Trim()).Where(line => line.Length > 0).ToList();
        Assert.True(lines.Count > 100);
        foreach (var line in lines)
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Assert.Contains(fields[1], (string[])["<", ">", "=="]);
            AssertOrder(VersionScheme.Rpm, fields[0], fields[2], fields[1] switch { "<" => -1, ">" => 1, _ => 0 });
        }
    }

    [TestDataTheory]
    [InlineData("dpkg", "versions/deb-ordered-pairs.txt", 14442)]
    [InlineData("apk", "versions/apk-ordered-pairs.txt", 13979)]
    public void Real_ordered_pairs_are_in_order(string scheme, string file, int count)
    {
        var lines = File.ReadAllLines(Repository.TestDataPath(file));
        Assert.Equal(count, lines.Length);
        foreach (var line in lines)
        {
            var fields = line.Split(' ');
            Assert.Equal("<", fields[1]);
            AssertOrder(VersionScheme.Find(scheme)!, fields[0], fields[2], -1);
        }
    }

    [Theory]
    [InlineData("1.0-1", "0:1.0-1", 0)]
    [InlineData("1:1.0-1", "2.0-1", 1)]
    [InlineData("99999999999999999999:1-1", "100000000000000000000:1-1", -1)]
    [InlineData("1.0", "1.0-1", -1)]
    [InlineData("1.0~rc1-1", "1.0-1", -1)]
    [InlineData("1.0^git1-1", "1.0-1", 1)]
    [InlineData("1.0^git1-1", "1.0.1-1", -1)]
    [InlineData(":1.0-1", "1.0-1", 0)]
    [InlineData("3.6.8-41.el8", "3.6.8-41.el8.alma", -1)]
    [InlineData("", "1", -1)]
    public void Rpm_orders_epoch_release_tilde_and_caret(string a, string b, int expected) => AssertOrder(VersionScheme.Rpm, a, b, expected);

    [Theory]
    [InlineData("2:1.0.6-26.el8", "1.0.6", true)]
    [InlineData("1.0.6-26.el8", "1.0.6", false)]
    [InlineData("0:1.0", "1.0", true)]
    [InlineData("1.0.6", "1.0.6", false)]
    public void Rpm_tells_epoch_and_upstream_version(string version, string upstream, bool hasEpoch)
    {
        Assert.Equal(upstream, RpmVersion.Upstream(version).ToString());
        Assert.Equal(upstream, Encoding.UTF8.GetString(RpmVersion.Upstream(Encoding.UTF8.GetBytes(version))));
        Assert.Equal(hasEpoch, RpmVersion.HasEpoch(version));
        Assert.Equal(hasEpoch, RpmVersion.HasEpoch(Encoding.UTF8.GetBytes(version)));
        Assert.Equal(0, RpmVersion.CompareWithoutEpoch(version, "7:" + version[(version.IndexOf(':') + 1)..]));
    }

    // deb-version(7): "a revision of 0 is the same as none"; '~' before the end, letters before other characters.
    [Theory]
    [InlineData("1.0", "1.0-0", 0)]
    [InlineData("0:1.0-1", "1.0-1", 0)]
    [InlineData("1:0.1", "2.0", 1)]
    [InlineData("1.0~~", "1.0~~a", -1)]
    [InlineData("1.0~", "1.0", -1)]
    [InlineData("1.0", "1.0a", -1)]
    [InlineData("1.0a", "1.0+", -1)]
    [InlineData("1.2-3-4", "1.2-3-5", -1)]
    [InlineData("6.1.76-1", "6.1.76-1+deb12u1", -1)]
    [InlineData("1.0-1", "1.0-01", 0)]
    public void Dpkg_orders_epoch_revision_and_tilde(string a, string b, int expected) => AssertOrder(VersionScheme.Dpkg, a, b, expected);

    [Theory]
    [InlineData("1.0_alpha", "1.0_beta", -1)]
    [InlineData("1.0_beta", "1.0_pre", -1)]
    [InlineData("1.0_pre", "1.0_rc1", -1)]
    [InlineData("1.0_rc9", "1.0_rc10", -1)]
    [InlineData("1.0_rc1", "1.0", -1)]
    [InlineData("1.0", "1.0_cvs", -1)]
    [InlineData("1.0_cvs1", "1.0_svn1", -1)]
    [InlineData("1.0_svn1", "1.0_git1", -1)]
    [InlineData("1.0_git1", "1.0_hg1", -1)]
    [InlineData("1.0_hg1", "1.0_p1", -1)]
    [InlineData("1.0_p1", "1.0a", -1)]
    [InlineData("1.0a", "1.0b", -1)]
    [InlineData("1.0b", "1.0.1", -1)]
    [InlineData("1.0", "1.0-r0", -1)]
    [InlineData("1.0-r9", "1.0-r10", -1)]
    [InlineData("1.0-r1", "1.0_p1-r0", -1)]
    [InlineData("1.05", "1.1", -1)]
    [InlineData("1.010", "1.02", -1)]
    [InlineData("01", "1", 0)]
    [InlineData("1.0~1a2b-r0", "1.0~1a2c-r0", -1)]
    [InlineData("1.0", "1.0~1a2b", -1)]
    [InlineData("1.0_rc1_p2", "1.0_rc1_p10", -1)]
    [InlineData("6.6.4p9-r0", "6.6.4p10-r0", -1)]
    [InlineData("1.18446744073709551616", "1.18446744073709551617", -1)]
    public void Apk_orders_suffixes_letters_hashes_and_revisions(string a, string b, int expected) => AssertOrder(VersionScheme.Apk, a, b, expected);

    [Theory]
    [InlineData("rpm", "2:1.0~rc1^git2-3.el9_4", true)]
    [InlineData("rpm", "1.0-1-1", false)]
    [InlineData("rpm", "1.0-", false)]
    [InlineData("rpm", "1,0-1", false)]
    [InlineData("rpm", "", false)]
    [InlineData("dpkg", "1:2.3-4-5+deb12u1", true)]
    [InlineData("dpkg", "a1.0", false)]
    [InlineData("dpkg", "1.0-", false)]
    [InlineData("dpkg", "1.0_1", false)]
    [InlineData("dpkg", "1:", false)]
    [InlineData("apk", "1.2.3a_rc1_p2~1a2b-r0", true)]
    [InlineData("apk", "6.6.4p1-r1", true)]
    [InlineData("apk", "1.2.", false)]
    [InlineData("apk", "1.2_foo", false)]
    [InlineData("apk", "1.2-1", false)]
    [InlineData("apk", "1.2~", false)]
    [InlineData("apk", "v1.2", false)]
    [InlineData("apk", "1.2-r1_p1", false)]
    public void What_a_manager_does_not_take_is_no_version(string scheme, string version, bool expected) =>
        Assert.Equal(expected, VersionScheme.Find(scheme)!.IsValid(Encoding.UTF8.GetBytes(version)));

    [Fact]
    public void Comparing_does_not_allocate()
    {
        (VersionScheme Scheme, byte[] A, byte[] B)[] pairs =
        [
            .. VersionScheme.All.Select(scheme => (scheme, "1:1.0~rc1-1.el8"u8.ToArray(), "1:1.0-2+deb12u1"u8.ToArray())),
            (VersionScheme.Maven, "1.0-rc-1.2.3-SNAPSHOT"u8.ToArray(), "1.0.0-rc1"u8.ToArray()),
            (VersionScheme.Pypi, "1!2.0a1.post2.dev3+x.1"u8.ToArray(), "1!2.0a1.post2"u8.ToArray()),
        ];
        long allocated = -1;
        for (var round = 0; round < 2; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 100; i++)
            {
                foreach (var (scheme, a, b) in pairs)
                {
                    scheme.Compare(a, b);
                    scheme.Compare("1.0~rc1", "1.0");
                }
            }

            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(0, allocated);
    }

    internal static void AssertOrder(VersionScheme scheme, string a, string b, int expected)
    {
        var x = Encoding.UTF8.GetBytes(a);
        var y = Encoding.UTF8.GetBytes(b);
        var order = Math.Sign(scheme.Compare(x, y));
        var reversed = Math.Sign(scheme.Compare(y, x));
        var asText = Math.Sign(scheme.Compare(a, b));
        Assert.True(
            order == expected && reversed == -expected && asText == expected,
            $"{scheme}: {a} and {b}: {order}, {reversed} and {asText}, expected {expected}, {-expected} and {expected}");
    }
}
