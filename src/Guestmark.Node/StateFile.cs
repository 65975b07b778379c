using Guestmark.Spool;

namespace Guestmark.Node;

/// <summary>Files in the data folder that are replaced as a whole.</summary>
static class StateFile
{
    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Replaces a file: after a crash it has what it had before or this.</summary>
    /// <exception cref="IOException">The disk refused it; what was there is still there.</exception>
    public static void Replace(string path, Action<Stream> write)
    {
        var next = path + ".new";
        using (var file = new FileStream(next, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = OwnerOnly }))
        {
            write(file);
            file.Flush(flushToDisk: true);
        }

        File.Move(next, path, overwrite: true);
        LibC.FlushDirectory(Path.GetDirectoryName(path)!);
    }
}
