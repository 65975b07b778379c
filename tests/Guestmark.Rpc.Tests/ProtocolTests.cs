using System.Buffers;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Rpc.Protocol;
using Xunit;

namespace Guestmark.Rpc.Tests;

public sealed class ProtocolTests
{
    [Theory]
    [InlineData(0, "1n")]
    [InlineData(1, "1u")]
    [InlineData(10, "1u")]
    [InlineData(TimeSpan.TicksPerMillisecond, "1000u")]
    [InlineData(TimeSpan.TicksPerSecond * 100, "100000m")]
    [InlineData(TimeSpan.TicksPerDay * 2, "172800S")]
    [InlineData(long.MaxValue, "99999999H")]
    public void A_timeout_is_written_in_the_finest_unit_that_fits(long ticks, string expected) =>
        Assert.Equal(expected, TimeoutHeader.Encode(TimeSpan.FromTicks(ticks)));

    [Theory]
    [InlineData("100m", 100 * TimeSpan.TicksPerMillisecond)]
    [InlineData("1H", TimeSpan.TicksPerHour)]
    [InlineData("99999999n", 999_999)]
    [InlineData("99999999H", 99_999_999 * TimeSpan.TicksPerHour)]
    public void A_timeout_is_read(string header, long ticks)
    {
        Assert.True(TimeoutHeader.TryDecode(header, out var timeout));
        Assert.Equal(ticks, timeout.Ticks);
    }

    [Theory]
    [InlineData("")]
    [InlineData("m")]
    [InlineData("1")]
    [InlineData("1x")]
    [InlineData("-1m")]
    [InlineData("+1m")]
    [InlineData(" 1m")]
    [InlineData("123456789m")]
    public void What_is_no_timeout_is_refused(string header) => Assert.False(TimeoutHeader.TryDecode(header, out _));

    [Theory]
    [InlineData("plain text", "plain text")]
    [InlineData("100 %", "100 %25")]
    [InlineData("Größe\n", "Gr%C3%B6%C3%9Fe%0A")]
    [InlineData("😀", "%F0%9F%98%80")]
    public void A_detail_survives_percent_encoding(string detail, string encoded)
    {
        Assert.Equal(encoded, StatusDetail.Encode(detail));
        Assert.Equal(detail, StatusDetail.Decode(encoded));
    }

    [Fact]
    public void A_detail_that_is_too_long_is_cut_and_a_broken_one_decoded_as_far_as_possible()
    {
        Assert.InRange(StatusDetail.Encode(new string('é', 100_000)).Length, 4000, 4096);
        Assert.Equal("a%", StatusDetail.Decode("a%"));
        Assert.Equal("%zz b", StatusDetail.Decode("%zz%20b"));
    }

    [Theory]
    [InlineData("Upper")]
    [InlineData("")]
    [InlineData("grpc-status")]
    [InlineData(":path")]
    [InlineData("content-type")]
    [InlineData("with space")]
    public void Metadata_refuses_names_that_are_not_its_own(string name) => Assert.Throws<ArgumentException>(() => new RpcMetadata().Add(name, "x"));

    [Fact]
    public void Metadata_refuses_values_that_headers_cannot_carry()
    {
        Assert.Throws<ArgumentException>(() => new RpcMetadata().Add("name", "line\r\nbreak"));
        Assert.Throws<ArgumentException>(() => new RpcMetadata().Add("name", "ü"));
        Assert.Throws<ArgumentException>(() => new RpcMetadata().Add("name-bin", "text"));
        Assert.Throws<ArgumentException>(() => new RpcMetadata().Add("name", [1]));
    }

    [Fact]
    public void Received_bytes_may_be_padded_joined_or_broken()
    {
        var metadata = new RpcMetadata();
        metadata.AddReceived("A-Bin", "AQ==,AgM");
        metadata.AddReceived("b-bin", "***");

        Assert.Equal([[1], [2, 3]], metadata.Where(entry => entry.Key == "a-bin").Select(entry => entry.Bytes!));
        Assert.Null(metadata.GetBinary("b-bin"));
    }

    [Fact]
    public void A_message_is_read_however_its_bytes_are_cut()
    {
        var writer = new ArrayBufferWriter<byte>();
        var first = new StringValue { Value = "first" };
        var second = new StringValue { Value = new string('x', 40_000) };
        MessageFraming.Write(writer, first, int.MaxValue);
        MessageFraming.Write(writer, second, int.MaxValue);
        for (var piece = 1; piece < 8; piece++)
        {
            var buffer = Pieces(writer.WrittenMemory, piece);

            Assert.True(MessageFraming.TryRead(ref buffer, 1 << 20, out StringValue? one));
            Assert.True(MessageFraming.TryRead(ref buffer, 1 << 20, out StringValue? two));
            Assert.Equal((first, second), (one, two));
            Assert.False(MessageFraming.TryRead(ref buffer, 1 << 20, out StringValue? _));
        }
    }

    [Fact]
    public void A_length_over_the_limit_is_refused_from_the_prefix_alone()
    {
        var buffer = new ReadOnlySequence<byte>([0, 0xFF, 0xFF, 0xFF, 0xFF]);

        var failure = Assert.Throws<RpcException>(() => MessageFraming.TryRead(ref buffer, 1000, out StringValue? _));

        Assert.Equal(RpcStatusCode.ResourceExhausted, failure.Code);
        Assert.Contains("4294967295", failure.Detail);
        Assert.Contains("1000", failure.Detail);
        Assert.Contains("ReceiveMessageBytesMax", failure.Detail);
    }

    [Fact]
    public void The_numbers_of_the_status_codes_are_those_of_the_wire() => Assert.Equal(
        "Ok=0 Cancelled=1 Unknown=2 InvalidArgument=3 DeadlineExceeded=4 NotFound=5 AlreadyExists=6 PermissionDenied=7 ResourceExhausted=8 " +
        "FailedPrecondition=9 Aborted=10 OutOfRange=11 Unimplemented=12 Internal=13 Unavailable=14 DataLoss=15 Unauthenticated=16",
        string.Join(' ', System.Enum.GetValues<RpcStatusCode>().Select(code => $"{code}={(int)code}")));

    static ReadOnlySequence<byte> Pieces(ReadOnlyMemory<byte> bytes, int size)
    {
        Segment? first = null;
        Segment? last = null;
        for (var start = 0; start < bytes.Length; start += size)
        {
            last = new Segment(bytes.Slice(start, Math.Min(size, bytes.Length - start)), last);
            first ??= last;
        }

        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, Segment? previous)
        {
            Memory = memory;
            if (previous is null) return;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
            previous.Next = this;
        }
    }
}
