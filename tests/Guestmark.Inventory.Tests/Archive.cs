namespace Guestmark.Inventory.Tests;

/// <summary>Reads txtar: files behind lines <c>-- name --</c>, after a comment.</summary>
static class Archive
{
    public static Dictionary<string, string> Read(string path)
    {
        var files = new Dictionary<string, string>();
        string? name = null;
        foreach (var line in File.ReadLines(path))
        {
            if (line.StartsWith("-- ", StringComparison.Ordinal) && line.EndsWith(" --", StringComparison.Ordinal))
            {
                name = line[3..^3];
                files[name] = "";
            }
            else if (name is not null)
            {
                files[name] += line + "\n";
            }
        }

        return files;
    }
}
