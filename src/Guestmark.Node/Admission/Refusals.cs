using System.Globalization;
using System.Text;
using Google.Protobuf;
using Guestmark.Events;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Admission;

/// <summary>
/// What the host says of attempts that it refused: a line in the log for each guest and interval, and for attempts on an identity an event, which stands
/// for all equal ones of an interval.
/// </summary>
/// <remarks>
/// The first attempt is an event at once. Those of the same kind on the same channel in the next <see cref="LogThrottle.Interval"/> are one
/// more, at its end, with their number. An event that the spool does not take is tried again with the next; attempts are counted as metrics whatever becomes of it.
/// </remarks>
public sealed partial class Refusals : IDisposable
{
    /// <summary>Text of a guest that is kept: a context id has at most 10 digits, a uid 36 characters.</summary>
    const int ClaimedBytesMax = 64;

    /// <summary>Channels and reasons at once; more are counted and logged, and are no events.</summary>
    const int EntriesMax = 16384;

    readonly EventStamper _stamper;
    readonly TimeProvider _time;
    readonly ILogger _logger;
    readonly ITimer _timer;
    readonly Lock _lock = new();
    readonly Dictionary<(ChannelIdentity, RefusalReason), Entry> _entries = [];

    public Refusals(EventStamper stamper, TimeProvider time, ILogger<Refusals> logger)
    {
        _stamper = stamper;
        _time = time;
        _logger = logger;
        _timer = time.CreateTimer(_ => _ = FlushAsync(), null, LogThrottle.Interval, LogThrottle.Interval);
    }

    public void Dispose() => _timer.Dispose();

    /// <summary>Logs a refusal, if the last of the same guest is long enough ago.</summary>
    /// <param name="what">The status that was answered, or how the connection ended.</param>
    /// <param name="reason">Words of the host. No text of a guest.</param>
    internal void Log(LogThrottle throttle, string guest, string what, string reason)
    {
        if (throttle.MayLog(_time, out var heldBack)) LogRefused(guest, what, reason, heldBack);
    }

    /// <summary>Makes an attempt an event.</summary>
    /// <param name="claimed">What the guest says to be, as it says it.</param>
    public void Report(ChannelIdentity channel, RefusalReason reason, string claimed = "")
    {
        lock (_lock)
        {
            if (_entries.TryGetValue((channel, reason), out var entry))
            {
                entry.Count++;
                entry.Claimed = claimed;
                return;
            }

            if (_entries.Count >= EntriesMax) return;
            _entries.Add((channel, reason), new Entry { Claimed = claimed });
        }

        _ = StampAsync(channel, reason, claimed, 1);
    }

    /// <summary>Printable ASCII as it is, everything else as <c>\u{…}</c>, at most <see cref="ClaimedBytesMax"/> characters in all.</summary>
    public static string Escape(string text)
    {
        var escaped = new StringBuilder(ClaimedBytesMax);
        foreach (var rune in text.EnumerateRunes())
        {
            var piece = rune.Value is >= ' ' and < 0x7f and not '\\'
                ? ((char)rune.Value).ToString()
                : string.Create(CultureInfo.InvariantCulture, $"\\u{{{rune.Value:x}}}");
            if (escaped.Length + piece.Length > ClaimedBytesMax) break;
            escaped.Append(piece);
        }

        return escaped.ToString();
    }

    /// <summary>Makes events of what has gathered, and forgets channels on which nothing more was attempted.</summary>
    async Task FlushAsync()
    {
        List<(ChannelIdentity Channel, RefusalReason Reason, string Claimed, ulong Count)> gathered = [];
        lock (_lock)
        {
            foreach (var ((channel, reason), entry) in _entries.ToList())
            {
                if (entry.Count == 0) _entries.Remove((channel, reason));
                else gathered.Add((channel, reason, entry.Claimed, entry.Count));
                entry.Count = 0;
            }
        }

        foreach (var (channel, reason, claimed, count) in gathered) await StampAsync(channel, reason, claimed, count);
    }

    async Task StampAsync(ChannelIdentity channel, RefusalReason reason, string claimed, ulong count)
    {
        var refused = new GuestRefused { Reason = reason, Claimed = Escape(claimed), Count = count };
        if (await _stamper.StampAsync(channel, EventTypes.GuestRefused, "guestmark.v1.GuestRefused", refused.ToByteArray()) == StampOutcome.Stored) return;
        lock (_lock)
        {
            if (!_entries.TryGetValue((channel, reason), out var entry)) _entries.Add((channel, reason), entry = new Entry { Claimed = claimed });
            entry.Count += count;
        }
    }

    [LoggerMessage(
        4101, LogLevel.Warning, "Refused what guest {Guest} sent, {What}: {Reason}; {HeldBack} refusals since the last line about it",
        EventName = "GuestRefused")]
    partial void LogRefused(string guest, string what, string reason, long heldBack);

    sealed class Entry
    {
        public required string Claimed { get; set; }

        public ulong Count { get; set; }
    }
}
