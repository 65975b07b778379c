using System.Buffers;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Pull;

namespace Guestmark.Wire.Tests.Pull;

/// <summary>Establishes the byte layout of the pull protocol's frame and that its length is checked first.</summary>
public sealed class PullFrameTests
{
    [Fact]
    public void A_frame_is_a_big_endian_length_and_the_payload()
    {
        var buffer = new ReadOnlySequence<byte>([0, 0, 0, 3, 10, 20, 30, 99]);
        Assert.Equal(FrameReadResult.Complete, PullFrame.TryRead(ref buffer, 100, out var payload, out var length));
        Assert.Equal([10, 20, 30], payload.ToArray());
        Assert.Equal(3u, length);
        Assert.Equal([99], buffer.ToArray());
    }

    [Fact]
    public void The_header_is_written_big_endian()
    {
        var header = new byte[PullFrame.HeaderBytes];
        PullFrame.WriteHeader(header, 0x01020304);
        Assert.Equal([1, 2, 3, 4], header);
        Assert.Throws<ArgumentOutOfRangeException>(() => PullFrame.WriteHeader(new byte[4], -1));
    }

    [Fact]
    public void An_empty_payload_is_a_message()
    {
        var buffer = new ReadOnlySequence<byte>([0, 0, 0, 0]);
        Assert.Equal(FrameReadResult.Complete, PullFrame.TryRead(ref buffer, 100, out var payload, out _));
        Assert.True(payload.IsEmpty);
        Assert.True(buffer.IsEmpty);
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 101 }, FrameReadResult.BodyTooLong, 101u)]
    [InlineData(new byte[] { 0xff, 0xff, 0xff, 0xff }, FrameReadResult.BodyTooLong, uint.MaxValue)]
    [InlineData(new byte[] { 0, 0, 0, 100, 1 }, FrameReadResult.Incomplete, 100u)]
    [InlineData(new byte[] { 0, 0, 100 }, FrameReadResult.Incomplete, 0u)]
    [InlineData(new byte[] { }, FrameReadResult.Incomplete, 0u)]
    public void A_length_is_judged_as_soon_as_the_header_is_there(byte[] bytes, FrameReadResult expected, uint expectedLength)
    {
        var buffer = new ReadOnlySequence<byte>(bytes);
        Assert.Equal(expected, PullFrame.TryRead(ref buffer, 100, out _, out var length));
        Assert.Equal(expectedLength, length);
        Assert.Equal(bytes.Length, buffer.Length);
    }

    [Fact]
    public void A_frame_may_come_in_pieces()
    {
        var buffer = Segments.Of([0], [0, 0], [2, 7], [8]);
        Assert.Equal(FrameReadResult.Complete, PullFrame.TryRead(ref buffer, 100, out var payload, out _));
        Assert.Equal([7, 8], payload.ToArray());
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_frames_that_they_hold()
    {
        var random = new Random(20260122);
        byte[] seed = [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        for (var i = 0; i < Damage.Inputs(20_000); i++)
        {
            var bytes = Damage.Mutate(seed, random);
            var buffer = new ReadOnlySequence<byte>(bytes);
            var taken = 0L;
            while (PullFrame.TryRead(ref buffer, 100, out var payload, out _) == FrameReadResult.Complete)
            {
                taken += PullFrame.HeaderBytes + payload.Length;
                Assert.InRange(payload.Length, 0, 100);
            }

            Assert.Equal(bytes.Length, taken + buffer.Length);
        }
    }
}
