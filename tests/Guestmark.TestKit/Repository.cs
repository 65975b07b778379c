namespace Guestmark.TestKit;

/// <summary>Where the sources and the test data lie on this machine.</summary>
public static class Repository
{
    /// <summary>The folder that holds Guestmark.slnx.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Real data that is not part of the project: <c>$GUESTMARK_TESTDATA</c>, or <c>../shared/testdata</c> beside it. Null when absent.</summary>
    public static string? TestData { get; } = FindTestData();

    /// <summary>A file or folder of the test data. Only for tests marked <see cref="TestDataFactAttribute"/>.</summary>
    public static string TestDataPath(string relative) =>
        Path.Combine(TestData ?? throw new InvalidOperationException("test data is absent: mark the test [TestDataFact]"), relative);

    static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Guestmark.slnx"))) return folder.FullName;
        }

        throw new InvalidOperationException($"no Guestmark.slnx above {AppContext.BaseDirectory}");
    }

    static string? FindTestData()
    {
        var folder = Environment.GetEnvironmentVariable("GUESTMARK_TESTDATA") ?? Path.Combine(Root, "..", "shared", "testdata");
        return Directory.Exists(folder) ? Path.GetFullPath(folder) : null;
    }
}
