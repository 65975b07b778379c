using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Inventory;

/// <summary>
/// The file tree of a guest, which may be mounted below a folder of another machine: nothing outside it is ever opened.
/// </summary>
/// <remarks>
/// A symbolic link is followed as the guest would follow it: an absolute target starts at the root of the guest, and <c>..</c>
/// stops there. The walk goes folder by folder with descriptors (openat, O_NOFOLLOW), so that a link which is put in place while
/// we look cannot lead outside. openat2(RESOLVE_IN_ROOT) would do the same in one call, but the kernel of RHEL 8 (4.18) lacks it.
/// </remarks>
sealed partial class GuestRoot : IDisposable
{
    // The kernel's own bound for one path (MAXSYMLINKS).
    const int LinksMax = 40;
    const int PathBytesMax = 4096;
    const int FolderEntriesMax = 100_000;

    readonly SafeFileHandle _root;

    GuestRoot(SafeFileHandle root) => _root = root;

    /// <summary>Opens the tree at <paramref name="hostPath"/>.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? TryOpen(string hostPath, out GuestRoot? root)
    {
        root = null;
        var handle = Native.Open(Native.CurrentFolder, Path.GetFullPath(hostPath), Native.OpenPathOnly | Native.OpenFolder);
        if (handle is null) return Native.LastError().Text;
        root = new GuestRoot(handle);
        return null;
    }

    /// <summary>Opens a regular file for reading. Never blocks: what is not a regular file is not opened.</summary>
    /// <param name="path">From the root, with or without a leading slash.</param>
    /// <param name="file">Null when there is an error, and when nothing has that name.</param>
    /// <returns>What is wrong; null on success and when nothing has that name.</returns>
    public string? TryOpenFile(string path, out GuestFile? file)
    {
        file = null;
        var folders = new FolderStack(_root);
        try
        {
            if (Walk(path, folders, out var name, out var found) is { } error) return error;
            if (!found) return null;
            if (name is null) return "is a folder, not a regular file";
            return GuestFolder.TryOpenFile(folders.Current, folders.Path, name, out file);
        }
        finally
        {
            folders.Clear();
        }
    }

    /// <summary>Opens a folder for listing, and for what lies in it.</summary>
    /// <param name="folder">Null when there is an error, and when nothing has that name.</param>
    /// <returns>What is wrong; null on success and when nothing has that name.</returns>
    public string? TryOpenFolder(string path, out GuestFolder? folder)
    {
        folder = null;
        var folders = new FolderStack(_root);
        try
        {
            if (Walk(path, folders, out var last, out var found) is { } error) return error;
            if (!found) return null;
            if (last is not null) return "is not a folder";
            var handle = Native.Open(folders.Current, ".", Native.OpenFolder);
            if (handle is null) return Native.LastError().Text;
            folder = new GuestFolder(handle, folders.Path);
            return null;
        }
        finally
        {
            folders.Clear();
        }
    }

    /// <summary>The state of a file or folder. Null when nothing has that name, and when it cannot be reached.</summary>
    public FileStatus? StatusOf(string path)
    {
        var folders = new FolderStack(_root);
        try
        {
            if (Walk(path, folders, out var name, out var found) is not null || !found) return null;
            return Native.TryStatus(folders.Current, name ?? "", out var status) ? status : null;
        }
        finally
        {
            folders.Clear();
        }
    }

    /// <summary>Names in a folder, sorted, at most <see cref="FolderEntriesMax"/>.</summary>
    /// <param name="names">Null when there is an error, and when there is no such folder.</param>
    /// <param name="foldersOnly">Whether only folders are wanted; a symbolic link is none.</param>
    /// <returns>What is wrong; null on success and when there is no such folder.</returns>
    public string? TryList(string path, out IReadOnlyList<string>? names, bool foldersOnly = false)
    {
        names = null;
        if (TryOpenFolder(path, out var opened) is { } error) return error;
        if (opened is null) return null;
        using var folder = opened;
        var found = new List<string>();
        using var entries = folder.Entries();
        while (entries.MoveNext())
        {
            if (foldersOnly && !folder.IsFolder(entries)) continue;
            if (found.Count == FolderEntriesMax) return $"has more than {FolderEntriesMax} entries";
            found.Add(Encoding.UTF8.GetString(entries.Name));
        }

        if (entries.Error is { } unread) return unread;
        found.Sort(StringComparer.Ordinal);
        names = found;
        return null;
    }

    public void Dispose() => _root.Dispose();

