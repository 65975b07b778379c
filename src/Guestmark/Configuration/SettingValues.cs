using System.Collections;

namespace Guestmark.Configuration;

/// <summary>A setting with its value and where it comes from.</summary>
sealed record SettingValue(Setting Setting, object? Value, Origin Origin)
{
    public string Text => Setting.Write(Value);
}

/// <summary>The values of all settings, and everything that is wrong with what was written.</summary>
sealed class SettingValues
{
    readonly Dictionary<Setting, SettingValue> _values = [];

    SettingValues(string? file) => File = file;

    /// <summary>The file that was read, or null.</summary>
    public string? File { get; }

    /// <summary>False when there is a file and it could not be read: then nobody knows what it gives.</summary>
    public bool IsFileRead { get; private set; }

    public List<ConfigurationProblem> Problems { get; } = [];

    /// <summary>What is not wrong and yet not what somebody meant.</summary>
    public List<ConfigurationProblem> Warnings { get; } = [];

    /// <summary>In the order of <see cref="NodeSettings.All"/>.</summary>
    public IEnumerable<SettingValue> All => NodeSettings.All.Select(setting => _values[setting]);

    public T? Of<T>(Setting<T> setting) => (T?)_values[setting].Value;

    public IReadOnlyList<T> Of<T>(ListSetting<T> setting)
        where T : class => (T[])_values[setting].Value!;

    public Origin OriginOf(Setting setting) => _values[setting].Origin;

    public bool IsGiven(Setting setting) => _values[setting].Origin.Source != Source.Default;

    /// <summary>Puts the layers together: a flag wins over a variable, that over the file, that over the default.</summary>
    /// <param name="flags">What was given for a setting on the command line.</param>
    /// <param name="environment">The variables of the process.</param>
    /// <param name="file">The configuration file. Null: none.</param>
    public static SettingValues Read(IReadOnlyDictionary<Setting, IReadOnlyList<string>> flags, IDictionary environment, string? file)
    {
        var values = new SettingValues(file);
        var inFile = file is null ? null : ConfigurationFile.Read(file, values.Problems);
        values.IsFileRead = file is null || inFile is not null;
        var fileValues = inFile is null ? [] : values.Flatten(inFile);
        foreach (var setting in NodeSettings.All) values._values[setting] = values.Choose(setting, flags, environment, fileValues);
        values.FindUnknown(environment);
        return values;
    }

    SettingValue Choose(
        Setting setting, IReadOnlyDictionary<Setting, IReadOnlyList<string>> flags, IDictionary environment, Dictionary<Setting, ConfigurationNode> fileValues)
    {
        // Every layer is read, so that a mistake in one that does not win is told too, before it does.
        SettingValue? chosen = null;
        foreach (var node in Candidates())
        {
            var problems = Problems.Count;
            var value = setting.Read(node, Problems);
            if (Problems.Count == problems) chosen ??= new SettingValue(setting, value, node.Origin);
        }

        return chosen ?? new SettingValue(setting, setting.ReadDefault(), Origin.Default);

        IEnumerable<ConfigurationNode> Candidates()
        {
            if (flags.TryGetValue(setting, out var texts))
            {
                var origin = new Origin(Source.Flag, setting.Flag);
                yield return setting.IsList && texts.Count > 1
                    ? new SequenceNode(origin, [.. texts.Select(text => new ScalarNode(origin, text))])
                    : new ScalarNode(origin, texts.Count > 0 ? texts[^1] : "true");
            }

            // An empty variable is how a manifest leaves one out.
            if (environment[setting.Variable] is string { Length: > 0 } variable)
                yield return new ScalarNode(new Origin(Source.Environment, setting.Variable), variable);
            if (fileValues.TryGetValue(setting, out var node) && node is not ScalarNode { Text: "" or "~" or "null" }) yield return node;
        }
    }

    /// <summary>The nodes of the file by setting; names that are none are problems.</summary>
    Dictionary<Setting, ConfigurationNode> Flatten(MappingNode root)
    {
        var found = new Dictionary<Setting, ConfigurationNode>();
        Walk(root, "");
        return found;

        void Walk(MappingNode mapping, string prefix)
        {
            foreach (var entry in mapping.Entries)
            {
                var key = prefix + entry.Name;
                if (NodeSettings.All.FirstOrDefault(setting => string.Equals(setting.Key, key, StringComparison.Ordinal)) is { } setting)
                {
                    if (!found.TryAdd(setting, entry.Value)) Problems.Add(new(entry.Origin, $"'{key}' is given twice"));
                    continue;
                }

                var within = NodeSettings.All.Where(s => s.Key.StartsWith(key + ".", StringComparison.Ordinal)).ToList();
                if (within.Count > 0 && entry.Value is MappingNode inner)
                {
                    Walk(inner, key + ".");
                }
                else if (within.Count > 0)
                {
                    if (entry.Value is not ScalarNode { Text: "" or "~" or "null" })
                        Problems.Add(new(entry.Origin, $"'{key}' holds other keys: {string.Join(", ", within.Select(s => s.Key[(key.Length + 1)..]))}"));
                }
                else
                {
                    var known = NodeSettings.All.Select(s => s.Key).Concat(NodeSettings.All.Where(s => s.Key.Contains('.')).Select(s => s.Key.Split('.')[0]));
                    Problems.Add(new(entry.Origin, $"'{CommandLine.TerminalText.Printable(key)}' is not known{NearestWord.Hint(key, known)}"));
                }
            }
        }
    }

    static string Words(string key) => key.ToUpperInvariant().Replace('.', '_').Replace('-', '_');

    void FindUnknown(IDictionary environment)
    {
        foreach (string name in environment.Keys)
        {
            var isOurs = name.StartsWith("GUESTMARK_NODE_", StringComparison.Ordinal) && name != ConfigFlag.Variable;
            if (!isOurs && !name.StartsWith("FACT_", StringComparison.Ordinal)) continue;
            if (NodeSettings.All.Any(setting => setting.Variable == name)) continue;
            // Where document 0 has a name for a setting, the name that it would have here is the likeliest mistake, and far from the right one.
            var meant = NodeSettings.All.FirstOrDefault(setting => name == "GUESTMARK_NODE_" + Words(setting.Key));
            var hint = meant is not null ? $"; did you mean '{meant.Variable}'?" : NearestWord.Hint(name, NodeSettings.All.Select(setting => setting.Variable));
            var origin = new Origin(Source.Environment, CommandLine.TerminalText.Printable(name));
            if (isOurs) Problems.Add(new(origin, $"this variable is not known{hint}"));
            // Fact's other variables belong to its file monitor; a manifest of it may set them.
            else Warnings.Add(new(origin, $"this variable of fact has no effect here{hint}"));
        }
    }
}
