using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>One index in a file of its own, written in place.</summary>
/// <remarks>
/// <code>
/// file  u64 LE  the index
///       u32 LE  CRC-32C of: 0 (u32), index (u64 LE)
/// </code>
/// </remarks>
sealed class PositionFile : IDisposable
{
    const int Bytes = 12;

    readonly SafeFileHandle _file;
    bool _dirty;

    PositionFile(SafeFileHandle file, ulong? index)
    {
        _file = file;
        AtOpening = index;
    }

    /// <summary>What the file said when it was opened. Null: nothing that can be trusted.</summary>
    public ulong? AtOpening { get; }

    /// <summary>Opens the file, which is made where there is none.</summary>
    public static PositionFile Open(string path)
    {
        var file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
        try
        {
            return new PositionFile(file, Read(file));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>What a file says beside the process that has it open. Null: nothing that can be trusted, or there is none.</summary>
    public static ulong? Read(string path)
    {
        try
        {
            using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return Read(file);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    /// <exception cref="IOException">What the file says now is unknown.</exception>
    public void Write(ulong index)
    {
        Span<byte> buffer = stackalloc byte[Bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(buffer, index);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[8..], SegmentFormat.Checksum(index, default));
        _dirty = true;
        RandomAccess.Write(_file, buffer, 0);
    }

    /// <exception cref="IOException">What is on disk is unknown.</exception>
    public void Flush()
    {
        if (!_dirty) return;
        _dirty = false;
        try
        {
            LibC.FlushData(_file);
        }
        catch
        {
            _dirty = true;
            throw;
        }
    }

    public void Dispose() => _file.Dispose();

    static ulong? Read(SafeFileHandle file)
    {
        Span<byte> buffer = stackalloc byte[Bytes];
        if (RandomAccess.Read(file, buffer, 0) < Bytes) return null;
        var index = BinaryPrimitives.ReadUInt64LittleEndian(buffer);
        return BinaryPrimitives.ReadUInt32LittleEndian(buffer[8..]) == SegmentFormat.Checksum(index, default) ? index : null;
    }
}
