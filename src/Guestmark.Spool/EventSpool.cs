using System.Buffers;
using System.Buffers.Binary;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Spool;

/// <summary>
/// A queue of records that survives a crash: what the task of an append ends for is on disk, and stays until
/// <see cref="Acknowledge"/> names it or a later record.
/// </summary>
/// <remarks>
/// Life of a record:
/// <list type="number">
/// <item>An append puts it into the queue of the writer, or refuses it when the limits are reached.</item>
/// <item>The writer takes all that is queued, gives indexes, writes it with one system call and flushes it with one fdatasync (group commit: while
/// one flush runs, the next group gathers).</item>
/// <item>The appends of the group return; readers see the records.</item>
/// <item>A cursor reads it, its checksum is compared again, the receiver acknowledges it.</item>
/// <item>When all records of a segment that is no longer written are acknowledged, the file is deleted.</item>
/// </list>
/// The highest acknowledged index is kept in the file <c>acknowledged</c> without a flush: after a crash some records come again,
/// which every receiver must bear anyway.
/// </remarks>
public sealed partial class EventSpool : IAsyncDisposable
{
    const string AcknowledgedFile = "acknowledged";
    const string LockFile = "lock";

    readonly Lock _lock = new();
    readonly SpoolOptions _options;
    readonly ILogger _logger;
    readonly FileStream _lockHandle;
    readonly FileStream _acknowledged;
    readonly List<Segment> _segments = [];
    readonly SemaphoreSlim _pendingSignal = new(0);
    readonly Task _writer;

    List<Pending> _pending = [];
    TaskCompletionSource _grown = NewSignal();
    ulong _durableEnd;
    ulong _acknowledgedIndex;
    long _bytes;
    long _breaks;
    Exception? _failure;
    bool _closed;

    EventSpool(SpoolOptions options, ILogger logger)
    {
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
            _acknowledged = new FileStream(Path.Combine(options.Directory, AcknowledgedFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
            Recover();
        }
        catch
        {
            _acknowledged?.Dispose();
            _segments.ForEach(segment => segment.Dispose());
            _lockHandle.Dispose();
            throw;
        }

        _writer = Task.Run(WriteGroupsAsync);
    }

    /// <summary>Index of the newest record that is on disk; 0 when there never was one.</summary>
    public ulong LastIndex
    {
        get { lock (_lock) return _durableEnd - 1; }
    }

    /// <summary>All records up to this one are done with.</summary>
    public ulong AcknowledgedIndex
    {
        get { lock (_lock) return _acknowledgedIndex; }
    }

    /// <summary>Records that are on disk and not acknowledged.</summary>
    public ulong Depth
    {
        get { lock (_lock) return _durableEnd - 1 - _acknowledgedIndex; }
    }

    /// <summary>Opens the spool, reads all of it once and cuts off what a crash left half written.</summary>
    /// <exception cref="IOException">The folder cannot be read or written, or another process has it open.</exception>
    public static EventSpool Open(SpoolOptions options, ILogger? logger = null)
    {
        options.Validate();
        return new EventSpool(options, logger ?? NullLogger.Instance);
    }

    /// <summary>
    /// How often the disk has refused records. All records that were queued at such a moment were refused, so what is appended while
    /// this stays the same follows what was appended before without a gap.
    /// </summary>
    public long Breaks
    {
        get { lock (_lock) return _breaks; }
    }

    /// <summary>Queues a record. Records become durable, and readable, in the order of these calls.</summary>
    /// <param name="record">1 to <see cref="SpoolOptions.RecordBytesMax"/> bytes; must not change until the task is done.</param>
    /// <param name="durable">Ends when the record is on disk; fails with an <see cref="IOException"/> when the disk refuses it.</param>
    /// <returns>False when the spool is full: nothing was taken, try again when records have been acknowledged.</returns>
    /// <exception cref="IOException">An earlier flush failed. What is on disk is unknown until the spool is opened again.</exception>
    public bool TryAppend(ReadOnlyMemory<byte> record, out Task durable) => Append([record], breaks: null, out durable) == AppendOutcome.Queued;

    /// <summary>Queues records that follow each other: all of them, or none when there is no room for all.</summary>
    /// <inheritdoc cref="TryAppend(ReadOnlyMemory{byte}, out Task)"/>
    public bool TryAppend(ReadOnlySpan<ReadOnlyMemory<byte>> records, out Task durable) =>
        Append(records, breaks: null, out durable) == AppendOutcome.Queued;

    /// <summary>Queues a record that must follow the last one without a gap.</summary>
    /// <param name="breaks">The value of <see cref="Breaks"/> that the caller knows.</param>
    /// <inheritdoc cref="TryAppend(ReadOnlyMemory{byte}, out Task)"/>
    public AppendOutcome Append(ReadOnlyMemory<byte> record, long breaks, out Task durable) => Append([record], breaks, out durable);

    AppendOutcome Append(ReadOnlySpan<ReadOnlyMemory<byte>> records, long? breaks, out Task durable)
    {
        durable = Task.CompletedTask;
        var size = 0L;
        foreach (var record in records)
        {
            if (record.Length < 1 || record.Length > _options.RecordBytesMax)
                throw new ArgumentOutOfRangeException(nameof(records), record.Length, $"a record has 1 to {_options.RecordBytesMax} bytes");
            size += SegmentFormat.RecordHeaderBytes + record.Length;
        }

        bool wake;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_failure is not null) throw new IOException($"the spool {_options.Directory} has failed: {_failure.Message}", _failure);
            if (breaks is { } known && known != _breaks) return AppendOutcome.Broken;
            if (records.IsEmpty) return AppendOutcome.Queued;
            if (_bytes + size > _options.BytesMax) return AppendOutcome.Full;
            _bytes += size;
            wake = _pending.Count == 0;

            // Records are written in order, and a failure fails all that follow: the last one speaks for all.
            var last = NewSignal();
            durable = last.Task;
            for (var i = 0; i < records.Length; i++) _pending.Add(new Pending(records[i], i == records.Length - 1 ? last : null));
        }

