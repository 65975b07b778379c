using Guestmark.VhostUserVsock;

namespace Guestmark.VmLab;

public sealed class VsockPacketTests
{
    static readonly VsockHeader Header = new()
    {
        SourceCid = 0x0102030405060708,
        DestinationCid = 2,
        SourcePort = 0x11121314,
        DestinationPort = 818,
        Length = 3,
        Type = VsockHeader.TypeStream,
        Operation = VsockOperation.Data,
        Flags = 0x21222324,
        BufferBytes = 0x31323334,
        ForwardedBytes = 0x41424344,
    };

    [Fact]
    public void A_header_is_laid_out_as_virtio_says()
    {
        var bytes = new byte[VsockHeader.Bytes];
        Header.Write(bytes);
        Assert.Equal(
            "0807060504030201" + "0200000000000000" + "14131211" + "32030000" + "03000000" + "0100" + "0500" + "24232221" + "34333231" + "44434241",
            Convert.ToHexString(bytes));
        Assert.Equal(Header, VsockHeader.Read(bytes));
    }

    [Fact]
    public void A_packet_ends_where_its_length_says()
    {
        Assert.Null(VsockPacket.TryRead(Bytes(Header, "abcdef"u8), out var packet));
        Assert.Equal("abc"u8.ToArray(), packet!.Payload.ToArray());
        Assert.Equal(Header, packet.Header);
    }

    [Theory]
    [InlineData(0u, 43)]
    [InlineData(1u, 44)]
    [InlineData(65537u, 44 + 65537)]
    [InlineData(uint.MaxValue, 44 + 65536)]
    public void A_packet_whose_length_is_not_there_is_refused(uint length, int bytes)
    {
        var buffer = new byte[Math.Max(bytes, VsockHeader.Bytes)];
        (Header with { Length = length }).Write(buffer);
        Assert.NotNull(VsockPacket.TryRead(buffer.AsMemory(0, bytes), out var packet));
        Assert.Null(packet);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_are_a_packet_within_them_or_refused()
    {
        var inputs = int.Parse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS") ?? "2000");
        var random = new Random(5);
        var accepted = 0;
        for (var i = 0; i < inputs; i++)
        {
            var bytes = new byte[random.Next(0, 200)];
            random.NextBytes(bytes);
            // Lengths near the truth are worth more than those of random bytes.
            if (bytes.Length >= VsockHeader.Bytes && i % 2 == 0) BitConverter.TryWriteBytes(bytes.AsSpan(24), random.Next(-2, bytes.Length));
            if (VsockPacket.TryRead(bytes, out var packet) is not null) continue;
            accepted++;
            Assert.Equal(packet!.Header.Length, (uint)packet.Payload.Length);
            Assert.Equal(bytes.AsSpan(VsockHeader.Bytes, packet.Payload.Length), packet.Payload.Span);
        }

        Assert.InRange(accepted, 1, inputs - 1);
    }

    [Fact]
    public void A_refusal_goes_back_to_where_the_packet_came_from()
    {
        var refusal = (Header with { SourceCid = 1001, DestinationCid = 2 }).Refusal();
        Assert.Equal((2ul, 818u, 1001ul, 0x11121314u), (refusal.SourceCid, refusal.SourcePort, refusal.DestinationCid, refusal.DestinationPort));
        Assert.Equal((VsockOperation.Reset, 0u), (refusal.Operation, refusal.Length));
    }

    static byte[] Bytes(VsockHeader header, ReadOnlySpan<byte> payload)
    {
        var bytes = new byte[VsockHeader.Bytes + payload.Length];
        header.Write(bytes);
        payload.CopyTo(bytes.AsSpan(VsockHeader.Bytes));
        return bytes;
    }
}
