using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Google.Protobuf;
using Guestmark.Rpc.Protocol;

namespace Guestmark.Rpc.Http2;

enum StreamStart
{
    Started,
    /// <summary>Started, but the message did not fit into the windows: it is still to be sent.</summary>
    StartedWithoutMessage,
    /// <summary>The peer accepts no further stream until one ends.</summary>
    Full,
    /// <summary>The connection takes no new streams any more.</summary>
    Closed,
}

/// <summary>
/// The client's end of an HTTP/2 connection (RFC 9113), with as little between a message and the socket as there can be:
/// frames of all calls are gathered in one buffer while the previous one is being sent, and what arrives is parsed where it lies.
/// docs/decisions/0002-rpc-client.md has the figures that made us write it.
/// </summary>
/// <remarks>
/// One lock guards the streams, the windows and the pending output. One loop reads and calls the streams, without the lock held. At
/// most one writer runs. The first reason for ending is kept and told to every stream.
/// </remarks>
sealed class Http2Connection : IThreadPoolWorkItem
{
    /// <summary>What we accept in one frame: the default of SETTINGS_MAX_FRAME_SIZE.</summary>
    const int ReceiveFrameBytesMax = 16 << 10;
    const int ReadBufferBytes = 64 << 10;

    /// <summary>How far a stream may be ahead of its reader.</summary>
    public const int StreamReceiveWindow = 1 << 20;

    /// <summary>Credited as soon as data arrives, since each stream is bounded by its own.</summary>
    const int ConnectionReceiveWindow = 16 << 20;
    const int InitialWindow = 65_535;

    /// <summary>Messages wait in their calls while more than this is pending.</summary>
    const int PendingBytesMax = 256 << 10;

    /// <summary>Only answers to frames of the peer (PING, SETTINGS) can bring the output here: a peer that floods and does not read.</summary>
    const int PendingBytesFlood = 4 << 20;

    /// <summary>Frames above this would hold up the other calls.</summary>
    const int SendFrameBytesMax = 64 << 10;
    const int HeaderBlockBytesMax = 64 << 10;

    readonly Stream _transport;
    readonly TimeProvider _time;
    readonly TimeSpan _keepAliveInterval;
    readonly TimeSpan _keepAliveTimeout;
    readonly ITimer _keepAlive;
    readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    readonly Lock _lock = new();
    readonly Dictionary<int, Http2Stream> _streams = [];
    readonly List<Http2Stream> _blocked = [];
    readonly Queue<TaskCompletionSource> _slotWaiters = [];
    readonly HpackEncoder _encoder;
    OutputBuffer _pending = new();
    OutputBuffer _sending = new();
    bool _writing;
    bool _draining;
    string? _endReason;
    int _nextStreamId = 1;
    uint _streamsMax = uint.MaxValue;
    long _sendWindow = InitialWindow;
    int _initialSendWindow = InitialWindow;
    int _sendFrameBytesMax = ReceiveFrameBytesMax;

    // The reader's own.
    readonly HpackDecoder _decoder = new();
    OutputBuffer? _headerBlock;
    FrameHeader _headersFrame;
    int _receiveWindow = ConnectionReceiveWindow;
    bool _settingsSeen;

    long _receivedAt;

    /// <summary>A PING is out and nothing has come since.</summary>
    volatile bool _pinged;
    long _pingedAt;

