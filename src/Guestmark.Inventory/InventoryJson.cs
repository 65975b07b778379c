using System.Text.Json;

namespace Guestmark.Inventory;

/// <summary>An inventory as one JSON document. Its schema is docs/reference/inventory.schema.json: keep the two in step.</summary>
public static class InventoryJson
{
    const int FlushBytes = 64 * 1024;

    /// <summary>Writes the document. The stream stays open.</summary>
    public static void Write(GuestInventory inventory, Stream output)
    {
        using var json = new Utf8JsonWriter(output);
        json.WriteStartObject();
        json.WriteStartObject("os");
        json.WriteString("id", inventory.Os.Id);
        json.WriteString("versionId", inventory.Os.VersionId);
        json.WriteString("prettyName", inventory.Os.PrettyName);
        json.WriteEndObject();

        json.WriteStartArray("packages");
        foreach (var package in inventory.Packages)
        {
            json.WriteStartObject();
            json.WriteString("name", package.Name);
            if (package.Epoch is { } epoch) json.WriteNumber("epoch", epoch);
            else json.WriteNull("epoch");
            json.WriteString("version", package.Version);
            json.WriteString("release", package.Release);
            json.WriteString("arch", package.Architecture);
            json.WriteString("sourceRpm", package.SourceRpm);
            json.WriteString("modularityLabel", package.ModularityLabel);
            json.WriteString("manager", package.Manager switch
            {
                PackageManager.Rpm => "rpm",
                PackageManager.Dpkg => "dpkg",
                _ => throw new ArgumentOutOfRangeException(nameof(inventory), package.Manager, "unknown package manager"),
            });
            json.WriteString("sourceName", package.SourceName);
            json.WriteString("sourceVersion", package.SourceVersion);
            json.WriteString("database", package.Database);
            json.WriteEndObject();
            if (json.BytesPending > FlushBytes) json.Flush();
        }

        json.WriteEndArray();
        json.WriteStartArray("problems");
        foreach (var problem in inventory.Problems)
        {
            json.WriteStartObject();
            json.WriteString("path", problem.Path);
            json.WriteString("message", problem.Message);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
