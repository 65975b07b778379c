using Guestmark.Central.Findings;
using Guestmark.Central.Storage;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Pages;

/// <summary>What the page of one machine shows.</summary>
public sealed record MachineView
{
    public required MachineRow Machine { get; init; }

    public required MatchingState State { get; init; }

    /// <summary>Whether any advisory in use is about the machine's operating system.</summary>
    public required bool HasAdvisories { get; init; }

    public required long ReportCount { get; init; }

    public required MachineContent Content { get; init; }

    public string Url(MachineTab tab) =>
        CentralPages.Url(CentralPages.MachineUrl(Machine.Uid), ("tab", tab == MachineTab.Findings ? null : tab.ToString().ToLowerInvariant()));

    public string FindingUrl(long finding) => $"{CentralPages.MachineUrl(Machine.Uid)}/findings/{finding}";

    public string FindingsUrl(FindingFilter filter, int page) => CentralPages.Url(
        CentralPages.MachineUrl(Machine.Uid),
        ("q", filter.Search),
        ("severity", filter.Severity?.ToString().ToLowerInvariant()),
        ("status", filter.Status is { } status ? StatusWord.Of(status) : null),
        ("kev", filter.Kev is true ? "true" : null),
        ("decided", filter.IsDecided is true ? "true" : null),
        ("package", filter.Package),
        ("page", page == 1 ? null : page.ToString()));

    public string PackagesUrl(string? search, int page) => CentralPages.Url(
        CentralPages.MachineUrl(Machine.Uid), ("tab", "packages"), ("q", search), ("page", page == 1 ? null : page.ToString()));

    public string ReportsUrl(int page) =>
        CentralPages.Url(CentralPages.MachineUrl(Machine.Uid), ("tab", "reports"), ("page", page == 1 ? null : page.ToString()));
}

/// <summary>The tabs of a machine's page; in addresses in lower case.</summary>
public enum MachineTab
{
    Findings,
    Packages,
    Reports,
}

/// <summary>What one tab shows.</summary>
public abstract record MachineContent
{
    public abstract MachineTab Tab { get; }

    public required int Page { get; init; }
}

public sealed record FindingsView : MachineContent
{
    public override MachineTab Tab => MachineTab.Findings;

    public required IReadOnlyList<FindingRow> Rows { get; init; }

    public required long Total { get; init; }

    public required FindingFilter Filter { get; init; }
}

public sealed record PackagesView : MachineContent
{
    public override MachineTab Tab => MachineTab.Packages;

    public required IReadOnlyList<InstalledPackageRow> Rows { get; init; }

    public required long Total { get; init; }

    public required string? Search { get; init; }
}

public sealed record ReportsView : MachineContent
{
    public override MachineTab Tab => MachineTab.Reports;

    public required IReadOnlyList<ReportRow> Rows { get; init; }
}

/// <summary>What the page of one finding shows.</summary>
public sealed record FindingView
{
    public required MachineView Machine { get; init; }

    public required FindingRow Finding { get; init; }

    /// <summary>Null before advisories are imported.</summary>
    public required AdvisoryDatabase? Database { get; init; }

    public required DateTimeOffset Now { get; init; }

    /// <summary>Sources of the finding's format, the last imported first.</summary>
    public IEnumerable<AdvisorySource> Sources =>
        (Database?.Sources ?? []).Where(source => source.Format == Finding.Feed).OrderByDescending(source => source.Imported).Take(5);
}

/// <summary>What the page of the operator's decisions shows.</summary>
public sealed record DecisionsView
{
    public required IReadOnlyList<VexDecision> Rows { get; init; }

    public required long Total { get; init; }

    public required int Page { get; init; }

    public required DateTimeOffset Now { get; init; }
}

/// <summary>What the page of the imported data shows.</summary>
public sealed record VulnerabilityDataView
{
    /// <summary>Null before advisories are imported.</summary>
    public required AdvisoryDatabase? Database { get; init; }

    public required int Decisions { get; init; }

    public required DateTimeOffset Now { get; init; }
}
