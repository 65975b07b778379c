using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Events.CloudEvents;
using Guestmark.Events.Format;
using AttributeValue = Guestmark.Events.CloudEvents.CloudEvent.Types.CloudEventAttributeValue;

namespace Guestmark.Events;

/// <summary>Events in the CloudEvents JSON format (cloudevents/formats/json-format.md), for people, archives and other programs.</summary>
/// <remarks>
/// The data is protobuf and goes as <c>data_base64</c>; <c>datacontenttype</c> and <c>dataschema</c> say what the protobuf event implies. What
/// is read back has the same digest, so a signature holds across the formats. <c>time</c> may have come through a program that wrote it with
/// another offset or other zeros: what is signed is the moment (<see cref="EventTime"/>).
/// </remarks>
public static class CloudEventJson
{
    /// <summary>Bytes of one event in JSON that are read: 16 MiB of data in base64, and room for attributes.</summary>
    public const int BytesMax = 24 << 20;

    /// <summary>Writes one event as an object.</summary>
    public static void Write(Utf8JsonWriter json, StampedEvent stamped)
    {
        json.WriteStartObject();
        json.WriteString("specversion"u8, StampTemplate.SpecVersion);
        json.WriteString("id"u8, stamped.Id);
        json.WriteString("source"u8, stamped.Source);
        json.WriteString("type"u8, stamped.Type);
        foreach (var attribute in new EventAttributes(stamped.Encoded.Span))
        {
            if (attribute.Name.SequenceEqual("datacontenttype"u8) || attribute.Name.SequenceEqual("dataschema"u8)) continue;
            switch (attribute.Kind)
            {
                case AttributeKind.Boolean: json.WriteBoolean(attribute.Name, attribute.Number != 0); break;
                case AttributeKind.Integer: json.WriteNumber(attribute.Name, attribute.Number); break;
                case AttributeKind.Bytes: json.WriteBase64String(attribute.Name, attribute.Value); break;
                case AttributeKind.Timestamp: json.WriteString(attribute.Name, attribute.Time.ToString()); break;
                default: json.WriteString(attribute.Name, attribute.Value); break;
            }
        }

        json.WriteString("datacontenttype"u8, Signing.EventDigest.ProtobufContentType);
        json.WriteString("dataschema"u8, stamped.DataSchema);
        json.WriteBase64String("data_base64"u8, stamped.Data.Span);
        json.WriteEndObject();
    }

    /// <summary>Reads one event.</summary>
    /// <param name="json">One object, and nothing behind it.</param>
    /// <returns>Null on success; otherwise what is wrong with it.</returns>
    public static string? TryRead(ReadOnlySpan<byte> json, out StampedEvent? stamped)
    {
        stamped = null;
        if (json.Length > BytesMax) return $"the event has {json.Length} bytes, the limit is {BytesMax}";
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 8 });
            var cloudEvent = new CloudEvent();
            if (ReadObject(ref reader, cloudEvent) is { } problem) return problem;
            // Trailing bytes end in a JsonException.
            reader.Read();
            return StampedEvent.TryRead(cloudEvent.ToByteArray(), out stamped);
        }
        catch (JsonException e)
        {
            return $"not JSON at byte {e.BytePositionInLine}";
        }
        catch (InvalidOperationException)
        {
            // GetString of half a surrogate pair.
            return "a text is not Unicode";
        }
    }

    static string? ReadObject(ref Utf8JsonReader reader, CloudEvent cloudEvent)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return "not a JSON object";
        var seen = new HashSet<string>(StringComparer.Ordinal);
        string? schema = null;
        ByteString? data = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!seen.Add(name)) return $"attribute {Excerpt(name)} is there twice";
            if (seen.Count > StampedEvent.AttributesMax) return $"there are more than {StampedEvent.AttributesMax} attributes";
            reader.Read();
            // The JSON format: null is how an attribute that is not set may be written.
            if (reader.TokenType == JsonTokenType.Null) continue;
            if (name is "data") return "data is JSON; what is signed is protobuf, which must be in data_base64";
            if (reader.TokenType == JsonTokenType.String)
            {
                if (name is "data_base64" or "signature")
                {
                    if (!TryDecode(ref reader, out var bytes)) return $"{name} is not base64";
                    if (name is "data_base64") data = bytes;
                    else cloudEvent.Attributes[name] = new AttributeValue { CeBytes = bytes };
                    continue;
                }

                var text = reader.GetString()!;
                switch (name)
                {
                    case "id": cloudEvent.Id = text; break;
                    case "source": cloudEvent.Source = text; break;
                    case "specversion": cloudEvent.SpecVersion = text; break;
                    case "type": cloudEvent.Type = text; break;
                    case "time":
                        if (!EventTime.TryParse(text, out var time)) return $"time '{Excerpt(text)}' is not an RFC 3339 time";
                        cloudEvent.Attributes[name] = new AttributeValue { CeTimestamp = new Timestamp { Seconds = time.Seconds, Nanos = time.Nanos } };
                        break;
                    case "dataschema": schema = text; break;
                    default:
                        if (!EventAttribute.IsName(Encoding.UTF8.GetBytes(name))) return $"'{Excerpt(name)}' is no name of an attribute";
                        cloudEvent.Attributes[name] = new AttributeValue { CeString = text };
                        break;
                }
            }
            else if (!EventAttribute.IsName(Encoding.UTF8.GetBytes(name)))
            {
                return $"'{Excerpt(name)}' is no name of an attribute";
            }
            else if (reader.TokenType is JsonTokenType.True or JsonTokenType.False)
            {
                cloudEvent.Attributes[name] = new AttributeValue { CeBoolean = reader.TokenType == JsonTokenType.True };
            }
            else if (reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var number))
            {
                cloudEvent.Attributes[name] = new AttributeValue { CeInteger = number };
            }
            else
            {
                return $"attribute {name} is not a text, a boolean or a 32-bit integer";
            }
        }

        if (reader.TokenType != JsonTokenType.EndObject) return "not a JSON object";
        if (data is null) return "data_base64 is missing";
        if (schema is null) return "attribute dataschema is missing";
        cloudEvent.ProtoData = new Any { TypeUrl = schema, Value = data };
        return null;
    }

    static bool TryDecode(ref Utf8JsonReader reader, out ByteString bytes)
    {
        bytes = ByteString.Empty;
        if (!reader.TryGetBytesFromBase64(out var decoded)) return false;
        bytes = UnsafeByteOperations.UnsafeWrap(decoded);
        return true;
    }

    static string Excerpt(string text) => text.Length <= 32 ? text : text[..32] + "…";
}
