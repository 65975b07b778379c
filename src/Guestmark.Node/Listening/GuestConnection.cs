using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Guestmark.Node.Listening;

/// <summary>One accepted connection, over which a protocol sees a pipe and never the transport.</summary>
/// <remarks>
/// There is no task beside the protocol's own: it reads and writes the socket itself. So <see cref="ConnectionClosed"/> tells of
/// <see cref="Abort(ConnectionAbortedException)"/>; that the guest is gone, a protocol learns when it reads or writes.
/// </remarks>
sealed class GuestConnection : ConnectionContext, IDuplexPipe, IConnectionLifetimeNotificationFeature
{
    static long _count;

    readonly long _number = Interlocked.Increment(ref _count);
    readonly Socket _socket;
    readonly SocketInput _input;
    readonly SocketOutput _output;
    readonly Lock _lock = new();
    CancellationTokenSource? _closed;
    bool _aborted;

    public GuestConnection(Socket socket, EndPoint? peer, CancellationToken stopping)
    {
        socket.Blocking = false;
        _socket = socket;
        _input = new SocketInput(socket);
        _output = new SocketOutput(socket);
        RemoteEndPoint = peer;
        ConnectionClosedRequested = stopping;
        Transport = this;
    }

    public override string ConnectionId
    {
        get => field ??= _number.ToString(System.Globalization.CultureInfo.InvariantCulture);
        set;
    }

    public override IFeatureCollection Features
    {
        get
        {
            if (field is null)
            {
                field = new FeatureCollection(1);
                field.Set<IConnectionLifetimeNotificationFeature>(this);
            }

            return field;
        }
    }

    public override IDictionary<object, object?> Items
    {
        get => field ??= new Dictionary<object, object?>();
        set;
    }

    public override IDuplexPipe Transport { get; set; }

    /// <summary>The node stops: end when no message is under way.</summary>
    public CancellationToken ConnectionClosedRequested { get; set; }

    public override CancellationToken ConnectionClosed
    {
        get
        {
            lock (_lock)
            {
                if (_aborted && _closed is null) return new CancellationToken(canceled: true);
                return (_closed ??= new CancellationTokenSource()).Token;
            }
        }
        set => throw new NotSupportedException();
    }

    public SocketInput Input => _input;

    PipeReader IDuplexPipe.Input => _input;

    PipeWriter IDuplexPipe.Output => _output;

    public override void Abort(ConnectionAbortedException abortReason)
    {
        CancellationTokenSource? closed;
        lock (_lock)
        {
            if (_aborted) return;
            _aborted = true;
            closed = _closed;
        }

        _input.Abort();
        _output.Abort();
        try
        {
            closed?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The connection ended by itself: whoever gives up all connections of a guest must not fail over one that is gone.
        }
    }

    void IConnectionLifetimeNotificationFeature.RequestClose() => Abort(new ConnectionAbortedException());

    /// <summary>Closes the socket. What was written before still reaches the guest.</summary>
    public override ValueTask DisposeAsync()
    {
        _socket.Dispose();
        _input.Complete();
        _output.Complete();
        lock (_lock) _closed?.Dispose();
        return default;
    }
}
