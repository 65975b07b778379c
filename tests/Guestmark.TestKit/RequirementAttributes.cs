using Xunit;

namespace Guestmark.TestKit;

/// <summary>A test over real data that is not part of the project. Skipped, by name, where the data is absent.</summary>
public sealed class TestDataFactAttribute : FactAttribute
{
    public TestDataFactAttribute() => Skip = Requirement.TestData();
}

/// <inheritdoc cref="TestDataFactAttribute"/>
public sealed class TestDataTheoryAttribute : TheoryAttribute
{
    public TestDataTheoryAttribute() => Skip = Requirement.TestData();
}

/// <summary>A test that needs a program on the PATH. <c>./test</c> installs it; where it cannot be had the test is skipped, by name.</summary>
public sealed class ToolFactAttribute : FactAttribute
{
    public ToolFactAttribute(params string[] tools) => Skip = Requirement.Tools(tools);
}

/// <inheritdoc cref="ToolFactAttribute"/>
public sealed class ToolTheoryAttribute : TheoryAttribute
{
    public ToolTheoryAttribute(params string[] tools) => Skip = Requirement.Tools(tools);
}

/// <summary>A test that mounts a file system. Skipped, by name, where it may not.</summary>
public sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute() => Skip = Requirement.Mounts.Value;
}

static class Requirement
{
    /// <summary>Root alone is not enough: containers refuse it to theirs. So it is tried, once.</summary>
    public static Lazy<string?> Mounts { get; } = new(() =>
    {
        if (!Environment.IsPrivilegedProcess) return "needs root to mount a file system";
        using var folder = new TemporaryFolder();
        try
        {
            SmallDisk.MountAsync(folder.Path, "64k").GetAwaiter().GetResult();
            SmallDisk.UnmountAsync(folder.Path).GetAwaiter().GetResult();
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return $"needs to mount a file system: {e.Message.Trim()}";
        }
    });

    public static string? TestData() => Repository.TestData is null ? "needs the test data folder (GUESTMARK_TESTDATA)" : null;

    public static string? Tools(string[] tools)
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        var missing = tools.Where(tool => !folders.Any(folder => File.Exists(Path.Combine(folder, tool)))).ToList();
        return missing.Count > 0 ? $"needs {string.Join(", ", missing)}" : null;
    }
}
