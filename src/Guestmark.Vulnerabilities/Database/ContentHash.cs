using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// 64 bits that stand for content: the same on every machine, because they are in the file. They tell versions of a vendor's document apart
/// and order its statements; they defend against nothing, as the vendor can say what it likes anyhow.
/// </summary>
/// <remarks>Eight bytes are folded at a time by a multiplication to 128 bits whose halves are combined: one pass, no table, about 8 bytes in 2 ns.</remarks>
static class ContentHash
{
    const ulong First = 0x9E3779B97F4A7C15;
    const ulong Second = 0xD1B54A32D192ED03;

    public static ulong Of(ReadOnlySpan<byte> bytes)
    {
        var hash = Mix(Second, (ulong)bytes.Length);
        while (bytes.Length >= sizeof(ulong))
        {
            hash = Mix(hash, MemoryMarshal.Read<ulong>(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        if (bytes.IsEmpty) return hash;
        var rest = 0UL;
        for (var i = 0; i < bytes.Length; i++) rest |= (ulong)bytes[i] << (8 * i);
        return Mix(hash, rest);
    }

    /// <summary>Takes a value into a hash; the order counts.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mix(ulong hash, ulong value)
    {
        var high = Math.BigMul(hash ^ First, value ^ Second, out var low);
        // Where one factor is 0 the product says nothing of the other.
        return high ^ low ^ ulong.RotateLeft(hash, 23) ^ value;
    }
}
