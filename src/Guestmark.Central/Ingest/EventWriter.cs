using Dapper;
using Guestmark.Central.Storage;
using Guestmark.Events;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Ingest;

/// <summary>Puts the events of one batch into the database, within a transaction that the caller commits.</summary>
sealed class EventWriter(SqliteConnection connection, CentralOptions options, DateTimeOffset now)
{
    readonly Dictionary<string, Stream> _streams = [];

    public int Stored { get; private set; }

    public int Repeated { get; private set; }

    /// <summary>Stored events that are refused, by reason: they move their stream on, but leave nothing else.</summary>
    public Dictionary<RefusalReason, int> Refused { get; } = [];

    public long Missing { get; private set; }

    /// <summary>Stored events of <see cref="StoredEvents.Types"/>, which matching has nothing to do with.</summary>
    public int KeptAsTheyAre { get; private set; }

    /// <summary>Older events that went for those of this batch, by what there were too many of.</summary>
    public (int Rows, int Bytes) Pruned { get; private set; }

    /// <summary>Gaps of this batch: the stream, the first and the last number that is missing.</summary>
    public List<(string Stream, long First, long Last)> Gaps { get; } = [];

    public void Write(DecodedEvent decoded)
    {
        var (name, number) = decoded.Event.Position;
        if (decoded.Refusal is { Code: RefusalReason.BadPosition })
        {
            // No stream to move on.
            Count(decoded.Refusal.Value.Code);
            return;
        }

        var stream = StreamOf(name);
        var sequence = checked((long)number);
        if (sequence <= stream.Sequence)
        {
            Repeated++;
            return;
        }

        if (sequence > stream.Sequence + 1)
        {
            Gaps.Add((name, stream.Sequence + 1, sequence - 1));
            Missing += sequence - 1 - stream.Sequence;
            stream.Missing += sequence - 1 - stream.Sequence;
        }

        stream.Sequence = sequence;
        stream.Moved = true;
        if (decoded.Refusal is { } refusal)
        {
            Count(refusal.Code);
            return;
        }

        if (decoded.Lifecycle is { } lifecycle) WriteLifecycle(decoded, lifecycle);
        else if (decoded.Packages is { } packages) WriteReport(decoded, packages, stream.Id);
        else
        {
            StoredEvents.Insert(connection, decoded.Event, stream.Id, now);
            KeptAsTheyAre++;
        }

        Stored++;
    }

    /// <summary>Moves the streams on, and makes room. After the last event of the batch.</summary>
    public void Complete()
    {
        if (KeptAsTheyAre > 0) Pruned = StoredEvents.Prune(connection, options);
        // A batch of repeats writes nothing, and so waits for no disk.
        foreach (var stream in _streams.Values.Where(stream => stream.Moved))
        {
            connection.Execute(
                "UPDATE streams SET sequence = @Sequence, missing = @Missing, moved_at = @now WHERE id = @Id",
                new { stream.Sequence, stream.Missing, now = now.ToUnixTimeMilliseconds(), stream.Id });
        }
    }

    void Count(RefusalReason reason) => Refused[reason] = Refused.GetValueOrDefault(reason) + 1;

    Stream StreamOf(string name)
    {
        if (_streams.TryGetValue(name, out var stream)) return stream;
        connection.Execute("INSERT INTO streams (name, sequence, missing) VALUES (@name, 0, 0) ON CONFLICT DO NOTHING", new { name });
        stream = connection.QuerySingle<Stream>(
            "SELECT id AS Id, sequence AS Sequence, missing AS Missing FROM streams WHERE name = @name", new { name });
        _streams.Add(name, stream);
        return stream;
    }

    void WriteLifecycle(DecodedEvent decoded, VmLifecycle lifecycle)
    {
        // Streams of two nodes are not ordered among each other: an older word about a machine that has moved does not win.
        connection.Execute(
            """
            INSERT INTO machines (uid, name, namespace, cluster, node, state, state_at, first_seen)
            VALUES (@uid, @name, @ns, @cluster, @node, @state, @time, @time)
            ON CONFLICT (uid) DO UPDATE SET name = excluded.name, namespace = excluded.namespace, cluster = excluded.cluster,
              node = excluded.node, state = excluded.state, state_at = excluded.state_at
            WHERE excluded.state_at >= machines.state_at
            """,
            new
            {
                uid = decoded.Event.Subject,
                name = lifecycle.Name.Length > 0 ? StoredText.Bound(lifecycle.Name) : decoded.Event.Subject,
                ns = StoredText.Bound(lifecycle.Namespace),
                cluster = decoded.Cluster,
                node = decoded.Node,
                state = (int)lifecycle.State,
                time = decoded.TimeMilliseconds,
            });
    }

