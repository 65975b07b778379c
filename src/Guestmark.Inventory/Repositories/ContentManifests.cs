using System.Text.Json;

namespace Guestmark.Inventory.Repositories;

/// <summary>Reads the content manifests that Red Hat's builders leave in images, RHCOS among them.</summary>
/// <remarks>
/// <code>{"metadata":{"icm_version":1,"image_layer_index":0},"content_sets":["rhel-9-for-x86_64-baseos-rpms",…],"from_dnf_hint":true}</code>
/// The content sets are the repositories that were enabled when the image was built: any package may have come from any of them. With
/// <c>from_dnf_hint</c> the builder took them from the history of dnf, which then says more itself.
/// </remarks>
static class ContentManifests
{
    public static readonly string[] Folders = ["root/buildinfo/content_manifests", "usr/share/buildinfo/content_manifests", "usr/share/buildinfo"];

    const int BytesMax = 1 << 20;
    // An image has one for each of its layers.
    const int FilesMax = 200;
    const int IdsMax = 1000;
    const int IdBytesMax = 512;
    const string Suffix = ".json";

    /// <summary>All content sets, sorted. Empty when there is no manifest, or only such that point to dnf.</summary>
    public static IReadOnlyList<string> Read(InventoryScan scan)
    {
        var ids = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var folder in Folders)
        {
            var files = 0;
            foreach (var name in scan.List(folder))
            {
                if (!name.EndsWith(Suffix, StringComparison.Ordinal)) continue;
                if (++files > FilesMax)
                {
                    scan.AddProblem(folder, $"has more than {FilesMax} content manifests; the others are not read");
                    break;
                }

                var path = $"{folder}/{name}";
                if (scan.TryRead(path, BytesMax) is { } file && Read(file, ids) is { } error)
                    scan.AddProblem(path, $"is not a content manifest: {error}. Its content sets are missing");
            }
        }

        return [.. ids];
    }

    /// <summary>Adds the content sets of a manifest. A document without any is none.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? Read(ReadOnlySpan<byte> file, SortedSet<string> ids)
    {
        var found = new List<string>();
        try
        {
            var json = new Utf8JsonReader(file);
            var isHint = false;
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var isSets = json.ValueTextEquals("content_sets"u8);
                var isDnfHint = json.ValueTextEquals("from_dnf_hint"u8);
                json.Read();
                if (isDnfHint) isHint = json.TokenType == JsonTokenType.True;
                if (!isSets || json.TokenType != JsonTokenType.StartArray)
                {
                    json.Skip();
                    continue;
                }

                while (json.Read() && json.TokenType != JsonTokenType.EndArray)
                {
                    var isId = json.TokenType == JsonTokenType.String && json.ValueSpan.Length is > 0 and <= IdBytesMax;
                    if (isId && found.Count < IdsMax) found.Add(json.GetString()!);
                    else json.Skip();
                }
            }

            if (isHint) return null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return e.Message;
        }

        foreach (var id in found)
        {
            if (ids.Count < IdsMax) ids.Add(id);
        }

        return null;
    }
}
