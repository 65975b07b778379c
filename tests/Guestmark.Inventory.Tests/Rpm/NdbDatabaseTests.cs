using System.Buffers.Binary;
using Guestmark.Inventory.Rpm;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

public sealed class NdbDatabaseTests : IDisposable
{
    const int FirstSlot = 32;
    const int SlotBytes = 16;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    ReadDatabase Read(byte[] database, FileSelector? files = null)
    {
        File.WriteAllBytes(_folder.File("Packages.db"), database);
        return Databases.Read(_folder.File("Packages.db"), files);
    }

    static List<byte[]> Headers(int count) => [.. Enumerable.Range(1, count).Select(number => HeaderBuilder.Package($"package{number}", padding: number % 100 * 37))];

    static IEnumerable<string> Names(params int[] numbers) => numbers.Select(number => $"package{number}");

    [Fact]
    public void Every_slot_of_every_page_is_read_whatever_is_free_before_it()
    {
        foreach (var step in new[] { 1, 2, 7 })
        {
            var contents = Read(NdbBuilder.Build(Headers(1000), slotStep: step));

            Assert.Empty(contents.Problems);
            Assert.Equal(Enumerable.Range(1, 1000).Select(number => ((uint)number, $"package{number}")), contents.Headers);
        }
    }

    [Fact]
    public void Large_headers_are_read_to_their_end()
    {
        var contents = Read(NdbBuilder.Build([.. new[] { 1, 60_000, 70_000, 9_000_000, 10 }.Select((padding, i) => HeaderBuilder.Package($"package{i + 1}", padding: padding))]));

        Assert.Empty(contents.Problems);
        // The label lies behind the padding.
        Assert.Equal(Names(1, 2, 3, 4, 5).Select(name => $"{name}:1:2:3"), contents.Packages.Select(package => package.ModularityLabel));
    }

    public static TheoryData<string, int, byte[]> Wrong => new()
    {
        { "slot 3 does not begin as one", FirstSlot + SlotBytes, [0] },
        { "slot 3 says package 0 in", FirstSlot + SlotBytes + 4, [0] },
        { "slot 3 says package 2 in 1 blocks", FirstSlot + SlotBytes + 12, [1] },
        { "slot 3 says package 2 in", FirstSlot + SlotBytes + 8, [255, 0] },
        { "slot 3 says blocks", FirstSlot + SlotBytes + 12, [255, 255, 255, 255] },
        { "slot 3 says blocks", FirstSlot + SlotBytes + 8, [255, 255, 255, 255] },
        { "slot 3 has blocks of another package among 256", FirstSlot + SlotBytes + 8, [0, 1] },
        { "slot 3 leads to something else than package 9", FirstSlot + SlotBytes + 4, [9] },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void A_wrong_slot_costs_only_itself(string expected, int offset, byte[] bytes)
    {
        var database = NdbBuilder.Build(Headers(3));
        bytes.CopyTo(database, offset);

        var contents = Read(database);

        Assert.Equal(Names(1, 3), contents.Packages.Select(package => package.Name));
        Assert.StartsWith(expected, Assert.Single(contents.Problems));
    }

    [Theory]
    [InlineData(0, "slot 3 leads to something else than package 2")]
    [InlineData(4, "slot 3 leads to something else than package 2")]
    [InlineData(12, "slot 3 has 18 blocks for")]
    [InlineData(-8, "slot 3 leads to package 2 without an end")]
    [InlineData(-1, "slot 3 leads to package 2 without an end")]
    public void A_wrong_blob_costs_only_itself(int offset, string expected)
    {
        var database = NdbBuilder.Build(Headers(3));
        var slot = database.AsSpan(FirstSlot + SlotBytes);
        var start = 16 * BinaryPrimitives.ReadInt32LittleEndian(slot[8..]);
        var end = start + (16 * BinaryPrimitives.ReadInt32LittleEndian(slot[12..]));
        database[(offset < 0 ? end : start) + offset] ^= 0x10;

        var contents = Read(database);

        Assert.Equal(Names(1, 3), contents.Packages.Select(package => package.Name));
        Assert.StartsWith(expected, Assert.Single(contents.Problems));
    }

    [Fact]
    public void A_lying_header_is_named()
    {
        foreach (var (offset, value, expected) in new[] { (4, 1, "has ndb version 1; 0 is known"), (12, 1000, "is cut off: 1 of 1000 pages of slots are there") })
        {
            var database = NdbBuilder.Build(Headers(3));
            BinaryPrimitives.WriteInt32LittleEndian(database.AsSpan(offset), value);
            Assert.Equal(expected, Read(database).Problems[0]);
        }
    }

    [Fact]
    public void Keys_are_no_packages()
    {
        var contents = Read(NdbBuilder.Build([HeaderBuilder.Package("gpg-pubkey"), HeaderBuilder.Package("package")]));
        Assert.Equal(["package"], contents.Packages.Select(package => package.Name));
        Assert.Empty(contents.Problems);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_packages_or_problems()
    {
        var original = NdbBuilder.Build([.. Headers(4), HeaderBuilder.Package("large", padding: 70_000)]);
        var path = _folder.File("Packages.db");
        var random = new Random(20260113);
        for (var i = Damage.Inputs(2_000); i > 0; i--)
        {
            // The slots, and then the blobs, which begin behind the page of the slots.
            var database = Damage.Mutate(original, random, focus: random.Next(2) == 0 ? FirstSlot + (5 * SlotBytes) : NdbBuilder.PageBytes + 2000);
            File.WriteAllBytes(path, database);
            Damage.AssertBounded(() => Databases.Read(path, (_, _) => true), database.Length, $"case {i}");
        }
    }
}
