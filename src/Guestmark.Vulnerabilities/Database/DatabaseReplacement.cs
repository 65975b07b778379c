using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The right to replace a database file, which one process and one of its builders has at a time, and the replacing: a new file beside it,
/// on disk before it gets the name.
/// </summary>
/// <remarks>
/// The right is a lock of fcntl(2) on <c>PATH.lock</c>, which ends with its process however that ends. The file holds the process id of the
/// one that has it, who removes it at the end. Whoever opened it before and locks it after that has a file without a name, and tries again.
/// </remarks>
sealed partial class DatabaseReplacement : IDisposable
{
    // A process does not stand in its own way with fcntl's locks, and loses them with the first descriptor of the file that it closes.
    static readonly HashSet<string> InThisProcess = new(StringComparer.Ordinal);

    readonly FileStream _lock;

    DatabaseReplacement(string path, FileStream @lock)
    {
        Path = path;
        _lock = @lock;
    }

    /// <summary>Of the database, absolute.</summary>
    public string Path { get; }

    /// <summary>Takes the right, and removes what a process that was killed has left.</summary>
    /// <exception cref="AdvisoryDatabaseException">Another has it.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static DatabaseReplacement Take(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        var name = path + ".lock";
        lock (InThisProcess)
        {
            if (!InThisProcess.Add(name)) throw Taken(path, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        }

        FileStream? file = null;
        try
        {
            do
            {
                file?.Dispose();
                file = new FileStream(name, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
                Lock(file, path);
            }
            while (IsRemoved(file));

            file.SetLength(0);
            file.Write(Encoding.ASCII.GetBytes($"{Environment.ProcessId}\n"));
            Sweep(path);
            return new DatabaseReplacement(path, file);
        }
        catch
        {
            file?.Dispose();
            lock (InThisProcess) InThisProcess.Remove(name);
            throw;
        }
    }

    /// <summary>A name that no file has, which <see cref="Take"/> knows as one of ours when it is left over.</summary>
    public static string TemporaryPath(string path) => $"{path}.{Guid.NewGuid():N}.tmp";

    /// <summary>Replaces the database. Whoever opens it sees the former file or the whole new one, after a power cut as well.</summary>
    /// <param name="write">Writes the file; it need not flush.</param>
    public void Replace(Action<FileStream> write)
    {
        var temporary = TemporaryPath(Path);
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, Path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }

        FlushFolder(System.IO.Path.GetDirectoryName(Path)!);
    }

    public void Dispose()
    {
        lock (InThisProcess)
        {
            File.Delete(_lock.Name);
            _lock.Dispose();
            InThisProcess.Remove(_lock.Name);
        }
    }

    static void Lock(FileStream file, string path)
    {
        try
        {
            file.Lock(0, 1);
        }
        catch (IOException)
        {
            var owner = new byte[16];
            throw Taken(path, Encoding.ASCII.GetString(owner, 0, file.ReadAtLeast(owner, owner.Length, throwOnEndOfStream: false)).Trim());
        }
    }

    static bool IsRemoved(FileStream file) =>
        new FileInfo($"/proc/self/fd/{file.SafeFileHandle.DangerousGetHandle()}").LinkTarget?.EndsWith(" (deleted)", StringComparison.Ordinal) == true;

    static void Sweep(string path)
    {
        var pattern = $"{System.IO.Path.GetFileName(path)}.{new string('?', 32)}.tmp";
        foreach (var left in Directory.EnumerateFiles(System.IO.Path.GetDirectoryName(path)!, pattern)) File.Delete(left);
    }

    static AdvisoryDatabaseException Taken(string path, string owner) =>
        new($"{path}: process {(owner.Length > 0 ? owner : "unknown")} is changing it: wait until that has ended and try again");

    static void FlushFolder(string path)
    {
        const int readOnlyDirectoryCloseOnExec = 0x10000 | 0x80000; // O_RDONLY | O_DIRECTORY | O_CLOEXEC
        using var folder = open(path, readOnlyDirectoryCloseOnExec);
        if (folder.IsInvalid || fsync(folder) != 0)
            throw new IOException($"fsync of {path}: " + new Win32Exception(Marshal.GetLastPInvokeError()).Message);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);
}
