using System.Text.RegularExpressions;
using System.Xml.Linq;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes that the structure that ARCHITECTURE.md draws is the one that is built.</summary>
public sealed partial class ProjectReferencesTests
{
    /// <summary>What each project may reference. Roles never reference each other, and what goes into a guest cannot reach the stamp.</summary>
    static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Guestmark.Wire"] = [],
        ["Guestmark.Inventory"] = ["Guestmark.Wire"],
        ["Guestmark.Events"] = [],
        ["Guestmark.Spool"] = [],
        ["Guestmark.Rpc"] = ["Guestmark.Events", "Guestmark.Spool"],
        ["Guestmark.Vulnerabilities"] = ["Guestmark.Inventory"],
        ["Guestmark.Node"] = ["Guestmark.Wire", "Guestmark.Events", "Guestmark.Spool", "Guestmark.Rpc"],
        ["Guestmark.Sensor"] = ["Guestmark.Events", "Guestmark.Spool", "Guestmark.Rpc"],
        ["Guestmark.Central"] = ["Guestmark.Events", "Guestmark.Inventory", "Guestmark.Rpc", "Guestmark.Vulnerabilities"],
        ["Guestmark.Agent"] = ["Guestmark.Inventory", "Guestmark.Wire"],
        ["Guestmark"] = ["Guestmark.Agent", "Guestmark.Node", "Guestmark.Sensor", "Guestmark.Central"],
    };

    [Fact]
    public void Every_project_references_only_what_the_design_allows()
    {
        var projects = Directory.GetFiles(Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories);
        Assert.Equal(Allowed.Keys.Order(), projects.Select(Path.GetFileNameWithoutExtension).Order());
        foreach (var project in projects)
        {
            var references = XDocument.Load(project).Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value));
            Assert.Empty(references.Except(Allowed[Path.GetFileNameWithoutExtension(project)]));
        }
    }

    [Fact]
    public void The_agent_is_built_without_events_spool_or_rpc()
    {
        var reachable = new HashSet<string>();
        Reach("Guestmark.Agent");
        Assert.Equal(["Guestmark.Agent", "Guestmark.Inventory", "Guestmark.Wire"], reachable.Order());

        void Reach(string project)
        {
            if (reachable.Add(project)) Array.ForEach(Allowed[project], Reach);
        }
    }

    [Fact]
    public void Grpc_is_named_only_in_the_rpc_project_and_where_the_agent_asks_KubeVirt_for_its_authorities()
    {
        var sources = Directory.GetFiles(Path.Combine(Repository.Root, "src"), "*.*", SearchOption.AllDirectories)
            .Where(file => file.EndsWith(".cs", StringComparison.Ordinal) || file.EndsWith(".csproj", StringComparison.Ordinal) || file.EndsWith(".razor", StringComparison.Ordinal))
            .Where(file => !file.Contains("node_modules", StringComparison.Ordinal) && !file.Contains("/src/Guestmark.Rpc/", StringComparison.Ordinal)
                && !file.Contains("/src/Guestmark.Agent/Serving/", StringComparison.Ordinal));
        Assert.DoesNotContain(sources, file => Grpc().IsMatch(File.ReadAllText(file)));
    }

    [GeneratedRegex("grpc", RegexOptions.IgnoreCase | RegexOptions.NonBacktracking)]
    private static partial Regex Grpc();
}
