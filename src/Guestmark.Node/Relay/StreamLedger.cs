using Guestmark.Events;
using Guestmark.Spool;

namespace Guestmark.Node.Relay;

/// <summary>Which numbers of a stream were lost.</summary>
/// <param name="Next">The number that the stream's next event has, as far as this spool knows.</param>
readonly record struct StreamLoss(string Stream, ulong First, ulong Last, LossReason Reason, ulong Next);

/// <summary>
/// Which event of which stream each record of a spool is, so that records which are gone can be told by the numbers that a receiver misses.
/// </summary>
/// <remarks>
/// Records of a stream that follow each other are one range, because index and sequence rise together; a spool has few ranges, one for each start
/// of the node and each time that the disk refused something. It is filled from the records when the spool is opened, and by every append after.
/// </remarks>
sealed class StreamLedger
{
    /// <summary>A disk that refuses some records again and again makes a range each time; what the oldest of so many were can be told no more.</summary>
    const int RangesMax = 4096;

    readonly Lock _lock = new();
    readonly List<Range> _ranges = [];
    readonly List<Told> _told = [];
    readonly Dictionary<string, ulong> _next = [];

    /// <summary>Sees a record that is in the spool when it is opened.</summary>
    public void Visit(ulong index, ReadOnlyMemory<byte> encoded)
    {
        if (StampedEvent.TryRead(encoded, out var stamped) is not null) return;
        Add(index, stamped!.Position);
        if (stamped.Type != EventTypes.Loss) return;
        try
        {
            Tell(index, stamped.Position.Stream, EventLoss.Parser.ParseFrom(stamped.Data.Span));
        }
        catch (Google.Protobuf.InvalidProtocolBufferException)
        {
            // Another version's. It explains nothing here.
        }
    }

    /// <summary>A record was appended. One that has an index that was given before takes its place: the disk had refused that one.</summary>
    public void Add(ulong index, EventPosition position)
    {
        lock (_lock)
        {
            Cut(index - 1);
            var last = _ranges.Count > 0 ? _ranges[^1] : default;
            if (_ranges.Count > 0 && last.Stream == position.Stream && index - last.First == position.Sequence - last.Sequence)
            {
                _ranges[^1] = last with { Last = index };
                return;
            }

            // Records between that are gone belong to the new stream as far as its numbers before this one reach, and to the old one beyond.
            var between = index - last.Last - 1;
            var before = position.Sequence == 0 ? 0 : position.Sequence - 1;
            if (_ranges.Count > 0 && last.Stream == position.Stream) before = before > last.SequenceOf(last.Last) ? before - last.SequenceOf(last.Last) : 0;
            else if (_ranges.Count > 0 && between > before) _ranges[^1] = last with { Last = index - before - 1 };
            before = Math.Min(before, between);
            _ranges.Add(new Range(index - before, index, position.Stream, position.Sequence - before));
            if (_ranges.Count > RangesMax) _ranges.RemoveAt(0);
        }
    }

    /// <summary>Records behind this one never were: the disk refused them.</summary>
    public void CutAfter(ulong index)
    {
        lock (_lock) Cut(index);
    }

    /// <summary>A loss event is in the spool.</summary>
    public void Tell(ulong index, string stream, EventLoss loss)
    {
        lock (_lock) _told.Add(new Told(index, stream, loss.First, loss.Last, loss.Reason));
    }

    /// <summary>What a receiver is to be told of lost records: nothing of which a loss event is in the spool already.</summary>
    public List<StreamLoss> Explain(SpoolLoss loss)
    {
        var reason = loss.Reason == SpoolLossReason.Full ? LossReason.SpoolFull : LossReason.DiskDamage;
        var losses = new List<StreamLoss>();
        lock (_lock)
        {
            // A loss event that is itself lost: what it told must be told again.
            foreach (var again in _told.Where(told => told.Index >= loss.First && told.Index <= loss.Last))
                losses.Add(new StreamLoss(again.Stream, again.First, again.Last, again.Reason, NextOf(again.Stream, again.Last)));
            _told.RemoveAll(told => told.Index >= loss.First && told.Index <= loss.Last);
            foreach (var range in _ranges)
            {
                var (first, last) = (Math.Max(range.First, loss.First), Math.Min(range.Last, loss.Last));
                if (first > last) continue;
                AddUntold(range.Stream, range.SequenceOf(first), range.SequenceOf(last));
            }
        }

        return Join(losses);

        void AddUntold(string stream, ulong first, ulong last)
        {
            foreach (var told in _told.Where(told => told.Stream == stream && told.Last >= first && told.First <= last).OrderBy(told => told.First).ToList())
            {
                if (told.First > first) losses.Add(new StreamLoss(stream, first, told.First - 1, reason, NextOf(stream, last)));
                first = told.Last + 1;
            }

            if (first <= last) losses.Add(new StreamLoss(stream, first, last, reason, NextOf(stream, last)));
        }
    }

    /// <summary>The number of the next event of a stream that the spool holds; of one that it does not hold any more, the given one at least.</summary>
    public ulong Next(string stream, ulong least)
    {
        lock (_lock) return Math.Max(NextOf(stream, 0), least);
    }

    /// <summary>Forgets what every receiver has.</summary>
    public void Forget(ulong acknowledged)
    {
        lock (_lock)
        {
            // The newest stays: the next append extends it.
            while (_ranges.Count > 1 && _ranges[0].Last <= acknowledged)
            {
                // A stream of which something was lost may yet get an event that says so.
                _next[_ranges[0].Stream] = NextOf(_ranges[0].Stream, 0);
                _ranges.RemoveAt(0);
            }

            _told.RemoveAll(told => told.Index <= acknowledged);
            const int streamsMax = 256;
            if (_next.Count > streamsMax) _next.Clear();
        }
    }

    static List<StreamLoss> Join(List<StreamLoss> losses)
    {
        losses.Sort((a, b) => (a.Stream, a.First).CompareTo((b.Stream, b.First)));
        for (var i = losses.Count - 1; i > 0; i--)
        {
            var (before, after) = (losses[i - 1], losses[i]);
            if (before.Stream != after.Stream || before.Reason != after.Reason || before.Last + 1 < after.First) continue;
            losses[i - 1] = before with { Last = Math.Max(before.Last, after.Last), Next = Math.Max(before.Next, after.Next) };
            losses.RemoveAt(i);
        }

        return losses;
    }

    void Cut(ulong index)
    {
        while (_ranges.Count > 0 && _ranges[^1].Last > index)
        {
            if (_ranges[^1].First <= index) _ranges[^1] = _ranges[^1] with { Last = index };
            else _ranges.RemoveAt(_ranges.Count - 1);
        }
    }

    ulong NextOf(string stream, ulong last)
    {
        var next = Math.Max(_next.GetValueOrDefault(stream), last + 1);
        foreach (var range in _ranges)
        {
            if (range.Stream == stream) next = Math.Max(next, range.SequenceOf(range.Last) + 1);
        }

        return next;
    }

    /// <param name="First">Index.</param>
    /// <param name="Last">Index.</param>
    /// <param name="Sequence">Of the first.</param>
    readonly record struct Range(ulong First, ulong Last, string Stream, ulong Sequence)
    {
        public ulong SequenceOf(ulong index) => Sequence + (index - First);
    }

    readonly record struct Told(ulong Index, string Stream, ulong First, ulong Last, LossReason Reason);
}
