namespace Guestmark.Wire.Declarations;

/// <summary>
/// What observes inside a guest, by the names that frames carry. A host takes the names that it was told of and drops others, counted: a guest
/// must not choose words that people and rules read.
/// </summary>
public static class ProbeSources
{
    /// <summary>A program was started.</summary>
    public const string ProcessSpawned = "process.spawned";

    /// <summary>A process ended.</summary>
    public const string ProcessExited = "process.exited";

    /// <summary>Nothing happened: the agent lives. Carries the agent's own process.</summary>
    public const string AgentHeartbeat = "agent.heartbeat";

    /// <summary>A process asked for a connection (CellOS).</summary>
    public const string NetConnectAttempted = "net.connect_attempted";

    /// <summary>A process lacked a capability (CellOS).</summary>
    public const string CapabilityDenied = "capability.denied";

    /// <summary>All of the above.</summary>
    public static IReadOnlyList<string> All { get; } = [ProcessSpawned, ProcessExited, AgentHeartbeat, NetConnectAttempted, CapabilityDenied];
}
