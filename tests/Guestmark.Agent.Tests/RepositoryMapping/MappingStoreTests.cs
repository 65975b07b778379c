using System.Text;
using Guestmark.Agent.RepositoryMapping;
using Guestmark.Agent.Tests.Serving;
using Guestmark.TestKit;

namespace Guestmark.Agent.Tests.RepositoryMapping;

/// <summary>Establishes that the last good mapping is kept, and that nothing else takes its place.</summary>
public sealed class MappingStoreTests : IDisposable
{
    const string Good = """{"data":{"rhel-9":{"cpes":["cpe:/o:redhat:enterprise_linux:9::baseos"],"repo_relative_urls":["content/dist"]}}}""";
    const string Other = """{"more":[1,{"a":2}],"data":{"rhel-8":{"repo_relative_urls":[],"cpes":["cpe:/o:redhat:enterprise_linux:8"]}}}""";

    static readonly MappingOrigin Origin = new("https://example.com/m.json", "\"tag\"", "Fri, 02 Jan 2026 03:04:05 GMT");

    readonly TemporaryFolder _folder = new();
    readonly Notes _notes = new();

    string StateFolder => _folder.File("state/agent");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_mapping_survives_a_restart_with_its_origin_and_is_its_owners_alone()
    {
        var store = Open();
        Assert.Null(store.Current);
        Assert.Equal((MappingStoreResult.Stored, null), store.Store(Encoding.UTF8.GetBytes(Good), Origin));
        Assert.Equal((MappingStoreResult.Unchanged, null), store.Store(Encoding.UTF8.GetBytes(Good), Origin));

        var again = Open();
        Assert.Equal(store.Current, again.Current);
        Assert.Equal(XxHash64.Text(Encoding.UTF8.GetBytes(Good)), again.Current!.Hash);
        Assert.Equal(Origin, again.Origin());
        foreach (var file in Directory.GetFiles(StateFolder)) Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(StateFolder));
        Assert.Empty(_notes.All);
    }

    [Fact]
    public void An_origin_counts_only_for_its_mapping()
    {
        var store = Open();
        store.Store(Encoding.UTF8.GetBytes(Good), Origin);
        store.Store(Encoding.UTF8.GetBytes(Other), source: null);
        Assert.Null(store.Origin());
        Assert.Null(Open().Origin());
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"data":{}}""")]
    [InlineData("""{"data":[]}""")]
    [InlineData("""{"data":{"r":[]}}""")]
    [InlineData("""{"data":{"r":{"cpes":["cpe:/o"]}}} x""")]
    [InlineData("""{"data":{"r":{"cpes":["cpe:/o"]}}}{}""")]
    [InlineData("""{"data":{"r":{"cpes":["cpe:/o"]}}""")]
    [InlineData("<html>sign in</html>")]
    [InlineData("""{"x":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],"data":{"r":{"cpes":["cpe:/o"]}}}""")]
    public void What_is_no_mapping_does_not_replace_one(string document)
    {
        var store = Open();
        store.Store(Encoding.UTF8.GetBytes(Good), Origin);
        var before = store.Current;
        var (result, problem) = store.Store(Encoding.UTF8.GetBytes(document), Origin);
        Assert.Equal(MappingStoreResult.Invalid, result);
        Assert.NotEmpty(problem!);
        Assert.Equal(before, store.Current);
        Assert.Equal(Good, File.ReadAllText(before!.Path));
    }

    [Fact]
    public void The_operators_file_is_used_until_another_is_stored()
    {
        var seed = _folder.File("seed.json");
        File.WriteAllText(seed, Good);
        var store = Open(seed);
        Assert.Equal(seed, store.Current!.Path);
        store.Store(Encoding.UTF8.GetBytes(Other), Origin);
        Assert.Equal(Path.Combine(StateFolder, "repository-to-cpe.json"), store.Current!.Path);
        Assert.Equal(store.Current, Open(seed).Current);
        Assert.Equal(Good, File.ReadAllText(seed));
    }

    [Fact]
    public void A_stored_file_that_was_damaged_is_told_of_and_not_used()
    {
        Open().Store(Encoding.UTF8.GetBytes(Good), Origin);
        File.WriteAllText(Path.Combine(StateFolder, "repository-to-cpe.json"), Good[..^3]);
        Assert.Null(Open(_folder.File("absent.json")).Current);
        Assert.Collection(
            _notes.All,
            note => Assert.Contains("is no repository-to-cpe mapping", note, StringComparison.Ordinal),
            note => Assert.Contains("there is no such file", note, StringComparison.Ordinal));
    }

    [Fact]
    public void A_folder_that_cannot_be_made_is_a_problem_that_names_the_option()
    {
        File.WriteAllText(_folder.File("state"), "a file");
        var (result, problem) = Open().Store(Encoding.UTF8.GetBytes(Good), Origin);
        Assert.Equal(MappingStoreResult.Failed, result);
        Assert.Contains("--state-dir", problem, StringComparison.Ordinal);
    }

    [TestDataFact]
    public void The_real_mapping_is_stored()
    {
        foreach (var file in Directory.GetFiles(Repository.TestDataPath("repo2cpe"), "*.json"))
            Assert.Equal((MappingStoreResult.Stored, null), Open().Store(File.ReadAllBytes(file), source: null));
    }

    MappingStore Open(string? seed = null) => MappingStore.Open(StateFolder, seed, _notes.Add);
}
