using System.CommandLine;
using System.Text;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Diagnosis;

namespace Guestmark.Configuration;

/// <summary><c>guestmark config</c>: what the node would do, and where each value comes from.</summary>
static class ConfigCommand
{
    public static Command Create() => new("config", "Shows and checks the configuration of a node") { CreateShow(), CreateCheck() };

    static Command CreateShow()
    {
        var flags = new NodeFlags();
        var output = new Option<string>("--output", "-o") { Description = "How to print; yaml is a configuration file", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json", "yaml");
        var show = new Command("show", "Prints each value with where it comes from. Takes the flags of 'guestmark node'") { output }.WithExamples(
            """
            guestmark config show
            guestmark config show --config node.yaml --vsock-port 1024 -o json
            guestmark config show -o yaml > node.yaml
            """);
        flags.AddTo(show);
        show.SetAction(parsed =>
        {
            var values = flags.Read(parsed);
            var setup = NodeSetup.Create(values);
            switch (parsed.GetRequiredValue(output))
            {
                case "json":
                    PrintJson(values);
                    break;
                case "yaml":
                    Console.Write(Yaml(values));
                    break;
                default:
                    Table(values).Write();
                    break;
            }

            foreach (var warning in values.Warnings) Console.Error.WriteLine(TerminalText.Printable($"warning: {warning}"));
            return setup is not null ? ExitCode.Done : throw NodeFlags.Refuse(values.Problems);
        });
        return show;
    }

    static Command CreateCheck()
    {
        var flags = new NodeFlags();
        var check = new Command("check", "Says what is wrong with a configuration, all of it, and which files that it names would stop a start. Takes the flags of 'guestmark node'").WithExamples(
            """
            guestmark config check --config /etc/guestmark/node.yaml
            """);
        flags.AddTo(check);
        check.SetAction(parsed =>
        {
            var values = flags.Read(parsed);
            var stopping = StartCheck.Examine(NodeFlags.Require(values), TimeProvider.System).ToList();
            if (stopping.Count > 0) throw new CommandException(string.Join("\n       ", stopping.Select(finding => $"{finding.Message}; {finding.Remedy}")));
            Console.WriteLine(values.File is null ? "good; no configuration file was read" : $"good: {values.File}");
            return ExitCode.Done;
        });
        return check;
    }

    internal static TextTable Table(SettingValues values)
    {
        var table = new TextTable(
            new("KEY"), new("VALUE") { MayShorten = true }, new("FROM") { MayShorten = true }, new("A CHANGE TAKES") { MayLeave = true });
        foreach (var value in values.All) table.Add(value.Setting.Key, value.Text, value.Origin.ToString(), value.Setting.Reloads ? "a reload" : "a restart");
        return table;
    }

    static void PrintJson(SettingValues values)
    {
        using var output = Console.OpenStandardOutput();
        using var writer = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true });
        writer.WriteStartObject();
        writer.WriteString("file", values.File);
        writer.WriteStartArray("settings");
        foreach (var value in values.All)
        {
            writer.WriteStartObject();
            writer.WriteString("key", value.Setting.Key);
            writer.WriteString("value", value.Text);
            writer.WriteString("from", value.Origin.Source.ToString().ToLowerInvariant());
            writer.WriteString("origin", value.Origin.Name);
            if (value.Origin.Line > 0) writer.WriteNumber("line", value.Origin.Line);
            writer.WriteString("flag", value.Setting.Flag);
            writer.WriteString("variable", value.Setting.Variable);
            writer.WriteString("change", value.Setting.Reloads ? "reload" : "restart");
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteStartArray("problems");
        foreach (var problem in ConfigurationProblem.InOrder(values.Problems)) writer.WriteStringValue(problem.ToString());
        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.Flush();
        output.WriteByte((byte)'\n');
    }

    /// <summary>A configuration file that gives the same values; what is the default is there as a comment.</summary>
    public static string Yaml(SettingValues values)
    {
        var yaml = new StringBuilder();
        var group = "";
        foreach (var value in values.All)
        {
            var parts = value.Setting.Key.Split('.');
            // A group's line is a comment too while nothing in it is given.
            var isGiven = value.Origin.Source != Source.Default;
            if (parts.Length == 2 && parts[0] != group)
            {
                group = parts[0];
                var anyGiven = values.All.Any(other => other.Setting.Key.StartsWith(group + ".", StringComparison.Ordinal) && other.Origin.Source != Source.Default);
                yaml.Append(anyGiven ? "" : "# ").Append(group).Append(":\n");
            }

            var indent = parts.Length == 2 ? "  " : "";
            var comment = isGiven ? "" : "# ";
            if (value.Setting.IsList && isGiven)
            {
                // A key without a value would mean the default.
                var items = value.Setting.WriteItems(value.Value).ToList();
                yaml.Append(indent).Append(parts[^1]).Append(items.Count == 0 ? ": []  # " : ":  # ").Append(Line(value.Origin)).Append('\n');
                foreach (var item in items)
                    yaml.Append(indent).Append("  - ").Append(Quote(item)).Append('\n');
                continue;
            }

            yaml.Append(comment).Append(indent).Append(parts[^1]).Append(": ").Append(Quote(value.Text));
            if (isGiven) yaml.Append("  # ").Append(Line(value.Origin));
            yaml.Append('\n');
        }

        return yaml.ToString();

        static string Line(Origin origin) => TerminalText.Printable(origin.ToString());
    }

    /// <summary>JSON's strings are YAML's double-quoted ones; plain words and numbers need no quotes.</summary>
    static string Quote(string text) =>
        text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/') && text[0] is not ('-' or '.')
            ? text
            : JsonSerializer.Serialize(text, Strings.Default.String);
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
sealed partial class Strings : System.Text.Json.Serialization.JsonSerializerContext;
