using System.Net.Sockets;
using Guestmark.Agent.Reporting;
using Guestmark.Wire.Declarations;

namespace Guestmark.Agent.Declaring;

/// <summary>Sends what is observed to the host, and a heartbeat when nothing is, over a connection that is made again when it breaks.</summary>
/// <remarks>
/// The host does not answer. What was in hand when a connection broke is sent again on the next; what the kernel had taken is not known to be lost or
/// not. A host that does not read fills the socket, then the queue, which drops and counts.
/// </remarks>
/// <param name="heartbeat">Time without a frame after which the agent says that it lives.</param>
/// <param name="tell">Takes a line for the log.</param>
sealed class DeclarationSender(HostChannel channel, ObservationQueue queue, TimeSpan heartbeat, TimeProvider time, Action<string> tell)
{
    const int FramesAtOnce = 128;

    static readonly TimeSpan RetryMin = TimeSpan.FromMilliseconds(200);
    static readonly TimeSpan RetryMax = TimeSpan.FromSeconds(5);

    readonly byte[] _buffer = new byte[FramesAtOnce * DeclarationFrame.WrittenBytesMax];
    readonly List<Observation> _inHand = [];
    readonly uint _ownPid = (uint)Environment.ProcessId;
    readonly string _ownName = ProcessName.Of("/proc", (uint)Environment.ProcessId) ?? "guestmark-agent";

    /// <summary>Sends one heartbeat on a connection of its own, to try the channel.</summary>
    /// <returns>What was sent.</returns>
    /// <exception cref="SocketException">It could not be sent.</exception>
    /// <exception cref="OperationCanceledException"/>
    public async Task<Observation> SendOnceAsync(CancellationToken cancellationToken)
    {
        using var socket = channel.CreateSocket();
        await socket.ConnectAsync(channel.Address, cancellationToken);
        var sent = Heartbeat();
        _inHand.Add(sent);
        await SendAsync(socket, 0, cancellationToken);
        socket.Shutdown(SocketShutdown.Send);
        return sent;
    }

    /// <exception cref="OperationCanceledException">It was stopped. What waits is not sent any more.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var delay = RetryMin;
        string? told = null;
        while (true)
        {
            string problem;
            try
            {
                using var socket = channel.CreateSocket();
                await socket.ConnectAsync(channel.Address, cancellationToken);
                tell(told is null ? "connected" : "connected again");
                told = null;
                var since = time.GetTimestamp();
                problem = await ServeAsync(socket, cancellationToken);
                // A host that refuses closes at once; what lasted begins with the short delay again.
                if (time.GetElapsedTime(since) > RetryMax) delay = RetryMin;
            }
            catch (SocketException e)
            {
                problem = channel.Describe(e);
            }

            if (problem != told) tell($"{problem}; trying again");
            told = problem;
            await Task.Delay(delay * (0.5 + Random.Shared.NextDouble()), time, cancellationToken);
            delay = delay * 2 < RetryMax ? delay * 2 : RetryMax;
        }
    }

    /// <returns>Why the connection is over.</returns>
    async Task<string> ServeAsync(Socket socket, CancellationToken cancellationToken)
    {
        // The host never sends: what can be received is the end.
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var ended = WatchAsync(socket, over);
        var sequence = 0UL;
        var isFirst = true;
        try
        {
            while (true)
            {
                if (_inHand.Count == 0) queue.Take(_inHand, FramesAtOnce);
                if (_inHand.Count == 0)
                {
                    // At once after connecting, so that the host learns of losses and of the agent's life.
                    if (!isFirst && await queue.WaitAsync(heartbeat, time, over.Token)) continue;
                    _inHand.Add(Heartbeat());
                }

                isFirst = false;
                sequence = await SendAsync(socket, sequence, over.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return "the host closed the connection";
        }
        catch (SocketException e)
        {
            return e.Message;
        }
        finally
        {
            await over.CancelAsync();
            await ended;
        }
    }

    static async Task WatchAsync(Socket socket, CancellationTokenSource over)
    {
        try
        {
            await socket.ReceiveAsync(new byte[1], over.Token);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            // It is over in any case.
        }

        await over.CancelAsync();
    }

    /// <summary>Sends what is in hand.</summary>
    /// <returns>The number of the last frame.</returns>
    async Task<ulong> SendAsync(Socket socket, ulong sequence, CancellationToken cancellationToken)
    {
        var bytes = Encode(sequence);
        for (var rest = _buffer.AsMemory(0, bytes); rest.Length > 0;) rest = rest[await socket.SendAsync(rest, cancellationToken)..];
        sequence += (ulong)_inHand.Count;
        _inHand.Clear();
        return sequence;
    }

    int Encode(ulong sequence)
    {
        var dropped = queue.Dropped;
        var bytes = 0;
        Span<byte> source = stackalloc byte[DeclarationFrame.ProbeSourceBytesMax];
        Span<byte> name = stackalloc byte[DeclarationFrame.GuestCommBytesMax];
        foreach (var observation in _inHand)
        {
            var sourceBytes = System.Text.Encoding.UTF8.GetBytes(observation.Source, source);
            var nameBytes = ProcessName.Write(observation.Comm, name);
            bytes += DeclarationFrame.Write(
                _buffer.AsSpan(bytes), source[..sourceBytes], observation.Pid, name[..nameBytes], observation.MonotonicNs, ++sequence, dropped);
        }

        return bytes;
    }

    Observation Heartbeat() => new(ProbeSources.AgentHeartbeat, _ownPid, _ownName, ProcessScan.MonotonicNs());
}
