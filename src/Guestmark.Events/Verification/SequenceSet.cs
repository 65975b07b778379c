namespace Guestmark.Events.Verification;

/// <summary>Numbers of a stream from <paramref name="First"/> to <paramref name="Last"/>, both inside.</summary>
public readonly record struct SequenceRange(ulong First, ulong Last)
{
    public ulong Count => Last - First + 1;
}

/// <summary>A set of sequence numbers as ranges: a stream that is whole and in order is one range, however long.</summary>
sealed class SequenceSet
{
    readonly List<SequenceRange> _ranges = [];

    public IReadOnlyList<SequenceRange> Ranges => _ranges;

    /// <summary>Adds one number.</summary>
    /// <returns>False when it was there.</returns>
    public bool Add(ulong number)
    {
        // Mostly the number behind the last one.
        if (_ranges.Count > 0 && _ranges[^1].Last < number)
        {
            if (_ranges[^1].Last + 1 == number) _ranges[^1] = _ranges[^1] with { Last = number };
            else _ranges.Add(new SequenceRange(number, number));
            return true;
        }

        var at = IndexOfFirstEndingAtOrAfter(number);
        if (at < _ranges.Count && _ranges[at].First <= number) return false;
        Insert(at, new SequenceRange(number, number));
        return true;
    }

    /// <summary>Adds all numbers of a range.</summary>
    public void Add(SequenceRange range)
    {
        var at = IndexOfFirstEndingAtOrAfter(range.First);
        var behind = at;
        while (behind < _ranges.Count && _ranges[behind].First <= range.Last)
        {
            range = new SequenceRange(Math.Min(range.First, _ranges[behind].First), Math.Max(range.Last, _ranges[behind].Last));
            behind++;
        }

        _ranges.RemoveRange(at, behind - at);
        Insert(at, range);
    }

    /// <summary>The parts of a range that are in the set, and those that are not, in order.</summary>
    public IEnumerable<(SequenceRange Range, bool IsIn)> Split(SequenceRange range)
    {
        var next = range.First;
        for (var at = IndexOfFirstEndingAtOrAfter(range.First); at < _ranges.Count && _ranges[at].First <= range.Last; at++)
        {
            var first = Math.Max(_ranges[at].First, range.First);
            var last = Math.Min(_ranges[at].Last, range.Last);
            if (first > next) yield return (new SequenceRange(next, first - 1), false);
            yield return (new SequenceRange(first, last), true);
            if (last == range.Last) yield break;
            next = last + 1;
        }

        yield return (new SequenceRange(next, range.Last), false);
    }

    // Joins the range with neighbours that it touches.
    void Insert(int at, SequenceRange range)
    {
        if (at < _ranges.Count && range.Last + 1 == _ranges[at].First)
        {
            range = range with { Last = _ranges[at].Last };
            _ranges.RemoveAt(at);
        }

        if (at > 0 && _ranges[at - 1].Last + 1 == range.First) _ranges[at - 1] = _ranges[at - 1] with { Last = range.Last };
        else _ranges.Insert(at, range);
    }

    int IndexOfFirstEndingAtOrAfter(ulong number)
    {
        var (low, high) = (0, _ranges.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_ranges[middle].Last < number) low = middle + 1;
            else high = middle;
        }

        return low;
    }
}
