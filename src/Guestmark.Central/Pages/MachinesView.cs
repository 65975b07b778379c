using Guestmark.Central.Storage;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Pages;

/// <summary>What the page of all machines shows.</summary>
public sealed record MachinesView
{
    public required IReadOnlyList<MachineRow> Rows { get; init; }

    public required long Total { get; init; }

    public required string? Search { get; init; }

    public required MachineOrder Order { get; init; }

    public required int Page { get; init; }

    public required AdvisoryDatabase? Database { get; init; }
}
