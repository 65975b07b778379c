namespace Guestmark.Rpc.Http2;

/// <summary>One request and its response on a connection. The connection's reader calls it, one event at a time.</summary>
abstract class Http2Stream : IHeaderSink
{
    int _consumed;

    /// <summary>Null until the request's headers are queued.</summary>
    public Http2Connection? Connection { get; set; }

    public int Id { get; set; }

    /// <summary>Bytes that the peer still takes. Guarded by the connection's lock.</summary>
    public long SendWindow { get; set; }

    /// <summary>Bytes that the peer may still send. Guarded by the connection's lock.</summary>
    public int ReceiveWindow { get; set; }

    /// <summary>END_STREAM is queued, or the stream is gone: nothing more is sent. Guarded by the connection's lock.</summary>
    public bool SendEnded { get; set; }

    /// <summary>Set while a writer waits for window or room. Guarded by the connection's lock.</summary>
    public TaskCompletionSource? Writable { get; set; }

    /// <returns>The bytes consumed and not yet told to the peer.</returns>
    public int AddConsumed(int bytes) => Interlocked.Add(ref _consumed, bytes);

    public int TakeConsumed() => Interlocked.Exchange(ref _consumed, 0);

    /// <param name="endStream">The block is the stream's last.</param>
    public abstract void OnHeadersStart(bool endStream);

    public abstract void OnHeader(HeaderKind kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value);

    public abstract void OnHeadersEnd(bool endStream);

    /// <returns>Bytes that are consumed already. The others are reported by <see cref="Http2Connection.Consume"/>.</returns>
    public abstract int OnData(ReadOnlySpan<byte> data, bool endStream);

    public abstract void OnReset(Http2ErrorCode code);

    /// <summary>The connection ended, or will not process this stream.</summary>
    public abstract void OnConnectionLost(string reason);
}
