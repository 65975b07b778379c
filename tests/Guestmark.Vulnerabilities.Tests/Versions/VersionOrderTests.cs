using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>What every order must be, whatever the texts, and the keys that carry an order into bytes.</summary>
public class VersionOrderTests
{
    public static TheoryData<string> Schemes => [.. VersionScheme.All.Select(scheme => scheme.Name)];

    [Theory]
    [MemberData(nameof(Schemes))]
    public void An_order_is_total_on_random_texts(string name)
    {
        var scheme = VersionScheme.Find(name)!;
        // Maven's own order goes in circles on what nobody publishes: 1-0.1 < 1.foo < 1-1 < ...; there, texts are of the usual form.
        var texts = name == "maven" ? MavenVersions(new Random(5)) : RandomTexts(new Random(5), 70);
        var orders = new int[texts.Length, texts.Length];
        for (var i = 0; i < texts.Length; i++)
        {
            for (var j = 0; j < texts.Length; j++) orders[i, j] = Math.Sign(scheme.Compare(texts[i], texts[j]));
        }

        for (var i = 0; i < texts.Length; i++)
        {
            Assert.Equal(0, orders[i, i]);
            for (var j = 0; j < texts.Length; j++)
            {
                Assert.Equal(orders[i, j], -orders[j, i]);
                for (var k = 0; k < texts.Length; k++)
                {
                    if (orders[i, j] <= 0 && orders[j, k] <= 0)
                    {
                        Assert.True(
                            orders[i, k] == Math.Min(orders[i, j], orders[j, k]),
                            $"{Text(texts[i])} <= {Text(texts[j])} <= {Text(texts[k])}: {orders[i, j]} {orders[j, k]} {orders[i, k]}");
                    }
                }
            }
        }

        static string Text(byte[] text) => Encoding.UTF8.GetString(text);
    }

