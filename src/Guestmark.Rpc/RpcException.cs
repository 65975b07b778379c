namespace Guestmark.Rpc;

/// <summary>
/// A call that ended with another status than <see cref="RpcStatusCode.Ok"/>: received by a client, or thrown by a handler to be sent.
/// </summary>
/// <param name="code">The status; not Ok.</param>
/// <param name="detail">For a person. A handler's detail is sent to the peer.</param>
/// <param name="trailers">Metadata that comes with the status.</param>
public sealed class RpcException(RpcStatusCode code, string detail, RpcMetadata? trailers = null, Exception? innerException = null)
    : Exception($"{code}: {detail}", innerException)
{
    public RpcStatusCode Code { get; } = code;

    public string Detail { get; } = detail;

    public RpcMetadata Trailers { get; } = trailers ?? [];
}
