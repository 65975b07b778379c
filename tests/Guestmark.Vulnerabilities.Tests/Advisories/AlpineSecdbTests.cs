using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class AlpineSecdbTests
{
    const string Main = """
        {"apkurl": "{{urlprefix}}/{{distroversion}}/{{reponame}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk", "archs": ["x86_64"], "reponame": "main",
         "urlprefix": "https://dl.example/alpine", "distroversion": "v3.19", "packages": [
          {"pkg": {"name": "curl", "secfixes": {
            "8.4.0-r0": ["CVE-2023-38545", "CVE-2023-38546"], "0": ["CVE-2024-2466"], "7.79.0-r0": null}}},
          {"pkg": {"name": "xen", "secfixes": {
            "4.14.1-r0": ["CVE-2020-29040 XSA-355", "XSA-345", "GHSA-crqm-pwhx-j97f, CVE-2020-1", " "], "4.14.1-r2": ["CVE-2020-29040"]}}},
          {"pkg": {"name": "nothing", "secfixes": {"1-r0": []}}}]}
        """;

    static FeedRecord Read(string json)
    {
        var record = new FeedRecord();
        AlpineSecdb.Read("main.json", new MemoryStream(Encoding.UTF8.GetBytes(json)), record, CancellationToken.None);
        return record;
    }

    static IEnumerable<string> Statements(Advisory advisory) => advisory.Statements.Select(statement =>
        $"{statement.Product} {statement.Name} {statement.Naming} {statement.Cve} {statement.Status} {string.Join(' ', statement.Intervals.Select(interval => interval.End))}".TrimEnd());

    [Fact]
    public void A_package_is_a_document_with_a_statement_for_each_fix()
    {
        var record = Read(Main);
        Assert.Empty(record.Skipped);
        Assert.Equal(["alpine-secdb curl v3.19/main", "alpine-secdb xen v3.19/main"], record.Advisories.Select(advisory => $"{advisory.Feed} {advisory.Id} {advisory.Part}"));
        Assert.Equal(["CVE-2023-38545", "CVE-2023-38546", "CVE-2024-2466"], record.Advisories[0].Cves);
        Assert.Equal(
            [
                "Alpine:v3.19 curl Source CVE-2023-38545 Fixed 8.4.0-r0",
                "Alpine:v3.19 curl Source CVE-2023-38546 Fixed 8.4.0-r0",
                "Alpine:v3.19 curl Source CVE-2024-2466 NotAffected",
            ],
            Statements(record.Advisories[0]));
        Assert.Equal([("no vulnerability", 1)], record.LeftOut.Select(entry => (entry.Key, entry.Value)));
    }

    [Fact]
    public void Of_several_names_of_one_vulnerability_the_cve_counts()
    {
        var xen = Read(Main).Advisories[1];
        Assert.Equal(
            [
                "Alpine:v3.19 xen Source CVE-2020-29040 Fixed 4.14.1-r0",
                "Alpine:v3.19 xen Source XSA-345 Fixed 4.14.1-r0",
                // CVE-2020-1 has too few digits to be one.
                "Alpine:v3.19 xen Source GHSA-crqm-pwhx-j97f Fixed 4.14.1-r0",
                "Alpine:v3.19 xen Source CVE-2020-1 Fixed 4.14.1-r0",
                "Alpine:v3.19 xen Source CVE-2020-29040 Fixed 4.14.1-r2",
            ],
            Statements(xen));
        Assert.Equal(["CVE-2020-29040", "XSA-345", "GHSA-crqm-pwhx-j97f", "CVE-2020-1"], xen.Cves);
    }

    [Theory]
    [InlineData("\"distroversion\": \"v3.19\"", "\"distroversion\": \"edge\"", "Alpine:edge", "edge/main")]
    [InlineData("\"distroversion\": \"v3.19\",", "", "Wolfi", "Wolfi/main")]
    [InlineData("\"distroversion\": \"v3.19\",", "", "Chainguard", "Chainguard/main")]
    public void The_product_is_the_release_or_the_distribution_without_releases(string from, string to, string product, string part)
    {
        var record = Read(Main.Replace(from, to).Replace("dl.example/alpine", $"dl.example/{product.ToLowerInvariant()}"));
        Assert.Empty(record.Skipped);
        Assert.All(record.Advisories, advisory => Assert.Equal(part, advisory.Part));
        Assert.All(record.Advisories.SelectMany(advisory => advisory.Statements), statement => Assert.Equal(product, statement.Product));
    }

    [Fact]
    public void Packages_before_the_release_wait_for_it()
    {
        var text = Main.Replace("\"reponame\": \"main\",", "").Replace("\"distroversion\": \"v3.19\",", "");
        var record = Read($$"""{{text.TrimEnd()[..^1]}}, "distroversion": "v3.20", "reponame": "community"}""");
        Assert.Empty(record.Skipped);
        Assert.Equal(["v3.20/community", "v3.20/community"], record.Advisories.Select(advisory => advisory.Part));
        Assert.Equal("Alpine:v3.20", record.Advisories[0].Statements[0].Product);
    }

    [Theory]
    [InlineData("[]", "$ is an array, not an object")]
    [InlineData("{}", "$.packages is absent: no security database of apk packages")]
    [InlineData("""{"distroversion": "v3.1", "reponame": "main", "packages": {}}""", "$.packages is an object, not an array", "$.packages is absent: no security database of apk packages")]
    [InlineData("""{"distroversion": "v3.1", "reponame": "main", "packages": [7]}""", "$.packages[0] is a number (7), not an object")]
    [InlineData("""{"distroversion": "v3.1", "reponame": "main", "packages": [{}]}""", "$.packages[0].pkg.name is absent")]
    [InlineData("""{"distroversion": "v3.1", "reponame": "main", "packages": [{"pkg": {"name": 3, "secfixes": {"1": ["CVE-2024-0001"]}}}]}""", "$.packages[0].pkg.name is a number (3), not a string")]
    [InlineData("""{"distroversion": "v3.1", "reponame": "main", "packages": [{"pkg": {"name": "p", "secfixes": []}}]}""", "$.packages[0].pkg.secfixes is an array, not an object")]
    [InlineData("""{"distroversion": "v3.1", "reponame": "main", "packages": [{"pkg": {"name": "p", "secfixes": {"1-r0": "CVE-2024-0001"}}}]}""", "$.packages[0].pkg.secfixes.1-r0 is a string, not an array")]
    [InlineData("""{"distroversion": "v3.1", "reponame": "main", "packages": [{"pkg": {"name": "p", "secfixes": {"1-r0": [5, "<script>"]}}}]}""", "$.packages[0].pkg.secfixes.1-r0[0] is a number (5), not a string", "$.packages[0].pkg.secfixes.1-r0[1] '<script>' is no id of a vulnerability")]
    [InlineData("""{"distroversion": "3.1", "reponame": "main", "packages": [{"pkg": {"name": "p", "secfixes": {"1": ["CVE-2024-0001"]}}}]}""", "$.distroversion is absent or no release of Alpine (v3.19, edge), and urlprefix and reponame are not Wolfi's or Chainguard's")]
    public void What_cannot_be_read_is_named(string json, params string[] reasons)
    {
        var record = Read(json);
        Assert.Equal(reasons, record.Skipped);
        Assert.Empty(record.Advisories);
    }

    [Fact]
    public void A_cut_file_is_named_as_a_whole()
    {
        var record = Read(Main[..(Main.Length - 60)]);
        Assert.Equal(["curl", "xen"], record.Advisories.Select(advisory => advisory.Id));
        Assert.StartsWith(" not valid JSON: ", Assert.Single(record.Skipped));
    }

    [Trait("Category", "Fuzz")]
    [Fact]
    public void Damaged_files_are_read_or_named()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var many) ? many : 2000;
        string[] pieces = ["null", "[]", "{}", "1e9", "\"\\ud800\"", "\"", "}", ",", "\"0\":[\"CVE-2024-0001\"],", "é"];
        var random = new Random(5);
        var read = 0;
        var skipped = 0;
        for (var i = 0; i < inputs; i++)
        {
            var text = new StringBuilder(Main);
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

        Assert.True(read > inputs / 4 && skipped > inputs / 4, $"{read} read, {skipped} skipped: the damage does not reach both");
    }
}
