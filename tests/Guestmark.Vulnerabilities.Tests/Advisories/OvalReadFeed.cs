using System.Text;
using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>What an importer gave: everything, in its order.</summary>
sealed class ReadFeed : IFeedSink
{
    public List<Advisory> Advisories { get; } = [];

    public List<VexDecision> Decisions { get; } = [];

    public List<(string Path, string Reason)> Skipped { get; } = [];

    public List<string> LeftOut { get; } = [];

    public List<string> Withdrawn { get; } = [];

    /// <summary>For what a test wants to measure when the first advisory comes.</summary>
    public Action? OnFirst { get; init; }

    public static ReadFeed Oval(string xml) => Xml(xml, (sink, stream) => OvalDefinitions.Read("feed.oval.xml", stream, sink, CancellationToken.None));

    public static ReadFeed UpdateInfo(string xml, string product = "AlmaLinux:8") =>
        Xml(xml, (sink, stream) => Vulnerabilities.UpdateInfo.Read("updateinfo.xml", stream, product, sink, CancellationToken.None));

    public static ReadFeed Of(Action<string, ReadOnlyMemory<byte>, IFeedSink> read, string json)
    {
        var sink = new ReadFeed();
        read("vex.json", Encoding.UTF8.GetBytes(json), sink);
        return sink;
    }

    static ReadFeed Xml(string xml, Action<ReadFeed, Stream> read)
    {
        var sink = new ReadFeed();
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(xml));
        read(sink, stream);
        return sink;
    }

    /// <summary>The statements of one advisory in a line each: product, name, status, versions, architectures, modules.</summary>
    public string[] Statements(string id) =>
    [
        .. Advisories.Where(advisory => advisory.Id == id).SelectMany(advisory => advisory.Statements).Select(statement =>
            string.Join(' ',
            [
                statement.Product.Replace(' ', '_'),
                statement.Name,
                statement.Status.ToString(),
                .. statement.Intervals.Select(Text),
                .. statement.Architectures.Count > 0 ? [$"({string.Join('|', statement.Architectures)})"] : Array.Empty<string>(),
                .. statement.Modules.Select(module => $"[{module}]"),
            ])),
    ];

    /// <summary>Nothing was skipped; else the test's message is what and why.</summary>
    public void AssertNothingSkipped() => Assert.True(Skipped.Count == 0, string.Join('\n', Skipped));

    static string Text(VersionInterval interval) => interval.Kind switch
    {
        IntervalEnd.Fixed => $"{interval.Introduced}<{interval.End}",
        IntervalEnd.LastAffected => $"{interval.Introduced}<={interval.End}",
        _ => $"{interval.Introduced}..",
    };

    public void Add(Advisory advisory)
    {
        if (Advisories.Count == 0) OnFirst?.Invoke();
        Advisories.Add(advisory);
    }

    public void Withdraw(string feed, string id, DateTimeOffset? modified) => Withdrawn.Add(id);

    public void Add(ExploitPrediction prediction) => throw new InvalidOperationException("no such data");

    public void Add(KnownExploited entry) => throw new InvalidOperationException("no such data");

    public void Add(VexDecision decision) => Decisions.Add(decision);

    public void Skip(string document, string path, string reason) => Skipped.Add((path, reason));

    public void LeaveOut(string what) => LeftOut.Add(what);
}
