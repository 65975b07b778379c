using System.Buffers;
using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Inventory;

/// <summary>An open folder of a guest. What lies in it is reached by one name at a time, and never through a symbolic link.</summary>
sealed class GuestFolder(SafeFileHandle handle, string path) : IDisposable
{
    public SafeFileHandle Handle => handle;

    /// <summary>Its path from the root of the guest, with a leading slash and without symbolic links. Empty for the root.</summary>
    public string Path => path;

    /// <summary>The state of the folder now.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public string? TryStatus(out FileStatus status) => GuestRoot.Native.TryStatus(handle, "", out status) ? null : GuestRoot.Native.LastError().Text;

    /// <summary>The number of the type of its file system (statfs(2), f_type).</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public string? TryFileSystemType(out uint type) => GuestRoot.Native.TryFileSystemType(handle, out type) ? null : GuestRoot.Native.LastError().Text;

    /// <summary>The state of something in the folder, a symbolic link's own. False when it is not there.</summary>
    public bool TryStatus(string name, out FileStatus status)
    {
        status = default;
        return IsName(name) && GuestRoot.Native.TryStatus(handle, name, out status);
    }

    /// <summary>The entries in the order of the file system, without <c>.</c> and <c>..</c>. One listing at a time.</summary>
    public FolderEntries Entries() => new(handle);

    /// <summary>Whether an entry is a folder. Some file systems do not say so in the listing, and are asked.</summary>
    public bool IsFolder(in FolderEntries entry) => TypeOf(entry) == EntryType.Folder;

    /// <summary>What an entry is, asked of the file system where its listing does not say so.</summary>
    public EntryType TypeOf(in FolderEntries entry)
    {
        if (entry.Type != EntryType.Unknown) return entry.Type;
        if (!TryStatus(System.Text.Encoding.UTF8.GetString(entry.Name), out var status)) return EntryType.Unknown;
        return status.IsFolder ? EntryType.Folder : status.IsRegularFile ? EntryType.RegularFile : EntryType.Other;
    }

    /// <summary>Opens a folder in this one.</summary>
    /// <param name="folder">Null when there is an error, and when nothing has that name.</param>
    /// <returns>What is wrong, as that it is a symbolic link; null on success and when nothing has that name.</returns>
    public string? TryEnter(string name, out GuestFolder? folder)
    {
        folder = null;
        if (!IsName(name)) return null;
        var opened = GuestRoot.Native.Open(handle, name,
            GuestRoot.Native.OpenFolder | GuestRoot.Native.OpenNoFollow | GuestRoot.Native.OpenNonBlocking);
        if (opened is null)
        {
            var error = GuestRoot.Native.LastError();
            return error.IsAbsent ? null : error.Text;
        }

        folder = new GuestFolder(opened, path + "/" + name);
        return null;
    }

    /// <summary>Opens a regular file in this folder for reading. Never blocks: what is not a regular file is not opened.</summary>
    /// <param name="file">Null when there is an error, and when nothing has that name.</param>
    /// <returns>What is wrong; null on success and when nothing has that name.</returns>
    public string? TryOpenFile(string name, out GuestFile? file)
    {
        file = null;
        return IsName(name) ? TryOpenFile(handle, path, name, out file) : null;
    }

    public void Dispose() => handle.Dispose();

    /// <inheritdoc cref="TryOpenFile(string, out GuestFile?)"/>
    internal static string? TryOpenFile(SafeFileHandle folder, string folderPath, string name, out GuestFile? file)
    {
        file = null;
        if (!GuestRoot.Native.TryStatus(folder, name, out var status))
        {
            var error = GuestRoot.Native.LastError();
            return error.IsAbsent ? null : error.Text;
        }

        if (!status.IsRegularFile) return "is not a regular file";
        var opened = GuestRoot.Native.Open(folder, name, GuestRoot.Native.OpenNonBlocking | GuestRoot.Native.OpenNoFollow);
        if (opened is null) return GuestRoot.Native.LastError().Text;
        if (!GuestRoot.Native.TryStatus(opened, "", out status) || !status.IsRegularFile)
        {
            opened.Dispose();
            return "changed while it was opened";
        }

        file = new GuestFile(opened, folderPath + "/" + name, status);
        return null;
    }

    // A name may come out of a file of the guest: a slash or dots would lead elsewhere.
    static bool IsName(string name) => name is not ("" or "." or "..") && !name.Contains('/') && !name.Contains('\0');
}

/// <summary>What an entry of a folder is, by the numbers of <c>d_type</c> (readdir(3)); links, devices and sockets are all the same to us.</summary>
enum EntryType
{
    Unknown = 0,
    Folder = 4,
    RegularFile = 8,
    Other = 255,
}

/// <summary>Lists a folder without a copy of its names.</summary>
/// <remarks>
/// struct linux_dirent64 (getdents(2)), in the machine's byte order:
/// <code>u64 ino @0, i64 off @8, u16 reclen @16, u8 type @18, name with a 0 behind it @19</code>
/// </remarks>
ref struct FolderEntries(SafeFileHandle folder)
{
    const int BufferBytes = 32 * 1024;
    const int LengthOffset = 16;
    const int TypeOffset = 18;
    const int NameOffset = 19;

    byte[]? _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
    int _next;
    int _filled;

    /// <summary>The name of the entry, valid until the next call.</summary>
    public ReadOnlySpan<byte> Name { get; private set; }

    public EntryType Type { get; private set; }

    /// <summary>Why the listing ended early. Null when it was whole.</summary>
    public string? Error { get; private set; }

    public bool MoveNext()
    {
        while (_buffer is not null)
        {
            if (_next == _filled)
            {
                _filled = GuestRoot.Native.ReadFolder(folder, _buffer);
                _next = 0;
                if (_filled < 0) Error = GuestRoot.Native.LastError().Text;
                if (_filled <= 0) break;
            }

            var entry = _buffer.AsSpan(_next, _filled - _next);
            var length = BitConverter.IsLittleEndian
                ? BinaryPrimitives.ReadUInt16LittleEndian(entry[LengthOffset..]) : BinaryPrimitives.ReadUInt16BigEndian(entry[LengthOffset..]);
            _next += length;
            var name = entry[NameOffset..length];
            Name = name[..name.IndexOf((byte)0)];
            Type = entry[TypeOffset] switch
            {
                0 => EntryType.Unknown,
                (byte)EntryType.Folder => EntryType.Folder,
                (byte)EntryType.RegularFile => EntryType.RegularFile,
                _ => EntryType.Other,
            };
            if (!Name.SequenceEqual("."u8) && !Name.SequenceEqual(".."u8)) return true;
        }

        _filled = _next = 0;
        Dispose();
        return false;
    }

    public void Dispose()
    {
        if (_buffer is null) return;
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = null;
    }
}
