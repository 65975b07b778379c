using Guestmark.Events.Verification;

namespace Guestmark.Events.Tests.Verification;

/// <summary>Establishes that whatever is missing from a stream is named, and told apart from what the host says it lost.</summary>
public sealed class StreamAuditTests
{
    [Fact]
    public void A_whole_stream_has_no_gap_in_any_order()
    {
        var numbers = Enumerable.Range(5, 500).Select(n => (ulong)n).ToArray();
        new Random(1).Shuffle(numbers);
        var stream = Assert.Single(Audit(numbers.Select(n => Sample.Stamp(n))).Streams());
        Assert.Equal((5UL, 504UL, 500UL, 0UL), (stream.First, stream.Last, stream.Events, stream.Duplicates));
        Assert.Empty(stream.Gaps);
        Assert.Equal("//lab/node1", stream.Source);
    }

    [Fact]
    public void What_is_missing_is_named_and_what_comes_twice()
    {
        var stream = Assert.Single(Audit(((ulong[])[1, 2, 5, 5, 6, 9, 2]).Select(n => Sample.Stamp(n))).Streams());
        Assert.Equal([new StreamGap(new SequenceRange(3, 4), null), new StreamGap(new SequenceRange(7, 8), null)], stream.Gaps);
        Assert.Equal((2UL, 5UL), (stream.Duplicates, stream.Events));
        Assert.Equal([5UL, 2UL], stream.FirstDuplicates);
    }

    [Fact]
    public void A_loss_event_explains_what_it_names_and_no_more()
    {
        var stream = Assert.Single(Audit([Sample.Stamp(1), Sample.Loss(11, 3, 8), Sample.Stamp(12)]).Streams());
        Assert.Equal(
            [new StreamGap(new SequenceRange(2, 2), null), new StreamGap(new SequenceRange(3, 8), LossReason.SpoolFull), new StreamGap(new SequenceRange(9, 10), null)],
            stream.Gaps);
    }

    [Theory]
    [InlineData(0, 5)]
    [InlineData(5, 2)]
    public void A_loss_event_that_names_nothing_explains_nothing(ulong first, ulong last) =>
        Assert.Equal([new StreamGap(new SequenceRange(2, 8), null)], Assert.Single(Audit([Sample.Stamp(1), Sample.Loss(9, first, last)]).Streams()).Gaps);

    [Fact]
    public void What_the_stream_says_was_lost_before_its_first_event_is_named()
    {
        var stream = Assert.Single(Audit([Sample.Loss(11, 3, 10), Sample.Stamp(12)]).Streams());
        Assert.Equal([new StreamGap(new SequenceRange(3, 10), LossReason.SpoolFull)], stream.Gaps);
    }

    [Fact]
    public void What_came_before_the_first_event_is_missing_only_from_a_complete_export()
    {
        var audit = Audit([Sample.Stamp(4)]);
        Assert.Empty(Assert.Single(audit.Streams()).Gaps);
        Assert.Equal([new StreamGap(new SequenceRange(1, 3), null)], Assert.Single(audit.Streams(complete: true)).Gaps);
    }

    [Fact]
    public void Streams_are_apart_and_the_largest_number_is_one_like_others()
    {
        var streams = Audit([Sample.Stamp(ulong.MaxValue, stream: "b"), Sample.Stamp(ulong.MaxValue - 2, stream: "b"), Sample.Stamp(1, stream: "a")]).Streams().ToList();
        Assert.Equal(["a", "b"], streams.Select(stream => stream.Stream));
        Assert.Equal([new StreamGap(new SequenceRange(ulong.MaxValue - 1, ulong.MaxValue - 1), null)], streams[1].Gaps);
    }

    [Fact]
    public void A_loss_event_of_another_node_explains_no_gap()
    {
        var streams = Audit([Sample.Stamp(1), Sample.Stamp(5), Sample.Loss(6, 2, 4, node: "node2")]).Streams().ToList();
        Assert.Equal(["//lab/node1", "//lab/node2"], streams.Select(stream => stream.Source));
        Assert.Equal([new StreamGap(new SequenceRange(2, 4), null)], streams[0].Gaps);
    }

    /// <summary>Against sets that hold every number by itself.</summary>
    [Fact]
    public void Ranges_hold_what_sets_of_numbers_hold()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var (ranges, model) = (new SequenceSet(), new HashSet<ulong>());
            for (var step = 0; step < 60; step++)
            {
                var first = (ulong)random.Next(60);
                if (random.Next(3) > 0)
                {
                    Assert.Equal(model.Add(first), ranges.Add(first));
                    continue;
                }

                var last = first + (ulong)random.Next(12);
                ranges.Add(new SequenceRange(first, last));
                for (var n = first; n <= last; n++) model.Add(n);
            }

            Assert.Equal(model.Order(), ranges.Ranges.SelectMany(Numbers));
            Assert.All(ranges.Ranges.Zip(ranges.Ranges.Skip(1)), pair => Assert.True(pair.First.Last + 1 < pair.Second.First));
            var asked = new SequenceRange((ulong)random.Next(40), (ulong)random.Next(40, 80));
            var split = ranges.Split(asked).ToList();
            Assert.Equal(Numbers(asked), split.SelectMany(part => Numbers(part.Range)));
            Assert.All(split, part => Assert.All(Numbers(part.Range), n => Assert.Equal(part.IsIn, model.Contains(n))));
        }

        static IEnumerable<ulong> Numbers(SequenceRange range)
        {
            for (var n = range.First; n <= range.Last; n++) yield return n;
        }
    }

    static StreamAudit Audit(IEnumerable<StampedEvent> events)
    {
        var audit = new StreamAudit();
        foreach (var stamped in events) audit.Add(stamped);
        Assert.False(audit.IsOverwhelmed);
        return audit;
    }
}
