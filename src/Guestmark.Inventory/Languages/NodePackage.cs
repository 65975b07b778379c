using System.Text.Json;

namespace Guestmark.Inventory.Languages;

/// <summary>Decodes the package.json of an installed package: https://docs.npmjs.com/cli/configuring-npm/package-json.</summary>
/// <remarks>
/// <code>
/// { "name": "…", "version": "…", "license": "MIT" | { "type": "MIT" }, "licenses": [{ "type": "MIT" }],
///   "author": "A &lt;a@b&gt;" | { "name": "A" } }
/// </code>
/// </remarks>
static class NodePackage
{
    /// <param name="package">Null for a package.json without name and version, which is not one of a package.</param>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? Read(ReadOnlySpan<byte> json, TextPool pool, out Package? package)
    {
        package = null;
        string? name = null, version = null, license = null, author = null;
        try
        {
            var reader = new Utf8JsonReader(JsonText.WithoutByteOrderMark(json));
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return "is not a JSON object";
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("name"u8)) name = JsonText.Bounded(ref reader, pool);
                else if (reader.ValueTextEquals("version"u8)) version = JsonText.Bounded(ref reader, pool);
                else if (reader.ValueTextEquals("license"u8)) license = TextOr(ref reader, "type"u8, pool);
                else if (reader.ValueTextEquals("licenses"u8)) license ??= TextOr(ref reader, "type"u8, pool);
                else if (reader.ValueTextEquals("author"u8)) author = TextOr(ref reader, "name"u8, pool);
                else reader.Skip();
            }
        }
        catch (JsonException e)
        {
            return $"is not JSON: {e.Message}";
        }

        if (string.IsNullOrEmpty(name) || string.IsNullOrEmpty(version)) return null;
        package = new Package
        {
            Manager = PackageManager.Npm,
            Name = name,
            Version = version,
            Release = "",
            Architecture = "",
            License = license,
            Vendor = author,
        };
        return null;
    }

    /// <summary>A text, or that of a property of an object, or that of the first object of an array.</summary>
    static string? TextOr(ref Utf8JsonReader reader, ReadOnlySpan<byte> property, TextPool pool)
    {
        if (!reader.Read()) return null;
        if (reader.TokenType == JsonTokenType.String) return JsonText.Cut(ref reader, pool);
        if (reader.TokenType is not (JsonTokenType.StartObject or JsonTokenType.StartArray)) return null;
        string? found = null;
        var depth = reader.CurrentDepth;
        while (reader.Read() && reader.CurrentDepth > depth)
        {
            if (reader.TokenType != JsonTokenType.PropertyName || !reader.ValueTextEquals(property)) continue;
            reader.Read();
            if (reader.TokenType == JsonTokenType.String) found ??= JsonText.Cut(ref reader, pool);
            else reader.Skip();
        }

        return found;
    }
}

/// <summary>Takes bounded texts out of JSON.</summary>
static class JsonText
{
    /// <summary>How much longer escapes (<c>\u0041</c>) can make a text.</summary>
    const int EscapeFactor = 6;

    const int CutBytesMax = 4096;

    public static ReadOnlySpan<byte> WithoutByteOrderMark(ReadOnlySpan<byte> json) => json.StartsWith("\ufeff"u8) ? json[3..] : json;

    /// <summary>The text behind a property's name, when it is one of a usual length. Null for anything else, which is passed over.</summary>
    public static string? Bounded(ref Utf8JsonReader reader, TextPool pool)
    {
        if (!reader.Read()) return null;
        if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length <= LanguageText.NameBytesMax * EscapeFactor)
        {
            Span<byte> text = stackalloc byte[LanguageText.NameBytesMax * EscapeFactor];
            return TryCopy(ref reader, text, out var length) ? LanguageText.Bounded(text[..length], pool) : null;
        }

        reader.Skip();
        return null;
    }

    /// <summary>The text where the reader stands, cut. Null for one that is far too long, or that is no text.</summary>
    public static string? Cut(ref Utf8JsonReader reader, TextPool pool)
    {
        if (reader.ValueSpan.Length is 0 or > CutBytesMax) return null;
        Span<byte> text = stackalloc byte[CutBytesMax];
        return TryCopy(ref reader, text, out var length) ? LanguageText.Cut(text[..length], pool) : null;
    }

    static bool TryCopy(ref Utf8JsonReader reader, scoped Span<byte> text, out int length)
    {
        length = 0;
        try
        {
            length = reader.CopyString(text);
            return true;
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate, or bytes that are not UTF-8: not a name of anything.
            return false;
        }
    }
}
