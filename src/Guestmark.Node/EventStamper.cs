using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Events.Signing;
using Guestmark.Node.Relay;
using Guestmark.Spool;

namespace Guestmark.Node;

/// <summary>What became of data that was to be stamped.</summary>
public enum StampOutcome
{
    /// <summary>The event is on disk.</summary>
    Stored,

    /// <summary>The spool is full, or more waits for the disk than may be in memory. Nothing was taken.</summary>
    Full,

    /// <summary>The disk refused the event.</summary>
    Failed,

    /// <summary>The guest holds its share of the spool. Nothing was taken; the others' events are.</summary>
    OverShare,
}

/// <summary>
/// The only place where events come into being: gives what arrived on a channel its attribution and its number, and puts it
/// into the spool of its class.
/// </summary>
/// <remarks>
/// Each class has a stream of its own. Numbers are given and records are queued under one lock, so the spool's order is the stream's order and a
/// refused record uses up no number. When the disk refuses records that have numbers, a new stream begins, because a gap must mean a loss.
/// </remarks>
public sealed class EventStamper
{
    readonly StampStream _keep;
    readonly StampStream _shed;

    // What the node says of itself. The name of a guest cannot have a colon.
    readonly ChannelIdentity _self;

    public EventStamper(NodeSpools spools, NodeOptions options, EventSigner? signer, TimeProvider time)
        : this(
            new StampStream(spools.Keep, spools.KeepLedger, "keep", signer, time, spools.KeepShares),
            new StampStream(spools.Shed, spools.ShedLedger, "shed", signer, time),
            options)
    {
    }

    EventStamper(StampStream keep, StampStream shed, NodeOptions options)
    {
        _keep = keep;
        _shed = shed;
        _self = new ChannelIdentity($"//{options.Cluster}/{options.Node}/spool", $"node:{options.Node}");
    }

    /// <summary>A stamper whose events go to <paramref name="sink"/> in the order of their numbers and into no spool: what is before the spool can be measured alone.</summary>
    /// <param name="sink">Its task ends when the event is where it shall be.</param>
    internal static EventStamper WithoutSpool(Func<byte[], Task> sink, NodeOptions options, EventSigner? signer, TimeProvider time) =>
        new(new StampStream(sink, "keep", signer, time), new StampStream(sink, "shed", signer, time), options);

    /// <summary>Stamps data and waits until the event is on disk.</summary>
    /// <param name="type">One of <see cref="EventTypes"/>. It decides the class.</param>
    /// <param name="dataType">Full name of the protobuf message in <paramref name="data"/>.</param>
    /// <param name="data">Copied before this returns.</param>
    public Task<StampOutcome> StampAsync(ChannelIdentity channel, string type, string dataType, ReadOnlySpan<byte> data) =>
        Of(EventTypes.ClassOf(type)).StampAsync(channel, type, dataType, data);

    /// <summary>Says, in the stream itself, which of its events were lost.</summary>
    internal Task<StampOutcome> StampLossAsync(EventClass eventClass, StreamLoss loss) => Of(eventClass).StampLossAsync(_self, loss);

    StampStream Of(EventClass eventClass) => eventClass == EventClass.Shed ? _shed : _keep;

    /// <summary>A guest decides how many of these there are. What the host says of a guest is always worth its place.</summary>
    static bool IsOfGuest(string type) => type is EventTypes.InventoryReport or EventTypes.GuestDeclaration;

    sealed class StampStream(EventSpool spool, StreamLedger ledger, string name, EventSigner? signer, TimeProvider time, SpoolShares? shares = null)
    {
        /// <summary>What the receiver has is taken out of the guests' accounts once in so many events.</summary>
        const ulong ReleaseInterval = 256;

        static readonly Task<StampOutcome> OverShare = Task.FromResult(StampOutcome.OverShare);

        readonly Lock _lock = new();
        readonly Func<byte[], Task>? _sink;
        string _stream = NewStream(name, time);
        ulong _sequence;
        long _breaks = spool?.Breaks ?? 0;

        public StampStream(Func<byte[], Task> sink, string name, EventSigner? signer, TimeProvider time)
            : this(null!, null!, name, signer, time) => _sink = sink;

