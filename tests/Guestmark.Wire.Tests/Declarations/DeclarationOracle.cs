using System.Formats.Cbor;
using Guestmark.Wire.Declarations;

namespace Guestmark.Wire.Tests.Declarations;

/// <summary>Frames by .NET's own CBOR reader: slow, and independent of what it judges.</summary>
static class DeclarationOracle
{
    /// <summary>Everything that a frame declares; null where it is refused.</summary>
    public static (ulong Version, string Source, ulong Pid, string Comm, ulong Ns, ulong Sequence, ulong Dropped, int UnknownKeys)? Decode(byte[] body)
    {
        try
        {
            // Lax, because Strict also looks for duplicate keys in maps that are skipped; the keys of the frame itself are compared below.
            var reader = new CborReader(body, CborConformanceMode.Lax);
            if (reader.PeekState() != CborReaderState.StartMap) return null;
            var entries = reader.ReadStartMap();
            if (entries is null or > DeclarationFrame.EntriesMax) return null;
            var texts = new Dictionary<string, string>();
            var numbers = new Dictionary<string, ulong>();
            var unknown = new HashSet<string>(StringComparer.Ordinal);
            var items = 0;
            for (var entry = 0; entry < entries; entry++)
            {
                if (reader.PeekState() != CborReaderState.TextString) return null;
                var key = reader.ReadTextString();
                switch (key)
                {
                    case "probe_source" or "guest_comm":
                        if (reader.PeekState() != CborReaderState.TextString) return null;
                        if (!texts.TryAdd(key, reader.ReadTextString())) return null;
                        if (System.Text.Encoding.UTF8.GetByteCount(texts[key]) > 64) return null;
                        break;
                    case "content_version" or "guest_pid" or "guest_monotonic_ns" or "sequence" or "dropped":
                        if (reader.PeekState() != CborReaderState.UnsignedInteger) return null;
                        if (!numbers.TryAdd(key, reader.ReadUInt64())) return null;
                        break;
                    default:
                        if (!unknown.Add(key) || !TryCopy(reader, new CborWriter(CborConformanceMode.Lax), 0, ref items)) return null;
                        break;
                }
            }

            reader.ReadEndMap();
            if (reader.BytesRemaining > 0 || !IsDeterministic(body)) return null;
            if (numbers["content_version"] > 0xff || numbers["guest_pid"] > uint.MaxValue) return null;
            return (
                numbers["content_version"], texts["probe_source"], numbers["guest_pid"], texts["guest_comm"], numbers["guest_monotonic_ns"],
                numbers.GetValueOrDefault("sequence"), numbers.GetValueOrDefault("dropped"), unknown.Count);
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException or OverflowException or KeyNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Written again, in the only way in which a writer of definite lengths does, it is the same: shortest numbers, and texts that are UTF-8.</summary>
    static bool IsDeterministic(byte[] body)
    {
        var writer = new CborWriter(CborConformanceMode.Lax, convertIndefiniteLengthEncodings: true);
        var items = int.MinValue;
        return TryCopy(new CborReader(body, CborConformanceMode.Lax), writer, -1, ref items) && writer.Encode().AsSpan().SequenceEqual(body);
    }

    /// <summary>False: an item that frames must not have, or beyond the documented limits of depth (8) and items (4096).</summary>
    static bool TryCopy(CborReader reader, CborWriter writer, int depth, ref int items)
    {
        if (++items > 4096) return false;
        if (depth == 8 && reader.PeekState() is CborReaderState.StartArray or CborReaderState.StartMap) return false;
        switch (reader.PeekState())
        {
            case CborReaderState.UnsignedInteger:
                writer.WriteUInt64(reader.ReadUInt64());
                return true;
            case CborReaderState.NegativeInteger:
                writer.WriteCborNegativeIntegerRepresentation(reader.ReadCborNegativeIntegerRepresentation());
                return true;
            case CborReaderState.ByteString:
                writer.WriteByteString(reader.ReadByteString());
                return true;
            case CborReaderState.TextString:
                writer.WriteTextString(reader.ReadTextString());
                return true;
            case CborReaderState.Boolean or CborReaderState.Null or CborReaderState.SimpleValue:
                var simple = reader.ReadSimpleValue();
                if ((int)simple is < 20 or > 23) return false;
                writer.WriteSimpleValue(simple);
                return true;
            case CborReaderState.StartArray:
                var length = reader.ReadStartArray();
                writer.WriteStartArray(length);
                while (reader.PeekState() != CborReaderState.EndArray)
                {
                    if (!TryCopy(reader, writer, depth + 1, ref items)) return false;
                }

                reader.ReadEndArray();
                writer.WriteEndArray();
                return true;
            case CborReaderState.StartMap:
                writer.WriteStartMap(reader.ReadStartMap());
                while (reader.PeekState() != CborReaderState.EndMap)
                {
                    if (!TryCopy(reader, writer, depth + 1, ref items)) return false;
                }

                reader.ReadEndMap();
                writer.WriteEndMap();
                return true;
            default:
                return false;
        }
    }
}
