namespace Guestmark.Rpc.Publishing;

/// <summary>proto/guestmark/v1/ingest.proto, the protocol between hops.</summary>
static class PublishMethod
{
    public static RpcMethod<PublishRequest, PublishResponse> Publish { get; } = new("guestmark.v1.Ingest", "Publish");

    /// <summary>
    /// Longest message of the protocol: a batch is closed by the event with which it reaches 1 MiB, and one event is at most a report
    /// of 16 MiB with its attributes.
    /// </summary>
    public const int MessageBytesMax = 20 << 20;
}