    [Theory]
    [Trait("Category", "Fuzz")]
    [MemberData(nameof(Schemes))]
    public void Any_bytes_have_an_order_and_keys_that_agree(string name)
    {
        var scheme = VersionScheme.Find(name)!;
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var set) ? set : 2000;
        var random = new Random(17);
        for (var i = 0; i < inputs; i++)
        {
            var length = random.Next(20) == 0 ? random.Next(3000) : random.Next(24);
            var a = RandomText(random, length);
            var b = random.Next(2) == 0 ? RandomText(random, length) : Changed(a, random);
            var order = Math.Sign(scheme.Compare(a, b));
            Assert.Equal(order, -Math.Sign(scheme.Compare(b, a)));
            Assert.Equal(0, scheme.Compare(a, (byte[])a.Clone()));
            scheme.IsValid(a);
            AssertKeys(name, a, b, order);
        }
    }

    [TestDataTheory]
    [InlineData("rpm", "versions/rpm-evr-pairs.tsv", '\t', 1)]
    [InlineData("rpm", "versions/rpmvercmp.tsv", '\t', 1)]
    [InlineData("dpkg", "versions/deb-ordered-pairs.txt", ' ', 2)]
    public void Keys_have_the_order_of_the_real_pairs(string name, string file, char separator, int second)
    {
        foreach (var line in File.ReadLines(Repository.TestDataPath(file)))
        {
            var fields = line.Split(separator);
            AssertKeys(name, Encoding.UTF8.GetBytes(fields[0]), Encoding.UTF8.GetBytes(fields[second]), second == 2 ? -1 : int.Parse(fields[2]));
        }
    }

    [Theory]
    [InlineData("rpm", "1.0", "1.0.", 0)]
    [InlineData("rpm", "1.0~", "1.0", -1)]
    [InlineData("rpm", "1.0", "1.0^", -1)]
    [InlineData("rpm", "1a1", "1ab", -1)]
    [InlineData("rpm", "1.a", "1.0", -1)]
    [InlineData("rpm", "1.0-1", "1.0", 1)]
    [InlineData("dpkg", "", "0", 0)]
    [InlineData("dpkg", "a", "a0", 0)]
    [InlineData("dpkg", "1-0", "1", 0)]
    [InlineData("dpkg", "1.0~", "1.0", -1)]
    [InlineData("dpkg", "1.0.", "1.0a", 1)]
    public void Keys_are_equal_exactly_when_versions_are(string name, string a, string b, int expected) =>
        AssertKeys(name, Encoding.UTF8.GetBytes(a), Encoding.UTF8.GetBytes(b), expected);

    [Fact]
    public void Numbers_of_any_length_have_keys_in_their_order()
    {
        byte[][] versions = [.. ((int[])[1, 254, 255, 256, 509, 510, 511, 1000]).Select(digits => Encoding.ASCII.GetBytes(new string('9', digits)))];
        for (var i = 1; i < versions.Length; i++)
        {
            AssertKeys("rpm", versions[i - 1], versions[i], -1);
            AssertKeys("dpkg", versions[i - 1], versions[i], -1);
        }
    }

    [Theory]
    [InlineData("deb", "dpkg")]
    [InlineData("RPM", "rpm")]
    [InlineData("golang", "go")]
    [InlineData("gem", "rubygems")]
    [InlineData("composer", "packagist")]
    [InlineData("cargo", "crates")]
    [InlineData("pacman", null)]
    public void A_scheme_is_found_by_its_name_or_type_of_package_url(string name, string? expected) =>
        Assert.Equal(expected, VersionScheme.Find(name)?.Name);

    static void AssertKeys(string name, byte[] a, byte[] b, int expected)
    {
        if (name is not ("rpm" or "dpkg")) return;
        var order = Math.Sign(Key(name, a).AsSpan().SequenceCompareTo(Key(name, b)));
        Assert.True(order == expected, $"{name}: {Encoding.UTF8.GetString(a)} and {Encoding.UTF8.GetString(b)}: keys {order}, expected {expected}");
    }

    static byte[] Key(string name, byte[] version)
    {
        var key = new byte[name == "rpm" ? RpmVersion.SortKeyBytesMax(version.Length) : DpkgVersion.SortKeyBytesMax(version.Length)];
        return key[..(name == "rpm" ? RpmVersion.WriteSortKey(version, key) : DpkgVersion.WriteSortKey(version, key))];
    }

    static byte[][] RandomTexts(Random random, int count)
    {
        string[] parts =
        [
            "0", "1", "2", "10", "01", "9", ".", ".", ".0", "-", "~", "^", "+", "_", ":", "!", "a", "b", "rc", "Rc", "dev", "post", "p", "alpha", "_rc", "-r1", "x", "é", "v",
        ];
        return [.. Enumerable.Range(0, count).Select(_ => Encoding.UTF8.GetBytes(string.Concat(random.GetItems(parts, random.Next(7)))))];
    }

    static byte[][] MavenVersions(Random random)
    {
        string[] words = ["", "", "-alpha", "-beta2", "-rc1", "-rc10", "-M1", "-jre", "-SNAPSHOT", "-sp", "-android", ".Final", "-ga"];
        return
        [
            .. Enumerable.Range(0, 70).Select(_ => Encoding.UTF8.GetBytes(
                string.Join('.', random.GetItems<int>([0, 1, 2, 10], random.Next(1, 4))) + words[random.Next(words.Length)]))
        ];
    }

    static byte[] RandomText(Random random, int length)
    {
        var text = new byte[length];
        for (var i = 0; i < length; i++) text[i] = random.Next(8) == 0 ? (byte)random.Next(256) : "0019aBz.~^+-:_!xv"u8[random.Next(17)];
        return text;
    }

    static byte[] Changed(byte[] text, Random random)
    {
        var changed = (byte[])text.Clone();
        if (changed.Length > 0) changed[random.Next(changed.Length)] = RandomText(random, 1)[0];
        return changed;
    }
}
