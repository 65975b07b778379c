using System.Text.Json;
using System.Text.Json.Serialization;
using Guestmark.Spool;

namespace Guestmark.Node.Cells;

/// <summary>The cells of a node on disk: <c>cells.json</c> in its data folder, replaced as a whole.</summary>
sealed class CellStateFile(string directory)
{
    const int VersionToday = 1;

    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    internal static JsonSerializerOptions Json { get; } = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        WriteIndented = true,
        Converters = { new SilenceWord.Converter(), new JsonStringEnumConverter(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };

    public string Path { get; } = System.IO.Path.Combine(directory, "cells.json");

    /// <summary>The cells as they were written last.</summary>
    /// <exception cref="IOException">The file is there and is not one of these. A node that forgot its cells would leave them unheard.</exception>
    public IReadOnlyList<CellDefinition> Read()
    {
        byte[] text;
        try
        {
            text = File.ReadAllBytes(Path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return [];
        }

        try
        {
            var content = JsonSerializer.Deserialize<Content>(text, Json)
                ?? throw new IOException($"{Path} holds null. Move it away and add the cells again.");
            if (content.Version != VersionToday) throw new IOException($"{Path} is of version {content.Version}, this program knows {VersionToday}; use the program that wrote it");
            for (var i = 0; i < content.Cells.Count; i++)
            {
                if (content.Cells[i] is null) throw new IOException($"{Path}: entry {i + 1} of cells is null. Remove it, or move the file away and add the cells again.");
            }

            return content.Cells!;
        }
        catch (JsonException e)
        {
            throw new IOException($"{Path} cannot be read: {e.Message} Mend it, or move it away and add the cells again.", e);
        }
    }

    /// <summary>Replaces the file: after a crash it has what it had before or this.</summary>
    public void Write(IReadOnlyList<CellDefinition> cells)
    {
        Directory.CreateDirectory(directory);
        var next = Path + ".new";
        using (var file = new FileStream(next, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = OwnerOnly }))
        {
            JsonSerializer.Serialize(file, new Content(VersionToday, cells), Json);
            file.Flush(flushToDisk: true);
        }

        File.Move(next, Path, overwrite: true);
        LibC.FlushDirectory(directory);
    }

    sealed record Content(int Version, IReadOnlyList<CellDefinition?> Cells);
}
