using Google.Protobuf;

namespace Guestmark.Rpc;

/// <summary>One method of a service, by the names of its .proto file.</summary>
/// <param name="Service">Full name with the package: <c>guestmark.v1.Ingest</c>.</param>
/// <param name="Name"><c>Publish</c>.</param>
public sealed record RpcMethod<TRequest, TResponse>(string Service, string Name)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    /// <summary>The method on the wire: <c>/guestmark.v1.Ingest/Publish</c>.</summary>
    public string Path { get; } = $"/{Service}/{Name}";
}
