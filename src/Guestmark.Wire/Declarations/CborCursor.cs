using System.Buffers.Binary;
using System.Text.Unicode;

namespace Guestmark.Wire.Declarations;

/// <summary>Walks CBOR (RFC 8949) where it lies. Only what declarations need.</summary>
/// <remarks>
/// <code>
/// item = head [payload]; head = 1 byte (major type &lt;&lt; 5 | additional) and its argument:
///   additional 0-23 the argument itself, 24 one byte, 25 two, 26 four, 27 eight (big endian), 28-30 not assigned, 31 indefinite length or break
/// major 0 unsigned, 1 negative, 2 bytes, 3 text, 4 array of n items, 5 map of n pairs, 6 tag and one item, 7 simple values and floats
/// </code>
/// A strict cursor takes one spelling of each value: definite lengths, the shortest heads, no tags and no floats. One that is not strict takes all
/// of definite length: it looks for the version of a frame whose format may be a later one.
/// </remarks>
ref struct CborCursor(ReadOnlySpan<byte> bytes, bool isStrict)
{
    public const byte Unsigned = 0;
    public const byte Negative = 1;
    public const byte Bytes = 2;
    public const byte Text = 3;
    public const byte Array = 4;
    public const byte Map = 5;
    public const byte Tag = 6;
    public const byte Simple = 7;

    // The four known keys of today have none below them.
    const int DepthMax = 8;

    // What a frame of 64 KiB could hold is 65,536: half a millisecond each.
    const int ItemsMax = 4096;

    readonly ReadOnlySpan<byte> _bytes = bytes;
    int _position;
    int _items;

    /// <summary>Why a method returned false.</summary>
    public DeclarationFault Fault { get; private set; }

    public readonly int Position => _position;

    public readonly bool IsAtEnd => _position == _bytes.Length;

    /// <summary>Reads a head: its major type and its argument.</summary>
    public bool TryReadHead(out byte major, out ulong argument)
    {
        major = 0;
        argument = 0;
        if ((uint)_position >= (uint)_bytes.Length) return Fail(DeclarationFault.Malformed);
        var first = _bytes[_position++];
        major = (byte)(first >> 5);
        var additional = first & 0x1f;
        if (additional < 24)
        {
            argument = (ulong)additional;
            // 20 to 23: false, true, null, undefined.
            return major != Simple || additional >= 20 || !isStrict || Fail(DeclarationFault.ForbiddenItem);
        }

        return TryReadLongArgument(major, additional, out argument);
    }

    bool TryReadLongArgument(byte major, int additional, out ulong argument)
    {
        argument = 0;
        if (additional > 27)
        {
            return Fail(additional == 31 && major is >= Bytes and <= Map ? DeclarationFault.NotDeterministic : DeclarationFault.Malformed);
        }

        var width = 1 << (additional - 24);
        if (_bytes.Length - _position < width) return Fail(DeclarationFault.Malformed);
        var rest = _bytes[_position..];
        ulong shortestMin;
        (argument, shortestMin) = width switch
        {
            1 => (rest[0], 24UL),
            2 => (BinaryPrimitives.ReadUInt16BigEndian(rest), 1UL << 8),
            4 => (BinaryPrimitives.ReadUInt32BigEndian(rest), 1UL << 16),
            _ => (BinaryPrimitives.ReadUInt64BigEndian(rest), 1UL << 32),
        };
        _position += width;
        if (!isStrict) return true;
        if (major == Simple) return Fail(DeclarationFault.ForbiddenItem);
        return argument >= shortestMin || Fail(DeclarationFault.NotDeterministic);
    }

    /// <summary>Takes the payload of a text or of bytes whose head was read.</summary>
    public bool TryTake(ulong length, out ReadOnlySpan<byte> payload)
    {
        payload = default;
        if (length > (ulong)(_bytes.Length - _position)) return Fail(DeclarationFault.Malformed);
        payload = _bytes.Slice(_position, (int)length);
        _position += (int)length;
        return true;
    }

    /// <summary>Skips one item with all that is in it.</summary>
    public bool TrySkip() => TryReadHead(out var major, out var argument) && TrySkipPayload(major, argument, 0);

    /// <summary>Skips what follows a head that was read.</summary>
    public bool TrySkipPayload(byte major, ulong argument, int depth = 0)
    {
        if (++_items > ItemsMax) return Fail(DeclarationFault.TooComplex);
        switch (major)
        {
            case Bytes:
                return TryTake(argument, out _);
            case Text:
                return TryTake(argument, out var text) && (!isStrict || Utf8.IsValid(text) || Fail(DeclarationFault.InvalidUtf8));
            case Array:
                return TrySkipItems(argument, 1, depth);
            case Map:
                return TrySkipItems(argument, 2, depth);
            case Tag:
                return isStrict ? Fail(DeclarationFault.ForbiddenItem) : TrySkipItems(1, 1, depth);
            default:
                return true;
        }
    }

    bool TrySkipItems(ulong count, uint times, int depth)
    {
        // Each item has at least one byte: a count beyond the rest is false, and never multiplied past 64 bits.
        if (count > (ulong)(_bytes.Length - _position)) return Fail(DeclarationFault.Malformed);
        if (depth == DepthMax) return Fail(DeclarationFault.TooComplex);
        for (var left = count * times; left > 0; left--)
        {
            if (!TryReadHead(out var major, out var argument) || !TrySkipPayload(major, argument, depth + 1)) return false;
        }

        return true;
    }

    bool Fail(DeclarationFault fault)
    {
        Fault = fault;
        return false;
    }
}
