using System.Runtime.InteropServices;
using Guestmark.Inventory;

namespace Guestmark.Agent;

/// <summary>Notices that something changed in the folders of the package databases (inotify(7)).</summary>
/// <remarks>
/// What changed is not looked at: the databases' fingerprint tells. Events come by the thousand while a transaction writes; the
/// thread therefore waits <see cref="Pause"/> after each look, while the kernel's queue fills and, when it is full, drops.
/// </remarks>
sealed partial class DatabaseWatch : IDisposable
{
    static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    const int NonBlockingCloseOnExec = 0x800 | 0x8_0000;
    // MOVED_FROM, MOVED_TO, CREATE, DELETE, DELETE_SELF, MOVE_SELF, and only folders.
    const uint NamesChange = 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x100_0000;
    // MODIFY, ATTRIB.
    const uint Changes = NamesChange | 0x2 | 0x4;
    const short PollIn = 1;

    readonly int _inotify;
    readonly int _stop;
    readonly Thread _thread;
    readonly ChangeSignal _signal;

    DatabaseWatch(int inotify, int stop, ChangeSignal signal)
    {
        _signal = signal;
        _inotify = inotify;
        _stop = stop;
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "database watch" };
        _thread.Start();
    }

    /// <returns>Null with <paramref name="error"/> when the kernel gives no watch; then only the interval finds changes.</returns>
    public static DatabaseWatch? TryStart(ChangeSignal signal, out string? error)
    {
        error = null;
        var inotify = inotify_init1(NonBlockingCloseOnExec);
        if (inotify < 0)
        {
            error = Marshal.GetLastPInvokeErrorMessage();
            return null;
        }

        var stop = eventfd(0, NonBlockingCloseOnExec);
        if (stop >= 0) return new DatabaseWatch(inotify, stop, signal);
        error = Marshal.GetLastPInvokeErrorMessage();
        close(inotify);
        return null;
    }

    /// <summary>
    /// Watches the folders of everything that a scan reads, and those above them. To be called at each change: a folder may be another one
    /// now. One that is watched already changes nothing.
    /// </summary>
    public void WatchDatabases(string hostPath) =>
        // By the descriptor: a path would be walked by the kernel, along links that may lead out of the guest.
        WatchedFolders.Visit(hostPath, (folder, isAbove) =>
            inotify_add_watch(_inotify, $"/proc/self/fd/{folder.DangerousGetHandle()}", isAbove ? NamesChange : Changes));

    public void Dispose()
    {
        Span<byte> one = [1, 0, 0, 0, 0, 0, 0, 0];
        write(_stop, one, (nuint)one.Length);
        _thread.Join();
        close(_inotify);
        close(_stop);
    }

    void Run()
    {
        Span<PollDescriptor> descriptors = [new() { Descriptor = _stop, Events = PollIn }, new() { Descriptor = _inotify, Events = PollIn }];
        Span<byte> events = stackalloc byte[16 * 1024];
        while (true)
        {
            poll(descriptors, (nuint)descriptors.Length, -1);
            if (descriptors[0].Returned != 0) return;
            while (read(_inotify, events, (nuint)events.Length) > 0)
            {
            }

            _signal.Raise();
            poll(descriptors, 1, (int)Pause.TotalMilliseconds);
            if (descriptors[0].Returned != 0) return;
        }
    }

    struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int inotify_init1(int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int inotify_add_watch(int inotify, string folder, uint mask);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint value, int flags);

    [LibraryImport("libc")]
    private static partial int poll(Span<PollDescriptor> descriptors, nuint count, int milliseconds);

    [LibraryImport("libc")]
    private static partial nint read(int descriptor, Span<byte> buffer, nuint size);

    [LibraryImport("libc")]
    private static partial nint write(int descriptor, ReadOnlySpan<byte> buffer, nuint size);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);
}
