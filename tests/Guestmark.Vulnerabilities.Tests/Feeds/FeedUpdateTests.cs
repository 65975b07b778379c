using System.Formats.Tar;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Http;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class FeedUpdateTests : IAsyncLifetime
{
    static readonly TimeSpan Never = TimeSpan.FromMinutes(59);

    readonly TemporaryFolder _folder = new();
    readonly AdvisoryDatabaseBuilder _builder = new();
    readonly ImpatientTimeProvider _time = new(Never);
    FeedServer _server = null!;

    public async Task InitializeAsync() => _server = await FeedServer.StartAsync();

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_file_that_has_not_changed_costs_one_request()
    {
        _server.Put("epss.csv.gz", Packed.Gzip("cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n"u8.ToArray()));
        var source = File("epss", "epss.csv.gz");
        Assert.Equal(1, (await Updated(source)).Sources[0].Source.Documents);
        Assert.Equal(["epss.csv.gz 200"], _server.TakeAnswers());
        Assert.True((await Update(source)).IsUnchanged);
        Assert.Equal(["epss.csv.gz 304"], _server.TakeAnswers());
        _server.Put("epss.csv.gz", Packed.Gzip("cve,epss,percentile\nCVE-2024-0001,0.5,0.6\nCVE-2024-0002,0.5,0.6\n"u8.ToArray()));
        Assert.Equal(2, (await Updated(source)).Sources[0].Source.Documents);
        // Nothing of what was fetched stays on disk.
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public async Task A_url_that_is_named_is_imported_whatever_was_fetched_before()
    {
        _server.Put("almalinux/all.zip", Packed.Zip(("1.json", Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString())));
        using var update = new FeedUpdate(Options(), _time);
        for (var i = 0; i < 2; i++)
        {
            var url = new Uri(_server.Address, "almalinux/all.zip");
            var result = await update.ImportAsync(url, new FeedImportOptions { Path = "" }, _builder, progress: null, CancellationToken.None);
            Assert.Equal(("osv/almalinux", url.ToString()), (result.Import!.Sources[0].Source.Name, result.Import.Sources[0].Source.Uri));
        }

        Assert.Equal(["almalinux/all.zip 200", "almalinux/all.zip 200"], _server.TakeAnswers());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_url_without_a_name_goes_on_with_what_was_fetched_from_there_before(bool named)
    {
        var url = new Uri(_server.Address, "almalinux/all.zip");
        Put(1);
        if (named)
        {
            using var update = new FeedUpdate(Options(), _time);
            await update.ImportAsync(url, new FeedImportOptions { Path = "", Source = "mine" }, _builder, progress: null, CancellationToken.None);
        }
        else
        {
            await Updated(FeedSource.OfUrl(url));
        }

        Assert.True((await Update(FeedSource.OfUrl(url))).IsUnchanged);
        Assert.Equal(["almalinux/all.zip 200", "almalinux/all.zip 304"], _server.TakeAnswers());
        Put(2);
        var source = Assert.Single((await Updated(FeedSource.OfUrl(url))).Sources).Source;
        Assert.Equal((named ? "mine" : "osv/almalinux", 2), (source.Name, source.Documents));
        Assert.Single(_builder.Sources);

        void Put(int documents) => _server.Put("almalinux/all.zip", Packed.Zip([.. Enumerable.Range(0, documents).Select(i =>
            ($"{i}.json", Osv.Document($"TEST-{i}", "AlmaLinux:8", "p", ("introduced", "0")).ToJsonString()))]));
    }

    [Fact]
    public async Task The_url_of_a_folder_of_documents_without_a_name_costs_two_requests_the_second_time()
    {
        Documents(("CVE-2024-0001", "2024-02-01"));
        Deletions();
        var folder = FeedSource.OfUrl(new Uri(_server.Address, "vex/"));
        Assert.Equal("redhat-vex", Assert.Single((await Updated(folder)).Sources).Source.Name);
        _server.TakeAnswers();
        Assert.True((await Update(folder)).IsUnchanged);
        Assert.Equal(["vex/changes.csv 304", "vex/deletions.csv 304"], _server.TakeAnswers());
        Documents(("CVE-2024-0001", "2024-02-01"), ("CVE-2024-0002", "2024-02-02"));
        await Updated(folder);
        Assert.Equal(2, Assert.Single(_builder.Sources).Documents);
    }

    [Fact]
    public async Task A_feed_without_times_is_as_old_as_its_server_says()
    {
        const string tracker = """{"curl": {"CVE-2024-0001": {"releases": {"bookworm": {"status": "open", "urgency": "low"}}}}}""";
        _server.Mishaps.Enqueue(("tracker", async context =>
        {
            context.Response.Headers.LastModified = "Fri, 25 Oct 2024 10:00:00 GMT";
            await context.Response.Body.WriteAsync(Packed.Utf8(tracker));
        }
        ));
        await Updated(File("debian-tracker", "tracker"));
        Assert.Equal(new DateTimeOffset(2024, 10, 25, 10, 0, 0, TimeSpan.Zero), _builder.Source("debian-tracker")!.Newest);
        _server.Put("tracker", tracker);
        using var update = new FeedUpdate(Options() with { Full = true }, _time);
        await update.RunAsync(File("debian-tracker", "tracker"), _builder, progress: null, CancellationToken.None);
        Assert.Null(_builder.Source("debian-tracker")!.Newest);
    }

    [Fact]
    public async Task Another_url_of_the_same_source_is_fetched_whatever_the_first_had()
    {
        foreach (var name in (string[])["a.csv", "b.csv"]) _server.Put(name, "cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n");
        await Updated(File("epss", "a.csv"));
        await Updated(File("epss", "b.csv"));
        Assert.Equal(["a.csv 200", "b.csv 200"], _server.TakeAnswers());
    }

    [Fact]
    public async Task A_server_that_is_busy_is_asked_again_when_it_says()
    {
        _server.Put("kev.csv", "cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n");
        _server.Mishaps.Enqueue(("kev.csv", Status(429, "7")));
        _server.Mishaps.Enqueue(("kev.csv", Status(503)));
        await Updated(File("epss", "kev.csv"));
        Assert.Equal(["kev.csv 429", "kev.csv 503", "kev.csv 200"], _server.TakeAnswers());
        var waits = _time.Waits.ToArray();
        Assert.Equal(TimeSpan.FromSeconds(7), waits[0]);
        Assert.InRange(waits[1], TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(2.5));

        _server.Mishaps.Enqueue(("kev.csv", Status(429, "86400")));
        Assert.Contains("asks to be left alone for 1.00:00:00", await Failed(File("other", "kev.csv")));
        for (var i = 0; i < 5; i++) _server.Mishaps.Enqueue(("kev.csv", Status(502)));
        Assert.Contains("502 Bad Gateway, after 5 attempts", await Failed(File("other", "kev.csv")));
        _server.Mishaps.Enqueue(("kev.csv", Status(403)));
        Assert.Contains("the server answers 403", await Failed(File("other", "kev.csv")));
    }

    [Fact]
    public async Task A_transfer_that_is_cut_is_tried_again()
    {
        var csv = Packed.Utf8("cve,epss,percentile\nCVE-2024-0001,0.5,0.6\nCVE-2024-0002,0.5,0.6\n");
        _server.Put("e.csv", csv);
        Func<HttpContext, Task> cut = async context =>
        {
            context.Response.ContentLength = csv.Length;
            await context.Response.Body.WriteAsync(csv.AsMemory(0, 30));
            await context.Response.Body.FlushAsync();
            context.Abort();
        };
        _server.Mishaps.Enqueue(("e.csv", cut));
        Assert.Equal(2, (await Updated(File("epss", "e.csv"))).Sources[0].Source.Documents);
        for (var i = 0; i < 5; i++) _server.Mishaps.Enqueue(("e.csv", cut));
        Assert.Contains("after 5 attempts", await Failed(File("other", "e.csv")));
    }

    [Fact]
    public async Task What_is_larger_than_allowed_is_not_fetched()
    {
        _server.Put("e.csv", new byte[2000]);
        Assert.Contains("2000 bytes or more, limit 1000", await Failed(File("epss", "e.csv"), Options() with { DownloadBytes = 1000 }));
        _server.Mishaps.Enqueue(("e.csv", async context =>
        {
            // Without a length.
            for (var i = 0; i < 5; i++)
            {
                await context.Response.Body.WriteAsync(new byte[500]);
                await context.Response.Body.FlushAsync();
            }
        }
        ));
        Assert.Contains("bytes or more, limit 1000", await Failed(File("epss", "e.csv"), Options() with { DownloadBytes = 1000 }));
    }

    [Fact]
    public async Task A_server_that_stands_still_is_left()
    {
        var hang = new TaskCompletionSource();
        for (var i = 0; i < 2; i++)
        {
            _server.Mishaps.Enqueue(("e.csv", async context =>
            {
                await context.Response.Body.WriteAsync(new byte[10]);
                await context.Response.Body.FlushAsync();
                await hang.Task.WaitAsync(context.RequestAborted);
            }
            ));
        }

        var options = Options() with { IdleTimeout = TimeSpan.FromMilliseconds(100), RetryDelay = TimeSpan.FromMilliseconds(1), Attempts = 2 };
        using var update = new FeedUpdate(options, TimeProvider.System);
        var result = await update.RunAsync(File("epss", "e.csv"), _builder, progress: null, CancellationToken.None);
        Assert.Contains("nothing arrived for 00:00:00.1", result.Error);
    }

    [Fact]
    public async Task Redirections_are_followed_to_https_and_this_machine_only_from_it()
    {
        _server.Put("e.csv", "cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n");
        _server.Mishaps.Enqueue(("old.csv", Redirect("/e.csv")));
        await Updated(File("epss", "old.csv"));
        _server.Mishaps.Enqueue(("old.csv", Redirect("http://feeds.example/e.csv")));
        Assert.Contains("http lets anybody on the way change what arrives", await Failed(File("other", "old.csv")));
        _server.Mishaps.Enqueue(("old.csv", Redirect("file:///etc/passwd")));
        Assert.Contains("not an https URL", await Failed(File("other", "old.csv")));
        for (var i = 0; i < 6; i++) _server.Mishaps.Enqueue(("old.csv", Redirect("/old.csv")));
        Assert.Contains("redirected more than 5 times", await Failed(File("other", "old.csv")));
        Assert.Contains("use https, or --insecure-http", await Failed(new FeedSource(
            "x", FeedSourceKind.File, new Uri("http://feeds.example/e.csv"))));
    }

    [Fact]
    public async Task A_provider_with_an_archive_is_fetched_whole_once_and_then_what_changed()
    {
        Archive("2024-02-10", ("CVE-2024-0001", "2024-01-05"), ("CVE-2024-0002", "2024-01-06"), ("CVE-2024-0003", "2024-01-07"));
        Documents(
            ("CVE-2024-0001", "2024-01-05"), ("CVE-2024-0002", "2024-02-11"), ("CVE-2024-0003", "2024-01-07"), ("CVE-2024-0004", "2024-02-12"));
        Deletions();
        await Updated(RedHat);
        // Of what changed a day before the archive and later, each document is fetched.
        Assert.Equal(["vex/2024/cve-2024-0002.json 200", "vex/2024/cve-2024-0004.json 200"], Documents(_server.TakeAnswers()));
        Assert.Equal(4, _builder.Source("redhat-vex")!.Documents);
        await EqualsFullImport(RedHat);

        _server.TakeAnswers();
        Assert.True((await Update(RedHat)).IsUnchanged);
        Assert.Equal(["vex/changes.csv 304", "vex/deletions.csv 304"], _server.TakeAnswers());

        Documents(
            ("CVE-2024-0001", "2024-03-01"), ("CVE-2024-0002", "2024-02-11"), ("CVE-2024-0004", "2024-02-12"), ("CVE-2024-0005", "2024-03-02"));
        Deletions(("CVE-2024-0003", "2024-03-01"));
        await Updated(RedHat);
        var answers = _server.TakeAnswers();
        Assert.DoesNotContain(answers, answer => answer.Contains("tar"));
        Assert.Contains("vex/2024/cve-2024-0005.json 200", answers);
        Assert.DoesNotContain("vex/2024/cve-2024-0002.json 200", answers);
        Assert.Equal(4, _builder.Source("redhat-vex")!.Documents);
        await EqualsFullImport(RedHat);
    }

    [Fact]
    public async Task A_deletion_alone_takes_the_document_back_and_one_that_comes_back_counts_again()
    {
        Archive("2024-02-10", ("CVE-2024-0001", "2024-01-05"), ("CVE-2024-0002", "2024-01-06"), ("CVE-2024-0003", "2024-01-06"));
        Documents(("CVE-2024-0001", "2024-01-05"), ("CVE-2024-0002", "2024-01-06"), ("CVE-2024-0003", "2024-01-06"));
        Deletions();
        await Updated(RedHat);
        Deletions(("CVE-2024-0002", "2024-03-01"));
        await Updated(RedHat);
        Assert.Equal(2, _builder.Source("redhat-vex")!.Documents);
        await EqualsFullImport(RedHat);

        // With its old time inside, and a new one in the list.
        _server.Put(
            "vex/changes.csv",
            "\"2024/cve-2024-0001.json\",\"2024-01-05T00:00:00Z\"\n\"2024/cve-2024-0002.json\",\"2024-03-05T00:00:00Z\"\n"
            + "\"2024/cve-2024-0003.json\",\"2024-01-06T00:00:00Z\"\n");
        await Updated(RedHat);
        Assert.Equal(3, _builder.Source("redhat-vex")!.Documents);
        await EqualsFullImport(RedHat);
    }

    [Fact]
    public async Task Any_sequence_of_updates_gives_what_a_full_import_of_the_last_state_gives()
    {
        var random = new Random(5);
        var state = new Dictionary<string, string>();
        var deleted = new Dictionary<string, string>();
        Archive("2024-01-01", [.. Enumerable.Range(0, 20).Select(i => ($"CVE-2024-1{i:000}", "2023-12-01"))]);
        for (var i = 0; i < 20; i++) state[$"CVE-2024-1{i:000}"] = "2023-12-01";
        for (var day = 2; day < 26; day++)
        {
            var date = $"2024-01-{day:00}";
            for (var changes = random.Next(4); changes > 0; changes--)
            {
                var cve = $"CVE-2024-1{random.Next(24):000}";
                if (random.Next(3) == 0 && state.Remove(cve))
                {
                    deleted[cve] = date;
                }
                else if (!deleted.TryGetValue(cve, out var gone) || gone != date)
                {
                    state[cve] = date;
                    if (random.Next(2) == 0) deleted.Remove(cve);
                }
            }

            if (day == 12) Archive("2024-01-12", [.. state.Select(entry => (entry.Key, entry.Value))]);
            Documents([.. state.Select(entry => (entry.Key, entry.Value))]);
            Deletions([.. deleted.Select(entry => (entry.Key, entry.Value))]);
            var result = await Update(RedHat);
            Assert.Null(result.Error);
            Assert.Equal(state.Count, _builder.Source("redhat-vex")!.Documents);
            await EqualsFullImport(RedHat);
        }
    }

    [Fact]
    public async Task An_archive_that_is_not_the_one_of_its_checksum_is_refused()
    {
        Archive("2024-02-10", ("CVE-2024-0001", "2024-01-05"));
        Documents(("CVE-2024-0001", "2024-01-05"));
        Deletions();
        _server.Put("vex/csaf_vex_2024-02-10.tar.gz.sha256", $"{new string('0', 64)}  csaf_vex_2024-02-10.tar.gz\n");
        Assert.Contains($"says {new string('0', 64)}", await Failed(RedHat));
        _server.Remove("vex/csaf_vex_2024-02-10.tar.gz.sha256");
        Assert.Contains("cannot be verified", await Failed(RedHat));
        _server.Put("vex/archive_latest.txt", "../../secret");
        Assert.Contains("names no archive in its folder", await Failed(RedHat));
        Assert.Null(_builder.Source("redhat-vex"));
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public async Task An_archive_that_shrank_is_refused_and_the_old_content_stays()
    {
        (string, string)[] documents = [.. Enumerable.Range(0, 10).Select(i => ($"CVE-2024-000{i}", "2024-01-05"))];
        Archive("2024-02-10", documents);
        Documents(documents);
        Deletions();
        await Updated(RedHat);
        Archive("2024-02-11", documents[..4]);
        Documents(documents[..4]);
        Assert.Contains("would have 4 documents and has 10 now", await Failed(RedHat, Options() with { Full = true }));
        Assert.Equal(10, _builder.Source("redhat-vex")!.Documents);
        Assert.Null((await Update(RedHat, Options() with { Full = true, AllowShrink = true })).Error);
        Assert.Equal(4, _builder.Source("redhat-vex")!.Documents);
    }

    [Fact]
    public async Task Paths_that_lead_out_of_the_providers_folder_are_named_and_never_fetched()
    {
        _server.Put("secret.json", MadeCsaf.Vex("CVE-2024-0666", "2024-01-05T00:00:00Z"));
        Archive("2024-02-10", ("CVE-2024-0001", "2024-01-05"));
        Documents(("CVE-2024-0001", "2024-01-05"));
        Deletions();
        string[] hostile =
        [
            "../secret.json", "/secret.json", "2024/../../secret.json", "https://elsewhere.example/x.json", "//elsewhere.example/x.json",
            "2024\\..\\secret.json",
            "2024/%2e%2e/secret.json", "a//b.json", ".hidden.json", "2024/x.json?y", "2024/x.txt", $"{new string('a', 300)}.json", "a\u0000b.json", "",
        ];
        _server.Put(
            "vex/changes.csv",
            "\"2024/cve-2024-0001.json\",\"2024-01-05T00:00:00Z\"\n"
            + $"{string.Concat(hostile.Select(path => $"\"{path}\",\"2024-03-01T00:00:00Z\"\n"))}no comma\n\"2024/y.json\",\"soon\"\n");
        var result = await Update(RedHat);
        Assert.Null(result.Error);
        Assert.Equal(hostile.Length + 2, result.Remarks.Count);
        Assert.DoesNotContain(_server.TakeAnswers(), answer => answer.Contains("secret") || answer.Contains("hidden"));
        Assert.Equal(1, _builder.Source("redhat-vex")!.Documents);
    }

    [Fact]
    public async Task A_document_that_is_listed_and_not_there_is_named()
    {
        Archive("2024-02-10", ("CVE-2024-0001", "2024-01-05"));
        Documents(("CVE-2024-0001", "2024-01-05"), ("CVE-2024-0002", "2024-02-11"));
        Deletions();
        _server.Remove("vex/2024/cve-2024-0002.json");
        var import = await Updated(RedHat);
        Assert.Equal("listed, but not there", Assert.Single(import.SkippedParts).Reason);
    }

    [Fact]
    public async Task A_provider_is_read_by_its_rolie_feed()
    {
        Provider(rolie: true);
        Rolie(("a", "2024-01-05"), ("b", "2024-01-06"), ("c", "2024-01-07"));
        var source = new FeedSource(
            "csaf/acme.example", FeedSourceKind.CsafProvider, new Uri(_server.Address, ".well-known/csaf/provider-metadata.json"));
        await Updated(source);
        Assert.Equal(3, _builder.Source("csaf/acme.example")!.Documents);
        _server.TakeAnswers();
        Assert.True((await Update(source)).IsUnchanged);
        Rolie(("a", "2024-02-05"), ("b", "2024-01-06"), ("c", "2024-01-07"), ("d", "2024-01-01"));
        _server.TakeAnswers();
        await Updated(source);
        Assert.Equal(["csaf/a.json 200", "csaf/d.json 200"], Documents(_server.TakeAnswers()).Where(answer => !answer.Contains("c.json")));
        Assert.Equal(4, _builder.Source("csaf/acme.example")!.Documents);
        await EqualsFullImport(source);
        // What is no longer listed goes, which only a full import can do.
        Rolie(("a", "2024-02-05"), ("b", "2024-01-06"), ("d", "2024-01-01"));
        await Updated(source);
        Assert.Equal(3, _builder.Source("csaf/acme.example")!.Documents);
        await EqualsFullImport(source);
    }

    [Fact]
    public async Task A_provider_is_read_by_its_folder_when_it_has_no_rolie_feed()
    {
        Provider(rolie: false);
        _server.Put("csaf/x/a.json", MadeCsaf.Vex("ACME-1", "2024-01-05T00:00:00Z", host: "acme.example"));
        _server.Put("csaf/x/b.json", "[]");
        _server.Put("csaf/changes.csv", "\"x/a.json\",\"2024-01-05T00:00:00Z\"\n\"x/b.json\",\"2024-01-05T00:00:00Z\"\n");
        var import = await Updated(new FeedSource("csaf/acme.example", FeedSourceKind.CsafProvider, new Uri(_server.Address, "/")));
        Assert.Equal(1, import.Sources[0].Source.Documents);
        Assert.EndsWith("/csaf/x/b.json", Assert.Single(import.SkippedParts).Document);
    }

    [Fact]
    public async Task One_source_that_fails_does_not_keep_the_others_from_being_updated()
    {
        _server.Put("e.csv", "cve,epss,percentile\nCVE-2024-0001,0.5,0.6\n");
        using var update = new FeedUpdate(Options(), _time);
        var results = await update.RunAsync([File("kev", "absent.json"), File("epss", "e.csv")], _builder, progress: null, CancellationToken.None);
        Assert.Contains("not found", results[0].Error);
        Assert.Equal("epss", Assert.Single(results[1].Import!.Sources).Source.Name);
    }

    [Theory]
    [InlineData("epss", "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", FeedSourceKind.File)]
    [InlineData("redhat-vex", "https://security.access.redhat.com/data/csaf/v2/vex/", FeedSourceKind.CsafDirectory)]
    [InlineData("osv/rocky-linux", "https://osv-vulnerabilities.storage.googleapis.com/Rocky%20Linux/all.zip", FeedSourceKind.File)]
    [InlineData("alpine-secdb/v3.19/main", "https://secdb.alpinelinux.org/v3.19/main.json", FeedSourceKind.File)]
    public void A_known_source_has_its_url(string name, string url, FeedSourceKind kind) =>
        Assert.Equal(new FeedSource(name, kind, new Uri(url)), FeedSource.Find(name));

    [Theory]
    [InlineData("osv/Atlantis")]
    [InlineData("alpine-secdb/../main")]
    [InlineData("alpine-secdb/v3.19/main/x")]
    public void Another_is_unknown(string name) => Assert.Null(FeedSource.Find(name));

    [Fact]
    public void Every_source_of_the_catalogue_can_be_found() =>
        Assert.All(FeedSource.Catalog, source => Assert.Equal("https", FeedSource.Find(source.Name)!.Url.Scheme));

    [Fact]
    public void The_list_of_sources_is_read()
    {
        System.IO.File.WriteAllText(
            _folder.File("sources.json"),
            """
            {
              // Comments are allowed.
              "sources": [
                "epss",
                {"name": "osv/almalinux"},
                {"name": "csaf/acme.example", "url": "https://acme.example/.well-known/csaf/provider-metadata.json"},
                {"name": "updateinfo/AlmaLinux:9", "url": "https://mirror.example/updateinfo.xml.gz", "product": "AlmaLinux:9"},
              ]
            }
            """);
        Assert.Equal(
            [
                FeedSource.Find("epss")!, FeedSource.Find("osv/almalinux")!,
                new FeedSource(
                    "csaf/acme.example", FeedSourceKind.CsafProvider, new Uri("https://acme.example/.well-known/csaf/provider-metadata.json")),
                new FeedSource("updateinfo/AlmaLinux:9", FeedSourceKind.File, new Uri("https://mirror.example/updateinfo.xml.gz"), "AlmaLinux:9"),
            ],
            FeedSource.ReadList(_folder.File("sources.json")));
    }

    [Theory]
    [InlineData("[]", "no \"sources\" in it")]
    [InlineData("{", "not valid JSON")]
    [InlineData("""{"sources": ["nope"]}""", "$.sources[0]: 'nope' is no known source")]
    [InlineData("""{"sources": ["epss", 5]}""", "$.sources[1]: neither the name of a source nor an object")]
    [InlineData("""{"sources": [{"name": "x", "url": "ftp://x"}]}""", "$.sources[0].url: 'ftp://x' is no http or https URL")]
    [InlineData("""{"sources": [{"url": "https://x.example/"}]}""", "$.sources[0]: it has no name")]
    [InlineData("""{"sources": [{"name": "x", "uri": "https://x.example/"}]}""", "$.sources[0].uri: unknown; an entry has name, url and product")]
    [InlineData("""{"sources": ["epss", "epss"]}""", "$.sources[1]: epss is named twice")]
    public void A_wrong_list_of_sources_is_refused_by_file_and_entry(string json, string problem)
    {
        System.IO.File.WriteAllText(_folder.File("sources.json"), json);
        var error = Assert.Throws<FeedException>(() => FeedSource.ReadList(_folder.File("sources.json")));
        Assert.StartsWith(_folder.File("sources.json"), error.Message);
        Assert.Contains(problem, error.Message);
    }

    FeedSource RedHat => new("redhat-vex", FeedSourceKind.CsafDirectory, new Uri(_server.Address, "vex/"));

    FeedSource File(string name, string path) => new(name, FeedSourceKind.File, new Uri(_server.Address, path));

    FeedUpdateOptions Options() => new() { WorkFolder = _folder.Path, IdleTimeout = Never, TotalTimeout = Never };

    async Task<FeedUpdateResult> Update(FeedSource source, FeedUpdateOptions? options = null, AdvisoryDatabaseBuilder? builder = null)
    {
        using var update = new FeedUpdate(options ?? Options(), _time);
        return await update.RunAsync(source, builder ?? _builder, progress: null, CancellationToken.None);
    }

    async Task<FeedImportResult> Updated(FeedSource source)
    {
        var result = await Update(source);
        Assert.Null(result.Error);
        return result.Import!;
    }

    async Task<string> Failed(FeedSource source, FeedUpdateOptions? options = null) => (await Update(source, options)).Error!;

    async Task EqualsFullImport(FeedSource source)
    {
        using var folder = new TemporaryFolder();
        var builder = new AdvisoryDatabaseBuilder();
        var result = await Update(source, Options() with { WorkFolder = folder.Path }, builder);
        Assert.Null(result.Error);
        Assert.Equal(builder.Build().Revision, _builder.Build().Revision);
    }

    void Archive(string date, params ReadOnlySpan<(string Cve, string Date)> documents)
    {
        var name = $"csaf_vex_{date}.tar.gz";
        var archive = Packed.Gzip(Packed.Tar(
            TarEntryFormat.Ustar, [.. documents.ToArray().Select(document => ($"2024/{document.Cve.ToLowerInvariant()}.json", Packed.Utf8(Vex(document))))]));
        _server.Put($"vex/{name}", archive);
        _server.Put($"vex/{name}.sha256", $"{Convert.ToHexStringLower(SHA256.HashData(archive))}  {name}\n");
        _server.Put("vex/archive_latest.txt", name);
    }

    void Documents(params ReadOnlySpan<(string Cve, string Date)> documents)
    {
        foreach (var document in documents) _server.Put($"vex/2024/{document.Cve.ToLowerInvariant()}.json", Vex(document));
        _server.Put("vex/changes.csv", List(documents));
    }

    void Deletions(params ReadOnlySpan<(string Cve, string Date)> documents) => _server.Put("vex/deletions.csv", List(documents));

    static string List(ReadOnlySpan<(string Cve, string Date)> documents) =>
        string.Concat(documents.ToArray().Select(document => $"\"2024/{document.Cve.ToLowerInvariant()}.json\",\"{document.Date}T00:00:00+00:00\"\n"));

    static string Vex((string Cve, string Date) document) =>
        MadeCsaf.Vex(document.Cve, $"{document.Date}T00:00:00Z", $"{document.Date.Replace('-', '.')}-1.el9");

    void Provider(bool rolie) => _server.Put(".well-known/csaf/provider-metadata.json", new JsonObject
    {
        ["canonical_url"] = "https://acme.example/.well-known/csaf/provider-metadata.json",
        ["metadata_version"] = "2.0",
        ["distributions"] = new JsonArray(
            rolie
                ? new JsonObject
                {
                    ["rolie"] = new JsonObject
                    {
                        ["feeds"] = new JsonArray(
                            new JsonObject { ["tlp_label"] = "WHITE", ["url"] = $"{_server.Address}csaf/feed.json" },
                            new JsonObject { ["tlp_label"] = "AMBER", ["url"] = $"{_server.Address}csaf/secret.json" }),
                    },
                }
                : new JsonObject { ["directory_url"] = $"{_server.Address}csaf" }),
    }.ToJsonString());

    void Rolie(params ReadOnlySpan<(string Name, string Date)> documents)
    {
        var entries = new JsonArray();
        foreach (var (name, date) in documents)
        {
            _server.Put($"csaf/{name}.json", MadeCsaf.Vex($"ACME-{name}", $"{date}T00:00:00Z", host: "acme.example"));
            entries.Add(new JsonObject
            {
                ["updated"] = $"{date}T00:00:00Z",
                ["content"] = new JsonObject { ["src"] = $"{_server.Address}csaf/{name}.json" },
            });
        }

        // Links of the older form, to another server, and without any.
        entries.Add(new JsonObject
        {
            ["updated"] = "2024-01-01T00:00:00Z",
            ["link"] = new JsonArray(new JsonObject { ["rel"] = "self", ["href"] = "https://elsewhere.example/x.json" }),
        });
        entries.Add(new JsonObject { ["updated"] = "2024-01-01T00:00:00Z" });
        _server.Put("csaf/feed.json", new JsonObject { ["feed"] = new JsonObject { ["entry"] = entries } }.ToJsonString());
    }

    static IEnumerable<string> Documents(IEnumerable<string> answers) =>
        answers.Where(answer => answer.Contains(".json") && !answer.Contains("provider-metadata") && !answer.Contains("feed.json"))
            .Order(StringComparer.Ordinal);

    static Func<HttpContext, Task> Status(int status, string? retryAfter = null) => context =>
    {
        context.Response.StatusCode = status;
        if (retryAfter is not null) context.Response.Headers.RetryAfter = retryAfter;
        return Task.CompletedTask;
    };

    static Func<HttpContext, Task> Redirect(string location) => context =>
    {
        context.Response.StatusCode = 302;
        context.Response.Headers.Location = location;
        return Task.CompletedTask;
    };
}
