namespace Guestmark.Rpc;

/// <summary>What a server accepts.</summary>
public sealed class RpcServerOptions
{
    /// <summary>Largest message accepted from a client, in bytes.</summary>
    public int ReceiveMessageBytesMax { get; set; } = 4 << 20;

    /// <summary>Largest message sent, in bytes.</summary>
    public int SendMessageBytesMax { get; set; } = 4 << 20;

    /// <summary>Calls at the same time on one connection; a client waits with further ones.</summary>
    public int CallsPerConnectionMax { get; set; } = 100;

    /// <summary>The silence after which a client is asked whether it is there.</summary>
    public TimeSpan KeepAliveInterval { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long the answer may take before the connection counts as lost.</summary>
    public TimeSpan KeepAliveTimeout { get; set; } = TimeSpan.FromSeconds(20);
}
