using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;
using Guestmark.Configuration;

namespace Guestmark;

/// <summary><c>guestmark guest</c>: the guests of a node, over its control socket.</summary>
static class GuestCommand
{
    static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static Command Create() => new("guest", "Lists the guests of this host's node: the machines whose reports it takes") { CreateList() };

    static Command CreateList()
    {
        var control = ControlClient.Flag();
        var node = new NodePlace();
        var output = new Option<string>("--output", "-o") { Description = "table or json", HelpName = "FORMAT", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json");
        var list = new Command("list", "Lists the guests with when each reported last, and what was refused. Counts begin when the node starts") { output, control }.WithExamples(
            """
            guestmark guest list
            guestmark guest list -o json | jq -r '.guests[] | select(.lastReportAt == null) | .name'
            """);
        node.AddTo(list);
        list.SetAction(async (parsed, cancellationToken) =>
        {
            var answer = await new ControlClient(parsed.GetValue(control) ?? node.ControlSocket(parsed)).GetAsync("v1/guests", cancellationToken);
            if (parsed.GetRequiredValue(output) == "json") Console.WriteLine(answer!.ToJsonString(Indented));
            else Print(answer!["guests"]!.AsArray());
            return ExitCode.Done;
        });
        return list;
    }

    static void Print(JsonArray guests)
    {
        var table = Table(guests);
        if (guests.Count > 0) table.Write();
        Console.Error.WriteLine(guests.Count > 0
            ? Words.Count(guests.Count, "guest")
            : "no guests; name them with 'guests:' in the node's configuration, --guest NAME=SOCKET, or in a registry file");
    }

    /// <summary>How a guest is and what became of its reports has room on 80 columns; what it is called elsewhere leaves first.</summary>
    internal static TextTable Table(JsonArray guests)
    {
        var table = new TextTable(
            new("GUEST") { MayShorten = true }, new("STATE"), new("LAST REPORT"), new("REPORTS") { IsRight = true }, new("REFUSED") { IsRight = true }, new("SPOOL") { IsRight = true },
            new("CHANNEL") { MayShorten = true, MayLeave = true }, new("UID") { MayShorten = true, MayLeave = true }, new("LAST REFUSAL") { MayShorten = true, MayLeave = true });
        foreach (var guest in guests)
        {
            table.Add(
                guest!["name"]?.ToString(), guest["state"]?.ToString(), Words.Second(guest["lastReportAt"]), guest["reports"]?.ToString(), guest["refused"]?.ToString(),
                Words.Size(guest["spoolBytes"]?.GetValue<long>() ?? 0), guest["channel"]?.ToString(), guest["uid"]?.ToString(), guest["lastRefusal"]?.ToString());
        }

        return table;
    }
}
