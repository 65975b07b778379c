using System.Text.Json;

namespace Guestmark.Inventory.Languages;

/// <summary>Decodes a deps.json of .NET: https://github.com/dotnet/sdk/blob/main/documentation/specs/runtime-configuration-file.md.</summary>
/// <remarks>
/// <code>
/// { "libraries": { "Newtonsoft.Json/13.0.3": { "type": "package", … }, "App/1.0.0": { "type": "project", … } }, … }
/// </code>
/// </remarks>
static class DotNetDependencies
{
    // The largest of the .NET SDK has some 300.
    const int LibrariesMax = 10_000;

    /// <summary>Adds the libraries of type "package". A file without libraries is another's.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? Read(ReadOnlySpan<byte> json, string database, TextPool pool, List<Package> packages)
    {
        var first = packages.Count;
        try
        {
            var reader = new Utf8JsonReader(JsonText.WithoutByteOrderMark(json));
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) return null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var isLibraries = reader.ValueTextEquals("libraries"u8);
                reader.Read();
                if (!isLibraries || reader.TokenType != JsonTokenType.StartObject)
                {
                    reader.Skip();
                    continue;
                }

                while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                {
                    var (name, version) = NameAndVersion(ref reader, pool);
                    reader.Read();
                    if (!IsPackage(ref reader) || name is null || version is null) continue;
                    if (packages.Count - first >= LibrariesMax) return $"has more than {LibrariesMax} libraries; the others are left out";
                    packages.Add(new Package
                    {
                        Manager = PackageManager.NuGet,
                        Name = name,
                        Version = version,
                        Release = "",
                        Architecture = "",
                        Database = database
                    });
                }
            }

            return null;
        }
        catch (JsonException e)
        {
            return $"is not JSON: {e.Message}";
        }
    }

    static (string? Name, string? Version) NameAndVersion(ref Utf8JsonReader reader, TextPool pool)
    {
        // Neither ids nor versions of NuGet have characters that JSON escapes.
        var text = reader.ValueSpan;
        var slash = text.LastIndexOf((byte)'/');
        return reader.ValueIsEscaped || slash <= 0
            ? default : (LanguageText.Bounded(text[..slash], pool), LanguageText.Bounded(text[(slash + 1)..], pool));
    }

    /// <summary>Passes over a library. True when its type is "package".</summary>
    static bool IsPackage(ref Utf8JsonReader reader)
    {
        var isPackage = false;
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            reader.Skip();
            return false;
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isType = reader.ValueTextEquals("type"u8);
            reader.Read();
            if (isType && reader.TokenType == JsonTokenType.String) isPackage = reader.ValueTextEquals("package"u8);
            else reader.Skip();
        }

        return isPackage;
    }
}
