using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory.Tests.Rpm;

public sealed class OpenPgpPacketTests
{
    const string Created = "5f010203";
    const string KeyId = "05b555b38483c65d";
    const string FingerprintV4 = "99db70fae1d7ce227fb64882" + KeyId;
    const string FingerprintV6 = KeyId + "000102030405060708090a0b0c0d0e0f1011121314151617";
    const string CreatedSubpacket = "0502" + Created;
    const string KeyIdSubpacket = "0910" + KeyId;

    /// <summary>RSA, SHA-256, both subpackets in the unhashed area but the time.</summary>
    public static byte[] Version4 => Packet("c2", V4(CreatedSubpacket, KeyIdSubpacket));

    static string V4(string hashed, string unhashed, string lengthFormat = "x4", string version = "04") =>
        $"{version}000108{(hashed.Length / 2).ToString(lengthFormat)}{hashed}{(unhashed.Length / 2).ToString(lengthFormat)}{unhashed}abcd0001ff";

    /// <summary>A packet of new format with a length of one byte.</summary>
    static byte[] Packet(string header, string body) => Convert.FromHexString($"{header}{body.Length / 2:x2}{body}");

    static OpenPgpSignature? Read(byte[] bytes) => OpenPgpPacket.Read(bytes, new TextPool());

    public static TheoryData<string, byte[]> Packets => new()
    {
        { "version 4", Version4 },
        { "old format, length of one byte", Packet("88", V4(CreatedSubpacket, KeyIdSubpacket)) },
        { "old format, length of two bytes", Packet("8900", V4(CreatedSubpacket, KeyIdSubpacket)) },
        { "old format, length of four bytes", Packet("8a000000", V4(CreatedSubpacket, KeyIdSubpacket)) },
        { "old format, to the end", Convert.FromHexString("8b" + V4(CreatedSubpacket, KeyIdSubpacket)) },
        { "new format, length of five bytes", Packet("c2ff000000", V4(CreatedSubpacket, KeyIdSubpacket)) },
        { "new format, length of two bytes", Convert.FromHexString("c2c040" + V4(CreatedSubpacket, KeyIdSubpacket).PadRight(512, '0')) },
        { "hashed key id counts before an unhashed one", Packet("c2", V4(CreatedSubpacket + KeyIdSubpacket, "0910" + "ffffffffffffffff")) },
        { "critical subpackets", Packet("c2", V4("0582" + Created + "0990" + KeyId, "")) },
        { "fingerprint of version 4", Packet("c2", V4(CreatedSubpacket + "162104" + FingerprintV4, "")) },
        { "fingerprint of version 6", Packet("c2", V4(CreatedSubpacket + "222106" + FingerprintV6, "", "x8", "06")) },
        { "unknown subpackets", Packet("c2", V4("0363aabb" + CreatedSubpacket + "ff000000020901", KeyIdSubpacket)) },
        { "version 3", Packet("88", "030500" + Created + KeyId + "0108abcd") },
    };

    [Theory]
    [MemberData(nameof(Packets))]
    public void A_signature_says_its_algorithms_time_and_key(string what, byte[] packet)
    {
        Assert.NotEmpty(what);
        Assert.Equal(new OpenPgpSignature(1, 8, 0x5f010203, KeyId), Read(packet));
    }

    [Fact]
    public void What_a_signature_does_not_say_is_absent() =>
        Assert.Equal(new OpenPgpSignature(1, 8, null, ""), Read(Packet("c2", V4("", ""))));

    [Theory]
    [InlineData("")]
    [InlineData("c2")]
    [InlineData("c205")]
    [InlineData("42050400010800000000")]
    [InlineData("c6080400010800000000")]
    [InlineData("c2080500010800000000")]
    [InlineData("c2e00400010800000000")]
    [InlineData("c2080400010800010000")]
    [InlineData("c20904000108000100000000")]
    [InlineData("c2090400010800010500000000")]
    [InlineData("8803030500")]
    [InlineData("88110304005f01020305b555b38483c65d0108")]
    public void What_is_no_signature_is_none(string hex) => Assert.Null(Read(Convert.FromHexString(hex)));

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_a_signature_or_none()
    {
        byte[][] seeds = [.. Packets.Select(row => (byte[])row[1])];
        var random = new Random(20260111);
        var signatures = 0;
        for (var i = Damage.Inputs(20_000); i > 0; i--)
        {
            var packet = Damage.Mutate(seeds[random.Next(seeds.Length)], random, focus: 16);
            Damage.AssertBounded(() => signatures += Read(packet) is null ? 0 : 1, packet.Length, $"case {i}");
        }

        Assert.True(signatures > 1000, $"only {signatures} cases were signatures");
    }
}
