using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>--feed</c>: turns vendors' data into the advisory database of Central.</summary>
static class FeedImport
{
    public static Option<string[]> Option() => new("--feed")
    {
        Description = "Advisories in OSV format: a folder, a .zip or a .json file. Replaces what was imported before. Repeatable",
        HelpName = "PATH",
    };

    /// <returns>The database: of these feeds, or without any the one imported last, or an empty one.</returns>
    public static async Task<AdvisoryDatabase> RunAsync(string centralData, string[] feeds, Progress progress, CancellationToken cancellationToken)
    {
        var file = Path.Combine(centralData, "advisories.db");
        try
        {
            if (feeds.Length > 0)
            {
                var builder = new AdvisoryDatabaseBuilder();
                foreach (var feed in feeds)
                {
                    await progress.RunAsync($"Importing {feed}", tell => Task.Run(() =>
                    {
                        var result = OsvFeed.Import(feed, builder, new Teller(tell), cancellationToken);
                        // What was imported before stays: a feed without a single advisory would only wipe it.
                        if (result.WhyNoAdvisory is { } why) throw new CommandException($"--feed {feed}: no advisory in it: {why}");
                        return (0, Outcome(result));
                    }, cancellationToken));
                }

                DataFolder.MakePrivate(centralData);
                builder.Write(file);
            }

            return File.Exists(file) ? AdvisoryDatabase.Open(file) : AdvisoryDatabase.Empty;
        }
        catch (Exception e) when (e is AdvisoryDatabaseException or OsvFeedException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException(e.Message, e);
        }
    }

    /// <summary>What was imported, and the first of what was left out with its reason.</summary>
    static string Outcome(OsvImportResult result)
    {
        const int named = 8;
        var words = $"{result.Advisories} advisories";
        if (result.Ecosystems.Count > 0)
            words += $" for {string.Join(", ", result.Ecosystems.Take(named))}{(result.Ecosystems.Count > named ? $" and {result.Ecosystems.Count - named} more" : "")}";
        if (result.NotVulnerabilities > 0) words += $", {result.NotVulnerabilities} documents name no vulnerability";
        if (result.Withdrawn > 0) words += $", {result.Withdrawn} are withdrawn";
        if (result.SkippedEcosystems.Count > 0) words += $", left out {string.Join(", ", result.SkippedEcosystems.Keys.Take(5))}, whose versions cannot be compared";
        if (result.SkippedDocuments > 0) words += $", {result.SkippedDocuments} documents left out, the first {result.Skipped[0].Path}: {result.Skipped[0].Reason}";
        return words;
    }

    sealed class Teller(Action<string> tell) : IProgress<OsvImportProgress>
    {
        public void Report(OsvImportProgress value) => tell(value.Total is { } total ? $"{value.Documents} of {total} documents" : $"{value.Documents} documents");
    }
}
