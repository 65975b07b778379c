using System.CommandLine;
using System.CommandLine.Completions;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Spectre.Console;

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
        var control = Control();
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
        var control = Control();
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
        var control = Control();
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

    static Option<string?> Control() => new("--control")
    {
        Description = $"The node's control socket [default: as the node finds it, by {NodeSettings.ControlSocket.Variable}, {NodeSettings.Data.Variable} and its configuration file]",
        HelpName = "SOCKET",
        CustomParser = result => Path.GetFullPath(result.Tokens[0].Value),
    };

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

    static async Task<JsonNode?> SendAsync(string control, HttpMethod method, string path, JsonNode? body, CancellationToken cancellationToken)
    {
        using var http = new HttpClient(new SocketsHttpHandler { ConnectCallback = (_, cancellation) => ConnectAsync(control, cancellation) });
        using var request = new HttpRequestMessage(method, new Uri("http://control/" + path));
        if (body is not null) request.Content = JsonContent.Create(body);
        HttpResponseMessage response;
        try
        {
            response = await http.SendAsync(request, cancellationToken);
        }
        catch (HttpRequestException e) when (e.InnerException is CommandException inner)
        {
            throw new CommandException(inner.Message, e);
        }
        catch (HttpRequestException e)
        {
            throw new CommandException($"--control {control}: what listens there does not answer as a node does: {e.Message}", e);
        }

        using (response)
        {
            var text = await response.Content.ReadAsStringAsync(cancellationToken);
            if (response.IsSuccessStatusCode) return text.Length > 0 ? JsonNode.Parse(text) : null;
            var problem = Detail(text) ?? $"the node answered {(int)response.StatusCode}";
            // The API names the members of its JSON; who called this gave flags.
            foreach (var (member, flag) in Flags)
            {
                if (problem.StartsWith(member + " ", StringComparison.Ordinal) || problem.StartsWith(member + ":", StringComparison.Ordinal)) problem = flag + problem[member.Length..];
            }

            throw response.StatusCode == HttpStatusCode.BadRequest ? new UsageException(problem) : new CommandException(problem);
        }
    }

    static string? Detail(string problem)
    {
        try
        {
            return JsonNode.Parse(problem)?["detail"]?.GetValue<string>();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    static async ValueTask<Stream> ConnectAsync(string control, CancellationToken cancellationToken)
    {
        if (Encoding.UTF8.GetByteCount(control) is 0 or > 107) throw new CommandException($"--control {control}: the path of a Unix socket has 1 to 107 bytes");
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(control), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new CommandException(
                e.SocketErrorCode switch
                {
                    SocketError.AccessDenied => $"--control {control}: no permission; run as the node's user",
                    SocketError.ConnectionRefused => $"--control {control}: no node listens there any more; start it, or name the socket of another",
                    _ => $"--control {control}: there is no such socket; start the node, or name its socket: control.sock in its data folder",
                },
                e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    static void Print(JsonArray cells)
    {
        var table = new Table().Border(TableBorder.None).AddColumns("CELL", "RUN", "STATE", "REASON", "FRAMES", "LAST FRAME", "SOCKET");
        foreach (var cell in cells)
        {
            table.AddRow(Texts(
                cell!["cell"]!["id"], cell["cell"]!["runId"], cell["state"], cell["reason"], cell["frames"], cell["lastFrameAt"], cell["socket"]));
        }

        Terminal.Output().Write(table);
        Console.Error.WriteLine(Words.Count(cells.Count, "cell"));
    }

    static Text[] Texts(params JsonNode?[] values) => [.. values.Select(value => new Text(TerminalText.Printable(value?.ToString() ?? "")))];
}
