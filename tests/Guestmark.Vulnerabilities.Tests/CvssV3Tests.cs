using System.Globalization;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public class CvssV3Tests
{
    [TestDataTheory]
    [InlineData("cvss/v30_score.list", 32)]
    [InlineData("cvss/v31_score.list", 33)]
    public void Base_score_agrees_with_the_published_examples(string list, int expectedCount)
    {
        var checkedCount = 0;
        foreach (var line in File.ReadAllLines(Repository.TestDataPath(list)))
        {
            var fields = line.Split('#')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            // The list has two vectors with more than base metrics, whose score is not the base score.
            if (fields.Length != 2 || fields[0].Count(c => c == '/') > 8) continue;
            Assert.True(double.Parse(fields[1], CultureInfo.InvariantCulture) == CvssV3.BaseScore(fields[0]), line);
            checkedCount++;
        }

        Assert.Equal(expectedCount, checkedCount);
    }

    [TestDataFact]
    public void A_malformed_vector_has_no_score()
    {
        foreach (var line in File.ReadAllLines(Repository.TestDataPath("cvss/v3_error.list")).Where(line => line.Length > 0))
            Assert.True(line.EndsWith("#OK", StringComparison.Ordinal) == CvssV3.BaseScore(line.Split(' ')[0]).HasValue, line);
    }

    [Fact]
    public void Other_metrics_do_not_change_the_base_score() =>
        Assert.Equal(3.8, CvssV3.BaseScore("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N/E:F/RL:X"));

    [Theory]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N/")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N/E:F/E:F")]
    [InlineData("")]
    public void Another_version_or_a_repeated_metric_has_no_score(string vector) => Assert.Null(CvssV3.BaseScore(vector));
}
