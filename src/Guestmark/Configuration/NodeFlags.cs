using System.CommandLine;
using System.CommandLine.Completions;
using Guestmark.CommandLine;

namespace Guestmark.Configuration;

/// <summary>The file of a configuration, as named or by default.</summary>
static class ConfigFlag
{
    public const string Variable = "GUESTMARK_NODE_CONFIG";
    public const string DefaultPath = "/etc/guestmark/node.yaml";

    public static Option<string?> Create() => new("--config")
    {
        Description = $"The configuration file, YAML or JSON. {Variable} [default: {DefaultPath} when there is one]",
        HelpName = "FILE",
    };

    /// <summary>Null: there is none to read.</summary>
    public static string? Path(ParseResult parsed, Option<string?> option)
    {
        var named = parsed.GetValue(option) ?? (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable ? variable : null);
        if (named is not null) return System.IO.Path.GetFullPath(named);
        return File.Exists(DefaultPath) ? DefaultPath : null;
    }
}

/// <summary>The flags of all settings, and the layers put together for a command that has them.</summary>
sealed class NodeFlags
{
    readonly Option<string?> _config = ConfigFlag.Create();
    readonly Dictionary<Setting, Option<string[]>> _options = NodeSettings.All.ToDictionary(setting => setting, Create);

    public void AddTo(Command command)
    {
        command.Options.Add(_config);
        foreach (var setting in NodeSettings.All) command.Options.Add(_options[setting]);
    }

    /// <summary>The configuration as it is at this moment: the file is read each time.</summary>
    public SettingValues Read(ParseResult parsed) =>
        SettingValues.Read(Given(parsed), Environment.GetEnvironmentVariables(), ConfigFlag.Path(parsed, _config));

    /// <summary>The setup, or an error that lists all that is wrong.</summary>
    /// <exception cref="UsageException">A flag is wrong, or what was asked for is not built.</exception>
    /// <exception cref="CommandException">The file or a variable is wrong.</exception>
    public static NodeSetup Require(SettingValues values)
    {
        foreach (var warning in values.Warnings) Console.Error.WriteLine(TerminalText.Printable($"warning: {warning}"));
        if (NodeSetup.Create(values) is { } setup) return setup;
        throw Refuse(values.Problems);
    }

    public static Exception Refuse(IReadOnlyList<ConfigurationProblem> problems)
    {
        var text = string.Join('\n', ConfigurationProblem.InOrder(problems).Select((problem, i) => i == 0 ? problem.ToString() : $"       {problem}"));
        var isUsage = problems.Any(problem => problem.Origin is null or { Source: Source.Flag } || problem.Message.Contains("not built yet", StringComparison.Ordinal));
        return isUsage ? new UsageException(text) : new CommandException(text);
    }

    Dictionary<Setting, IReadOnlyList<string>> Given(ParseResult parsed)
    {
        var given = new Dictionary<Setting, IReadOnlyList<string>>();
        foreach (var (setting, option) in _options)
        {
            if (parsed.GetResult(option) is { Implicit: false } result) given[setting] = [.. result.Tokens.Select(token => token.Value)];
        }

        return given;
    }

    static Option<string[]> Create(Setting setting)
    {
        var preset = setting.Default.Length > 0 ? $" [default: {setting.Default}]" : "";
        var option = new Option<string[]>(setting.Flag, setting.ShortFlag is null ? [] : [setting.ShortFlag])
        {
            Description = $"{setting.Description}. {setting.Variable}{preset}",
            HelpName = setting.Form,
            Arity = setting.IsSwitch ? ArgumentArity.ZeroOrOne : setting.IsList ? ArgumentArity.OneOrMore : ArgumentArity.ExactlyOne,
            AllowMultipleArgumentsPerToken = false,
            // Its text is read with those of the other layers, so that a mistake is told in the same words wherever it is.
            CustomParser = result => [.. result.Tokens.Select(token => token.Value)],
        };
        if (setting.Words.Count > 0) option.CompletionSources.Add(_ => setting.Words.Select(word => new CompletionItem(word)));
        return option;
    }
}
