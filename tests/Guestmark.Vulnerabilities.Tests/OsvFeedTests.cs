using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using Guestmark.Inventory;
using Guestmark.TestKit;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class OsvFeedTests : IDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly AdvisoryDatabaseBuilder _builder = new();

    public void Dispose() => _folder.Dispose();

    [TestDataFact]
    public void Samples_of_all_vendors_are_read_and_others_counted()
    {
        // The folder also holds the OSV schema and six files of another tool (golden/), which are no OSV documents.
        var result = OsvFeed.Import(Repository.TestDataPath("osv"), _builder, progress: null, CancellationToken.None);
        Assert.Equal(24, result.Documents);
        Assert.Equal(7, result.SkippedDocuments);
        Assert.Equal(
            "osv-schema.json",
            Assert.Single(result.Skipped.Select(skipped => skipped.Path), path => !path.Contains("/golden/", StringComparison.Ordinal)).Split('/')[^1]);
        Assert.Equal(["Alpine:v3.18", "Chainguard", "Wolfi"], result.SkippedEcosystems.Keys);
    }

    [TestDataFact]
    public void Debian_documents_are_kept_by_release()
    {
        OsvFeed.Import(Repository.TestDataPath("osv/debian"), _builder, progress: null, CancellationToken.None);
        var database = _builder.Build();
        Assert.Equal(["Debian:3.0", "Debian:4.0", "Debian:6.0"], database.Ecosystems);
        Assert.Equal(3, database.AffectedPackageCount);
    }

    [TestDataTheory]
    [InlineData("osv/alma/fixtures/ALSA/2023/ALSA-2023%3A7465.json", 1, 0)]
    [InlineData("osv/alma/fixtures/ALBA/2022/ALBA-2022%3A8256.json", 0, 1)]
    [InlineData("osv/redhat-all.zip", 3, 0)]
    public void A_document_or_an_archive_can_be_imported(string path, int advisories, int notVulnerabilities)
    {
        var result = OsvFeed.Import(Repository.TestDataPath(path), _builder, progress: null, CancellationToken.None);
        Assert.Equal((advisories, notVulnerabilities), (result.Advisories, result.NotVulnerabilities));
        Assert.Equal(advisories, _builder.Build().AdvisoryCount);
    }

    [TestDataFact]
    public void Severity_and_score_come_from_the_vector()
    {
        OsvFeed.Import(Repository.TestDataPath("osv/rocky/fixtures/RLSA/2023"), _builder, progress: null, CancellationToken.None);
        var finding = Assert.Single(Match(_builder.Build(), new OsRelease("rocky", "9.1", ""), Rpm("bcel", "6.4.1-8.el9")));
        Assert.Equal((8.1, Severity.Important, "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H"), (finding.CvssScore, finding.Severity, finding.CvssVector));
        Assert.Equal(["CVE-2022-42920"], finding.Cves);
        Assert.Equal("https://errata.rockylinux.org/RLSA-2023:0005", finding.Evidence.Url);
    }

    [Fact]
    public void Cves_are_taken_from_id_aliases_related_and_upstream()
    {
        var document = Osv.Document("DEBIAN-CVE-2024-9", "Debian:12", "p", ("introduced", "0"))
            .With("aliases", new JsonArray("CVE-2024-0003", "GHSA-crqm-pwhx-j97f"))
            .With("upstream", new JsonArray("CVE-2024-0002", "CVE-2024-0001", "CVE-24-1"));
        var finding = Assert.Single(Match(Osv.Database(document), new OsRelease("debian", "12", ""), Rpm("p", "1") with { Manager = PackageManager.Dpkg }));
        Assert.Equal(["CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003"], finding.Cves);
    }

    [Theory]
    [InlineData("Critical: x", null, null, Severity.Critical)]
    [InlineData("x: y", "HIGH", null, Severity.Important)]
    [InlineData("x", "medium", null, Severity.Moderate)]
    [InlineData("x", "not yet assigned", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity.Critical)]
    [InlineData("Low: x", null, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity.Low)]
    [InlineData("x", null, "CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N", Severity.Unknown)]
    [InlineData("", null, null, Severity.Unknown)]
    public void Severity_is_the_vendors_word_before_the_score(string summary, string? word, string? vector, Severity expected)
    {
        var document = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).With("summary", summary);
        if (word is not null) document["affected"]![0]!["database_specific"] = new JsonObject { ["severity"] = word };
        if (vector is not null)
            document["severity"] = new JsonArray(new JsonObject { ["type"] = vector.StartsWith("CVSS:4") ? "CVSS_V4" : "CVSS_V3", ["score"] = vector });
        var finding = Assert.Single(Match(Osv.Database(document), AlmaLinux8, Rpm("p", "1-1")));
        Assert.Equal(expected, finding.Severity);
        Assert.Equal(vector, finding.CvssVector);
    }

    [Fact]
    public void A_missing_summary_is_the_first_line_of_the_details_cut()
    {
        var document = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).With("details", $"\n{new string('x', 298)}\U0001F600 more\nsecond line");
        document.Remove("summary");
        var summary = Assert.Single(Match(Osv.Database(document), AlmaLinux8, Rpm("p", "1-1"))).Summary;
        Assert.Equal(new string('x', 298) + "…", summary);
    }

    [Fact]
    public void A_withdrawn_document_applies_nowhere_in_whatever_order_it_comes()
    {
        var valid = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"));
        var withdrawn = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"))
            .With("withdrawn", "2024-02-01T00:00:00Z").With("modified", "2024-02-01T00:00:00Z");
        var republished = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).With("modified", "2024-03-01T00:00:00Z");
        Assert.Equal(0, Osv.Database(valid, withdrawn).AdvisoryCount);
        Assert.Equal(0, Osv.Database(withdrawn, valid).AdvisoryCount);
        Assert.Equal(1, Osv.Database(withdrawn, republished, valid).AdvisoryCount);
    }

    [Fact]
    public void Order_and_repetition_do_not_change_the_revision_and_content_does()
    {
        var documents = Enumerable.Range(0, 40)
            .Select(i => Osv.Document($"TEST-{i}", i % 3 == 0 ? "AlmaLinux:8" : "Debian:12", $"p{i % 7}", ("introduced", "0"), ("fixed", $"{i}-1"))).ToArray();
        var revision = Osv.Database(documents).Revision;
        Assert.Equal(revision, Osv.Database([.. documents.Reverse()]).Revision);
        Assert.Equal(revision, Osv.Database([.. documents, .. documents]).Revision);
        Assert.NotEqual(revision, Osv.Database(documents.AsSpan(1)).Revision);
        documents[3].With("summary", "another");
        Assert.NotEqual(revision, Osv.Database(documents).Revision);
    }

    [Fact]
    public void Of_two_versions_of_a_document_the_newer_wins_and_with_one_time_always_the_same()
    {
        var old = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "1-1"));
        var other = Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "2-1"));
        Assert.Equal(Osv.Database(old, other).Revision, Osv.Database(other, old).Revision);
        other["modified"] = "2024-06-01T00:00:00Z";
        Assert.Equal("2-1", Assert.Single(Match(Osv.Database(old, other), AlmaLinux8, Rpm("p", "0-1"))).FixedVersion);
        Assert.Equal("2-1", Assert.Single(Match(Osv.Database(other, old), AlmaLinux8, Rpm("p", "0-1"))).FixedVersion);
    }

    [Fact]
    public void Broken_documents_are_named_and_the_others_imported()
    {
        File.WriteAllText(_folder.File("good.json"), Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
        File.WriteAllText(_folder.File("cut.json"), """{"id": "TEST-2", "modified": """);
        File.WriteAllText(_folder.File("array.json"), "[]");
        File.WriteAllText(_folder.File("no-id.json"), """{"modified": "2024-01-01T00:00:00Z"}""");
        File.WriteAllText(_folder.File("surrogate.json"), """{"id": "\ud800", "modified": "2024-01-01T00:00:00Z"}""");
        File.WriteAllText(_folder.File("time.json"), """{"id": "TEST-3", "modified": "yesterday"}""");
        File.WriteAllText(_folder.File("deep.json"), new string('[', 100_000));
        File.WriteAllText(_folder.File("note.txt"), "not looked at");
        using (var large = File.Create(_folder.File("large.json"))) large.SetLength(OsvFeed.DocumentBytesMax + 1L);

        var result = OsvFeed.Import(_folder.Path, _builder, progress: null, CancellationToken.None);
        Assert.Equal(1, result.Documents);
        Assert.Equal(7, result.SkippedDocuments);
        Assert.Equal(
            [
                "array.json: not a JSON object",
                "cut.json: not valid JSON",
                "deep.json: not valid JSON",
                "large.json: 67108865 bytes or more, limit 67108864",
                "no-id.json: no OSV document",
                "surrogate.json: a text in it is not valid UTF-8 or has an unpaired surrogate",
                "time.json: modified is not a time",
            ],
            result.Skipped.Select(skipped => $"{Path.GetFileName(skipped.Path)}: {skipped.Reason.Split(": ")[0]}").Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_zip_entry_with_a_false_size_is_skipped_and_named()
    {
        var path = _folder.File("feed.zip");
        using (var archive = ZipFile.Open(path, ZipArchiveMode.Create))
        {
            Add(archive, "a.json", Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
            Add(archive, "lies.json", Osv.Document("TEST-2", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
            Add(archive, "readme.txt", "not looked at");
        }

        // The central directory's record (APPNOTE 4.3.12): signature, … uncompressed size at 24, name at 46.
        var bytes = File.ReadAllBytes(path);
        var name = bytes.AsSpan().LastIndexOf("lies.json"u8);
        bytes[name - 46 + 24] ^= 0x40;
        File.WriteAllBytes(path, bytes);

        var result = OsvFeed.Import(path, _builder, progress: null, CancellationToken.None);
        Assert.Equal(1, result.Documents);
        Assert.Equal("lies.json", Assert.Single(result.Skipped).Path);
    }

    [Fact]
    public void A_zip_entry_that_declares_more_than_the_limit_is_not_read()
    {
        var path = _folder.File("feed.zip");
        using (var archive = ZipFile.Open(path, ZipArchiveMode.Create))
        {
            Add(archive, "a.json", Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
            using var bomb = archive.CreateEntry("bomb.json", CompressionLevel.Fastest).Open();
            var zeros = new byte[1 << 20];
            for (var i = 0; i <= OsvFeed.DocumentBytesMax >> 20; i++) bomb.Write(zeros);
        }

        var result = OsvFeed.Import(path, _builder, progress: null, CancellationToken.None);
        Assert.Equal(1, result.Documents);
        var skipped = Assert.Single(result.Skipped);
        Assert.Equal(("bomb.json", $"{OsvFeed.DocumentBytesMax + (1 << 20)} bytes or more, limit {OsvFeed.DocumentBytesMax}"), (skipped.Path, skipped.Reason));
    }

    [Fact]
    public void What_cannot_be_imported_at_all_is_an_error_that_names_it()
    {
        var empty = Directory.CreateDirectory(_folder.File("empty")).FullName;
        var text = _folder.File("text.zip");
        File.WriteAllText(text, "no archive");
        var broken = _folder.File("broken.json");
        File.WriteAllText(broken, "{}");
        foreach (var (path, problem) in ((string, string)[])
            [(_folder.File("absent"), "no such file or folder"), (empty, "no OSV document"), (text, "no zip archive"), (broken, "it has no id")])
        {
            var error = Assert.Throws<OsvFeedException>(() => OsvFeed.Import(path, _builder, progress: null, CancellationToken.None));
            Assert.StartsWith(path, error.Message);
            Assert.Contains(problem, error.Message);
        }
    }

    [TestDataFact]
    public void Mutated_documents_are_read_or_refused()
    {
        var seeds = new[]
        {
            "osv/alma/fixtures/ALSA/2023/ALSA-2023%3A7465.json",
            "osv/debian/fixtures/DSA/2002/DSA-135.json",
            "osv/rocky/fixtures/RLSA/2023/RLSA-2023%3A0005.json",
        }.Select(path => File.ReadAllBytes(Repository.TestDataPath(path))).ToList();
        // Replacements that keep much of the JSON valid but change the types and ranges of its values.
        string[] texts =
        [
            "null", "[]", "{}", "0", "-1e999", "true", "\"\"", "\"\\ud800\"", "\"\\ud800\":0,", "\"i\\u0064\":0,", "\"introduced\":\"0\"", ",", "\"", "}",
        ];
        byte[][] pieces = [.. texts.Select(Encoding.UTF8.GetBytes), [0xff, 0xfe]];
        var random = new Random(11);
        var read = 0;
        var refused = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var bytes = seeds[random.Next(seeds.Count)].ToList();
            for (var edits = random.Next(1, 4); edits > 0; edits--)
            {
                var start = random.Next(bytes.Count);
                var tokenEnd = bytes.FindIndex(start, b => b is (byte)',' or (byte)'}' or (byte)']' or (byte)'\n');
                var tokenStart = bytes.FindLastIndex(start, b => b is (byte)':' or (byte)'[' or (byte)'\t') + 1;
                if (random.Next(2) == 0 && tokenEnd > tokenStart) bytes.RemoveRange(tokenStart, tokenEnd - tokenStart);
                else tokenStart = start;
                bytes.InsertRange(tokenStart, pieces[random.Next(pieces.Length)]);
            }

            try
            {
                var document = OsvDocument.Parse(bytes.ToArray());
                var builder = new AdvisoryDatabaseBuilder();
                builder.Add(document.Advisory);
                builder.Build();
                read++;
            }
            catch (OsvDocumentException)
            {
                refused++;
            }
        }

        Assert.True(read > 1000 && refused > 1000, $"{read} read, {refused} refused: the mutations do not reach both");
    }

    static void Add(ZipArchive archive, string name, string content)
    {
        using var writer = new StreamWriter(archive.CreateEntry(name).Open());
        writer.Write(content);
    }
}
