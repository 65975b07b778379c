using Guestmark.Events;
using Guestmark.Spool;

namespace Guestmark.Node.Relay;

/// <summary>Which numbers of a stream were lost.</summary>
/// <param name="Stream">Null: nobody can say of which they were. Then they are numbered from 1.</param>
/// <param name="Next">The number that the stream's next event has, as far as this spool knows.</param>
/// <param name="Records">Which records they were. Default: not known.</param>
readonly record struct StreamLoss(string? Stream, ulong First, ulong Last, LossReason Reason, ulong Next, RecordRange Records = default);

/// <summary>Indexes of records, both inside.</summary>
readonly record struct RecordRange(ulong First, ulong Last)
{
    public bool IsKnown => First > 0;
}

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
    public void Visit(ulong index, StampedEvent stamped)
    {
        Add(index, stamped.Position, stamped.Type == EventTypes.Loss);
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
    /// <param name="isLoss">It is a loss event, which may stand far behind the others of its stream.</param>
    public void Add(ulong index, EventPosition position, bool isLoss = false)
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
            var before = position.Sequence == 0 || (isLoss && (_ranges.Count == 0 || last.Stream != position.Stream)) ? 0 : position.Sequence - 1;
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
        lock (_lock) _told.Add(new Told(index, stream, loss.First, loss.Last, loss.Reason, new RecordRange(loss.FirstRecord, loss.LastRecord)));
    }

    /// <summary>What a receiver is to be told of lost records: nothing of which a loss event is in the spool already.</summary>
    /// <remarks>
    /// A record that no range holds lay before the first that is there, or behind the last: its segment is gone as a whole. Its stream nobody knows,
    /// but the receiver is to know that there was something.
    /// </remarks>
    public List<StreamLoss> Explain(SpoolLoss loss)
    {
        var reason = loss.Reason == SpoolLossReason.Full ? LossReason.SpoolFull : LossReason.DiskDamage;
        var losses = new List<StreamLoss>();
        lock (_lock)
        {
            // A loss event that is itself lost: what it told must be told again.
            foreach (var again in _told.Where(told => told.Index >= loss.First && told.Index <= loss.Last))
                losses.Add(new StreamLoss(again.Stream, again.First, again.Last, again.Reason, NextOf(again.Stream, again.Last), again.Records));
            _told.RemoveAll(told => told.Index >= loss.First && told.Index <= loss.Last);
            var unknown = loss.First;
            foreach (var range in _ranges)
            {
                var (first, last) = (Math.Max(range.First, loss.First), Math.Min(range.Last, loss.Last));
                if (first > last) continue;
                if (first > unknown) AddUntold(null, unknown, first - 1);
                unknown = last + 1;
                AddUntold(range, first, last);
            }

            if (unknown <= loss.Last) AddUntold(null, unknown, loss.Last);
        }

        return Join(losses);

        // What records were as numbers of a stream may be told, although nothing here says any more which stream it was.
        void AddUntold(Range? range, ulong first, ulong last)
        {
            var told = _told.Select(told => told.RecordsIn(range)).Where(told => told.IsKnown && told.Last >= first && told.First <= last);
            foreach (var records in told.OrderBy(told => told.First).ToList())
            {
                if (records.First > first) Add(first, records.First - 1);
                first = Math.Max(first, records.Last + 1);
            }

            if (first <= last) Add(first, last);

            void Add(ulong from, ulong to)
            {
                var records = new RecordRange(from, to);
                losses.Add(range is { } of
                    ? new StreamLoss(of.Stream, of.SequenceOf(from), of.SequenceOf(to), reason, NextOf(of.Stream, of.SequenceOf(last)), records)
                    : new StreamLoss(null, 1, to - from + 1, reason, to - from + 2, records));
            }
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
        losses.Sort((a, b) => (a.Stream, a.First, a.Records.First).CompareTo((b.Stream, b.First, b.Records.First)));
        for (var i = losses.Count - 1; i > 0; i--)
        {
            var (before, after) = (losses[i - 1], losses[i]);
            if (before.Stream is null || before.Stream != after.Stream || before.Reason != after.Reason || before.Last + 1 < after.First) continue;
            var (records, next) = (before.Records, after.Records);
            if (!records.IsKnown) records = next;
            else if (next.IsKnown && next.First > records.Last + 1) continue;
            else if (next.IsKnown) records = new RecordRange(Math.Min(records.First, next.First), Math.Max(records.Last, next.Last));
            losses[i - 1] = before with { Last = Math.Max(before.Last, after.Last), Next = Math.Max(before.Next, after.Next), Records = records };
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

        public ulong IndexOf(ulong sequence) => First + (sequence - Sequence);
    }

    /// <param name="Index">Of the loss event.</param>
    readonly record struct Told(ulong Index, string Stream, ulong First, ulong Last, LossReason Reason, RecordRange Records)
    {
        /// <summary>The records that it speaks of. Where it does not say which: those of its numbers in a range.</summary>
        public RecordRange RecordsIn(Range? range)
        {
            if (Records.IsKnown || range is not { } of || of.Stream != Stream) return Records;
            var (first, last) = (Math.Max(First, of.Sequence), Math.Min(Last, of.SequenceOf(of.Last)));
            return first > last ? default : new RecordRange(of.IndexOf(first), of.IndexOf(last));
        }
    }
}