    void WriteReport(DecodedEvent decoded, PackageSet packages, long streamId)
    {
        var uid = decoded.Event.Subject;
        var time = decoded.TimeMilliseconds;
        connection.Execute(
            """
            INSERT INTO machines (uid, name, namespace, cluster, node, state, state_at, first_seen)
            VALUES (@uid, @uid, '', @Cluster, @Node, 0, 0, @time) ON CONFLICT DO NOTHING
            """,
            new { uid, decoded.Cluster, decoded.Node, time });
        var machine = connection.QuerySingle<Machine>(
            "SELECT id AS Id, set_id AS SetId, last_report AS LastReport FROM machines WHERE uid = @uid", new { uid });
        var setId = PackageSetId(packages);
        var reportId = connection.ExecuteScalar<long>(
            """
            INSERT INTO reports (event_id, stream_id, sequence, machine_id, received, set_id)
            VALUES (@id, @streamId, @sequence, @machine, @time, @setId) RETURNING id
            """,
            new
            {
                id = StoredText.Bound(decoded.Event.Id),
                streamId,
                sequence = checked((long)decoded.Event.Position.Sequence),
                machine = machine.Id,
                time,
                setId,
            });
        if (machine.LastReport is null || machine.LastReport <= time)
        {
            connection.Execute(
                """
                UPDATE machines SET set_id = @setId, last_report = @time, os_pretty_name = @OsPrettyName, cluster = @Cluster, node = @Node,
                  problems = @Problems, running_kernel = @RunningKernel
                WHERE id = @Id
                """,
                new { setId, time, packages.OsPrettyName, packages.RunningKernel, decoded.Cluster, decoded.Node, decoded.Problems, machine.Id });
        }

        var released = connection.Query<long>(
            "DELETE FROM reports WHERE machine_id = @machine AND id <= @last RETURNING set_id",
            new { machine = machine.Id, last = LastToPrune(machine, setId, reportId) }).ToHashSet();
        if (machine.SetId is { } previous && previous != setId) released.Add(previous);
        PackageSets.DeleteUnused(connection, released);
    }

    /// <summary>The newest of the machine's reports that are too many or cost too much; 0 when all can stay.</summary>
    long LastToPrune(Machine machine, long setId, long reportId)
    {
        var tooMany = connection.ExecuteScalar<long?>(
            "SELECT id FROM reports WHERE machine_id = @Id ORDER BY id DESC LIMIT 1 OFFSET @keep",
            new { machine.Id, keep = options.ReportsPerMachineMax }) ?? 0;
        // A report of the same packages as before adds no bytes, which is nearly every report.
        if (machine.SetId == setId) return tooMany;

        // From the newest report back, each set is counted where it is met first. The report that just came stays whatever it costs.
        var tooLarge = connection.ExecuteScalar<long?>(
            """
            SELECT max(report) FROM (
              SELECT report, sum(s.bytes) OVER (ORDER BY report DESC) AS total
              FROM (SELECT set_id, max(id) AS report FROM reports WHERE machine_id = @Id GROUP BY set_id) JOIN package_sets s ON s.id = set_id)
            WHERE total > @budget AND report < @reportId
            """,
            new { machine.Id, budget = options.PackageBytesPerMachineMax, reportId }) ?? 0;
        return Math.Max(tooMany, tooLarge);
    }

    long PackageSetId(PackageSet set)
    {
        var known = connection.QuerySingleOrDefault<long?>("SELECT id FROM package_sets WHERE digest = @Digest", new { set.Digest });
        return known ?? PackageSets.Insert(connection, set);
    }

    sealed class Stream
    {
        public long Id { get; init; }

        public long Sequence { get; set; }

        public long Missing { get; set; }

        public bool Moved { get; set; }
    }

    sealed class Machine
    {
        public long Id { get; init; }

        public long? SetId { get; init; }

        public long? LastReport { get; init; }
    }
}
