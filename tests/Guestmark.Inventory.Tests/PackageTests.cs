using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Inventory.Tests;

public sealed class PackageTests
{
    [Theory]
    [InlineData("1:2-3", 1u, "2", "3")]
    [InlineData("2:1:3-1", 2u, "1:3", "1")]
    [InlineData("1.2-rc1-3", null, "1.2-rc1", "3")]
    [InlineData("2", null, "2", "")]
    [InlineData("", null, "", "")]
    [InlineData("-", null, "", "")]
    [InlineData(":1", null, ":1", "")]
    [InlineData("x:2-3", null, "x:2", "3")]
    [InlineData("+1:2-3", null, "+1:2", "3")]
    [InlineData(" 1:2-3", null, " 1:2", "3")]
    [InlineData("99999999999:2-3", null, "99999999999:2", "3")]
    public void Any_version_is_split_and_that_of_a_report_likewise(string text, uint? epoch, string version, string release)
    {
        Assert.Equal((epoch, version, release), Package.SplitVersion(text));

        var contents = new Scanner.Contents { Packages = { ["1"] = new Scanner.Package { Name = "a", Kind = "binary", PackageDb = "bdb:x", Version = text } } };
        var report = new VMReport { IndexReport = new IndexReport { IndexV4 = new Scanner.IndexReport { Contents = contents } } };
        var package = Assert.Single(InventoryReports.Read(report).Packages);
        Assert.Equal((epoch, version, release), (package.Epoch, package.Version, package.Release));
    }
}
