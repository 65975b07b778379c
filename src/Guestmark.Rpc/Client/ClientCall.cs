using System.Buffers;
using System.Globalization;
using System.Text;
using Guestmark.Rpc.Http2;
using Guestmark.Rpc.Protocol;

namespace Guestmark.Rpc;

/// <summary>
/// The client's side of one call: assembles messages from what the connection reads, and decides once how the call ended.
/// </summary>
abstract class ClientCall(int receiveMessageBytesMax) : Http2Stream
{
    /// <summary>A message that is announced as long is believed only as its bytes arrive.</summary>
    const int FirstRentBytesMax = 64 << 10;

    // Of the message that has arrived in part. Only the connection's reader touches these.
    readonly byte[] _prefix = new byte[MessageFraming.PrefixBytes];
    int _prefixFilled;
    byte[]? _partial;
    int _partialLength;
    int _partialFilled;

    // Of the header blocks.
    int _httpStatus;
    bool _isRpc;
    bool _hasHeaders;
    bool _collects;
    RpcStatusCode? _receivedCode;
    string? _receivedDetail;
    RpcMetadata? _collected;

    /// <summary>0: open. 1: one side has decided how the call ends. 2: what it decided can be read.</summary>
    int _finished;
    ITimer? _deadline;
    CancellationTokenRegistration _cancellation;

    public bool IsFinished => Volatile.Read(ref _finished) != 0;

    public bool HasStatus => Volatile.Read(ref _finished) == 2;

    /// <summary>Valid with a status, as are the following.</summary>
    public RpcStatusCode Code { get; private set; }

    public string Detail { get; private set; } = "";

    public RpcMetadata? TrailersOrNull { get; private set; }

    /// <summary>The caller's token, when it was its cancellation that ended the call.</summary>
    public CancellationToken CancelledBy { get; private set; }

    /// <summary>Whether the metadata before the first message is of interest.</summary>
    protected virtual bool WantsHeaders => false;

    /// <summary>Whether part of a message is here.</summary>
    protected int PartialBytes => _prefixFilled + _partialFilled;

    /// <summary>Lets the caller's deadline and token end the call. Once, before it starts.</summary>
    public void Arm(TimeSpan? timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        if (timeout is { } limit && limit <= TimeSpan.FromDays(49))
        {
            _deadline = time.CreateTimer(
                static call => ((ClientCall)call!).Cancel(RpcStatusCode.DeadlineExceeded, "the deadline passed before the server answered"),
                this,
                limit > TimeSpan.Zero ? limit : TimeSpan.Zero,
                Timeout.InfiniteTimeSpan);
        }

        if (cancellationToken.CanBeCanceled)
        {
            _cancellation = cancellationToken.UnsafeRegister(
                static (call, token) => ((ClientCall)call!).CancelBy(token), this);
        }

        if (IsFinished) Disarm();
    }

    /// <summary>Ends the call from our side and tells the server, if it has heard of it.</summary>
    public void Cancel(RpcStatusCode code, string detail)
    {
        Finish(code, detail, trailers: null);
        // After Finish: a start that runs at the same time then sees either the finished call or is seen here.
        Connection?.Cancel(this);
    }

    void CancelBy(CancellationToken cancellationToken)
    {
        Finish(RpcStatusCode.Cancelled, "the caller cancelled the call", trailers: null, cancellationToken);
        Connection?.Cancel(this);
    }

    /// <summary>As the caller shall see a call that did not end with Ok.</summary>
    public Exception Failure() => CancelledBy.IsCancellationRequested
        ? new OperationCanceledException(Detail, CancelledBy)
        : new RpcException(Code, Detail, TrailersOrNull);

    public override void OnHeadersStart(bool endStream) => _collects = endStream || _hasHeaders || WantsHeaders;

