namespace Guestmark.TestKit;

/// <summary>A new empty folder with a short path (a Unix socket's path has at most 107 bytes), removed at the end.</summary>
public sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("gm-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Bytes of all files.</summary>
    public long Bytes() => Directory.EnumerateFiles(Path, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length);

    public void Dispose() => Directory.Delete(Path, recursive: true);

    public override string ToString() => Path;
}
