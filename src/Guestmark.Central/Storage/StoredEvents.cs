using Dapper;
using Guestmark.Events;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Storage;

/// <summary>
/// The events about channels: they are kept as they are and make no machine, package or finding. Bounded by
/// <see cref="CentralOptions.EventRetention"/>, <see cref="CentralOptions.EventsMax"/> and <see cref="CentralOptions.EventBytesMax"/>;
/// the oldest go first.
/// </summary>
sealed class StoredEvents(CentralStore store)
{
    /// <summary>Bytes of events of one page: 17 of the largest batches of declarations.</summary>
    public const int PageBytesMax = 1 << 20;

    /// <summary>Bytes of the data of one event: four times what a node puts into one.</summary>
    public const int DataBytesMax = 256 << 10;

    /// <summary>Types whose events are kept so.</summary>
    public static readonly IReadOnlyList<string> Types =
    [
        EventTypes.GuestDeclaration, EventTypes.GuestSilenced, EventTypes.GuestRefused, EventTypes.Loss, EventTypes.FileActivity, EventTypes.SocketCalls,
    ];

    /// <summary>Adds an event whose stream has just been moved to it.</summary>
    public static void Insert(SqliteConnection connection, StampedEvent stamped, long streamId, DateTimeOffset now) => connection.Execute(
        """
        INSERT INTO events (stream_id, sequence, type, subject, source, time, stored, total, encoded)
        VALUES (@streamId, @sequence, @Type, @Subject, @source, @time, @stored,
          coalesce((SELECT total FROM events ORDER BY id DESC LIMIT 1), 0) + length(@encoded), @encoded)
        """,
        new
        {
            streamId,
            sequence = checked((long)stamped.Position.Sequence),
            stamped.Type,
            stamped.Subject,
            source = StoredText.Bound(stamped.Source),
            time = stamped.Time.ToUnixTimeMilliseconds(),
            stored = now.ToUnixTimeMilliseconds(),
            encoded = stamped.Encoded.ToArray(),
        });

    /// <summary>Deletes the oldest events that are too many, or too many bytes. The newest stays whatever it costs.</summary>
    /// <remarks>Ids follow one another and totals rise with them, so that this reads no more rows than it deletes, and two.</remarks>
    /// <returns>How many were deleted for each of the two.</returns>
    public static (int Rows, int Bytes) Prune(SqliteConnection connection, CentralOptions options)
    {
        var rows = connection.Execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - @EventsMax", new { options.EventsMax });
        var bytes = connection.Execute(
            """
            DELETE FROM events WHERE id < coalesce(
              (SELECT id FROM events WHERE total - length(encoded) >= (SELECT total FROM events ORDER BY id DESC LIMIT 1) - @EventBytesMax ORDER BY id LIMIT 1),
              (SELECT max(id) FROM events))
            """,
            new { options.EventBytesMax });
        return (rows, bytes);
    }

    /// <summary>Events in the order in which they arrived, after the row <paramref name="after"/>.</summary>
    /// <param name="subject">Only of this machine or cell, when it is not null.</param>
    /// <param name="type">Only of this type, when it is not null.</param>
    /// <returns>Up to <paramref name="limit"/> events and <see cref="PageBytesMax"/> bytes, but at least one if there is one; and whether more follow.</returns>
    public async Task<(List<StoredEventRow> Rows, bool IsMore)> ListAsync(
        string? subject, string? type, long after, int limit, CancellationToken cancellationToken)
    {
        // Only as many events are read as the page shows: 501 batches of declarations can have 30 MB.
        var rows = await store.QueryAsync<StoredEventRow>(
            $"""
            WITH candidates AS (
              SELECT id, length(encoded) AS bytes FROM events
              WHERE id > @after {(subject is null ? "" : "AND subject = @subject")} {(type is null ? "" : "AND type = @type")} ORDER BY id LIMIT @limit + 1),
            page AS (SELECT id, bytes, sum(bytes) OVER (ORDER BY id) AS running, count(*) OVER () AS candidates FROM candidates)
            SELECT e.id AS Id, e.stored AS Stored, e.encoded AS Encoded, p.candidates AS Candidates
            FROM page p JOIN events e ON e.id = p.id WHERE p.running - p.bytes = 0 OR p.running <= @bytes ORDER BY e.id LIMIT @limit
            """,
            new { subject, type, after, limit, bytes = PageBytesMax },
            cancellationToken);
        return (rows, rows.Count > 0 && rows.Count < rows[0].Candidates);
    }
}

/// <summary>An event as it was stored.</summary>
sealed class StoredEventRow
{
    public long Id { get; init; }

    public long Stored { get; init; }

    public byte[] Encoded { get; init; } = [];

    /// <summary>How many rows the page could have, and one more when there is one.</summary>
    public long Candidates { get; init; }

    public DateTimeOffset StoredAt => DateTimeOffset.FromUnixTimeMilliseconds(Stored);
}
