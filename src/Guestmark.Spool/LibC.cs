using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>The calls that make data durable.</summary>
static partial class LibC
{
    const int FallocKeepSize = 1; // FALLOC_FL_KEEP_SIZE

    /// <summary>fdatasync(2): data and the file's length, but not its times, which would cost a second write of the inode.</summary>
    public static void FlushData(SafeFileHandle file)
    {
        if (fdatasync(file) != 0) throw new FlushException("fdatasync", Marshal.GetLastPInvokeError());
    }

    /// <summary>fsync(2) of a folder: without it a file that was just made may be gone after a power cut.</summary>
    public static void FlushDirectory(string path)
    {
        const int readOnlyDirectoryCloseOnExec = 0x10000 | 0x80000; // O_RDONLY | O_DIRECTORY | O_CLOEXEC
        using var directory = open(path, readOnlyDirectoryCloseOnExec);
        if (directory.IsInvalid || fsync(directory) != 0) throw new FlushException($"fsync of {path}", Marshal.GetLastPInvokeError());
    }

    /// <summary>
    /// fallocate(2) without changing the length: later writes find their place, so a flush has less of the file system's own to write (on ext4, 512 KiB
    /// at a time, it takes a quarter of the time). Where a file system or a full disk refuses, writing finds out by itself.
    /// </summary>
    public static void Reserve(SafeFileHandle file, long bytes) => _ = fallocate(file, FallocKeepSize, 0, bytes);

    /// <summary>Opens a file to look at it: the runtime's own opening would take a lock, and stop a process that wants it at that moment.</summary>
    public static SafeFileHandle OpenUnlocked(string path) => open(path, 0x80000); // O_RDONLY | O_CLOEXEC

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);
}

/// <summary>A flush failed: what is on disk is unknown.</summary>
sealed class FlushException(string call, int error) : IOException($"{call}: {new Win32Exception(error).Message}");
