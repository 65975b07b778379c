using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Spool;

/// <summary>
/// A queue of records that survives a crash: what the task of an append ends for is on disk, and stays until every reader has
/// acknowledged it or a later record, or, where that is wanted, until the oldest give way to new ones.
/// </summary>
/// <remarks>
/// Life of a record:
/// <list type="number">
/// <item>An append gets an index and a place in the newest chunk of memory, or is refused when the limits are reached, and copies its bytes there.</item>
/// <item>The writer, a thread of its own, takes all chunks that are queued, writes them with one system call and flushes them with one fdatasync
/// (group commit: while one flush runs, the next group gathers).</item>
/// <item>The appends of the group return; readers see the records.</item>
/// <item>A cursor reads it, its checksum is compared again, the receiver acknowledges it.</item>
/// <item>When all readers have acknowledged all records of a segment that is no longer written, the file is deleted; where the disk is full, also
/// of the one that is.</item>
/// </list>
/// What failed to be flushed is never acknowledged, nor is anything after it: Linux marks pages clean whose writing failed
/// (https://wiki.postgresql.org/wiki/Fsync_Errors), so a second flush of the same file proves nothing. A spool that is opened
/// begins a new file for the same reason.
/// </remarks>
public sealed partial class EventSpool : IAsyncDisposable
{
    const string LockFile = "lock";

    /// <summary>The file of the newest index that is on disk: what says that records are missing when no record behind them is there.</summary>
    internal const string StoredFile = "stored";

    /// <summary>A record that is longer has a chunk of its own.</summary>
    const int ChunkBytes = 256 * 1024;

    /// <summary>One commit writes about as much: a disk of 300 MB/s needs a twentieth of a second for it.</summary>
    const long CommitBytesMax = 16 << 20;

    /// <summary>A full disk refuses each of a thousand commits a second: one line for those of this time, and for as long they say that there is no room.</summary>
    static readonly TimeSpan RefusalInterval = TimeSpan.FromSeconds(10);

    /// <summary>The offset of a segment that is not there yet.</summary>
    const long NoSegment = long.MaxValue;

    readonly Lock _lock = new();
    readonly SpoolOptions _options;
    readonly ILogger _logger;
    readonly TimeProvider _time;
    readonly FileStream _lockHandle;
    readonly ulong _secret;
    readonly PositionFile _stored;
    readonly List<SpoolReader> _readers = [];
    readonly List<Segment> _segments = [];
    readonly AutoResetEvent _wake = new(false);
    readonly TaskCompletionSource _ended = NewSignal();

    // Lost records behind the acknowledged ones, in order; and those of them that nobody has asked for yet.
    readonly List<SpoolLoss> _lost = [];
    List<SpoolLoss> _untold = [];
    readonly long[] _lostCounts = new long[Enum.GetValues<SpoolLossReason>().Length];

    List<RecordChunk> _queue = [];
    List<Segment> _dropped = [];
    TaskCompletionSource? _grown;
    TaskCompletionSource? _losing;
    ulong _durableEnd;
    ulong _nextIndex;
    ulong _acknowledgedIndex;

    /// <summary>Where the next record goes in its segment, counting what is queued. Over the limit of a segment: in a new one.</summary>
    long _nextOffset = NoSegment;
    bool _hasOwnSegment;
    long _bytes;
    long _queuedBytes;
    long _breaks;
    long _appended;
    long _commits;
    Exception? _failure;
    bool _writing;
    bool _closed;

    /// <summary>The disk has refused the last group.</summary>
    bool _starved;
    long? _refusedAt;

    // Of the thread that writes.
    long? _refusalToldAt;
    long _refusedUntold;