    public override void OnHeader(HeaderKind kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        switch (kind)
        {
            case HeaderKind.HttpStatus:
                _httpStatus = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var status) ? status : 0;
                break;
            case HeaderKind.ContentType:
                _isRpc = value.StartsWith("application/grpc"u8);
                break;
            case HeaderKind.Status:
                _receivedCode = value is [var digit and >= (byte)'0' and <= (byte)'9'] ? (RpcStatusCode)(digit - '0')
                    : int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var code) && code <= (int)RpcStatusCode.Unauthenticated
                        ? (RpcStatusCode)code
                        : RpcStatusCode.Unknown;
                break;
            case HeaderKind.Message:
                _receivedDetail = StatusDetail.Decode(Encoding.Latin1.GetString(value));
                break;
            default:
                if (_collects) (_collected ??= []).AddReceived(Encoding.Latin1.GetString(name), Encoding.Latin1.GetString(value));
                break;
        }
    }

    public override void OnHeadersEnd(bool endStream)
    {
        // 1xx: the response is yet to come.
        if (!_hasHeaders && _httpStatus is >= 100 and < 200 && !endStream)
        {
            _collected = null;
            return;
        }

        if (endStream)
        {
            if (PartialBytes > 0 && _receivedCode is null or RpcStatusCode.Ok)
                Finish(RpcStatusCode.Internal, $"the server ended the call within a message, after {PartialBytes} of its bytes", _collected);
            else if (_receivedCode is { } code) Finish(code, _receivedDetail ?? "", _collected);
            else if (!_hasHeaders && (_httpStatus != 200 || !_isRpc)) FinishWithoutProtocol();
            else Finish(RpcStatusCode.Internal, "the server ended the call without a status", _collected);
            return;
        }

        if (_hasHeaders)
        {
            Cancel(RpcStatusCode.Internal, "the server sent trailers that do not end the call");
            return;
        }

        if (_httpStatus != 200 || !_isRpc)
        {
            FinishWithoutProtocol();
            Connection?.Cancel(this);
            return;
        }

        _hasHeaders = true;
        if (!WantsHeaders) return;
        OnInitialMetadata(_collected ?? []);
        _collected = null;
    }

    public override int OnData(ReadOnlySpan<byte> data, bool endStream)
    {
        var consumed = 0;
        if (!IsFinished)
        {
            try
            {
                consumed = _hasHeaders ? Assemble(data) : throw new RpcException(RpcStatusCode.Internal, "the server sent a message before its headers");
            }
            catch (RpcException e)
            {
                Cancel(e.Code, e.Detail);
            }
        }

        if (endStream) Finish(RpcStatusCode.Internal, "the server ended the call without a status", trailers: null);
        return consumed;
    }

    /// <summary>The mapping of https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors.</summary>
    public override void OnReset(Http2ErrorCode code) => Finish(
        code switch
        {
            Http2ErrorCode.RefusedStream => RpcStatusCode.Unavailable,
            Http2ErrorCode.Cancel => RpcStatusCode.Cancelled,
            Http2ErrorCode.EnhanceYourCalm => RpcStatusCode.ResourceExhausted,
            Http2ErrorCode.InadequateSecurity => RpcStatusCode.PermissionDenied,
            _ => RpcStatusCode.Internal,
        },
        $"the server reset the call: {code}",
        trailers: null);

    public override void OnConnectionLost(string reason) => Finish(RpcStatusCode.Unavailable, $"the connection was lost: {reason}", trailers: null);

    protected abstract void OnMessage(ReadOnlySpan<byte> message);

    /// <summary>Called after each piece of data.</summary>
    /// <returns>How many bytes the peer may send again at once.</returns>
    protected abstract int OnAssembled(int bytes);

    protected virtual void OnInitialMetadata(RpcMetadata metadata)
    {
    }

    /// <summary>Called once, when the status is known.</summary>
    protected abstract void OnFinished();

    protected void Finish(RpcStatusCode code, string detail, RpcMetadata? trailers) => Finish(code, detail, trailers, CancellationToken.None);

    void Finish(RpcStatusCode code, string detail, RpcMetadata? trailers, CancellationToken cancelledBy)
    {
        if (Interlocked.CompareExchange(ref _finished, 1, 0) != 0) return;
        Code = code;
        Detail = detail;
        TrailersOrNull = trailers;
        CancelledBy = cancelledBy;
        Volatile.Write(ref _finished, 2);
        Disarm();
        OnFinished();
    }

    void FinishWithoutProtocol() => Finish(
        _httpStatus switch
        {
            400 => RpcStatusCode.Internal,
            401 => RpcStatusCode.Unauthenticated,
            403 => RpcStatusCode.PermissionDenied,
            404 => RpcStatusCode.Unimplemented,
            429 or 502 or 503 or 504 => RpcStatusCode.Unavailable,
            _ => RpcStatusCode.Unknown,
        },
        _httpStatus == 200 ? "what answers at this address is a web server: the response is not application/grpc"
            : $"what answers at this address knows no such method: HTTP status {_httpStatus}",
        _collected);

    void Disarm()
    {
        _deadline?.Dispose();
        // Not Dispose: that would wait for the callback that may be calling us.
        _cancellation.Unregister();
    }

    int Assemble(ReadOnlySpan<byte> data)
    {
        var bytes = data.Length;
        while (!data.IsEmpty)
        {
            // A message that lies in the frame as a whole is parsed there.
            if (_prefixFilled == 0 && data.Length >= MessageFraming.PrefixBytes)
            {
                var length = MessageFraming.CheckPrefix(data, receiveMessageBytesMax);
                if (length <= data.Length - MessageFraming.PrefixBytes)
                {
                    OnMessage(data.Slice(MessageFraming.PrefixBytes, length));
                    data = data[(MessageFraming.PrefixBytes + length)..];
                    continue;
                }
            }

            if (_prefixFilled < MessageFraming.PrefixBytes)
            {
                var part = data[..Math.Min(data.Length, MessageFraming.PrefixBytes - _prefixFilled)];
                part.CopyTo(_prefix.AsSpan(_prefixFilled));
                _prefixFilled += part.Length;
                data = data[part.Length..];
                if (_prefixFilled < MessageFraming.PrefixBytes) break;
                _partialLength = MessageFraming.CheckPrefix(_prefix, receiveMessageBytesMax);
                _partialFilled = 0;
                _partial = ArrayPool<byte>.Shared.Rent(Math.Min(_partialLength, FirstRentBytesMax));
            }

            var rest = data[..Math.Min(data.Length, _partialLength - _partialFilled)];
            EnsurePartial(_partialFilled + rest.Length);
            rest.CopyTo(_partial.AsSpan(_partialFilled));
            _partialFilled += rest.Length;
            data = data[rest.Length..];
            if (_partialFilled < _partialLength) break;
            var whole = _partial!;
            _partial = null;
            _prefixFilled = 0;
            _partialFilled = 0;
            try
            {
                OnMessage(whole.AsSpan(0, _partialLength));
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(whole);
            }
        }

        return OnAssembled(bytes);
    }

    void EnsurePartial(int bytes)
    {
        if (bytes <= _partial!.Length) return;
        var larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(Math.Max(_partial.Length * 2L, bytes), _partialLength));
        _partial.AsSpan(0, _partialFilled).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_partial);
        _partial = larger;
    }
}
