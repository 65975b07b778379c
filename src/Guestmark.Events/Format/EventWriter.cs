using System.Text;

namespace Guestmark.Events.Format;

/// <summary>Writes protobuf fields into a span whose size the caller has computed with the functions here.</summary>
ref struct EventWriter(Span<byte> destination)
{
    // Tags of io.cloudevents.v1.CloudEvent, of an entry of its map of attributes, and of CloudEventAttributeValue: number << 3 | 2.
    public const byte IdTag = 0x0a;
    public const byte SourceTag = 0x12;
    public const byte SpecVersionTag = 0x1a;
    public const byte TypeTag = 0x22;
    public const byte AttributesTag = 0x2a;
    public const byte ProtoDataTag = 0x42;
    public const byte EntryKeyTag = 0x0a;
    public const byte EntryValueTag = 0x12;
    public const byte TextTag = 0x1a;
    public const byte BytesTag = 0x22;
    public const byte TimestampTag = 0x3a;

    // google.protobuf.Any and Timestamp.
    public const byte TypeUrlTag = 0x0a;
    public const byte AnyValueTag = 0x12;
    public const byte SecondsTag = 0x08;
    public const byte NanosTag = 0x10;

    readonly Span<byte> _destination = destination;
    int _position;

    public readonly int Position => _position;

    public static int VarintSize(ulong value)
    {
        var size = 1;
        while ((value >>= 7) != 0) size++;
        return size;
    }

    /// <summary>Size of a length-delimited field with one byte of tag.</summary>
    public static int FieldSize(int length) => 1 + VarintSize((ulong)length) + length;

    /// <summary>Size of an entry of the map of attributes whose value has a text or bytes of this length.</summary>
    public static int AttributeSize(int nameLength, int valueLength) => FieldSize(FieldSize(nameLength) + FieldSize(FieldSize(valueLength)));

    public static int TimestampSize(long seconds, int nanos) =>
        (seconds == 0 ? 0 : 1 + VarintSize((ulong)seconds)) + (nanos == 0 ? 0 : 1 + VarintSize((ulong)nanos));

    public void Begin(byte tag, int length)
    {
        _destination[_position++] = tag;
        Varint((ulong)length);
    }

    public void Raw(scoped ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_destination[_position..]);
        _position += bytes.Length;
    }

    public void Field(byte tag, scoped ReadOnlySpan<byte> bytes)
    {
        Begin(tag, bytes.Length);
        Raw(bytes);
    }

    public void Field(byte tag, string text, int utf8Length)
    {
        Begin(tag, utf8Length);
        Text(text);
    }

    public void Text(string text) => _position += Encoding.UTF8.GetBytes(text, _destination[_position..]);

    /// <summary>An attribute up to the length of its value: the value's bytes follow.</summary>
    public void BeginAttribute(scoped ReadOnlySpan<byte> name, byte kindTag, int valueLength)
    {
        var value = FieldSize(valueLength);
        Begin(AttributesTag, FieldSize(name.Length) + FieldSize(value));
        Field(EntryKeyTag, name);
        Begin(EntryValueTag, value);
        Begin(kindTag, valueLength);
    }

    public void Attribute(scoped ReadOnlySpan<byte> name, scoped ReadOnlySpan<byte> text)
    {
        BeginAttribute(name, TextTag, text.Length);
        Raw(text);
    }

    public void Timestamp(scoped ReadOnlySpan<byte> name, long seconds, int nanos)
    {
        BeginAttribute(name, TimestampTag, TimestampSize(seconds, nanos));
        if (seconds != 0)
        {
            _destination[_position++] = SecondsTag;
            Varint((ulong)seconds);
        }

        if (nanos != 0)
        {
            _destination[_position++] = NanosTag;
            Varint((ulong)nanos);
        }
    }

    void Varint(ulong value)
    {
        while (value >= 0x80)
        {
            _destination[_position++] = (byte)(value | 0x80);
            value >>= 7;
        }

        _destination[_position++] = (byte)value;
    }
}
