using System.Diagnostics.Metrics;
using Guestmark.Spool;

namespace Guestmark.Node.Relay;

/// <summary>
/// How much of a spool each guest holds, so that one that sends without end while the receiver is away leaves room for the others. Safe for
/// concurrent use.
/// </summary>
/// <remarks>
/// A guest may fill a part, <see cref="GuestLimits.SpoolShare"/>, of the room that the others leave. It is the threshold by which shared buffers
/// of switches are divided (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM Transactions on
/// Networking 6(2), 1998): at one half, n guests that take all they get end with a part of 1/(n+1) each, and as much stays free for everybody else.
/// It needs no number of guests, and a guest that holds less than what is free is never refused.
/// <para>
/// Records are acknowledged in their order, so the account is a queue of (guest, bytes), 8 bytes for each record that waits, in blocks that are used
/// again: some 14 MB for a spool of 1 GiB in the smallest reports. It is made from the records when the spool is opened.
/// </para>
/// </remarks>
sealed class SpoolShares
{
    const int BlockEntries = 8192;

    /// <summary>Blocks that are kept for later: a backlog that comes and goes costs no memory each time.</summary>
    const int SpareMax = 16;

    readonly Lock _lock = new();
    readonly Dictionary<string, int> _ids = [];
    readonly List<Account> _accounts = [];
    readonly Stack<int> _freeIds = new();
    readonly LinkedList<Block> _blocks = new();
    readonly Stack<Entry[]> _spare = new();
    volatile int _percent;
    ulong _next;
    long _refused;

    public SpoolShares(int percent) => _percent = percent;

    /// <summary>See <see cref="GuestLimits.SpoolShare"/>.</summary>
    public int Percent
    {
        get => _percent;
        set => _percent = value;
    }

    /// <summary>Events that were not taken because their guest held its share.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    public static void Observe(IMeterFactory meters, SpoolShares shares, EventSpool spool, string name)
    {
        var label = new KeyValuePair<string, object?>("spool", name);
        var meter = meters.Create(NodeMetrics.MeterName);
        meter.CreateObservableCounter(
            "guestmark.node.over_share", () => new Measurement<long>(shares.Refused, label), "{event}",
            "Events that were not taken because their guest holds its share of the spool.");
        meter.CreateObservableGauge(
            "guestmark.node.largest_share", () => new Measurement<long>(shares.Largest(spool), label), "By",
            "Bytes in the spool of the guest that holds most of it.");
    }

    /// <summary>Whether a guest may put so many bytes into the spool. Who holds nothing may always put in one event.</summary>
    /// <remarks>It costs two reads while the guest is below its share; above, what was acknowledged meanwhile is counted first.</remarks>
    public bool MayStore(EventSpool spool, string subject, int bytes)
    {
        var percent = _percent;
        if (percent >= 100) return true;
        lock (_lock)
        {
            if (IsWithin()) return true;
            ReleaseUpTo(spool.AcknowledgedIndex);
            return IsWithin();
        }

        bool IsWithin()
        {
            if (!_ids.TryGetValue(subject, out var id)) return true;
            var held = _accounts[id].Bytes;
            return (held + bytes) * 100 <= (spool.BytesMax - spool.Bytes + held) * percent;
        }
    }

    public void CountRefused() => Interlocked.Increment(ref _refused);

    /// <summary>
    /// A record is in the spool, or on its way there. One that has an index that was given before takes its place: the disk had refused that one.
    /// </summary>
    /// <param name="bytes">Of its data.</param>
    public void Add(ulong index, string subject, int bytes)
    {
        lock (_lock)
        {
            if (index < _next) CutBehind(index - 1);
            if (_blocks.Last is not { } last || index != last.Value.First + (ulong)last.Value.Count || last.Value.Count == BlockEntries)
                last = _blocks.AddLast(new Block(_spare.TryPop(out var spare) ? spare : new Entry[BlockEntries], index));
            if (!_ids.TryGetValue(subject, out var id))
            {
                if (!_freeIds.TryPop(out id))
                {
                    id = _accounts.Count;
                    _accounts.Add(default);
                }

                _accounts[id] = new Account(subject, 0);
                _ids.Add(subject, id);
            }

            bytes += SegmentFormat.RecordHeaderBytes;
            _accounts[id] = _accounts[id] with { Bytes = _accounts[id].Bytes + bytes };
            last.Value.Entries[last.Value.Count++] = new Entry(id, bytes);
            _next = index + 1;
        }
    }

    /// <summary>All records up to this one are done with.</summary>
    public void Release(ulong acknowledged)
    {
        lock (_lock) ReleaseUpTo(acknowledged);
    }

    /// <summary>Records behind this one never were: the disk refused them.</summary>
    public void CutAfter(ulong index)
    {
        lock (_lock) CutBehind(index);
    }

    /// <summary>Bytes that a guest holds.</summary>
    public long Of(string subject)
    {
        lock (_lock) return _ids.TryGetValue(subject, out var id) ? _accounts[id].Bytes : 0;
    }

    long Largest(EventSpool spool)
    {
        lock (_lock)
        {
            ReleaseUpTo(spool.AcknowledgedIndex);
            return _accounts.Count == 0 ? 0 : _accounts.Max(account => account.Bytes);
        }
    }

    void ReleaseUpTo(ulong acknowledged)
    {
        while (_blocks.First is { Value: var block } && block.First + (ulong)block.Done <= acknowledged)
        {
            var end = acknowledged - block.First >= (ulong)block.Count ? block.Count : (int)(acknowledged - block.First) + 1;
            for (; block.Done < end; block.Done++) Take(block.Entries[block.Done]);
            if (block.Done < block.Count || (block.Count < BlockEntries && _blocks.Count == 1)) return;
            Drop(_blocks.First!);
        }
    }

    void CutBehind(ulong index)
    {
        while (_blocks.Last is { Value: var block } && block.First + (ulong)block.Count > index + 1)
        {
            while (block.Count > block.Done && block.First + (ulong)block.Count > index + 1) Take(block.Entries[--block.Count]);
            if (block.Count > block.Done || block.First + (ulong)block.Count <= index + 1) break;
            Drop(_blocks.Last!);
        }

        _next = Math.Min(_next, index + 1);
    }

    void Take(Entry entry)
    {
        var account = _accounts[entry.Account];
        if (account.Bytes > entry.Bytes)
        {
            _accounts[entry.Account] = account with { Bytes = account.Bytes - entry.Bytes };
            return;
        }

        _ids.Remove(account.Subject);
        _accounts[entry.Account] = default;
        _freeIds.Push(entry.Account);
    }

    void Drop(LinkedListNode<Block> block)
    {
        if (_spare.Count < SpareMax) _spare.Push(block.Value.Entries);
        _blocks.Remove(block);
    }

    readonly record struct Account(string Subject, long Bytes);

    readonly record struct Entry(int Account, int Bytes);

    /// <summary>Records with indexes that follow each other from <paramref name="first"/>; where one is missing, the next begins another block.</summary>
    sealed class Block(Entry[] entries, ulong first)
    {
        public Entry[] Entries => entries;

        public ulong First => first;

        public int Count { get; set; }

        /// <summary>As many from the first are acknowledged.</summary>
        public int Done { get; set; }
    }
}
