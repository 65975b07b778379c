using Google.Protobuf;

namespace Guestmark.Events.Verification;

/// <summary>Numbers that a stream should have and that no event had.</summary>
/// <param name="Reason">Why, when a loss event of the stream says so. Null: nobody can say.</param>
public sealed record StreamGap(SequenceRange Range, LossReason? Reason);

/// <summary>One stream of an export.</summary>
/// <param name="Source">The node it is of: <c>//cluster/node</c>.</param>
/// <param name="Duplicates">Numbers that came again: how often in all, and the first of them.</param>
public sealed record AuditedStream(
    string Stream, string Source, ulong First, ulong Last, ulong Events, IReadOnlyList<StreamGap> Gaps, ulong Duplicates, IReadOnlyList<ulong> FirstDuplicates);

/// <summary>Finds what is missing: numbers of a stream have no gap, so a gap is an event that was lost or taken away.</summary>
/// <remarks>
/// Give it only events whose signature is right: a forged loss event would explain any gap. Nothing can be said about events after the last
/// that is there, and about those before the first only that they were (a spool is emptied from there), unless the stream itself says that they were
/// lost; <c>complete</c> demands them.
/// A stream is of one node: what another node's events say of a stream of the same name counts as another stream. Order does not matter. Memory grows with gaps and streams, not with events, and is bounded: <see cref="IsOverwhelmed"/>.
/// </remarks>
public sealed class StreamAudit
{
    public const int StreamsMax = 100_000;
    public const int RangesMax = 1_000_000;
    const int NamedDuplicates = 20;

    readonly Dictionary<(string Name, string Source), Stream> _streams = [];
    int _ranges;

    /// <summary>There were more streams or more pieces of streams than can be told apart: events after that were not looked at.</summary>
    public bool IsOverwhelmed { get; private set; }

    public void Add(StampedEvent stamped)
    {
        var (key, number) = ((stamped.Position.Stream, SourceNode.Of(stamped.Source)), stamped.Position.Sequence);
        if (!_streams.TryGetValue(key, out var stream))
        {
            if (_streams.Count >= StreamsMax) IsOverwhelmed = true;
            else _streams[key] = stream = new Stream();
        }

        IsOverwhelmed |= _ranges > RangesMax;
        if (IsOverwhelmed) return;
        _ranges -= stream!.Ranges;
        if (stream.Seen.Add(number))
        {
            if (stamped.Type == EventTypes.Loss) AddLoss(stream, stamped);
        }
        else
        {
            stream.Duplicates++;
            if (stream.FirstDuplicates.Count < NamedDuplicates) stream.FirstDuplicates.Add(number);
        }

        _ranges += stream.Ranges;
    }

    /// <summary>Every stream, by its name, which begins with the time of its start.</summary>
    /// <param name="complete">Streams must begin with 1.</param>
    public IEnumerable<AuditedStream> Streams(bool complete = false)
    {
        foreach (var ((name, source), stream) in _streams.OrderBy(pair => pair.Key.Name, StringComparer.Ordinal).ThenBy(pair => pair.Key.Source, StringComparer.Ordinal))
        {
            var seen = stream.Seen.Ranges;
            var gaps = new List<StreamGap>();
            var expected = complete ? 1UL : seen[0].First;
            if (!complete && seen[0].First > 1)
            {
                Explain(stream, new SequenceRange(1, seen[0].First - 1), gaps);
                gaps.RemoveAll(gap => gap.Reason is null);
            }

            foreach (var range in seen)
            {
                if (range.First > expected) Explain(stream, new SequenceRange(expected, range.First - 1), gaps);
                if (range.Last == ulong.MaxValue) break;
                expected = range.Last + 1;
            }

            var events = seen.Aggregate(0UL, (sum, range) => sum + range.Count);
            yield return new AuditedStream(name, source, seen[0].First, seen[^1].Last, events, gaps, stream.Duplicates, stream.FirstDuplicates);
        }
    }

    static void AddLoss(Stream stream, StampedEvent stamped)
    {
        EventLoss loss;
        try
        {
            loss = EventLoss.Parser.ParseFrom(stamped.Data.Span);
        }
        catch (InvalidProtocolBufferException)
        {
            // It explains nothing.
            return;
        }

        if (loss.First is 0 || loss.First > loss.Last) return;
        if (!stream.Lost.TryGetValue(loss.Reason, out var lost)) stream.Lost[loss.Reason] = lost = new SequenceSet();
        lost.Add(new SequenceRange(loss.First, loss.Last));
    }

    static void Explain(Stream stream, SequenceRange missing, List<StreamGap> gaps)
    {
        List<StreamGap> parts = [new StreamGap(missing, null)];
        foreach (var (reason, lost) in stream.Lost)
        {
            parts = [.. parts.SelectMany(part => part.Reason is not null
                ? [part]
                : lost.Split(part.Range).Select(split => new StreamGap(split.Range, split.IsIn ? reason : null)))];
        }

        gaps.AddRange(parts);
    }

    sealed class Stream
    {
        public SequenceSet Seen { get; } = new();

        // By reason, of which there are few.
        public SortedDictionary<LossReason, SequenceSet> Lost { get; } = [];

        public ulong Duplicates { get; set; }

        public List<ulong> FirstDuplicates { get; } = [];

        public int Ranges => Seen.Ranges.Count + (Lost.Count == 0 ? 0 : Lost.Values.Sum(set => set.Ranges.Count));
    }
}
