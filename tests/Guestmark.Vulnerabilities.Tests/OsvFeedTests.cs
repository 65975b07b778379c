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
        Assert.Equal(["Debian:3.0", "Debian:4.0", "Debian:6.0"], database.Products);
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

    [Theory]
    [InlineData("affected", "{}", "affected is an object, not an array")]
    [InlineData("affected", "5", "affected is a number, not an array")]
    [InlineData("affected", "null", "affected is null, not an array")]
    [InlineData("affected", "[null]", "an item of affected is null, not an object")]
    [InlineData("affected", """[{"package": null}]""", "affected.package is null, not an object")]
    [InlineData("affected", """[{"package": "p"}]""", "affected.package is a string, not an object")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": 5}}]""", "affected.package.name is a number, not a string")]
    [InlineData("affected", """[{"package": {"ecosystem": [], "name": "p"}}]""", "affected.package.ecosystem is an array, not a string")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": null}]""", "affected.ranges is null, not an array")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [[]]}]""", "an item of affected.ranges is an array, not an object")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{}]}]""", "affected.ranges has no type")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM"}]}]""", "affected.ranges has no events")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": {}}]}]""", "affected.ranges.events is an object, not an array")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": 0}]}]}]""", "events.introduced is a number, not a string")]
    [InlineData("affected", """[{"package": {"ecosystem": "AlmaLinux:8", "name": "p"}, "versions": "1-1"}]""", "affected.versions is a string, not an array")]
    [InlineData("withdrawn", "false", "withdrawn is true or false, not a string")]
    [InlineData("modified", "5", "modified is a number, not a string")]
    [InlineData("related", "\"CVE-2024-0001\"", "related is a string, not an array")]
    [InlineData("aliases", "[null]", "aliases is null, not a string")]
    [InlineData("severity", "{}", "severity is an object, not an array")]
    [InlineData("references", "[5]", "an item of references is a number, not an object")]
    [InlineData("summary", "[]", "summary is an array, not a string")]
    public void A_document_with_a_field_of_a_wrong_type_is_skipped_and_names_it(string field, string json, string reason)
    {
        File.WriteAllText(_folder.File("good.json"), Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
        File.WriteAllText(
            _folder.File("wrong.json"),
            Osv.Document("TEST-2", "AlmaLinux:8", "p", ("introduced", "0")).With(field, JsonNode.Parse(json)).ToJsonString());

        var result = OsvFeed.Import(_folder.Path, _builder, progress: null, CancellationToken.None);
        Assert.Equal(1, result.Advisories);
        Assert.Equal(new OsvSkippedDocument(_folder.File("wrong.json"), reason), Assert.Single(result.Skipped));

        // Alone it is no success.
        var error = Assert.Throws<OsvFeedException>(
            () => OsvFeed.Import(_folder.File("wrong.json"), new AdvisoryDatabaseBuilder(), progress: null, CancellationToken.None));
        Assert.Contains(reason, error.Message);
    }

    [Fact]
    public void Null_stands_for_an_absent_description_and_a_withdrawal_needs_no_packages()
    {
        var document = Osv.Document("CVE-2024-0009", "AlmaLinux:8", "p", ("introduced", "0"));
        foreach (var field in (string[])["aliases", "related", "severity", "references", "summary", "published", "withdrawn"]) document[field] = null;
        Assert.Equal(["CVE-2024-0009"], Assert.Single(Match(Osv.Database(document), AlmaLinux8, Rpm("p", "1-1"))).Cves);

        var withdrawn = Osv.Document("CVE-2024-0009", "AlmaLinux:8", "p").With("withdrawn", "2024-02-01T00:00:00Z").With("affected", null);
        Assert.Equal(0, Osv.Database(document, withdrawn).AdvisoryCount);
    }

    [Fact]
    public void Documents_without_an_advisory_are_no_error_and_the_result_says_why()
    {
        File.WriteAllText(_folder.File("1.json"), Osv.Document("TEST-1", "Alpine:v3.18", "p", ("introduced", "0")).ToJsonString());
        Assert.Equal("of 1 documents: 1 that name no package of a supported ecosystem (but Alpine:v3.18)", WhyNoAdvisory());
        File.WriteAllText(_folder.File("2.json"), Osv.Document("TEST-2", "AlmaLinux:8", "p").With("withdrawn", "2024-02-01T00:00:00Z").ToJsonString());
        File.WriteAllText(_folder.File("3.json"), Osv.Document("ALBA-2024:1", "AlmaLinux:8", "p").With("related", new JsonArray()).ToJsonString());
        Assert.Equal(
            "of 3 documents: 1 withdrawn, 1 about bug fixes or enhancements only, 1 that name no package of a supported ecosystem (but Alpine:v3.18)",
            WhyNoAdvisory());
        File.WriteAllText(_folder.File("4.json"), Osv.Document("TEST-4", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString());
        Assert.Null(WhyNoAdvisory());

        string? WhyNoAdvisory() => OsvFeed.Import(_folder.Path, _builder, progress: null, CancellationToken.None).WhyNoAdvisory;
    }

    [Fact]
    public void Ecosystems_that_came_in_are_named_in_order_and_at_most_a_hundred()
    {
        string[] ecosystems = ["Debian:12", "AlmaLinux:9", "AlmaLinux:10", "AlmaLinux:8", "AlmaLinux:8", "Wolfi"];
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
            (broken, "it has no id"),
        ])
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
                Databases.Of(document.Advisory);
                read++;
            }
            catch (OsvDocumentException)
            {
                refused++;
            }
        }

        Assert.True(read > 1000 && refused > 1000, $"{read} read, {refused} refused: the mutations do not reach both");
    }

    static void Add(ZipArchive archive, string name, string content, CompressionLevel level = CompressionLevel.Optimal)
    {
        using var writer = new StreamWriter(archive.CreateEntry(name, level).Open());
        writer.Write(content);
    }
}
