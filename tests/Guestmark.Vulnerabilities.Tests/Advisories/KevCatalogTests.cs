using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class KevCatalogTests
{
    const string Catalog = """
        {"catalogVersion": "2025.08.25", "count": 2, "vulnerabilities": [
          {"cveID": "CVE-2025-48384", "vendorProject": "Git", "dateAdded": "2025-08-25", "dueDate": "2025-09-15", "requiredAction": "Apply\nmore",
           "knownRansomwareCampaignUse": "Known", "cwes": ["CWE-59"]},
          {"cveID": "CVE-2020-29583", "dateAdded": "2021-11-03", "knownRansomwareCampaignUse": "Unknown", "dueDate": null}]}
        """;

    static FeedRecord Read(string json)
    {
        var record = new FeedRecord();
        KevCatalog.Read("kev.json", new MemoryStream(Encoding.UTF8.GetBytes(json)), record, CancellationToken.None);
        return record;
    }

    [TestDataFact]
    public void The_catalogue_of_CISA_is_read()
    {
        var record = new FeedRecord();
        using (var stream = File.OpenRead(Repository.TestDataPath("kev/known_exploited_vulnerabilities.json")))
            KevCatalog.Read("kev.json", stream, record, CancellationToken.None);
        Assert.Empty(record.Skipped);
        Assert.Equal(1404, record.KnownExploited.Count);
        Assert.Equal(
            new KnownExploited(
                "CVE-2025-48384",
                new DateOnly(2025, 8, 25),
                new DateOnly(2025, 9, 15),
                Ransomware: false,
                "Apply mitigations per vendor instructions, follow applicable BOD 22-01 guidance for cloud services, or discontinue use of the product if mitigations are unavailable."),
            record.KnownExploited[0]);
        Assert.Equal(("CVE-2020-29583", new DateOnly(2021, 11, 3)), (record.KnownExploited[^1].Cve, record.KnownExploited[^1].Added));
        // grep -c '"knownRansomwareCampaignUse": "Known"'
        Assert.Equal(RansomwareEntries, record.KnownExploited.Count(entry => entry.Ransomware));
    }

    const int RansomwareEntries = 293;

    [Theory]
    [InlineData("\"2025-08-25T16:00:08.2033Z\"", true, null)]
    [InlineData("\"soon\"", false, "$.dateReleased is 'soon', no time")]
    [InlineData("17", false, "$.dateReleased is a number (17), not a time")]
    public void The_catalogue_is_as_old_as_it_says(string released, bool isTime, string? skipped)
    {
        var record = Read(Catalog.Replace("\"count\"", $"\"dateReleased\": {released}, \"count\"", StringComparison.Ordinal));
        DateTimeOffset[] expected = isTime ? [new DateTimeOffset(2025, 8, 25, 16, 0, 8, TimeSpan.Zero).AddTicks(2_033_000)] : [];
        Assert.Equal(expected, record.Made);
        Assert.Equal(skipped is null ? [] : [skipped], record.Skipped);
        Assert.Equal(2, record.KnownExploited.Count);
    }

    [Fact]
    public void An_entry_needs_no_more_than_id_and_date()
    {
        var record = Read(Catalog);
        Assert.Empty(record.Skipped);
        Assert.Equal(
            [
                new KnownExploited("CVE-2025-48384", new DateOnly(2025, 8, 25), new DateOnly(2025, 9, 15), Ransomware: true, "Apply"),
                new KnownExploited("CVE-2020-29583", new DateOnly(2021, 11, 3), null, Ransomware: false, ""),
            ],
            record.KnownExploited);
    }

    [Theory]
    [InlineData("\"count\": 2", "\"count\": 3", "$.count is 3, but there are 2 vulnerabilities", 2)]
    [InlineData("\"count\": 2", "\"count\": \"2\"", "$.count is a string, not a whole number", 2)]
    [InlineData("\"CVE-2020-29583\"", "\"CVE-20\"", "$.vulnerabilities[1].cveID is 'CVE-20', no CVE id", 1)]
    [InlineData("\"CVE-2020-29583\"", "7", "$.vulnerabilities[1].cveID is a number (7), not a string", 1)]
    [InlineData("\"cveID\": \"CVE-2020-29583\", ", "", "$.vulnerabilities[1].cveID is absent", 1)]
    [InlineData("\"2021-11-03\"", "\"2021-02-30\"", "$.vulnerabilities[1].dateAdded is '2021-02-30', no date (YYYY-MM-DD)", 1)]
    [InlineData("\"2021-11-03\"", "null", "$.vulnerabilities[1].dateAdded is null, not a string", 1)]
    [InlineData("\"dateAdded\": \"2021-11-03\", ", "", "$.vulnerabilities[1].dateAdded is absent", 1)]
    [InlineData("\"vulnerabilities\"", "\"entries\"", "$.vulnerabilities is absent: no catalogue of known exploited vulnerabilities", 0)]
    [InlineData("]}", "", " not valid JSON", 2)]
    public void What_cannot_be_read_is_named_and_the_rest_is_read(string from, string to, string reason, int entries)
    {
        var at = Catalog.LastIndexOf(from, StringComparison.Ordinal);
        var record = Read(string.Concat(Catalog.AsSpan(0, at), to, Catalog.AsSpan(at + from.Length)));
        Assert.StartsWith(reason, Assert.Single(record.Skipped));
        Assert.Equal(entries, record.KnownExploited.Count);
    }

    [Theory]
    [InlineData("[]", "$ is an array, not an object")]
    [InlineData("""{"vulnerabilities": 5}""", "$.vulnerabilities is a number (5), not an array")]
    [InlineData("""{"vulnerabilities": [[]]}""", "$.vulnerabilities[0] is an array, not an object")]
    public void Another_shape_is_named(string json, string reason) => Assert.Equal(reason, Read(json).Skipped[0]);

    [Trait("Category", "Fuzz")]
    [Fact]
    public void Damaged_catalogues_are_read_or_named()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var many) ? many : 2000;
        string[] pieces = ["null", "[]", "{}", "1e9", "\"\\ud800\"", "\"", "}", ",", "\"cveID\":\"CVE-2024-0001\",", "é", "9"];
        var random = new Random(6);
        var read = 0;
        var skipped = 0;
        for (var i = 0; i < inputs; i++)
        {
            var text = new StringBuilder(Catalog);
            for (var edits = random.Next(1, 4); edits > 0; edits--)
            {
                var at = random.Next(text.Length);
                if (random.Next(2) == 0) text.Remove(at, random.Next(Math.Min(30, text.Length - at)));
                text.Insert(at, pieces[random.Next(pieces.Length)]);
            }

            var record = Read(text.ToString());
            read += record.KnownExploited.Count;
            skipped += record.Skipped.Count;
        }

        Assert.True(read > inputs / 4 && skipped > inputs / 4, $"{read} read, {skipped} skipped: the damage does not reach both");
    }
}
