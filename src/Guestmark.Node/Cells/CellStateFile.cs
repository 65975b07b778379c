using System.Text.Json;

namespace Guestmark.Node.Cells;

/// <summary>The cells of a node on disk: <c>cells.json</c> in its data folder, replaced as a whole.</summary>
sealed class CellStateFile(string directory)
{
    const int VersionToday = 1;

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
            var content = JsonSerializer.Deserialize<Content>(text, ControlJson.Options)
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
        StateFile.Replace(Path, file => JsonSerializer.Serialize(file, new Content(VersionToday, cells), ControlJson.Options));
    }

    sealed record Content(int Version, IReadOnlyList<CellDefinition?> Cells);
}
