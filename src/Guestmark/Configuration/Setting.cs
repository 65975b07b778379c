using System.Diagnostics.CodeAnalysis;
using Guestmark.CommandLine;

namespace Guestmark.Configuration;

/// <summary>One thing that can be configured: its names, its default, and what texts it takes.</summary>
abstract class Setting
{
    /// <summary>Its place in the file: <c>limits.messages-per-second</c>.</summary>
    public required string Key { get; init; }

    public required string Description { get; init; }

    /// <summary>As one would write it. Empty: none.</summary>
    public string Default { get; init; } = "";

    /// <summary>What documentation says of a default that is made of this machine.</summary>
    public string? DefaultInWords { get; init; }

    /// <summary>What stands for the value in help: <c>PORT</c>.</summary>
    public required string Form { get; init; }

    /// <summary>The flag. The key with dashes, unless an older name is kept.</summary>
    public string Flag { get => field ?? "--" + Key.Replace('.', '-'); init; }

    /// <summary>One letter, or none.</summary>
    public string? ShortFlag { get; init; }

    /// <summary>The environment variable: document 0's <c>FACT_…</c>, or <c>GUESTMARK_NODE_</c> and the key.</summary>
    [AllowNull]
    public string Variable { get => field ?? "GUESTMARK_NODE_" + Key.ToUpperInvariant().Replace('.', '_').Replace('-', '_'); init; }

    /// <summary>Whether a new value in the file is put into force while the node runs. Else it waits for a restart.</summary>
    public bool Reloads { get; init; }

    /// <summary>Whether the flag may be given without a value.</summary>
    public bool IsSwitch { get; init; }

    /// <summary>Whether several values may be given: a repeated flag, a sequence in the file, parts of a variable between <see cref="ListSeparator"/>.</summary>
    public bool IsList { get; init; }

    public char ListSeparator { get; init; } = ';';

    /// <summary>A value that the setting takes and that is not its default, for examples and tests.</summary>
    public required string Example { get; init; }

    /// <summary>Reads what was written. Null with a problem when the setting does not take it.</summary>
    public abstract object? Read(ConfigurationNode node, ICollection<ConfigurationProblem> problems);

    /// <summary>All values, where there are few: a shell completes them.</summary>
    public IReadOnlyList<string> Words { get; init; } = [];

    /// <summary>What the default means.</summary>
    public object? ReadDefault()
    {
        if (Default.Length == 0) return Nothing;
        var problems = new List<ConfigurationProblem>();
        return Read(new ScalarNode(Origin.Default, Default), problems) ?? throw new InvalidOperationException($"the default of {Key}: {problems[0].Message}");
    }

    /// <summary>As one would write it again.</summary>
    public abstract string Write(object? value);

    /// <summary>The same for each element of a list.</summary>
    public virtual IEnumerable<string> WriteItems(object? value) => [Write(value)];

    /// <summary>The value of a setting that has neither a value nor a default.</summary>
    protected abstract object? Nothing { get; }
}

/// <summary>A setting of one text.</summary>
/// <param name="parse">The value, or null and what the text should have been: "is no port: write 1 to 65535".</param>
sealed class Setting<T>(Func<ScalarNode, (T? Value, string? Problem)> parse, Func<T, string> write) : Setting
{
    protected override object? Nothing => default(T);

    public override object? Read(ConfigurationNode node, ICollection<ConfigurationProblem> problems)
    {
        if (node is not ScalarNode scalar)
        {
            problems.Add(new(node.Origin, $"{Key}: write one value, as {Key.Split('.')[^1]}: {Example}"));
            return null;
        }

        var (value, problem) = parse(scalar);
        if (problem is null) return value;
        problems.Add(new(node.Origin, $"{Key}: '{TerminalText.Printable(Short(scalar.Text))}' {problem}"));
        return null;
    }

    public override string Write(object? value) => value is T known ? write(known) : "";

    static string Short(string text) => text.Length <= 100 ? text : text[..100] + "…";
}

/// <summary>A setting of several values, each a text or a mapping.</summary>
/// <param name="read">One of them. Null with a problem.</param>
sealed class ListSetting<T>(Func<ConfigurationNode, ICollection<ConfigurationProblem>, T?> read, Func<T, string> write) : Setting
    where T : class
{
    protected override object? Nothing => Array.Empty<T>();

    public override object? Read(ConfigurationNode node, ICollection<ConfigurationProblem> problems)
    {
        var items = node switch
        {
            SequenceNode sequence => sequence.Items,
            ScalarNode { Text: "" } => [],
            ScalarNode scalar => scalar.Text.Split(ListSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                .Select(part => (ConfigurationNode)new ScalarNode(scalar.Origin, part)).ToList(),
            _ => [node],
        };
        var values = new List<T>(items.Count);
        foreach (var item in items)
        {
            if (read(item, problems) is { } value) values.Add(value);
        }

        return values.ToArray();
    }

    public override IEnumerable<string> WriteItems(object? value) => value is T[] values ? values.Select(write) : [];

    public override string Write(object? value) => value is T[] values ? string.Join(ListSeparator, values.Select(write)) : "";
}
