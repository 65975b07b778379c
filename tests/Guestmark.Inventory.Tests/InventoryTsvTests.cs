using System.Text;
using Guestmark.Inventory.Tests.Sbom;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests;

public sealed class InventoryTsvTests
{
    static string Table(GuestInventory inventory) => Encoding.UTF8.GetString(Schemas.Bytes(stream => InventoryTsv.Write(inventory, stream)));

    [TestDataTheory]
    [MemberData(nameof(SampleInventories.TableRows), MemberType = typeof(SampleInventories))]
    public void What_rpm_printed_is_written_as_rpm_prints_it(string name) =>
        Assert.Equal(File.ReadAllText(Repository.TestDataPath($"rpmdb/expected-rpm-4.18/{name}.tsv")), Table(SampleInventories.OfTable(name)));

    [Fact]
    public void Only_rpm_packages_have_lines_and_every_line_has_twenty_columns()
    {
        var lines = Table(SampleInventories.Full).Split('\n');

        Assert.Equal(3, lines.Length);
        Assert.All(lines[..2], line => Assert.Equal(20, line.Split('\t').Length));
        var columns = lines[1].Split('\t');
        Assert.Equal(("4294967295", "bash", "1"), (columns[0], columns[1], columns[2]));
        Assert.Equal("RSA/SHA256, Thu Jan 27 09:01:16 2022, Key ID 199e2f91fd431d51", columns[17]);
        Assert.Equal("EdDSA/SHA256, Thu Jan  1 00:00:00 1970, Key ID 0000000000000000", columns[18]);
    }

    [Fact]
    public void A_tab_in_a_value_does_not_begin_a_column()
    {
        var package = SampleInventories.Empty.Packages[0] with { License = "a\tb\nc", Vendor = "\r" };
        var line = Table(new GuestInventory(OsRelease.Unknown, [package], [])).Split('\n')[1];

        Assert.Equal(20, line.Split('\t').Length);
        Assert.EndsWith("\ta b c", line);
    }
}
