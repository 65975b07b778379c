using System.IO.Pipelines;
using Google.Protobuf;
using Guestmark.Rpc.Protocol;

namespace Guestmark.Rpc;

/// <summary>The messages that a client sends in one call. One reader at a time.</summary>
public sealed class RpcRequestStream<T>
    where T : class, IMessage<T>, new()
{
    readonly PipeReader _body;
    readonly RpcServerCall _call;
    readonly int _bytesMax;

    internal RpcRequestStream(PipeReader body, RpcServerCall call, int bytesMax)
    {
        _body = body;
        _call = call;
        _bytesMax = bytesMax;
    }

    /// <summary>The next message; null when the client has sent its last.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled, or the call was (<see cref="RpcServerCall.CancellationToken"/>).</exception>
    /// <exception cref="RpcException">The message is over the limit or malformed. Let it pass: it becomes the call's status.</exception>
    public async ValueTask<T?> ReadAsync(CancellationToken cancellationToken = default)
    {
        var callToken = _call.CancellationToken;
        using var both = cancellationToken.CanBeCanceled && cancellationToken != callToken
            ? CancellationTokenSource.CreateLinkedTokenSource(callToken, cancellationToken)
            : null;
        while (true)
        {
            ReadResult read;
            try
            {
                read = await _body.ReadAsync(both?.Token ?? callToken);
            }
            catch (IOException) when (_call.ClientIsGone)
            {
                throw new OperationCanceledException(callToken);
            }

            var buffer = read.Buffer;
            if (MessageFraming.TryRead(ref buffer, _bytesMax, out T? message))
            {
                _body.AdvanceTo(buffer.Start);
                return message;
            }

            _body.AdvanceTo(buffer.Start, buffer.End);
            if (!read.IsCompleted) continue;
            if (buffer.IsEmpty) return null;
            throw new RpcException(RpcStatusCode.Internal, $"the request ended within a message, after {buffer.Length} of its bytes");
        }
    }

    /// <summary>All messages until the client has sent its last.</summary>
    public async IAsyncEnumerable<T> ReadAllAsync(
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (await ReadAsync(cancellationToken) is { } message) yield return message;
    }
}
