using System.Text.Json;

namespace Guestmark.Inventory;

/// <summary>
/// Walks a document of others property by property. A value of another type than expected is passed over and counts as absent. Each method is
/// called at the name of a property and ends at the last token of its value.
/// </summary>
static class JsonWalk
{
    /// <summary>The text of the property; null when it is none.</summary>
    public static string? ReadText(this ref Utf8JsonReader json)
    {
        json.Read();
        if (json.TokenType == JsonTokenType.String) return json.GetString();
        json.Skip();
        return null;
    }

    /// <summary>The number of the property; null when it is none, or out of range.</summary>
    public static uint? ReadUInt32(this ref Utf8JsonReader json)
    {
        json.Read();
        if (json.TokenType == JsonTokenType.Number && json.TryGetUInt32(out var number)) return number;
        json.Skip();
        return null;
    }

    public static void SkipValue(this ref Utf8JsonReader json)
    {
        json.Read();
        json.Skip();
    }

    /// <summary>Enters the object that is the property's value. False when it is none: then it was passed over.</summary>
    public static bool EnterObject(this ref Utf8JsonReader json) => Enter(ref json, JsonTokenType.StartObject);

    /// <inheritdoc cref="EnterObject"/>
    public static bool EnterArray(this ref Utf8JsonReader json) => Enter(ref json, JsonTokenType.StartArray);

    /// <summary>Moves to the next property of the object; false at its end.</summary>
    public static bool NextProperty(this ref Utf8JsonReader json) => json.Read() && json.TokenType == JsonTokenType.PropertyName;

    /// <summary>Moves to the next object of the array, inside it; false at the array's end. What is no object is passed over.</summary>
    public static bool NextObject(this ref Utf8JsonReader json)
    {
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (json.TokenType == JsonTokenType.StartObject) return true;
            json.Skip();
        }

        return false;
    }

    /// <summary>The texts of the array that is the property's value. What is no text is passed over.</summary>
    public static List<string> ReadTexts(this ref Utf8JsonReader json)
    {
        var texts = new List<string>();
        if (!json.EnterArray()) return texts;
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (json.TokenType == JsonTokenType.String) texts.Add(json.GetString()!);
            else json.Skip();
        }

        return texts;
    }

    static bool Enter(ref Utf8JsonReader json, JsonTokenType start)
    {
        json.Read();
        if (json.TokenType == start) return true;
        json.Skip();
        return false;
    }
}
