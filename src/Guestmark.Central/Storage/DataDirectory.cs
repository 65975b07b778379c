using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Storage;

/// <summary>
/// The folder of the database, the keys of sessions and the API token. What is in it gives access to everything Central knows, so it is for
/// this user only: folders have mode 0700 and files 0600, also when they were there before with others, as after a restore.
/// </summary>
sealed partial class DataDirectory
{
    const UnixFileMode OwnerFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode OwnerFolder = OwnerFile | UnixFileMode.UserExecute;

    readonly List<(string Path, UnixFileMode Before)> _mended = [];

    DataDirectory(DirectoryInfo keys) => Keys = keys;

    public DirectoryInfo Keys { get; }

    /// <summary>Makes what is absent and mends the modes of what is there.</summary>
    /// <exception cref="CentralStoreException">The folder cannot be made or its modes cannot be set.</exception>
    public static DataDirectory Open(CentralOptions options)
    {
        try
        {
            if (OperatingSystem.IsWindows()) return new DataDirectory(Directory.CreateDirectory(options.KeysDirectory));
            var isNew = !File.Exists(options.DatabasePath) && !File.Exists(options.ApiTokenPath);
            Directory.CreateDirectory(options.DataDirectory, OwnerFolder);
            var opened = new DataDirectory(Directory.CreateDirectory(options.KeysDirectory, OwnerFolder));
            opened.Mend(options.DataDirectory, OwnerFolder);
            opened.Mend(options.KeysDirectory, OwnerFolder);
            // SQLite gives the files beside the database its mode.
            CreateFile(options.DatabasePath);
            foreach (var path in (string[])[options.DatabasePath, options.DatabasePath + "-wal", options.DatabasePath + "-shm", options.ApiTokenPath])
            {
                if (File.Exists(path)) opened.Mend(path, OwnerFile);
            }

            // Nobody could reach anything in a folder that held nothing, as when someone made it for Central.
            if (isNew) opened._mended.Clear();
            return opened;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CentralStoreException(
                $"cannot make the data directory '{options.DataDirectory}' or keep it to this user: {e.Message}. Set DataDirectory to a folder that " +
                "belongs to this user, or give it and the files in it to this user", e);
        }
    }

    /// <summary>Says which modes were wrong, once.</summary>
    public void LogMended(ILogger logger)
    {
        foreach (var (path, before) in _mended) LogMended(logger, path, Convert.ToString((int)before, 8));
        _mended.Clear();
    }

    static void CreateFile(string path)
    {
        if (File.Exists(path)) return;
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerFile });
    }

    void Mend(string path, UnixFileMode mode)
    {
        // A folder made in one with the set-group-ID bit has it too, which lets nobody in.
        var before = File.GetUnixFileMode(path) & ~(UnixFileMode.SetGroup | UnixFileMode.SetUser | UnixFileMode.StickyBit);
        if (before == mode) return;
        File.SetUnixFileMode(path, mode);
        _mended.Add((path, before));
    }

    [LoggerMessage(6203, LogLevel.Warning, "'{Path}' had mode {Before}: others could reach it. Only this user can now", EventName = "ModeMended")]
    static partial void LogMended(ILogger logger, string path, string before);
}
