using System.Buffers;

namespace Guestmark.Wire.Tests;

/// <summary>A sequence made of given pieces, as a pipe gives them.</summary>
static class Segments
{
    public static ReadOnlySequence<byte> Of(params byte[][] pieces)
    {
        var first = new Segment(pieces[0], null);
        var last = first;
        foreach (var piece in pieces.Skip(1)) last = new Segment(piece, last);
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(byte[] bytes, Segment? previous)
        {
            Memory = bytes;
            if (previous is null) return;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
            previous.Next = this;
        }
    }
}
