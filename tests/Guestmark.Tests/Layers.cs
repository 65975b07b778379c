using System.Collections;
using Guestmark.Configuration;
using Guestmark.TestKit;

namespace Guestmark.Tests;

/// <summary>Configurations as tests write them.</summary>
static class Layers
{
    /// <summary>What a node cannot do without.</summary>
    public static readonly Hashtable Certificates = new() { ["FACT_CERTS"] = "/certs" };

    public static SettingValues Read(Dictionary<Setting, string>? flags = null, IDictionary? environment = null, string? file = null) => SettingValues.Read(
        (flags ?? []).ToDictionary(flag => flag.Key, flag => (IReadOnlyList<string>)[flag.Value]), environment ?? new Hashtable(), file);

    /// <summary>The values of a file with this text.</summary>
    public static SettingValues ReadFile(TemporaryFolder folder, string text, IDictionary? environment = null)
    {
        var path = folder.File("node.yaml");
        File.WriteAllText(path, text);
        return Read(environment: environment, file: path);
    }

    /// <summary>A file with one value at the key's place.</summary>
    public static string Yaml(Setting setting, string value)
    {
        var parts = setting.Key.Split('.');
        var quoted = $"\"{value.Replace("\\", "\\\\", StringComparison.Ordinal)}\"";
        return parts.Length == 1 ? $"{parts[0]}: {quoted}\n" : $"{parts[0]}:\n  {parts[1]}: {quoted}\n";
    }

    public static NodeSetup Setup(SettingValues values)
    {
        var setup = NodeSetup.Create(values);
        Assert.True(setup is not null, string.Join('\n', values.Problems));
        return setup;
    }

    public static NodeSetup Setup(Hashtable environment)
    {
        foreach (DictionaryEntry entry in Certificates) environment.TryAdd(entry.Key, entry.Value);
        return Setup(Read(environment: environment));
    }

    static void TryAdd(this Hashtable table, object key, object? value)
    {
        if (!table.ContainsKey(key)) table[key] = value;
    }
}
