using System.Text;
using Guestmark.Configuration;
using Guestmark.TestKit;

namespace Guestmark.Tests;

/// <summary>Establishes that docs/operating/node.md has the settings that the program has. With GUESTMARK_WRITE_DOCS=1 it writes them there.</summary>
public sealed class DocumentationTests
{
    static readonly string Page = Path.Combine(Repository.Root, "docs", "operating", "node.md");

    [Fact]
    public void The_table_of_settings_is_that_of_the_program()
    {
        var table = new StringBuilder("| Key | Flag, variable | Default | A change takes | |\n|---|---|---|---|---|\n");
        foreach (var setting in NodeSettings.All)
        {
            var flags = setting.ShortFlag is null ? $"`{setting.Flag}`" : $"`{setting.ShortFlag}`, `{setting.Flag}`";
            var preset = setting.DefaultInWords ?? (setting.Default.Length > 0 ? $"`{setting.Default}`" : "");
            var change = setting.Reloads ? "a reload" : "a restart";
            table.Append($"| `{setting.Key}` | {flags} `{setting.Variable}` | {preset} | {change} | {setting.Description.Replace("|", "\\|", StringComparison.Ordinal)} |\n");
        }

        AssertSection(Page, "settings", table.ToString());
    }

    /// <summary>Compares, or writes, what stands between the marks of a section.</summary>
    internal static void AssertSection(string page, string name, string wanted)
    {
        var text = File.ReadAllText(page);
        var begin = text.IndexOf('\n', text.IndexOf($"<!-- {name}:", StringComparison.Ordinal)) + 1;
        var end = text.IndexOf($"<!-- /{name} -->", StringComparison.Ordinal);
        Assert.True(begin > 0 && end >= begin, $"{page} has no section {name}");
        if (Environment.GetEnvironmentVariable("GUESTMARK_WRITE_DOCS") == "1")
            File.WriteAllText(page, $"{text[..begin]}\n{wanted}\n{text[end..]}");
        else
            Assert.True(text[begin..end] == $"\n{wanted}\n", $"the {name} in {page} are not what the program has; GUESTMARK_WRITE_DOCS=1 writes them:\n{wanted}");
    }
}
