namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Keeps what an importer gives.</summary>
sealed class FeedRecord : IFeedSink
{
    public List<Advisory> Advisories { get; } = [];

    public List<(string Id, DateTimeOffset? Modified)> Withdrawn { get; } = [];

    public List<ExploitPrediction> Predictions { get; } = [];

    public List<KnownExploited> KnownExploited { get; } = [];

    public List<DateTimeOffset> Made { get; } = [];

    /// <summary>Path and reason.</summary>
    public List<string> Skipped { get; } = [];

    public SortedDictionary<string, int> LeftOut { get; } = new(StringComparer.Ordinal);

    public void Add(Advisory advisory) => Advisories.Add(advisory);

    public void Withdraw(string feed, string id, DateTimeOffset? modified) => Withdrawn.Add((id, modified));

    public void Add(ExploitPrediction prediction) => Predictions.Add(prediction);

    public void Add(KnownExploited entry) => KnownExploited.Add(entry);

    public void Add(VexDecision decision) => throw new NotSupportedException("no feed has decisions");

    void IFeedSink.Made(DateTimeOffset time) => Made.Add(time);

    public void Skip(string document, string path, string reason) => Skipped.Add($"{path} {reason}");

    public void LeaveOut(string what) => LeftOut[what] = LeftOut.GetValueOrDefault(what) + 1;

    /// <summary>Everything that was given, in one text.</summary>
    public static string Text(Advisory advisory) => string.Join(
        '\n',
        [
            $"{advisory with { Cves = [], Statements = [] }} {string.Join(' ', advisory.Cves)}",
            .. advisory.Statements.Select(statement =>
                $"{statement with { Intervals = [], Modules = [], Architectures = [] }} {string.Join(' ', statement.Intervals)} "
                + $"{string.Join(' ', statement.Modules)} {string.Join(' ', statement.Architectures)}"),
        ]);
}
