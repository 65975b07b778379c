using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Vulnerabilities;

/// <summary>Opens files of a folder that others write into.</summary>
static partial class RegularFile
{
    const int ReadOnlyNonBlockingCloseOnExec = 0x800 | 0x80000; // O_RDONLY | O_NONBLOCK | O_CLOEXEC

    /// <summary>The file; null when it is a pipe, a socket or a device, which could be read for ever. Opening a pipe would wait for a writer.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static FileStream? Open(string path)
    {
        var handle = open(path, ReadOnlyNonBlockingCloseOnExec);
        if (handle.IsInvalid)
        {
            var error = new Win32Exception(Marshal.GetLastPInvokeError()).Message;
            handle.Dispose();
            throw new IOException($"{path}: {error}.");
        }

        var stream = new FileStream(handle, FileAccess.Read, bufferSize: 0);
        if (stream.CanSeek) return stream;
        stream.Dispose();
        return null;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);
}
