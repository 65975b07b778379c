using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>How far one of those who read a spool has come, in memory and in its file.</summary>
/// <remarks>
/// <code>
/// file  u64 LE  highest acknowledged index
///       u32 LE  CRC-32C of: 0 (u32), index (u64 LE)
/// </code>
/// Written in place, and flushed only before a segment is deleted: after a power cut some records come again, which every receiver must bear, but
/// a segment that is gone because it was acknowledged is never taken for lost.
/// </remarks>
sealed class SpoolReader : IDisposable
{
    public const string FileName = "acknowledged";
    const int Bytes = 12;

    readonly SafeFileHandle _file;
    bool _dirty;

    SpoolReader(string? name, SafeFileHandle file, ulong? acknowledged)
    {
        Name = name;
        _file = file;
        WasKnown = acknowledged is not null;
        Acknowledged = acknowledged ?? 0;
    }

    public string? Name { get; }

    /// <summary>Its file was there.</summary>
    public bool WasKnown { get; }

    public ulong Acknowledged { get; private set; }

    /// <summary>The last record that a live cursor of this reader has given out: it and those before it are under way.</summary>
    public ulong UnderWay { get; set; }

    public static SpoolReader Open(string directory, string? name)
    {
        var path = Path.Combine(directory, FileNameOf(name));
        var file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
        try
        {
            return new SpoolReader(name, file, Read(file));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public static string FileNameOf(string? name) => name is null ? FileName : $"{FileName}-{name}";

    /// <summary>What a file says. Null when it says nothing that can be trusted: everything is sent once more, which is safe.</summary>
    public static ulong? Read(SafeFileHandle file)
    {
        Span<byte> buffer = stackalloc byte[Bytes];
        if (RandomAccess.Read(file, buffer, 0) < Bytes) return null;
        var index = BinaryPrimitives.ReadUInt64LittleEndian(buffer);
        return BinaryPrimitives.ReadUInt32LittleEndian(buffer[8..]) == SegmentFormat.Checksum(index, default) ? index : null;
    }

    public void Advance(ulong index)
    {
        Acknowledged = index;
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
}
