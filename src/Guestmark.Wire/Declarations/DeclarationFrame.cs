using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text.Unicode;

namespace Guestmark.Wire.Declarations;

/// <summary>The frame of the declaration channel: what a guest's agent sends to its host, and no answer.</summary>
/// <remarks>
/// The format is CellOS's (cellos-host-telemetry 0.5, listener.rs; ADR-0006, 12):
/// <code>
/// u32 little endian   length of the body in bytes, 1 to 65,536
/// body                a CBOR map of definite length with text keys
///     content_version     unsigned, 0x0000 to 0x00FF   1 today
///     probe_source        text, at most 64 bytes
///     guest_pid           unsigned, 32 bits
///     guest_comm          text, at most 64 bytes
///     guest_monotonic_ns  unsigned, 64 bits
///   and, which are ours and which CellOS's host drops as unknown:
///     sequence            unsigned, 64 bits            counts up from 1 on each connection
///     dropped             unsigned, 64 bits            what the agent's queue had dropped so far
/// </code>
/// The keys may stand in any order. Keys of other names are skipped and counted: no key is attribution. Numbers and lengths are in their shortest
/// form, without tags, floats or indefinite lengths, and nothing follows the map.
/// </remarks>
public static class DeclarationFrame
{
    /// <summary>Bytes before the body.</summary>
    public const int LengthBytes = 4;

    /// <summary>CellOS's MAX_FRAME_BYTES.</summary>
    public const int BodyBytesMax = 64 * 1024;

    /// <summary>The longest name of a probe. CellOS's longest known one, <c>net.connect_attempted</c>, has 21.</summary>
    public const int ProbeSourceBytesMax = 64;

    /// <summary>
    /// A process's name has at most 15 bytes (TASK_COMM_LEN, 16, counts the closing zero), but /proc shows up to 63 for the kernel's own threads, and a
    /// byte that is not UTF-8 becomes the three of U+FFFD.
    /// </summary>
    public const int GuestCommBytesMax = 64;

    /// <summary>Entries of the map, known and unknown.</summary>
    public const int EntriesMax = 64;

    /// <summary>What this project's agent writes.</summary>
    public const ushort ContentVersion = 1;

    /// <summary>More than <see cref="Write"/> ever writes.</summary>
    public const int WrittenBytesMax = 4 + 1 + 17 + 13 + 66 + 10 + 5 + 11 + 66 + 19 + 9 + 9 + 9 + 8 + 9;

    internal const ushort SupportedVersionMax = 0x00ff;

    /// <summary>Reads the length before a body.</summary>
    /// <param name="source">At least <see cref="LengthBytes"/>.</param>
    /// <returns>False when no frame has this length: where the next one begins cannot be known.</returns>
    public static bool TryReadLength(ReadOnlySpan<byte> source, out int length)
    {
        var value = BinaryPrimitives.ReadUInt32LittleEndian(source);
        length = (int)value;
        return value - 1 < BodyBytesMax;
    }

    /// <summary>Decodes a body, strictly.</summary>
    /// <returns><see cref="DeclarationFault.None"/> when all of it is right.</returns>
    public static DeclarationFault TryDecode(ReadOnlySpan<byte> body, out GuestDeclaration declaration) =>
        UsualFrame.TryDecode(body, out declaration) && body.Length <= BodyBytesMax ? DeclarationFault.None : Walk(body, out declaration);

