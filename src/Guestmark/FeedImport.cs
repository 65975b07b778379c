using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>--feed</c>: what <c>guestmark vulndb import</c> does, before Central starts.</summary>
static class FeedImport
{
    public static Option<string[]> Option() => new("--feed")
    {
        Description = "Advisories of a vendor: a folder, an archive or a file, as `guestmark vulndb import` takes them. Replaces what was imported of that feed before. Repeatable",
        HelpName = "PATH",
    };

    /// <returns>The database with these feeds, or without any the one imported last, or an empty one.</returns>
    public static async Task<AdvisoryDatabase> RunAsync(string centralData, string[] feeds, Progress progress, CancellationToken cancellationToken)
    {
        var file = AdvisoryFile.In(centralData);
        if (feeds.Length == 0) return AdvisoryFile.Open(file);
        await AdvisoryFile.ChangeAsync(file, async builder =>
        {
            var batch = new FeedBatch(builder);
            foreach (var feed in feeds)
            {
                await progress.RunAsync($"Importing {feed}", tell => Task.Run(
                    () =>
                    {
                        var result = Vulnerabilities.FeedImport.Run(
                            new FeedImportOptions { Path = feed, Batch = batch }, builder, TimeProvider.System, new FeedTeller(tell), cancellationToken);
                        return (0, Outcome(result));
                    },
                    cancellationToken));
            }

            batch.Complete();
            return true;
        });
        return AdvisoryFile.Open(file);
    }

    /// <summary>What was imported, and the first of what was left out with its reason.</summary>
    static string Outcome(FeedImportResult result)
    {
        const int named = 8;
        var words = string.Join("; ", result.Sources.Take(named).Select(ImportText.Of));
        if (result.Sources.Count > named) words += $"; {Words.Count(result.Sources.Count - named, "source")} more";
        foreach (var (parts, where) in result.Sources.Select(source => (source.SkippedParts, source.Source.Name)).Append((result.SkippedParts, "no source")))
        {
            if (parts.Count > 0) words += $"; skipped of {where}, the first: {parts[0].Document}: {parts[0].Reason}";
        }

        return TerminalText.Printable(words);
    }
}
