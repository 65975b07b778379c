using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;

namespace Guestmark.Node.Listening;

/// <summary>The file of a Unix socket, which outlives the process that made it and then stands in the way of the next.</summary>
static partial class UnixSocketFile
{
    const int CurrentFolder = -100;
    const int NoFollow = 0x100;
    const uint WithInode = 0x100;
    const int ReadOnlyNonBlockCloseOnExec = 0x8_0800;

    /// <summary>Makes the folder and removes a socket that nobody listens on.</summary>
    /// <param name="remedy">What to do when somebody listens on it.</param>
    /// <exception cref="AddressInUseException">Somebody listens on it.</exception>
    /// <exception cref="IOException">Something that is not a socket is in the way.</exception>
    public static void Prepare(string path, string remedy = "stop it or give this guest another socket")
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        if (!File.Exists(path)) return;

        // Without waiting: whoever listens with a full backlog would hold this process for as long as it likes.
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            // Nobody listens: left over from a process that ended. A plain file is refused like that too.
            if (CanBeOpened(path)) throw new IOException($"{path} is not a socket; move it away", e);
            File.Delete(path);
            return;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
        {
            // Somebody listens and does not accept.
        }

        throw new AddressInUseException($"another process listens on {path}; {remedy}");
    }

    /// <summary>Which file a path leads to now: its device and inode. Null when there is none.</summary>
    /// <remarks>A path may lead to another socket than the one that was bound: who may write to the folder can put one there.</remarks>
    public static UnixFileIdentity? Identify(string path)
    {
        if (statx(CurrentFolder, path, NoFollow, WithInode, out var found) != 0) return null;
        return new UnixFileIdentity(found.DeviceMajor, found.DeviceMinor, found.Inode);
    }

    /// <summary>open(2) of a socket fails with ENXIO. Of a FIFO without O_NONBLOCK it would wait for a writer.</summary>
    static bool CanBeOpened(string path)
    {
        var descriptor = open(path, ReadOnlyNonBlockCloseOnExec);
        if (descriptor < 0) return false;
        _ = close(descriptor);
        return true;
    }

    /// <summary>
    /// Sets the mode of a socket and of nothing that it was replaced by: who may write to the folder, a hypervisor, would otherwise put a link
    /// there between bind and this, and the node would change the mode of any file that is its own.
    /// </summary>
    /// <exception cref="IOException">It is a link now, or gone.</exception>
    public static void SetMode(string path, UnixFileMode mode)
    {
        if (fchmodat(CurrentFolder, path, (uint)mode, NoFollow) == 0) return;
        throw new IOException($"cannot set the mode of {path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int fchmodat(int folder, string path, uint mode, int flags);

    // A system call of Linux 4.11, whose structure is the same on all machines: stat(2) has another on each.
    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, out Statx found);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    /// <summary>struct statx of &lt;linux/stat.h&gt;, 256 bytes, of which what is needed has a name.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    struct Statx
    {
        [FieldOffset(32)]
        public ulong Inode;

        [FieldOffset(136)]
        public uint DeviceMajor;

        [FieldOffset(140)]
        public uint DeviceMinor;
    }
}

/// <summary>A file, whatever its name.</summary>
readonly record struct UnixFileIdentity(uint DeviceMajor, uint DeviceMinor, ulong Inode);
