using System.Formats.Tar;
using System.IO.Compression;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class FeedImportTests : IDisposable
{
    const string Damaged = "the archive is damaged; download it again";

    readonly TemporaryFolder _folder = new();
    readonly AdvisoryDatabaseBuilder _builder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("zip")]
    [InlineData("tar")]
    [InlineData("tar.gz")]
    [InlineData("folder")]
    public void A_feed_is_read_from_whatever_it_is_packed_in(string packing)
    {
        var path = _folder.File($"alma.{packing}");
        (string Name, string Json)[] documents = [.. Enumerable.Range(0, 20).Select(i => ($"advisories/{i}.json", Document(i)))];
        var tar = Packed.Tar(TarEntryFormat.Pax, [.. documents.Select(document => (document.Name, Packed.Utf8(document.Json)))]);
        switch (packing)
        {
            case "folder":
                Directory.CreateDirectory(Path.Combine(path, "advisories"));
                foreach (var (name, json) in documents) File.WriteAllText(Path.Combine(path, name), json);
                break;
            case "zip":
                File.WriteAllBytes(path, Packed.Zip(documents));
                break;
            default:
                File.WriteAllBytes(path, packing is "tar" ? tar : Packed.Gzip(tar));
                break;
        }

        var source = Assert.Single(Import(path).Sources);
        Assert.Equal(("osv", 20, 20, ImportMode.Replace), (source.Source.Format, source.Source.Documents, source.Added, source.Mode));
        Assert.Equal((path, 20), (source.Source.Uri, _builder.Build().AdvisoryCount));
    }

    [Fact]
    public void A_feed_that_lost_documents_to_damage_is_refused_and_one_that_only_shrank_a_little_is_not()
    {
        var folder = _folder.File("alma");
        Directory.CreateDirectory(folder);
        for (var i = 0; i < 20; i++) File.WriteAllText(Path.Combine(folder, $"{i}.json"), Document(i));
        Import(folder);

        File.WriteAllText(Path.Combine(folder, "3.json"), Document(3)[..40]);
        var error = Assert.Throws<FeedException>(() => Import(folder));
        Assert.Contains("would have 19 documents and has 20 now, and 1 could not be read", error.Message, StringComparison.Ordinal);
        Assert.Contains("--allow-shrink", error.Message, StringComparison.Ordinal);
        Assert.Equal(20, _builder.Build().AdvisoryCount);
        Assert.Equal(19, Import(folder, options => options with { AllowShrink = true }).Sources[0].Source.Documents);

        // What could never be read is no loss.
        Assert.Equal(19, Import(folder).Sources[0].Source.Documents);
        File.Delete(Path.Combine(folder, "3.json"));
        File.Delete(Path.Combine(folder, "4.json"));
        Assert.Equal(18, Import(folder).Sources[0].Source.Documents);
    }

    [Fact]
    public async Task A_pipe_in_a_folder_is_named_and_not_waited_for()
    {
        var folder = _folder.File("feed");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "1.json"), Document(1));
        var pipe = Path.Combine(folder, "2.json");
        using (var process = System.Diagnostics.Process.Start("mkfifo", [pipe])) await process.WaitForExitAsync();

        var result = Import(folder);
        Assert.Equal(new SkippedPart(pipe, "", "is no regular file"), Assert.Single(result.SkippedParts));
        Assert.Equal(1, result.Sources[0].Source.Documents);
    }

    [TestDataTheory]
    [InlineData("osv/almalinux-osv-database.zip", "osv/almalinux-osv-database", 5680)]
    [InlineData("kev/known_exploited_vulnerabilities.json", "kev", 1404)]
    [InlineData("vex/legacy/csaf_vex_2023-10-31.tar.zst", "redhat-vex", 5)]
    [InlineData("vex/new-feed/2024", "redhat-vex-feed", 2)]
    [InlineData("csaf/osv-schema/CSAF", "csaf/www.redhat.com", 5)]
    public void A_vendors_feed_becomes_the_source_of_its_name(string path, string name, int documents)
    {
        var result = Import(Repository.TestDataPath(path));
        Assert.Empty(result.SkippedParts);
        var source = Assert.Single(result.Sources);
        Assert.Empty(source.SkippedParts);
        // OSV's documents about bug fixes are read and left out.
        Assert.Equal(
            (name, documents),
            (source.Source.Name, source.Added + (source.Source.Format is FeedName.Osv ? source.LeftOut.Values.Sum() : 0)));
    }

    [TestDataTheory]
    [InlineData(null, "redhat-vex")]
    [InlineData("mine", "mine")]
    public void A_deleted_document_that_names_no_publisher_belongs_to_those_around_it(string? source, string expected)
    {
        var result = Import(Repository.TestDataPath("vex/legacy"), options => options with { Source = source });
        // The archive and seven documents, of which two have another's id; then the two deleted ones. Others are reports of packages.
        Assert.Equal((expected, "redhat-vex"), (Assert.Single(result.Sources).Source.Name, result.Sources[0].Source.Format));
        Assert.Equal((12, 2, 4), (result.Sources[0].Added, result.Sources[0].Withdrawn, result.Skipped));
    }

    [Fact]
    public void A_folder_of_many_feeds_gives_each_its_source()
    {
        Write("alma/1.json", Document(1));
        Write("epss_scores-2024-10-25.csv", "cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n");
        Write("kev.json", Kev("CVE-2024-0001"));
        Write(
            "tracker",
            """{"openssl": {"CVE-2014-0160": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "1.0.1g-1", "urgency": "high"}}}}}""");
        Write(
            "main.json",
            """{"reponame": "main", "distroversion": "v3.19", "packages": [{"pkg": {"name": "openssl", "secfixes": {"3.1.4-r1": ["CVE-2023-5363"]}}}]}""");
        Write("README.md", "# not looked at");
        Write(".git/config", "[core]");
        Write("repo.json", """{"data": {"rhel-9-baseos-rpms": {"cpes": ["cpe:/o:redhat:enterprise_linux:9::baseos"]}}}""");
        var result = Import(_folder.Path);
        Assert.Equal(
            ["alpine-secdb/v3.19/main", "debian-tracker", "epss", "kev", $"osv/{Path.GetFileName(_folder.Path).ToLowerInvariant()}"],
            result.Sources.Select(source => source.Source.Name).Order(StringComparer.Ordinal));
        Assert.Contains("repository-to-cpe.json", Assert.Single(result.SkippedParts).Reason);
        Assert.Equal(["file of another kind", "hidden file or folder"], result.LeftOut.Keys);
    }

    [Fact]
    public void A_byte_order_mark_before_a_document_is_no_part_of_it()
    {
        Write("1.json", $"\uFEFF{Document(1)}");
        Write("kev.json", $"\uFEFF{Kev("CVE-2024-0001")}");
        Assert.Equal([1, 1], Import(_folder.Path).Sources.Select(source => source.Added));
    }

    [Fact]
    public void A_file_of_decisions_replaces_what_it_said_before_and_has_the_scope_that_is_given()
    {
        Write("ops.openvex.json", Vex("CVE-2024-0001", "CVE-2024-0002"));
        Import(_folder.File("ops.openvex.json"));
        Assert.Equal(2, _builder.Source("vex/ops")!.Documents);
        Write("ops.openvex.json", Vex("CVE-2024-0001"));
        Import(_folder.File("ops.openvex.json"), options => options with { Decisions = new DecisionDefaults { Scope = ["prod/*"] } });
        Assert.Equal(["prod/*"], Assert.Single(_builder.Build().Decisions).Scope);

        static string Vex(params ReadOnlySpan<string> cves) => new JsonObject
        {
            ["@context"] = "https://openvex.dev/ns/v0.2.0",
            ["@id"] = "https://ops.example/vex/1",
            ["author"] = "ops",
            ["timestamp"] = "2024-01-01T00:00:00Z",
            ["version"] = 1,
            ["statements"] = new JsonArray([.. cves.ToArray().Select(cve => new JsonObject
            {
                ["vulnerability"] = new JsonObject { ["name"] = cve },
                ["products"] = new JsonArray(new JsonObject { ["@id"] = "pkg:rpm/almalinux/p" }),
                ["status"] = "not_affected",
                ["justification"] = "vulnerable_code_not_present",
            })]),
        }.ToJsonString();
    }

    [Fact]
    public void A_whole_feed_replaces_its_source_and_a_single_document_is_added()
    {
        WriteZip("alma.zip", 1, 2, 3);
        Import(_folder.File("alma.zip"));
        WriteZip("alma.zip", 2, 3, 4);
        Import(_folder.File("alma.zip"));
        Assert.Equal(3, _builder.Source("osv/alma")!.Documents);
        File.WriteAllText(_folder.File("one.json"), Document(7));
        var added = Import(_folder.File("one.json"), options => options with { Source = "osv/alma" });
        Assert.Equal((4, 3, ImportMode.Add), (added.Sources[0].Source.Documents, added.Sources[0].DocumentsBefore, added.Sources[0].Mode));
        WriteZip("alma.zip", 8);
        Import(_folder.File("alma.zip"), options => options with { Add = true });
        Assert.Equal(5, _builder.Source("osv/alma")!.Documents);
    }

    [Fact]
    public void A_feed_that_shrinks_by_half_is_refused_with_both_numbers_and_the_remedy()
    {
        WriteZip("alma.zip", 1, 2, 3, 4, 5, 6);
        Import(_folder.File("alma.zip"));
        var before = _builder.Build().Revision;
        WriteZip("alma.zip", 1, 2, 3);
        var error = Assert.Throws<FeedException>(() => Import(_folder.File("alma.zip")));
        Assert.Contains("would have 3 documents and has 6 now", error.Message);
        Assert.Contains("--allow-shrink", error.Message);
        Assert.Equal(before, _builder.Build().Revision);
        Import(_folder.File("alma.zip"), options => options with { AllowShrink = true });
        Assert.Equal(3, _builder.Source("osv/alma")!.Documents);
        WriteZip("alma.zip", 1, 2);
        Assert.Equal(2, Import(_folder.File("alma.zip")).Sources[0].Source.Documents);
    }

    [Fact]
    public void When_one_source_of_a_folder_shrinks_no_source_changes()
    {
        Write("kev.json", Kev("CVE-2024-0001", "CVE-2024-0002"));
        Write("e.csv", "cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n");
        Import(_folder.Path);
        var before = _builder.Build().Revision;
        Write("kev.json", Kev("CVE-2024-0001"));
        Write("e.csv", "cve,epss,percentile\nCVE-2024-0001,0.7,0.8\nCVE-2024-0002,0.5,0.6\n");
        Assert.Throws<FeedException>(() => Import(_folder.Path));
        Assert.Equal((before, 1), (_builder.Build().Revision, _builder.Source("epss")!.Documents));
    }

    [Fact]
    public void An_interrupted_import_leaves_everything_as_it_was()
    {
        WriteZip("alma.zip", 1, 2);
        Import(_folder.File("alma.zip"));
        WriteZip("alma.zip", 1, 2, 3);
        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();
        Assert.Throws<OperationCanceledException>(() => FeedImport.Run(
            new FeedImportOptions { Path = _folder.File("alma.zip") }, _builder, TimeProvider.System, progress: null, cancellation.Token));
        Assert.Equal(2, _builder.Source("osv/alma")!.Documents);
    }

    [Fact]
    public void Documents_that_their_provider_deleted_are_left_out_of_folder_and_archive_and_taken_back()
    {
        Write("2024/cve-2024-0001.json", Vex("CVE-2024-0001"));
        Write("2024/cve-2024-0002.json", Vex("CVE-2024-0002"));
        Write("2024/cve-2024-0003.json", Vex("CVE-2024-0003"));
        File.WriteAllBytes(
            _folder.File("csaf_vex_2024-01-01.tar"),
            Packed.Tar(
                TarEntryFormat.Ustar,
                ("2024/cve-2024-0002.json", Packed.Utf8(Vex("CVE-2024-0002"))), ("2024/cve-2024-0004.json", Packed.Utf8(Vex("CVE-2024-0004")))));
        Import(_folder.Path);
        Assert.Equal(4, _builder.Source("redhat-vex")!.Documents);

        Write("changes.csv", "\"2024/cve-2024-0003.json\",\"2024-03-02T00:00:00Z\"\n");
        Write(
            "deletions.csv",
            "\"2024/cve-2024-0002.json\",\"2024-03-01T00:00:00Z\"\n\"2024/cve-2024-0003.json\",\"2024-03-01T00:00:00Z\"\n"
            + "\"../../etc/passwd.json\",\"2024-03-01T00:00:00Z\"\n");
        var result = Import(_folder.Path);
        Assert.Equal(3, _builder.Source("redhat-vex")!.Documents);
        Assert.Equal(2, result.LeftOut["deleted by its provider"]);
        Assert.Contains("line 3", Assert.Single(result.SkippedParts).Reason);

        // Added to what is there it is taken back as well.
        var other = new AdvisoryDatabaseBuilder();
        Run(other, new FeedImportOptions { Path = _folder.File("csaf_vex_2024-01-01.tar") });
        Run(other, new FeedImportOptions { Path = _folder.Path, Add = true });
        Assert.Equal(_builder.Build().Revision, other.Build().Revision);
    }

    [Fact]
    public void A_sources_format_does_not_change()
    {
        WriteZip("alma.zip", 1);
        Import(_folder.File("alma.zip"));
        Write("kev.json", Kev("CVE-2024-0001"));
        var error = Assert.Throws<FeedException>(() => Import(_folder.File("kev.json"), options => options with { Source = "osv/alma" }));
        Assert.Contains("the source osv/alma holds osv", error.Message);
    }

    [Fact]
    public void An_updateinfo_needs_a_product()
    {
        Write("updateinfo.xml", "<updates></updates>");
        var error = Assert.Throws<FeedException>(() => Import(_folder.File("updateinfo.xml")));
        Assert.Contains("--product", error.Message);
    }

    [Fact]
    public void A_zip_entry_whose_content_was_changed_is_skipped_and_named()
    {
        var bytes = Packed.Zip(CompressionLevel.NoCompression, ("a.json", Document(1)), ("b.json", Document(2)));
        bytes[bytes.AsSpan().LastIndexOf("2-1"u8)] = (byte)'1';
        File.WriteAllBytes(_folder.File("feed.zip"), bytes);
        var result = Import(_folder.File("feed.zip"));
        Assert.Equal((1, 1), (result.Sources[0].Added, result.Skipped));
        Assert.Equal(new SkippedPart("b.json", "", $"CRC-32 of b.json does not match: {Damaged}"), Assert.Single(result.SkippedParts));
    }

    [Theory]
    [InlineData(CompressionLevel.NoCompression)]
    [InlineData(CompressionLevel.Optimal)]
    public void No_inverted_byte_of_a_zip_changes_what_an_advisory_says(CompressionLevel level)
    {
        string[] documents = [Document(1), Document(2)];
        var original = Packed.Zip(level, ("1.json", documents[0]), ("2.json", documents[1]));
        // Of damaged documents none, one or both are left, never others.
        var path = _folder.File("feed.zip");
        string[] possible = [Revision(documents), Revision(documents[0]), Revision(documents[1])];
        var (skipped, refused) = (0, 0);
        for (var i = 0; i < original.Length; i++)
        {
            var bytes = (byte[])original.Clone();
            bytes[i] ^= 0xff;
            File.WriteAllBytes(path, bytes);
            var builder = new AdvisoryDatabaseBuilder();
            try
            {
                skipped += Run(builder, new FeedImportOptions { Path = path }).Skipped;
                Assert.Contains(builder.Build().Revision, possible);
            }
            catch (FeedException)
            {
                refused++;
            }
        }

        Assert.True(skipped > documents.Length * 100 && refused > 0, $"{skipped} skipped, {refused} refused: the damage does not reach both");

        string Revision(params ReadOnlySpan<string> of)
        {
            var builder = new AdvisoryDatabaseBuilder();
            File.WriteAllBytes(path, Packed.Zip([.. of.ToArray().Select((json, i) => ($"{i}.json", json))]));
            Run(builder, new FeedImportOptions { Path = path });
            return builder.Build().Revision;
        }
    }

    // The content of this entry is at 3,000,039 to 3,001,331.
    [TestDataTheory]
    [InlineData(3_000_040)]
    [InlineData(3_001_000)]
    public void A_real_feed_with_one_inverted_byte_loses_that_document_and_names_it(int damaged)
    {
        var bytes = File.ReadAllBytes(Repository.TestDataPath("osv/almalinux-osv-database.zip"));
        bytes[damaged] ^= 0xff;
        File.WriteAllBytes(_folder.File("feed.zip"), bytes);
        var result = Import(_folder.File("feed.zip"));
        Assert.Equal(5679, result.Sources[0].Added + result.Sources[0].LeftOut.Values.Sum());
        var skipped = Assert.Single(result.SkippedParts);
        Assert.Equal("advisories/almalinux10/ALSA-2026:22649.json", skipped.Document);
        Assert.Contains("download it again", skipped.Reason);
    }

    [Fact]
    public void A_cut_zip_or_a_broken_directory_of_one_is_an_error_with_the_remedy()
    {
        var path = _folder.File("feed.zip");
        var bytes = Packed.Zip(("a.json", Document(1)));
        var broken = (byte[])bytes.Clone();
        // The signature of the central directory's record, which is read later than the archive's end.
        broken[bytes.AsSpan().LastIndexOf("PK\x01\x02"u8)] = 0;
        foreach (var content in (byte[][])[bytes[..^30], broken])
        {
            File.WriteAllBytes(path, content);
            Assert.StartsWith($"{path}: is no zip archive or is cut: download it again", Assert.Throws<FeedException>(() => Import(path)).Message);
        }
    }

    [Fact]
    public void A_zip_entry_with_a_false_size_is_skipped_and_named()
    {
        var bytes = Packed.Zip(("a.json", Document(1)), ("lies.json", Document(2)), ("readme.txt", "not looked at"));
        // The central directory's record (APPNOTE 4.3.12): signature, … uncompressed size at 24, name at 46.
        bytes[bytes.AsSpan().LastIndexOf("lies.json"u8) - 46 + 24] ^= 0x40;
        File.WriteAllBytes(_folder.File("feed.zip"), bytes);
        var result = Import(_folder.File("feed.zip"));
        Assert.Equal((1, "lies.json"), (result.Sources[0].Added, Assert.Single(result.SkippedParts).Document));
    }

    [Fact]
    public void A_cut_or_damaged_archive_is_refused_and_the_old_content_stays()
    {
        var tar = Packed.Tar(TarEntryFormat.Pax, [.. Enumerable.Range(0, 10).Select(i => ($"{i}.json", Packed.Utf8(Document(i))))]);
        File.WriteAllBytes(_folder.File("alma.tar"), tar);
        Import(_folder.File("alma.tar"));
        var before = _builder.Build().Revision;
        var gzip = Packed.Gzip(tar);
        var flipped = (byte[])gzip.Clone();
        flipped[^6] ^= 1;
        foreach (var damaged in (byte[][])[gzip[..^1], gzip[..(gzip.Length / 2)], flipped, tar[..(tar.Length / 2)]])
        {
            File.WriteAllBytes(_folder.File("alma.tar"), damaged);
            Assert.StartsWith(_folder.File("alma.tar"), Assert.Throws<FeedException>(() => Import(_folder.File("alma.tar"))).Message);
            // Also where it is one file of many.
            Assert.Throws<FeedException>(() => Import(_folder.Path));
            Assert.Equal(before, _builder.Build().Revision);
        }
    }

    [Fact]
    public void A_whole_feed_that_is_cut_is_refused_also_when_its_reader_takes_the_rest_for_the_end()
    {
        Write("epss.csv", "cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n");
        Import(_folder.File("epss.csv"));
        var csv = Packed.Gzip(Packed.Utf8($"cve,epss,percentile\n{string.Concat(Enumerable.Range(1000, 5000).Select(i => $"CVE-2024-{i},0.5,0.6\n"))}"));
        File.WriteAllBytes(_folder.File("epss.csv.gz"), csv[..(csv.Length / 2)]);
        Assert.Throws<FeedException>(() => Import(_folder.File("epss.csv.gz")));
        Assert.Equal(1, _builder.Source("epss")!.Documents);
        File.WriteAllBytes(_folder.File("epss.csv.gz"), csv);
        Assert.Equal(5000, Import(_folder.File("epss.csv.gz")).Sources[0].Source.Documents);
    }

    [Fact]
    public void A_zip_entry_that_declares_more_than_the_limit_is_not_read()
    {
        var path = _folder.File("feed.zip");
        var limits = new FeedLimits { DocumentBytes = 1 << 20 };
        File.WriteAllBytes(
            path,
            Packed.Zip(("a.json", Document(1)), ("bomb.json", $$"""{"id": "X", "modified": "{{new string(' ', 2 << 20)}}"}""")));
        var result = Import(path, options => options with { Limits = limits });
        Assert.Equal(1, result.Sources[0].Added);
        Assert.Equal(new SkippedPart("bomb.json", "", "2097179 bytes or more, limit 1048576"), Assert.Single(result.SkippedParts));
    }

    [Theory]
    [InlineData("alma.tar.gz")]
    [InlineData("alma.zip")]
    [InlineData("alma.json.gz")]
    public void A_decompression_bomb_is_refused_and_the_old_content_stays(string name)
    {
        WriteZip("alma.zip", 1, 2);
        Import(_folder.File("alma.zip"));
        var zeros = new byte[8 << 20];
        var bomb = Packed.Tar(TarEntryFormat.Pax, ("a.json", Packed.Utf8(Document(1))), ("b.json", zeros));
        File.WriteAllBytes(_folder.File(name), name switch
        {
            "alma.zip" => Packed.Zip(("a.json", Document(1)), ("b.json", new string('\0', zeros.Length))),
            "alma.tar.gz" => Packed.Gzip(bomb),
            _ => Packed.Gzip([.. "{\"id\": \""u8, .. zeros]),
        });
        var limits = new FeedLimits { Ratio = 100, RatioFreeBytes = 1 << 20 };
        var error = Assert.Throws<FeedException>(() => Import(_folder.File(name), options => options with { Limits = limits }));
        Assert.Contains("decompression bomb", error.Message);
        Assert.Contains("limit", Assert.Throws<FeedException>(
            () => Import(_folder.File(name), options => options with { Limits = new FeedLimits { ArchiveBytes = 1 << 20 } })).Message);
        Assert.Equal(2, _builder.Source("osv/alma")!.Documents);
    }

    [Fact]
    public void Compressed_documents_in_an_archive_are_read_and_archives_in_archives_named()
    {
        File.WriteAllBytes(
            _folder.File("mirror.tar"),
            Packed.Tar(
                TarEntryFormat.Pax,
                ("e.csv.gz", Packed.Gzip("cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n"u8.ToArray())),
                ("inner.zip", Packed.Zip(("a.json", Document(1)))),
                ("inner.tar", Packed.Tar(TarEntryFormat.Pax, ("a.json", Packed.Utf8(Document(1))))),
                ("cut.json.gz", Packed.Gzip(Packed.Utf8(Document(1)))[..50])));
        var result = Import(_folder.File("mirror.tar"));
        Assert.Equal("epss", Assert.Single(result.Sources).Source.Name);
        Assert.Equal(["inner.zip", "inner.tar", "cut.json.gz"], result.SkippedParts.Select(part => part.Document));
    }

    [Fact]
    public void What_cannot_be_imported_at_all_is_an_error_that_names_it()
    {
        var empty = Directory.CreateDirectory(_folder.File("empty")).FullName;
        Write("text.zip", "no archive");
        Write("broken.json", "{}");
        Write("cpe.json", """{"data": {"r": {"cpes": []}}}""");
        foreach (var (path, problem) in ((string, string)[])
        [
            (_folder.File("absent"), "no such file or folder"),
            (empty, "no document of a known format in it"),
            (_folder.File("text.zip"), "it begins with 'no archive'"),
            (_folder.File("broken.json"), "an empty JSON object"),
            (_folder.File("cpe.json"), "--repo-cpe-path"),
        ])
        {
            var error = Assert.Throws<FeedException>(() => Import(path));
            Assert.StartsWith(path, error.Message);
            Assert.Contains(problem, error.Message);
        }
    }

    [Fact]
    public void A_link_to_a_folder_is_named_and_not_followed()
    {
        Write("1.json", Document(1));
        Directory.CreateSymbolicLink(_folder.File("loop"), _folder.Path);
        var result = Import(_folder.Path);
        Assert.Equal(1, result.Sources[0].Added);
        Assert.Contains("not followed", Assert.Single(result.SkippedParts).Reason);
    }

    [Fact]
    public void Progress_tells_bytes_rate_and_what_remains()
    {
        var progress = new FeedProgress("x", 1_000_000, 4_000_000, 10, TimeSpan.FromSeconds(2));
        Assert.Equal((500_000, TimeSpan.FromSeconds(6)), (progress.BytesPerSecond, progress.Remaining));
        Assert.Null((progress with { TotalBytes = null }).Remaining);

        WriteZip("alma.zip", [.. Enumerable.Range(0, 50)]);
        var told = new Told(new ManualTimeProvider());
        FeedImport.Run(new FeedImportOptions { Path = _folder.File("alma.zip") }, _builder, told.Time, told, CancellationToken.None);
        Assert.True(told.Reports.Count > 50, $"{told.Reports.Count} reports");
        Assert.Equal(new FileInfo(_folder.File("alma.zip")).Length, told.Reports[^1].TotalBytes);
        Assert.InRange(told.Reports[^1].Bytes, 1, told.Reports[^1].TotalBytes!.Value);
        Assert.InRange(told.Reports[^1].Documents, 45, 50);
    }

    FeedImportResult Import(string path, Func<FeedImportOptions, FeedImportOptions>? change = null)
    {
        var options = new FeedImportOptions { Path = path };
        return Run(_builder, change?.Invoke(options) ?? options);
    }

    static FeedImportResult Run(AdvisoryDatabaseBuilder builder, FeedImportOptions options) =>
        FeedImport.Run(options, builder, TimeProvider.System, progress: null, CancellationToken.None);

    void Write(string name, string content)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder.File(name))!);
        File.WriteAllText(_folder.File(name), content);
    }

    void WriteZip(string name, params ReadOnlySpan<int> documents)
    {
        var members = documents.ToArray().Select(i => ($"{i}.json", Document(i))).ToArray();
        File.WriteAllBytes(_folder.File(name), Packed.Zip(members));
    }

    static string Document(int number) =>
        Osv.Document($"TEST-{number}", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", $"{number}-1")).ToJsonString();

    static string Kev(params ReadOnlySpan<string> cves) => new JsonObject
    {
        ["title"] = "CISA Catalog of Known Exploited Vulnerabilities",
        ["catalogVersion"] = "2024.01.01",
        ["dateReleased"] = "2024-01-01T00:00:00Z",
        ["count"] = cves.Length,
        ["vulnerabilities"] = new JsonArray([.. cves.ToArray().Select(cve => new JsonObject
        {
            ["cveID"] = cve,
            ["dateAdded"] = "2024-01-01",
            ["dueDate"] = "2024-01-22",
            ["requiredAction"] = "Apply updates.",
            ["knownRansomwareCampaignUse"] = "Unknown",
        })]),
    }.ToJsonString();

    static string Vex(string cve) => MadeCsaf.Vex(cve, "2024-02-01T00:00:00Z");

    /// <summary>Lets a second pass with every report, so that each is told.</summary>
    sealed class Told(ManualTimeProvider inner) : IProgress<FeedProgress>
    {
        public List<FeedProgress> Reports { get; } = [];

        public TimeProvider Time { get; } = new Hurrying(inner);

        public void Report(FeedProgress value) => Reports.Add(value);

        sealed class Hurrying(ManualTimeProvider inner) : TimeProvider
        {
            public override long TimestampFrequency => inner.TimestampFrequency;

            public override DateTimeOffset GetUtcNow() => inner.GetUtcNow();

            public override long GetTimestamp()
            {
                inner.Advance(TimeSpan.FromSeconds(1));
                return inner.GetTimestamp();
            }
        }
    }
}
