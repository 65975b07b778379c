using Guestmark.Wire.Protobuf;

namespace Guestmark.Wire.Pull;

/// <summary>Why an agent does not do what a Sensor asks, by the numbers of StackRox's <c>ErrorCode</c>.</summary>
public enum VmServiceError
{
    Unspecified = 0,
    UnknownMethod = 1,

    /// <summary>There is no report yet.</summary>
    NotReady = 2,
    Internal = 3,
    MalformedRequest = 4,
    RequestTooLarge = 5,

    /// <summary>Another connection is being answered.</summary>
    Busy = 6,

    /// <summary>There is no mapping, and the agent fetches none itself.</summary>
    MappingRequired = 7,

    /// <summary>The agent fetches the mapping itself.</summary>
    MappingNotSensorManaged = 8,
}

/// <summary>Where an agent's repository-to-cpe mapping comes from, by the numbers of StackRox's <c>RepoCPEMappingUpdatePath</c>.</summary>
public enum MappingUpdatePath
{
    Unspecified = 0,
    Sensor = 1,
    Url = 2,
}

/// <summary>What an agent says of itself in every response.</summary>
public sealed record VmServiceMeta
{
    public required string AgentVersion { get; init; }

    /// <summary>Null before the first report.</summary>
    public DateTimeOffset? ReportGeneratedAt { get; init; }

    /// <summary>Counts the reports of this run, from 1. 0 before the first.</summary>
    public uint ReportGeneration { get; init; }

    /// <summary><c>get_report</c>, <c>sync_repo_cpe_mapping</c>.</summary>
    public IReadOnlyList<string> SupportedMethods { get; init; } = [];

    public IReadOnlyDictionary<string, string> Facts { get; init; } = new Dictionary<string, string>();

    /// <summary>Tells this run from others: the Unix time of its start. 0 is reserved.</summary>
    public uint Epoch { get; init; }

    /// <summary>XXH64 of the mapping in use, in hex. Null without a mapping.</summary>
    public string? RepoCpeMappingHash { get; init; }

    /// <summary>Null: not said.</summary>
    public MappingUpdatePath? RepoCpeMappingUpdatePath { get; init; }
}

/// <summary>Writes a <c>virtualmachine.v1.VMServiceResponse</c> (proto/stackrox): the payload of the answering frame.</summary>
public static class VmServiceResponse
{
    /// <summary>The names of the methods, for <see cref="VmServiceMeta.SupportedMethods"/>.</summary>
    public const string GetReportMethod = "get_report";

    /// <inheritdoc cref="GetReportMethod"/>
    public const string SyncRepoCpeMappingMethod = "sync_repo_cpe_mapping";

    /// <summary>The report.</summary>
    /// <param name="writer">Gets the message. Reset by the caller.</param>
    /// <param name="meta">About the agent.</param>
    /// <param name="indexReport">An encoded <c>scanner.v4.IndexReport</c>.</param>
    public static void WriteReport(ProtoWriter writer, VmServiceMeta meta, ReadOnlySpan<byte> indexReport)
    {
        WriteMeta(writer, meta);
        var result = writer.Begin(2);
        // Present even when empty: a Sensor asks for the presence of the report.
        writer.Bytes(1, indexReport, evenIfDefault: true);
        writer.End(result);
    }

    /// <summary>The Sensor has the report already.</summary>
    public static void WriteUnchanged(ProtoWriter writer, VmServiceMeta meta)
    {
        WriteMeta(writer, meta);
        var result = writer.Begin(2);
        writer.Varint(2, 1);
        writer.End(result);
    }

    /// <summary>The request is not done.</summary>
    /// <param name="writer">Gets the message. Reset by the caller.</param>
    /// <param name="meta">About the agent.</param>
    /// <param name="code">Why, for programs.</param>
    /// <param name="message">Why, for people.</param>
    /// <param name="details">More, by name. Null: nothing.</param>
    public static void WriteError(
        ProtoWriter writer, VmServiceMeta meta, VmServiceError code, string message, IReadOnlyDictionary<string, string>? details = null)
    {
        WriteMeta(writer, meta);
        var result = writer.Begin(3);
        writer.Varint(1, (ulong)code);
        writer.Text(2, message);
        if (details is not null) WriteMap(writer, 3, details);
        writer.End(result);
    }

    /// <summary>The mapping was taken.</summary>
    /// <param name="writer">Gets the message. Reset by the caller.</param>
    /// <param name="meta">About the agent.</param>
    /// <param name="updated">False when it was the one in use.</param>
    public static void WriteMappingSynced(ProtoWriter writer, VmServiceMeta meta, bool updated)
    {
        WriteMeta(writer, meta);
        var result = writer.Begin(4);
        writer.Varint(1, updated ? 1u : 0);
        writer.End(result);
    }

    static void WriteMeta(ProtoWriter writer, VmServiceMeta meta)
    {
        var message = writer.Begin(1);
        writer.Text(1, meta.AgentVersion);
        if (meta.ReportGeneratedAt is { } time)
        {
            // google.protobuf.Timestamp: seconds since 1970 and nanoseconds from 0 to 999,999,999, also before 1970.
            var ticks = time.UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks;
            var seconds = Math.DivRem(ticks, TimeSpan.TicksPerSecond, out var rest);
            if (rest < 0) (seconds, rest) = (seconds - 1, rest + TimeSpan.TicksPerSecond);
            var timestamp = writer.Begin(2);
            writer.Varint(1, (ulong)seconds);
            writer.Varint(2, (ulong)(rest * TimeSpan.NanosecondsPerTick));
            writer.End(timestamp);
        }

        writer.Varint(3, meta.ReportGeneration);
        foreach (var method in meta.SupportedMethods) writer.Text(4, method, evenIfDefault: true);
        WriteMap(writer, 5, meta.Facts);
        writer.Varint(6, meta.Epoch);
        if (meta.RepoCpeMappingHash is { } hash) writer.Text(7, hash, evenIfDefault: true);
        if (meta.RepoCpeMappingUpdatePath is { } path) writer.Varint(8, (ulong)path, evenIfDefault: true);
        writer.End(message);
    }

    static void WriteMap(ProtoWriter writer, int field, IReadOnlyDictionary<string, string> map)
    {
        foreach (var (key, value) in map) writer.Entry(field, key, value);
    }
}
