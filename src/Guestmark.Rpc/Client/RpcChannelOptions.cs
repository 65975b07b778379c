namespace Guestmark.Rpc;

/// <summary>How a channel connects and what it accepts.</summary>
public sealed record RpcChannelOptions
{
    /// <summary>For <c>https:</c> addresses: our certificate and the authority that the server's must chain to. Required there.</summary>
    public CertificateDirectory? Certificates { get; init; }

    /// <summary>The name that the server's certificate must carry. Null: the host of the address, <c>localhost</c> for a Unix socket.</summary>
    public string? ServerName { get; init; }

    /// <summary>Largest message accepted from the server, in bytes. 4 MiB is the default of every gRPC implementation.</summary>
    public int ReceiveMessageBytesMax { get; init; } = 4 << 20;

    /// <summary>Largest message sent, in bytes.</summary>
    public int SendMessageBytesMax { get; init; } = 4 << 20;

    /// <summary>Time for connecting, TLS and the server's first frame together. The call fails with Unavailable after it.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>While calls are open, the silence after which the server is asked whether it is there. Servers may refuse under 10 s.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long the answer may take before the connection counts as lost.</summary>
    public TimeSpan KeepAliveTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>The clock of deadlines and keep-alive.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
