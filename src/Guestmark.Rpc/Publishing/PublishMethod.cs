namespace Guestmark.Rpc.Publishing;

/// <summary>proto/guestmark/v1/ingest.proto, the protocol between hops.</summary>
static class PublishMethod
{
    public static RpcMethod<PublishRequest, PublishResponse> Publish { get; } = new("guestmark.v1.Ingest", "Publish");

    /// <summary>
    /// Longest message of the protocol: one event is at most a report of 16 MiB with its attributes, and a batch is closed
    /// at 1 MiB unless its only event is longer.
    /// </summary>
    public const int MessageBytesMax = 20 << 20;
}
