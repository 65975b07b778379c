using System.Text;
using Guestmark.Rpc.Http2;
using Xunit;

namespace Guestmark.Rpc.Tests;

public sealed class HpackTests
{
    /// <summary>All 256 bytes in order, encoded by another implementation (python3-hpack 4.0.0).</summary>
    const string AllBytesEncoded =
        "ffc7fffd8fffffe2fffffe3fffffe4fffffe5fffffe6fffffe7fffffe8ffffeafffffff3fffffa7fffffabffffffdfffffebfffffecfffffedfffffe" +
        "efffffefffffff0ffffff1ffffff2fffffffbfffffcffffffd3fffffd7fffffdbfffffdffffffe3fffffe7fffffebfffffed4fe3f9ffaffcabf1febf" +
        "afefe7fdfd2cbb00089969b71d79fb9f7fff20ffbff3ff50ddbd7f061c58f265cd9f469d5af66dddbf871e5f9cff7ff7fffc3ff9ffe45fff4719242c" +
        "b34e6e9d68a6a3d7dac426defe3cfaf7fffbfe7ffbffdffffffcfffe6ffff4bfff9ffffa3fffd3ffff53fffd5ffffb3fffeb7fffdaffffb7ffff73ff" +
        "feeffffdeffffebffffbfffffd9ffffdbfffebffffe0ffffeeffffc3ffff8bffff1ffffe4fffee7fffb1ffff97fffd9ffffcdffff9fffffbffffdaff" +
        "feeffff4ffffb7fffee7fffe8ffffd3fffdeffffd5fffeeffffbdffffe1fffdfffff7fffff5ffffecffff07fff87fffe0ffff17fffedffff87ffff77" +
        "fffeffffeaffff8bfffe3ffff93ffff87fffcbffff37ffff1fffff83ffffe1fffebfffe3ffff3fffff2ffffa3ffffd9fffff17ffffc7fffff27ffffd" +
        "efffffbffffff2fffff8fffffb7fff97fff8fffffe6fffffc1fffff87ffffe7fffffc5ffffe5fffe4ffff2fffffd1fffff4ffffffefffffe3fffffc9" +
        "fffff97fffb3ffffcffffb7fffcdffff4ffff9ffffd1ffffcffffeaffffafffffddffffeffffff4fffff5fffffabffffa7ffffd7fffff9bffffecfff" +
        "ffb7fffff3fffffe8fffffd3fffffabfffff5fffffff7ffffecfffffdbfffffbbfffff7ffffff0fffffbbf";

    [Fact]
    public void Huffman_decodes_every_byte()
    {
        var encoded = Convert.FromHexString(AllBytesEncoded);
        var decoded = new byte[Huffman.DecodedBytesMax(encoded.Length)];

        Assert.Equal(256, Huffman.Decode(encoded, decoded));
        Assert.Equal(Enumerable.Range(0, 256).Select(i => (byte)i), decoded[..256]);
    }

    [Theory]
    [InlineData("ffffffff")]
    [InlineData("1f00")]
    [InlineData("1e")]
    public void Huffman_refuses_end_of_string_and_wrong_padding(string encoded) =>
        Assert.Equal(-1, Huffman.Decode(Convert.FromHexString(encoded), new byte[64]));

