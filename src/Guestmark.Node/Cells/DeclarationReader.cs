using System.Buffers;
using System.Text;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Wire.Declarations;
using Guestmark.Wire.Protobuf;

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
    const int BatchBytesMax = 60 * 1024;

    /// <summary>The largest <c>guestmark.v1.Declaration</c>, with its tag: all texts and numbers at their limits.</summary>
    const int DeclarationBytesMax = 256;

    const int BatchDeclarationsMax = 512;

    static readonly byte[] Heartbeat = Encoding.UTF8.GetBytes(ProbeSources.AgentHeartbeat);

    byte[] _gathered = [];
    byte[] _receivedAt = [];
    ulong _monotonicNs;
    ulong _sequence;

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
    /// <param name="batch">A <c>guestmark.v1.DeclarationBatch</c>, empty at first.</param>
    /// <param name="allowed">Most frames to take.</param>
    public ReadEnd Read(ref ReadOnlySequence<byte> buffer, ProtoWriter batch, long allowed)
    {
        Declared = 0;
        Right = 0;
        Taken = 0;
        Fault = DeclarationFault.None;
        Span<byte> header = stackalloc byte[DeclarationFrame.LengthBytes];
        while (true)
        {
            // Frames that lie within one piece of the buffer are read where they are.
            var piece = buffer.FirstSpan;
            var position = 0;
            int length;
            while (piece.Length - position >= DeclarationFrame.LengthBytes)
            {
                if (Full(batch, allowed) is { } end)
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
            if (Full(batch, allowed) is { } fullEnd) return fullEnd;
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

    ReadEnd? Full(ProtoWriter batch, long allowed)
    {
        if (Taken >= allowed) return ReadEnd.NotAllowed;
        return Declared >= BatchDeclarationsMax || batch.Length > BatchBytesMax - DeclarationBytesMax ? ReadEnd.BatchFull : null;
    }

    ReadEnd BadLength(ref ReadOnlySequence<byte> buffer, int position)
    {
        buffer = buffer.Slice(position);
        metrics.Frames(FrameOutcome.BadLength, 1);
        return ReadEnd.BadLength;
    }

    void Take(ReadOnlySpan<byte> body, ProtoWriter batch)
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
        metrics.UnknownKeys(declaration.UnknownKeys);
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

        // guestmark.v1.DeclarationBatch, field 1: guestmark.v1.Declaration (proto/guestmark/v1/channel.proto).
        var mark = batch.Begin(1);
        batch.Varint(1, declaration.ContentVersion);
        batch.Bytes(2, declaration.ProbeSource);
        batch.Varint(3, declaration.GuestPid);
        batch.Bytes(4, declaration.GuestComm);
        batch.Varint(5, declaration.GuestMonotonicNs);
        batch.Varint(6, declaration.Sequence);
        batch.Varint(7, declaration.Dropped);
        batch.Bytes(8, _receivedAt);
        batch.End(mark);
        Declared++;
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