        public Task<StampOutcome> StampAsync(ChannelIdentity channel, string type, string dataType, ReadOnlySpan<byte> data)
        {
            Task durable;
            try
            {
                lock (_lock)
                {
                    if (_sink is not null)
                    {
                        durable = _sink(StampedEvent.Encode(channel, type, dataType, data, new EventPosition(_stream, ++_sequence), time.GetUtcNow(), signer));
                        return AwaitAsync(durable);
                    }

                    if (shares is not null && IsOfGuest(type) && !IsWithinShare(channel.Subject, data.Length))
                    {
                        shares.CountRefused();
                        return OverShare;
                    }

                    var outcome = Append(channel, type, dataType, data, out durable, out var index, out var bytes);
                    if (outcome == AppendOutcome.Full) return Task.FromResult(StampOutcome.Full);
                    _sequence++;
                    ledger.Add(index, new EventPosition(_stream, _sequence));
                    shares?.Add(index, channel.Subject, bytes);
                    if (_sequence % ReleaseInterval == 0) shares?.Release(spool.AcknowledgedIndex);
                }
            }
            catch (IOException)
            {
                // The spool has logged why it failed.
                return Task.FromResult(StampOutcome.Failed);
            }

            return AwaitAsync(durable);
        }

        /// <remarks>The streams of earlier starts go on with such events alone.</remarks>
        public async Task<StampOutcome> StampLossAsync(ChannelIdentity self, StreamLoss loss)
        {
            var data = new EventLoss
            {
                First = loss.First,
                Last = loss.Last,
                Reason = loss.Reason,
                FirstRecord = loss.Records.First,
                LastRecord = loss.Records.Last,
            };
            var stream = loss.Stream ?? NewStream(name, time);
            Task durable;
            ulong index;
            try
            {
                lock (_lock)
                {
                    AppendOutcome outcome;
                    do
                    {
                        if (spool.Breaks != _breaks) BeginStream();
                        var position = stream == _stream
                            ? new EventPosition(_stream, _sequence + 1)
                            : new EventPosition(stream, ledger.Next(stream, loss.Next));
                        var encoded = StampedEvent.Encode(self, EventTypes.Loss, "guestmark.v1.EventLoss", data.ToByteArray(), position, time.GetUtcNow(), signer);
                        outcome = spool.Append(encoded, _breaks, out durable, out index);
                        if (outcome != AppendOutcome.Queued) continue;
                        if (stream == _stream) _sequence++;
                        ledger.Add(index, position);
                        shares?.Add(index, self.Subject, encoded.Length);
                    }
                    while (outcome == AppendOutcome.Broken);

                    if (outcome == AppendOutcome.Full) return StampOutcome.Full;
                }
            }
            catch (IOException)
            {
                return StampOutcome.Failed;
            }

            var stored = await AwaitAsync(durable);
            if (stored == StampOutcome.Stored) ledger.Tell(index, stream, data);
            return stored;
        }

        bool IsWithinShare(string subject, int bytes)
        {
            if (shares!.MayStore(spool, subject, bytes)) return true;
            if (spool.Breaks == _breaks) return false;

            // What the disk refused since is still in the account.
            BeginStream();
            return shares.MayStore(spool, subject, bytes);
        }

        AppendOutcome Append(
            ChannelIdentity channel, string type, string dataType, ReadOnlySpan<byte> data, out Task durable, out ulong index, out int bytes)
        {
            while (true)
            {
                var encoded = StampedEvent.Encode(channel, type, dataType, data, new EventPosition(_stream, _sequence + 1), time.GetUtcNow(), signer);
                bytes = encoded.Length;
                var outcome = spool.Append(encoded, _breaks, out durable, out index);
                if (outcome != AppendOutcome.Broken) return outcome;
                BeginStream();
            }
        }

        /// <summary>The disk refused all that was queued: its numbers are nobody's, and a gap must mean a loss.</summary>
        void BeginStream()
        {
            _breaks = spool.Breaks;
            _stream = NewStream(name, time);
            _sequence = 0;
            ledger.CutAfter(spool.LastIndex);
            shares?.CutAfter(spool.LastIndex);
        }

        static async Task<StampOutcome> AwaitAsync(Task durable)
        {
            try
            {
                await durable;
                return StampOutcome.Stored;
            }
            catch (IOException)
            {
                return StampOutcome.Failed;
            }
        }

        /// <summary>A stream is one start of one node and one class of events, and begins anew where the disk refused some of it.</summary>
        static string NewStream(string name, TimeProvider time) => $"{Guid.CreateVersion7(time.GetUtcNow())}-{name}";
    }
}
