using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text.Unicode;

namespace Guestmark.Wire.Declarations;

/// <summary>Frames as agents write them, read in one straight pass: three times as fast as the strict walk, of which this takes a part.</summary>
/// <remarks>
/// CellOS's agent and ours write the keys in the order of <see cref="DeclarationFrame"/>; a later agent may add one at the end:
/// <code>
/// a5..a8  "content_version" uint "probe_source" text "guest_pid" uint "guest_comm" text "guest_monotonic_ns" uint ["sequence" uint "dropped" uint] [text: text | uint]
/// </code>
/// What is anything else, or wrong, is not judged here: it goes to the strict walk, which says why it is refused or takes it all the same.
/// </remarks>
static class UsualFrame
{
    /// <summary>Decodes a body of the usual form.</summary>
    /// <returns>False: not of that form, and nothing is known of it. True: the strict walk would say the same.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> body, out GuestDeclaration declaration)
    {
        declaration = default;
        if (body.IsEmpty) return false;
        var entries = body[0] - 0xa0;
        if (entries is < 5 or > 8) return false;
        var position = 1;
        if (!TrySkipName(body, "\u006fcontent_version"u8, ref position) || !TryReadNumber(body, ref position, out var version) || version > DeclarationFrame.SupportedVersionMax)
            return false;
        if (!TrySkipName(body, "\u006cprobe_source"u8, ref position) || !TryReadText(body, DeclarationFrame.ProbeSourceBytesMax, ref position, out var source))
            return false;
        if (!TrySkipName(body, "\u0069guest_pid"u8, ref position) || !TryReadNumber(body, ref position, out var pid) || pid > uint.MaxValue)
            return false;
        if (!TrySkipName(body, "\u006aguest_comm"u8, ref position) || !TryReadText(body, DeclarationFrame.GuestCommBytesMax, ref position, out var comm))
            return false;
        if (!TrySkipName(body, "\u0072guest_monotonic_ns"u8, ref position) || !TryReadNumber(body, ref position, out var monotonicNs))
            return false;
        if (entries >= 7)
        {
            if (!TrySkipName(body, "\u0068sequence"u8, ref position) || !TryReadNumber(body, ref position, out var sequence)) return false;
            if (!TrySkipName(body, "\u0067dropped"u8, ref position) || !TryReadNumber(body, ref position, out var dropped)) return false;
            declaration.Sequence = sequence;
            declaration.Dropped = dropped;
        }

        if (entries is 6 or 8)
        {
            if (!TrySkipUnknown(body, ref position)) return false;
            declaration.UnknownKeys = 1;
        }

        if (position != body.Length) return false;
        declaration.ContentVersion = (ushort)version;
        declaration.ProbeSource = source;
        declaration.GuestPid = (uint)pid;
        declaration.GuestComm = comm;
        declaration.GuestMonotonicNs = monotonicNs;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static bool TrySkipName(ReadOnlySpan<byte> body, ReadOnlySpan<byte> headAndName, scoped ref int position)
    {
        if (!body[position..].StartsWith(headAndName)) return false;
        position += headAndName.Length;
        return true;
    }

    /// <summary>An unsigned number in its shortest form.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static bool TryReadNumber(ReadOnlySpan<byte> body, scoped ref int position, out ulong value)
    {
        value = 0;
        if ((uint)position >= (uint)body.Length) return false;
        uint head = body[position++];
        if (head < 24)
        {
            value = head;
            return true;
        }

        var power = (int)head - 24;
        if (power > 3) return false;
        var width = 1 << power;
        var rest = body[position..];
        // Eight bytes at once, of which the number is the first ones: all but the last of a frame have as many behind them.
        if (rest.Length < sizeof(ulong)) return false;
        value = BinaryPrimitives.ReadUInt64BigEndian(rest) >> (64 - 8 * width);
        position += width;
        return value >= (power == 0 ? 24 : 1UL << (4 * width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static bool TryReadText(ReadOnlySpan<byte> body, int bytesMax, scoped ref int position, out ReadOnlySpan<byte> text)
    {
        text = default;
        if (body.Length - position < 2) return false;
        var length = body[position++] - 0x60;
        if (length == 24)
        {
            length = body[position++];
            if (length < 24) return false;
        }
        else if ((uint)length > 23)
        {
            return false;
        }

        if (length > bytesMax || length > body.Length - position) return false;
        text = body.Slice(position, length);
        position += length;
        return Utf8.IsValid(text);
    }

    /// <summary>One key that is not known, with a text or a number.</summary>
    static bool TrySkipUnknown(ReadOnlySpan<byte> body, scoped ref int position)
    {
        if (!TryReadText(body, byte.MaxValue, ref position, out var name) || DeclarationFrame.IsKnown(name) || position == body.Length) return false;
        if (body[position] >> 5 is not (CborCursor.Unsigned or CborCursor.Text)) return false;
        var cursor = new CborCursor(body[position..], isStrict: true);
        if (!cursor.TrySkip()) return false;
        position += cursor.Position;
        return true;
    }
}