    /// <summary>RFC 7541, C.5: three responses on one connection, with a table of 256 bytes from which entries are evicted.</summary>
    [Fact]
    public void Responses_of_the_specification_are_decoded_with_evictions()
    {
        var decoder = new HpackDecoder();
        decoder.Decode([0x3f, 0xe1, 0x01], null);

        Assert.Equal(
            [":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
            Decode(decoder, "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d"));
        Assert.Equal(
            [":status: 307", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
            Decode(decoder, "4803333037c1c0bf"));
        Assert.Equal(
            [
                ":status: 200", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:22 GMT", "location: https://www.example.com",
                "content-encoding: gzip", "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ],
            Decode(
                decoder,
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31"));
    }

    /// <summary>RFC 7541, C.6: the same with Huffman coding.</summary>
    [Fact]
    public void Responses_with_huffman_coding_are_decoded()
    {
        var decoder = new HpackDecoder();
        decoder.Decode([0x3f, 0xe1, 0x01], null);

        Assert.Equal(
            [":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
            Decode(decoder, "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3"));
        Assert.Equal(
            [":status: 307", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"],
            Decode(decoder, "4883640effc1c0bf"));
    }

    [Fact]
    public void What_the_encoder_writes_the_decoder_reads_also_when_the_peer_shrinks_its_table()
    {
        var encoder = new HpackEncoder("http", "host:1");
        var decoder = new HpackDecoder();
        var metadata = new RpcMetadata { { "name", new string('v', 300) } };
        string[] expected =
        [
            ":method: POST", ":scheme: http", ":path: /a/b", ":authority: host:1", "te: trailers", "content-type: application/grpc",
            "user-agent: guestmark", "grpc-timeout: 1S", $"name: {new string('v', 300)}",
        ];
        var sizes = new List<int>();
        for (var i = 0; i < 6; i++)
        {
            if (i == 3) encoder.LimitTable(100);
            foreach (var path in (string[])["/a/b", "/other/path"])
            {
                var output = new OutputBuffer();
                encoder.EncodeRequest(output, path, "1S", metadata);
                var decoded = Decode(decoder, output.Written.Span);
                sizes.Add(output.Length);
                Assert.Equal(expected.Select(field => field.Replace("/a/b", path)), decoded);
            }
        }

        // What repeats costs a byte each; after the table is gone it is written out.
        Assert.Equal(sizes[2], sizes[4]);
        Assert.True(sizes[2] < sizes[0] - 60);
        Assert.True(sizes[6] > sizes[4] + 60);
    }

    [Theory]
    [InlineData("80")]
    [InlineData("be")]
    [InlineData("7f")]
    [InlineData("ffffffffffffffff")]
    [InlineData("0005")]
    [InlineData("3fe2ff03")]
    [InlineData("00ff8080808080")]
    public void A_malformed_block_is_refused(string block) =>
        Assert.Throws<Http2Exception>(() => new HpackDecoder().Decode(Convert.FromHexString(block), null));

    [Fact]
    public void A_block_that_repeats_one_large_entry_is_refused()
    {
        var decoder = new HpackDecoder();
        // Literal with indexing, name "a", a value of 127 + 33 + 30 * 128 = 4000 bytes.
        byte[] entry = [0x40, 0x01, (byte)'a', 0x7f, 0xa1, 0x1e, .. new byte[4000]];
        decoder.Decode(entry, null);

        var failure = Assert.Throws<Http2Exception>(() => decoder.Decode(Enumerable.Repeat((byte)0xbe, 1000).ToArray(), null));

        Assert.Equal(Http2ErrorCode.EnhanceYourCalm, failure.Code);
    }

    [Fact]
    public void Any_bytes_are_decoded_or_refused()
    {
        var random = new Random(1);
        var block = new byte[64];
        for (var i = 0; i < 100_000; i++)
        {
            var bytes = block.AsSpan(0, random.Next(block.Length));
            random.NextBytes(bytes);
            try
            {
                new HpackDecoder().Decode(bytes, null);
            }
            catch (Http2Exception)
            {
                // The other of the two outcomes.
            }
        }
    }

    static List<string> Decode(HpackDecoder decoder, string hex) => Decode(decoder, Convert.FromHexString(hex));

    static List<string> Decode(HpackDecoder decoder, ReadOnlySpan<byte> block)
    {
        var sink = new Sink();
        decoder.Decode(block, sink);
        return sink.Fields;
    }

    sealed class Sink : IHeaderSink
    {
        public List<string> Fields { get; } = [];

        public void OnHeader(HeaderKind kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) =>
            Fields.Add($"{Encoding.Latin1.GetString(name)}: {Encoding.Latin1.GetString(value)}");
    }
}
