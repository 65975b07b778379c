using System.Buffers;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;

namespace Guestmark.Wire.Tests;

/// <summary>Establishes the byte layout of the push protocol and that every length is checked before a body is awaited.</summary>
public sealed class PushFrameTests
{
    [Fact]
    public void A_message_is_a_little_endian_length_and_the_body()
    {
        var buffer = new ReadOnlySequence<byte>([3, 0, 0, 0, 10, 20, 30, 99]);
        Assert.Equal(FrameReadResult.Complete, PushFrame.TryRead(ref buffer, 100, out var body, out var length));
        Assert.Equal([10, 20, 30], body.ToArray());
        Assert.Equal(3u, length);
        Assert.Equal([99], buffer.ToArray());
    }

    [Fact]
    public void The_header_is_written_little_endian()
    {
        var header = new byte[PushFrame.HeaderBytes];
        PushFrame.WriteHeader(header, 0x01020304);
        Assert.Equal([4, 3, 2, 1], header);
        Assert.Throws<ArgumentOutOfRangeException>(() => PushFrame.WriteHeader(new byte[4], 0));
    }

    [Fact]
    public void A_status_is_a_little_endian_number_and_an_unknown_one_is_kept()
    {
        var bytes = new byte[PushFrame.StatusBytes];
        PushFrame.WriteStatus(bytes, PushStatus.Malformed);
        Assert.Equal([3, 0, 0, 0], bytes);
        Assert.Equal((PushStatus)0x04030201, PushFrame.ReadStatus([1, 2, 3, 4]));
        Assert.Contains("67305985", ((PushStatus)0x04030201).Describe(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 0 }, FrameReadResult.EmptyBody)]
    [InlineData(new byte[] { 101, 0, 0, 0 }, FrameReadResult.BodyTooLong)]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff }, FrameReadResult.BodyTooLong)]
    [InlineData(new byte[] { 100, 0, 0, 0, 1 }, FrameReadResult.Incomplete)]
    [InlineData(new byte[] { 100, 0, 0 }, FrameReadResult.Incomplete)]
    [InlineData(new byte[] { }, FrameReadResult.Incomplete)]
    public void A_length_is_judged_as_soon_as_the_header_is_there(byte[] bytes, FrameReadResult expected)
    {
        var buffer = new ReadOnlySequence<byte>(bytes);
        Assert.Equal(expected, PushFrame.TryRead(ref buffer, 100, out _, out _));
        Assert.Equal(bytes.Length, buffer.Length);
    }

    [Fact]
    public void Every_way_to_cut_messages_into_segments_gives_the_same_messages()
    {
        byte[] bytes = [2, 0, 0, 0, 1, 2, 1, 0, 0, 0, 3];
        for (var first = 0; first <= bytes.Length; first++)
        {
            for (var second = first; second <= bytes.Length; second++)
            {
                var buffer = Segments.Of(bytes[..first], bytes[first..second], bytes[second..]);
                Assert.Equal(FrameReadResult.Complete, PushFrame.TryRead(ref buffer, 100, out var body, out _));
                Assert.Equal([1, 2], body.ToArray());
                Assert.Equal(FrameReadResult.Complete, PushFrame.TryRead(ref buffer, 100, out body, out _));
                Assert.Equal([3], body.ToArray());
                Assert.True(buffer.IsEmpty);
            }
        }
    }

    [Fact]
    public void The_numbers_of_statuses_never_change()
    {
        Assert.Equal(
            [
                "Stored=0", "EmptyBody=1", "BodyTooLong=2", "Malformed=3", "IdentityMismatch=4", "Unavailable=5", "DeadlineExceeded=6", "TooManyConnections=7",
                "UnknownGuest=8", "UnprivilegedPort=9", "TooManyMessages=10",
            ],
            Enum.GetValues<PushStatus>().Select(status => $"{status}={(uint)status}"));
        Assert.All(Enum.GetValues<PushStatus>(), status => Assert.DoesNotContain("unknown", status.Describe(), StringComparison.Ordinal));
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_in_any_pieces_give_the_messages_that_are_in_them()
    {
        const int bodyBytesMax = 100;
        var random = new Random(20261126);
        byte[] seed = [3, 0, 0, 0, 1, 2, 3, 1, 0, 0, 0, 9, 100, 0, 0, 0, .. new byte[100], 101, 0, 0, 0, 1];
        for (var i = 0; i < Damage.Inputs(20_000); i++)
        {
            var bytes = Damage.Mutate(seed, random);
            var pieces = new List<byte[]>();
            for (var at = 0; at < bytes.Length; at += pieces[^1].Length) pieces.Add(bytes[at..Math.Min(bytes.Length, at + random.Next(1, 40))]);
            var buffer = Segments.Of([[], .. pieces]);
            for (var at = 0; ;)
            {
                var length = bytes.Length - at < 4 ? 0 : bytes[at] | (uint)bytes[at + 1] << 8 | (uint)bytes[at + 2] << 16 | (uint)bytes[at + 3] << 24;
                var expected = bytes.Length - at < 4 ? FrameReadResult.Incomplete
                    : length == 0 ? FrameReadResult.EmptyBody
                    : length > bodyBytesMax ? FrameReadResult.BodyTooLong
                    : bytes.Length - at - 4 < length ? FrameReadResult.Incomplete : FrameReadResult.Complete;
                Assert.Equal(expected, PushFrame.TryRead(ref buffer, bodyBytesMax, out var body, out var named));
                Assert.Equal(length, named);
                if (expected != FrameReadResult.Complete)
                {
                    Assert.Equal(bytes.Length - at, buffer.Length);
                    break;
                }

                Assert.Equal(bytes[(at + 4)..(at + 4 + (int)length)], body.ToArray());
                at += 4 + (int)length;
            }
        }
    }
}