    /// <summary>Follows <paramref name="path"/> until its last component, which is left in <paramref name="name"/> unless it is a folder.</summary>
    static string? Walk(string path, FolderStack folders, out string? name, out bool found)
    {
        name = null;
        found = false;
        var pending = new Stack<string>();
        Push(path);
        var links = 0;
        Span<byte> target = stackalloc byte[PathBytesMax];
        while (pending.TryPop(out var component))
        {
            if (component == "..")
            {
                folders.Leave();
                continue;
            }

            if (!Native.TryStatus(folders.Current, component, out var status))
            {
                var error = Native.LastError();
                return error.IsAbsent ? null : error.Text;
            }

            if (status.IsLink)
            {
                if (++links > LinksMax) return $"leads through more than {LinksMax} symbolic links";
                var length = Native.ReadLink(folders.Current, component, target);
                if (length < 0) return Native.LastError().Text;
                if (length == target.Length) return "is a symbolic link with a too long target";
                if (length > 0 && target[0] == '/') folders.Clear();
                Push(Encoding.UTF8.GetString(target[..length]));
            }
            else if (status.IsFolder)
            {
                var folder = Native.Open(folders.Current, component, Native.OpenPathOnly | Native.OpenFolder | Native.OpenNoFollow);
                if (folder is null) return Native.LastError().Text;
                folders.Enter(component, folder);
            }
            else
            {
                // A file in the place of a folder: what is asked for cannot exist below it.
                if (pending.Count > 0) return null;
                name = component;
            }
        }

        found = true;
        return null;

        void Push(string text)
        {
            var components = text.Split('/', StringSplitOptions.RemoveEmptyEntries);
            for (var i = components.Length - 1; i >= 0; i--)
            {
                if (components[i] != ".") pending.Push(components[i]);
            }
        }
    }

    /// <summary>The folders between the root and where a walk stands.</summary>
    sealed class FolderStack(SafeFileHandle root)
    {
        readonly List<(string Name, SafeFileHandle Handle)> _entered = [];

        public SafeFileHandle Current => _entered.Count > 0 ? _entered[^1].Handle : root;

        public string Path
        {
            get
            {
                var path = new StringBuilder();
                foreach (var (name, _) in _entered) path.Append('/').Append(name);
                return path.ToString();
            }
        }

        public void Enter(string name, SafeFileHandle handle) => _entered.Add((name, handle));

        public void Leave()
        {
            if (_entered.Count == 0) return;
            _entered[^1].Handle.Dispose();
            _entered.RemoveAt(_entered.Count - 1);
        }

        public void Clear()
        {
            while (_entered.Count > 0) Leave();
        }
    }

    internal static partial class Native
    {
        // asm-generic/fcntl.h; O_NOFOLLOW and O_DIRECTORY differ on Arm and POWER.
        public const int OpenNonBlocking = 0x800;
        public const int OpenPathOnly = 0x20_0000;
        const int OpenCloseOnExec = 0x8_0000;

        const int NoSuchFile = 2;
        const int NotAFolder = 20;

        const int EmptyPath = 0x1000;
        const int DoNotFollow = 0x100;
        const uint BasicStatus = 0x7ff;
        const int StatusBytes = 256;

        static readonly bool ArmOrPower =
            RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Armv6 or Architecture.Arm64 or Architecture.Ppc64le;

        // asm/unistd.h of each architecture that .NET runs on.
        static nint GetDirectoryEntries => RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => 217,
            Architecture.Ppc64le => 202,
            Architecture.S390x or Architecture.X86 => 220,
            Architecture.Arm or Architecture.Armv6 => 217,
            // asm-generic/unistd.h: Arm64, RISC-V, LoongArch.
            _ => 61,
        };

        public static int OpenNoFollow => ArmOrPower ? 0x8000 : 0x2_0000;

        public static int OpenFolder => ArmOrPower ? 0x4000 : 0x1_0000;

        /// <summary>AT_FDCWD, for absolute paths.</summary>
        public static SafeFileHandle CurrentFolder { get; } = new(-100, ownsHandle: false);

        public static SafeFileHandle? Open(SafeFileHandle folder, string path, int flags)
        {
            var descriptor = openat(Descriptor(folder), path, flags | OpenCloseOnExec, 0);
            GC.KeepAlive(folder);
            return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
        }

        /// <summary>getdents64(2): the next entries of a folder that is open for reading.</summary>
        /// <remarks>
        /// By its number: glibc has a function for it from 2.30 on, and that of RHEL 8 is 2.28. Not through /proc/self/fd, which may not be mounted.
        /// </remarks>
        /// <returns>Bytes that were filled; 0 at the end; negative for an error.</returns>
        public static int ReadFolder(SafeFileHandle folder, Span<byte> entries)
        {
            var length = syscall(GetDirectoryEntries, Descriptor(folder), entries, (nuint)entries.Length);
            GC.KeepAlive(folder);
            return (int)length;
        }

        public static int ReadLink(SafeFileHandle folder, string path, Span<byte> target)
        {
            var length = readlinkat(Descriptor(folder), path, target, (nuint)target.Length);
            GC.KeepAlive(folder);
            return (int)length;
        }

