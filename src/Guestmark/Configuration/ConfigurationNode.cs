namespace Guestmark.Configuration;

/// <summary>A value as it was written, before anybody knows what it should be.</summary>
/// <param name="Origin">Where it was written.</param>
abstract record ConfigurationNode(Origin Origin);

/// <summary>One text. YAML's <c>true</c>, <c>818</c> and <c>"818"</c> are texts alike: what they mean is the setting's matter.</summary>
sealed record ScalarNode(Origin Origin, string Text) : ConfigurationNode(Origin);

sealed record SequenceNode(Origin Origin, IReadOnlyList<ConfigurationNode> Items) : ConfigurationNode(Origin);

/// <summary>Names and values in the order of the file; no name comes twice.</summary>
sealed record MappingNode(Origin Origin, IReadOnlyList<MappingEntry> Entries) : ConfigurationNode(Origin);

/// <param name="Origin">The line of the name.</param>
sealed record MappingEntry(Origin Origin, string Name, ConfigurationNode Value);

/// <summary>Where a value comes from, in the order in which they win: a flag, an environment variable, the file, the default.</summary>
enum Source
{
    Flag,
    Environment,
    File,
    Default,
}

/// <param name="Name">The flag or the variable; the path of the file.</param>
/// <param name="Line">Of the file, from 1; else 0.</param>
sealed record Origin(Source Source, string Name, int Line = 0)
{
    public static Origin Default { get; } = new(Source.Default, "default");

    public override string ToString() => Line > 0 ? $"{Name}:{Line}" : Name;
}

/// <summary>Something that is wrong with a configuration: where, what value, and what to write instead.</summary>
sealed record ConfigurationProblem(Origin? Origin, string Message)
{
    /// <summary>By layer, and by line within the file.</summary>
    public static IEnumerable<ConfigurationProblem> InOrder(IEnumerable<ConfigurationProblem> problems) =>
        problems.OrderBy(problem => problem.Origin?.Source ?? Source.Default).ThenBy(problem => problem.Origin?.Line);

    public override string ToString() => Origin is null ? Message : $"{Origin}: {Message}";
}