    [SkipLocalsInit]
    static DeclarationFault Walk(ReadOnlySpan<byte> body, out GuestDeclaration declaration)
    {
        declaration = default;
        if (body.Length > BodyBytesMax) return DeclarationFault.TooLong;
        var gate = CheckVersion(body, out var version);
        declaration.ContentVersion = version;
        if (gate != DeclarationFault.None) return gate;

        var cursor = new CborCursor(body, isStrict: true);
        if (!cursor.TryReadHead(out var major, out var entries)) return cursor.Fault;
        if (major != CborCursor.Map) return DeclarationFault.NotAMap;
        if (entries > EntriesMax) return DeclarationFault.TooComplex;

        // Where unknown keys lie: offset << 16 | length. A body has at most 2^16 bytes.
        Span<uint> unknown = stackalloc uint[EntriesMax];
        var seen = default(Key);
        for (var left = (int)entries; left > 0; left--)
        {
            if (!cursor.TryReadHead(out major, out var argument)) return cursor.Fault;
            if (major != CborCursor.Text) return DeclarationFault.KeyNotText;
            if (!cursor.TryTake(argument, out var name)) return cursor.Fault;
            var key = Find(name);
            if (key == Key.Unknown)
            {
                if (!Utf8.IsValid(name)) return DeclarationFault.InvalidUtf8;
                foreach (var earlier in unknown[..declaration.UnknownKeys])
                {
                    if (body.Slice((int)(earlier >> 16), (int)(earlier & 0xffff)).SequenceEqual(name)) return DeclarationFault.DuplicateKey;
                }

                unknown[declaration.UnknownKeys++] = ((uint)(cursor.Position - name.Length) << 16) | (uint)name.Length;
                if (!cursor.TrySkip()) return cursor.Fault;
                continue;
            }

            if (seen.HasFlag(key)) return DeclarationFault.DuplicateKey;
            seen |= key;
            if (!cursor.TryReadHead(out major, out argument)) return cursor.Fault;
            if (key is Key.ProbeSource or Key.GuestComm)
            {
                if (major != CborCursor.Text) return DeclarationFault.WrongType;
                if (!cursor.TryTake(argument, out var text)) return cursor.Fault;
                if (text.Length > (key == Key.ProbeSource ? ProbeSourceBytesMax : GuestCommBytesMax)) return DeclarationFault.TooLong;
                if (!Utf8.IsValid(text)) return DeclarationFault.InvalidUtf8;
                if (key == Key.ProbeSource) declaration.ProbeSource = text;
                else declaration.GuestComm = text;
                continue;
            }

            if (major != CborCursor.Unsigned) return DeclarationFault.WrongType;
            switch (key)
            {
                case Key.GuestPid:
                    if (argument > uint.MaxValue) return DeclarationFault.OutOfRange;
                    declaration.GuestPid = (uint)argument;
                    break;
                case Key.GuestMonotonicNs:
                    declaration.GuestMonotonicNs = argument;
                    break;
                case Key.Sequence:
                    declaration.Sequence = argument;
                    break;
                case Key.Dropped:
                    declaration.Dropped = argument;
                    break;
            }
        }

        if (!cursor.IsAtEnd) return DeclarationFault.TrailingBytes;
        return seen.HasFlag(Key.Required) ? DeclarationFault.None : DeclarationFault.MissingKey;
    }

    /// <summary>Writes a frame as CellOS's guests do, the version first.</summary>
    /// <param name="destination">At least <see cref="WrittenBytesMax"/> bytes.</param>
    /// <param name="probeSource">UTF-8, at most <see cref="ProbeSourceBytesMax"/>.</param>
    /// <param name="guestComm">UTF-8, at most <see cref="GuestCommBytesMax"/>.</param>
    /// <param name="sequence">0 leaves both it and <paramref name="dropped"/> out, which is exactly CellOS's frame.</param>
    /// <returns>Bytes written, with the length before the body.</returns>
    public static int Write(
        Span<byte> destination, ReadOnlySpan<byte> probeSource, uint guestPid, ReadOnlySpan<byte> guestComm, ulong guestMonotonicNs,
        ulong sequence = 0, ulong dropped = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(probeSource.Length, ProbeSourceBytesMax);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(guestComm.Length, GuestCommBytesMax);
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, WrittenBytesMax);
        var position = LengthBytes;
        WriteHead(destination, ref position, CborCursor.Map, sequence == 0 ? 5u : 7u);
        WriteNumber(destination, ref position, "content_version"u8, ContentVersion);
        WriteText(destination, ref position, "probe_source"u8);
        WriteText(destination, ref position, probeSource);
        WriteNumber(destination, ref position, "guest_pid"u8, guestPid);
        WriteText(destination, ref position, "guest_comm"u8);
        WriteText(destination, ref position, guestComm);
        WriteNumber(destination, ref position, "guest_monotonic_ns"u8, guestMonotonicNs);
        if (sequence != 0)
        {
            WriteNumber(destination, ref position, "sequence"u8, sequence);
            WriteNumber(destination, ref position, "dropped"u8, dropped);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(destination, (uint)(position - LengthBytes));
        return position;
    }

