using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Guestmark.Events.Signing;

namespace Guestmark;

/// <summary><c>guestmark keys</c>: keys that nodes sign events with.</summary>
static class KeysCommand
{
    static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create() => new("keys", "Keys that nodes sign events with") { CreateCreate(), CreateShow() };

    static Command CreateCreate()
    {
        var algorithm = new Option<string>("--algorithm")
        {
            Description = "ecdsa-p256, ed25519, or hmac-sha256, whose key verifies and signs alike",
            HelpName = "NAME",
            DefaultValueFactory = _ => SigningAlgorithms.Names[0],
        };
        algorithm.AcceptOnlyFromAmong([.. SigningAlgorithms.Names]);
        var folder = new Option<string>("--out") { Description = "Where the files go; made with mode 0700 when it is absent", HelpName = "DIR", Required = true };
        var id = new Option<string?>("--key-id") { Description = "The key's id in every event, if it is not to be the key's own", HelpName = "ID" };
        var create = new Command("create", "Makes a key for signing events: ID.key signs and stays on the node, ID.pub verifies. Prints the files")
        {
            algorithm, folder, id,
        }.WithExamples(
            """
            guestmark keys create --out keys
            guestmark keys create --algorithm ed25519 --out keys --key-id node1-2026
            """);
        create.SetAction(parsed =>
        {
            if (parsed.GetValue(id) is { } given && !KeyId.IsValid(given))
                throw new UsageException($"--key-id {given}: use 1 to {KeyId.LengthMax} letters, digits, '-', '_', '.', ':' or '@'");
            try
            {
                var made = SigningKeyFile.Create(SigningAlgorithms.Find(parsed.GetRequiredValue(algorithm))!.Value, parsed.GetRequiredValue(folder), parsed.GetValue(id));
                Console.WriteLine(made.SecretFile);
                if (made.PublicFile is not null) Console.WriteLine(made.PublicFile);
            }
            catch (SigningKeyException e)
            {
                throw new CommandException(e.Message, e);
            }

            return ExitCode.Done;
        });
        return create;
    }

    static Command CreateShow()
    {
        var control = ControlClient.Flag();
        var node = new NodePlace();
        var output = new Option<string>("--output", "-o")
        {
            Description = "table, json, or pem: the public key alone, for who verifies",
            HelpName = "FORMAT",
            DefaultValueFactory = _ => "table",
        };
        output.AcceptOnlyFromAmong("table", "json", "pem");
        var show = new Command(
            "show", "Shows the key that this host's node signs with, since when, and those before it. Where no node runs, the key that the configuration names. No secret is shown")
        {
            output, control,
        }.WithExamples(
            """
            guestmark keys show
            guestmark keys show -o pem > node1.pub
            """);
        node.AddTo(show);
        show.SetAction(async (parsed, cancellationToken) =>
        {
            var (isRunning, state) = await StateAsync(parsed.GetValue(control), node, parsed, cancellationToken);
            var keys = state["keys"]!.AsArray();
            switch (parsed.GetRequiredValue(output))
            {
                case "json":
                    state["running"] = isRunning;
                    Console.WriteLine(state.ToJsonString(Indented));
                    return ExitCode.Done;
                case "pem":
                    if (keys.Count == 0) throw new CommandException(Unsigned);
                    Console.WriteLine(keys[0]!["publicKey"]?.ToString() ?? throw new CommandException("a key of hmac-sha256 has no public half: who verifies needs the file itself"));
                    return ExitCode.Done;
                default:
                    Print(state, keys, isRunning);
                    return ExitCode.Done;
            }
        });
        return show;
    }

    const string Unsigned = "events are not signed; 'guestmark keys create' makes a key, and signing.key-file names it to the node";

    /// <summary>What the node says, or, where none runs and none was named, what it would find.</summary>
    static async Task<(bool IsRunning, JsonNode State)> StateAsync(string? control, NodePlace node, ParseResult parsed, CancellationToken cancellationToken)
    {
        try
        {
            return (true, (await new ControlClient(control ?? node.ControlSocket(parsed)).GetAsync("v1/keys", cancellationToken))!);
        }
        catch (CommandException) when (control is null && !File.Exists(node.ControlSocket(parsed)))
        {
            return (false, Configured(node.Read(parsed)));
        }
    }

    static JsonObject Configured(SettingValues values)
    {
        var state = new JsonObject { ["file"] = values.Of(NodeSettings.SigningKeyFile), ["algorithm"] = null, ["problem"] = null, ["keys"] = new JsonArray() };
        if (values.Of(NodeSettings.SigningKeyFile) is not { } file) return state;
        try
        {
            using var key = EventSigningKeys.Open(values.Of(NodeSettings.SigningAlgorithm)!, file, values.Of(NodeSettings.SigningKeyId));
            state["algorithm"] = key.Algorithm.Name();
            state["keys"] = new JsonArray(new JsonObject { ["keyId"] = key.KeyId, ["since"] = null, ["until"] = null, ["publicKey"] = key.PublicKeyPem });
            return state;
        }
        catch (SigningKeyException e)
        {
            throw new CommandException(e.Message, e);
        }
    }

    static void Print(JsonNode state, JsonArray keys, bool isRunning)
    {
        if (keys.Count == 0)
        {
            Console.Error.WriteLine(Unsigned);
            return;
        }

        var table = new TextTable(new("KEY"), new("ALGORITHM"), new("STATE"), new("SINCE"), new("UNTIL"));
        foreach (var key in keys)
        {
            var word = !isRunning ? "configured" : key!["until"] is null ? "signs" : "former";
            table.Add(key!["keyId"]?.ToString(), state["algorithm"]?.ToString(), word, Words.Time(key["since"]), Words.Time(key["until"]));
        }

        table.Write();
        Console.WriteLine($"\nfile: {TerminalText.Printable(state["file"]!.ToString())}");
        if (keys[0]!["publicKey"]?.ToString() is { } pem) Console.WriteLine($"\n{pem}");
        if (state["problem"]?.ToString() is { } problem) Console.Error.WriteLine(TerminalText.Printable($"warning: the file holds something else, which is not used: {problem}"));
        if (!isRunning) Console.Error.WriteLine("no node runs here; this is the key that its configuration names");
    }
}
