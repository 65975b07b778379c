using Google.Protobuf;
using Guestmark.Rpc.Protocol;
using Microsoft.AspNetCore.Http;

namespace Guestmark.Rpc;

/// <summary>The messages that a server sends in one call. One writer at a time.</summary>
public sealed class RpcResponseStream<T>
    where T : class, IMessage<T>, new()
{
    readonly HttpContext _context;
    readonly RpcServerCall _call;
    readonly int _bytesMax;

    internal RpcResponseStream(HttpContext context, RpcServerCall call, int bytesMax)
    {
        _context = context;
        _call = call;
        _bytesMax = bytesMax;
    }

    /// <summary>Sends one message now. Waits while the client does not read.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled, or the call was (<see cref="RpcServerCall.CancellationToken"/>).</exception>
    /// <exception cref="RpcException">The message is over the limit. Let it pass: it becomes the call's status.</exception>
    public async ValueTask WriteAsync(T message, CancellationToken cancellationToken = default)
    {
        var callToken = _call.CancellationToken;
        callToken.ThrowIfCancellationRequested();
        using var both = cancellationToken.CanBeCanceled && cancellationToken != callToken
            ? CancellationTokenSource.CreateLinkedTokenSource(callToken, cancellationToken)
            : null;
        var writer = _context.Response.BodyWriter;
        if (!_call.HeadersAreWritten) RpcEndpoint.WriteHeaders(_context, _call);
        MessageFraming.Write(writer, message, _bytesMax);
        var flushed = await writer.FlushAsync(both?.Token ?? callToken);
        if (flushed.IsCompleted || flushed.IsCanceled) throw new OperationCanceledException(callToken);
    }
}
