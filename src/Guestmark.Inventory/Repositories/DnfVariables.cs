using System.Text;
using System.Text.Json;

namespace Guestmark.Inventory.Repositories;

/// <summary>The variables of dnf and yum: <c>$releasever</c>, <c>$basearch</c>, and what an administrator adds.</summary>
/// <remarks>
/// A file for each variable, its first line the value (dnf.conf(5), "Variables"). The release that <c>subscription-manager release --set</c>
/// pins is in a cache of its own: <c>{"releaseVer": "9.4"}</c>.
/// </remarks>
sealed class DnfVariables
{
    public const string PinnedReleasePath = "var/lib/rhsm/cache/releasever.json";

    // Later ones win, as for dnf.
    public static readonly string[] Folders = ["etc/yum/vars", "etc/dnf/vars"];

    const int FilesMax = 200;
    const int ValueBytesMax = 4096;
    const int ExpandedCharsMax = 2048;
    const int VariablesInTextMax = 32;

    readonly Dictionary<string, string> _values = [];
    readonly Dictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    public DnfVariables(string release, string architecture)
    {
        _lookup = _values.GetAlternateLookup<ReadOnlySpan<char>>();
        Set("arch", architecture);
        // dnf/rpm/__init__.py, _BASEARCH_MAP, for what Red Hat has content for.
        Set("basearch", architecture is "i386" or "i486" or "i586" or "i686" ? "i386" : architecture);
        Set("releasever", release);
    }

    /// <summary>Reads the variables of a machine.</summary>
    /// <param name="architecture">Of the machine, by rpm's name.</param>
    public static DnfVariables Read(InventoryScan scan, OsRelease os, string architecture)
    {
        var variables = new DnfVariables(DefaultRelease(os), architecture);
        if (ReadPinnedRelease(scan) is { } pinned) variables.Set("releasever", pinned);
        foreach (var folder in Folders)
        {
            var files = 0;
            foreach (var name in scan.List(folder))
            {
                if (++files > FilesMax) break;
                if (scan.TryRead($"{folder}/{name}", ValueBytesMax) is not { } file) continue;
                var value = Encoding.UTF8.GetString(file).AsSpan().Trim();
                var end = value.IndexOfAny('\r', '\n');
                variables.Set(name, (end < 0 ? value : value[..end]).Trim().ToString());
            }
        }

        return variables;
    }

    public void Set(string name, string value)
    {
        if (value.Length == 0) return;
        _values[name] = value;
        if (name != "releasever") return;
        var dot = value.IndexOf('.');
        _values["releasever_major"] = dot < 0 ? value : value[..dot];
        _values["releasever_minor"] = dot < 0 ? "" : value[(dot + 1)..];
    }

    /// <summary>Puts the values in the place of <c>$name</c> and <c>${name}</c>. Null when one is not known, or the text becomes too long.</summary>
    public string? Expand(ReadOnlySpan<char> text)
    {
        var expanded = new StringBuilder();
        for (var variables = 0; ; variables++)
        {
            var dollar = text.IndexOf('$');
            expanded.Append(dollar < 0 ? text : text[..dollar]);
            if (expanded.Length > ExpandedCharsMax || variables > VariablesInTextMax) return null;
            if (dollar < 0) return expanded.ToString();
            text = text[(dollar + 1)..];
            var isBraced = text.StartsWith("{");
            if (isBraced) text = text[1..];
            var length = 0;
            while (length < text.Length && (char.IsAsciiLetterOrDigit(text[length]) || text[length] == '_')) length++;
            if (!_lookup.TryGetValue(text[..length], out var value)) return null;
            expanded.Append(value);
            text = text[length..];
            if (!isBraced) continue;
            if (!text.StartsWith("}")) return null;
            text = text[1..];
        }
    }

    /// <summary>What <c>system-release</c> of Red Hat provides: the major version, and up to 7 the variant. A server is the most common.</summary>
    static string DefaultRelease(OsRelease os)
    {
        var dot = os.VersionId.IndexOf('.');
        var major = dot < 0 ? os.VersionId : os.VersionId[..dot];
        return major is "5" or "6" or "7" && os.IsRhel ? major + "Server" : major;
    }

    static string? ReadPinnedRelease(InventoryScan scan)
    {
        if (scan.TryRead(PinnedReleasePath, ValueBytesMax) is not { } file) return null;
        try
        {
            var json = new Utf8JsonReader(file);
            while (json.Read())
            {
                if (json.CurrentDepth != 1 || json.TokenType != JsonTokenType.PropertyName || !json.ValueTextEquals("releaseVer"u8)) continue;
                // Null, or empty, where no release is set.
                return json.Read() && json.TokenType == JsonTokenType.String && json.GetString() is { Length: > 0 } release ? release : null;
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            scan.AddProblem(PinnedReleasePath, $"is not JSON: {e.Message}. The release that subscription-manager set is not taken into account");
        }

        return null;
    }
}
