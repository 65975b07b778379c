using System.Text;
using System.Text.Unicode;
using Guestmark.Wire.Protobuf;

namespace Guestmark.Wire.Pull;

/// <summary>What a Sensor asks an agent to do, by the field numbers of <c>VMServiceRequest</c>'s oneof.</summary>
public enum VmServiceMethod
{
    /// <summary>None, or one that is newer than this agent: the answer is <see cref="VmServiceError.UnknownMethod"/>.</summary>
    Unknown = 0,
    GetReport = 2,
    SyncRepoCpeMapping = 3,
}

/// <summary>A <c>virtualmachine.v1.VMServiceRequest</c> (proto/stackrox).</summary>
public sealed record VmServiceRequest
{
    /// <summary>5 MiB. The whole mapping of 2025 has 2.9 MB.</summary>
    public const int MappingBytesMax = 5 * 1024 * 1024;

    /// <summary>Capabilities and facts that are taken at most, each.</summary>
    public const int EntriesMax = 64;

    /// <summary>Longer texts are refused. A request id is a UUID of 36 characters.</summary>
    public const int TextBytesMax = 1024;

    /// <summary>The caller's name for the request, for logs. Hostile text; empty when there is none.</summary>
    public string RequestId { get; init; } = "";

    /// <summary>What the Sensor understands: <c>report_v1</c>.</summary>
    public IReadOnlyList<string> Capabilities { get; init; } = [];

    public IReadOnlyDictionary<string, string> Facts { get; init; } = new Dictionary<string, string>();

    public VmServiceMethod Method { get; init; }

    /// <summary>Of <see cref="VmServiceMethod.GetReport"/>: the generation that the Sensor has. 0: none.</summary>
    public uint LastKnownGeneration { get; init; }

    /// <summary>Of <see cref="VmServiceMethod.GetReport"/>: the run of the agent that the generation is of. 0: any.</summary>
    public uint KnownEpoch { get; init; }

    /// <summary>Of <see cref="VmServiceMethod.SyncRepoCpeMapping"/>: repository-to-cpe.json, not looked at yet.</summary>
    public ReadOnlyMemory<byte> Mapping { get; init; }

    /// <summary>
    /// Whether a Sensor that asks for a report has it already: the same generation, of the same run where it says which.
    /// Equality and not order: the counter restarts with the agent.
    /// </summary>
    public bool Knows(uint generation, uint epoch) =>
        LastKnownGeneration != 0 && LastKnownGeneration == generation && (KnownEpoch == 0 || KnownEpoch == epoch);

    /// <summary>Reads a request. Unknown fields are skipped, as protobuf demands.</summary>
    /// <param name="message">The payload of a frame: its length is bounded by the frame's limit.</param>
    /// <param name="request">Null when there is an error.</param>
    /// <param name="error">What is wrong, in words that hold no text of the peer. Null on success.</param>
    public static bool TryParse(ReadOnlySpan<byte> message, out VmServiceRequest? request, out string? error)
    {
        var parsed = new Parts();
        error = parsed.ReadRequest(message);
        request = error is null
            ? new VmServiceRequest
            {
                RequestId = parsed.RequestId,
                Capabilities = parsed.Capabilities,
                Facts = parsed.Facts,
                Method = parsed.Method,
                LastKnownGeneration = parsed.LastKnownGeneration,
                KnownEpoch = parsed.KnownEpoch,
                // Copied once, here: a mapping that was only tried and refused has cost nothing.
                Mapping = message.Slice(parsed.MappingStart, parsed.MappingLength).ToArray(),
            }
            : null;
        return error is null;
    }

    /// <summary>What has been read so far. As protobuf demands, a field that comes again replaces a value and adds to a message.</summary>
    struct Parts()
    {
        public string RequestId { get; private set; } = "";

        public List<string> Capabilities { get; } = [];

        public Dictionary<string, string> Facts { get; } = [];

        public VmServiceMethod Method { get; private set; }

        public uint LastKnownGeneration { get; private set; }

        public uint KnownEpoch { get; private set; }

        public int MappingStart { get; private set; }

        public int MappingLength { get; private set; }

