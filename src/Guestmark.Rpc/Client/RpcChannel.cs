using Google.Protobuf;
using Guestmark.Rpc.Http2;
using Guestmark.Rpc.Protocol;

namespace Guestmark.Rpc;

/// <summary>
/// A server as seen by a client. It connects with the first call, sends all calls over one connection, and connects again with the next
/// call after a connection is lost. Thread-safe.
/// </summary>
/// <remarks>
/// A call that fails is not repeated: <see cref="RpcStatusCode.Unavailable"/> says that the server was not reached or was lost, with the
/// reason in the detail, and the caller knows whether its request may be sent twice. Beyond the server's limit of simultaneous
/// calls, further ones wait for a free place.
/// </remarks>
public sealed class RpcChannel : IDisposable
{
    readonly RpcChannelOptions _options;
    readonly RpcConnector _connector;
    readonly CancellationTokenSource _disposed = new();
    readonly Lock _lock = new();
    volatile Http2Connection? _connection;
    Task<Http2Connection>? _connecting;

    /// <param name="address">
    /// <c>http://host:port</c> (plaintext), <c>https://host:port</c> (TLS with certificates on both sides) or <c>unix:/path</c> (plaintext
    /// unless certificates are given).
    /// </param>
    /// <exception cref="ArgumentException">The address is none of these, or certificates are missing or superfluous.</exception>
    public RpcChannel(Uri address, RpcChannelOptions? options = null)
    {
        Address = address;
        _options = options ?? new RpcChannelOptions();
        _connector = new RpcConnector(address, _options);
    }

    public Uri Address { get; }

    /// <summary>Sends one request and waits for the one response.</summary>
    /// <exception cref="RpcException">The call ended with another status than Ok.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the server is told.</exception>
    public Task<TResponse> UnaryAsync<TRequest, TResponse>(
        RpcMethod<TRequest, TResponse> method, TRequest request, RpcCallOptions? options = null, CancellationToken cancellationToken = default)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        ObjectDisposedException.ThrowIf(_disposed.IsCancellationRequested, this);
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<TResponse>(cancellationToken);
        int size;
        try
        {
            size = MessageFraming.CheckedSize(request, _options.SendMessageBytesMax);
        }
        catch (RpcException e)
        {
            return Task.FromException<TResponse>(e);
        }

        var call = new UnaryCall<TResponse>(options?.ReceiveMessageBytesMax ?? _options.ReceiveMessageBytesMax);
        // What goes wrong there ends the call, whose task is returned.
        _ = Start(call, method.Path, options, request, size, cancellationToken);
        return call.Task;
    }

    /// <summary>Begins a call with a stream of requests, of responses, or of both. It fails, if it fails, when it is used.</summary>
    public RpcCall<TRequest, TResponse> Open<TRequest, TResponse>(
        RpcMethod<TRequest, TResponse> method, RpcCallOptions? options = null, CancellationToken cancellationToken = default)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new()
    {
        ObjectDisposedException.ThrowIf(_disposed.IsCancellationRequested, this);
        var call = new StreamingCall<TResponse>(options?.ReceiveMessageBytesMax ?? _options.ReceiveMessageBytesMax);
        var started = Start(call, method.Path, options, message: null, 0, cancellationToken);
        return new RpcCall<TRequest, TResponse>(call, started, _options.SendMessageBytesMax);
    }

    /// <summary>Ends the connection; open calls end with Unavailable.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed.IsCancellationRequested) return;
            _disposed.Cancel();
        }

        _connection?.End("the channel was disposed");
    }

    /// <summary>Starts a call; never throws: whatever goes wrong ends the call.</summary>
    Task Start(ClientCall call, string path, RpcCallOptions? options, IMessage? message, int messageBytes, CancellationToken cancellationToken)
    {
        call.Arm(options?.Timeout, _options.Time, cancellationToken);
        var timeout = options?.Timeout is { } limit ? TimeoutHeader.Encode(limit) : null;
        try
        {
            if (_connection?.TryStart(call, path, timeout, options?.Metadata, message, messageBytes) == StreamStart.Started)
            {
                if (call.IsFinished) call.Connection!.Cancel(call);
                return Task.CompletedTask;
            }
        }
        catch (Exception e)
        {
            call.Cancel(RpcStatusCode.Internal, $"the request cannot be written: {e.Message}");
            return Task.CompletedTask;
        }

        return StartSlowlyAsync(call, path, timeout, options?.Metadata, message, messageBytes);
    }

    async Task StartSlowlyAsync(ClientCall call, string path, string? timeout, RpcMetadata? metadata, IMessage? message, int messageBytes)
    {
        try
        {
            var start = call.Connection is null ? StreamStart.Closed : StreamStart.StartedWithoutMessage;
            while (start is StreamStart.Closed or StreamStart.Full && !call.IsFinished)
            {
                var connection = await ConnectionAsync();
                start = connection.TryStart(call, path, timeout, metadata, message, messageBytes);
                if (start != StreamStart.Full) continue;
                await connection.WaitForSlotAsync();
                // The place was offered to this call alone: when it is cancelled meanwhile, the next must hear of it.
                if (call.IsFinished) connection.OfferSlot();
            }

            if (call.IsFinished) call.Connection?.Cancel(call);
            else if (start == StreamStart.StartedWithoutMessage)
                await call.Connection!.SendAsync(call, message!, messageBytes, end: true, CancellationToken.None);
        }
        catch (RpcException e)
        {
            call.Cancel(e.Code, e.Detail);
        }
        catch (OperationCanceledException)
        {
            call.Cancel(RpcStatusCode.Unavailable, "the channel was disposed");
        }
        catch (Exception e)
        {
            call.Cancel(RpcStatusCode.Internal, $"the request cannot be written: {e.Message}");
        }
    }

    /// <summary>The connection of the moment. Calls that come while it is being opened share the attempt and its failure.</summary>
    Task<Http2Connection> ConnectionAsync()
    {
        lock (_lock)
        {
            if (_connection is { IsOpen: true } connection) return Task.FromResult(connection);
            if (_connecting is { IsCompleted: false }) return _connecting;
            // Not on behalf of the call that happens to be first: its context must not live as long as the connection.
            using (ExecutionContext.SuppressFlow()) return _connecting = Task.Run(ConnectAsync, _disposed.Token);
        }
    }

    async Task<Http2Connection> ConnectAsync()
    {
        var connection = await _connector.ConnectAsync(_disposed.Token);
        lock (_lock) _connection = connection;
        if (_disposed.IsCancellationRequested) connection.End("the channel was disposed");
        return connection;
    }
}
