using System.Text;

namespace Guestmark.Inventory.Repositories;

/// <summary>Reads <c>nevras.toml</c>, in which dnf 5 keeps the repository of each installed package: what it shows as <c>from_repo</c>.</summary>
/// <remarks>
/// What libdnf5/system/state.cpp writes; its TOML library may put a table in place or spread it:
/// <code>
/// [nevras]
/// "acl-2.3.2-1.fc40.x86_64" = {from_repo = "fedora"}
///
/// [nevras."acl-2.3.2-1.fc40.x86_64"]
/// from_repo = "fedora"
/// </code>
/// An epoch is written when it is not 0.
/// </remarks>
static class DnfState
{
    public const string Path = "usr/lib/sysimage/libdnf5/nevras.toml";

    // 100 bytes a package: room for 160,000.
    const int BytesMax = 16 << 20;

    public static void Read(InventoryScan scan, InstalledPackages packages)
    {
        if (scan.TryRead(Path, BytesMax) is { } file) Read(file, packages);
    }

    public static void Read(ReadOnlySpan<byte> file, InstalledPackages packages)
    {
        var current = -1;
        var isInTable = false;
        foreach (var lineWithBlanks in Encoding.UTF8.GetString(file).AsSpan().EnumerateLines())
        {
            var line = lineWithBlanks.Trim();
            if (line.Length == 0 || line[0] == '#') continue;
            if (line[0] == '[')
            {
                var table = line.TrimStart('[').TrimStart();
                isInTable = table.StartsWith("nevras");
                table = isInTable ? table["nevras".Length..].TrimStart() : default;
                current = isInTable && table.StartsWith(".") && TryQuoted(table[1..].TrimStart(), out var name, out _) ? packages.Find(name) : -1;
                continue;
            }

            if (!isInTable) continue;
            var rest = line;
            if (line[0] is '"' or '\'')
            {
                current = TryQuoted(line, out var nevra, out rest) ? packages.Find(nevra) : -1;
            }

            // The key may stand behind the package, in its braces, after a dot, or on a line of its own.
            var key = rest.IndexOf("from_repo");
            if (key < 0 || current < 0) continue;
            var value = rest[(key + "from_repo".Length)..].TrimStart();
            if (value.StartsWith("=") && TryQuoted(value[1..].TrimStart(), out var id, out _) && id.Length is > 0 and <= DnfHistory.IdCharsMax)
                packages.Found(current, id.ToString(), RepositoryEvidence.DnfHistory);
        }
    }

    /// <summary>A text in quotes. Neither names nor ids have characters that TOML escapes: one with a backslash is left alone.</summary>
    static bool TryQuoted(ReadOnlySpan<char> text, out ReadOnlySpan<char> value, out ReadOnlySpan<char> rest)
    {
        value = rest = default;
        if (text.Length == 0 || text[0] is not ('"' or '\'')) return false;
        var length = text[1..].IndexOf(text[0]);
        if (length < 0) return false;
        value = text.Slice(1, length);
        rest = text[(length + 2)..];
        return !value.Contains('\\');
    }
}