        public string? ReadRequest(ReadOnlySpan<byte> message)
        {
            var reader = new ProtoReader(message);
            while (reader.TryNext(out var field, out var type))
            {
                if (field > 3) continue;
                if (type != WireType.LengthDelimited) return $"field {field} of the request has wire type {(int)type}";
                var error = field switch
                {
                    1 => ReadMeta(reader.Bytes),
                    2 => ReadGetReport(reader.Bytes),
                    _ => ReadSync(reader.Bytes, reader.Position - reader.Bytes.Length),
                };
                if (error is not null) return error;
            }

            return reader.IsMalformed ? $"the request is malformed at byte {reader.Position}" : null;
        }

        string? ReadMeta(ReadOnlySpan<byte> message)
        {
            var reader = new ProtoReader(message);
            while (reader.TryNext(out var field, out var type))
            {
                if (field > 3) continue;
                if (type != WireType.LengthDelimited) return $"field {field} of meta has wire type {(int)type}";
                switch (field)
                {
                    case 1:
                        if (TextOf(reader.Bytes) is not { } id) return NotText("request_id");
                        RequestId = id;
                        break;
                    case 2:
                        if (Capabilities.Count == EntriesMax) return $"there are more than {EntriesMax} capabilities";
                        if (TextOf(reader.Bytes) is not { } capability) return NotText("a capability");
                        Capabilities.Add(capability);
                        break;
                    default:
                        if (Facts.Count == EntriesMax) return $"there are more than {EntriesMax} facts";
                        if (ReadFact(reader.Bytes) is { } error) return error;
                        break;
                }
            }

            return reader.IsMalformed ? "meta is malformed" : null;
        }

        readonly string? ReadFact(ReadOnlySpan<byte> message)
        {
            var (key, value) = ("", "");
            var reader = new ProtoReader(message);
            while (reader.TryNext(out var field, out var type))
            {
                if (field > 2) continue;
                if (type != WireType.LengthDelimited || TextOf(reader.Bytes) is not { } text) return NotText("a fact");
                if (field == 1) key = text;
                else value = text;
            }

            Facts[key] = value;
            return reader.IsMalformed ? "a fact is malformed" : null;
        }

        string? ReadGetReport(ReadOnlySpan<byte> message)
        {
            ChooseMethod(VmServiceMethod.GetReport);
            var reader = new ProtoReader(message);
            while (reader.TryNext(out var field, out var type))
            {
                if (field > 2) continue;
                if (type != WireType.Varint) return $"field {field} of get_report has wire type {(int)type}";
                // A uint32 keeps the low bits of a longer number.
                if (field == 1) LastKnownGeneration = (uint)reader.Varint;
                else KnownEpoch = (uint)reader.Varint;
            }

            return reader.IsMalformed ? "get_report is malformed" : null;
        }

        string? ReadSync(ReadOnlySpan<byte> message, int start)
        {
            ChooseMethod(VmServiceMethod.SyncRepoCpeMapping);
            var reader = new ProtoReader(message);
            while (reader.TryNext(out var field, out var type))
            {
                if (field > 1) continue;
                if (type != WireType.LengthDelimited) return $"the mapping has wire type {(int)type}";
                if (reader.Bytes.Length > MappingBytesMax) return $"the mapping has {reader.Bytes.Length} bytes, more than {MappingBytesMax}";
                MappingStart = start + reader.Position - reader.Bytes.Length;
                MappingLength = reader.Bytes.Length;
            }

            return reader.IsMalformed ? "sync_repo_cpe_mapping is malformed" : null;
        }

        // The last method of a oneof counts, and what an earlier one brought is forgotten.
        void ChooseMethod(VmServiceMethod method)
        {
            if (Method == method) return;
            Method = method;
            LastKnownGeneration = 0;
            KnownEpoch = 0;
            MappingStart = 0;
            MappingLength = 0;
        }

        static string? TextOf(ReadOnlySpan<byte> bytes) =>
            bytes.Length <= TextBytesMax && Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : null;

        static string NotText(string what) => $"{what} is not UTF-8 of at most {TextBytesMax} bytes";
    }
}
