using System.Runtime.CompilerServices;
using Google.Protobuf;
using Guestmark.Rpc.Protocol;

namespace Guestmark.Rpc;

/// <summary>
/// A call that streams requests, responses, or both. One writer and one reader at a time; the two are independent. Disposing a call that has not
/// ended cancels it, which the server's handler sees as a cancelled token.
/// </summary>
public sealed class RpcCall<TRequest, TResponse> : IAsyncDisposable
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    readonly StreamingCall<TResponse> _call;
    readonly Task _started;
    readonly int _sendMessageBytesMax;
    bool _isComplete;

    internal RpcCall(StreamingCall<TResponse> call, Task started, int sendMessageBytesMax)
    {
        _call = call;
        _started = started;
        _sendMessageBytesMax = sendMessageBytesMax;
    }

    /// <summary>What the server sent with the status. Empty until the call has ended.</summary>
    public RpcMetadata Trailers => _call.HasStatus && _call.TrailersOrNull is { } trailers ? trailers : [];

    /// <summary>
    /// Sends one request now. Waits while the server does not read. When the server has ended the call with Ok, nothing is sent.
    /// </summary>
    /// <exception cref="RpcException">The call has failed, or the message is over the limit.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. If the message was being sent, that ends the call.</exception>
    public async ValueTask WriteAsync(TRequest message, CancellationToken cancellationToken = default)
    {
        if (_isComplete) throw new InvalidOperationException("the requests of this call are complete");
        var size = MessageFraming.CheckedSize(message, _sendMessageBytesMax);
        if (!_started.IsCompleted) await _started.WaitAsync(cancellationToken);
        try
        {
            if (!_call.IsFinished) await _call.Connection!.SendAsync(_call, message, size, end: false, cancellationToken);
        }
        catch (Exception e)
        {
            _call.Cancel(RpcStatusCode.Cancelled, $"a request could not be sent as a whole: {e.Message}");
            throw;
        }

        if (_call.HasStatus && _call.Code != RpcStatusCode.Ok) throw _call.Failure();
    }

    /// <summary>Tells the server that no request follows. The responses can still be read.</summary>
    public async ValueTask CompleteAsync()
    {
        _isComplete = true;
        await _started;
        if (!_call.IsFinished) _call.Connection!.EndSending(_call);
    }

    /// <summary>The next response; null when the server has ended the call with Ok.</summary>
    /// <exception cref="RpcException">The call ended with another status.</exception>
    /// <exception cref="OperationCanceledException">
    /// The token was cancelled: this one, which ends the wait and leaves the call, or the one with which the call was opened.
    /// </exception>
    public async ValueTask<TResponse?> ReadAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            if (_call.Received.TryRead(out var received))
            {
                _call.OnRead(received.Bytes);
                return received.Message;
            }

            if (await _call.Received.WaitToReadAsync(cancellationToken)) continue;
            return _call.Code == RpcStatusCode.Ok ? null : throw _call.Failure();
        }
    }

    /// <summary>All responses until the server ends the call.</summary>
    /// <inheritdoc cref="ReadAsync" path="/exception"/>
    public async IAsyncEnumerable<TResponse> ReadAllAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (await ReadAsync(cancellationToken) is { } message) yield return message;
    }

    /// <summary>What the server sent before its first response.</summary>
    /// <exception cref="RpcException">The call failed before that.</exception>
    public Task<RpcMetadata> GetHeadersAsync() => _call.Headers;

    public ValueTask DisposeAsync()
    {
        if (!_call.HasStatus) _call.Cancel(RpcStatusCode.Cancelled, "the call was disposed before it had ended");
        return ValueTask.CompletedTask;
    }
}
