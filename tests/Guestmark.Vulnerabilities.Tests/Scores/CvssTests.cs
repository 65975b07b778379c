using System.Globalization;
using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public class CvssTests
{
    [TestDataTheory]
    [InlineData("cvss/v2_score.list", 12, CvssVersion.V2)]
    [InlineData("cvss/v30_score.list", 32, CvssVersion.V30)]
    [InlineData("cvss/v31_score.list", 35, CvssVersion.V31)]
    [InlineData("cvss/v4_score.list", 40, CvssVersion.V4)]
    public void Scores_agree_with_the_published_ones(string list, int expectedCount, CvssVersion version)
    {
        var lines = Lines(list);
        Assert.Equal(expectedCount, lines.Count);
        foreach (var line in lines)
        {
            var fields = line.Split('#')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Assert.True(Cvss.TryScore(fields[0], out var score, out var found), line);
            Assert.True(double.Parse(fields[1], CultureInfo.InvariantCulture) == score, $"{line}: {score}");
            Assert.Equal(version, found);
            Assert.True(Cvss.TryScore(Encoding.UTF8.GetBytes(fields[0]), out var again, out _));
            Assert.Equal(score, again);
        }
    }

    [TestDataTheory]
    [InlineData("cvss/v2_roundtrip.list", 6)]
    [InlineData("cvss/v3_roundtrip.list", 22)]
    [InlineData("cvss/v4_roundtrip.list", 43)]
    public void Vectors_are_written_as_they_were_read(string list, int expectedCount)
    {
        var lines = Lines(list);
        Assert.Equal(expectedCount, lines.Count);
        foreach (var line in lines)
        {
            var vector = line.Split('#')[0].Trim();
            Assert.True(Cvss.TryParse(vector, out var cvss), line);
            Assert.Equal(vector, cvss.ToString());
        }
    }

    [TestDataTheory]
    [InlineData("cvss/v2_error.list", CvssVersion.V2)]
    [InlineData("cvss/v3_error.list", CvssVersion.V31)]
    [InlineData("cvss/v4_error.list", CvssVersion.V4)]
    public void A_malformed_vector_is_none(string list, CvssVersion version)
    {
        foreach (var line in Lines(list))
        {
            // Lists of one edition hold good vectors of another: an error there, a vector here.
            var isVector = Cvss.TryParse(line.Split(" #")[0], out var cvss)
                && (cvss.Version == version || (cvss.Version == CvssVersion.V30 && version == CvssVersion.V31));
            Assert.True(line.EndsWith("#OK", StringComparison.Ordinal) == isVector, line);
        }
    }

    [Theory]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N/", "a '/' at the end")]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N/E:F/E:F", "a metric twice")]
    [InlineData("CVSS:3.2/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N", "an edition that does not exist")]
    [InlineData("CVSS:3.1/av:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N", "a metric in lower case")]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:L/VA:N/SC:N/SI:S/SA:N", "Safety, which only modified metrics have")]
    [InlineData("AV:N/AC:L/Au:N/C:C/I:C/A:C/E:F/RL:OF", "a part of the temporal metrics")]
    [InlineData("", "nothing")]
    public void No_score_for(string vector, string why) => Assert.False(Cvss.TryScore(vector, out _, out _), why);

    [Theory]
    // FIRST's examples of CVSS 3.1, with temporal and environmental metrics added: the base score stays.
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:N/E:F/RL:X", 3.8, 3.7)]
    [InlineData("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/MAV:P", 9.8, 6.8)]
    [InlineData("AV:N/AC:L/Au:N/C:N/I:N/A:C/E:F/RL:OF/RC:C/CDP:H/TD:H/CR:M/IR:M/AR:H", 7.8, 9.2)]
    [InlineData("CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U", 7.7, 5.2)]
    [InlineData("CVSS:4.0/AV:A/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N/MSI:S/S:P", 8.6, 9.7)]
    public void Other_metrics_change_the_score_and_not_the_base_score(string vector, double baseScore, double score)
    {
        Assert.True(Cvss.TryParse(vector, out var cvss));
        Assert.Equal(baseScore, cvss.BaseScore);
        Assert.Equal(score, cvss.Score);
    }

    [Fact]
    public void Scores_of_version_4_fall_when_a_metric_falls()
    {
        // The interpolation keeps the order of vectors: FIRST's claim, section 8.2. All 104,976 vectors of base metrics.
        string[] names = ["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"];
        string[] values = ["NALP", "LH", "NP", "NLH", "NPA", "HLN", "HLN", "HLN", "HLN", "HLN", "HLN"];
        var scores = new Dictionary<string, double>();
        Visit("");
        Assert.Equal(104_976, scores.Count);
        Assert.Equal(10, scores.Values.Max());
        Assert.Equal(0, scores.Values.Min());

        var checkedCount = 0;
        foreach (var (key, score) in scores)
        {
            for (var metric = 0; metric < names.Length; metric++)
            {
                var place = values[metric].IndexOf(key[metric], StringComparison.Ordinal);
                if (place == values[metric].Length - 1) continue;
                var lower = scores[$"{key[..metric]}{values[metric][place + 1]}{key[(metric + 1)..]}"];
                Assert.True(lower <= score, $"{key}: {score}, with a lower {names[metric]}: {lower}");
                checkedCount++;
            }
        }

        Assert.True(checkedCount > 500_000);

        void Visit(string key)
        {
            if (key.Length < names.Length)
            {
                foreach (var value in values[key.Length]) Visit(key + value);
                return;
            }

            var vector = "CVSS:4.0/" + string.Join('/', key.Select((value, i) => $"{names[i]}:{value}"));
            Assert.True(Cvss.TryScore(vector, out var score, out _), vector);
            scores[key] = score;
        }
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_are_a_vector_or_none()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var set) ? set : 2000;
        var random = new Random(3);
        string[] vectors =
        [
            "AV:L/AC:H/Au:N/C:C/I:C/A:C/E:F/RL:OF/RC:C/CDP:H/TD:H/CR:M/IR:M/AR:H",
            "CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:C/C:L/I:L/A:N/E:F/RL:X/CR:H/MAV:P/MS:U",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N/E:U/CR:L/MSI:S/U:Green",
        ];
        var good = 0;
        for (var i = 0; i < inputs; i++)
        {
            var vector = Encoding.UTF8.GetBytes(vectors[random.Next(vectors.Length)]);
            for (var changes = random.Next(1, 3); changes > 0; changes--)
                vector[random.Next(vector.Length)] = random.Next(4) == 0 ? (byte)random.Next(256) : "NLHAPCUXMSFDO:/"u8[random.Next(15)];
            if (random.Next(8) == 0) vector = vector[..random.Next(vector.Length)];
            if (!Cvss.TryParse(vector, out var cvss)) continue;
            good++;
            Assert.InRange(cvss.Score, 0, 10);
            Assert.InRange(cvss.BaseScore, 0, 10);
            Assert.True(Cvss.TryParse(cvss.ToString(), out var again));
            Assert.Equal(cvss.ToString(), again.ToString());
        }

        Assert.InRange(good, 1, inputs - 1);
    }

    static List<string> Lines(string list) =>
        [.. File.ReadAllLines(Repository.TestDataPath(list)).Where(line => line.Length > 0 && !line.StartsWith('#'))];
}
