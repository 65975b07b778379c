using System.Globalization;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>What imports did and how far they are, for people and for programs.</summary>
static class ImportText
{
    /// <summary>Kinds of what was left out, and what was skipped, of each source when nobody asks for all.</summary>
    const int NamedMax = 5;

    /// <summary><c>12,000 documents, 45 MB of 300 MB, 30 MB/s, 8 s left</c>.</summary>
    public static string Of(FeedProgress progress)
    {
        var text = Words.Count(progress.Documents, "document");
        if (progress.Bytes > 0) text += $", {Words.Size(progress.Bytes)}{(progress.TotalBytes is { } total ? $" of {Words.Size(total)}" : "")}";
        if (progress.BytesPerSecond > 0) text += $", {Words.Size((long)progress.BytesPerSecond)}/s";
        if (progress.Remaining is { } remaining) text += $", {Words.Span(remaining)} left";
        return text;
    }

    /// <summary>One line: <c>osv/almalinux: 5,680 documents (5,680 read, 3 withdrawn, 12 left out, 1 skipped)</c>.</summary>
    public static string Of(FeedSourceResult result)
    {
        var parts = new List<string> { $"{Words.Number(result.Added)} read" };
        var withdrawn = WithdrawnOf(result);
        // In these formats each document that is withdrawn is also counted with what was left out, by its reason.
        var leftOut = result.LeftOut.Values.Sum() - (result.Source.Format is FeedName.Osv or FeedName.UpdateInfo ? withdrawn : 0);
        if (withdrawn > 0) parts.Add($"{Words.Number(withdrawn)} withdrawn");
        if (leftOut > 0) parts.Add($"{Words.Number(leftOut)} left out");
        if (result.Source.Skipped > 0) parts.Add($"{Words.Number(result.Source.Skipped)} skipped");
        if (result.DocumentsBefore > 0) parts.Add($"{Words.Number(result.DocumentsBefore)} before");
        return $"{result.Source.Name}: {Words.Count(result.Source.Documents, "document")} ({string.Join(", ", parts)})";
    }

    /// <summary>
    /// Documents that their publisher has taken back. Of OSV the importer also takes back former versions of a document that names no
    /// vulnerability or no package any more: that is counted with what is left out.
    /// </summary>
    static int WithdrawnOf(FeedSourceResult result) =>
        result.Source.Format == FeedName.Osv ? result.LeftOut.GetValueOrDefault("withdrawn") : result.Withdrawn;

    /// <summary>What came to each source, what was left out with counts, and the first of what was skipped.</summary>
    public static void Print(FeedImportResult result, bool all, TextWriter output)
    {
        foreach (var source in result.Sources)
        {
            output.WriteLine(TerminalText.Printable(Of(source)));
            PrintLeftOut(source.LeftOut, all, output);
            PrintSkipped(source.SkippedParts, source.Source.Skipped, all, output);
        }

        PrintLeftOut(result.LeftOut, all, output);
        if (result.Skipped > 0) output.WriteLine($"of no source: {Words.Number(result.Skipped)} skipped");
        PrintSkipped(result.SkippedParts, result.Skipped, all, output);
    }

    static void PrintLeftOut(IReadOnlyDictionary<string, int> leftOut, bool all, TextWriter output)
    {
        var rows = leftOut.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key, StringComparer.Ordinal).ToList();
        foreach (var (what, count) in rows.Take(all ? int.MaxValue : NamedMax)) output.WriteLine(TerminalText.Printable($"  left out: {what} ({Words.Number(count)})"));
        if (!all && rows.Count > NamedMax) output.WriteLine($"  left out: {Words.Count(rows.Count - NamedMax, "kind")} more; --verbose names them");
    }

    static void PrintSkipped(IReadOnlyList<SkippedPart> parts, int count, bool all, TextWriter output)
    {
        var shown = Math.Min(parts.Count, all ? int.MaxValue : NamedMax);
        foreach (var part in parts.Take(shown)) output.WriteLine(TerminalText.Printable($"  skipped: {part.Document}: {(part.Path.Length > 0 ? part.Path + ": " : "")}{part.Reason}"));
        if (count > shown) output.WriteLine($"  skipped: {Words.Number(count - shown)} more{(shown < parts.Count ? "; --verbose names them" : "")}");
    }

    public static void Write(Utf8JsonWriter json, FeedImportResult result)
    {
        json.WriteStartArray("sources");
        foreach (var source in result.Sources)
        {
            json.WriteStartObject();
            WriteSource(json, source.Source);
            json.WriteString("mode", source.Mode is ImportMode.Add ? "add" : "replace");
            json.WriteNumber("documentsBefore", source.DocumentsBefore);
            json.WriteNumber("read", source.Added);
            json.WriteNumber("withdrawn", WithdrawnOf(source));
            WriteRest(json, source.LeftOut, source.SkippedParts);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNumber("skipped", result.Skipped);
        WriteRest(json, result.LeftOut, result.SkippedParts);
    }

    /// <summary>The properties of a source, into an object that is open.</summary>
    public static void WriteSource(Utf8JsonWriter json, AdvisorySource source)
    {
        json.WriteString("name", source.Name);
        json.WriteString("format", source.Format);
        json.WriteString("uri", source.Uri);
        json.WriteNumber("documents", source.Documents);
        json.WriteNumber("skipped", source.Skipped);
        json.WriteString("imported", Time(source.Imported));
        json.WriteString("newest", source.Newest is { } newest ? Time(newest) : null);
    }

    public static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    static void WriteRest(Utf8JsonWriter json, IReadOnlyDictionary<string, int> leftOut, IReadOnlyList<SkippedPart> skipped)
    {
        json.WriteStartObject("leftOut");
        foreach (var (what, count) in leftOut) json.WriteNumber(what, count);
        json.WriteEndObject();
        json.WriteStartArray("skippedParts");
        foreach (var part in skipped)
        {
            json.WriteStartObject();
            json.WriteString("document", part.Document);
            json.WriteString("path", part.Path);
            json.WriteString("reason", part.Reason);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}

/// <summary>Tells the progress of an import in words.</summary>
sealed class FeedTeller(Action<string> tell) : IProgress<FeedProgress>
{
    public void Report(FeedProgress value) => tell(ImportText.Of(value));
}
