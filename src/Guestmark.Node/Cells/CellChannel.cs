using System.Buffers;
using System.Text;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Listening;
using Guestmark.Wire.Declarations;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Cells;

/// <summary>The declaration protocol (<see cref="DeclarationFrame"/>) on the channel of one cell.</summary>
/// <remarks>
/// <list type="number">
/// <item>A cell has one connection. A second is closed at once, counted, and told of in an event.</item>
/// <item>What has arrived is decoded where it lies and put into one batch, which is stamped as one event.</item>
/// <item>The guest gets no answer, so what was read is held until it is on disk: while the spool is full nothing more is read, the guest's socket fills,
/// and its agent's queue drops and counts.</item>
/// <item>The same holds for what a guest sends beyond its rate: to look at a frame in order to drop it would cost the host as much as to store it, and
/// nobody in the guest would know. The agent knows, and says so in its next frame.</item>
/// <item>It takes connections, memory for what is not read yet, and turns into the spool out of what all guests share. A turn is one of a whole batch and is
/// taken before there is one, so that turns bound the memory of batches; who waits for it finds more to put into it. Only a batch that the full spool refused
/// is held without: 60 KiB for each cell.</item>
/// <item>A frame that is refused is counted and the channel goes on: its length told where the next one begins. Only a length that is none ends it.</item>
/// </list>
/// </remarks>
public sealed partial class CellChannel : IDisposable
{
    const string BatchType = "guestmark.v1.DeclarationBatch";

    static readonly TimeSpan RetryMin = TimeSpan.FromMilliseconds(50);
    static readonly TimeSpan RetryMax = TimeSpan.FromSeconds(1);
    static readonly TimeSpan ThrottleWait = TimeSpan.FromMilliseconds(50);

    readonly CellOptions _options;
    readonly EventStamper _stamper;
    readonly CellMetrics _metrics;
    readonly ILogger _logger;
    readonly TimeProvider _time;
    readonly byte[][] _sources;
    readonly CellWatch _watch;
    readonly ITimer _timer;
    readonly Refusals _refusals;
    readonly LogThrottle _throttle = new();
    readonly FairOrder? _order;
    readonly GuestShare? _share;
    bool _hasTurn;
    ulong _saidDropped;
    long _agentDropped;
    TokenBucket _rate;
    int _connected;

    /// <param name="identity">Of the channel: the cell's, where it belongs to one.</param>
    /// <param name="silenced">Called once for each reason and episode.</param>
    /// <param name="order">Into the spool. Null: nobody else wants to.</param>
    /// <param name="share">What it may take. Null: all it needs.</param>
    public CellChannel(
        ChannelIdentity identity, CellOptions options, EventStamper stamper, Refusals refusals, CellMetrics metrics, ILogger logger, TimeProvider time,
        Action<SilenceReason>? silenced = null, FairOrder? order = null, GuestShare? share = null)
    {
        Identity = identity;
        _options = options;
        _stamper = stamper;
        _refusals = refusals;
        _metrics = metrics;
        _logger = logger;
        _time = time;
        _sources = [.. options.ProbeSources.Select(Encoding.UTF8.GetBytes)];
        _order = order;
        _share = share;
        _rate = new TokenBucket(time);
        _watch = new CellWatch(options.KeepAliveWindow, options.FrameTimeout, time, StoreAsync)
        {
            Silenced = reason =>
            {
                metrics.Silenced(reason);
                if (MayLog()) LogSilenced(Identity.Subject, reason.Word());
                silenced?.Invoke(reason);
            },
            Revived = () =>
            {
                metrics.Revived();
                if (MayLog()) LogRevived(Identity.Subject);
            },
        };
        var shortest = options.KeepAliveWindow < options.FrameTimeout ? options.KeepAliveWindow : options.FrameTimeout;
        _timer = time.CreateTimer(_ => _watch.Tick(), null, shortest / 4, shortest / 4);
    }

    public ChannelIdentity Identity { get; }

    /// <summary>Whether a connection is open; how it fell silent, if it did; right frames so far, and when the last arrived.</summary>
    public (bool IsConnected, SilenceReason Silence, ulong Frames, DateTimeOffset? LastFrameAt) State => _watch.State;

