using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Central.Storage;
using Guestmark.Events;
using Microsoft.AspNetCore.Http;

namespace Guestmark.Central.Api;

/// <summary>
/// Writes a page of events: of each its number here, its data for people to read, and the event itself in the CloudEvents JSON format, which
/// <c>guestmark verify</c> reads. Written by hand because the second is the format of another document.
/// </summary>
static class EventJson
{
    public static IResult Page(List<StoredEventRow> rows, bool isMore)
    {
        var written = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(written))
        {
            json.WriteStartObject();
            json.WriteStartArray("items"u8);
            foreach (var row in rows) Write(json, row);
            json.WriteEndArray();
            if (isMore) json.WriteString("next"u8, Id(rows[^1]));
            else json.WriteNull("next"u8);
            json.WriteEndObject();
        }

        return TypedResults.Bytes(written.WrittenMemory, "application/json");
    }

    static string Id(StoredEventRow row) => row.Id.ToString(CultureInfo.InvariantCulture);

    static void Write(Utf8JsonWriter json, StoredEventRow row)
    {
        if (StampedEvent.TryRead(row.Encoded, out var stamped) is { } problem) throw new InvalidDataException($"the event {row.Id} in the database is damaged: {problem}");
        json.WriteStartObject();
        json.WriteString("id"u8, Id(row));
        json.WriteString("storedAt"u8, row.StoredAt);
        json.WritePropertyName("data"u8);
        WriteData(json, stamped!);
        json.WritePropertyName("event"u8);
        CloudEventJson.Write(json, stamped!);
        json.WriteEndObject();
    }

    /// <summary>What the data says; null for types of which no message is fixed.</summary>
    static void WriteData(Utf8JsonWriter json, StampedEvent stamped)
    {
        if (stamped.Type is not (EventTypes.GuestDeclaration or EventTypes.GuestSilenced or EventTypes.GuestRefused or EventTypes.Loss))
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartObject();
        switch (stamped.Type)
        {
            case EventTypes.GuestDeclaration:
                json.WriteStartArray("declarations"u8);
                foreach (var declaration in DeclarationBatch.Parser.ParseFrom(stamped.Data.Span).Declarations) Write(json, declaration);
                json.WriteEndArray();
                break;
            case EventTypes.GuestSilenced:
                var silenced = GuestSilenced.Parser.ParseFrom(stamped.Data.Span);
                json.WriteString("reason"u8, Word(silenced.Reason));
                WriteTime(json, "lastFrameAt", silenced.LastFrameAt);
                json.WriteNumber("frames"u8, silenced.Frames);
                break;
            case EventTypes.GuestRefused:
                var refused = GuestRefused.Parser.ParseFrom(stamped.Data.Span);
                json.WriteString("reason"u8, Word(refused.Reason));
                json.WriteString("claimed"u8, refused.Claimed);
                json.WriteNumber("count"u8, refused.Count);
                break;
            case EventTypes.Loss:
                var loss = EventLoss.Parser.ParseFrom(stamped.Data.Span);
                json.WriteString("reason"u8, Word(loss.Reason));
                json.WriteNumber("first"u8, loss.First);
                json.WriteNumber("last"u8, loss.Last);
                break;
        }

        json.WriteEndObject();
    }

    static void Write(Utf8JsonWriter json, Declaration declaration)
    {
        json.WriteStartObject();
        json.WriteNumber("contentVersion"u8, declaration.ContentVersion);
        json.WriteString("probeSource"u8, declaration.ProbeSource);
        json.WriteNumber("guestPid"u8, declaration.GuestPid);
        json.WriteString("guestComm"u8, declaration.GuestComm);
        json.WriteNumber("guestMonotonicNs"u8, declaration.GuestMonotonicNs);
        json.WriteNumber("guestSequence"u8, declaration.GuestSequence);
        json.WriteNumber("guestDropped"u8, declaration.GuestDropped);
        WriteTime(json, "receivedAt", declaration.ReceivedAt);
        json.WriteEndObject();
    }

    /// <summary>RFC 3339, to 100 ns. Null where it is absent or outside of the years 1 to 9999.</summary>
    static void WriteTime(Utf8JsonWriter json, string name, Timestamp? time)
    {
        if (time is { Seconds: >= -62135596800 and <= 253402300799, Nanos: >= 0 and < 1_000_000_000 }) json.WriteString(name, time.ToDateTimeOffset());
        else json.WriteNull(name);
    }

    /// <summary>A value of an enumeration in lower case with hyphens, or its number when a newer node has more values.</summary>
    static string Word<T>(T value)
        where T : struct, System.Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString());
}
