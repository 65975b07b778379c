using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public class VersionTests
{
    delegate int Comparison(ReadOnlySpan<char> a, ReadOnlySpan<char> b);

    [TestDataFact]
    public void Rpm_agrees_with_rpm_4_18_on_its_real_pairs()
    {
        var lines = File.ReadAllLines(Repository.TestDataPath("versions/rpm-evr-pairs.tsv"));
        Assert.Equal(5667, lines.Length);
        foreach (var line in lines)
        {
            var fields = line.Split('\t');
            AssertOrder(RpmVersion.Compare, fields[0], fields[1], int.Parse(fields[2]));
        }
    }

    [TestDataFact]
    public void Rpm_agrees_with_the_test_vectors_of_rpm()
    {
        var lines = File.ReadAllLines(Repository.TestDataPath("versions/rpmvercmp.tsv"));
        Assert.NotEmpty(lines);
        foreach (var line in lines)
        {
            var fields = line.Split('\t');
            AssertOrder(RpmVersion.CompareSegments, fields[0], fields[1], int.Parse(fields[2]));
        }
    }

    [TestDataFact]
    public void Rpm_agrees_with_the_test_vectors_of_claircore()
    {
        var lines = File.ReadAllLines(Repository.TestDataPath("versions/rpmvercmp-2.txt"))
            .Select(line => line.Split('#')[0].Trim()).Where(line => line.Length > 0).ToList();
        Assert.NotEmpty(lines);
        foreach (var line in lines)
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Assert.Contains(fields[1], (string[])["<", ">", "=="]);
            AssertOrder(RpmVersion.CompareSegments, fields[0], fields[2], fields[1] switch { "<" => -1, ">" => 1, _ => 0 });
        }
    }

    [TestDataFact]
    public void Dpkg_agrees_with_the_real_ordered_pairs()
    {
        var lines = File.ReadAllLines(Repository.TestDataPath("versions/deb-ordered-pairs.txt"));
        Assert.Equal(14442, lines.Length);
        foreach (var line in lines)
        {
            var fields = line.Split(' ');
            Assert.Equal("<", fields[1]);
            AssertOrder(DpkgVersion.Compare, fields[0], fields[2], -1);
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
    public void Rpm_orders_epoch_release_tilde_and_caret(string a, string b, int expected) => AssertOrder(RpmVersion.Compare, a, b, expected);

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
    public void Dpkg_orders_epoch_revision_and_tilde(string a, string b, int expected) => AssertOrder(DpkgVersion.Compare, a, b, expected);

    [Fact]
    public void An_order_is_total_on_random_versions()
    {
        const string alphabet = "0019aB.~^+-:_é";
        var random = new Random(7);
        var versions = Enumerable.Range(0, 120).Select(_ => new string(random.GetItems<char>(alphabet, random.Next(8)))).ToList();
        foreach (var compare in new Comparison[] { RpmVersion.Compare, DpkgVersion.Compare })
        {
            foreach (var a in versions)
            {
                foreach (var b in versions) Assert.Equal(Math.Sign(compare(a, b)), -Math.Sign(compare(b, a)));
            }
        }
    }

    [Fact]
    public void Comparing_does_not_allocate()
    {
        RpmVersion.Compare("1:1.0-1", "1:1.0-2");
        DpkgVersion.Compare("1:1.0-1", "1:1.0-2");
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            RpmVersion.Compare("1:1.0~rc1-1.el8", "1:1.0-2.el8");
            DpkgVersion.Compare("1:1.0~rc1-1", "1:1.0-2+deb12u1");
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    static void AssertOrder(Comparison compare, string a, string b, int expected)
    {
        var order = Math.Sign(compare(a, b));
        var reversed = Math.Sign(compare(b, a));
        Assert.True(order == expected && reversed == -expected, $"{a} and {b}: {order} and {reversed}, expected {expected} and {-expected}");
    }
}
