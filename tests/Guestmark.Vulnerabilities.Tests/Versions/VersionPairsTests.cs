using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

public class VersionPairsTests
{
    [Theory]
    [InlineData("", "", null)]
    [InlineData("1\t2\n", "-1\n", null)]
    [InlineData("1\t2\n2\t1\r\n1\t1.0", "-1\n1\n-1\n", null)]
    [InlineData("1\t2\n\n1\t1\n", "-1\n", "line 2: has no tab")]
    [InlineData("1 2\n", "", "line 1: has no tab")]
    [InlineData("1\t2\n3\t4\n5\t\n", "-1\n-1\n", "line 3: the second version is missing")]
    [InlineData("\t4\n", "", "line 1: the first version is missing")]
    [InlineData("1\t2\t-1\n", "", "line 1: has more than one tab")]
    public void Each_line_gives_a_line_up_to_the_first_wrong_one(string input, string expected, string? problem)
    {
        using var output = new MemoryStream();
        var told = Compare(new MemoryStream(Encoding.UTF8.GetBytes(input)), output, VersionScheme.Rpm);
        Assert.Equal(expected, Encoding.UTF8.GetString(output.ToArray()));
        if (problem is null) Assert.Null(told);
        else Assert.StartsWith(problem, told);
    }

    [Fact]
    public void A_text_that_is_no_version_is_wrong_when_strict()
    {
        const string input = "1.0.0\t1.0.1\n1.0.0\tlatest\n";
        using var output = new MemoryStream();
        Assert.Null(CompareNpm(strict: false));
        Assert.Equal("-1\n1\n", Encoding.UTF8.GetString(output.ToArray()));
        Assert.Equal("line 2: 'latest' is no npm version; without --strict it is compared all the same", CompareNpm(strict: true));

        string? CompareNpm(bool strict) =>
            VersionPairs.Compare(new MemoryStream(Encoding.UTF8.GetBytes(input)), output, VersionScheme.Npm, strict, CancellationToken.None);
    }

    [Fact]
    public void Lines_may_lie_anywhere_in_the_buffers()
    {
        // Reads of 1 to 7 bytes cut the lines everywhere; 300,000 of them fill the buffer more than once.
        var input = new StringBuilder();
        var expected = new StringBuilder();
        for (var i = 0; i < 300_000; i++)
        {
            input.Append(i % 10).Append(".1\t5.1\n");
            expected.Append(Math.Sign((i % 10) - 5)).Append('\n');
        }

        var bytes = Encoding.UTF8.GetBytes(input.ToString());
        using var output = new MemoryStream();
        Assert.Null(Compare(new MemoryStream(bytes), output, VersionScheme.Dpkg));
        Assert.Equal(expected.ToString(), Encoding.UTF8.GetString(output.ToArray()));

        using var outputOfSmallReads = new MemoryStream();
        const int lines = 10_000;
        var bytesOfLines = lines * "0.1\t5.1\n".Length;
        Assert.Null(Compare(new SmallReads(bytes[..bytesOfLines]), outputOfSmallReads, VersionScheme.Dpkg));
        var results = Encoding.UTF8.GetString(outputOfSmallReads.ToArray());
        Assert.StartsWith(results, expected.ToString());
        Assert.Equal(lines, results.Count(c => c == '\n'));
    }

    [Fact]
    public void A_line_over_the_limit_is_named()
    {
        var input = Encoding.UTF8.GetBytes("1\t2\n" + new string('1', VersionPairs.LineBytesMax) + "\t2\n");
        using var output = new MemoryStream();
        Assert.StartsWith("line 2: longer than", Compare(new MemoryStream(input), output, VersionScheme.Rpm));
        Assert.Equal("-1\n", Encoding.UTF8.GetString(output.ToArray()));
    }

    static string? Compare(Stream input, Stream output, VersionScheme scheme) =>
        VersionPairs.Compare(input, output, scheme, strict: false, CancellationToken.None);

    sealed class SmallReads(byte[] bytes) : MemoryStream(bytes)
    {
        int _reads;

        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, (_reads++ % 7) + 1));
    }
}
