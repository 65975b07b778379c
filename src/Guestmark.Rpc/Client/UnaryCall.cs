using Google.Protobuf;
using Guestmark.Rpc.Protocol;

namespace Guestmark.Rpc;

/// <summary>One request, one response.</summary>
sealed class UnaryCall<TResponse>(int receiveMessageBytesMax) : ClientCall(receiveMessageBytesMax)
    where TResponse : class, IMessage<TResponse>, new()
{
    readonly TaskCompletionSource<TResponse> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    TResponse? _response;

    public Task<TResponse> Task => _result.Task;

    protected override void OnMessage(ReadOnlySpan<byte> message)
    {
        if (_response is not null) throw new RpcException(RpcStatusCode.Internal, "the server sent more than one message");
        _response = MessageFraming.Parse<TResponse>(message);
    }

    protected override int OnAssembled(int bytes) => bytes;

    protected override void OnFinished()
    {
        if (Code != RpcStatusCode.Ok) _result.TrySetException(Failure());
        else if (_response is null) _result.TrySetException(new RpcException(RpcStatusCode.Internal, "the server sent no message", TrailersOrNull));
        else _result.TrySetResult(_response);
    }
}
