using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;

namespace Guestmark.Spool;

/// <summary>
/// The bytes of a segment file. docs/spool-format.md draws the same layout: change both together, and the magic.
/// </summary>
/// <remarks>
/// <code>
/// file name   NNNNNNNNNNNNNNNNNNNN.spool   index of the first record, 20 decimal digits
/// header      8 bytes   "GMSPOOL1"
///             u64 LE    index of the first record, as in the name
/// record      u32 LE    length of the data in bytes, at least 1
///             u32 LE    CRC-32C of: length (u32 LE), index (u64 LE), data
///             u64 LE    index
///             data
/// </code>
/// The index is written, and covered by the checksum, so that records behind a damaged one can be found again.
/// </remarks>
static class SegmentFormat
{
    public const int HeaderBytes = 16;
    public const int RecordHeaderBytes = 16;
    public const string Extension = ".spool";

    static ReadOnlySpan<byte> Magic => "GMSPOOL1"u8;

    public static string FileName(ulong firstIndex) => firstIndex.ToString("D20", CultureInfo.InvariantCulture) + Extension;

    /// <summary>The first index that a file name stands for. False for any other file.</summary>
    public static bool TryParseFileName(string name, out ulong firstIndex)
    {
        firstIndex = 0;
        return name.Length == 20 + Extension.Length
            && name.EndsWith(Extension, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, 20), NumberStyles.None, CultureInfo.InvariantCulture, out firstIndex);
    }

    public static void WriteHeader(Span<byte> destination, ulong firstIndex)
    {
        Magic.CopyTo(destination);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], firstIndex);
    }

    /// <summary>Another version's file begins with the same letters.</summary>
    public static bool IsOtherVersion(ReadOnlySpan<byte> source) =>
        source.Length >= Magic.Length && source.StartsWith(Magic[..^1]) && source[Magic.Length - 1] != Magic[^1];

    public static bool IsHeader(ReadOnlySpan<byte> source, ulong firstIndex) =>
        source.Length >= HeaderBytes && source.StartsWith(Magic) && BinaryPrimitives.ReadUInt64LittleEndian(source[8..]) == firstIndex;

    public static void WriteRecordHeader(Span<byte> destination, ulong index, ReadOnlySpan<byte> data)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], Checksum(index, data));
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], index);
    }

    public static (uint Length, uint Checksum, ulong Index) ReadRecordHeader(ReadOnlySpan<byte> source) =>
        (BinaryPrimitives.ReadUInt32LittleEndian(source), BinaryPrimitives.ReadUInt32LittleEndian(source[4..]), BinaryPrimitives.ReadUInt64LittleEndian(source[8..]));

    public static uint Checksum(ulong index, ReadOnlySpan<byte> data)
    {
        var register = BitOperations.Crc32C(uint.MaxValue, (uint)data.Length);
        register = BitOperations.Crc32C(register, index);
        return ~Crc32C.Append(register, data);
    }
}
