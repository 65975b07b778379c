using System.Text;

namespace Guestmark.Inventory.Os;

/// <summary>Decodes os-release: https://www.freedesktop.org/software/systemd/man/latest/os-release.html.</summary>
/// <remarks>
/// <code>
/// line = # comment | NAME=value
/// value = bare | 'literal' | "text with \" \$ \\ \` escaped"
/// </code>
/// Blanks before a name and a carriage return at the end are tolerated; both occur in the field. Of two lines with one name the
/// later counts, as in a shell.
/// </remarks>
static class OsReleaseFile
{
    public const int BytesMax = 64 * 1024;

    // One more than is kept, so that the cut falls between characters.
    const int ValueCharsMax = OsRelease.TextCharsMax + 1;

    /// <summary>Where the file is, the one that wins first. One may be a link to the other.</summary>
    public static readonly string[] Paths = ["etc/os-release", "usr/lib/os-release"];

    /// <summary>
    /// The operating system of a machine. Absent is no problem: every package is still known, and that nothing can be matched is said where
    /// it matters.
    /// </summary>
    public static OsRelease Read(InventoryScan scan)
    {
        foreach (var path in Paths)
        {
            if (scan.TryRead(path, BytesMax) is { } file) return Read(file);
        }

        return OsRelease.Unknown;
    }

    /// <summary>Decodes a file. Names that are absent become empty.</summary>
    public static OsRelease Read(ReadOnlySpan<byte> file)
    {
        var (id, versionId, prettyName) = ("", "", "");
        foreach (var line in Encoding.UTF8.GetString(file).AsSpan().EnumerateLines())
        {
            var text = line.Trim();
            var equals = text.IndexOf('=');
            if (equals <= 0 || text[0] == '#') continue;
            switch (text[..equals])
            {
                case "ID": id = Unquote(text[(equals + 1)..]).ToLowerInvariant(); break;
                case "VERSION_ID": versionId = Unquote(text[(equals + 1)..]); break;
                case "PRETTY_NAME": prettyName = Unquote(text[(equals + 1)..]); break;
            }
        }

        return new OsRelease(id, versionId, prettyName);
    }

    static string Unquote(ReadOnlySpan<char> value)
    {
        var text = new StringBuilder();
        var quote = '\0';
        for (var i = 0; i < value.Length && text.Length < ValueCharsMax; i++)
        {
            var next = value[i];
            if (next == quote && quote != '\0') quote = '\0';
            else if (quote == '\0' && next is '"' or '\'') quote = next;
            else if (next == '\\' && i + 1 < value.Length && IsEscape(quote, value[i + 1])) text.Append(value[++i]);
            // A bare value ends at a blank, as in a shell.
            else if (quote == '\0' && char.IsWhiteSpace(next)) break;
            else text.Append(next);
        }

        return text.ToString();

        // Between double quotes any other backslash is itself.
        static bool IsEscape(char quote, char next) => quote == '\0' || (quote == '"' && next is '"' or '$' or '\\' or '`');
    }
}
