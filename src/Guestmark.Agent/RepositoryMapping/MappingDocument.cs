using System.Text.Json;

namespace Guestmark.Agent.RepositoryMapping;

/// <summary>Tells a mapping from other documents before it replaces a good one.</summary>
/// <remarks>
/// <code>
/// {"data": {"rhel-9-for-x86_64-baseos-rpms": {"cpes": ["cpe:/o:redhat:enterprise_linux:9::baseos"], "repo_relative_urls": [...]}}}
/// </code>
/// Other members may be there.
/// </remarks>
static class MappingDocument
{
    const int DepthMax = 16;

    /// <summary>The real mapping of 2025 has 10,590.</summary>
    const int RepositoriesMax = 200_000;

    /// <returns>Null when it is one; otherwise what is wrong, to follow "the mapping".</returns>
    public static string? Check(ReadOnlySpan<byte> document)
    {
        var json = new Utf8JsonReader(document, new JsonReaderOptions { MaxDepth = DepthMax });
        try
        {
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return "is no JSON object";
            var (repositories, cpes) = (0, 0);
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var isData = json.ValueTextEquals("data"u8);
                json.Read();
                if (!isData)
                {
                    json.Skip();
                    continue;
                }

                if (json.TokenType != JsonTokenType.StartObject) return "has a \"data\" that is no object";
                while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
                {
                    if (++repositories > RepositoriesMax) return $"has more than {RepositoriesMax} repositories";
                    json.Read();
                    if (json.TokenType != JsonTokenType.StartObject) return $"has something else than an object as repository {repositories}";
                    while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
                    {
                        var isCpes = json.ValueTextEquals("cpes"u8);
                        json.Read();
                        if (!isCpes)
                        {
                            json.Skip();
                            continue;
                        }

                        if (json.TokenType != JsonTokenType.StartArray) return $"has \"cpes\" that are no array in repository {repositories}";
                        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
                        {
                            if (json.TokenType != JsonTokenType.String) return $"has a CPE that is no text in repository {repositories}";
                            cpes++;
                        }
                    }
                }
            }

            // What follows the object, and an object that is cut off, are errors of the reader.
            if (json.Read()) return "is followed by something else";
            return (repositories, cpes) switch
            {
                (0, _) => "has no repositories in \"data\"",
                (_, 0) => "has no CPEs",
                _ => null,
            };
        }
        catch (JsonException e)
        {
            return $"is no JSON, from line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1} on";
        }
    }
}