        /// <summary>statx(2) of a name in a folder, or of the folder's own descriptor when the name is empty.</summary>
        /// <remarks>
        /// struct statx, the same on every architecture:
        /// <code>u16 mode @28, u64 ino @32, u64 size @40, mtime {i64 sec, u32 nsec} @112, u32 dev_major @136, u32 dev_minor @140</code>
        /// </remarks>
        public static bool TryStatus(SafeFileHandle folder, string path, out FileStatus status)
        {
            Span<byte> buffer = stackalloc byte[StatusBytes];
            var result = statx(Descriptor(folder), path, path.Length == 0 ? EmptyPath : DoNotFollow, BasicStatus, buffer);
            GC.KeepAlive(folder);
            status = result < 0 ? default : new FileStatus(
                Host<ushort>(buffer[28..]),
                ((ulong)Host<uint>(buffer[136..]) << 32) | Host<uint>(buffer[140..]),
                Host<ulong>(buffer[32..]),
                Host<long>(buffer[40..]),
                Host<long>(buffer[112..]),
                Host<uint>(buffer[120..]));
            return result >= 0;

            static T Host<T>(ReadOnlySpan<byte> bytes) where T : unmanaged => MemoryMarshal.Read<T>(bytes);
        }

        /// <summary>fstatfs(2): the number of the type of the file system that something open is in.</summary>
        /// <remarks>
        /// struct statfs begins with f_type: 4 bytes on s390x, elsewhere a long, whose first 4 bytes hold it, for all of these are little-endian.
        /// The largest, of 64 bits, has 120 bytes.
        /// </remarks>
        public static bool TryFileSystemType(SafeFileHandle handle, out uint type)
        {
            Span<byte> buffer = stackalloc byte[StatusBytes];
            var result = fstatfs(Descriptor(handle), buffer);
            GC.KeepAlive(handle);
            type = MemoryMarshal.Read<uint>(buffer);
            return result >= 0;
        }

        public static (bool IsAbsent, string Text) LastError()
        {
            var error = Marshal.GetLastPInvokeError();
            return (error is NoSuchFile or NotAFolder, Marshal.GetPInvokeErrorMessage(error));
        }

        static int Descriptor(SafeFileHandle handle) => (int)handle.DangerousGetHandle();

        [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        private static partial int openat(int folder, string path, int flags, int mode);

        [LibraryImport("libc", SetLastError = true)]
        private static partial nint syscall(nint number, nint folder, Span<byte> entries, nuint size);

        [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        private static partial nint readlinkat(int folder, string path, Span<byte> buffer, nuint size);

        [LibraryImport("libc", SetLastError = true)]
        private static partial int fstatfs(int descriptor, Span<byte> buffer);

        [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        private static partial int statx(int folder, string path, int flags, uint mask, Span<byte> buffer);
    }
}

/// <summary>What tells one file, and one state of it, from another.</summary>
readonly record struct FileStatus(ushort Mode, ulong Device, ulong Inode, long Size, long ModifiedSeconds, uint ModifiedNanoseconds)
{
    const int TypeMask = 0xf000;

    /// <summary>Milliseconds since 1970.</summary>
    public long ModifiedMilliseconds => (ModifiedSeconds * 1000) + (ModifiedNanoseconds / 1_000_000);

    public bool IsRegularFile => (Mode & TypeMask) == 0x8000;

    public bool IsFolder => (Mode & TypeMask) == 0x4000;

    public bool IsLink => (Mode & TypeMask) == 0xa000;

    /// <summary>Whether anybody may execute it.</summary>
    public bool IsExecutable => (Mode & 0x49) != 0;
}

/// <summary>An open regular file of a guest.</summary>
sealed class GuestFile(SafeFileHandle handle, string path, FileStatus openedAs) : IDisposable
{
    public SafeFileHandle Handle => handle;

    /// <summary>Its path from the root of the guest, with a leading slash and without symbolic links.</summary>
    public string Path => path;

    /// <summary>What the file was when it was opened.</summary>
    public FileStatus OpenedAs => openedAs;

    /// <summary>Reads bytes of the file.</summary>
    /// <returns>How many; 0 at its end.</returns>
    /// <exception cref="IOException">The kernel does not give them, for whatever reason.</exception>
    public int Read(Span<byte> buffer, long offset) => Read(handle, buffer, offset);

    /// <inheritdoc cref="Read(Span{byte}, long)"/>
    public static int Read(SafeFileHandle file, Span<byte> buffer, long offset)
    {
        try
        {
            return RandomAccess.Read(file, buffer, offset);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or ArgumentOutOfRangeException or NotSupportedException)
        {
            // .NET's words for EACCES and EPERM (which network file systems give to an open file), EFBIG and ESPIPE.
            throw new IOException(e.Message, e);
        }
    }

    /// <summary>The state of the file now.</summary>
    /// <exception cref="IOException">The kernel cannot tell.</exception>
    public FileStatus Status =>
        GuestRoot.Native.TryStatus(handle, "", out var status) ? status : throw new IOException(GuestRoot.Native.LastError().Text);

    public void Dispose() => handle.Dispose();
}
