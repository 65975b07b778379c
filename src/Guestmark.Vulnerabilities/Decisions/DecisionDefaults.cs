namespace Guestmark.Vulnerabilities;

/// <summary>
/// What the operator says for all statements of a VEX document when it is imported. Each overrides what the document says; null or empty
/// leaves it as it is.
/// </summary>
public sealed record DecisionDefaults
{
    /// <inheritdoc cref="VexDecision.Scope"/>
    public IReadOnlyList<string> Scope { get; init; } = [];

    /// <inheritdoc cref="VexDecision.Expires"/>
    public DateTimeOffset? Expires { get; init; }

    /// <inheritdoc cref="VexDecision.Author"/>
    public string? Author { get; init; }
}
