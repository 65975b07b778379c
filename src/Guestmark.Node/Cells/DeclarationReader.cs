using System.Buffers;
using System.Text;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Wire.Declarations;

namespace Guestmark.Node.Cells;

/// <summary>Why <see cref="DeclarationReader.Read"/> came back.</summary>
enum ReadEnd
{
    /// <summary>The rest is less than a frame.</summary>
    NeedMore,

    /// <summary>The batch is full, and frames may be left.</summary>
    BatchFull,

    /// <summary>Nothing more is allowed now, and frames may be left.</summary>
    NotAllowed,

    /// <summary>A length that is none: what follows cannot be understood.</summary>
    BadLength,
}

/// <summary>Turns the bytes of one connection into batches of declarations. Copies nothing but what the batch takes.</summary>
sealed class DeclarationReader(CellMetrics metrics, IReadOnlyList<byte[]> sources)
{
    /// <summary>An event beyond 64 KiB need not be passed on by others (CloudEvents, "Size Limits"); attributes and signature take the rest.</summary>
    public const int BatchBytesMax = 60 * 1024;

    /// <summary>More than any <c>guestmark.v1.Declaration</c> with its tag: texts and numbers at their limits make 191.</summary>
    const int DeclarationBytesMax = 256;

    const int BatchDeclarationsMax = 512;

    static readonly byte[] Heartbeat = Encoding.UTF8.GetBytes(ProbeSources.AgentHeartbeat);

    byte[] _gathered = [];
    byte[] _receivedAt = [];
    int _unknownKeys;
    ulong _monotonicNs;
    ulong _sequence;

    /// <summary>Bytes that the last call put into the batch.</summary>
    public int BatchBytes { get; private set; }

    /// <summary>Declarations that the last call put into the batch.</summary>
    public int Declared { get; private set; }

    /// <summary>Frames of the last call that were right, whatever became of them: the channel lives.</summary>
    public int Right { get; private set; }

    /// <summary>All frames that the last call took.</summary>
    public int Taken { get; private set; }

    /// <summary>The last frame that was refused by the last call.</summary>
    public DeclarationFault Fault { get; private set; }

    /// <summary>What the agent last said of its queue.</summary>
    public ulong Dropped { get; private set; }

    /// <summary>All that is read from here on came at this time.</summary>
    public void ArrivedAt(DateTimeOffset time) => _receivedAt = Timestamp.FromDateTimeOffset(time).ToByteArray();

    /// <summary>Takes whole frames off the front of a buffer and adds what they declare to a batch.</summary>
    /// <param name="buffer">Begins after what was taken when this returns.</param>
    /// <param name="batch">At least <see cref="BatchBytesMax"/> bytes, for a <c>guestmark.v1.DeclarationBatch</c>.</param>
    /// <param name="allowed">Most frames to take.</param>
    public ReadEnd Read(ref ReadOnlySequence<byte> buffer, Span<byte> batch, long allowed)
    {
        BatchBytes = 0;
        Declared = 0;
        _unknownKeys = 0;
        Right = 0;
        Taken = 0;
        Fault = DeclarationFault.None;
        var end = ReadFrames(ref buffer, batch, allowed);
        metrics.UnknownKeys(_unknownKeys);
        return end;
    }

    ReadEnd ReadFrames(ref ReadOnlySequence<byte> buffer, Span<byte> batch, long allowed)
    {
        Span<byte> header = stackalloc byte[DeclarationFrame.LengthBytes];
        while (true)
        {
            // Frames that lie within one piece of the buffer are read where they are.
            var piece = buffer.FirstSpan;
            var position = 0;
            int length;
            while (piece.Length - position >= DeclarationFrame.LengthBytes)
            {
                if (Full(allowed) is { } end)
                {
                    buffer = buffer.Slice(position);
                    return end;
                }

                var rest = piece[position..];
                if (!DeclarationFrame.TryReadLength(rest, out length)) return BadLength(ref buffer, position);
                if (rest.Length - DeclarationFrame.LengthBytes < length) break;
                Take(rest.Slice(DeclarationFrame.LengthBytes, length), batch);
                position += DeclarationFrame.LengthBytes + length;
            }

            // The next one lies across pieces, or has not arrived.
            buffer = buffer.Slice(position);
            if (buffer.Length < DeclarationFrame.LengthBytes) return ReadEnd.NeedMore;
            if (Full(allowed) is { } fullEnd) return fullEnd;
            buffer.Slice(0, DeclarationFrame.LengthBytes).CopyTo(header);
            if (!DeclarationFrame.TryReadLength(header, out length)) return BadLength(ref buffer, 0);
            if (buffer.Length - DeclarationFrame.LengthBytes < length) return ReadEnd.NeedMore;
            var body = buffer.Slice(DeclarationFrame.LengthBytes, length);
            if (_gathered.Length < length) _gathered = new byte[Math.Max(length, 1024)];
            body.CopyTo(_gathered);
            Take(_gathered.AsSpan(0, length), batch);
            buffer = buffer.Slice(body.End);
        }
    }

