using System.CommandLine;
using System.CommandLine.Completions;
using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;
using Guestmark.Configuration;

namespace Guestmark;

/// <summary><c>guestmark cell</c>: the cells of a node, over its control socket.</summary>
static class CellCommand
{
    static readonly (string Member, string Flag)[] Flags =
    [
        ("id", "ID"), ("runId", "--run"), ("specSignatureHash", "--spec-hash"), ("socketBase", "--socket-base"), ("onSilence", "--on-silence"),
        ("socketMode", "--socket-mode"), ("socketOwner", "--socket-owner"),
    ];

    static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static Command Create() =>
        new("cell", "Adds, lists and removes cells of this host's node: short-lived machines that declare what happens in them") { CreateAdd(), CreateList(), CreateRemove() };

    static Command CreateAdd()
    {
        var id = new Argument<string>("ID") { Description = "The cell's id, the subject of its events" };
        var run = new Option<string>("--run") { Description = "The id of this run of the cell", HelpName = "ID", Required = true };
        var socketBase = new Option<string>("--socket-base")
        {
            Description = "The vsock Unix socket as the hypervisor is given it (uds_path); the node listens on PATH_9001",
            HelpName = "PATH",
            Required = true,
        };
        var hash = new Option<string?>("--spec-hash") { Description = "The hash of the signed specification: hexadecimal digits, or sha256: and such digits", HelpName = "HASH" };
        var onSilence = new Option<string>("--on-silence")
        {
            Description = "When the agent falls silent: report it, or also fail, which closes the channel for good",
            HelpName = "report|fail",
            DefaultValueFactory = _ => "report",
        };
        onSilence.AcceptOnlyFromAmong("report", "fail");
        var mode = new Option<string>("--socket-mode") { Description = "Who may connect: 0600 or 0660", HelpName = "MODE", DefaultValueFactory = _ => "0600" };
        mode.AcceptOnlyFromAmong("0600", "0660");
        var owner = new Option<string?>("--socket-owner") { Description = "Give the socket to the hypervisor's user and group, in numbers [default: the node's]", HelpName = "UID:GID" };
        var control = ControlClient.Flag();
        var node = new NodePlace();
        var add = new Command("add", "Listens for a cell. Start its machine when this has returned") { id, run, socketBase, hash, onSilence, mode, owner, control }.WithExamples(
            """
            guestmark cell add web-7f3a --run 2026-11-21-001 --socket-base /run/cells/web-7f3a/vsock.sock
            guestmark cell add web-7f3a --run r1 --socket-base /srv/jail/web-7f3a/vsock.sock --socket-owner 123:100 --on-silence fail
            """);
        node.AddTo(add);
        add.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetRequiredValue(socketBase).Length == 0) throw new UsageException("--socket-base '': write the path of the cell's vsock socket");
            var cell = new JsonObject
            {
                ["id"] = parsed.GetRequiredValue(id),
                ["runId"] = parsed.GetRequiredValue(run),
                ["specSignatureHash"] = parsed.GetValue(hash),
                ["socketBase"] = Path.GetFullPath(parsed.GetRequiredValue(socketBase)),
                ["onSilence"] = parsed.GetRequiredValue(onSilence),
                ["socketMode"] = parsed.GetRequiredValue(mode),
                ["socketOwner"] = parsed.GetValue(owner),
            };
            var status = await SendAsync(parsed.GetValue(control) ?? node.ControlSocket(parsed), HttpMethod.Post, "v1/cells", cell, cancellationToken);
            Console.WriteLine(TerminalText.Printable(status!["socket"]!.GetValue<string>()));
            return ExitCode.Done;
        });
        return add;
    }

    static Command CreateList()
    {
        var control = ControlClient.Flag();
        var node = new NodePlace();
        var output = new Option<string>("--output", "-o") { Description = "table or json", HelpName = "FORMAT", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json");
        var list = new Command("list", "Lists the cells with how they are") { output, control }.WithExamples(
            """
            guestmark cell list
            guestmark cell list -o json | jq '.cells[] | select(.state == "silent") | .cell.id'
            """);
        node.AddTo(list);
        list.SetAction(async (parsed, cancellationToken) =>
        {
            var answer = await SendAsync(parsed.GetValue(control) ?? node.ControlSocket(parsed), HttpMethod.Get, "v1/cells", null, cancellationToken);
            if (parsed.GetRequiredValue(output) == "json") Console.WriteLine(answer!.ToJsonString(Indented));
            else Print(answer!["cells"]!.AsArray());
            return ExitCode.Done;
        });
        return list;
    }

    static Command CreateRemove()
    {
        var control = ControlClient.Flag();
        var node = new NodePlace();
        var id = new Argument<string>("ID") { Description = "The cell's id" };
        id.CompletionSources.Add(context => CellIds(() => context.ParseResult.GetValue(control) ?? node.ControlSocket(context.ParseResult)));
        var remove = new Command("remove", "Closes a cell's socket and forgets the cell") { id, control }.WithExamples("guestmark cell remove web-7f3a");
        node.AddTo(remove);
        remove.SetAction(async (parsed, cancellationToken) =>
        {
            await SendAsync(parsed.GetValue(control) ?? node.ControlSocket(parsed), HttpMethod.Delete, $"v1/cells/{Uri.EscapeDataString(parsed.GetRequiredValue(id))}", null, cancellationToken);
            return ExitCode.Done;
        });
        return remove;
    }

    /// <summary>A shell must not wait: without a node there is nothing to complete.</summary>
    static IEnumerable<CompletionItem> CellIds(Func<string> control)
    {
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            var answer = SendAsync(control(), HttpMethod.Get, "v1/cells", null, limit.Token).GetAwaiter().GetResult();
            return answer!["cells"]!.AsArray().Select(cell => new CompletionItem(cell!["cell"]!["id"]!.GetValue<string>())).ToList();
        }
        catch (Exception e) when (e is CommandException or OperationCanceledException)
        {
            return [];
        }
    }

    /// <summary>The API names the members of its JSON; who called this gave flags.</summary>
    static async Task<JsonNode?> SendAsync(string control, HttpMethod method, string path, JsonNode? body, CancellationToken cancellationToken)
    {
        try
        {
            return await new ControlClient(control).SendAsync(method, path, body, cancellationToken);
        }
        catch (UsageException e)
        {
            var problem = e.Message;
            foreach (var (member, flag) in Flags)
            {
                if (problem.StartsWith(member + " ", StringComparison.Ordinal) || problem.StartsWith(member + ":", StringComparison.Ordinal)) problem = flag + problem[member.Length..];
            }

            throw new UsageException(problem);
        }
    }

    static void Print(JsonArray cells)
    {
        var table = new TextTable(
            new("CELL") { MayShorten = true }, new("RUN") { MayShorten = true, MayLeave = true }, new("STATE"), new("REASON") { MayShorten = true }, new("FRAMES") { IsRight = true },
            new("DROPPED") { IsRight = true }, new("LAST FRAME"), new("SOCKET") { MayShorten = true, MayLeave = true });
        foreach (var cell in cells)
        {
            table.Add(
                cell!["cell"]!["id"]?.ToString(), cell["cell"]!["runId"]?.ToString(), cell["state"]?.ToString(), cell["reason"]?.ToString(), cell["frames"]?.ToString(),
                cell["agentDropped"]?.ToString(), Words.Time(cell["lastFrameAt"]), cell["socket"]?.ToString());
        }

        if (cells.Count > 0) table.Write();
        Console.Error.WriteLine(cells.Count > 0 ? Words.Count(cells.Count, "cell") : "no cells; 'guestmark cell add --help' says how one is added");
    }
}