    EventSpool(SpoolOptions options, ILogger logger, SpoolRecordVisitor? visit, TimeProvider time)
    {
        _time = time;
        _options = options;
        _logger = logger;
        PrepareDirectory(options.Directory);
        try
        {
            // FileShare.None takes flock(LOCK_EX): a second process is refused at once.
            _lockHandle = new FileStream(Path.Combine(options.Directory, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"the spool {options.Directory} cannot be locked; is another process using it? ({e.Message})", e);
        }

        try
        {
            _secret = SpoolSecret.ReadOrMake(options.Directory);
            _stored = PositionFile.Open(Path.Combine(options.Directory, StoredFile));
            _readers.Add(SpoolReader.Open(options.Directory, null));
            foreach (var name in options.Readers) _readers.Add(SpoolReader.Open(options.Directory, name));
            Recover(visit);
        }
        catch
        {
            _readers.ForEach(reader => reader.Dispose());
            _segments.ForEach(segment => segment.Dispose());
            _stored?.Dispose();
            _lockHandle.Dispose();
            throw;
        }

        new Thread(WriteGroups) { IsBackground = true, Name = "spool" }.Start();
    }

    public string Directory => _options.Directory;

    /// <summary>Index of the newest record that is on disk; 0 when there never was one.</summary>
    public ulong LastIndex
    {
        get { lock (_lock) return _durableEnd - 1; }
    }

    /// <summary>All readers are done with all records up to this one.</summary>
    public ulong AcknowledgedIndex
    {
        get { lock (_lock) return _acknowledgedIndex; }
    }

    /// <summary>Records that are on disk and not acknowledged by all readers.</summary>
    public ulong Depth
    {
        get { lock (_lock) return DepthAfter(_acknowledgedIndex); }
    }

    /// <summary>Bytes of the records on disk and on their way to it.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    public long BytesMax => _options.BytesMax;

    /// <summary>
    /// How often the disk has refused records. All records that were queued at such a moment were refused, so what is appended while
    /// this stays the same follows what was appended before without a gap.
    /// </summary>
    public long Breaks
    {
        get { lock (_lock) return _breaks; }
    }

    /// <summary>Why nothing is taken any more: a flush failed. Null while all is well. Ends when the spool is opened again.</summary>
    public Exception? Failure
    {
        get { lock (_lock) return _failure; }
    }

    /// <summary>Whether a record was refused within the last 10 seconds because the spool was full or the disk did not take it.</summary>
    public bool IsRefusing
    {
        get { lock (_lock) return _refusedAt is { } at && _time.GetElapsedTime(at) < RefusalInterval; }
    }

    /// <summary>Records that became durable since the spool was opened.</summary>
    public long Appended
    {
        get { lock (_lock) return _appended; }
    }

    /// <summary>Readers whose position was behind the newest record when the spool was opened, so that all it holds is read again.</summary>
    public int PositionsMended { get; private set; }

    /// <summary>Flushes of records since the spool was opened.</summary>
    public long Commits
    {
        get { lock (_lock) return _commits; }
    }

    /// <summary>Opens the spool, reads all of it once and cuts off what a crash left half written.</summary>
    /// <param name="visit">Sees every record that is there, acknowledged or not, in order.</param>
    /// <exception cref="IOException">The folder cannot be read or written, or another process has it open.</exception>
    public static EventSpool Open(SpoolOptions options, ILogger? logger = null, SpoolRecordVisitor? visit = null, TimeProvider? time = null)
    {
        options.Validate();
        return new EventSpool(options, logger ?? NullLogger.Instance, visit, time ?? TimeProvider.System);
    }

    /// <summary>Records that were lost since the spool was opened, or were found to be missing then.</summary>
    public long LostCount(SpoolLossReason reason)
    {
        lock (_lock) return _lostCounts[(int)reason];
    }

    /// <summary>All records up to this one are done with for one reader.</summary>
    /// <param name="reader">One of <see cref="SpoolOptions.Readers"/>; null where there are none.</param>
    public ulong AcknowledgedIndexOf(string? reader)
    {
        lock (_lock) return ReaderOf(reader).Acknowledged;
    }

    /// <summary>Records that are on disk and that one reader has not acknowledged.</summary>
    /// <inheritdoc cref="AcknowledgedIndexOf"/>
    public ulong DepthOf(string? reader)
    {
        lock (_lock) return DepthAfter(ReaderOf(reader).Acknowledged);
    }

    /// <summary>Queues a record. Records become durable, and readable, in the order of these calls.</summary>
    /// <param name="record">1 to <see cref="SpoolOptions.RecordBytesMax"/> bytes; copied before this returns.</param>
    /// <param name="durable">Ends when the record is on disk; fails with an <see cref="IOException"/> when the disk refuses it.</param>
    /// <returns>False when the spool, or its queue in memory, is full: nothing was taken, try again later.</returns>
    /// <exception cref="IOException">An earlier flush failed. What is on disk is unknown until the spool is opened again.</exception>
    public bool TryAppend(ReadOnlyMemory<byte> record, out Task durable) => Append([record], breaks: null, out durable, out _) == AppendOutcome.Queued;

    /// <summary>Queues records that follow each other: all of them, or none when there is no room for all.</summary>
    /// <inheritdoc cref="TryAppend(ReadOnlyMemory{byte}, out Task)"/>
    public bool TryAppend(ReadOnlySpan<ReadOnlyMemory<byte>> records, out Task durable) =>
        Append(records, breaks: null, out durable, out _) == AppendOutcome.Queued;

    /// <summary>Queues a record that must follow the last one without a gap.</summary>
    /// <param name="breaks">The value of <see cref="Breaks"/> that the caller knows.</param>
    /// <param name="index">The record's, once it is durable. A refused record uses up none.</param>
    /// <inheritdoc cref="TryAppend(ReadOnlyMemory{byte}, out Task)"/>
    public AppendOutcome Append(ReadOnlyMemory<byte> record, long breaks, out Task durable, out ulong index) =>
        Append([record], breaks, out durable, out index);

    AppendOutcome Append(ReadOnlySpan<ReadOnlyMemory<byte>> records, long? breaks, out Task durable, out ulong index)
    {
        durable = Task.CompletedTask;
        var size = 0L;
        foreach (var record in records)
        {
            if (record.Length < 1 || record.Length > _options.RecordBytesMax)
                throw new ArgumentOutOfRangeException(nameof(records), record.Length, $"a record has 1 to {_options.RecordBytesMax} bytes");
            size += SegmentFormat.RecordHeaderBytes + record.Length;
        }

        if (size > Array.MaxLength) throw new ArgumentOutOfRangeException(nameof(records), size, $"together they may have {Array.MaxLength} bytes");
        RecordChunk chunk;
        int place;
        bool wake;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            index = _nextIndex;
            if (_failure is not null) throw new IOException($"the spool {_options.Directory} has failed: {_failure.Message}", _failure);
            if (breaks is { } known && known != _breaks) return AppendOutcome.Broken;
            if (records.IsEmpty) return AppendOutcome.Queued;
            if (_queuedBytes > 0 && _queuedBytes + size > _options.QueueBytesMax) return AppendOutcome.Full;
            if (_bytes + size > _options.BytesMax && !TryMakeRoom(size))
            {
                _refusedAt = _time.GetTimestamp();
                return AppendOutcome.Full;
            }

            // Indexes are given now: when the disk refuses records it refuses all that are queued, so no refused record leaves a hole.
            var begins = _nextOffset >= _options.SegmentBytesMax;
            if (_queue.Count == 0 || begins || _queue[^1].Room < size)
            {
                _queue.Add(new RecordChunk((int)Math.Max(size, ChunkBytes), index, begins, _secret));
                if (begins) _nextOffset = SegmentFormat.HeaderBytes;
            }

            chunk = _queue[^1];
            place = chunk.Take((int)size, records.Length);
            durable = chunk.Durable;
            _nextIndex += (ulong)records.Length;
            _nextOffset += size;
            _bytes += size;
            _queuedBytes += size;
            wake = !_writing;
            _writing = true;
        }

        chunk.Fill(place, records, index);
        if (wake) _wake.Set();
        return AppendOutcome.Queued;
    }

