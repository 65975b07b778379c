using System.Text;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.Inventory.Tests.Sbom;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests;

[Collection(nameof(RealDatabases))]
public sealed class InventoryJsonReaderTests(RealDatabases databases)
{
    static byte[] Document(GuestInventory inventory) => Schemas.Bytes(stream => InventoryJson.Write(inventory, stream));

    static GuestInventory Read(byte[] document)
    {
        var inventory = InventoryJsonReader.TryRead(document, out var error);
        Assert.Null(error);
        return inventory!;
    }

    static void AssertComesBack(GuestInventory inventory) =>
        Assert.Equal(Encoding.UTF8.GetString(Document(inventory)), Encoding.UTF8.GetString(Document(Read(Document(inventory)))));

    [Fact]
    public void Every_value_comes_back()
    {
        AssertComesBack(SampleInventories.Full);
        AssertComesBack(SampleInventories.Empty);
        Assert.Equal(SampleInventories.Full.Packages[0].Repository, Read(Document(SampleInventories.Full)).Packages[0].Repository);
    }

    [TestDataFact]
    public void Real_inventories_come_back()
    {
        foreach (var inventory in SampleInventories.Real(databases)) AssertComesBack(inventory);
        AssertComesBack(InventoryScanner.Scan(new InventoryScanOptions { HostPath = databases.Root("centos8-modularitylabel"), Files = true, Dependencies = true }, CancellationToken.None));
    }

    [Fact]
    public void What_a_newer_agent_adds_is_passed_over()
    {
        var text = Encoding.UTF8.GetString(Document(SampleInventories.Full));
        var newer = text.Replace("\"keyId\"", "\"extra\":{\"a\":[1]},\"keyId\"").Replace("\"os\":", "\"schema\":[{}],\"os\":");

        Assert.Equal(text, Encoding.UTF8.GetString(Document(Read(Encoding.UTF8.GetBytes(newer)))));
    }

    [Theory]
    [InlineData("", "is no JSON: ")]
    [InlineData("[]", "is no inventory")]
    [InlineData("{}", "is no inventory")]
    [InlineData("""{"os":{"id":"debian"},"packages":{}}""", "is no inventory")]
    [InlineData("""{"os":{},"packages":[{"name":"a","version":"1","manager":"rpm"},{"version":"1","manager":"rpm"}]}""", "$.packages[1].name is no text")]
    [InlineData("""{"os":{},"packages":[{"name":"a","version":1,"manager":"rpm"}]}""", "$.packages[0].version is no text")]
    [InlineData("""{"os":{},"packages":[{"name":"a","version":"1","manager":"brew"}]}""", "$.packages[0].manager is 'brew'")]
    [InlineData("""{"os":{},"packages":[]} more""", "is no JSON: ")]
    [InlineData("""{"os":{"id":"\udc00"},"packages":[]}""", "no Unicode")]
    public void What_is_no_inventory_is_refused_with_the_reason(string text, string reason)
    {
        Assert.Null(InventoryJsonReader.TryRead(Encoding.UTF8.GetBytes(text), out var error));
        Assert.Contains(reason, error, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_an_inventory_or_an_error()
    {
        var seed = Document(SampleInventories.Full);
        var random = new Random(1);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var damaged = Damage.Mutate(seed, random, 400);
            GuestInventory? inventory = null;
            string? error = null;
            Damage.AssertBounded(() => inventory = InventoryJsonReader.TryRead(damaged, out error), damaged.Length, $"case {i}");
            Assert.True(inventory is null == error is not null, $"case {i}");
        }
    }
}
