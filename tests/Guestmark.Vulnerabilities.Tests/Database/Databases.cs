using System.Globalization;
using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Databases of advisories that tests made.</summary>
static class Databases
{
    public static AdvisoryDatabase Of(params ReadOnlySpan<Advisory> advisories) => Of("test", advisories);

    public static AdvisoryDatabase Of(string source, params ReadOnlySpan<Advisory> advisories)
    {
        using var builder = BuilderOf(source, advisories);
        return builder.Build();
    }

    public static AdvisoryDatabaseBuilder BuilderOf(string source, params ReadOnlySpan<Advisory> advisories)
    {
        var builder = new AdvisoryDatabaseBuilder();
        Import(builder, source, advisories);
        return builder;
    }

    public static AdvisorySource Import(AdvisoryDatabaseBuilder builder, string source, params ReadOnlySpan<Advisory> advisories)
    {
        var import = builder.Import(source, FeedName.Osv, source, ImportMode.Replace);
        foreach (var advisory in advisories) import.Add(advisory);
        return import.Complete("", DateTimeOffset.UnixEpoch);
    }

    /// <summary>A document with one statement for each name.</summary>
    public static Advisory Document(string id, int? modified, params IEnumerable<string> names) => new()
    {
        Feed = FeedName.Osv,
        Id = id,
        Cves = ["CVE-2024-1"],
        Modified = modified is { } days ? DateTimeOffset.UnixEpoch.AddDays(days) : null,
        Statements = [.. names.Select(name => new PackageStatement { Product = "Debian:12", Name = name, Intervals = [VersionInterval.FixedIn($"{modified}-1")] })],
    };

    /// <summary>The documents that count, by key.</summary>
    public static List<Advisory> Live(AdvisoryDatabase database)
    {
        var live = new List<Advisory>();
        foreach (ref readonly var row in database.Documents)
        {
            if (row.State == DocumentState.Live) live.Add(database.ToAdvisory(row));
        }

        return live;
    }

    /// <summary>All that can be found for each name, as text: for comparing databases whose numbers differ.</summary>
    public static SortedDictionary<(string Product, string Name), string> Findable(AdvisoryDatabase database)
    {
        var findable = new SortedDictionary<(string, string), string>();
        for (var i = 0; i < database.Names.Length; i++)
        {
            var text = new StringBuilder();
            foreach (ref readonly var statement in database.StatementsOf(i)) text.Append(Text(database.ToAdvisory(database.Documents[statement.Document])));
            findable[(database.TextOf(database.Names[i].Product), database.TextOf(database.Names[i].Name))] = text.ToString();
        }

        return findable;
    }

    /// <summary>A document with everything in it, lists in the order of their texts.</summary>
    public static string Text(Advisory advisory)
    {
        var statements = advisory.Statements.Select(statement => string.Join(
            '|', statement.Product, statement.Name, statement.Naming, statement.Status,
            string.Join(',', statement.Intervals.Select(interval => $"{interval.Introduced}..{interval.End}{interval.Kind}").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)),
            statement.Cpe, Sorted(statement.Architectures), Sorted(statement.Modules), statement.Cve, statement.Severity, Score(statement.CvssScore),
            statement.CvssVector, statement.Erratum, statement.ErratumUrl, statement.Remark, statement.Justification));
        return string.Join(
            '|', advisory.Feed, advisory.Id, advisory.Part, Sorted(advisory.Cves), advisory.Summary, advisory.Severity, Score(advisory.CvssScore),
            advisory.CvssVector, advisory.Published?.UtcTicks, advisory.Modified?.UtcTicks, advisory.Url,
            string.Join('\n', statements.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)));

        static string Sorted(IEnumerable<string> texts) => string.Join(',', texts.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));
        static string? Score(double? score) => score?.ToString("F1", CultureInfo.InvariantCulture);
    }
}
