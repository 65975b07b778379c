using System.Globalization;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// changes.csv and deletions.csv of a CSAF provider (CSAF 2.0, 7.1.13; deletions are Red Hat's): lines
/// <c>"2024/cve-2024-1.json","2024-05-02T10:00:00+00:00"</c>.
/// </summary>
static class CsafListing
{
    public const string ChangesName = "changes.csv";
    public const string DeletionsName = "deletions.csv";
    const int PathLengthMax = 200;

    /// <summary>Reads the lines. What is no line of the format, or names something outside the provider's folder, is skipped by its number.</summary>
    public static Dictionary<string, DateTimeOffset> Read(Stream csv, int linesMax, Action<string, string> skip)
    {
        var listing = new Dictionary<string, DateTimeOffset>(StringComparer.Ordinal);
        using var reader = new StreamReader(csv, Encoding.UTF8);
        var number = 0;
        var line = new StringBuilder();
        while (ReadLine(reader, line))
        {
            number++;
            var text = line.ToString().AsSpan().Trim();
            if (text.IsEmpty) continue;
            if (listing.Count == linesMax)
            {
                skip($"line {number}", $"more than {linesMax} lines, the limit: the rest is not read");
                break;
            }

            var comma = text.IndexOf(',');
            if (comma < 0)
            {
                skip($"line {number}", $"'{Shown(text)}' is no path and time");
                continue;
            }

            var path = text[..comma].Trim().Trim('"').ToString();
            var time = text[(comma + 1)..].Trim().Trim('"');
            if (!IsSafe(path)) skip($"line {number}", $"the path '{Shown(path)}' is not one of a document in the provider's folder");
            else if (!DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at))
                skip($"line {number}", $"'{Shown(time)}' is no time");
            else if (!listing.TryGetValue(path, out var known) || at > known) listing[path] = at;
        }

        return listing;
    }

    /// <summary>Whether a path that came from outside names a JSON document below the folder that it is relative to, and nothing else.</summary>
    public static bool IsSafe(string path)
    {
        if (path.Length is 0 or > PathLengthMax || !path.EndsWith(".json", StringComparison.Ordinal)) return false;
        foreach (var letter in path)
        {
            if (!char.IsAsciiLetterOrDigit(letter) && letter is not ('/' or '.' or '-' or '_' or '+')) return false;
        }

        foreach (var segment in path.Split('/'))
        {
            if (segment.Length == 0 || segment[0] == '.') return false;
        }

        return true;
    }

    /// <summary>
    /// The id of the document at a path: its file name is the id in lower case with everything but letters, digits, + and - replaced by _
    /// (CSAF 2.0, 5.1). Red Hat's ids, the only ones that are deleted in this way, have a colon there.
    /// </summary>
    public static string IdOf(string path) => Path.GetFileNameWithoutExtension(path).ToUpperInvariant().Replace('_', ':');

    /// <summary>Those that were deleted and not published again since.</summary>
    public static Dictionary<string, DateTimeOffset> Deleted(
        IReadOnlyDictionary<string, DateTimeOffset> deletions, IReadOnlyDictionary<string, DateTimeOffset> changes)
    {
        var deleted = new Dictionary<string, DateTimeOffset>(StringComparer.Ordinal);
        foreach (var (path, time) in deletions)
        {
            if (!changes.TryGetValue(path, out var changed) || changed < time) deleted[path] = time;
        }

        return deleted;
    }

    static bool ReadLine(StreamReader reader, StringBuilder line)
    {
        const int lengthMax = 1000;
        line.Clear();
        var any = false;
        while (reader.Read() is >= 0 and var letter)
        {
            any = true;
            if (letter == '\n') return true;
            // The rest of a line that is too long is read and forgotten.
            if (line.Length < lengthMax) line.Append((char)letter);
        }

        return any;
    }

    static string Shown(ReadOnlySpan<char> text)
    {
        const int lengthMax = 80;
        var shown = new StringBuilder();
        foreach (var letter in text[..Math.Min(text.Length, lengthMax)]) shown.Append(letter is >= ' ' and <= '~' ? letter : '?');
        return text.Length > lengthMax ? $"{shown}…" : shown.ToString();
    }
}