    /// <summary>
    /// The gate: finds the version wherever it stands and decides by it alone, because the rest of a later version's frame means what it likes.
    /// What stands before it must be CBOR of definite lengths, or it cannot be found.
    /// </summary>
    static DeclarationFault CheckVersion(ReadOnlySpan<byte> body, out ushort version)
    {
        version = 0;
        var cursor = new CborCursor(body, isStrict: false);
        if (!cursor.TryReadHead(out var major, out var entries)) return cursor.Fault;
        if (major != CborCursor.Map) return DeclarationFault.NotAMap;
        for (; entries > 0; entries--)
        {
            if (!cursor.TryReadHead(out major, out var argument)) return cursor.Fault;
            if (major != CborCursor.Text)
            {
                if (!cursor.TrySkipPayload(major, argument)) return cursor.Fault;
            }
            else
            {
                if (!cursor.TryTake(argument, out var name)) return cursor.Fault;
                if (name.SequenceEqual("content_version"u8))
                {
                    if (!cursor.TryReadHead(out major, out argument)) return cursor.Fault;
                    if (major != CborCursor.Unsigned) return DeclarationFault.WrongType;
                    if (argument > ushort.MaxValue) return DeclarationFault.OutOfRange;
                    version = (ushort)argument;
                    return version <= SupportedVersionMax ? DeclarationFault.None : DeclarationFault.UnsupportedVersion;
                }
            }

            if (!cursor.TrySkip()) return cursor.Fault;
        }

        return DeclarationFault.MissingKey;
    }

    /// <summary>Whether a key is one of those above.</summary>
    internal static bool IsKnown(ReadOnlySpan<byte> name) => Find(name) != Key.Unknown;

    static Key Find(ReadOnlySpan<byte> name) => name.Length switch
    {
        7 when name.SequenceEqual("dropped"u8) => Key.Dropped,
        8 when name.SequenceEqual("sequence"u8) => Key.Sequence,
        9 when name.SequenceEqual("guest_pid"u8) => Key.GuestPid,
        10 when name.SequenceEqual("guest_comm"u8) => Key.GuestComm,
        12 when name.SequenceEqual("probe_source"u8) => Key.ProbeSource,
        15 when name.SequenceEqual("content_version"u8) => Key.ContentVersion,
        18 when name.SequenceEqual("guest_monotonic_ns"u8) => Key.GuestMonotonicNs,
        _ => Key.Unknown,
    };

    static void WriteNumber(Span<byte> destination, ref int position, ReadOnlySpan<byte> name, ulong value)
    {
        WriteText(destination, ref position, name);
        WriteHead(destination, ref position, CborCursor.Unsigned, value);
    }

    static void WriteText(Span<byte> destination, ref int position, ReadOnlySpan<byte> text)
    {
        WriteHead(destination, ref position, CborCursor.Text, (uint)text.Length);
        text.CopyTo(destination[position..]);
        position += text.Length;
    }

    static void WriteHead(Span<byte> destination, ref int position, byte major, ulong argument)
    {
        var rest = destination[(position + 1)..];
        var (additional, width) = argument switch
        {
            < 24 => ((byte)argument, 0),
            <= byte.MaxValue => ((byte)24, 1),
            <= ushort.MaxValue => ((byte)25, 2),
            <= uint.MaxValue => ((byte)26, 4),
            _ => ((byte)27, 8),
        };
        switch (width)
        {
            case 1:
                rest[0] = (byte)argument;
                break;
            case 2:
                BinaryPrimitives.WriteUInt16BigEndian(rest, (ushort)argument);
                break;
            case 4:
                BinaryPrimitives.WriteUInt32BigEndian(rest, (uint)argument);
                break;
            case 8:
                BinaryPrimitives.WriteUInt64BigEndian(rest, argument);
                break;
        }

        destination[position] = (byte)((major << 5) | additional);
        position += 1 + width;
    }

    [Flags]
    enum Key
    {
        Unknown = 0,
        ContentVersion = 1,
        ProbeSource = 2,
        GuestPid = 4,
        GuestComm = 8,
        GuestMonotonicNs = 16,
        Sequence = 32,
        Dropped = 64,
        Required = ContentVersion | ProbeSource | GuestPid | GuestComm | GuestMonotonicNs,
    }
}