    /// <summary>Declarations that its agent says to have dropped since the node started. The guest's word.</summary>
    public long AgentDropped => Interlocked.Read(ref _agentDropped);

    /// <summary>Serves one connection to its end.</summary>
    public async Task RunAsync(ConnectionContext connection)
    {
        if (Interlocked.CompareExchange(ref _connected, 1, 0) != 0)
        {
            _metrics.SecondConnection();
            _refusals.Report(Identity, RefusalReason.SecondConnection);
            if (MayLog()) LogSecondConnection(Identity.Subject);
            return;
        }

        _metrics.ConnectionOpened();
        var stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        SilenceReason? end = null;
        if (connection is GuestConnection { Input: var input }) input.Memory = _share?.Memory;
        try
        {
            end = await ServeAsync(connection, stopping);
        }
        catch (MessageMemoryException)
        {
            // The host's want, not the guest's silence.
            if (MayLog()) LogNoMemory(Identity.Subject);
        }
        catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException or IOException)
        {
            end = stopping.IsCancellationRequested ? null : SilenceReason.Dead;
        }
        catch (OperationCanceledException)
        {
            // The node stops, or the cell is removed.
        }
        finally
        {
            _metrics.ConnectionClosed();
            _watch.Ended(end);
            Volatile.Write(ref _connected, 0);
        }
    }

    public void Dispose() => _timer.Dispose();

    /// <returns>How the guest ended it; null when the host did.</returns>
    async Task<SilenceReason?> ServeAsync(ConnectionContext connection, CancellationToken stopping)
    {
        var input = connection.Transport.Input;
        var reader = new DeclarationReader(_metrics, _sources);
        // Not disposed: it has no timer, and the watch may call it at any time.
        var tooLong = new CancellationTokenSource();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stopping, tooLong.Token);
        _watch.Connected(tooLong.Cancel);
        while (true)
        {
            var isLast = false;
            System.IO.Pipelines.ReadResult read;
            try
            {
                read = await input.ReadAsync(over.Token);
            }
            catch (OperationCanceledException)
            {
                if (!stopping.IsCancellationRequested) return SilenceReason.HalfFrame;

                // The host ends the connection: what has arrived before is still taken.
                if (!input.TryRead(out read)) return null;
                isLast = true;
            }

            var (left, hasTaken, end) = await TakeAsync(reader, read.Buffer, stopping);
            var hasHalfFrame = !left.IsEmpty;
            input.AdvanceTo(left.Start, left.End);
            if (end == ReadEnd.BadLength) return SilenceReason.Malformed;
            if (isLast) return null;
            // A close within a frame, even within its length, is not a clean one.
            if (read.IsCompleted) return hasHalfFrame ? SilenceReason.HalfFrame : SilenceReason.Closed;
            _watch.Waiting(hasHalfFrame, isNewFrame: hasTaken);
        }
    }

    /// <summary>Stores all whole frames of a buffer.</summary>
    async ValueTask<(ReadOnlySequence<byte> Left, bool HasTaken, ReadEnd End)> TakeAsync(
        DeclarationReader reader, ReadOnlySequence<byte> buffer, CancellationToken stopping)
    {
        if (buffer.Length < DeclarationFrame.LengthBytes) return (buffer, false, ReadEnd.NeedMore);
        var arrivedAt = _time.GetUtcNow();
        reader.ArrivedAt(arrivedAt);
        var hasTaken = false;
        while (true)
        {
            // An idle connection holds no batch.
            await TakeTurnAsync();
            var batch = ArrayPool<byte>.Shared.Rent(DeclarationReader.BatchBytesMax);
            ReadEnd end;
            try
            {
                end = reader.Read(ref buffer, batch, _rate.Available(_options.DeclarationsPerSecond, _options.DeclarationsBurst));
                hasTaken |= reader.Taken > 0;
                _rate.Take(reader.Taken, _options.DeclarationsPerSecond);
                if (reader.Fault != DeclarationFault.None && MayLog()) LogRefused(Identity.Subject, reader.Fault);
                if (reader.Right > 0)
                {
                    CountDropped(reader.Dropped);
                    _watch.Lived(reader.Right, arrivedAt);
                }

                if (reader.Declared > 0) await StoreAsync(batch.AsMemory(0, reader.BatchBytes), reader.Declared, stopping);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(batch);
                ReturnTurn();
            }

            if (end is ReadEnd.NeedMore or ReadEnd.BadLength) return (buffer, hasTaken, end);
            if (end == ReadEnd.NotAllowed)
            {
                _metrics.Throttled();
                _watch.Throttled();
                await Task.Delay(ThrottleWait, _time, stopping);
            }
        }
    }

    /// <summary>
    /// The agent tells how many it has dropped since it started. A number below the last is another agent's, which began anew. Of one step at most
    /// 2^32 - 1 are counted: what a guest claims must not run over the counter of all cells.
    /// </summary>
    void CountDropped(ulong said)
    {
        var more = said >= _saidDropped ? said - _saidDropped : said;
        _saidDropped = said;
        if (more == 0) return;
        var counted = (long)Math.Min(more, uint.MaxValue);
        _metrics.AgentDropped(counted);
        Interlocked.Add(ref _agentDropped, counted);
    }

    /// <summary>Holds a batch until it is on disk.</summary>
    async ValueTask StoreAsync(ReadOnlyMemory<byte> batch, int declarations, CancellationToken stopping)
    {
        _watch.Storing();
        var retry = RetryMin;
        while (true)
        {
            var outcome = await _stamper.StampAsync(Identity, EventTypes.GuestDeclaration, BatchType, batch.Span);
            if (outcome == StampOutcome.Stored) break;
            if (MayLog()) LogNotStored(Identity.Subject, declarations, outcome);
            ReturnTurn();
            try
            {
                await Task.Delay(retry, _time, stopping);
            }
            catch (OperationCanceledException)
            {
                _metrics.Frames(FrameOutcome.Lost, declarations);
                throw;
            }

            retry = retry * 2 < RetryMax ? retry * 2 : RetryMax;
            await TakeTurnAsync();
        }

        _metrics.Frames(FrameOutcome.Stored, declarations);
    }

    async ValueTask TakeTurnAsync()
    {
        if (_order is null || _share is null) return;
        if (!_order.TryTake(_share.Flow, DeclarationReader.BatchBytesMax))
        {
            // The host keeps the guest waiting.
            _watch.Storing();
            await _order.TakeAsync(_share.Flow, DeclarationReader.BatchBytesMax);
        }

        _hasTurn = true;
    }

    void ReturnTurn()
    {
        if (!_hasTurn) return;
        _hasTurn = false;
        _order!.Return(DeclarationReader.BatchBytesMax);
    }

    async Task<bool> StoreAsync(GuestSilenced silenced)
    {
        try
        {
            return await _stamper.StampAsync(Identity, EventTypes.GuestSilenced, "guestmark.v1.GuestSilenced", silenced.ToByteArray()) == StampOutcome.Stored;
        }
        catch (ObjectDisposedException)
        {
            // The node is stopping and its spool is closed.
            return false;
        }
    }

    /// <summary>One line an interval, whatever it is about. All is counted.</summary>
    bool MayLog() => _throttle.MayLog(_time, out _);

    [LoggerMessage(4301, LogLevel.Warning, "Cell {Cell} fell silent: {Reason}", EventName = "CellSilenced")]
    partial void LogSilenced(string cell, string reason);

    [LoggerMessage(4302, LogLevel.Information, "Cell {Cell} speaks again", EventName = "CellRevived")]
    partial void LogRevived(string cell);

    [LoggerMessage(4303, LogLevel.Warning, "Refused a frame of cell {Cell}: {Fault}", EventName = "DeclarationRefused")]
    partial void LogRefused(string cell, DeclarationFault fault);

    [LoggerMessage(4304, LogLevel.Warning, "Refused a second connection of cell {Cell}", EventName = "SecondConnectionRefused")]
    partial void LogSecondConnection(string cell);

    [LoggerMessage(4306, LogLevel.Warning, "No memory is left for what cell {Cell} sends; its connection is closed", EventName = "CellOutOfMemory")]
    partial void LogNoMemory(string cell);

    [LoggerMessage(4305, LogLevel.Warning, "{Declarations} declarations of cell {Cell} wait for the spool: {Outcome}", EventName = "DeclarationsNotStored")]
    partial void LogNotStored(string cell, int declarations, StampOutcome outcome);
}