    /// <summary>Reads from the oldest record that is not acknowledged. Several cursors do not disturb each other.</summary>
    /// <param name="reader">One of <see cref="SpoolOptions.Readers"/>; null where there are none.</param>
    public SpoolCursor OpenCursor(string? reader = null)
    {
        lock (_lock)
        {
            var owner = ReaderOf(reader);
            return new SpoolCursor(this, owner, owner.Acknowledged + 1, _options.RecordBytesMax);
        }
    }

    /// <summary>Says that all records up to and including <paramref name="index"/> are safe elsewhere.</summary>
    /// <param name="reader">One of <see cref="SpoolOptions.Readers"/>; null where there are none.</param>
    public void Acknowledge(ulong index, string? reader = null)
    {
        List<Segment> done = [];
        lock (_lock)
        {
            if (_closed) return;
            var owner = ReaderOf(reader);
            if (index <= owner.Acknowledged) return;
            if (index >= _durableEnd) throw new ArgumentOutOfRangeException(nameof(index), index, $"the newest record is {_durableEnd - 1}");
            owner.Advance(index);
            MoveAcknowledged();
            while (_segments.Count > 1 && _segments[0].NextIndex <= _acknowledgedIndex + 1)
            {
                _bytes -= _segments[0].Length;
                done.Add(_segments[0]);
                _segments.RemoveAt(0);
            }

            // The writer does nothing now and has nothing to do, so the newest segment is nobody's.
            if (_starved && !_writing) TakeSpent(done);
        }

        if (done.Count > 0) Delete(done);
    }

