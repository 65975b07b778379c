using System.Text;
using System.Text.Unicode;

namespace Guestmark.Events.Format;

/// <summary>Types of attribute values: the field numbers of <c>CloudEventAttributeValue</c>.</summary>
enum AttributeKind
{
    None = 0,
    Boolean = 1,
    Integer = 2,
    Text = 3,
    Bytes = 4,
    Uri = 5,
    UriReference = 6,
    Timestamp = 7,
}

/// <summary>One entry of an event's map of attributes, where it lies.</summary>
ref struct EventAttribute
{
    /// <summary>The CloudEvents specification recommends at most 20 characters. This is where it stops being a name.</summary>
    public const int NameBytesMax = 64;

    public ReadOnlySpan<byte> Name { get; private set; }

    /// <summary>Where <see cref="Name"/> begins in the entry.</summary>
    public int NameStart { get; private set; }

    public AttributeKind Kind { get; private set; }

    /// <summary>Of texts and bytes.</summary>
    public ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>Where <see cref="Value"/> begins in the entry.</summary>
    public int ValueStart { get; private set; }

    /// <summary>Of booleans and integers.</summary>
    public long Number { get; private set; }

    public EventTime Time { get; private set; }

    /// <summary>Whether a text may be the name of an attribute (CloudEvents 1.0.2, Attribute Naming): lower-case letters and digits.</summary>
    public static bool IsName(ReadOnlySpan<byte> name)
    {
        if (name.Length is 0 or > NameBytesMax) return false;
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterLower((char)c) && !char.IsAsciiDigit((char)c)) return false;
        }

        return true;
    }

    /// <summary>Reads an entry. Every field may be there once, and each must: two readers must not see two values.</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryRead(ReadOnlySpan<byte> entry, out EventAttribute attribute)
    {
        attribute = default;
        var fields = new EventFields(entry);
        var valueAt = -1;
        ReadOnlySpan<byte> value = default;
        while (fields.TryNext())
        {
            if (fields.IsVarint) return "an attribute is malformed";
            if (fields.Field == 1 && attribute.Name.IsEmpty)
            {
                attribute.Name = fields.Bytes;
                attribute.NameStart = fields.Start;
                if (!IsName(attribute.Name)) return "the name of an attribute is not of lower-case letters and digits";
            }
            else if (fields.Field == 2 && valueAt < 0)
            {
                valueAt = fields.Start;
                value = fields.Bytes;
            }
            else
            {
                return "an attribute is malformed";
            }
        }

        if (fields.IsMalformed || attribute.Name.IsEmpty || valueAt < 0) return "an attribute is malformed";
        return attribute.TryReadValue(value, valueAt) ? null : $"attribute {Encoding.ASCII.GetString(attribute.Name)} has no readable value";
    }

    bool TryReadValue(ReadOnlySpan<byte> value, int at)
    {
        var fields = new EventFields(value);
        if (!fields.TryNext() || fields.Field > (int)AttributeKind.Timestamp) return false;
        Kind = (AttributeKind)fields.Field;
        if (fields.IsVarint != Kind is AttributeKind.Boolean or AttributeKind.Integer) return false;
        if (fields.IsVarint)
        {
            Number = (long)fields.Varint;
            if (Kind == AttributeKind.Boolean ? Number is not (0 or 1) : Number is < int.MinValue or > int.MaxValue) return false;
        }
        else
        {
            Value = fields.Bytes;
            ValueStart = at + fields.Start;
            if (Kind == AttributeKind.Timestamp)
            {
                if (!TryReadTime(Value)) return false;
            }
            else if (Kind != AttributeKind.Bytes && !Utf8.IsValid(Value))
            {
                return false;
            }
        }

        return !fields.TryNext() && !fields.IsMalformed;
    }

    bool TryReadTime(ReadOnlySpan<byte> timestamp)
    {
        var fields = new EventFields(timestamp);
        var (seconds, nanos) = (0L, 0L);
        var (hasSeconds, hasNanos) = (false, false);
        while (fields.TryNext())
        {
            if (!fields.IsVarint) return false;
            if (fields.Field == 1 && !hasSeconds) (hasSeconds, seconds) = (true, (long)fields.Varint);
            else if (fields.Field == 2 && !hasNanos) (hasNanos, nanos) = (true, (long)fields.Varint);
            else return false;
        }

        if (fields.IsMalformed || nanos is < 0 or >= 1_000_000_000) return false;
        Time = new EventTime(seconds, (int)nanos);
        return Time.IsValid;
    }

    /// <summary>The value's text as the CloudEvents type system gives it to every format that has only texts.</summary>
    public readonly string ToText() => Kind switch
    {
        AttributeKind.Boolean => Number != 0 ? "true" : "false",
        AttributeKind.Integer => Number.ToString(System.Globalization.CultureInfo.InvariantCulture),
        AttributeKind.Bytes => Convert.ToBase64String(Value),
        AttributeKind.Timestamp => Time.ToString(),
        _ => Encoding.UTF8.GetString(Value),
    };
}

/// <summary>Walks the attributes of an event that has been read before, in the order of its bytes.</summary>
ref struct EventAttributes(ReadOnlySpan<byte> encoded)
{
    EventFields _fields = new(encoded);
    EventAttribute _current;

    public readonly EventAttributes GetEnumerator() => this;

    public readonly EventAttribute Current => _current;

    public bool MoveNext()
    {
        while (_fields.TryNext())
        {
            if (_fields.Field == 5 && EventAttribute.TryRead(_fields.Bytes, out _current) is null) return true;
        }

        return false;
    }
}
