using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Guestmark.Inventory.Repositories;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Repositories;

public sealed class RepositoryToCpeTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    static string? Validate(string text) => RepositoryToCpe.Validate(new MemoryStream(Encoding.UTF8.GetBytes(text)));

    RepositoryToCpe Mapping(string text)
    {
        File.WriteAllText(_folder.File("mapping.json"), text);
        var mapping = RepositoryToCpe.TryRead(_folder.File("mapping.json"), out var error);
        Assert.Null(error);
        return mapping!;
    }

    [TestDataFact]
    public void The_real_list_says_the_same_of_every_repository_and_url_as_a_plain_reader()
    {
        var path = Repository.TestDataPath("repo2cpe/repository-to-cpe.full-2025.json");
        using var document = JsonDocument.Parse(File.ReadAllBytes(path));
        var cpes = document.RootElement.GetProperty("data").EnumerateObject()
            .ToDictionary(entry => entry.Name, entry => entry.Value.GetProperty("cpes").EnumerateArray().Select(cpe => cpe.GetString()!).ToArray());
        var urls = document.RootElement.GetProperty("data").EnumerateObject()
            .Where(entry => entry.Value.TryGetProperty("repo_relative_urls", out _))
            .SelectMany(entry => entry.Value.GetProperty("repo_relative_urls").EnumerateArray().Select(url => (Url: url.GetString()!, entry.Name)))
            .ToLookup(pair => pair.Url, pair => pair.Name);
        var mapping = RepositoryToCpe.TryRead(path, out var error)!;
        Assert.Null(error);

        Assert.Null(mapping.Find(cpes.Keys, urls.Select(url => url.Key), out var found, CancellationToken.None));

        Assert.Equal(10_590, found.ById.Count);
        Assert.All(cpes, entry => Assert.Equal(entry.Value, found.ById[entry.Key]));
        Assert.Equal(13_744, found.ByUrl.Count);
        Assert.All(urls, url => Assert.Equal(url, found.ByUrl[url.Key].Select(repository => repository.Id)));
        Assert.All(found.ByUrl.Values, repositories => Assert.All(repositories, repository => Assert.Equal(cpes[repository.Id], repository.Cpes)));
    }

    [TestDataFact]
    public void A_look_into_the_real_list_keeps_only_what_was_asked_for()
    {
        var mapping = RepositoryToCpe.TryRead(Repository.TestDataPath("repo2cpe/repository-to-cpe.full-2025.json"), out _)!;
        string[] ids = ["rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-appstream-rpms", "absent"];
        string[] urls = ["content/dist/rhel9/9.4/x86_64/baseos/os", "content/absent"];
        mapping.Find(ids, urls, out _, CancellationToken.None);

        var (allocatedBefore, start) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.GetTimestamp());
        Assert.Null(mapping.Find(ids, urls, out var found, CancellationToken.None));
        var (allocated, elapsed) = (GC.GetAllocatedBytesForCurrentThread() - allocatedBefore, Stopwatch.GetElapsedTime(start));

        Assert.Equal(["cpe:/a:redhat:enterprise_linux:9::appstream"], found.ById["rhel-9-for-x86_64-appstream-rpms"]);
        Assert.Equal(2, found.ById.Count);
        Assert.Equal("rhel-9-for-x86_64-baseos-rpms", Assert.Single(Assert.Single(found.ByUrl).Value).Id);
        Assert.True(allocated < 200_000, $"{allocated} bytes");
        // It takes 15 ms on one core; this machine may be busy.
        Assert.True(elapsed < TimeSpan.FromMilliseconds(500), $"{elapsed}");
    }

    [Fact]
    public void The_order_of_names_and_what_else_there_is_does_not_matter()
    {
        var mapping = Mapping("""
            {"last_updated":{"data":{"trap":{"cpes":["no"]}}},"data":{"r":{"other":[{"cpes":["no"]}],"repo_relative_urls":["/content/dist/x/os/"],"cpes":["cpe:/o:b\u0061"]},"empty":{}},"data2":{"s":{"cpes":["no"]}}}
            """);
        Assert.Null(mapping.Find(["r", "empty", "s", "trap"], ["content/dist/x/os"], out var found, CancellationToken.None));
        Assert.Equal(["cpe:/o:ba"], found.ById["r"]);
        Assert.Empty(found.ById["empty"]);
        Assert.Equal(2, found.ById.Count);
        Assert.Equal("r", Assert.Single(found.ByUrl["content/dist/x/os"]).Id);
    }

    [Fact]
    public void What_is_no_mapping_is_refused_with_the_reason()
    {
        Assert.Null(Validate("""{"data":{"r":{"cpes":["c"]}}}"""));
        Assert.Equal("it is not an object", Validate("[]"));
        Assert.Equal("it has no object \"data\"", Validate("{}"));
        Assert.Equal("its \"data\" is not an object", Validate("""{"data":["r"]}"""));
        Assert.Equal("it lists no repository", Validate("""{"data":{}}"""));
        Assert.Equal("its repository r is not an object", Validate("""{"data":{"r":["c"]}}"""));
        Assert.NotNull(Validate("""{"data":{"r":{"cpes":["c"]}}"""));
        Assert.NotNull(Validate(""));
        Assert.Equal("it has a text of more than 65536 bytes", Validate("{\"data\":{\"" + new string('x', 70_000) + "\":{}}}"));
        Assert.Equal($"it has more than {RepositoryToCpe.BytesMax} bytes", Validate("""{"data":{"r":{}}}""" + new string(' ', RepositoryToCpe.BytesMax)));
    }

    [Theory]
    [InlineData("""{"data":{"r":{}}}""", "none of its 1 repositories has a CPE")]
    [InlineData("""{"data":{"r":{"cpes":[]},"s":{"cpes":[""],"repo_relative_urls":["u"]}}}""", "none of its 2 repositories has a CPE")]
    [InlineData("""{"data":{"r":{"repo_relative_urls":["u"],"other":["cpe:/o:a"]}}}""", "none of its 1 repositories has a CPE")]
    [InlineData("""{"data":{"q":{"cpes":["c"]},"r":{"cpes":"c"}}}""", "the \"cpes\" of its repository r are no list of texts")]
    [InlineData("""{"data":{"q":{"cpes":["c"]},"r":{"cpes":null}}}""", "the \"cpes\" of its repository r are no list of texts")]
    [InlineData("""{"data":{"q":{"cpes":["c"]},"r":{"cpes":7}}}""", "the \"cpes\" of its repository r are no list of texts")]
    [InlineData("""{"data":{"q":{"cpes":["c"]},"r":{"cpes":{"c":"c"}}}}""", "the \"cpes\" of its repository r are no list of texts")]
    [InlineData("""{"data":{"q":{"cpes":["c"]},"r":{"cpes":["c",1]}}}""", "the \"cpes\" of its repository r are no list of texts")]
    [InlineData("""{"data":{"q":{"cpes":["c"]},"r":{"cpes":[["c"]]}}}""", "the \"cpes\" of its repository r are no list of texts")]
    [InlineData("""{"data":{"q":{"cpes":["c"]},"r":{"cpes":[],"other":{"cpes":1},"repo_relative_urls":[1]},"s":{}}}""", null)]
    public void A_mapping_that_would_take_the_CPEs_away_is_refused(string text, string? expected) => Assert.Equal(expected, Validate(text));

    [Fact]
    public void A_file_that_cannot_be_read_is_named()
    {
        Assert.Null(RepositoryToCpe.TryRead(_folder.File("absent.json"), out var error));
        Assert.Contains("absent.json cannot be read", error);

        File.WriteAllText(_folder.File("broken.json"), "{\"data\":");
        Assert.Null(RepositoryToCpe.TryRead(_folder.File("broken.json"), out error));
        Assert.Contains("broken.json is not a repository-to-CPE mapping", error);
        Assert.Contains("Fetch repository-to-cpe.json anew", error);
    }

    [Fact]
    public void A_list_that_breaks_while_the_agent_runs_is_a_problem_and_no_failure()
    {
        using var tree = new GuestTree().File(DnfState.Path, "[nevras]\n\"p-1-1.el9_4.x86_64\" = {from_repo = \"r\"}\n");
        var mapping = Mapping("""{"data":{"r":{"cpes":["c"]}}}""");
        File.WriteAllText(_folder.File("mapping.json"), "no longer JSON");
        var package = Assigned.Rpm("p");

        var problem = Assert.Single(Assigned.Assign(tree.Root, [package], new OsRelease("rhcos", "4.16", ""), mapping));

        Assert.Contains("mapping.json is not a repository-to-CPE mapping", problem.Message);
        Assert.Equal("r", package.Repository!.Id);
        Assert.Equal("the repository-to-CPE mapping cannot be read", package.Repository.WhyNoCpe);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_list_gives_repositories_or_an_error()
    {
        var seed = Encoding.UTF8.GetBytes("""{"data":{"r":{"cpes":["cpe:/o:a","cpe:/o:b"],"repo_relative_urls":["content/dist/x/os"]},"s\u00e4":{"cpes":["c"]}}}""");
        var random = new Random(20260405);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var input = Damage.Mutate(seed, random, focus: 40);
            Damage.AssertBounded(() => new MappingReader(["r", "s"], ["content/dist/x/os"]).Read(new MemoryStream(input), CancellationToken.None), input.Length, $"case {i}");
        }
    }
}
