namespace Guestmark.TestKit;

/// <summary>A new empty folder with a short path (a Unix socket's path has at most 107 bytes), removed at the end.</summary>
/// <param name="parent">Where. Null: where temporary files are.</param>
public sealed class TemporaryFolder(string? parent = null) : IDisposable
{
    /// <summary>For tests whose files are many and whose disk does not matter: a file system in memory, where there is one.</summary>
    public static string? Memory { get; } = Directory.Exists("/dev/shm") ? "/dev/shm" : null;

    public string Path { get; } = parent is null
        ? Directory.CreateTempSubdirectory("gm-").FullName
        : Directory.CreateDirectory(System.IO.Path.Combine(parent, $"gm-{Guid.NewGuid():N}"[..12])).FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Bytes of all files.</summary>
    public long Bytes() => Directory.EnumerateFiles(Path, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);

    public void Dispose() => Directory.Delete(Path, recursive: true);

    public override string ToString() => Path;
}