        if (wake) _pendingSignal.Release();
        return AppendOutcome.Queued;
    }

    /// <summary>Reads from the oldest record that is not acknowledged. Several cursors do not disturb each other.</summary>
    public SpoolCursor OpenCursor() => new(this, AcknowledgedIndex + 1, _options.RecordBytesMax);

    /// <summary>Says that all records up to and including <paramref name="index"/> are safe elsewhere.</summary>
    public void Acknowledge(ulong index)
    {
        List<Segment>? done = null;
        lock (_lock)
        {
            if (_closed || index <= _acknowledgedIndex) return;
            if (index >= _durableEnd) throw new ArgumentOutOfRangeException(nameof(index), index, $"the newest record is {_durableEnd - 1}");
            _acknowledgedIndex = index;
            WriteAcknowledged();
            while (_segments.Count > 1 && _segments[0].NextIndex <= index + 1)
            {
                _bytes -= _segments[0].Length;
                (done ??= []).Add(_segments[0]);
                _segments.RemoveAt(0);
            }
        }

        if (done is null) return;
        foreach (var segment in done)
        {
            segment.Dispose();
            try
            {
                File.Delete(segment.Path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It is opened again, and found to be acknowledged, at the next start.
                LogNotDeleted(segment.Path, e);
            }
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

        _pendingSignal.Release();
        await _writer;
        lock (_lock)
        {
            foreach (var segment in _segments) segment.Dispose();
            _grown.TrySetResult();
        }

        await _acknowledged.DisposeAsync();
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
                grown = _grown.Task;
            }

            await grown.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The oldest segment that holds record <paramref name="index"/> or a later one, and up to where it is durable now.</summary>
    internal (Segment Segment, long Length, ulong NextIndex)? SegmentOf(ulong index)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            return _segments.Find(segment => index < segment.NextIndex) is { } found ? (found, found.Length, found.NextIndex) : null;
        }
    }

    /// <summary>The folder is the spool's alone: what guests reported is for nobody else on the host.</summary>
    static void PrepareDirectory(string path)
    {
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        var existed = Directory.Exists(path);
        Directory.CreateDirectory(path, ownerOnly);
        File.SetUnixFileMode(path, ownerOnly);
        if (!existed) LibC.FlushDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    void Recover()
    {
        var files = new List<(ulong FirstIndex, string Path)>();
        foreach (var path in Directory.EnumerateFiles(_options.Directory))
        {
            if (SegmentFormat.TryParseFileName(Path.GetFileName(path), out var firstIndex)) files.Add((firstIndex, path));
        }

        files.Sort();
        _durableEnd = 1;
        for (var i = 0; i < files.Count; i++)
        {
            var (firstIndex, path) = files[i];
            var segment = Segment.Open(path, firstIndex, _options.RecordBytesMax, out var damage, out var tail);
            foreach (var place in damage) LogDamage(path, place);
            if (segment is null)
            {
                _durableEnd = Math.Max(_durableEnd, firstIndex);
                File.Delete(path);
                continue;
            }

            if (tail > 0 && i == files.Count - 1)
            {
                // No whole record is in it, so its flush had not returned and nobody was told that it was stored.
                LogTornTail(path, tail, segment.Length);
                RandomAccess.SetLength(segment.File, segment.Length);
                LibC.FlushData(segment.File);
            }
            else if (tail > 0)
            {
                LogDamage(path, $"{tail} bytes at offset {segment.Length}");
            }

            _segments.Add(segment);
            _bytes += segment.Length;
            _durableEnd = Math.Max(_durableEnd, segment.NextIndex);
        }

        var acknowledged = ReadAcknowledged();
        _acknowledgedIndex = Math.Min(acknowledged, _durableEnd - 1);
        if (_segments.Count > 0) _acknowledgedIndex = Math.Max(_acknowledgedIndex, _segments[0].FirstIndex - 1);
        WriteAcknowledged();

        // An index that the file names but that is gone will be given out again: left in the file, it would acknowledge a new record.
        if (acknowledged > _acknowledgedIndex) LibC.FlushData(_acknowledged.SafeFileHandle);
    }

    async Task WriteGroupsAsync()
    {
        while (true)
        {
            await _pendingSignal.WaitAsync();
            List<Pending> group;
            lock (_lock)
            {
                if (_pending.Count == 0)
                {
                    if (_closed) return;
                    continue;
                }

                group = _pending;
                _pending = [];
            }

            try
            {
                WriteGroup(group);
            }
            catch (RecordsRefusedException e)
            {
                Refuse(group, e);
                continue;
            }
            catch (Exception e)
            {
                Fail(group, e);
                continue;
            }

            TaskCompletionSource grown;
            lock (_lock)
            {
                grown = _grown;
                _grown = NewSignal();
            }

            foreach (var pending in group) pending.Durable?.SetResult();
            grown.SetResult();
        }
    }

    /// <summary>Writes a group of records, at the end of the newest segment or of new ones, and flushes it.</summary>
    void WriteGroup(List<Pending> group)
    {
        var start = 0;
        while (start < group.Count)
        {
            // Indexes are given here, so that records that the disk refuses use up none.
            var firstIndex = _durableEnd;
            Segment segment;
            try
            {
                segment = SegmentFor(firstIndex);
            }
            catch (IOException e)
            {
                throw new RecordsRefusedException(e, start);
            }

            var end = start;
            var size = 0L;
            while (end < group.Count && (end == start || segment.Length + size < _options.SegmentBytesMax))
            {
                size += SegmentFormat.RecordHeaderBytes + group[end].Record.Length;
                end++;
            }

            var headers = ArrayPool<byte>.Shared.Rent((end - start) * SegmentFormat.RecordHeaderBytes);
            var buffers = new List<ReadOnlyMemory<byte>>((end - start) * 2);
            for (var i = start; i < end; i++)
            {
                var header = headers.AsMemory((i - start) * SegmentFormat.RecordHeaderBytes, SegmentFormat.RecordHeaderBytes);
                SegmentFormat.WriteRecordHeader(header.Span, firstIndex + (ulong)(i - start), group[i].Record.Span);
                buffers.Add(header);
                buffers.Add(group[i].Record);
            }

            try
            {
                RandomAccess.Write(segment.File, buffers, segment.Length);
            }
            catch (IOException e)
            {
                // Most likely the disk is full. Take back what was written; when that works the spool is as before and goes on.
                RandomAccess.SetLength(segment.File, segment.Length);
                throw new RecordsRefusedException(e, start);
            }

            LibC.FlushData(segment.File);
            ArrayPool<byte>.Shared.Return(headers);
            lock (_lock)
            {
                segment.Length += size;
                segment.NextIndex = _durableEnd = firstIndex + (ulong)(end - start);
            }

            start = end;
        }
    }

    Segment SegmentFor(ulong index)
    {
        Segment? last;
        lock (_lock) last = _segments.Count > 0 ? _segments[^1] : null;
        if (last is not null && last.Length < _options.SegmentBytesMax) return last;

        var segment = Segment.Create(_options.Directory, index);
        lock (_lock)
        {
            _segments.Add(segment);
            _bytes += SegmentFormat.HeaderBytes;
        }

        return segment;
    }

    /// <summary>
    /// The disk took only the first records of the group. Those are durable. The others never were, and neither will be those that
    /// are queued behind them.
    /// </summary>
    void Refuse(List<Pending> group, RecordsRefusedException refusal)
    {
        TaskCompletionSource grown;
        lock (_lock)
        {
            _breaks++;
            group.AddRange(_pending);
            _pending = [];
            for (var i = refusal.Taken; i < group.Count; i++) _bytes -= SegmentFormat.RecordHeaderBytes + group[i].Record.Length;
            grown = _grown;
            _grown = NewSignal();
        }

        LogRefused(_options.Directory, group.Count - refusal.Taken, refusal.InnerException!);
        for (var i = 0; i < refusal.Taken; i++) group[i].Durable?.SetResult();
        grown.SetResult();
        var error = new IOException($"the spool {_options.Directory} could not store a record: {refusal.InnerException!.Message}", refusal.InnerException);
        for (var i = refusal.Taken; i < group.Count; i++) group[i].Durable?.SetException(error);
    }

    /// <summary>
    /// After a failed flush the kernel may have dropped dirty pages, so what is on disk is unknown
    /// (https://wiki.postgresql.org/wiki/Fsync_Errors): nothing more is acknowledged until the spool has been read again.
    /// </summary>
    void Fail(List<Pending> group, Exception failure)
    {
        LogFailed(_options.Directory, failure);
        lock (_lock)
        {
            _failure = failure;
            _breaks++;
            group.AddRange(_pending);
            _pending = [];
        }

        var error = new IOException($"the spool {_options.Directory} could not store a record: {failure.Message}", failure);
        foreach (var pending in group) pending.Durable?.TrySetException(error);
    }

    ulong ReadAcknowledged()
    {
        Span<byte> buffer = stackalloc byte[12];
        _acknowledged.Position = 0;
        var read = _acknowledged.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        var index = BinaryPrimitives.ReadUInt64LittleEndian(buffer);
        // A wrong checksum means that everything is sent once more, which is safe.
        return read == buffer.Length && BinaryPrimitives.ReadUInt32LittleEndian(buffer[8..]) == SegmentFormat.Checksum(index, default) ? index : 0;
    }

    void WriteAcknowledged()
    {
        Span<byte> buffer = stackalloc byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(buffer, _acknowledgedIndex);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[8..], SegmentFormat.Checksum(_acknowledgedIndex, default));
        RandomAccess.Write(_acknowledged.SafeFileHandle, buffer, 0);
    }

    static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    [LoggerMessage(3001, LogLevel.Information, "Cut {Bytes} bytes off {Path} at offset {Offset}: they were never acknowledged", EventName = "SpoolTornTail")]
    partial void LogTornTail(string path, long bytes, long offset);

    [LoggerMessage(3002, LogLevel.Error, "The segment {Path} is damaged, lost are {Damage}", EventName = "SpoolDamage")]
    partial void LogDamage(string path, string damage);

    [LoggerMessage(3003, LogLevel.Critical, "The spool {Directory} failed; nothing is acknowledged until it is opened again", EventName = "SpoolFailed")]
    partial void LogFailed(string directory, Exception failure);

    [LoggerMessage(3004, LogLevel.Error, "The disk under the spool {Directory} refused {Records} records", EventName = "SpoolRecordsRefused")]
    partial void LogRefused(string directory, int records, Exception failure);

    [LoggerMessage(3005, LogLevel.Warning, "The acknowledged segment {Path} could not be deleted", EventName = "SpoolNotDeleted")]
    partial void LogNotDeleted(string path, Exception failure);

    sealed class RecordsRefusedException(IOException cause, int taken) : Exception(cause.Message, cause)
    {
        public int Taken => taken;
    }

    /// <param name="Durable">Who waits for the record. Null for all but the last of records that were queued together.</param>
    sealed record Pending(ReadOnlyMemory<byte> Record, TaskCompletionSource? Durable);
}

/// <summary>What became of an append that must follow the last one.</summary>
public enum AppendOutcome
{
    Queued,

    /// <summary>The spool is full. Nothing was taken.</summary>
    Full,

    /// <summary>The disk refused records since the caller last looked. Nothing was taken.</summary>
    Broken,
}
