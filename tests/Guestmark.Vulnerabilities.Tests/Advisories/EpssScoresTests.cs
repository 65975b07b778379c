using System.Globalization;
using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class EpssScoresTests
{
    const string Good = "#model_version:v2023.03.01,score_date:2024-10-25T00:00:00+0000\ncve,epss,percentile\nCVE-1999-0005,0.91963,0.99030\nCVE-2024-123456,0,1\n";

    static readonly ExploitPrediction[] Expected = [new("CVE-1999-0005", 0.91963f, 0.99030f), new("CVE-2024-123456", 0, 1)];

    static FeedRecord Read(string text)
    {
        var record = new FeedRecord();
        EpssScores.Read("epss.csv", new MemoryStream(Encoding.UTF8.GetBytes(text)), record, CancellationToken.None);
        return record;
    }

    [TestDataFact]
    public void The_sample_of_FIRST_is_read()
    {
        var record = new FeedRecord();
        using (var stream = File.OpenRead(Repository.TestDataPath("epss/sample.csv"))) EpssScores.Read("sample.csv", stream, record, CancellationToken.None);
        Assert.Empty(record.Skipped);
        // Lines without the comment and the header.
        Assert.Equal(File.ReadLines(Repository.TestDataPath("epss/sample.csv")).Count(line => line.StartsWith("CVE-", StringComparison.Ordinal)), record.Predictions.Count);
        Assert.Equal(new ExploitPrediction("CVE-1999-0005", 0.91963f, 0.99030f), record.Predictions[0]);
        Assert.Equal(new ExploitPrediction("CVE-1999-0007", 0.00073f, 0.32734f), record.Predictions[2]);
    }

    [Fact]
    public void Headers_line_ends_quotation_marks_and_a_byte_order_mark_are_optional()
    {
        var bare = Good[Good.IndexOf("CVE-1999", StringComparison.Ordinal)..];
        foreach (var text in (string[])[Good, bare, bare.TrimEnd(), Good.Replace("\n", "\r\n"), $"\uFEFF{Good}", Good.Replace("CVE-1999-0005", "\"CVE-1999-0005\""), Good[(Good.IndexOf('\n') + 1)..]])
        {
            var record = Read(text);
            Assert.Empty(record.Skipped);
            Assert.Equal(Expected, record.Predictions);
        }
    }

    [Theory]
    [InlineData("2024-10-25T00:00:00+0000", "2024-10-25T00:00:00Z")]
    [InlineData("2025-11-20T12:55:00Z", "2025-11-20T12:55:00Z")]
    [InlineData("2025-11-20T01:30:00+0200", "2025-11-19T23:30:00Z")]
    public void The_scores_are_as_old_as_their_first_line_says(string written, string expected)
    {
        foreach (var mark in (string[])["", "\uFEFF"])
        {
            var record = Read($"{mark}#model_version:v2025.03.14,score_date:{written}\r\ncve,epss,percentile\r\nCVE-1999-0005,0.5,0.6\r\n");
            Assert.Equal([DateTimeOffset.Parse(expected, CultureInfo.InvariantCulture)], record.Made);
            Assert.Empty(record.Skipped);
        }
    }

    [Theory]
    [InlineData("yesterday", "yesterday")]
    [InlineData("12:00", "12:00")]
    [InlineData("", "")]
    public void A_score_date_that_is_none_is_named_and_the_scores_count(string written, string shown)
    {
        var record = Read($"#model_version:v1,score_date:{written}\ncve,epss,percentile\nCVE-1999-0005,0.5,0.6\n");
        Assert.Empty(record.Made);
        Assert.Equal([$"line 1 score_date is '{shown}', no time"], record.Skipped);
        Assert.Single(record.Predictions);
    }

    [Theory]
    [InlineData("CVE-2024-1,0.5,0.5", "'CVE-2024-1' is no CVE id")]
    [InlineData("CVE-2024-0001,0.5", "'CVE-2024-0001,0.5' has fewer than three columns")]
    [InlineData("CVE-2024-0001,1.5,0.5", "epss is '1.5', not a number from 0 to 1")]
    [InlineData("CVE-2024-0001,-0.5,0.5", "epss is '-0.5', not a number from 0 to 1")]
    [InlineData("CVE-2024-0001,NaN,0.5", "epss is 'NaN', not a number from 0 to 1")]
    [InlineData("CVE-2024-0001,0.5,", "percentile is '', not a number from 0 to 1")]
    [InlineData("CVE-2024-0001,0.5,0.5,7", "percentile is '0.5,7', not a number from 0 to 1")]
    [InlineData("cve,epss,percentile", "'cve' is no CVE id")]
    public void A_bad_row_is_skipped_with_its_line(string row, string reason)
    {
        var record = Read($"{Good}{row}\n\nCVE-2024-0002,0.5,0.25\n");
        Assert.Equal([$"line 5 {reason}"], record.Skipped);
        Assert.Equal([.. Expected, new ExploitPrediction("CVE-2024-0002", 0.5f, 0.25f)], record.Predictions);
    }

    [Fact]
    public void A_line_of_megabytes_is_skipped_and_counts_as_one()
    {
        var record = Read($"{Good}{new string('x', 3 << 20)}\nCVE-2024-0002,0.5,0.25\nx\n");
        Assert.Equal(["line 5 has more than 4096 bytes", "line 7 'x' has fewer than three columns"], record.Skipped);
        Assert.Equal(3, record.Predictions.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("#model_version:v1\ncve,epss,percentile\n")]
    public void A_file_without_a_row_is_skipped_as_a_whole(string text) => Assert.Equal([" has no row of EPSS (cve,epss,percentile)"], Read(text).Skipped);

    [Fact]
    public void Columns_in_another_order_are_refused() =>
        Assert.Equal("line 1 'cve,percentile,epss' is not cve,epss,percentile", Read("cve,percentile,epss\nCVE-2024-0001,0.5,0.5\n").Skipped[0]);

    [Fact]
    public void As_many_rows_as_a_day_has_are_read_across_the_ends_of_the_buffer()
    {
        const int rows = 300_000;
        var text = new StringBuilder();
        for (var i = 0; i < rows; i++) text.Append(CultureInfo.InvariantCulture, $"CVE-2024-{i:D4},0.{i % 100_000:D5},0.5\n");
        var record = Read(text.ToString());
        Assert.Empty(record.Skipped);
        Assert.Equal(rows, record.Predictions.Count);
        Assert.Equal(new ExploitPrediction("CVE-2024-299999", 0.99999f, 0.5f), record.Predictions[^1]);
        Assert.Equal(rows, record.Predictions.Select(prediction => prediction.Cve).Distinct().Count());
    }

    [Trait("Category", "Fuzz")]
    [Fact]
    public void Damaged_files_are_read_or_named()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var many) ? many : 2000;
        var seed = Encoding.UTF8.GetBytes(Good);
        var random = new Random(8);
        var read = 0;
        var skipped = 0;
        for (var i = 0; i < inputs; i++)
        {
            var bytes = (byte[])seed.Clone();
            for (var edits = random.Next(1, 4); edits > 0; edits--) bytes[random.Next(bytes.Length)] = random.Next(3) == 0 ? (byte)",\n\"#"[random.Next(4)] : (byte)random.Next(256);
            var record = new FeedRecord();
            EpssScores.Read("epss.csv", new MemoryStream(bytes), record, CancellationToken.None);
            Assert.All(record.Predictions, prediction => Assert.True(prediction is { Score: >= 0 and <= 1, Percentile: >= 0 and <= 1 }));
            read += record.Predictions.Count;
            skipped += record.Skipped.Count;
        }

        Assert.True(read > inputs / 4 && skipped > inputs / 4, $"{read} read, {skipped} skipped: the damage does not reach both");
    }
}
