using System.Text;
using Guestmark.Inventory.Languages;

namespace Guestmark.Inventory.Tests.Languages;

public sealed class TextFormatsTests
{
    const string PackageJson = """{"name":"a\u0062c","version":"1.0.0","license":{"type":"MIT"},"author":{"name":"A","url":["x",{}]},"dependencies":{"x":"^1","y":[1,2,{}]}}""";
    const string Dependencies = """{"targets":{"x":{}},"libraries":{"A/1.0":{"type":"package","path":"x","n":[1]},"B/2":{"type":"project"}}}""";
    const string Metadata = "Metadata-Version: 2.1\r\nName: a\nVersion: 1.0\nLicense: MIT\nAuthor: A\nAuthor-email: a@b\nClassifier: x\n\nText\n";

    static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    [Theory]
    [InlineData("License: MIT\nLicense-Expression: Apache-2.0\n", "Apache-2.0", null)]
    [InlineData("license: BSD\nMaintainer: M\nAuthor-email: a@b\n", "BSD", "M")]
    [InlineData("License: UNKNOWN\nAuthor-email: a@b\n", null, "a@b")]
    [InlineData("License: first line\n        second line\nAuthor: A\n", "first line", "A")]
    public void Metadata_of_python_names_licence_and_author(string headers, string? license, string? vendor)
    {
        Assert.Null(PythonMetadata.Read(Bytes("Name: a\nVersion: 1\n" + headers), new TextPool(), out var package));
        Assert.Equal((license, vendor), (package!.License, package.Vendor));
    }

    [Theory]
    [InlineData("Version: 1\n", "names no distribution")]
    [InlineData("Name: a\n\nVersion: 1\n", "names no version of a")]
    [InlineData("", "names no distribution")]
    public void Metadata_of_python_without_name_or_version_is_an_error(string file, string expected) =>
        Assert.StartsWith(expected, PythonMetadata.Read(Bytes(file), new TextPool(), out _));

    [Theory]
    [InlineData(PackageJson, "abc", "1.0.0", "MIT", "A")]
    [InlineData("\ufeff{\"name\":\"a\",\"version\":\"1\",\"license\":null,\"author\":[]}", "a", "1", null, null)]
    [InlineData("""{"name":"a","version":"1","licenses":[{"url":"x","type":"MIT"},{"type":"BSD"}]}""", "a", "1", "MIT", null)]
    public void Package_json_is_read(string json, string name, string version, string? license, string? vendor)
    {
        Assert.Null(NodePackage.Read(Bytes(json), new TextPool(), out var package));
        Assert.Equal((name, version, license, vendor), (package!.Name, package.Version, package.License, package.Vendor));
    }

    [Theory]
    [InlineData("""{"name":"a"}""")]
    [InlineData("""{"name":"","version":"1"}""")]
    [InlineData("""{"name":["a"],"version":{"x":1}}""")]
    [InlineData("""{"name":"\ud800","version":"1"}""")]
    public void A_package_json_without_name_or_version_is_of_no_package(string json)
    {
        Assert.Null(NodePackage.Read(Bytes(json), new TextPool(), out var package));
        Assert.Null(package);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("")]
    [InlineData("{\"name\": nul}")]
    public void A_damaged_package_json_is_an_error(string json) => Assert.StartsWith("is not ", NodePackage.Read(Bytes(json), new TextPool(), out _));

    [Fact]
    public void Long_names_are_no_names()
    {
        var name = new string('n', LanguageText.NameBytesMax + 1);
        Assert.NotNull(PythonMetadata.Read(Bytes($"Name: {name}\nVersion: 1\n"), new TextPool(), out _));
        Assert.Null(NodePackage.Read(Bytes($$"""{"name":"{{name}}","version":"1"}"""), new TextPool(), out var package));
        Assert.Null(package);
        var packages = new List<Package>();
        Assert.Null(DotNetDependencies.Read(Bytes("{\"libraries\":{\"" + name + "/1\":{\"type\":\"package\"}}}"), "nuget:x", new TextPool(), packages));
        Assert.Empty(packages);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_packages_or_an_error()
    {
        var random = new Random(20260115);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var (json, dependencies, metadata) =
                (Damage.Mutate(Bytes(PackageJson), random, 80), Damage.Mutate(Bytes(Dependencies), random, 80), Damage.Mutate(Bytes(Metadata), random, 80));
            Damage.AssertBounded(() => NodePackage.Read(json, new TextPool(), out _), json.Length, $"package.json, case {i}");
            Damage.AssertBounded(() => DotNetDependencies.Read(dependencies, "nuget:x", new TextPool(), []), dependencies.Length, $"deps.json, case {i}");
            Damage.AssertBounded(() => PythonMetadata.Read(metadata, new TextPool(), out _), metadata.Length, $"METADATA, case {i}");
        }
    }
}
