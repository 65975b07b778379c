using System.Text;

namespace Guestmark.Events.Format;

/// <summary>Names of streams as texts: thousands of events in a row are of the same few streams.</summary>
static class StreamNames
{
    const int Slots = 8;
    const int KeptBytesMax = 128;

    [ThreadStatic]
    static (byte[] Utf8, string Text)[]? _names;

    public static string Get(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length is 0 or > KeptBytesMax) return Encoding.UTF8.GetString(utf8);
        var names = _names ??= new (byte[], string)[Slots];
        // Names begin with the time of their start and end with their class: the middle is what differs most.
        ref var slot = ref names[(utf8[utf8.Length / 2] ^ utf8[^1]) & (Slots - 1)];
        if (slot.Utf8 is null || !utf8.SequenceEqual(slot.Utf8)) slot = (utf8.ToArray(), Encoding.UTF8.GetString(utf8));
        return slot.Text;
    }
}