    public Http2Connection(Stream transport, string scheme, string authority, TimeSpan keepAliveInterval, TimeSpan keepAliveTimeout, TimeProvider time)
    {
        _transport = transport;
        _encoder = new HpackEncoder(scheme, authority);
        _time = time;
        _keepAliveInterval = keepAliveInterval;
        _keepAliveTimeout = keepAliveTimeout;
        _receivedAt = time.GetTimestamp();
        _keepAlive = time.CreateTimer(static c => ((Http2Connection)c!).CheckAlive(), this, keepAliveInterval, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Whether a new stream has a chance. It may still be refused.</summary>
    public bool IsOpen => !Volatile.Read(ref _draining) && Volatile.Read(ref _endReason) is null;

    /// <summary>Why the connection ended. Null while it has not.</summary>
    public string? EndReason => Volatile.Read(ref _endReason);

    /// <summary>Sends the preface and completes when the server has sent its settings.</summary>
    /// <exception cref="IOException">The connection ended before that; the message is the reason.</exception>
    public Task StartAsync()
    {
        lock (_lock)
        {
            _pending.Append("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8);
            var settings = AppendFrame(FrameType.Settings, FrameFlags.None, 0, 12);
            WriteSetting(settings, Setting.EnablePush, 0);
            WriteSetting(settings[6..], Setting.InitialWindowSize, StreamReceiveWindow);
            BinaryPrimitives.WriteInt32BigEndian(AppendFrame(FrameType.WindowUpdate, FrameFlags.None, 0, 4), ConnectionReceiveWindow - InitialWindow);
            ScheduleWrite();
        }

        using (ExecutionContext.SuppressFlow()) _ = Task.Run(ReadAsync);
        return _ready.Task;

        static void WriteSetting(Span<byte> bytes, Setting setting, uint value)
        {
            BinaryPrimitives.WriteUInt16BigEndian(bytes, (ushort)setting);
            BinaryPrimitives.WriteUInt32BigEndian(bytes[2..], value);
        }
    }

    /// <summary>Queues the headers of a request and, when it is given and fits, its only message.</summary>
    /// <param name="messageBytes">The message's size without its prefix.</param>
    public StreamStart TryStart(Http2Stream stream, string path, string? timeout, RpcMetadata? metadata, IMessage? message, int messageBytes)
    {
        lock (_lock)
        {
            // 5.1.1: ids cannot be used again; after 2^30 requests a new connection is needed.
            if (_nextStreamId < 0) Volatile.Write(ref _draining, true);
            if (_endReason is not null || _draining) return StreamStart.Closed;
            if (_streams.Count >= _streamsMax) return StreamStart.Full;
            stream.Id = _nextStreamId;
            _nextStreamId += 2;
            stream.SendWindow = _initialSendWindow;
            stream.ReceiveWindow = StreamReceiveWindow;
            stream.Connection = this;
            _streams.Add(stream.Id, stream);
            AppendHeaders(stream.Id, path, timeout, metadata);
            var sent = message is null || TryAppendMessage(stream, message, messageBytes, end: true);
            ScheduleWrite();
            return sent ? StreamStart.Started : StreamStart.StartedWithoutMessage;
        }
    }

    /// <summary>Completes when a stream has ended or the connection takes no more.</summary>
    public Task WaitForSlotAsync()
    {
        lock (_lock)
        {
            if (_endReason is not null || _draining || _streams.Count < _streamsMax) return Task.CompletedTask;
            var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _slotWaiters.Enqueue(waiter);
            return waiter.Task;
        }
    }

    /// <summary>Tells one of those that wait that there may be a place.</summary>
    public void OfferSlot()
    {
        lock (_lock)
        {
            if (_slotWaiters.TryDequeue(out var waiter)) waiter.TrySetResult();
        }
    }

    /// <summary>
    /// Queues a message. Waits while the peer's windows are full or too much is pending. Does nothing when the stream has ended. After an
    /// exception part of the message may be sent, and the stream must be cancelled.
    /// </summary>
    public ValueTask SendAsync(Http2Stream stream, IMessage message, int messageBytes, bool end, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (stream.SendEnded) return ValueTask.CompletedTask;
            if (TryAppendMessage(stream, message, messageBytes, end))
            {
                ScheduleWrite();
                return ValueTask.CompletedTask;
            }
        }

        return SendInPartsAsync(stream, message, messageBytes, end, cancellationToken);
    }

    /// <summary>Tells the peer that no message follows.</summary>
    public void EndSending(Http2Stream stream)
    {
        lock (_lock)
        {
            if (stream.SendEnded) return;
            stream.SendEnded = true;
            AppendFrame(FrameType.Data, FrameFlags.EndStream, stream.Id, 0);
            ScheduleWrite();
        }
    }

    /// <summary>Gives a stream up and tells the peer. Does nothing when it has ended.</summary>
    public void Cancel(Http2Stream stream)
    {
        lock (_lock)
        {
            if (!Remove(stream)) return;
            AppendReset(stream.Id, Http2ErrorCode.Cancel);
            ScheduleWrite();
        }
    }

    /// <summary>Lets the peer send as many bytes more.</summary>
    public void Consume(Http2Stream stream, int bytes)
    {
        // Told in quarters of the window: short responses end before there is anything to tell.
        if (stream.AddConsumed(bytes) < StreamReceiveWindow / 4) return;
        lock (_lock)
        {
            bytes = stream.TakeConsumed();
            if (bytes == 0 || !_streams.ContainsKey(stream.Id)) return;
            stream.ReceiveWindow += bytes;
            BinaryPrimitives.WriteInt32BigEndian(AppendFrame(FrameType.WindowUpdate, FrameFlags.None, stream.Id, 4), bytes);
            ScheduleWrite();
        }
    }

    public void End(string reason)
    {
        List<Http2Stream> streams;
        lock (_lock)
        {
            if (_endReason is not null) return;
            Volatile.Write(ref _endReason, reason);
            streams = [.. _streams.Values];
            foreach (var stream in streams) Remove(stream);
            while (_slotWaiters.TryDequeue(out var waiter)) waiter.TrySetResult();
        }

        _keepAlive.Dispose();
        _transport.Dispose();
        _ready.TrySetException(new IOException(reason));
        foreach (var stream in streams) stream.OnConnectionLost(reason);
    }

    void IThreadPoolWorkItem.Execute() => _ = WriteAsync();

    // Writing. All of it under the lock, but for the loop itself.

    void ScheduleWrite()
    {
        if (_writing || _pending.Length == 0) return;
        _writing = true;
        // Not the local queue: that is a stack, and would send before the other calls of this batch have added theirs.
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    async Task WriteAsync()
    {
        try
        {
            while (true)
            {
                lock (_lock)
                {
                    if (_pending.Length == 0 || _endReason is not null)
                    {
                        _writing = false;
                        return;
                    }

                    (_pending, _sending) = (_sending, _pending);
                    WakeBlocked();
                }

                await _transport.WriteAsync(_sending.Written);
                _sending.Truncate(0);
            }
        }
        catch (Exception e)
        {
            // Whatever it was, nothing would be sent any more: the calls must not wait for it.
            End($"sending failed: {e.Message}");
        }
    }

    Span<byte> AppendFrame(FrameType type, FrameFlags flags, int streamId, int length)
    {
        var frame = _pending.Append(FrameHeader.Bytes + length);
        new FrameHeader(length, type, flags, streamId).Write(frame);
        return frame[FrameHeader.Bytes..];
    }

    void AppendReset(int streamId, Http2ErrorCode code) =>
        BinaryPrimitives.WriteUInt32BigEndian(AppendFrame(FrameType.ResetStream, FrameFlags.None, streamId, 4), (uint)code);

    void AppendHeaders(int streamId, string path, string? timeout, RpcMetadata? metadata)
    {
        var start = _pending.Length;
        AppendFrame(FrameType.Headers, FrameFlags.EndHeaders, streamId, 0);
        _encoder.EncodeRequest(_pending, path, timeout, metadata);
        var length = _pending.Length - start - FrameHeader.Bytes;
        if (length <= _sendFrameBytesMax)
        {
            new FrameHeader(length, FrameType.Headers, FrameFlags.EndHeaders, streamId).Write(_pending.From(start));
            return;
        }

        // 6.10: what does not fit into the frame continues in the next.
        var block = _pending.From(start + FrameHeader.Bytes).ToArray();
        _pending.Truncate(start);
        for (var offset = 0; offset < block.Length; offset += _sendFrameBytesMax)
        {
            var part = block.AsSpan(offset, Math.Min(_sendFrameBytesMax, block.Length - offset));
            var flags = offset + part.Length == block.Length ? FrameFlags.EndHeaders : FrameFlags.None;
            part.CopyTo(AppendFrame(offset == 0 ? FrameType.Headers : FrameType.Continuation, flags, streamId, part.Length));
        }
    }

    bool TryAppendMessage(Http2Stream stream, IMessage message, int messageBytes, bool end)
    {
        var length = MessageFraming.PrefixBytes + messageBytes;
        if (length > Math.Min(Math.Min(_sendWindow, stream.SendWindow), _sendFrameBytesMax) || _pending.Length > PendingBytesMax) return false;
        var start = _pending.Length;
        try
        {
            var frame = AppendFrame(FrameType.Data, end ? FrameFlags.EndStream : FrameFlags.None, stream.Id, length);
            MessageFraming.Write(frame, message, messageBytes);
        }
        catch
        {
            // The message changed while it was written: no half frame may be sent.
            _pending.Truncate(start);
            throw;
        }

        _sendWindow -= length;
        stream.SendWindow -= length;
        stream.SendEnded |= end;
        return true;
    }

    async ValueTask SendInPartsAsync(Http2Stream stream, IMessage message, int messageBytes, bool end, CancellationToken cancellationToken)
    {
        var length = MessageFraming.PrefixBytes + messageBytes;
        var bytes = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            MessageFraming.Write(bytes.AsSpan(0, length), message, messageBytes);
            for (var offset = 0; offset < length;)
            {
                Task? writable = null;
                lock (_lock)
                {
                    if (stream.SendEnded) return;
                    var part = (int)Math.Min(Math.Min(_sendWindow, stream.SendWindow), Math.Min(_sendFrameBytesMax, length - offset));
                    if (part > 0 && _pending.Length <= PendingBytesMax)
                    {
                        var isLast = end && offset + part == length;
                        bytes.AsSpan(offset, part).CopyTo(AppendFrame(FrameType.Data, isLast ? FrameFlags.EndStream : FrameFlags.None, stream.Id, part));
                        _sendWindow -= part;
                        stream.SendWindow -= part;
                        stream.SendEnded |= isLast;
                        offset += part;
                        ScheduleWrite();
                    }
                    else
                    {
                        stream.Writable = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                        _blocked.Add(stream);
                        writable = stream.Writable.Task;
                    }
                }

                if (writable is not null) await writable.WaitAsync(cancellationToken);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    void WakeBlocked()
    {
        foreach (var stream in _blocked) Wake(stream);
        _blocked.Clear();
    }

    static void Wake(Http2Stream stream)
    {
        stream.Writable?.TrySetResult();
        stream.Writable = null;
    }

    /// <summary>False when the stream had ended already.</summary>
    bool Remove(Http2Stream stream)
    {
        if (!_streams.Remove(stream.Id)) return false;
        stream.SendEnded = true;
        Wake(stream);
        _blocked.Remove(stream);
        if (_slotWaiters.TryDequeue(out var waiter)) waiter.TrySetResult();
        // A draining connection has done its work with its last stream. Not here: the lock is held.
        if (_draining && _streams.Count == 0)
            ThreadPool.UnsafeQueueUserWorkItem(static c => c.End("the server asked to end the connection"), this, preferLocal: false);
        return true;
    }

    void CheckAlive()
    {
        var silence = _time.GetElapsedTime(Volatile.Read(ref _receivedAt));
        var next = _keepAliveInterval;
        var isLost = false;
        lock (_lock)
        {
            if (_endReason is not null) return;
            if (_pinged)
            {
                next = _keepAliveTimeout - _time.GetElapsedTime(_pingedAt);
                isLost = next <= TimeSpan.Zero;
            }
            else if (silence < _keepAliveInterval)
            {
                next = _keepAliveInterval - silence;
            }
            else if (_streams.Count > 0)
            {
                _pinged = true;
                _pingedAt = _time.GetTimestamp();
                AppendFrame(FrameType.Ping, FrameFlags.None, 0, 8).Clear();
                ScheduleWrite();
                next = _keepAliveTimeout;
            }
        }

        if (isLost) End($"the server did not answer within {_keepAliveTimeout.TotalSeconds:0.#} s whether it is there");
        else _keepAlive.Change(next, Timeout.InfiniteTimeSpan);
    }

    // Reading.

    async Task ReadAsync()
    {
        try
        {
            var buffer = new byte[ReadBufferBytes];
            var end = 0;
            while (true)
            {
                var count = await _transport.ReadAsync(buffer.AsMemory(end));
                if (count == 0)
                {
                    End("the server closed the connection");
                    return;
                }

                end += count;
                Volatile.Write(ref _receivedAt, _time.GetTimestamp());
                _pinged = false;
                var start = ReadFrames(buffer.AsSpan(0, end));
                if (start > 0 && start < end) buffer.AsSpan(start, end - start).CopyTo(buffer);
                end -= start;
            }
        }
        catch (Http2Exception e)
        {
            End(_settingsSeen ? $"the server broke the rules of HTTP/2: {e.Message}" : e.Message);
        }
        catch (Exception e)
        {
            End($"receiving failed: {e.Message}");
        }
    }

    /// <returns>How many bytes were whole frames.</returns>
    int ReadFrames(ReadOnlySpan<byte> bytes)
    {
        var start = 0;
        while (bytes.Length - start >= FrameHeader.Bytes)
        {
            var frame = FrameHeader.Read(bytes[start..]);
            if (!_settingsSeen && frame.Type != FrameType.Settings)
                throw new Http2Exception(Http2ErrorCode.ProtocolError, "the server does not speak HTTP/2: its first frame is not SETTINGS");
            if (frame.Length > ReceiveFrameBytesMax)
                throw new Http2Exception(Http2ErrorCode.FrameSizeError, $"a frame has {frame.Length} bytes, the limit is {ReceiveFrameBytesMax}");
            if (bytes.Length - start < FrameHeader.Bytes + frame.Length) break;
            OnFrame(frame, bytes.Slice(start + FrameHeader.Bytes, frame.Length));
            start += FrameHeader.Bytes + frame.Length;
        }

        return start;
    }

    void OnFrame(FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        if (_headerBlock is not null && (frame.Type != FrameType.Continuation || frame.StreamId != _headersFrame.StreamId))
            throw new Http2Exception(Http2ErrorCode.ProtocolError, "a header block is not continued by the next frame");
        switch (frame.Type)
        {
            case FrameType.Data:
                OnData(frame, Unpad(frame, payload));
                break;
            case FrameType.Headers:
                OnHeaders(frame, Unpad(frame, payload));
                break;
            case FrameType.Continuation:
                OnContinuation(frame, payload);
                break;
            case FrameType.ResetStream:
                CheckLength(frame, 4);
                OnResetStream(frame.StreamId, (Http2ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(payload));
                break;
            case FrameType.Settings:
                OnSettings(frame, payload);
                break;
            case FrameType.Ping:
                CheckLength(frame, 8);
                if (!frame.Has(FrameFlags.Acknowledgement)) Answer(FrameType.Ping, payload);
                break;
            case FrameType.GoAway:
                if (payload.Length < 8) throw new Http2Exception(Http2ErrorCode.FrameSizeError, "a GOAWAY frame is too short");
                OnGoAway(payload);
                break;
            case FrameType.WindowUpdate:
                CheckLength(frame, 4);
                OnWindowUpdate(frame.StreamId, BinaryPrimitives.ReadInt32BigEndian(payload) & int.MaxValue);
                break;
            case FrameType.PushPromise:
                throw new Http2Exception(Http2ErrorCode.ProtocolError, "PUSH_PROMISE though push is off");
        }
    }

    static void CheckLength(FrameHeader frame, int length)
    {
        if (frame.Length != length) throw new Http2Exception(Http2ErrorCode.FrameSizeError, $"a frame of type {frame.Type} has {frame.Length} bytes");
    }

    /// <summary>6.1, 6.2: Pad Length (8) if PADDED, Stream Dependency and Weight (40) if PRIORITY, then content and padding.</summary>
    static ReadOnlySpan<byte> Unpad(FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        var before = frame.Has(FrameFlags.Padded) ? 1 : 0;
        var after = before == 1 && !payload.IsEmpty ? payload[0] : 0;
        if (frame.Type == FrameType.Headers && frame.Has(FrameFlags.Priority)) before += 5;
        return before + after <= payload.Length
            ? payload[before..^after]
            : throw new Http2Exception(Http2ErrorCode.ProtocolError, "a frame is shorter than its padding");
    }

    void OnData(FrameHeader frame, ReadOnlySpan<byte> data)
    {
        var endStream = frame.Has(FrameFlags.EndStream);
        // Padding counts against the windows (6.9.1).
        if (frame.Length > _receiveWindow) throw new Http2Exception(Http2ErrorCode.FlowControlError, "the server sent more than the connection's window");
        _receiveWindow -= frame.Length;
        Http2Stream? stream;
        lock (_lock)
        {
            if (_receiveWindow < ConnectionReceiveWindow / 2)
            {
                BinaryPrimitives.WriteInt32BigEndian(
                    AppendFrame(FrameType.WindowUpdate, FrameFlags.None, 0, 4), ConnectionReceiveWindow - _receiveWindow);
                _receiveWindow = ConnectionReceiveWindow;
                ScheduleWrite();
            }

            stream = Find(frame.StreamId, isLast: false);
            if (stream is null) return;
            if (frame.Length > stream.ReceiveWindow)
                throw new Http2Exception(Http2ErrorCode.FlowControlError, "the server sent more than a stream's window");
            stream.ReceiveWindow -= frame.Length;
            if (endStream) Find(frame.StreamId, isLast: true);
        }

        var consumed = stream.OnData(data, endStream) + frame.Length - data.Length;
        if (consumed > 0 && !endStream) Consume(stream, consumed);
    }

    void OnHeaders(FrameHeader frame, ReadOnlySpan<byte> block)
    {
        if (frame.Has(FrameFlags.EndHeaders))
        {
            OnHeaderBlock(frame, block);
            return;
        }

        _headersFrame = frame;
        _headerBlock = new OutputBuffer();
        _headerBlock.Append(block);
    }

    void OnContinuation(FrameHeader frame, ReadOnlySpan<byte> block)
    {
        if (_headerBlock is null) throw new Http2Exception(Http2ErrorCode.ProtocolError, "CONTINUATION without HEADERS");
        // Empty frames cost nothing but time, so they are counted as if they had a header's size.
        if (_headerBlock.Length + block.Length > HeaderBlockBytesMax || block.IsEmpty && !frame.Has(FrameFlags.EndHeaders))
            throw new Http2Exception(Http2ErrorCode.EnhanceYourCalm, $"a header block is over {HeaderBlockBytesMax} bytes or comes in empty frames");
        _headerBlock.Append(block);
        if (!frame.Has(FrameFlags.EndHeaders)) return;
        var whole = _headerBlock.Written.Span;
        _headerBlock = null;
        OnHeaderBlock(_headersFrame, whole);
    }

    void OnHeaderBlock(FrameHeader frame, ReadOnlySpan<byte> block)
    {
        var endStream = frame.Has(FrameFlags.EndStream);
        Http2Stream? stream;
        lock (_lock) stream = Find(frame.StreamId, endStream);
        // A block for a stream that we gave up is decoded all the same: it changes the table.
        try
        {
            stream?.OnHeadersStart(endStream);
            _decoder.Decode(block, stream);
            stream?.OnHeadersEnd(endStream);
        }
        catch (Exception e)
        {
            // The connection ends with this; but a stream whose last frame it was is no longer among those that are told.
            stream?.OnConnectionLost(e.Message);
            throw;
        }
    }

    /// <summary>The stream, if it is open. When this is its last frame it is taken out. The lock is held.</summary>
    Http2Stream? Find(int streamId, bool isLast)
    {
        if (!_streams.TryGetValue(streamId, out var stream))
        {
            if (streamId >= _nextStreamId && _nextStreamId > 0 || (streamId & 1) == 0)
                throw new Http2Exception(Http2ErrorCode.ProtocolError, $"a frame for stream {streamId}, which was never opened");
            return null;
        }

        if (isLast)
        {
            // A server may answer before it has read everything; the rest is not worth sending.
            if (!stream.SendEnded) AppendReset(streamId, Http2ErrorCode.Cancel);
            Remove(stream);
            ScheduleWrite();
        }

        return stream;
    }

    void OnResetStream(int streamId, Http2ErrorCode code)
    {
        Http2Stream? stream;
        lock (_lock)
        {
            stream = Find(streamId, isLast: false);
            if (stream is not null) Remove(stream);
        }

        stream?.OnReset(code);
    }

    void OnSettings(FrameHeader frame, ReadOnlySpan<byte> payload)
    {
        if (frame.StreamId != 0 || payload.Length % 6 != 0) throw new Http2Exception(Http2ErrorCode.FrameSizeError, "a SETTINGS frame is malformed");
        if (frame.Has(FrameFlags.Acknowledgement)) return;
        lock (_lock)
        {
            // Identifier (16), Value (32)
            for (; !payload.IsEmpty; payload = payload[6..])
                Apply((Setting)BinaryPrimitives.ReadUInt16BigEndian(payload), BinaryPrimitives.ReadUInt32BigEndian(payload[2..]));
            WakeBlocked();
            while (_streams.Count < _streamsMax && _slotWaiters.TryDequeue(out var waiter)) waiter.TrySetResult();
        }

        Answer(FrameType.Settings, []);
        _settingsSeen = true;
        _ready.TrySetResult();
    }

    void Apply(Setting setting, uint value)
    {
        switch (setting)
        {
            case Setting.HeaderTableSize:
                _encoder.LimitTable(value);
                break;
            case Setting.MaxConcurrentStreams:
                _streamsMax = value;
                break;
            case Setting.InitialWindowSize:
                if (value > int.MaxValue) throw new Http2Exception(Http2ErrorCode.FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is over 2^31-1");
                foreach (var stream in _streams.Values) stream.SendWindow += (long)value - _initialSendWindow;
                _initialSendWindow = (int)value;
                break;
            case Setting.MaxFrameSize:
                if (value is < 16384 or > 16777215) throw new Http2Exception(Http2ErrorCode.ProtocolError, $"SETTINGS_MAX_FRAME_SIZE is {value}");
                _sendFrameBytesMax = (int)Math.Min(value, SendFrameBytesMax);
                break;
        }
    }

    /// <summary>PING and SETTINGS must be acknowledged, however many come.</summary>
    void Answer(FrameType type, ReadOnlySpan<byte> payload)
    {
        lock (_lock)
        {
            if (_pending.Length > PendingBytesFlood) throw new Http2Exception(Http2ErrorCode.EnhanceYourCalm, "the server asks without reading the answers");
            payload.CopyTo(AppendFrame(type, FrameFlags.Acknowledgement, 0, payload.Length));
            ScheduleWrite();
        }
    }

    void OnGoAway(ReadOnlySpan<byte> payload)
    {
        // Reserved (1), Last-Stream-ID (31), Error Code (32), Additional Debug Data
        var last = BinaryPrimitives.ReadInt32BigEndian(payload) & int.MaxValue;
        var code = (Http2ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(payload[4..]);
        var text = CertificateText.Excerpt(Encoding.UTF8.GetString(payload[8..Math.Min(payload.Length, 136)]));
        var reason = code == Http2ErrorCode.NoError ? "the server asked to end the connection" : $"the server ended the connection: {code} {text}".TrimEnd();
        List<Http2Stream> refused;
        bool isIdle;
        lock (_lock)
        {
            Volatile.Write(ref _draining, true);
            refused = [.. _streams.Values.Where(stream => stream.Id > last)];
            foreach (var stream in refused) Remove(stream);
            while (_slotWaiters.TryDequeue(out var waiter)) waiter.TrySetResult();
            isIdle = _streams.Count == 0;
        }

        foreach (var stream in refused) stream.OnConnectionLost(reason);
        if (isIdle) End(reason);
    }

    void OnWindowUpdate(int streamId, int increment)
    {
        if (increment == 0) throw new Http2Exception(Http2ErrorCode.ProtocolError, "WINDOW_UPDATE by 0");
        lock (_lock)
        {
            if (streamId == 0)
            {
                _sendWindow += increment;
                if (_sendWindow > int.MaxValue) throw new Http2Exception(Http2ErrorCode.FlowControlError, "the connection's window is over 2^31-1");
                WakeBlocked();
            }
            else if (Find(streamId, isLast: false) is { } stream)
            {
                stream.SendWindow += increment;
                if (stream.SendWindow > int.MaxValue) throw new Http2Exception(Http2ErrorCode.FlowControlError, "a stream's window is over 2^31-1");
                Wake(stream);
                _blocked.Remove(stream);
            }
        }
    }
}
