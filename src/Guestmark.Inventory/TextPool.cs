using System.Buffers.Binary;
using System.Text;

namespace Guestmark.Inventory;

/// <summary>
/// Texts of one database. What hundreds of packages share (architecture, vendor, licence, release, key id) becomes one object each.
/// </summary>
sealed class TextPool
{
    // A power of two: the hash is cut by its highest bits.
    const int SlotBits = 11;

    readonly string?[] _recent = new string?[1 << SlotBits];

    /// <summary>The text of UTF-8 bytes. Bytes that are not UTF-8 become U+FFFD.</summary>
    public string Text(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == 0) return "";
        ref var slot = ref _recent[Slot(bytes)];
        // False for anything but ASCII: such a text is simply made anew.
        if (slot is not null && Ascii.Equals(bytes, slot)) return slot;
        return slot = Encoding.UTF8.GetString(bytes);
    }

    /// <summary>
    /// By the length and the first and last eight bytes: texts that agree in these displace each other, which costs an object and
    /// nothing else.
    /// </summary>
    static int Slot(ReadOnlySpan<byte> bytes)
    {
        ulong first = 0, last = 0;
        if (bytes.Length >= sizeof(ulong))
        {
            first = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            last = BinaryPrimitives.ReadUInt64LittleEndian(bytes[^sizeof(ulong)..]);
        }
        else
        {
            foreach (var next in bytes) first = (first << 8) | next;
        }

        // Knuth's multiplicative hash with 2^64 / golden ratio.
        var hash = ((first * 0x9e37_79b9_7f4a_7c15) ^ last ^ (uint)bytes.Length) * 0x9e37_79b9_7f4a_7c15;
        return (int)(hash >> (64 - SlotBits));
    }
}
