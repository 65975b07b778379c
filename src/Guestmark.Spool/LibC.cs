using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>The two calls that make data durable.</summary>
static partial class LibC
{
    /// <summary>fdatasync(2): data and the file's length, but not its times, which would cost a second write of the inode.</summary>
    public static void FlushData(SafeFileHandle file)
    {
        if (fdatasync(file) != 0) throw new IOException("fdatasync: " + new Win32Exception(Marshal.GetLastPInvokeError()).Message);
    }

    /// <summary>fsync(2) of a folder: without it a file that was just made may be gone after a power cut.</summary>
    public static void FlushDirectory(string path)
    {
        const int readOnlyDirectoryCloseOnExec = 0x10000 | 0x80000; // O_RDONLY | O_DIRECTORY | O_CLOEXEC
        using var directory = open(path, readOnlyDirectoryCloseOnExec);
        if (directory.IsInvalid || fsync(directory) != 0)
            throw new IOException($"fsync of {path}: " + new Win32Exception(Marshal.GetLastPInvokeError()).Message);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);
}