    /// <summary>
    /// Under the lock. Takes all segments out of the list when everything in them is done with, also the newest: on a disk that is full of it there
    /// would never be room for the next one. The next record begins a segment.
    /// </summary>
    void TakeSpent(List<Segment> done)
    {
        if (_failure is not null || _queue.Count > 0 || _acknowledgedIndex + 1 < _durableEnd) return;
        if (!_segments.Exists(segment => segment.NextIndex > segment.FirstIndex)) return;
        foreach (var segment in _segments) _bytes -= segment.Length;
        done.AddRange(_segments);
        _segments.Clear();
        _hasOwnSegment = false;
        _nextOffset = NoSegment;
    }

    /// <summary>Waits until records were lost. Each loss is told once while the spool is open, and again after it was opened again until it is acknowledged.</summary>
    /// <returns>In order; neighbours in one. Empty when the spool was closed.</returns>
    public async ValueTask<IReadOnlyList<SpoolLoss>> TakeLossesAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task losing;
            lock (_lock)
            {
                if (_untold.Count > 0 || _closed)
                {
                    var losses = _untold;
                    _untold = [];
                    return losses;
                }

                losing = (_losing ??= NewSignal()).Task;
            }

            await losing.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Waits until the queue is on disk, then closes the files.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_closed) return;
            _closed = true;
        }

        _wake.Set();
        await _ended.Task;
        lock (_lock)
        {
            if (_hasOwnSegment && _failure is null) GiveBackReserve(_segments[^1]);
            foreach (var segment in _segments) segment.Dispose();
            foreach (var reader in _readers) reader.Dispose();
            _stored.Dispose();
            _grown?.TrySetResult();
            _losing?.TrySetResult();
        }

        await _lockHandle.DisposeAsync();
    }

    /// <summary>Waits until record <paramref name="index"/> is on disk. False when the spool was closed first.</summary>
    internal async ValueTask<bool> WaitForAsync(ulong index, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task grown;
            lock (_lock)
            {
                if (index < _durableEnd) return true;
                if (_closed) return false;
                grown = (_grown ??= NewSignal()).Task;
            }

            await grown.WaitAsync(cancellationToken);
        }
    }

    /// <summary>
    /// The oldest segment that holds record <paramref name="index"/> or a later one, and up to where it is durable now. It stays until its
    /// records are acknowledged or the cursor is released.
    /// </summary>
    internal (Segment Segment, long Length, ulong NextIndex)? SegmentFor(SpoolReader reader, ulong index)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_segments.Find(segment => index < segment.NextIndex) is not { } found) return null;
            reader.UnderWay = Math.Max(reader.UnderWay, Math.Max(index, found.FirstIndex));
            return (found, found.Length, found.NextIndex);
        }
    }

    internal void Release(SpoolReader reader)
    {
        lock (_lock) reader.UnderWay = 0;
    }

    /// <summary>Whole records that were durable are not whole any more.</summary>
    internal void Missing(Segment segment, ulong first, ulong last)
    {
        lock (_lock)
        {
            if (!_segments.Contains(segment)) return;
            if (AddLoss(first, last, SpoolLossReason.Damage) == 0) return;
        }

        LogDamage(segment.Path, $"records {first} to {last}");
    }

    /// <summary>What was reserved on the disk and not used.</summary>
    static void GiveBackReserve(Segment segment)
    {
        try
        {
            RandomAccess.SetLength(segment.File, segment.Length);
        }
        catch (IOException)
        {
            // It stays reserved until the segment is deleted.
        }
    }

    /// <summary>The folder is the spool's alone: what guests reported is for nobody else on the host.</summary>
    static void PrepareDirectory(string path)
    {
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        System.IO.Directory.CreateDirectory(path, ownerOnly);
        File.SetUnixFileMode(path, ownerOnly);
        // Until that was done once there is no lock.
        if (!File.Exists(Path.Combine(path, LockFile))) LibC.FlushDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    void Recover(SpoolRecordVisitor? visit)
    {
        var files = new List<(ulong FirstIndex, string Path)>();
        foreach (var path in System.IO.Directory.EnumerateFiles(_options.Directory))
        {
            if (SegmentFormat.TryParseFileName(Path.GetFileName(path), out var firstIndex)) files.Add((firstIndex, path));
        }

        files.Sort();
        var stored = _stored.AtOpening ?? 0;
        _durableEnd = 1;
        var missing = new List<SpoolLoss>();
        // Whole segments that are not there. Where the oldest give way they most likely did.
        var gone = _options.WhenFull == WhenFull.DropOldest ? SpoolLossReason.Full : SpoolLossReason.Damage;
        for (var i = 0; i < files.Count; i++)
        {
            var (firstIndex, path) = files[i];
            var segment = Segment.Open(path, firstIndex, _options.RecordBytesMax, _secret, FileAccess.ReadWrite, visit, out var damage, out var tail);
            if (_segments.Count > 0 && firstIndex > _durableEnd) missing.Add(new SpoolLoss(_durableEnd, firstIndex - 1, gone));
            _durableEnd = Math.Max(_durableEnd, firstIndex);
            if (segment is null)
            {
                File.Delete(path);
                continue;
            }

            foreach (var place in damage)
            {
                LogDamage(path, $"{place}");
                missing.Add(new SpoolLoss(place.FirstIndex, place.LastIndex, SpoolLossReason.Damage));
            }

            // Behind the last whole record lies what a crash left half written, of which nobody was told that it was stored; or what the disk damaged.
            var isTorn = i == files.Count - 1 && stored < segment.NextIndex;
            if (tail > 0 && isTorn)
            {
                LogTornTail(path, tail, segment.Length);
                RandomAccess.SetLength(segment.File, segment.Length);
            }
            else if (tail > 0)
            {
                LogDamage(path, $"{tail} bytes at offset {segment.Length}");
            }

            if (i == files.Count - 1 && segment.NextIndex == segment.FirstIndex)
            {
                // Its name is wanted for the next one.
                segment.Dispose();
                if (tail > 0 && !(isTorn && segment.HasHeader)) File.Move(path, path + ".damaged", overwrite: true);
                else File.Delete(path);
                continue;
            }

            // Its last records may never have been flushed: they were written, and the process died. From here on they count as durable.
            if (i == files.Count - 1) LibC.FlushData(segment.File);
            _segments.Add(segment);
            _bytes += segment.Length;
            _durableEnd = Math.Max(_durableEnd, segment.NextIndex);
        }

        // All of the newest segment may be gone, or its end, and then no record behind tells of it.
        if (stored >= _durableEnd)
        {
            missing.Add(new SpoolLoss(_durableEnd, stored, SpoolLossReason.Damage));
            _durableEnd = stored + 1;
        }

        MistrustPositions(isAnyKnown: _stored.AtOpening is not null || _segments.Count > 0);

        // Where a reader begins that is new, or whose file is not whole or says what cannot be.
        var known = _readers[0].WasKnown ? _readers[0].Acknowledged : _segments.Count > 0 ? _segments[0].FirstIndex - 1 : 0;
        foreach (var reader in _readers)
        {
            // Behind the common file only when it was not read for a while: what all were done with then is done with.
            if (!reader.WasKnown || reader.Acknowledged < known) reader.Advance(known);
            // No index is given out twice, also when the disk has lost what was acknowledged.
            _durableEnd = Math.Max(_durableEnd, reader.Acknowledged + 1);
        }

        _nextIndex = _durableEnd;
        MoveAcknowledged();
        if (_segments.Count > 0 && _segments[0].FirstIndex > _acknowledgedIndex + 1)
            missing.Insert(0, new SpoolLoss(_acknowledgedIndex + 1, _segments[0].FirstIndex - 1, gone));
        foreach (var (first, last, reason) in missing)
        {
            if (AddLoss(first, last, reason) is > 0 and var count && reason == SpoolLossReason.Damage) LogMissing(_options.Directory, count, first, last);
        }

        if (_stored.AtOpening != _durableEnd - 1) WriteStored(_durableEnd - 1);
        if (_readers.TrueForAll(reader => reader.WasKnown)) return;
        foreach (var reader in _readers) reader.Flush();
        LibC.FlushDirectory(_options.Directory);
    }

    /// <summary>
    /// A position behind all that was ever stored is of another spool, or wrong: were it believed, records would be passed over that come up to it.
    /// </summary>
    /// <param name="isAnyKnown">
    /// Whether anything but the positions says where the spool ends. Where nothing does there is also nothing to deliver again.
    /// </param>
    void MistrustPositions(bool isAnyKnown)
    {
        const ulong most = 1UL << 62;
        var last = isAnyKnown ? _durableEnd - 1 : most;
        foreach (var reader in _readers.Where(reader => reader.WasKnown && reader.Acknowledged > last))
        {
            LogPositionMended(Path.Combine(_options.Directory, SpoolReader.FileNameOf(reader.Name)), reader.Acknowledged, _durableEnd - 1);
            reader.Mistrust();
            PositionsMended++;
        }
    }

    /// <remarks>
    /// Not flushed: it costs each commit 2 µs that way, and after a power cut it may say less than there is, which only leaves a loss unnoticed that
    /// happens at the same time. For the same reason nothing fails with it.
    /// </remarks>
    void WriteStored(ulong index)
    {
        try
        {
            _stored.Write(index);
        }
        catch (IOException)
        {
            // The next commit writes it again.
        }
    }

    SpoolReader ReaderOf(string? name)
    {
        if (name is null && _options.Readers.Count > 0) throw new ArgumentException($"this spool has readers with names: {string.Join(", ", _options.Readers)}", nameof(name));
        return _readers.Find(reader => reader.Name == name) ?? throw new ArgumentException($"'{name}' is no reader of this spool", nameof(name));
    }

    /// <summary>The file without a name says what all are done with, so that a reader that is added later knows where to begin.</summary>
    void MoveAcknowledged()
    {
        if (_readers.Count > 1 && _readers.Skip(1).Min(reader => reader.Acknowledged) is var least && least != _readers[0].Acknowledged) _readers[0].Advance(least);
        _acknowledgedIndex = _readers[0].Acknowledged;
        while (_lost.Count > 0 && _lost[0].Last <= _acknowledgedIndex) _lost.RemoveAt(0);
    }

    ulong DepthAfter(ulong acknowledged)
    {
        var depth = _durableEnd - 1 - acknowledged;
        foreach (var loss in _lost)
        {
            if (loss.Last > acknowledged) depth -= loss.Last - Math.Max(loss.First, acknowledged + 1) + 1;
        }

        return depth;
    }

    /// <summary>Under the lock. What is acknowledged or known to be lost is none.</summary>
    /// <returns>How many records it is.</returns>
    ulong AddLoss(ulong first, ulong last, SpoolLossReason reason)
    {
        var count = 0UL;
        first = Math.Max(first, _acknowledgedIndex + 1);
        for (var i = 0; i < _lost.Count && first <= last; i++)
        {
            if (_lost[i].Last < first) continue;
            if (_lost[i].First > last) break;
            if (_lost[i].First > first) count += AddNewLoss(new SpoolLoss(first, _lost[i].First - 1, reason));
            first = _lost[i].Last + 1;
        }

        if (first <= last) count += AddNewLoss(new SpoolLoss(first, last, reason));
        if (count > 0)
        {
            _losing?.TrySetResult();
            _losing = null;
        }

        return count;
    }

    ulong AddNewLoss(SpoolLoss loss)
    {
        _lostCounts[(int)loss.Reason] += (long)loss.Count;
        Insert(_lost, loss);
        Insert(_untold, loss);
        return loss.Count;

        static void Insert(List<SpoolLoss> losses, SpoolLoss loss)
        {
            var i = losses.FindIndex(other => other.First > loss.First);
            if (i < 0) i = losses.Count;
            if (i > 0 && losses[i - 1] is var before && before.Reason == loss.Reason && before.Last + 1 == loss.First) losses[i - 1] = before with { Last = loss.Last };
            else losses.Insert(i, loss);
        }
    }

    /// <summary>Under the lock. Drops the oldest segments that nobody is reading until there is room.</summary>
    bool TryMakeRoom(long size)
    {
        if (_options.WhenFull != WhenFull.DropOldest) return false;
        var underWay = _readers.Max(reader => reader.UnderWay);
        for (var i = 0; _bytes + size > _options.BytesMax && i < _segments.Count - 1;)
        {
            var oldest = _segments[i];
            if (underWay >= oldest.FirstIndex && _readers.Exists(reader => reader.UnderWay > reader.Acknowledged))
            {
                i++;
                continue;
            }

            AddLoss(oldest.FirstIndex, oldest.NextIndex - 1, SpoolLossReason.Full);
            _bytes -= oldest.Length;
            _dropped.Add(oldest);
            _segments.RemoveAt(i);
        }

        return _bytes + size <= _options.BytesMax;
    }

    /// <summary>The writer.</summary>
    void WriteGroups()
    {
        while (true)
        {
            List<RecordChunk> group = [];
            List<Segment> dropped = [];
            lock (_lock)
            {
                // Exchanged, not shared: appends fill the list that is left behind.
                (group, _queue) = (_queue, group);
                (dropped, _dropped) = (_dropped, dropped);
                if (group.Count == 0)
                {
                    _writing = false;
                    if (_closed && dropped.Count == 0) break;
                }
            }

            if (dropped.Count > 0) Delete(dropped);
            if (group.Count > 0) WriteGroup(group);
            else if (dropped.Count == 0) _wake.WaitOne();
        }

        _ended.SetResult();
    }

    /// <summary>Writes chunks, at the end of the newest segment or of new ones, and flushes them.</summary>
    void WriteGroup(List<RecordChunk> group)
    {
        var buffers = new List<ReadOnlyMemory<byte>>(group.Count);
        for (var done = 0; done < group.Count;)
        {
            var size = 0L;
            var end = done;
            buffers.Clear();
            while (end < group.Count && size < CommitBytesMax && (end == done || !group[end].BeginsSegment))
            {
                group[end].WaitUntilFilled();
                buffers.Add(group[end].Bytes);
                size += group[end].Length;
                end++;
            }

            try
            {
                Commit(group[done], buffers, size);
            }
            catch (IOException e) when (e is not FlushException)
            {
                Refuse(group, done, e);
                return;
            }
            catch (Exception e)
            {
                Fail(group, done, e);
                return;
            }

            WriteStored(group[end - 1].FirstIndex + (ulong)group[end - 1].Records - 1);
            TaskCompletionSource? grown;
            lock (_lock)
            {
                for (var i = done; i < end; i++)
                {
                    _appended += group[i].Records;
                    _durableEnd = group[i].FirstIndex + (ulong)group[i].Records;
                }

                _commits++;
                _starved = false;
                _segments[^1].Length += size;
                _segments[^1].NextIndex = _durableEnd;
                _queuedBytes -= size;
                grown = _grown;
                _grown = null;
            }

            for (var i = done; i < end; i++) group[i].Release();

            // Whoever waits is woken by another thread: this one has the next group to write.
            ThreadPool.UnsafeQueueUserWorkItem(
                static durable =>
                {
                    foreach (var chunk in durable.Chunks) chunk.Complete();
                    durable.Grown?.SetResult();
                },
                (Chunks: group[done..end], Grown: grown),
                preferLocal: false);
            done = end;
        }
    }

    void Commit(RecordChunk first, List<ReadOnlyMemory<byte>> buffers, long size)
    {
        if (first.BeginsSegment)
        {
            var made = Segment.Create(_options.Directory, first.FirstIndex, _options.SegmentBytesMax + size, _secret);
            lock (_lock)
            {
                _segments.Add(made);
                _bytes += SegmentFormat.HeaderBytes;
                _hasOwnSegment = true;
            }
        }

        // Only this thread adds segments.
        var segment = _segments[^1];
        try
        {
            if (buffers.Count == 1) RandomAccess.Write(segment.File, buffers[0].Span, segment.Length);
            else RandomAccess.Write(segment.File, buffers, segment.Length);
        }
        catch (IOException)
        {
            // Most likely the disk is full. Take back what was written; when that works the spool is as before and goes on.
            try
            {
                RandomAccess.SetLength(segment.File, segment.Length);
            }
            catch (IOException e)
            {
                throw new InvalidOperationException($"{segment.Path} could not be cut back to {segment.Length} bytes: {e.Message}", e);
            }

            throw;
        }

        LibC.FlushData(segment.File);
    }

    /// <summary>The disk did not take these chunks. They never were, and neither will be those that are queued behind them.</summary>
    void Refuse(List<RecordChunk> group, int from, IOException refusal)
    {
        var refused = Void(group, from, failure: null);
        _refusedUntold += refused.Sum(chunk => (long)chunk.Records);
        var now = _time.GetTimestamp();
        lock (_lock) _refusedAt = now;
        if (_refusalToldAt is not { } told || _time.GetElapsedTime(told, now) >= RefusalInterval)
        {
            LogRefused(_options.Directory, _refusedUntold, refusal.Message);
            (_refusalToldAt, _refusedUntold) = (now, 0);
        }

        var error = new IOException($"the spool {_options.Directory} could not store a record: {refusal.Message}", refusal);
        foreach (var chunk in refused) chunk.Refuse(error);
    }

    /// <summary>What is on disk is unknown: nothing more is acknowledged until the spool has been read again.</summary>
    void Fail(List<RecordChunk> group, int from, Exception failure)
    {
        LogFailed(_options.Directory, failure);
        var refused = Void(group, from, failure);
        try
        {
            // What the page cache may hold although the disk does not must not come back when the spool is opened again.
            if (_segments.Count > 0) RandomAccess.SetLength(_segments[^1].File, _segments[^1].Length);
        }
        catch (IOException e)
        {
            LogFailed(_options.Directory, e);
        }

        var error = new IOException($"the spool {_options.Directory} could not store a record: {failure.Message}", failure);
        foreach (var chunk in refused) chunk.Refuse(error);
    }

    /// <summary>Takes chunks, and all that are queued, out of the accounts. Their memory is left to the collector: some may still be being filled.</summary>
    List<RecordChunk> Void(List<RecordChunk> group, int from, Exception? failure)
    {
        lock (_lock)
        {
            List<RecordChunk> refused = [.. group[from..], .. _queue];
            _queue = [];
            _breaks++;
            _failure = failure;
            foreach (var chunk in refused)
            {
                _bytes -= chunk.Length;
                _queuedBytes -= chunk.Length;
            }

            _nextIndex = _durableEnd;
            _nextOffset = _hasOwnSegment ? _segments[^1].Length : NoSegment;
            _starved = true;
            TakeSpent(_dropped);
            return refused;
        }
    }

    /// <summary>Deletes the files of segments that are out of the list.</summary>
    void Delete(List<Segment> segments)
    {
        try
        {
            foreach (var reader in _readers) reader.Flush();
        }
        catch (IOException e)
        {
            // They are opened again, and found to be acknowledged, at the next start.
            foreach (var segment in segments)
            {
                segment.Dispose();
                LogNotDeleted(segment.Path, e);
            }

            return;
        }

        foreach (var segment in segments)
        {
            segment.Dispose();
            try
            {
                File.Delete(segment.Path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                LogNotDeleted(segment.Path, e);
            }
        }
    }

    static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    [LoggerMessage(3001, LogLevel.Information, "Cut {Bytes} bytes off {Path} at offset {Offset}: they were never acknowledged", EventName = "SpoolTornTail")]
    partial void LogTornTail(string path, long bytes, long offset);

    [LoggerMessage(3002, LogLevel.Error, "The segment {Path} is damaged, lost are {Damage}", EventName = "SpoolDamage")]
    partial void LogDamage(string path, string damage);

    [LoggerMessage(3003, LogLevel.Critical, "The spool {Directory} failed; nothing is acknowledged until it is opened again", EventName = "SpoolFailed")]
    partial void LogFailed(string directory, Exception failure);

    [LoggerMessage(3004, LogLevel.Error, "The disk under the spool {Directory} refused {Records} records since it was last told: {Problem}", EventName = "SpoolRecordsRefused")]
    partial void LogRefused(string directory, long records, string problem);

    [LoggerMessage(
        3006, LogLevel.Error, "{Path} says that all up to record {Position} is acknowledged, but the newest is {Last}: what is there is delivered again",
        EventName = "SpoolPositionMended")]
    partial void LogPositionMended(string path, ulong position, ulong last);

    [LoggerMessage(
        3007, LogLevel.Error, "{Count} records of the spool {Directory} are gone that were not delivered, between {First} and {Last}",
        EventName = "SpoolRecordsGone")]
    partial void LogMissing(string directory, ulong count, ulong first, ulong last);

    [LoggerMessage(3005, LogLevel.Warning, "The segment {Path} is done with and could not be deleted", EventName = "SpoolNotDeleted")]
    partial void LogNotDeleted(string path, Exception failure);
}

/// <summary>What became of an append that must follow the last one.</summary>
public enum AppendOutcome
{
    Queued,

    /// <summary>The spool, or its queue in memory, is full. Nothing was taken.</summary>
    Full,

    /// <summary>The disk refused records since the caller last looked. Nothing was taken.</summary>
    Broken,
}
