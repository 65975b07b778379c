using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;
using Spectre.Console;

namespace Guestmark;

/// <summary>What <c>guestmark up --once</c> prints: the machines, and the findings of each.</summary>
sealed class UpSummary(CentralClient api, IReadOnlyList<string> uids)
{
    /// <summary>Rows of findings for each machine. All of them are in the JSON output, the API and the pages.</summary>
    const int FindingsMax = 20;

    /// <summary>From this width on all columns fit beside each other.</summary>
    const int WideColumns = 130;

    static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public async Task PrintAsync(string output, CancellationToken cancellationToken)
    {
        var machines = new List<(JsonNode Machine, List<JsonNode> Findings)>();
        foreach (var uid in uids)
        {
            var machine = (await api.TryGetAsync($"api/v1/vms/{uid}", cancellationToken))!;
            machines.Add((machine, await api.GetAllAsync($"api/v1/vms/{uid}/findings", cancellationToken)));
        }

        if (output == "json") PrintJson(machines);
        else PrintTables(machines);
    }

    static void PrintJson(List<(JsonNode Machine, List<JsonNode> Findings)> machines)
    {
        var list = new JsonArray();
        foreach (var (machine, findings) in machines)
        {
            machine["findings"] = new JsonArray([.. findings]);
            list.Add(machine);
        }

        Console.Out.WriteLine(new JsonObject { ["vms"] = list }.ToJsonString(Indented));
    }

    static void PrintTables(List<(JsonNode Machine, List<JsonNode> Findings)> machines)
    {
        var console = Terminal.Output();
        var wide = console.Profile.Width >= WideColumns;
        console.Write(wide ? MachinesWide(machines) : MachinesNarrow(machines));
        foreach (var (machine, findings) in machines)
        {
            if (findings.Count == 0) continue;
            console.WriteLine();
            if (wide) console.Write(FindingsWide(machine, findings));
            else PrintFindingsNarrow(console, machine, findings);
            if (findings.Count > FindingsMax) console.WriteLine($"… and {findings.Count - FindingsMax} more: --output json prints all, `guestmark up` shows them as pages");
        }
    }

    static Table MachinesWide(List<(JsonNode Machine, List<JsonNode> Findings)> machines)
    {
        var table = Table("Machines", "Name", "OS", "Packages", "Critical", "Important", "Moderate", "Low", "Unknown", "Matching");
        foreach (var (machine, _) in machines)
            AddRow(table, [Text(machine["name"]), Os(machine["os"]), Text(machine["packageCount"]), .. Counts(machine), Matching(machine)]);
        return table;
    }

    static Table MachinesNarrow(List<(JsonNode Machine, List<JsonNode> Findings)> machines)
    {
        var table = Table("Machines", "Name", "OS", "Packages", "C/I/M/L/U", "Matching");
        foreach (var (machine, _) in machines)
            AddRow(table, [Text(machine["name"]), Os(machine["os"]), Text(machine["packageCount"]), string.Join('/', Counts(machine)), Matching(machine)]);
        return table;
    }

    static Table FindingsWide(JsonNode machine, List<JsonNode> findings)
    {
        var table = Table($"Findings of {Text(machine["name"])}", "Severity", "Advisory", "Package", "Installed", "Fixed", "CVEs");
        foreach (var finding in findings.Take(FindingsMax))
        {
            AddRow(table, [
                Text(finding["severity"]), Text(finding["advisory"]), Text(finding["package"]?["name"]),
                Text(finding["installedVersion"]), Fixed(finding), Cves(finding["cves"]),
            ]);
        }

        return table;
    }

    /// <summary>Two lines each: broken in the middle, versions and names are hard to read.</summary>
    static void PrintFindingsNarrow(IAnsiConsole console, JsonNode machine, List<JsonNode> findings)
    {
        console.WriteLine($"Findings of {Text(machine["name"])}");
        foreach (var finding in findings.Take(FindingsMax))
        {
            console.WriteLine($"{Text(finding["severity"]),-9} {Text(finding["advisory"])}  {Text(finding["package"]?["name"])}");
            console.WriteLine($"{"",-9} installed {Text(finding["installedVersion"])}, fixed {Fixed(finding)}");
        }
    }

    static Table Table(string title, params string[] columns)
    {
        var table = new Table { Border = TableBorder.Simple, Title = new TableTitle(Markup.Escape(title)) };
        foreach (var column in columns) table.AddColumn(column);
        return table;
    }

    static void AddRow(Table table, string[] cells) => table.AddRow(cells.Select(cell => new Text(cell)));

    static string[] Counts(JsonNode machine) =>
        Array.ConvertAll(["critical", "important", "moderate", "low", "unknown"], severity => Text(machine["findingCounts"]![severity]));

    static string Fixed(JsonNode finding) => Text(finding["fixedVersion"]) is { Length: > 0 } version ? version : "none";

    static string Os(JsonNode? os) =>
        Text(os?["prettyName"]) is { Length: > 0 } pretty ? pretty : $"{Text(os?["id"])} {Text(os?["versionId"])}".Trim();

    static string Matching(JsonNode machine) => Text(machine["matching"]?["state"]) switch
    {
        "no-advisories" when Text(machine["os"]?["id"]).Length == 0 => "unknown OS: give distro=ID:VERSION",
        "no-advisories" => "no advisories for this OS in the feeds",
        "incomplete" => "incomplete: the agent could not read everything",
        "failed" => "failed for some packages",
        var state => state,
    };

    static string Cves(JsonNode? cves)
    {
        var list = cves?.AsArray().Select(cve => Text(cve)).ToList() ?? [];
        return list.Count <= 2 ? string.Join(" ", list) : $"{list[0]} {list[1]} +{list.Count - 2}";
    }

    static string Text(JsonNode? node) => TerminalText.Printable(node?.ToString() ?? "");
}
