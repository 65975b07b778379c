using System.Text;

namespace Guestmark.Inventory.Rpm;

/// <summary>Texts of one database. The few architectures, releases and module labels of hundreds of packages become one object each.</summary>
sealed class TextPool
{
    const int Slots = 256;

    readonly string?[] _recent = new string?[Slots];

    /// <summary>The text of UTF-8 bytes. Bytes that are not UTF-8 become U+FFFD.</summary>
    public string Text(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == 0) return "";
        var hash = new HashCode();
        hash.AddBytes(bytes);
        ref var slot = ref _recent[(hash.ToHashCode() & int.MaxValue) % Slots];
        // False for anything but ASCII: such a text is simply made anew.
        if (slot is not null && Ascii.Equals(bytes, slot)) return slot;
        return slot = Encoding.UTF8.GetString(bytes);
    }
}
