using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

[Collection(nameof(MeasuredAlone))]
public sealed class DebianTrackerTests
{
    const string Curl = """
        {"curl": {
          "CVE-2023-38545": {
            "debianbug": 1053636, "scope": "remote",
            "description": "This flaw makes curl overflow a heap based buffer.\nSecond line.",
            "releases": {
              "bookworm": {"fixed_version": "7.88.1-10+deb12u4", "repositories": {"bookworm": "7.88.1-10+deb12u12"}, "status": "resolved", "urgency": "medium**"},
              "sid": {"fixed_version": "8.4.0-1", "status": "resolved", "urgency": "not yet assigned"},
              "bullseye": {"fixed_version": "0", "status": "resolved", "urgency": "unimportant"},
              "warty": {"status": "open"}}},
          "CVE-2024-2379": {
            "releases": {
              "bookworm": {"status": "open", "urgency": "low", "nodsa": "Minor issue", "nodsa_reason": ""},
              "bullseye": {"status": "open", "urgency": "end-of-life", "nodsa": "EOL", "nodsa_reason": "postponed"},
              "trixie": {"status": "open", "nodsa": "Wait", "nodsa_reason": "postponed"},
              "sid": {"status": "open", "nodsa": "No", "nodsa_reason": "ignored"},
              "forky": {"status": "undetermined", "urgency": "high"}}},
          "TEMP-0000000-C6AAE1": {"releases": {"sid": {"status": "open"}}},
          "CVE-2000-0001": {"description": "without releases"}},
         "linux": {"CVE-2023-38545": {"releases": {"sid": {"status": "resolved", "fixed_version": "6.1-1"}}}}}
        """;

    static FeedRecord Read(string json)
    {
        var record = new FeedRecord();
        DebianTracker.Read("data.json", new MemoryStream(Encoding.UTF8.GetBytes(json)), record, CancellationToken.None);
        return record;
    }

    [Fact]
    public void A_vulnerability_of_a_source_package_is_a_document()
    {
        var record = Read(Curl);
        Assert.Empty(record.Skipped);
        Assert.Equal(
            ["CVE-2023-38545 curl", "CVE-2024-2379 curl", "TEMP-0000000-C6AAE1 curl", "CVE-2023-38545 linux"],
            record.Advisories.Select(advisory => $"{advisory.Id} {advisory.Part}"));
        var first = record.Advisories[0];
        Assert.Equal(
            ("debian-tracker", "This flaw makes curl overflow a heap based buffer.", Severity.Unknown, "https://security-tracker.debian.org/tracker/CVE-2023-38545"),
            (first.Feed, first.Summary, first.Severity, first.Url));
        Assert.Equal(["CVE-2023-38545"], first.Cves);
        Assert.Empty(record.Advisories[2].Cves);
        Assert.Equal([("no release", 1), ("release", 1)], record.LeftOut.Select(entry => (entry.Key, entry.Value)));
    }

    [Fact]
    public void A_releases_state_is_its_product_and_status()
    {
        var record = Read(Curl);
        Assert.All(record.Advisories.SelectMany(advisory => advisory.Statements), statement => Assert.Equal(PackageNaming.Source, statement.Naming));
        Assert.Equal(
            [
                "Debian:12 curl Fixed 7.88.1-10+deb12u4 Moderate ",
                "Debian:sid curl Fixed 8.4.0-1 Unknown ",
                "Debian:11 curl NotAffected  Low ",
                "Debian:12 curl Affected  Low Minor issue",
                "Debian:11 curl OutOfSupport  Unknown EOL",
                "Debian:13 curl FixDeferred  Unknown Wait",
                "Debian:sid curl WillNotFix  Unknown No",
                "Debian:14 curl UnderInvestigation  Important ",
                "Debian:sid curl Affected  Unknown ",
                "Debian:sid linux Fixed 6.1-1 Unknown ",
            ],
            record.Advisories.SelectMany(advisory => advisory.Statements).Select(statement =>
                $"{statement.Product} {statement.Name} {statement.Status} {string.Join(' ', statement.Intervals.Select(interval => interval.End))} {statement.Severity} {statement.Remark}"));
    }

