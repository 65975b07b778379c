using System.Text.Json;
using System.Text.Json.Serialization;
using Guestmark.Rpc.Guests;

namespace Guestmark.Node.Identity;

/// <summary>The last good list of the sensor on disk: <c>guests.json</c> in the data folder, replaced as a whole, for a start without the sensor.</summary>
sealed class KeptGuests(NodeOptions options)
{
    const int VersionToday = 1;

    public string Path { get; } = System.IO.Path.Combine(options.DataDirectory, "guests.json");

    /// <summary>The list as it was written last; null when none was, or it is of a node of another name.</summary>
    /// <exception cref="InvalidDataException">The file is not one of these.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public KeptList? Read()
    {
        byte[] text;
        try
        {
            text = File.ReadAllBytes(Path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }

        try
        {
            var kept = JsonSerializer.Deserialize(text, KeptGuestsJson.Default.KeptList);
            if (kept is null || kept.Guests.Any(guest => guest is null)) throw new InvalidDataException($"{Path} holds null");
            if (kept.Version != VersionToday) throw new InvalidDataException($"{Path} is of version {kept.Version}, this program knows {VersionToday}");
            return kept.Cluster == options.Cluster && kept.Node == options.Node ? kept : null;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{Path}: {e.Message}", e);
        }
    }

    /// <summary>Replaces the file: after a crash it has what it had before or this.</summary>
    /// <exception cref="IOException">The disk refused it; what was there is still there.</exception>
    public void Write(ulong generation, DateTimeOffset received, IReadOnlyList<GuestEntry> guests)
    {
        var list = new KeptList { Version = VersionToday, Cluster = options.Cluster, Node = options.Node, Generation = generation, Received = received, Guests = guests };
        StateFile.Replace(Path, file => JsonSerializer.Serialize(file, list, KeptGuestsJson.Default.KeptList));
    }
}

/// <summary>What is in it.</summary>
sealed record KeptList
{
    public required int Version { get; init; }

    public required string Cluster { get; init; }

    public required string Node { get; init; }

    public required ulong Generation { get; init; }

    /// <summary>When the sensor sent it, or said that it was still so.</summary>
    public required DateTimeOffset Received { get; init; }

    public required IReadOnlyList<GuestEntry> Guests { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, WriteIndented = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(KeptList))]
sealed partial class KeptGuestsJson : JsonSerializerContext;
