using System.Buffers.Binary;

namespace Guestmark.Wire.Protobuf;

/// <summary>Walks the fields of one protobuf message where it lies: nothing is copied and nothing is allocated.</summary>
/// <remarks>
/// The wire format (https://protobuf.dev/programming-guides/encoding): a message is a row of fields, each
/// <code>tag varint = field number &lt;&lt; 3 | wire type; 0 varint, 1 eight bytes, 2 length varint + bytes, 5 four bytes</code>
/// A nested message is the <see cref="Bytes"/> of its field: the caller makes another reader, and bounds how deep it goes. Whether a
/// field has the wire type that its message wants, and whether a text is UTF-8, is for the caller to check.
/// </remarks>
public ref struct ProtoReader(ReadOnlySpan<byte> message)
{
    // 2^29 - 1, the largest field number.
    const ulong TagMax = uint.MaxValue;

    readonly ReadOnlySpan<byte> _message = message;
    int _position;

    /// <summary>The value of a field of wire type <see cref="WireType.Varint"/>, <see cref="WireType.Fixed32"/> or <see cref="WireType.Fixed64"/>.</summary>
    public ulong Varint { get; private set; }

    /// <summary>The value of a field of wire type <see cref="WireType.LengthDelimited"/>: a text, bytes, a message or packed numbers.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>The message ends inside a field, or a tag is none. Nothing more is read then.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>Where the next field begins: the bytes that were read.</summary>
    public readonly int Position => _position;

    /// <summary>Takes the next field.</summary>
    /// <returns>False at the end of the message, and where it is malformed: ask <see cref="IsMalformed"/> after the loop.</returns>
    public bool TryNext(out int field, out WireType type)
    {
        field = 0;
        type = default;
        Varint = 0;
        Bytes = default;
        if (IsMalformed || _position == _message.Length) return false;
        if (!TryReadVarint(out var tag) || tag > TagMax || tag >> 3 == 0) return Malformed();

        field = (int)(tag >> 3);
        type = (WireType)(tag & 7);
        switch (type)
        {
            case WireType.Varint:
                if (!TryReadVarint(out var value)) return Malformed();
                Varint = value;
                return true;
            case WireType.Fixed64:
                if (_message.Length - _position < sizeof(ulong)) return Malformed();
                Varint = BinaryPrimitives.ReadUInt64LittleEndian(_message[_position..]);
                _position += sizeof(ulong);
                return true;
            case WireType.Fixed32:
                if (_message.Length - _position < sizeof(uint)) return Malformed();
                Varint = BinaryPrimitives.ReadUInt32LittleEndian(_message[_position..]);
                _position += sizeof(uint);
                return true;
            case WireType.LengthDelimited:
                if (!TryReadVarint(out var length) || length > (ulong)(_message.Length - _position)) return Malformed();
                Bytes = _message.Slice(_position, (int)length);
                _position += (int)length;
                return true;
            default:
                return Malformed();
        }
    }

    bool Malformed()
    {
        IsMalformed = true;
        return false;
    }

    // At most ten bytes; what the tenth has beyond 64 bits is dropped, as every decoder does.
    bool TryReadVarint(out ulong value)
    {
        value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            if (_position >= _message.Length) return false;
            var next = _message[_position++];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80) return true;
        }

        return false;
    }
}
