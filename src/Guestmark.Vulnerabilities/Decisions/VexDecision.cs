namespace Guestmark.Vulnerabilities;

/// <summary>
/// What the operator decided about a vulnerability, read from a VEX document of theirs. It changes how findings are shown and counted; the
/// findings stay.
/// </summary>
public sealed record VexDecision
{
    /// <summary>Document and statement: <c>https://example.com/vex/1#3</c>. Two decisions with one id: the later <see cref="Decided"/> counts.</summary>
    public required string Id { get; init; }

    /// <summary>The CVE or advisory that it is about.</summary>
    public required string Vulnerability { get; init; }

    /// <summary>Packages, as package URLs (https://github.com/package-url/purl-spec); without a version every one. Empty: all packages.</summary>
    public IReadOnlyList<string> Products { get; init; } = [];

    public required DecisionStatus Status { get; init; }

    /// <summary><c>vulnerable_code_not_present</c> and the others of VEX. Null when none is given.</summary>
    public string? Justification { get; init; }

    /// <summary>Why, for people.</summary>
    public string Reason { get; init; } = "";

    public string Author { get; init; } = "";

    public DateTimeOffset Decided { get; init; }

    /// <summary>From then on it no longer counts. Null: it does not expire.</summary>
    public DateTimeOffset? Expires { get; init; }

    /// <summary>Machines that it is for, as patterns of their names with <c>*</c> and <c>?</c> (<c>prod/web-*</c>). Empty: all machines.</summary>
    public IReadOnlyList<string> Scope { get; init; } = [];
}

/// <summary>The statuses of VEX. The numbers are persisted: add, never change.</summary>
public enum DecisionStatus
{
    NotAffected = 1,
    Affected = 2,
    Fixed = 3,
    UnderInvestigation = 4,
}
