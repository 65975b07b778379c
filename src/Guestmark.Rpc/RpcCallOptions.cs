namespace Guestmark.Rpc;

/// <summary>What a client says about one call.</summary>
public sealed record RpcCallOptions
{
    /// <summary>Time from now until both sides give the call up with <see cref="RpcStatusCode.DeadlineExceeded"/>. Null: no limit.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Largest message accepted in this call, in bytes. Null: <see cref="RpcChannelOptions.ReceiveMessageBytesMax"/>.</summary>
    public int? ReceiveMessageBytesMax { get; init; }

    /// <summary>Sent before the first message. Null: none.</summary>
    public RpcMetadata? Metadata { get; init; }
}
