using Guestmark.CommandLine;

namespace Guestmark;

/// <summary>A folder that belongs to one process at a time.</summary>
static class DataFolder
{
    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Makes a folder within it that nobody else may enter, or closes one that is there.</summary>
    public static void MakePrivate(string path)
    {
        Directory.CreateDirectory(path, OwnerOnly);
        File.SetUnixFileMode(path, OwnerOnly);
    }

    /// <summary>The same where the folder is this process's own. A volume of Kubernetes is root's, with a group for this process, and stays as it was mounted.</summary>
    public static void CloseToOthers(string path)
    {
        Directory.CreateDirectory(path, OwnerOnly);
        try
        {
            File.SetUnixFileMode(path, OwnerOnly);
        }
        catch (UnauthorizedAccessException)
        {
            // Not the owner. What is in it is closed in any case.
        }
    }

    /// <summary>Makes the folder, for its owner only, and takes it for this process until the result is disposed.</summary>
    /// <exception cref="CommandException">It cannot be made or written, or another process has it.</exception>
    public static FileStream Hold(string path)
    {
        try
        {
            Directory.CreateDirectory(path, OwnerOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"--data {path}: the folder cannot be made: {e.Message} Choose a folder that you may write to.", e);
        }

        var file = Path.Combine(path, "lock");
        try
        {
            // FileShare.None takes flock(LOCK_EX): a second process is refused at once.
            return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or FileNotFoundException) && File.Exists(file))
        {
            throw new CommandException($"--data {path}: another guestmark is running with it. Stop it, or choose another folder.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"--data {path}: {e.Message} Choose a folder that you may write to.", e);
        }
    }
}
