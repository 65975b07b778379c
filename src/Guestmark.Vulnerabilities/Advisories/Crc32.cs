using System.Buffers.Binary;

namespace Guestmark.Vulnerabilities;

/// <summary>The CRC-32 of zip archives (APPNOTE 4.4.7): polynomial 0x04C11DB7 reflected, start and end inverted.</summary>
/// <remarks>System.IO.Hashing would be a package for this one function.</remarks>
static class Crc32
{
    // Eight bytes at a time: Tables[n][b] is what b does to the remainder when n bytes follow it. Byte by byte took as long as parsing.
    static readonly uint[][] Tables = MakeTables();

    public static uint Of(ReadOnlySpan<byte> bytes) => Append(0, bytes);

    /// <param name="crc">Of all bytes before; 0 for none.</param>
    /// <param name="bytes">What comes next.</param>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        crc = ~crc;
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            var low = BinaryPrimitives.ReadUInt32LittleEndian(bytes) ^ crc;
            var high = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            crc = Tables[7][(byte)low] ^ Tables[6][(byte)(low >> 8)] ^ Tables[5][(byte)(low >> 16)] ^ Tables[4][low >> 24]
                ^ Tables[3][(byte)high] ^ Tables[2][(byte)(high >> 8)] ^ Tables[1][(byte)(high >> 16)] ^ Tables[0][high >> 24];
        }

        foreach (var b in bytes) crc = Tables[0][(byte)(crc ^ b)] ^ (crc >> 8);
        return ~crc;
    }

    static uint[][] MakeTables()
    {
        var tables = new uint[8][];
        for (var n = 0; n < tables.Length; n++)
        {
            tables[n] = new uint[256];
            for (var i = 0u; i < 256; i++)
            {
                var crc = n == 0 ? i : tables[n - 1][i];
                for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? 0xEDB88320 ^ (crc >> 1) : crc >> 1;
                tables[n][i] = crc;
            }
        }

        return tables;
    }
}
