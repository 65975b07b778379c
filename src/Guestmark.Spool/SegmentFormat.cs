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
/// header      8 bytes   "GMSPOOL2"
///             u64 LE    index of the first record, as in the name
///             u64 LE    the spool's secret, never 0
///             u32 LE    CRC-32C of the 24 bytes before
///             u32 LE    0
/// record      u32 LE    length of the data in bytes, at least 1
///             u32 LE    CRC-32C of: length (u32 LE), index (u64 LE), data
///             u64 LE    index XOR the spool's secret
///             data
/// </code>
/// The index is written, and covered by the checksum, so that records behind a damaged one can be found again. The data is a guest's, and may look
/// like records: without the secret, which nobody outside the host sees, none of them has an index that can follow (one in 2^38 for a segment of
/// 64 MiB) and a checksum that fits it (together one in 2^64).
/// <para>"GMSPOOL1", of version 0.1, has a header of 16 bytes and no secret. It is read, but behind damage nothing in it is searched for.</para>
/// </remarks>
static class SegmentFormat
{
    public const int HeaderBytes = 32;
    public const int HeaderBytesWithoutSecret = 16;
    public const int RecordHeaderBytes = 16;
    public const string Extension = ".spool";

    static ReadOnlySpan<byte> Magic => "GMSPOOL2"u8;

    static ReadOnlySpan<byte> MagicWithoutSecret => "GMSPOOL1"u8;

    public static string FileName(ulong firstIndex) => firstIndex.ToString("D20", CultureInfo.InvariantCulture) + Extension;

    /// <summary>The first index that a file name stands for. False for any other file.</summary>
    public static bool TryParseFileName(string name, out ulong firstIndex)
    {
        firstIndex = 0;
        return name.Length == 20 + Extension.Length
            && name.EndsWith(Extension, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, 20), NumberStyles.None, CultureInfo.InvariantCulture, out firstIndex);
    }

    public static void WriteHeader(Span<byte> destination, ulong firstIndex, ulong secret)
    {
        Magic.CopyTo(destination);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], firstIndex);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], secret);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[24..], ~Crc32C.Append(uint.MaxValue, destination[..24]));
        BinaryPrimitives.WriteUInt32LittleEndian(destination[28..], 0);
    }

    /// <summary>Another version's file begins with the same letters.</summary>
    public static bool IsOtherVersion(ReadOnlySpan<byte> source) =>
        source.Length >= Magic.Length && source.StartsWith(Magic[..^1]) && !source.StartsWith(Magic) && !source.StartsWith(MagicWithoutSecret);

    /// <summary>Whether the header is whole, and what it says.</summary>
    public static bool TryReadHeader(ReadOnlySpan<byte> source, ulong firstIndex, out ulong secret)
    {
        secret = 0;
        if (source.Length < HeaderBytes || !source.StartsWith(Magic) || BinaryPrimitives.ReadUInt64LittleEndian(source[8..]) != firstIndex) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(source[24..]) != ~Crc32C.Append(uint.MaxValue, source[..24])) return false;
        secret = BinaryPrimitives.ReadUInt64LittleEndian(source[16..]);
        return true;
    }

    public static bool IsHeaderWithoutSecret(ReadOnlySpan<byte> source, ulong firstIndex) =>
        source.Length >= HeaderBytesWithoutSecret && source.StartsWith(MagicWithoutSecret)
        && BinaryPrimitives.ReadUInt64LittleEndian(source[8..]) == firstIndex;

    public static void WriteRecordHeader(Span<byte> destination, ulong index, ReadOnlySpan<byte> data, ulong secret)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], Checksum(index, data));
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], index ^ secret);
    }

    public static (uint Length, uint Checksum, ulong Index) ReadRecordHeader(ReadOnlySpan<byte> source, ulong secret) => (
        BinaryPrimitives.ReadUInt32LittleEndian(source),
        BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[8..]) ^ secret);

    public static uint Checksum(ulong index, ReadOnlySpan<byte> data)
    {
        var register = BitOperations.Crc32C(uint.MaxValue, (uint)data.Length);
        register = BitOperations.Crc32C(register, index);
        return ~Crc32C.Append(register, data);
    }
}
