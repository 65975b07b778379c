using System.Text.Json;
using System.Text.Json.Serialization;
using Guestmark.Node.Cells;

namespace Guestmark.Node;

/// <summary>JSON as the control socket speaks it, and as cells are kept.</summary>
static class ControlJson
{
    public static JsonSerializerOptions Options { get; } = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        WriteIndented = true,
        Converters = { new SilenceWord.Converter(), new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };
}
