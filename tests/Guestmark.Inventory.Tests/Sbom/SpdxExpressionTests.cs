using System.Text.Json;
using Guestmark.Inventory.Sbom;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Sbom;

public sealed class SpdxExpressionTests
{
    [Theory]
    [InlineData("MIT", true)]
    [InlineData("0BSD", true)]
    [InlineData("zlib-acknowledgement", true)]
    [InlineData("GPL-2.0+", true)]
    [InlineData("GPL-2.0-or-later WITH Classpath-exception-2.0", true)]
    [InlineData("MIT AND (BSD-3-Clause OR Apache-2.0)", true)]
    [InlineData("((MIT))", true)]
    [InlineData("(MIT) AND ISC WITH LLVM-exception OR X11", true)]
    [InlineData("", false)]
    [InlineData(" ", false)]
    [InlineData("GPLv2+", false)]
    [InlineData("MIT and ISC", false)]
    [InlineData("mit", false)]
    [InlineData("MI", false)]
    [InlineData("MIT ISC", false)]
    [InlineData("MIT AND", false)]
    [InlineData("AND MIT", false)]
    [InlineData("(MIT", false)]
    [InlineData("MIT)", false)]
    [InlineData("()", false)]
    [InlineData("MIT WITH ISC", false)]
    [InlineData("MIT WITH", false)]
    [InlineData("Classpath-exception-2.0", false)]
    [InlineData("MIT\nISC", false)]
    [InlineData("LicenseRef-Callaway-BSD", false)]
    [InlineData("NOASSERTION", false)]
    public void An_expression_is_told_from_other_words(string text, bool expected) => Assert.Equal(expected, SpdxExpression.IsValid(text));

    [Fact]
    public void Parentheses_are_bounded()
    {
        Assert.True(SpdxExpression.IsValid(new string('(', 32) + "MIT" + new string(')', 32)));
        Assert.False(SpdxExpression.IsValid(new string('(', 400) + "MIT" + new string(')', 400)));
        Assert.False(SpdxExpression.IsValid(new string('(', 1 << 20)));
    }

    [Fact]
    public void The_ids_are_those_of_the_SPDX_list()
    {
        var folder = Path.Combine(Repository.Root, "build/sbom-schemas/node_modules");
        string[] licenses = [.. List("spdx-license-ids/index.json"), .. List("spdx-license-ids/deprecated.json")];

        Assert.True(licenses.Length > 600);
        Assert.All(licenses, id => Assert.True(SpdxExpression.IsLicenseId(id), id));
        Assert.All(List("spdx-exceptions/index.json"), id => Assert.True(SpdxExpression.IsValid($"MIT WITH {id}"), id));

        string[] List(string path) => JsonSerializer.Deserialize<string[]>(File.ReadAllText(Path.Combine(folder, path)))!;
    }
}
