using System.Text.Json;
using System.Text.Json.Serialization;
using Guestmark.Events;

namespace Guestmark.Node.Cells;

/// <summary>How a reason of a silence is written, wherever it is: <c>half-frame</c>. Central's API has the same.</summary>
static class SilenceWord
{
    public static string Word(this SilenceReason reason) => reason switch
    {
        SilenceReason.Idle => "idle",
        SilenceReason.Dead => "dead",
        SilenceReason.HalfFrame => "half-frame",
        SilenceReason.Stalled => "stalled",
        SilenceReason.Closed => "closed",
        SilenceReason.NeverConnected => "never-connected",
        SilenceReason.Malformed => "malformed",
        _ => "unspecified",
    };

    /// <summary>In the file of cells, where version 0.1 wrote <c>halfFrame</c>.</summary>
    internal sealed class Converter : JsonConverter<SilenceReason>
    {
        public override SilenceReason Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options)
        {
            var text = reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw new JsonException();
            foreach (var reason in Enum.GetValues<SilenceReason>())
            {
                if (text == reason.Word() || text == JsonNamingPolicy.CamelCase.ConvertName(reason.ToString())) return reason;
            }

            throw new JsonException();
        }

        public override void Write(Utf8JsonWriter writer, SilenceReason value, JsonSerializerOptions options) => writer.WriteStringValue(value.Word());
    }
}
