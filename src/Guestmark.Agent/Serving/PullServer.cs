using System.Net.Sockets;
using Guestmark.Agent.OpenSsl;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Pull;

namespace Guestmark.Agent.Serving;

/// <summary>The agent's side of the pull protocol: a Sensor connects, shows its certificate, asks once and is answered.</summary>
/// <remarks>
/// 1. Anyone in the machine can connect, so nobody may hold up the others. At most <see cref="UnverifiedMax"/> connections have not shown
///    a good certificate yet; when another comes, the oldest of them is closed. Each is closed at its deadline.
/// 2. After the handshake the client is verified, and takes the one place there is for a request. Who finds it taken is answered BUSY.
/// 3. One frame is read, one is written, and the connection is closed. What the client still sends is read for a moment, because
///    closing a socket with unread bytes resets it, and the client would lose its answer.
/// <para>
/// The deadline is for the whole connection, from accept on.
/// </para>
/// </remarks>
sealed class PullServer(
    ClientAuthorities authorities, PullService service, TimeSpan deadline, TimeProvider time, Action<string> note, bool isVerbose) : IDisposable
{
    /// <summary>Connections without a verified client. A handshake takes milliseconds.</summary>
    public const int UnverifiedMax = 16;

    /// <summary>Connections of verified clients: one that is answered, others that are told to come again, or close.</summary>
    public const int VerifiedMax = 16;

    static readonly TimeSpan AcceptDelayMin = TimeSpan.FromMilliseconds(5);
    static readonly TimeSpan AcceptDelayMax = TimeSpan.FromSeconds(1);
    static readonly TimeSpan LingerMax = TimeSpan.FromSeconds(2);
    static readonly TimeSpan DrainMax = TimeSpan.FromSeconds(5);

    // The first allocation for a request, which is nearly always shorter. A longer one costs memory as its bytes arrive.
    const int RequestBytesUsual = 4096;
    const int RequestBytesMax = PullFrame.RequestWithMappingBytesMaxDefault;

    // Notes about clients, which anyone in the machine can cause.
    const int NotesPerMinuteMax = 20;

    readonly Lock _lock = new();
    readonly LinkedList<CancellationTokenSource> _unverified = [];
    readonly HashSet<Task> _connections = [];
    readonly CancellationTokenSource _ended = new();
    int _answering;
    int _verified;
    long _noteMinute;
    int _notes;

    /// <summary>Serves until it is cancelled. Then connections that are being answered have five seconds to end.</summary>
    public async Task RunAsync(ChannelSocket.Listener listener, CancellationToken cancellationToken)
    {
        await Task.Factory.StartNew(
            () => AcceptAll(listener, cancellationToken), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Task[] open;
        CancellationTokenSource[] unverified;
        lock (_lock)
        {
            unverified = [.. _unverified];
            open = [.. _connections];
        }

        foreach (var connection in unverified) Cancel(connection);
        using var limit = new CancellationTokenSource(DrainMax, time);
        using var registration = limit.Token.Register(_ended.Cancel);
        await Task.WhenAll(open);
    }

    public void Dispose() => _ended.Dispose();

    void AcceptAll(ChannelSocket.Listener listener, CancellationToken cancellationToken)
    {
        var delay = AcceptDelayMin;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                var accepted = listener.Accept(cancellationToken);
                delay = AcceptDelayMin;
                if (accepted.IsOfHost)
                {
                    Start(accepted);
                }
                else
                {
                    // Only the host dials (virt-handler). Whoever else could would take the places of those that are not verified yet.
                    accepted.Socket.Dispose();
                    NoteOfClient($"{accepted.Peer}: is not the host; refused");
                }
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                // No descriptor or no memory is free. Trying at once again would only take the processor as well.
                NoteOfClient($"{e.Message}; trying again");
                cancellationToken.WaitHandle.WaitOne(delay);
                delay = delay * 2 < AcceptDelayMax ? delay * 2 : AcceptDelayMax;
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    void Start(AcceptedChannel accepted)
    {
        var limit = new CancellationTokenSource(deadline, time);
        var token = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _ended.Token);
        LinkedListNode<CancellationTokenSource> place;
        CancellationTokenSource? oldest = null;
        lock (_lock)
        {
            if (_unverified.Count == UnverifiedMax)
            {
                oldest = _unverified.First!.Value;
                _unverified.RemoveFirst();
            }

            place = _unverified.AddLast(token);
        }

        if (oldest is not null) Cancel(oldest);
        var connection = Task.Run(async () =>
        {
            using (accepted.Socket)
            using (limit)
            using (token)
            {
                try
                {
                    await ServeAsync(accepted, place, token.Token);
                }
                catch (OperationCanceledException)
                {
                    NoteOfClient(limit.IsCancellationRequested
                        ? $"{accepted.Peer}: not done within {Duration.Format(deadline)}; closed"
                        : $"{accepted.Peer}: closed before it had shown a certificate, to make place");
                }
                catch (Exception e) when (e is SocketException or OpenSslException)
                {
                    NoteOfClient($"{accepted.Peer}: {e.Message}");
                }
                finally
                {
                    LeaveUnverified(place);
                }
            }
        });
        lock (_lock) _connections.Add(connection);
        _ = connection.ContinueWith(
            done =>
            {
                lock (_lock) _connections.Remove(done);
            },
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
    }

    async Task ServeAsync(AcceptedChannel accepted, LinkedListNode<CancellationTokenSource> place, CancellationToken cancellationToken)
    {
        var (socket, peer, _) = accepted;
        var first = new byte[TlsChannel.BufferBytes];
        var received = await socket.ReceiveAsync(first, SocketFlags.None, cancellationToken);
        if (received == 0) return;
        if (first[0] != TlsChannel.HandshakeRecord)
        {
            NoteOfClient($"{peer}: rejected plaintext connection; the client must use TLS");
            return;
        }

        if (await authorities.GetAsync(cancellationToken) is not { } context) return;
        using var channel = new TlsChannel(context, socket);
        if (await channel.HandshakeAsync(first.AsMemory(0, received), cancellationToken) is { } refused)
        {
            NoteOfClient($"{peer}: rejected: {refused}");
            // The client is about to send its request. Closed at once it would get EPIPE on vsock, before it has read the alert.
            await channel.CloseAsync(cancellationToken);
            await LingerAsync(socket, first, cancellationToken);
            return;
        }

        if (!LeaveUnverified(place)) return;
        var response = new ProtoWriter();
        string done;
        var others = Interlocked.Increment(ref _verified);
        try
        {
            if (others > VerifiedMax) return;
            if (Interlocked.CompareExchange(ref _answering, 1, 0) == 0)
            {
                try
                {
                    done = await AnswerAsync(channel, response, cancellationToken);
                }
                finally
                {
                    Volatile.Write(ref _answering, 0);
                }
            }
            else
            {
                done = service.Refuse(response, VmServiceError.Busy, "another connection is being answered; come again");
                await WriteFrameAsync(channel, response, cancellationToken);
            }

            if (isVerbose) note($"{peer}: {done}");
            await channel.CloseAsync(cancellationToken);
            await LingerAsync(socket, first, cancellationToken);
        }
        finally
        {
            Interlocked.Decrement(ref _verified);
        }
    }

    /// <summary>Reads a request and answers it.</summary>
    /// <returns>What was done, for the log.</returns>
    async ValueTask<string> AnswerAsync(TlsChannel channel, ProtoWriter response, CancellationToken cancellationToken)
    {
        var header = new byte[PullFrame.HeaderBytes];
        if (await ReadAsync(channel, header, cancellationToken) is { } problem) return $"no request: {problem}";
        string done;
        if (PullFrame.TryReadHeader(header, RequestBytesMax, out var length) == FrameReadResult.Complete)
        {
            var request = new byte[Math.Min((int)length, RequestBytesUsual)];
            for (var filled = 0; ;)
            {
                if (await ReadAsync(channel, request.AsMemory(filled), cancellationToken) is { } cut) return $"no complete request: {cut}";
                filled = request.Length;
                if (filled == (int)length) break;
                Array.Resize(ref request, (int)Math.Min(filled * 2L, length));
            }

            done = service.Respond(request, response);
        }
        else
        {
            done = service.Refuse(response, VmServiceError.RequestTooLarge, $"the request has {length} bytes; {RequestBytesMax} are the most");
        }

        return await WriteFrameAsync(channel, response, cancellationToken) is { } unsent ? $"{done}, but it could not be sent: {unsent}" : done;
    }

    static async ValueTask<string?> WriteFrameAsync(TlsChannel channel, ProtoWriter response, CancellationToken cancellationToken)
    {
        var header = new byte[PullFrame.HeaderBytes];
        PullFrame.WriteHeader(header, response.Length);
        return await channel.WriteAsync(header, cancellationToken) ?? await channel.WriteAsync(response.Written, cancellationToken);
    }

    /// <summary>Fills the destination.</summary>
    /// <returns>Null, or why not.</returns>
    static async ValueTask<string?> ReadAsync(TlsChannel channel, Memory<byte> destination, CancellationToken cancellationToken)
    {
        while (!destination.IsEmpty)
        {
            var (count, problem) = await channel.ReadAsync(destination, cancellationToken);
            if (count == 0) return problem ?? "the client sends nothing more";
            destination = destination[count..];
        }

        return null;
    }

    /// <summary>Reads what the client still sends, until it closes, for two seconds at most and no more than one request.</summary>
    async ValueTask LingerAsync(Socket socket, byte[] buffer, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(LingerMax, time);
        using var lingering = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            for (var left = RequestBytesMax; left > 0;)
            {
                var count = await socket.ReceiveAsync(buffer, SocketFlags.None, lingering.Token);
                if (count == 0) return;
                left -= count;
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            // The answer has been sent: what becomes of the connection now does not matter.
        }
    }

    /// <returns>False when the place was taken away already.</returns>
    bool LeaveUnverified(LinkedListNode<CancellationTokenSource> place)
    {
        lock (_lock)
        {
            if (place.List is null) return false;
            _unverified.Remove(place);
            return true;
        }
    }

    /// <summary>Not under the lock: what waits may go on at once, on this thread, and leave its place.</summary>
    static void Cancel(CancellationTokenSource connection)
    {
        try
        {
            connection.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has ended by itself meanwhile.
        }
    }

    void NoteOfClient(string message)
    {
        lock (_lock)
        {
            var minute = time.GetTimestamp() / (time.TimestampFrequency * 60);
            if (minute != _noteMinute) (_noteMinute, _notes) = (minute, 0);
            if (++_notes > NotesPerMinuteMax) return;
            if (_notes == NotesPerMinuteMax) message += " (and more, which are not told for a minute)";
        }

        note(message);
    }
}
