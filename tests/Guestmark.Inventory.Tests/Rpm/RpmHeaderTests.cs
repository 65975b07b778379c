using System.Buffers.Binary;
using Guestmark.Inventory.Rpm;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

public sealed class RpmHeaderTests
{
    static HeaderBuilder Bash() => new HeaderBuilder().AddText(1000, "bash").AddText(1001, "5.2").AddText(1002, "1.el9").AddNumber(1003, 7);

    static string? Read(byte[] blob, out RpmHeader header)
    {
        var bytes = new ChainedBytes();
        bytes.Begin(blob.Length, blob);
        return RpmHeader.TryRead(bytes, 1, new TextPool(), out header);
    }

    [TestDataFact]
    public void A_real_header_is_decoded()
    {
        var error = Read(File.ReadAllBytes(Repository.TestDataPath("rpmdb/claircore-package.header")), out var header);

        Assert.Null(error);
        Assert.NotEqual("", header.Name);
        Assert.Contains(header.Version, header.SourceRpm);
    }

    [Fact]
    public void A_header_without_region_is_accepted()
    {
        Assert.Null(Read(Bash().Build(), out var header));
        Assert.Equal(new RpmHeader(1, "bash", 7, "5.2", "1.el9", null, null, null), header);
    }

    [Fact]
    public void Entries_behind_the_region_override_those_inside()
    {
        Assert.Null(Read(Bash().CloseRegion().AddText(1002, "2.el9").AddNumber(1003, 0).AddText(1044, "bash-5.2-2.el9.src.rpm").Build(), out var header));
        Assert.Equal(new RpmHeader(1, "bash", 0, "5.2", "2.el9", null, "bash-5.2-2.el9.src.rpm", null), header);
    }

    [Fact]
    public void Text_that_is_not_UTF8_becomes_replacement_characters()
    {
        var blob = Bash().Build();
        blob[8 + (4 * 16)] = 0xff;
        Assert.Null(Read(blob, out var header));
        Assert.Equal("\ufffdash", header.Name);
    }

    [Theory]
    [InlineData(1000u, "NAME")]
    [InlineData(1001u, "VERSION")]
    [InlineData(1002u, "RELEASE")]
    public void A_header_without_its_identity_is_refused(uint tag, string name)
    {
        var blob = Bash().Build();
        for (var entry = 8; entry < 8 + (4 * 16); entry += 16)
        {
            if (BinaryPrimitives.ReadUInt32BigEndian(blob.AsSpan(entry)) == tag) BinaryPrimitives.WriteUInt32BigEndian(blob.AsSpan(entry), 1100);
        }

        Assert.Contains($"has no {name}", Read(blob, out _));
    }

    public static TheoryData<string, byte[]> Lies => new()
    {
        { "has 3 bytes", [0, 0, 0] },
        { "has 0 index entries", new byte[8] },
        { "has 65536 index entries", [0, 1, 0, 0, 0, 0, 0, 0] },
        { "has 268435456 bytes of data", [0, 0, 0, 1, 0x10, 0, 0, 0] },
        { "says 92 bytes and has 93", [.. Bash().Build(), 0] },
        { "has tag 99", Bash().AddRaw(99, 6, 0, 1).Build() },
        { "has type 10", Bash().AddRaw(1100, 10, 0, 1).Build() },
        { "puts tag 1100 at 4000", Bash().AddRaw(1100, 7, 4000, 1).Build() },
        { "puts tag 1100 at 0 × 4294967295", Bash().AddRaw(1100, 7, 0, uint.MaxValue).Build() },
        { "puts tag 1100 at 2 × 1", Bash().AddRaw(1100, 4, 2, 1).Build() },
        { "puts tag 1100 at 8 × 9", Bash().AddRaw(1100, 5, 8, 9).Build() },
        { "has a RELEASE that is not one string", Bash().AddRaw(1002, 8, 0, 2).Build() },
        { "has an EPOCH that is not one number", Bash().AddRaw(1003, 3, 0, 1).Build() },
        { "has a NAME of more than 1024 bytes", new HeaderBuilder().AddText(1000, new string('a', 1025)).Build() },
        { "has a NAME without an end", new HeaderBuilder().AddBinary(1100, "bash"u8.ToArray()).AddRaw(1000, 6, 0, 1).Build() },
        { "has a bad region", new HeaderBuilder().AddRaw(63, 7, 0, 16).Build() },
        { "has a bad region", new HeaderBuilder().AddRaw(63, 6, 0, 16).AddBinary(1100, new byte[16]).Build() },
    };

    [Theory]
    [MemberData(nameof(Lies))]
    public void A_header_that_lies_is_refused(string expected, byte[] blob) => Assert.Contains(expected, Read(blob, out _));

    [TestDataFact]
    public void Any_bytes_give_a_header_or_an_error()
    {
        var original = File.ReadAllBytes(Repository.TestDataPath("rpmdb/claircore-package.header"));
        var random = new Random(20260101);
        for (var i = 0; i < 20_000; i++)
        {
            var blob = Damage.Mutate(original, random, focus: 8 + (100 * 16));
            Damage.AssertBounded(() => Read(blob, out _), blob.Length, $"case {i}");
        }
    }
}
