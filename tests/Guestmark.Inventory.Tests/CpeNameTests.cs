using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests;

public sealed class CpeNameTests
{
    // The first from a report of claircore; the others from NISTIR 7695, sections 6.1.3 and 6.2.3.
    [Theory]
    [InlineData("cpe:/a:redhat:enterprise_linux:8::appstream", "cpe:2.3:a:redhat:enterprise_linux:8:*:appstream:*:*:*:*:*")]
    [InlineData("cpe:/a:microsoft:internet_explorer:8.0.6001:beta", "cpe:2.3:a:microsoft:internet_explorer:8.0.6001:beta:*:*:*:*:*:*")]
    [InlineData("cpe:/a:microsoft:internet_explorer:8.%02:sp%01", "cpe:2.3:a:microsoft:internet_explorer:8.*:sp?:*:*:*:*:*:*")]
    [InlineData("cpe:/a:hp:insight_diagnostics:7.4.0.1570::~~online~win2003~x64~", "cpe:2.3:a:hp:insight_diagnostics:7.4.0.1570:*:*:*:online:win2003:x64:*")]
    [InlineData("cpe:/a:hp:openview_network_manager:7.51:-:~~~linux~~", "cpe:2.3:a:hp:openview_network_manager:7.51:-:*:*:*:linux:*:*")]
    [InlineData("cpe:/a:foo%5cbar:big%24money_2010%07:::~~special~ipod_touch~80gb~", null)]
    [InlineData("cpe:/a:foo%5cbar:big%24money_2010", "cpe:2.3:a:foo\\\\bar:big\\$money_2010:*:*:*:*:*:*:*:*")]
    [InlineData("cpe:/o:Vendor:p~q", "cpe:2.3:o:vendor:p\\~q:*:*:*:*:*:*:*:*")]
    [InlineData("cpe:/o", "cpe:2.3:o:*:*:*:*:*:*:*:*:*:*")]
    [InlineData("cpe:/", null)]
    [InlineData("cpe:/x:v:p", null)]
    [InlineData("cpe:/o:v:p:1:2:3:4:5", null)]
    [InlineData("cpe:/o:v:p:1::~a~b", null)]
    [InlineData("cpe:/o:v:p%4", null)]
    [InlineData("cpe:/o:v:p p", null)]
    [InlineData("cpe:/o:v:p\"", null)]
    [InlineData("cpe:2.3:o:v:p:*:*:*:*:*:*:*:*", null)]
    [InlineData("", null)]
    public void A_URI_becomes_a_formatted_string(string uri, string? expected) => Assert.Equal(expected, CpeName.ToFormattedString(uri));

    [TestDataFact]
    public void Every_CPE_of_the_real_mapping_has_a_formatted_string()
    {
        using var mapping = System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(Repository.TestDataPath("repo2cpe/repository-to-cpe.full-2025.json")));
        var cpes = mapping.RootElement.GetProperty("data").EnumerateObject()
            .SelectMany(repository => repository.Value.GetProperty("cpes").EnumerateArray().Select(cpe => cpe.GetString()!)).Distinct().ToList();

        Assert.True(cpes.Count > 1000);
        Assert.All(cpes, cpe => Assert.Equal(13, CpeName.ToFormattedString(cpe)?.Split(':').Length));
    }
}
