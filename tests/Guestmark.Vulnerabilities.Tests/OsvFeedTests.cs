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
    public void Samples_of_all_vendors_are_read()
    {
        // The folder also holds the OSV schema and six files of another tool (golden/), which are no OSV documents.
        var result = OsvFeed.Import(Repository.TestDataPath("osv"), _builder, progress: null, CancellationToken.None);
        Assert.Equal(24, result.Documents);
        Assert.Equal(7, result.SkippedDocuments);
        Assert.Equal(
            "osv-schema.json",
            Assert.Single(result.Skipped.Select(skipped => skipped.Path), path => !path.Contains("/golden/", StringComparison.Ordinal)).Split('/')[^1]);
        Assert.Empty(result.SkippedEcosystems);
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
                "array.json: $ is an array, not an object",
                "cut.json: not valid JSON",
                "deep.json: $ is an array, not an object",
                "large.json: 67108865 bytes or more, limit 67108864",
                "no-id.json: $.id is absent",
                "surrogate.json: $.id is not valid UTF-8 or has an unpaired surrogate",
                "time.json: $.modified is not a time",
            ],
            result.Skipped.Select(skipped => $"{Path.GetFileName(skipped.Path)}: {skipped.Reason.Split(": ")[0]}").Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Documents_without_an_advisory_are_no_error_and_the_result_says_why()
    {
        File.WriteAllText(_folder.File("1.json"), Osv.Document("TEST-1", "Android", "p", ("introduced", "0")).ToJsonString());
        Assert.Equal("of 1 documents: 1 that name no package of a supported ecosystem (but Android)", WhyNoAdvisory());
        File.WriteAllText(_folder.File("2.json"), Osv.Document("TEST-2", "AlmaLinux:8", "p").With("withdrawn", "2024-02-01T00:00:00Z").ToJsonString());
        File.WriteAllText(_folder.File("3.json"), Osv.Document("ALBA-2024:1", "AlmaLinux:8", "p").With("related", new JsonArray()).ToJsonString());
        Assert.Equal(
            "of 3 documents: 1 withdrawn, 1 about bug fixes or enhancements only, 1 that name no package of a supported ecosystem (but Android)",
            WhyNoAdvisory());
        File.WriteAllText(_folder.File("4.json"), Osv.Document("TEST-4", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
        Assert.Null(WhyNoAdvisory());

        string? WhyNoAdvisory() => OsvFeed.Import(_folder.Path, _builder, progress: null, CancellationToken.None).WhyNoAdvisory;
    }

    [Fact]
    public void Ecosystems_that_came_in_are_named_in_order_and_at_most_a_hundred()
    {
        string[] ecosystems = ["Debian:12", "AlmaLinux:9", "AlmaLinux:10", "AlmaLinux:8", "AlmaLinux:8", "Android"];
        for (var i = 0; i < ecosystems.Length; i++)
            File.WriteAllText(_folder.File($"{i}.json"), Osv.Document($"TEST-{i}", ecosystems[i], "p", ("introduced", "0")).ToJsonString());
        var withdrawn = Osv.Document("TEST-W", "AlmaLinux:7", "p", ("introduced", "0")).With("withdrawn", "2024-02-01T00:00:00Z");
        File.WriteAllText(_folder.File("withdrawn.json"), withdrawn.ToJsonString());
        Assert.Equal(
            ["AlmaLinux:8", "AlmaLinux:9", "AlmaLinux:10", "Debian:12"],
            OsvFeed.Import(_folder.Path, _builder, progress: null, CancellationToken.None).Ecosystems);

        for (var i = 0; i < 101; i++)
            File.WriteAllText(_folder.File($"many{i}.json"), Osv.Document($"TEST-{i}", $"Debian:{i}", "p", ("introduced", "0")).ToJsonString());
        Assert.Equal(100, OsvFeed.Import(_folder.Path, _builder, progress: null, CancellationToken.None).Ecosystems.Count);
    }

    [Fact]
    public void Crc32_has_the_check_value_of_its_definition() => Assert.Equal(0xCBF43926u, Crc32.Of("123456789"u8));

    [Fact]
    public void A_zip_entry_whose_content_was_changed_is_skipped_and_named()
    {
        var path = _folder.File("feed.zip");
        using (var archive = ZipFile.Open(path, ZipArchiveMode.Create))
        {
            Add(archive, "a.json", Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
            Add(archive, "b.json", Osv.Document("TEST-2", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "7-1")).ToJsonString(), CompressionLevel.NoCompression);
        }

        var bytes = File.ReadAllBytes(path);
        bytes[bytes.AsSpan().IndexOf("7-1"u8)] = (byte)'1';
        File.WriteAllBytes(path, bytes);

        var result = OsvFeed.Import(path, _builder, progress: null, CancellationToken.None);
        Assert.Equal((1, 1), (result.Documents, result.SkippedDocuments));
        Assert.Equal(
            new OsvSkippedDocument("b.json", "CRC-32 of b.json does not match: the archive is damaged; download it again"),
            Assert.Single(result.Skipped));
    }

    [Theory]
    [InlineData(CompressionLevel.NoCompression)]
    [InlineData(CompressionLevel.Optimal)]
    public void No_inverted_byte_of_an_archive_changes_what_an_advisory_says(CompressionLevel level)
    {
        var path = _folder.File("feed.zip");
        var documents = new[] { "1-1", "2-1" }.Select((version, i) => Osv.Document($"TEST-{i}", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", version))).ToArray();
        using (var archive = ZipFile.Open(path, ZipArchiveMode.Create))
        {
            for (var i = 0; i < documents.Length; i++) Add(archive, $"{i}.json", documents[i].ToJsonString(), level);
        }

        // Of damaged documents none, one or both are left, never others.
        var possible = new[] { Advisories(documents), Advisories(documents[0]), Advisories(documents[1]) };
        var original = File.ReadAllBytes(path);
        var skipped = 0;
        var refused = 0;
        for (var i = 0; i < original.Length; i++)
        {
            var bytes = (byte[])original.Clone();
            bytes[i] ^= 0xff;
            File.WriteAllBytes(path, bytes);
            var builder = new AdvisoryDatabaseBuilder();
            try
            {
                skipped += OsvFeed.Import(path, builder, progress: null, CancellationToken.None).SkippedDocuments;
                Assert.Contains(AllOf(builder.Build()), possible);
            }
            catch (OsvFeedException)
            {
                refused++;
            }
        }

        Assert.True(skipped > documents.Length * 100 && refused > 0, $"{skipped} skipped, {refused} refused: the damage does not reach both");

        static string Advisories(params ReadOnlySpan<JsonObject> documents) => AllOf(Osv.Database(documents));

        static string AllOf(AdvisoryDatabase database) => string.Join(
            ' ', Match(database, AlmaLinux8, Rpm("p", "0-1")).Select(finding => $"{finding.Evidence}").Order(StringComparer.Ordinal));
    }

    // The content of this entry is at 3,000,039 to 3,001,331.
    [TestDataTheory]
    [InlineData(3_000_040)]
    [InlineData(3_000_500)]
    [InlineData(3_001_000)]
    [InlineData(3_001_330)]
    public void A_real_feed_with_one_inverted_byte_loses_that_document_and_names_it(int damaged)
    {
        var bytes = File.ReadAllBytes(ZipPath);
        bytes[damaged] ^= 0xff;
        var path = _folder.File("feed.zip");
        File.WriteAllBytes(path, bytes);
        var result = OsvFeed.Import(path, _builder, progress: null, CancellationToken.None);
        Assert.Equal(5679, result.Documents);
        var skipped = Assert.Single(result.Skipped);
        Assert.Equal("advisories/almalinux10/ALSA-2026:22649.json", skipped.Path);
        Assert.Contains("download it again", skipped.Reason);
        Assert.Equal(["AlmaLinux:8", "AlmaLinux:9", "AlmaLinux:10"], result.Ecosystems);
    }

    [Fact]
    public void A_cut_archive_or_a_broken_directory_of_one_is_an_error_with_the_remedy()
    {
        var path = _folder.File("feed.zip");
        using (var archive = ZipFile.Open(path, ZipArchiveMode.Create)) Add(archive, "a.json", "{}");
        var bytes = File.ReadAllBytes(path);
        var broken = (byte[])bytes.Clone();
        // The signature of the central directory's record, which is read later than the archive's end.
        broken[bytes.AsSpan().LastIndexOf("PK\x01\x02"u8)] = 0;
        foreach (var content in (byte[][])[bytes[..^30], broken])
        {
            File.WriteAllBytes(path, content);
            var error = Assert.Throws<OsvFeedException>(() => OsvFeed.Import(path, _builder, progress: null, CancellationToken.None));
            Assert.StartsWith($"{path}: is no zip archive or is cut: download it again", error.Message);
        }
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
        [
            (_folder.File("absent"), "no such file or folder; give a folder, a .zip or a .json file in OSV format"),
            (empty, "no OSV document in it; give a folder, a .zip or a .json file in OSV format"),
            (text, "is no zip archive or is cut: download it again"),
            (broken, "$.id is absent"),
        ])
        {
            var error = Assert.Throws<OsvFeedException>(() => OsvFeed.Import(path, _builder, progress: null, CancellationToken.None));
            Assert.StartsWith(path, error.Message);
            Assert.Contains(problem, error.Message);
        }
    }

    static void Add(ZipArchive archive, string name, string content, CompressionLevel level = CompressionLevel.Optimal)
    {
        using var writer = new StreamWriter(archive.CreateEntry(name, level).Open());
        writer.Write(content);
    }
}
