using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Http;

namespace Guestmark.Rpc;

/// <summary>What a handler knows about the call that it answers. Valid until the handler returns.</summary>
public sealed class RpcServerCall
{
    readonly HttpContext _context;
    CancellationTokenSource? _deadlineSource;
    ITimer? _deadlineTimer;
    RpcMetadata? _metadata;

    internal RpcServerCall(HttpContext context) => _context = context;

    /// <summary>What the client sent beside its messages.</summary>
    public RpcMetadata Metadata => _metadata ??= ReadMetadata(_context.Request.Headers);

    /// <summary>Sent before the first message, so it must be filled before that is written.</summary>
    public RpcMetadata ResponseHeaders => ResponseHeadersOrNull ??= [];

    /// <summary>Sent with the status.</summary>
    public RpcMetadata ResponseTrailers => ResponseTrailersOrNull ??= [];

    /// <summary>When the client gives up. Null: it waits without limit.</summary>
    public DateTimeOffset? Deadline { get; private set; }

    /// <summary>Cancelled when the client is gone, has cancelled the call, or its deadline has passed.</summary>
    public CancellationToken CancellationToken => _deadlineSource?.Token ?? _context.RequestAborted;

    /// <summary>The client's certificate, already checked against our authority. Null on a plaintext listener.</summary>
    public X509Certificate2? PeerCertificate => _context.Connection.ClientCertificate;

    /// <summary>Who calls: the first DNS name of the certificate (its common name when it has none), else the remote address.</summary>
    public string PeerName => PeerCertificate is { } certificate ? CertificateText.Name(certificate)
        : _context.Connection.RemoteIpAddress is { } address ? new System.Net.IPEndPoint(address, _context.Connection.RemotePort).ToString()
        : "local";

    /// <summary>Whether the caller's certificate carries <paramref name="name"/>, letter for letter. False on a plaintext listener: nobody has proved anything.</summary>
    public bool PeerHasName(string name) => PeerCertificate is { } certificate && CertificateText.HasName(certificate, name);

    internal RpcMetadata? ResponseHeadersOrNull { get; private set; }

    internal RpcMetadata? ResponseTrailersOrNull { get; private set; }

    /// <summary>The response headers are set, and with them the way in which the status travels.</summary>
    internal bool HeadersAreWritten { get; set; }

    internal bool DeadlineHasPassed => _deadlineSource is { IsCancellationRequested: true } && !_context.RequestAborted.IsCancellationRequested;

    internal bool ClientIsGone => _context.RequestAborted.IsCancellationRequested;

    internal void StartDeadline(TimeSpan timeout, TimeProvider time)
    {
        var now = time.GetUtcNow();
        Deadline = timeout < DateTimeOffset.MaxValue - now ? now + timeout : DateTimeOffset.MaxValue;
        // A timer takes at most 49 days; a call that may last longer has no limit in practice.
        if (timeout > TimeSpan.FromDays(49)) return;
        _deadlineSource = CancellationTokenSource.CreateLinkedTokenSource(_context.RequestAborted);
        _deadlineTimer = time.CreateTimer(static source => ((CancellationTokenSource)source!).Cancel(), _deadlineSource, timeout, Timeout.InfiniteTimeSpan);
    }

    internal void End()
    {
        _deadlineTimer?.Dispose();
        _deadlineSource?.Dispose();
    }

    static RpcMetadata ReadMetadata(IHeaderDictionary headers)
    {
        var metadata = new RpcMetadata();
        foreach (var header in headers)
        {
            foreach (var value in header.Value) metadata.AddReceived(header.Key, value ?? "");
        }

        return metadata;
    }
}
