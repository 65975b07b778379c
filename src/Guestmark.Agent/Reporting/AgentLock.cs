using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Agent.Reporting;

/// <summary>One agent per channel: two would send each report twice. The lock ends with the process, however that ends.</summary>
sealed partial class AgentLock : IDisposable
{
    /// <summary>Root's is not <c>/run/lock</c>, where on many systems anybody may put a folder of this name, or a link.</summary>
    public static string Folder { get; } =
        Path.Combine(Environment.IsPrivilegedProcess ? "/run" : Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") ?? "/run", "guestmark-agent");

    const int ExclusiveNonBlocking = 2 | 4;
    const int WouldBlock = 11;
    const int ReadWriteCreateCloseOnExec = 2 | 0x40 | 0x8_0000;
    // What the number is written into must be the lock and not what a link leads to.
    static readonly int NoFollow = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x8000 : 0x2_0000;
    const int OwnerOnly = 0b110_000_000;
    const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    readonly SafeFileHandle _file;

    AgentLock(SafeFileHandle file) => _file = file;

    /// <summary>Takes the lock.</summary>
    /// <param name="file">Created when absent, with its folder. It holds the number of the process that has the lock.</param>
    /// <param name="holder">Who has it; null when this process took it, and when nobody can (the reason is <paramref name="unavailable"/>).</param>
    public static AgentLock? TryTake(string file, out string? holder, out string? unavailable)
    {
        holder = null;
        unavailable = null;
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(file))!, FolderMode);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            unavailable = e.Message;
            return null;
        }

        // Not File.OpenHandle: that takes a lock of its own, and so cannot read who has this one.
        var descriptor = open(file, ReadWriteCreateCloseOnExec | NoFollow, OwnerOnly);
        if (descriptor < 0)
        {
            unavailable = Marshal.GetLastPInvokeErrorMessage();
            return null;
        }

        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (flock(descriptor, ExclusiveNonBlocking) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            Span<byte> text = stackalloc byte[16];
            var read = error == WouldBlock ? RandomAccess.Read(handle, text, 0) : 0;
            handle.Dispose();
            if (error != WouldBlock) unavailable = Marshal.GetPInvokeErrorMessage(error);
            else holder = Encoding.ASCII.GetString(text[..read]).Trim();
            return null;
        }

        try
        {
            RandomAccess.SetLength(handle, 0);
            RandomAccess.Write(handle, Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"), 0);
            return new AgentLock(handle);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            // A pipe or a device, or a full disk.
            handle.Dispose();
            unavailable = e.Message;
            return null;
        }
    }

    public void Dispose() => _file.Dispose();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(int descriptor, int operation);
}