    [Fact]
    public void The_urgency_of_a_release_is_not_that_of_another()
    {
        var record = Read(
            """
            {"curl": {"CVE-2024-0001": {"releases": {
              "bullseye": {"status": "open", "urgency": "high"},
              "bookworm": {"status": "resolved", "fixed_version": "1-1", "urgency": "not yet assigned"},
              "trixie": {"status": "open", "urgency": "low"}}}}}
            """);
        var advisory = Assert.Single(record.Advisories);
        Assert.Equal(
            [("Debian:11", Severity.Important), ("Debian:12", Severity.Unknown), ("Debian:13", Severity.Low)],
            advisory.Statements.Select(statement => (statement.Product, statement.Severity)));
        // A statement without one would take the document's.
        Assert.Equal(Severity.Unknown, advisory.Severity);
    }

    [Theory]
    [InlineData("[]", "$ is an array, not an object of source packages")]
    [InlineData("""{"curl": 5}""", "$.curl is a number (5), not an object of vulnerabilities")]
    [InlineData("""{"curl": {"CVE-2024-0001": []}}""", "$.curl.CVE-2024-0001 is an array, not an object")]
    [InlineData("""{"curl": {"CVE-2024-0001": {"releases": null}}}""", "$.curl.CVE-2024-0001.releases is null, not an object")]
    [InlineData("""{"curl": {"CVE-2024-0001": {"releases": {"sid": {"status": "closed"}}}}}""", "$.curl.CVE-2024-0001.releases.sid.status is 'closed', not resolved, open or undetermined")]
    [InlineData("""{"curl": {"CVE-2024-0001": {"releases": {"sid": {}}}}}""", "$.curl.CVE-2024-0001.releases.sid.status is absent")]
    [InlineData("""{"curl": {"CVE-2024-0001": {"releases": {"sid": {"status": "resolved"}}}}}""", "$.curl.CVE-2024-0001.releases.sid.fixed_version is absent, and the status is resolved")]
    [InlineData("""{"curl": {"CVE-2024-0001": {"releases": {"sid": {"status": "resolved", "fixed_version": 7.88}}}}}""", "$.curl.CVE-2024-0001.releases.sid.fixed_version is a number (7.88), not a string")]
    [InlineData("""{"curl": {"CVE-2024-0001": {"releases": {"sid": {"status": "open", "status": "resolved"}}}}}""", "$.curl.CVE-2024-0001.releases.sid.status occurs twice")]
    [InlineData("""{"curl": {"CVE-2024-0001": {"releases": {"sid": 1}}}}""", "$.curl.CVE-2024-0001.releases.sid is a number (1), not an object")]
    [InlineData("""{"curl": {"": {}}}""", "$.curl a name is empty or not valid UTF-8")]
    public void What_cannot_be_read_is_named_and_the_rest_is_read(string json, string reason)
    {
        var record = Read(json);
        Assert.Equal([reason], record.Skipped);
        if (json[0] != '{') return;
        // With another vulnerability behind it.
        var more = json.TrimEnd('}') + new string('}', json.Length - json.TrimEnd('}').Length - 1)
            + ""","zlib": {"CVE-2024-0002": {"releases": {"sid": {"status": "open"}}}}}""";
        record = Read(more);
        Assert.Equal([reason], record.Skipped);
        Assert.Equal("zlib", Assert.Single(record.Advisories).Part);
    }

    [Fact]
    public void A_cut_file_is_named_as_a_whole_after_what_was_read()
    {
        var record = Read(Curl[..(Curl.Length - 40)]);
        Assert.Equal(3, record.Advisories.Count);
        Assert.StartsWith(" not valid JSON: ", Assert.Single(record.Skipped));
    }

