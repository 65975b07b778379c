using System.Buffers.Binary;
using System.Numerics;

namespace Guestmark.Spool;

/// <summary>CRC-32C (Castagnoli, RFC 3720 B.4): the polynomial that processors have an instruction for.</summary>
/// <remarks>
/// The instruction takes 8 bytes in 3 cycles but a new one can begin in each cycle, so long data is computed in three lanes that do not wait for
/// each other. A lane's register is moved over the bytes of the lane behind it by a table: the effect of so many zero bytes on a register is
/// linear, so four tables of 256 entries, one for each byte of the register, give it.
/// </remarks>
static class Crc32C
{
    const int LaneBytes = 1024;
    const uint Polynomial = 0x82F63B78; // 0x1EDC6F41, bits reversed

    static readonly uint[] OverLane = MakeOverLane();

    /// <summary>The register after more data. Begin with <see cref="uint.MaxValue"/>; the checksum is the complement of the last register.</summary>
    public static uint Append(uint register, ReadOnlySpan<byte> data)
    {
        while (data.Length >= 3 * LaneBytes)
        {
            var (first, second, third) = (register, 0u, 0u);
            var lanes = data[..(3 * LaneBytes)];
            for (var i = 0; i < LaneBytes; i += sizeof(ulong))
            {
                first = BitOperations.Crc32C(first, BinaryPrimitives.ReadUInt64LittleEndian(lanes[i..]));
                second = BitOperations.Crc32C(second, BinaryPrimitives.ReadUInt64LittleEndian(lanes[(LaneBytes + i)..]));
                third = BitOperations.Crc32C(third, BinaryPrimitives.ReadUInt64LittleEndian(lanes[((2 * LaneBytes) + i)..]));
            }

            register = MoveOverLane(MoveOverLane(first) ^ second) ^ third;
            data = data[(3 * LaneBytes)..];
        }

        while (data.Length >= sizeof(ulong))
        {
            register = BitOperations.Crc32C(register, BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[sizeof(ulong)..];
        }

        foreach (var b in data) register = BitOperations.Crc32C(register, b);
        return register;
    }

    static uint MoveOverLane(uint register) =>
        OverLane[register & 0xff] ^ OverLane[256 + ((register >> 8) & 0xff)] ^ OverLane[512 + ((register >> 16) & 0xff)] ^ OverLane[768 + (register >> 24)];

    static uint[] MakeOverLane()
    {
        // What the zeros of a lane make of each single bit; every other value is a sum of these.
        var ofBit = new uint[32];
        for (var bit = 0; bit < 32; bit++)
        {
            var register = 1u << bit;
            for (var i = 0; i < LaneBytes * 8; i++) register = (register >> 1) ^ ((register & 1) * Polynomial);
            ofBit[bit] = register;
        }

        var table = new uint[4 * 256];
        for (var i = 0; i < table.Length; i++)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                if ((i & (1 << bit)) != 0) table[i] ^= ofBit[(i / 256 * 8) + bit];
            }
        }

        return table;
    }
}
