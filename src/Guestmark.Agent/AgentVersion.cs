using System.Reflection;

namespace Guestmark.Agent;

/// <summary>The version of this program.</summary>
static class AgentVersion
{
    public static string Text { get; } =
        typeof(AgentVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