    [Fact]
    public void A_description_of_megabytes_is_named_and_the_rest_of_its_entry_kept()
    {
        var record = Read(Curl.Replace("Second line.", new string('x', 5 << 20)));
        Assert.Equal(["$.curl.CVE-2023-38545.description has more than 1048576 bytes"], record.Skipped);
        Assert.Equal(4, record.Advisories.Count);
        Assert.Equal("", record.Advisories[0].Summary);
    }

    [Fact]
    public void Memory_does_not_grow_with_the_file()
    {
        // 120 MB.
        var counter = new Counter();
        GC.Collect();
        var before = GC.GetTotalMemory(forceFullCollection: true);
        DebianTracker.Read("data.json", new Repeated(2_000, Curl), counter, CancellationToken.None);
        Assert.Equal(4 * 2_000, counter.Advisories);
        Assert.True(counter.Most - before < 32 << 20, $"{(counter.Most - before) >> 20} MiB");
    }

    [Trait("Category", "Fuzz")]
    [Fact]
    public void Damaged_files_are_read_or_named()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var many) ? many : 2000;
        string[] pieces = ["null", "[]", "{}", "1e9", "\"\\ud800\"", "\"", "}", ",", "\"status\":\"open\",", "é"];
        var random = new Random(4);
        var read = 0;
        var skipped = 0;
        for (var i = 0; i < inputs; i++)
        {
            var text = new StringBuilder(Curl);
            for (var edits = random.Next(1, 4); edits > 0; edits--)
            {
                var at = random.Next(text.Length);
                if (random.Next(2) == 0) text.Remove(at, random.Next(Math.Min(30, text.Length - at)));
                text.Insert(at, pieces[random.Next(pieces.Length)]);
            }

            var record = Read(text.ToString());
            read += record.Advisories.Count;
            skipped += record.Skipped.Count;
            Databases.Of([.. record.Advisories]);
        }

        Assert.True(read > inputs && skipped > inputs / 4, $"{read} read, {skipped} skipped: the damage does not reach both");
    }

    sealed class Counter : IFeedSink
    {
        public int Advisories { get; private set; }

        public long Most { get; private set; }

        public void Add(Advisory advisory)
        {
            if (Advisories++ % 500 == 0) Most = Math.Max(Most, GC.GetTotalMemory(forceFullCollection: true));
        }

        public void Withdraw(string feed, string id, DateTimeOffset? modified) => throw new NotSupportedException();

        public void Add(ExploitPrediction prediction) => throw new NotSupportedException();

        public void Add(KnownExploited entry) => throw new NotSupportedException();

        public void Add(VexDecision decision) => throw new NotSupportedException();

        public void Skip(string document, string path, string reason) => Assert.Fail($"{path} {reason}");

        public void LeaveOut(string what) => Assert.NotEmpty(what);
    }

    /// <summary>One object of the members of another, again and again with 60 KB of another package between.</summary>
    sealed class Repeated(int count, string json) : Stream
    {
        readonly byte[] _members = Encoding.UTF8.GetBytes(
            ", \"padding\": {\"CVE-2024-0001\": {\"notes\": [\"" + new string('x', 60_000) + "\"]}}, " + json[1..^1]);
        int _done;
        int _position;

        public override int Read(byte[] buffer, int offset, int wanted)
        {
            if (_done > count) return 0;
            if (_done == count)
            {
                _done++;
                buffer[offset] = (byte)'}';
                return 1;
            }

            if (_done == 0 && _position == 0)
            {
                // The first comma is the object's beginning.
                buffer[offset] = (byte)'{';
                _position = 1;
                return 1;
            }

            var length = Math.Min(wanted, _members.Length - _position);
            _members.AsSpan(_position, length).CopyTo(buffer.AsSpan(offset));
            _position += length;
            if (_position == _members.Length) (_done, _position) = (_done + 1, 0);
            return length;
        }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
