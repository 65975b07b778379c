namespace Guestmark.Inventory.Sbom;

/// <summary>What a software bill of materials says of itself.</summary>
public sealed record SbomOptions
{
    /// <summary>Names this document; another document of the same machine needs another one.</summary>
    public required Guid SerialNumber { get; init; }

    /// <summary>Written in UTC, to the second.</summary>
    public required DateTimeOffset Created { get; init; }

    /// <summary>The machine's name. Null: the document does not say which machine it is of.</summary>
    public string? HostName { get; init; }

    /// <summary>The version of the program that writes the document.</summary>
    public required string ToolVersion { get; init; }
}
