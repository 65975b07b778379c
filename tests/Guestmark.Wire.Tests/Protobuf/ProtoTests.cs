using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.TestKit;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Wire.Tests.Protobuf;

public sealed class ProtoTests
{
    static ProtoWriter Writer(Action<ProtoWriter> write)
    {
        var writer = new ProtoWriter(capacity: 1);
        write(writer);
        return writer;
    }

    [Theory]
    [InlineData(0L)]
    [InlineData(1L)]
    [InlineData(127L)]
    [InlineData(128L)]
    [InlineData((long)int.MaxValue)]
    [InlineData(-1L)]
    [InlineData(long.MinValue)]
    [InlineData(long.MaxValue)]
    public void Numbers_are_written_as_generated_code_writes_them(long value)
    {
        var written = Writer(writer => writer.Varint(1, (ulong)value)).Written;

        Assert.Equal(new Int64Value { Value = value }.ToByteArray(), written.ToArray());
        var reader = new ProtoReader(written.Span);
        if (value == 0)
        {
            Assert.False(reader.TryNext(out _, out _));
            return;
        }

        Assert.True(reader.TryNext(out var field, out var type));
        Assert.Equal((1, WireType.Varint, (ulong)value), (field, type, reader.Varint));
        Assert.False(reader.TryNext(out _, out _));
        Assert.False(reader.IsMalformed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("bash")]
    [InlineData("größer als 😀")]
    public void Texts_are_written_as_generated_code_writes_them(string value) =>
        Assert.Equal(new StringValue { Value = value }.ToByteArray(), Writer(writer => writer.Text(1, value)).Written.ToArray());

    [Fact]
    public void Half_a_character_becomes_a_replacement() =>
        Assert.Equal("a\ufffd", StringValue.Parser.ParseFrom(Writer(writer => writer.Text(1, "a\ud83d")).Written.Span).Value);

    [Fact]
    public void Defaults_are_written_when_asked_for()
    {
        Assert.Equal([0x08, 0x00], Writer(writer => writer.Varint(1, 0, evenIfDefault: true)).Written.ToArray());
        Assert.Equal([0x0a, 0x00], Writer(writer => writer.Text(1, "", evenIfDefault: true)).Written.ToArray());
        Assert.Equal([0x0a, 0x00], Writer(writer => writer.Bytes(1, [], evenIfDefault: true)).Written.ToArray());
    }

    // Lengths around every size of the length itself that a report can have.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(60)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(16_383)]
    [InlineData(16_384)]
    [InlineData(2_097_151)]
    [InlineData(2_097_152)]
    public void Nested_messages_have_their_length_in_front(int textLength)
    {
        var text = new string('x', textLength);
        var expected = new VMReport
        {
            IndexReport = new IndexReport { VmId = "after", IndexV4 = new Scanner.IndexReport { HashId = text, Contents = new Scanner.Contents() } },
            DiscoveredData = new DiscoveredData(),
        };

        var written = Writer(writer =>
        {
            var report = writer.Begin(1);
            var index = writer.Begin(2);
            writer.Text(1, text);
            writer.End(writer.Begin(5));
            writer.End(index);
            writer.Text(3, "after");
            writer.End(report);
            writer.End(writer.Begin(2));
        }).Written;

        Assert.Equal(expected.ToByteArray(), written.ToArray());
    }

    [Fact]
    public void A_writer_is_used_again()
    {
        var writer = Writer(writer => writer.Text(1, "first"));
        writer.Reset();
        writer.Entry(1000, "key", "value");

        var reader = new ProtoReader(writer.Written.Span);
        Assert.True(reader.TryNext(out var field, out _));
        Assert.Equal(1000, field);
        var entry = new ProtoReader(reader.Bytes);
        Assert.True(entry.TryNext(out _, out _));
        Assert.Equal("key"u8.ToArray(), entry.Bytes.ToArray());
        Assert.True(entry.TryNext(out _, out _));
        Assert.Equal("value"u8.ToArray(), entry.Bytes.ToArray());
        Assert.False(reader.TryNext(out _, out _));
    }

    [Fact]
    public void A_writer_allocates_nothing_once_it_has_grown()
    {
        var writer = new ProtoWriter();
        Write();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Write();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Write()
        {
            writer.Reset();
            for (var i = 0; i < 1000; i++)
            {
                var mark = writer.Begin(1);
                writer.Text(1, "name");
                writer.Varint(2, (ulong)i);
                writer.End(mark);
            }
        }
    }

    [Fact]
    public void Fixed_numbers_are_read()
    {
        var reader = new ProtoReader([0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4]);

        Assert.True(reader.TryNext(out var field, out var type));
        Assert.Equal((1, WireType.Fixed64, 0x0807060504030201ul), (field, type, reader.Varint));
        Assert.True(reader.TryNext(out field, out type));
        Assert.Equal((2, WireType.Fixed32, 0x04030201ul), (field, type, reader.Varint));
        Assert.Equal(14, reader.Position);
    }

    [Theory]
    [InlineData("08", "a number without a byte")]
    [InlineData("0880", "a number that is cut")]
    [InlineData("08ffffffffffffffffffff01", "a number of eleven bytes")]
    [InlineData("00", "field number 0")]
    [InlineData("f8ffffffff01", "a field number over 29 bits")]
    [InlineData("0a", "a length that is cut")]
    [InlineData("0a0278", "a text that is cut")]
    [InlineData("0affffffffffffffffff01", "a length over 31 bits")]
    [InlineData("09010203", "eight bytes that are cut")]
    [InlineData("0d010203", "four bytes that are cut")]
    [InlineData("0b", "a group")]
    [InlineData("0c", "the end of a group")]
    [InlineData("0e", "wire type 6")]
    [InlineData("0f", "wire type 7")]
    public void A_malformed_field_ends_the_reading(string hex, string what)
    {
        var reader = new ProtoReader([0x10, 1, .. Convert.FromHexString(hex)]);

        Assert.True(reader.TryNext(out _, out _), what);
        Assert.False(reader.TryNext(out _, out _), what);
        Assert.True(reader.IsMalformed, what);
        Assert.False(reader.TryNext(out _, out _), what);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void A_reader_takes_what_generated_code_takes()
    {
        var seed = new VMReport
        {
            IndexReport = new IndexReport { VsockCid = "3", IndexV4 = new Scanner.IndexReport { HashId = new string('x', 40), Success = true } },
            DiscoveredData = new DiscoveredData { OsVersion = "9.4", DetectedOs = DetectedOS.Rhel },
        }.ToByteArray();
        var random = new Random(20260121);
        for (var i = 0; i < Damage.Inputs(20_000); i++)
        {
            var bytes = Damage.Mutate(seed, random);
            var reader = new ProtoReader(bytes);
            var fields = 0;
            while (reader.TryNext(out _, out _)) fields++;
            Assert.InRange(fields, 0, bytes.Length);
            // Empty knows no field, so generated code skips all of them. It also skips groups.
            var hasGroup = false;
            for (var at = 0; at < bytes.Length && !hasGroup; at++) hasGroup = (bytes[at] & 7) is 3 or 4;
            if (hasGroup) continue;
            Assert.Equal(Parses(bytes), !reader.IsMalformed);
        }

        static bool Parses(byte[] bytes)
        {
            try
            {
                _ = Empty.Parser.ParseFrom(bytes);
                return true;
            }
            catch (InvalidProtocolBufferException)
            {
                return false;
            }
        }
    }
}