    ReadEnd? Full(long allowed)
    {
        if (Taken >= allowed) return ReadEnd.NotAllowed;
        return Declared >= BatchDeclarationsMax || BatchBytes > BatchBytesMax - DeclarationBytesMax ? ReadEnd.BatchFull : null;
    }

    ReadEnd BadLength(ref ReadOnlySequence<byte> buffer, int position)
    {
        buffer = buffer.Slice(position);
        metrics.Frames(FrameOutcome.BadLength, 1);
        return ReadEnd.BadLength;
    }

    void Take(ReadOnlySpan<byte> body, Span<byte> batch)
    {
        Taken++;
        var fault = DeclarationFrame.TryDecode(body, out var declaration);
        if (fault != DeclarationFault.None)
        {
            Fault = fault;
            metrics.Refused(fault);
            return;
        }

        Right++;
        _unknownKeys += declaration.UnknownKeys;
        if (declaration.GuestMonotonicNs < _monotonicNs) metrics.BackwardClock();
        _monotonicNs = declaration.GuestMonotonicNs;
        if (declaration.Sequence != 0)
        {
            if (declaration.Sequence != _sequence + 1) metrics.SequenceGap();
            _sequence = declaration.Sequence;
        }

        if (!IsKnown(declaration.ProbeSource))
        {
            metrics.Frames(FrameOutcome.UnknownSource, 1);
            return;
        }

        // A heartbeat is there for the keep-alive. It is stored only when it tells of losses.
        var hasNews = declaration.Dropped != Dropped;
        Dropped = declaration.Dropped;
        if (!hasNews && declaration.ProbeSource.SequenceEqual(Heartbeat))
        {
            metrics.Frames(FrameOutcome.Heartbeat, 1);
            return;
        }

        BatchBytes += Write(batch[BatchBytes..], in declaration, _receivedAt);
        Declared++;
    }

    /// <summary>Writes field 1 of a <c>guestmark.v1.DeclarationBatch</c>: a <c>guestmark.v1.Declaration</c> (proto/guestmark/v1/channel.proto).</summary>
    /// <remarks>By hand, because this is done once a frame: a tag is field number &lt;&lt; 3 | wire type, and what is 0 or empty is left out.</remarks>
    static int Write(Span<byte> destination, in GuestDeclaration declaration, ReadOnlySpan<byte> receivedAt)
    {
        // One byte for the length. Where it needs two, all is moved by one: only texts near their limits do.
        const int start = 2;
        var position = start;
        WriteNumber(destination, ref position, (1 << 3) | 0, declaration.ContentVersion);
        WriteBytes(destination, ref position, (2 << 3) | 2, declaration.ProbeSource);
        WriteNumber(destination, ref position, (3 << 3) | 0, declaration.GuestPid);
        WriteBytes(destination, ref position, (4 << 3) | 2, declaration.GuestComm);
        WriteNumber(destination, ref position, (5 << 3) | 0, declaration.GuestMonotonicNs);
        WriteNumber(destination, ref position, (6 << 3) | 0, declaration.Sequence);
        WriteNumber(destination, ref position, (7 << 3) | 0, declaration.Dropped);
        WriteBytes(destination, ref position, (8 << 3) | 2, receivedAt);
        var length = position - start;
        destination[0] = (1 << 3) | 2;
        if (length < 0x80)
        {
            destination[1] = (byte)length;
            return position;
        }

        destination[start..position].CopyTo(destination[(start + 1)..]);
        destination[1] = (byte)(length | 0x80);
        destination[2] = (byte)(length >> 7);
        return position + 1;
    }

    static void WriteNumber(Span<byte> destination, ref int position, byte tag, ulong value)
    {
        if (value == 0) return;
        destination[position++] = tag;
        for (; value >= 0x80; value >>= 7) destination[position++] = (byte)(value | 0x80);
        destination[position++] = (byte)value;
    }

    static void WriteBytes(Span<byte> destination, ref int position, byte tag, ReadOnlySpan<byte> value)
    {
        if (value.IsEmpty) return;
        destination[position] = tag;
        destination[position + 1] = (byte)value.Length;
        value.CopyTo(destination[(position + 2)..]);
        position += 2 + value.Length;
    }

    bool IsKnown(ReadOnlySpan<byte> source)
    {
        foreach (var known in sources)
        {
            if (source.SequenceEqual(known)) return true;
        }

        return false;
    }
}
