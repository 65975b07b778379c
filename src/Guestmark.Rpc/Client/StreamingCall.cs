using System.Threading.Channels;
using Google.Protobuf;
using Guestmark.Rpc.Protocol;

namespace Guestmark.Rpc;

/// <summary>Many responses, read by the caller at its own pace.</summary>
sealed class StreamingCall<TResponse>(int receiveMessageBytesMax) : ClientCall(receiveMessageBytesMax)
    where TResponse : class, IMessage<TResponse>, new()
{
    readonly Channel<(TResponse Message, int Bytes)> _received =
        Channel.CreateUnbounded<(TResponse, int)>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });

    readonly TaskCompletionSource<RpcMetadata> _headers = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // What the peer may send again. A byte is credited once: when its message is read, or, in a message that is still arriving,
    // as soon as the caller has nothing else to read, since that message may be larger than the window.
    readonly Lock _creditLock = new();
    int _unreadMessages;
    int _partialBytes;
    int _partialCredited;

    public Task<RpcMetadata> Headers => _headers.Task;

    /// <summary>The channel is unbounded in messages; the stream's window bounds it in bytes.</summary>
    public ChannelReader<(TResponse Message, int Bytes)> Received => _received.Reader;

    protected override bool WantsHeaders => true;

    /// <summary>The caller took a message out.</summary>
    public void OnRead(int bytes)
    {
        lock (_creditLock)
        {
            _unreadMessages--;
            bytes += CreditPartial();
        }

        Connection?.Consume(this, bytes);
    }

    protected override void OnMessage(ReadOnlySpan<byte> message)
    {
        var parsed = MessageFraming.Parse<TResponse>(message);
        int bytes;
        lock (_creditLock)
        {
            bytes = MessageFraming.PrefixBytes + message.Length - _partialCredited;
            _partialBytes = 0;
            _partialCredited = 0;
            _unreadMessages++;
        }

        _received.Writer.TryWrite((parsed, bytes));
    }

    protected override int OnAssembled(int bytes)
    {
        lock (_creditLock)
        {
            _partialBytes = PartialBytes;
            return CreditPartial();
        }
    }

    protected override void OnInitialMetadata(RpcMetadata metadata) => _headers.TrySetResult(metadata);

    protected override void OnFinished()
    {
        if (!_headers.Task.IsCompleted)
        {
            if (Code == RpcStatusCode.Ok) _headers.TrySetResult([]);
            else _headers.TrySetException(Failure());
            // Nobody may have asked.
            _ = _headers.Task.Exception;
        }

        _received.Writer.TryComplete();
    }

    int CreditPartial()
    {
        if (_unreadMessages > 0) return 0;
        var bytes = _partialBytes - _partialCredited;
        _partialCredited = _partialBytes;
        return bytes;
    }
}
